"""An embeddable, native-speed engine for anomaly detection jobs.

The names below are imported when they are first used, so that what needs none of them (the
help of the command line, a configuration that is only checked) does not wait for numpy,
pyarrow and the kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import JobConfig
    from .counts import DataCounts
    from .errors import (
        ConfigError,
        DataError,
        ExistsError,
        LogError,
        NotFoundError,
        NotSupportedError,
        RequestError,
        SnapshotError,
        StateError,
        StoreError,
        TidegateError,
        TimeError,
        VersionError,
    )
    from .estimate import estimate_model_memory
    from .job import FlushAcknowledgement, Job
    from .overall import overall_buckets
    from .readers import read
    from .store import Store

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DataCounts",
    "DataError",
    "ExistsError",
    "FlushAcknowledgement",
    "Job",
    "JobConfig",
    "LogError",
    "NotFoundError",
    "NotSupportedError",
    "RequestError",
    "SnapshotError",
    "StateError",
    "Store",
    "StoreError",
    "TidegateError",
    "TimeError",
    "VersionError",
    "estimate_model_memory",
    "overall_buckets",
    "read",
]

_MODULES = {
    "DataCounts": "counts",
    "FlushAcknowledgement": "job",
    "Job": "job",
    "JobConfig": "config",
    "estimate_model_memory": "estimate",
    "overall_buckets": "overall",
    "Store": "store",
    "read": "readers",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        """Imports a public name at its first use (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
