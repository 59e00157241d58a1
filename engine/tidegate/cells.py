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
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

FEATURES = {
    "count": feature_kernels.FEATURE_COUNT,
    "sum": feature_kernels.FEATURE_SUM,
    "mean": feature_kernels.FEATURE_MEAN,
    "min": feature_kernels.FEATURE_MIN,
    "max": feature_kernels.FEATURE_MAX,
    "varp": feature_kernels.FEATURE_VARP,
    "median": feature_kernels.FEATURE_VALUE,
    "distinct_count": feature_kernels.FEATURE_VALUE,
    "info_content": feature_kernels.FEATURE_VALUE,
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

    def first(self, n: int) -> ClosedCells:
        """The first n cells; shares memory."""
        return ClosedCells(self.bucket_c[:n], self.series_c[:n], self.record_c[: n * self.width], self.width)

    def where(self, mask: npt.NDArray[np.bool_]) -> ClosedCells:
        """The cells where the mask is true."""
        record_c = self.record_c.reshape(-1, self.width)[mask].ravel()
        return ClosedCells(self.bucket_c[mask], self.series_c[mask], record_c, self.width)

    def within(self, first: int, last: int) -> ClosedCells:
        """The cells of the buckets ``first <= b < last``; shares memory."""
        begin, end = (int(at) for at in np.searchsorted(self.bucket_c, (first, last)))
        record_c = self.record_c[begin * self.width : end * self.width]
        return ClosedCells(self.bucket_c[begin:end], self.series_c[begin:end], record_c, self.width)

    def counts(self, first: int, last: int) -> I64:
        """How many records the buckets ``first <= b < last`` have, of cells of one series."""
        counts = np.zeros(last - first, np.int64)
        inside = (self.bucket_c >= first) & (self.bucket_c < last)
        counts[self.bucket_c[inside] - first] = self.record_c[inside].astype(np.int64)
        return counts

    def values(self, feature: str) -> F64:
        """What a feature of every cell is, NaN where there is no sample."""
        n = len(self)
        value, count = np.empty(n), np.empty(n)
        bucket, series = np.empty_like(self.bucket_c), np.empty_like(self.series_c)
        columns = (self.bucket_c, self.series_c, self.record_c, self.width, FEATURES[feature])
        feature_kernels.take_cells(np.arange(n), *columns, bucket, series, value, count)
        return value

    def by_block(self, n_series: int) -> Cells:
        """The cells of every block of series together, for the model."""
        n_blocks = -(-n_series // LANES)
        order = np.empty(len(self), np.int64)
        first_b = np.empty(n_blocks + 1, np.int64)
        block_kernels.sort_by_block(self.series_c, n_blocks, first_b, order)
        return Cells(self, order, first_b)


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells sorted by block of series: cells ``first_b[b]:first_b[b + 1]`` are those of block b.

    Within a block they come bucket by bucket. Cell c is row ``order[c]`` of `closed`.
    """

    closed: ClosedCells
    order: I64
    first_b: I64

    def __len__(self) -> int:
        return len(self.order)

    def columns(self, feature: str, start: int, stop: int) -> tuple[I64, I32, F64, F64]:
        """Buckets, series, values (NaN: no sample) and record counts of the cells [start, stop)."""
        n = stop - start
        made = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n), np.empty(n)
        closed = self.closed
        feature_kernels.take_cells(
            self.order[start:stop],
            closed.bucket_c,
            closed.series_c,
            closed.record_c,
            closed.width,
            FEATURES[feature],
            *made,
        )
        return made
