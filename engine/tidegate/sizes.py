"""What the models of a job take, and whether they have reached their limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from .keys import Keys
from .lanes import Lane

_SOFT = 0.6
"""Share of the limit above which the memory status is ``soft_limit``."""


@dataclass(frozen=True, slots=True)
class ModelSizeStats:
    """The size of a job's models; bytes, and counts of values."""

    job_id: str
    model_bytes: int
    """States, tables of keys and their strings, and the cells and, for influencers, rows of open buckets."""
    model_bytes_memory_limit: int
    total_by_field_count: int
    """Distinct values of the by fields, summed over the sets of key fields; so the next two."""
    total_over_field_count: int
    total_partition_field_count: int
    refused_series_record_count: int
    """Records left out of a detector because their series would have exceeded the limit."""
    memory_status: str
    """``ok``; ``soft_limit`` above three fifths of the limit; ``hard_limit`` once series were refused."""
    timestamp: int | None
    """Start of the last final bucket; None before there is one."""

    def to_dict(self) -> dict[str, Any]:
        """The sizes as the JSON API shows them: what is absent is left out."""
        shown = {name: value for name, value in asdict(self).items() if value is not None}
        return {"result_type": "model_size_stats", **shown}


class Sized(Protocol):
    """What knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """The memory it takes."""


def size_stats(
    job_id: str,
    lanes: Iterable[Lane],
    others: Iterable[Sized],
    limit: int,
    timestamp: int | None,
    category_bytes: int,
) -> ModelSizeStats:
    """The sizes of the models of some lanes, of categories and what else there is: strings, kept rows."""
    lanes = list(lanes)
    size = sum(lane.state_bytes for lane in lanes) + sum(other.nbytes for other in others) + category_bytes
    refused = sum(lane.keys.refused for lane in lanes)
    status = "hard_limit" if refused else "soft_limit" if size > _SOFT * limit else "ok"
    counts = {role: sum(_distinct(lane.keys, role) for lane in lanes) for role in ("by", "over", "partition")}
    return ModelSizeStats(
        job_id,
        size,
        limit,
        counts["by"],
        counts["over"],
        counts["partition"],
        refused,
        status,
        timestamp,
    )


def _distinct(keys: Keys, role: str) -> int:
    """How many values a key field has among the series."""
    if getattr(keys, role) is None:
        return 0
    return len(np.unique(getattr(keys, f"{role}_codes")(np.arange(len(keys)))))
