"""Streams gather the rows of the buffer into cells: one per key space and value field.

A stream holds the open buckets. It is given rows and tells, bucket by bucket, what closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tidegate_kernels import gather as kernels
from tidegate_kernels import values as value_kernels

from .cells import F64, I32, I64, ClosedCells

NO_SERIES: I32 = np.empty(0, np.int32)
NO_VALUES: F64 = np.empty(0, np.float64)
_FIRST_CELLS = 4096


@dataclass(frozen=True, slots=True)
class Span:
    """The buckets of a stream: all in milliseconds."""

    span: int
    latency: int

    @property
    def rows(self) -> int:
        """How many buckets are open at once."""
        return self.latency // self.span + 1


class Stream(Protocol):
    """What gathers rows into cells."""

    def grow(self, n_series: int) -> None:
        """Makes room for so many series."""

    def begin(self, finalized: int) -> None:
        """Sets the last finalised bucket end before the first row, or after a skip."""

    def gather(self, time: I64, series: I32, value: F64, start: int, stop: int, first_whole: int) -> None:
        """Adds rows [start, stop) to the open buckets, closing buckets as time goes on."""

    def close(self, end: int, first_whole: int) -> None:
        """Closes every bucket that ends by `end`; what begins before `first_whole` is dropped."""

    def take(self) -> ClosedCells:
        """The cells of the buckets closed since the last call; valid until the next row comes."""

    def peek(self, first_whole: int) -> ClosedCells:
        """The cells of the open buckets, which stay open."""

    def reset(self, first: int, last: int) -> None:
        """Forgets what the open buckets numbered ``first <= b < last`` hold; they stay open."""


class RingStream:
    """Counts, or counts with the moments and extremes of a value, in a ring of open buckets."""

    def __init__(self, span: Span, *, valued: bool) -> None:
        self._span = span
        self._width = kernels.RECORD_SIZE if valued else 1
        self._capacity = 0
        self._ring: F64 = np.empty(0, np.float64)
        self._touched: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._state: I64 = np.zeros(2, np.int64)
        self._bucket: I64 = np.empty(0, np.int64)
        self._series: I32 = NO_SERIES
        self._record: F64 = NO_VALUES
        self._make_room(_FIRST_CELLS)
        self.grow(1)

    def _make_room(self, cells: int) -> None:
        used, width = int(self._state[kernels.CELLS]), self._width
        bucket, series, record = np.empty(cells, np.int64), np.empty(cells, np.int32), np.empty(cells * width)
        bucket[:used] = self._bucket[:used]
        series[:used] = self._series[:used]
        record[: used * width] = self._record[: used * width]
        self._bucket, self._series, self._record = bucket, series, record

    def grow(self, n_series: int) -> None:
        """Makes room for so many series."""
        if n_series <= self._capacity:
            return
        page = kernels.PAGE
        capacity = max(2 * self._capacity, -(-n_series // page) * page)
        rows, width = self._span.rows, self._width
        ring = np.empty((rows, capacity, width), np.float64)
        touched = np.ones((rows, capacity // page), np.uint8)
        kernels.clear_ring(rows, capacity, width, ring.reshape(-1), touched.reshape(-1))
        if self._capacity:
            ring[:, : self._capacity] = self._ring.reshape(rows, self._capacity, width)
            touched[:, : self._capacity // page] = self._touched.reshape(rows, -1)
        self._ring, self._touched, self._capacity = ring.reshape(-1), touched.reshape(-1), capacity

    def begin(self, finalized: int) -> None:
        """Sets the last finalised bucket end before the first row, or after a skip."""
        self._state[kernels.FINALIZED] = finalized

    def gather(self, time: I64, series: I32, value: F64, start: int, stop: int, first_whole: int) -> None:
        """Adds rows [start, stop) to the open buckets, closing buckets as time goes on."""
        geometry = self._geometry(first_whole)
        while start < stop:
            if self._width > 1 or len(series):
                start = kernels.gather(time, series, value, start, stop, *geometry, *self._arrays())
            else:
                start = kernels.gather_counts(time, start, stop, *geometry[:-1], *self._arrays())
            if start < stop:
                self._make_room(2 * len(self._bucket) + self._capacity * self._span.rows)

    def close(self, end: int, first_whole: int) -> None:
        """Closes every bucket that ends by `end`; what begins before `first_whole` is dropped."""
        self._close(end, first_whole, keep=False)

    def _close(self, end: int, first_whole: int, *, keep: bool) -> None:
        span, _, first, *shape = self._geometry(first_whole)
        while not kernels.close_cells(end, span, first, *shape, int(keep), *self._arrays()):
            self._make_room(2 * len(self._bucket) + self._capacity * self._span.rows)

    def take(self) -> ClosedCells:
        """The cells of the buckets closed since the last call."""
        used = int(self._state[kernels.CELLS])
        self._state[kernels.CELLS] = 0
        return ClosedCells(
            self._bucket[:used], self._series[:used], self._record[: used * self._width], self._width
        )

    def peek(self, first_whole: int) -> ClosedCells:
        """The cells of the open buckets, which stay open."""
        self._close(
            int(self._state[kernels.FINALIZED]) + self._span.rows * self._span.span, first_whole, keep=True
        )
        return self.take()

    def reset(self, first: int, last: int) -> None:
        """Forgets what the open buckets numbered ``first <= b < last`` hold; they stay open."""
        rows, capacity, width = self._span.rows, self._capacity, self._width
        ring, touched = self._ring.reshape(rows, -1), self._touched.reshape(rows, -1)
        for bucket in range(first, min(last, first + rows)):
            kernels.clear_ring(1, capacity, width, ring[bucket % rows], touched[bucket % rows])

    def _geometry(self, first_whole: int) -> tuple[int, int, int, int, int, int]:
        span = self._span
        return span.span, span.latency, first_whole, span.rows, self._capacity, self._width

    def _arrays(self) -> tuple[F64, npt.NDArray[np.uint8], I64, I64, I32, F64]:
        return self._ring, self._touched, self._state, self._bucket, self._series, self._record


class ValueStream:
    """Medians and distinct counts: every value is kept until its bucket closes."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._finalized = 0
        self._first_whole = 0
        self._used = 0
        self._log: tuple[I64, I32, F64] = _empty_log(_FIRST_CELLS)

    def grow(self, n_series: int) -> None:
        """Makes room for so many series: nothing to do, the log is by row."""

    def begin(self, finalized: int) -> None:
        """Sets the last finalised bucket end before the first row, or after a skip."""
        self._finalized = finalized

    def gather(self, time: I64, series: I32, value: F64, start: int, stop: int, first_whole: int) -> None:
        """Adds rows [start, stop) to the log."""
        needed = self._used + stop - start
        if needed > len(self._log[0]):
            larger = _empty_log(max(needed, 2 * len(self._log[0])))
            for k in range(3):
                larger[k][: self._used] = self._log[k][: self._used]
            self._log = larger
        self._used = value_kernels.log_values(
            time, series, value, start, stop, self._span.span, self._finalized, self._used, *self._log
        )

    def close(self, end: int, first_whole: int) -> None:
        """Closes every bucket that ends by `end`; what begins before `first_whole` is dropped."""
        self._finalized = max(end, self._finalized)
        self._first_whole = first_whole

    def take(self) -> ClosedCells:
        """The cells of the buckets closed since the last call."""
        span = self._span.span
        closed, left = _empty_log(self._used), np.empty(1, np.int64)
        moved = value_kernels.split_log(
            self._used, self._finalized // span, -(-self._first_whole // span), *self._log, *closed, left
        )
        self._used = int(left[0])
        return _summarise(closed, moved)

    def peek(self, first_whole: int) -> ClosedCells:
        """The cells of the open buckets, which stay open."""
        rows = np.flatnonzero(self._log[0][: self._used] * self._span.span >= first_whole)
        bucket, series, value = self._log
        return _summarise((bucket[rows], series[rows], value[rows]), len(rows))

    def reset(self, first: int, last: int) -> None:
        """Forgets what the open buckets numbered ``first <= b < last`` hold; they stay open."""
        bucket = self._log[0][: self._used]
        stay = np.flatnonzero((bucket < first) | (bucket >= last))
        for column in self._log:
            column[: len(stay)] = column[stay]
        self._used = len(stay)


def _empty_log(rows: int) -> tuple[I64, I32, F64]:
    return np.empty(rows, np.int64), np.empty(rows, np.int32), np.empty(rows, np.float64)


def _summarise(log: tuple[I64, I32, F64], rows: int) -> ClosedCells:
    """Sorts logged rows into cells."""
    bucket, series, cells = np.empty(rows, np.int64), np.empty(rows, np.int32), np.empty(3 * rows)
    made = 0
    if rows:
        first = int(log[0][:rows].min())
        n_buckets, n_series = int(log[0][:rows].max()) - first + 1, int(log[1][:rows].max()) + 1
        count = np.empty(max(n_buckets, n_series) + 1, np.int64)
        order_a, order_b, scratch = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows)
        made = value_kernels.summarise(
            *log, rows, first, n_buckets, n_series, count, order_a, order_b, scratch, bucket, series, cells
        )
    size = value_kernels.SUMMARY_SIZE
    return ClosedCells(bucket[:made], series[:made], cells[: size * made], size)
