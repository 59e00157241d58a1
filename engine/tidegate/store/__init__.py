"""A durable home for jobs: a folder with configurations, results, model snapshots and posted records."""

from .durable import StoredJob
from .folder import Store

__all__ = ["Store", "StoredJob"]
