"""How long buckets took to be processed, as job statistics tell it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_WEIGHT = 0.01
"""Of one more bucket in the exponential average."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds that final buckets took.

    >>> shown = Timing().after(np.array([2.0, 4.0])).to_dict("flights", 3_600_000)
    >>> shown["average_bucket_processing_time_ms"]
    3.0
    """

    bucket_count: int = 0
    total_ms: float = 0.0
    minimum_ms: float = 0.0
    maximum_ms: float = 0.0
    exponential_ms: float = 0.0

    def after(self, time_ms: npt.NDArray[np.float64]) -> Timing:
        """The statistics with some more buckets, in their order."""
        n = len(time_ms)
        if not n:
            return self
        if not self.bucket_count:
            first = float(time_ms[0])
            return Timing(1, first, first, first, first).after(time_ms[1:])
        fading = (1.0 - _WEIGHT) ** np.arange(n - 1, -1, -1)
        return Timing(
            self.bucket_count + n,
            self.total_ms + float(time_ms.sum()),
            min(self.minimum_ms, float(time_ms.min())),
            max(self.maximum_ms, float(time_ms.max())),
            (1.0 - _WEIGHT) ** n * self.exponential_ms + _WEIGHT * float(fading @ time_ms),
        )

    def to_dict(self, job_id: str, span_ms: int) -> dict[str, Any]:
        """The statistics as the JSON API shows them."""
        shown: dict[str, Any] = {"job_id": job_id, "bucket_count": self.bucket_count}
        if not self.bucket_count:
            return {**shown, "total_bucket_processing_time_ms": 0.0}
        return {
            **shown,
            "total_bucket_processing_time_ms": self.total_ms,
            "minimum_bucket_processing_time_ms": self.minimum_ms,
            "maximum_bucket_processing_time_ms": self.maximum_ms,
            "average_bucket_processing_time_ms": self.total_ms / self.bucket_count,
            "exponential_average_bucket_processing_time_ms": self.exponential_ms,
            "exponential_average_bucket_processing_time_per_hour_ms": self.exponential_ms
            * 3_600_000
            / span_ms,
        }

    def kept(self) -> dict[str, Any]:
        """The statistics as `Timing(**kept)` takes them."""
        return asdict(self)
