"""What the models of a job take, and whether they have reached their limit."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from tidegate_kernels.fold import RECORD_SIZE

from .categorize import Categorizer, CategorizerStats
from .config import JobConfig
from .errors import ConfigError
from .keys import Keys
from .lanes import key_of

SOFT = 0.6
"""Share of the limit above which series are pruned, and the memory status is ``soft_limit``."""
_ESTABLISHED = 20  # buckets from which on what a job takes tells what it will take
_LEAST_SERIES = 64  # that a latency must leave memory for


@dataclass(frozen=True, slots=True)
class ModelSizeStats:
    """The size of a job's models; bytes, and counts of values."""

    job_id: str
    model_bytes: int
    """States, tables of keys and their strings, and the cells and, for influencers, rows of open buckets."""
    peak_model_bytes: int
    """The most that it was when somebody looked."""
    model_bytes_exceeded: int
    """What `model_bytes` has above the limit."""
    model_bytes_memory_limit: int
    total_by_field_count: int
    """Distinct values of the by fields, summed over the sets of key fields; so the next two."""
    total_over_field_count: int
    total_partition_field_count: int
    bucket_allocation_failures_count: int
    """Buckets in which records were refused."""
    refused_series_record_count: int
    """Records left out of a detector because their series would have exceeded the limit."""
    memory_status: str
    """``ok``; ``soft_limit`` above three fifths of the limit; ``hard_limit`` while series are refused."""
    assignment_memory_basis: str
    """What tells best how much memory the job needs: ``model_memory_limit`` for 20 buckets, then
    ``current_model_bytes``, or ``peak_model_bytes`` where that is more than a tenth above."""
    categorization_status: str
    categorized_doc_count: int
    total_category_count: int
    frequent_category_count: int
    rare_category_count: int
    dead_category_count: int
    failed_category_count: int
    log_time: int
    """When this was looked at; epoch milliseconds."""
    timestamp: int | None
    """Start of the last final bucket; None before there is one."""

    def to_dict(self) -> dict[str, Any]:
        """The sizes as the JSON API shows them: what is absent is left out."""
        shown = {name: value for name, value in asdict(self).items() if value is not None}
        return {"result_type": "model_size_stats", **shown}


@dataclass(frozen=True, slots=True)
class Memory:
    """What the models take and took, and how they fare with their limit."""

    taken: int
    peak: int
    limit: int
    failures: int
    """Buckets in which records were refused."""
    is_full: bool
    """Whether something is refused."""
    buckets: int
    """How many final buckets there are."""

    @property
    def status(self) -> str:
        """The memory status."""
        return "hard_limit" if self.is_full else "soft_limit" if self.taken > SOFT * self.limit else "ok"

    @property
    def basis(self) -> str:
        """What tells best how much memory the job needs."""
        if self.buckets < _ESTABLISHED:
            return "model_memory_limit"
        return "peak_model_bytes" if self.peak > 1.1 * self.taken else "current_model_bytes"


def size_stats(
    job_id: str,
    spaces: Sequence[Keys],
    memory: Memory,
    timestamp: int | None,
    categorizer: Categorizer | None,
) -> ModelSizeStats:
    """The sizes of the models of some key spaces, and of categories."""
    counts = {role: sum(_distinct(keys, role) for keys in spaces) for role in ("by", "over", "partition")}
    nothing = np.empty(0, np.int64)
    of_categories = (
        CategorizerStats.of(0, nothing, nothing.astype(bool), 0)
        if categorizer is None
        else categorizer.stats()
    )
    return ModelSizeStats(
        job_id=job_id,
        model_bytes=memory.taken,
        peak_model_bytes=memory.peak,
        model_bytes_exceeded=max(memory.taken - memory.limit, 0),
        model_bytes_memory_limit=memory.limit,
        total_by_field_count=counts["by"],
        total_over_field_count=counts["over"],
        total_partition_field_count=counts["partition"],
        bucket_allocation_failures_count=memory.failures,
        refused_series_record_count=sum(keys.refused for keys in spaces),
        memory_status=memory.status,
        assignment_memory_basis=memory.basis,
        **{field.name: getattr(of_categories, field.name) for field in fields(CategorizerStats)},
        log_time=int(clock.time() * 1000),
        timestamp=timestamp,
    )


def _distinct(keys: Keys, role: str) -> int:
    """How many values a key field has among the series."""
    if getattr(keys, role) is None:
        return 0
    return len(np.unique(getattr(keys, f"{role}_codes")(np.arange(len(keys)))))


def require_room(config: JobConfig) -> None:
    """Raises ConfigError for a latency whose open buckets alone exceed the memory limit."""
    analysis = config.analysis_config
    rows = analysis.latency_buckets + 1
    keys = {key_of(detector)[:3] for detector in analysis.detectors}
    needed = 8 * RECORD_SIZE * _LEAST_SERIES * rows * len(keys)
    limit = config.analysis_limits.model_memory_limit_bytes
    if needed > limit:
        message = (
            f"latency keeps {rows} buckets open, which takes at least {needed >> 20} MiB; "
            f"model_memory_limit allows {limit >> 20} MiB"
        )
        raise ConfigError([("analysis_config.latency", message)])
