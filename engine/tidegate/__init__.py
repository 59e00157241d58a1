"""An embeddable, native-speed engine for anomaly detection jobs."""

from .config import JobConfig
from .counts import DataCounts
from .errors import (
    ConfigError,
    DataError,
    NotSupportedError,
    RequestError,
    StateError,
    TidegateError,
    TimeError,
)
from .job import FlushAcknowledgement, Job
from .readers import read

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DataCounts",
    "DataError",
    "FlushAcknowledgement",
    "Job",
    "JobConfig",
    "NotSupportedError",
    "RequestError",
    "StateError",
    "TidegateError",
    "TimeError",
    "read",
]
