"""Streams of keys: what needs to tell the values of a bucket apart rather than add them up.

Rows go into a log of (bucket, series, key). When it is full, and for a bucket that closes, they are
sorted and merged into cells, whose size is bounded. What a cell comes to depends on the keys alone, so
it does not matter when that happens; to look at open buckets is one more occasion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from tidegate_kernels import keylog as kernels

from .cells import F64, I32, I64, ClosedCells
from .kept import INSIDE, Keeper, require, require_within
from .keycells import KeyCells, KeyRows, Summary
from .keys import U64
from .passes import Pass, Span
from .threads import Work

LOG_ROWS = 1 << 18
"""Rows after which a log is merged into cells; more only when the cells have several times as many keys.

10 M distinct strings of 1,000 series in one bucket: 8.3 M rows/s and 98 MB, against 8.2 M rows/s and
144 MB with 2^20 rows and 4 keys a row (2026-11-23).
"""
_KEYS_PER_ROW = 8  # that cells may have for each row that the log may have
_FIRST_ROWS = 4096


@dataclass(frozen=True, slots=True)
class _Log:
    """Rows in the order in which they came."""

    bucket: I64
    series: I32
    key: U64

    @classmethod
    def empty(cls, rows: int) -> _Log:
        """Room for so many rows."""
        return cls(np.empty(rows, np.int64), np.empty(rows, np.int32), np.empty(rows, np.uint64))

    def __len__(self) -> int:
        return len(self.bucket)

    def columns(self) -> tuple[I64, I32, U64]:
        """The arrays as the kernels take them."""
        return self.bucket, self.series, self.key

    def part(self, stop: int) -> tuple[I64, I32, U64]:
        """The first so many rows."""
        return self.bucket[:stop], self.series[:stop], self.key[:stop]

    def take(self, rows: I64, log: _Log) -> None:
        """Takes some rows of a log, which may be this one, to the front."""
        self.bucket[: len(rows)] = log.bucket[rows]
        self.series[: len(rows)] = log.series[rows]
        self.key[: len(rows)] = log.key[rows]


class KeyStream(Keeper):
    """Medians, distinct counts and the like, of every series and bucket."""

    KEPT: ClassVar = {"_log_room": int, "_logged": _Log, "_cells": KeyCells, "_summary": INSIDE}

    def __init__(self, span: Span, summary: Summary, log_rows: int = LOG_ROWS) -> None:
        self._span = span
        self._summary = summary
        self._log_rows = log_rows
        self._used = 0
        self._log = _Log.empty(min(_FIRST_ROWS, log_rows))
        self._cells = KeyCells.empty()

    @property
    def nbytes(self) -> int:
        """The memory of the log and of the cells of open buckets."""
        return 20 * len(self._log) + self._cells.nbytes + self._summary.nbytes

    @property
    def _log_room(self) -> int:
        return len(self._log)

    @_log_room.setter
    def _log_room(self, rows: int) -> None:
        self._log = _Log.empty(rows)

    @property
    def _logged(self) -> _Log:
        """What the log holds, without the room for more."""
        return _Log(*self._log.part(self._used))

    @_logged.setter
    def _logged(self, log: _Log) -> None:
        self._used = len(log)
        require(len(log.series) == len(log.key) == len(log) <= len(self._log), "its columns do not fit")
        self._log.take(np.arange(len(log)), log)

    def _resume(self) -> None:
        self._cells.require_whole()
        self._summary.require_cells(self._cells)

    def require_open(self, n_series: int, first: int, last: int) -> None:
        """Sees that what was restored is of so many series, and of the buckets ``first <= b < last``."""
        for part in (self._logged, self._cells):
            bucket, series = part.columns()[:2]
            require_within(series, n_series, "the series of an open cell")
            require_within(bucket, last, "the bucket of an open cell", least=first)

    def keys(self) -> Iterator[U64]:
        """All keys of the open buckets; some more than once."""
        yield self._log.key[: self._used]
        yield self._cells.keys

    def open_series(self) -> Iterator[I32]:
        """The series that have something in an open bucket."""
        yield self._log.series[: self._used]
        yield self._cells.series_c

    def renumber(self, new_of: I32, n_series: int) -> None:
        """Goes on with other numbers of series; their order is the same."""
        used, cells = self._log.series[: self._used], self._cells
        used[:] = new_of[used]
        self._cells = replace(cells, series_c=new_of[cells.series_c])

    def grow(self, n_series: int) -> None:
        """Makes room for so many series: nothing to do, what is kept is by row and by cell."""

    def gather(self, rows: Pass, series: I32, value: F64 | U64, threads: int) -> list[Work]:
        """What is to be done to add rows to the open buckets."""
        return [partial(self._append, rows, series, value.view(np.uint64))] if len(rows) else []

    def _append(self, rows: Pass, series: I32, word: U64) -> None:
        self._make_room(int(rows.rows_g.sum()))
        runs = rows.start_u, rows.stop_u, rows.bucket_g, rows.first_g
        is_number = int(self._summary.is_number)
        self._used = kernels.log_keys(series, word, *runs, is_number, self._used, *self._log.columns())

    def _make_room(self, rows: int) -> None:
        """Makes sure of room for so many rows in the log, merging what it has if they are many."""
        most = max(self._log_rows, len(self._cells.keys) // _KEYS_PER_ROW)
        if self._used and self._used + rows > most:
            self._merge()
        needed = self._used + rows
        if needed > len(self._log):
            larger = _Log.empty(max(needed, min(2 * len(self._log), most)))
            larger.take(np.arange(self._used), self._log)
            self._log = larger

    def _merge(self) -> None:
        """Merges the whole log into the cells."""
        if self._used:
            self._cells = self._summary.merged(self._cells, KeyRows.of(*self._log.part(self._used)))
            self._used = 0

    def close(self, end: int, first_whole: int) -> ClosedCells:
        """The cells of every bucket that ends by `end`, which leave the stream."""
        first, last = -(-first_whole // self._span.span), end // self._span.span
        moved, left = _Log.empty(self._used), np.empty(1, np.int64)
        rows = kernels.split_log(self._used, last, first, *self._log.columns(), *moved.columns(), left)
        self._used = int(left[0])
        closed = self._taken_out(last, first)
        if rows:
            closed = self._summary.merged(closed, KeyRows.of(*moved.part(rows)))
        made = self._summarised(closed)
        self._summary.forget(closed)
        return made

    def _taken_out(self, first_open: int, first_whole: int) -> KeyCells:
        """The merged cells of the buckets that are to be closed, without those to be dropped."""
        first, last = np.searchsorted(self._cells.bucket_c, (first_whole, first_open)).tolist()
        first = min(first, last)
        self._summary.forget(self._cells.part(0, first))
        closed = self._cells.part(first, last)
        self._cells = self._cells.part(last, len(self._cells))
        return closed

    def peek(self, first_whole: int) -> ClosedCells:
        """The cells of the open buckets, which stay open."""
        self._merge()
        first = np.searchsorted(self._cells.bucket_c, -(-first_whole // self._span.span))
        return self._summarised(self._cells.part(int(first), len(self._cells)))

    def _summarised(self, cells: KeyCells) -> ClosedCells:
        return ClosedCells(cells.bucket_c, cells.series_c, self._summary.records(cells), kernels.SUMMARY_SIZE)

    def reset(self, first: int, last: int) -> None:
        """Forgets what the open buckets numbered ``first <= b < last`` hold; they stay open."""
        bucket = self._log.bucket[: self._used]
        stay = np.flatnonzero((bucket < first) | (bucket >= last))
        self._log.take(stay, self._log)
        self._used = len(stay)
        cells = self._cells
        begin, end = np.searchsorted(cells.bucket_c, (first, last)).tolist()
        self._summary.forget(cells.part(begin, end))
        self._cells = KeyCells.joined(cells.part(0, begin), cells.part(end, len(cells)))
