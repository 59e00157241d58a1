"""Cells: what the records of one series in one bucket come to, sorted for the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidegate_kernels import blocks as block_kernels
from tidegate_kernels import features as feature_kernels
from tidegate_kernels.state import LANES

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]

FEATURES = {
    "count": feature_kernels.FEATURE_COUNT,
    "sum": feature_kernels.FEATURE_SUM,
    "mean": feature_kernels.FEATURE_MEAN,
    "min": feature_kernels.FEATURE_MIN,
    "max": feature_kernels.FEATURE_MAX,
    "varp": feature_kernels.FEATURE_VARP,
    "median": feature_kernels.FEATURE_MEDIAN,
    "distinct_count": feature_kernels.FEATURE_DISTINCT,
}
"""Features that a cell can give, and their number in the kernel that takes them."""


@dataclass(frozen=True, slots=True)
class ClosedCells:
    """Cells as a stream gives them; row r is the cell of series ``series_c[r]`` in bucket ``bucket_c[r]``.

    `bucket_c` has the numbers of the buckets: their start divided by the span. The statistics
    of row r are ``record_c[r * width:(r + 1) * width]``. Rows come bucket by bucket.
    """

    bucket_c: I64
    series_c: I32
    record_c: F64
    width: int

    def __len__(self) -> int:
        return len(self.bucket_c)

    def by_block(self, n_series: int) -> Cells:
        """The cells of every block of series together, for the model."""
        n_blocks = -(-n_series // LANES)
        order = np.empty(len(self), np.int64)
        first_b = np.empty(n_blocks + 1, np.int64)
        block_kernels.sort_by_block(self.series_c, n_blocks, first_b, order)
        return Cells(self.bucket_c[order], self.series_c[order], self.record_c, self.width, order, first_b)


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells sorted by block of series: cells ``first_b[b]:first_b[b + 1]`` are those of block b.

    Within a block they come bucket by bucket. The statistics are where they were: those of
    cell c in row ``order[c]`` of `record_c`.
    """

    bucket_c: I64
    series_c: I32
    record_c: F64
    width: int
    order: I64
    first_b: I64

    def __len__(self) -> int:
        return len(self.bucket_c)

    def feature(self, name: str) -> tuple[F64, F64]:
        """Values (NaN: no sample) and record counts of one feature, cell by cell in `order`."""
        value_c = np.empty(len(self), np.float64)
        count_c = np.empty(len(self), np.float64)
        feature_kernels.take_feature(self.order, self.record_c, self.width, FEATURES[name], value_c, count_c)
        return value_c, count_c
