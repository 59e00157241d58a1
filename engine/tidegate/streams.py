"""Streams gather the rows of the buffer into cells: one per key space and value field.

A stream holds the cells of open buckets. It is given the rows of a pass and tells, bucket by
bucket, what closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol

import numpy as np

from tidegate_kernels import gather as kernels
from tidegate_kernels.fold import RECORD_SIZE

from .cells import F64, I32, ClosedCells
from .kept import Keeper, is_ascending, require, require_within
from .keys import U64
from .passes import Pass, Span
from .threads import Work

NO_SERIES: I32 = np.empty(0, np.int32)
NO_VALUES: F64 = np.empty(0, np.float64)
_LAST_NUMBER = (1 << 31) - 1


class Stream(Protocol):
    """What gathers rows into cells."""

    @property
    def nbytes(self) -> int:
        """The memory of the cells of open buckets."""

    def grow(self, n_series: int) -> None:
        """Makes room for so many series."""

    def gather(self, rows: Pass, series: I32, value: F64 | U64, threads: int) -> list[Work]:
        """What is to be done to add rows to the open buckets, cut for so many threads.

        All of it is to be done, in any order or at once, before anything else is asked.
        """

    def close(self, end: int, first_whole: int) -> ClosedCells:
        """The cells of every bucket that ends by `end`, which leave the stream; valid until rows come.

        What begins before `first_whole` is dropped: the job did not see all of such a bucket.
        """

    def peek(self, first_whole: int) -> ClosedCells:
        """The cells of the open buckets, which stay open."""

    def reset(self, first: int, last: int) -> None:
        """Forgets what the open buckets numbered ``first <= b < last`` hold; they stay open."""

    def require_open(self, n_series: int, first: int, last: int) -> None:
        """Sees that what was restored is of so many series, and of the buckets ``first <= b < last``."""

    def open_series(self) -> Iterator[I32]:
        """The series that have something in an open bucket."""

    def renumber(self, new_of: I32, n_series: int) -> None:
        """Goes on with other numbers of series, `n_series` in all; their order is the same."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a pass: its groups and open cells, and the room for cells that it fills."""

    groups: tuple[int, int]
    opened: tuple[int, int]
    base: int
    step: int
    most: int

    def filled(self, made: int) -> slice:
        """The part of the room that so many cells fill."""
        return (
            slice(self.base, self.base + made)
            if self.step > 0
            else slice(self.base + 1 - made, self.base + 1)
        )


class Numbers:
    """Which number the last cell of every series had in one thread; they only grow."""

    def __init__(self) -> None:
        self.position: I32 = np.empty(0, np.int32)
        self.next = 0

    def prepare(self, n_series: int, most: int) -> None:
        """Makes sure of room for so many series and for the numbers of so many cells more."""
        if n_series > len(self.position) or self.next > _LAST_NUMBER - most:
            size = n_series if n_series <= len(self.position) else max(n_series, 2 * len(self.position))
            self.position, self.next = np.full(size, -1, np.int32), 0


class CellStream(Keeper):
    """Counts, or counts with the moments and extremes of a value, of every series and bucket."""

    KEPT: ClassVar = {"_open_cells": ClosedCells}

    def __init__(self, span: Span, *, valued: bool) -> None:
        self._span = span
        self._width = RECORD_SIZE if valued else 1
        self._n_series = 1
        self._open = empty_cells(0, self._width)
        self._room = empty_cells(0, self._width)
        self._numbers: list[Numbers] = []
        self._pieces: list[_Piece] = []
        self._made: list[int] = []

    @property
    def nbytes(self) -> int:
        """The memory of the cells of open buckets."""
        return (12 + 8 * self._width) * len(self._open)

    def grow(self, n_series: int) -> None:
        """Makes room for so many series."""
        self._n_series = max(n_series, self._n_series)

    def gather(self, rows: Pass, series: I32, value: F64 | U64, threads: int) -> list[Work]:
        """What is to be done to add rows to the open buckets, cut for so many threads."""
        if not len(rows):
            return []
        self._settle()
        if np.may_share_memory(self._open.bucket_c, self._room.bucket_c):
            self._open = _copied(self._open)
        self._pieces = self._cut(rows, threads)
        room = sum(piece.most for piece in self._pieces)
        if room > len(self._room):
            self._room = empty_cells(max(room, 2 * len(self._room)), self._width)
        while len(self._numbers) < len(self._pieces):
            self._numbers.append(Numbers())
        self._made = [0] * len(self._pieces)
        return [partial(self._gather_piece, k, rows, series, value) for k in range(len(self._pieces))]

    def _cut(self, rows: Pass, threads: int) -> list[_Piece]:
        """Cuts a pass into pieces by bucket, so that every bucket is the work of one thread."""
        cuts = rows.cuts(threads)
        bounds_o = [
            0,
            *np.searchsorted(self._open.bucket_c, rows.bucket_g[cuts[1:-1]]).tolist(),
            len(self._open),
        ]
        most_g = np.minimum(rows.rows_g, self._n_series)
        made: list[_Piece] = []
        begin = 0
        for k in range(len(cuts) - 1):
            groups, opened = (cuts[k], cuts[k + 1]), (bounds_o[k], bounds_o[k + 1])
            most = int(most_g[slice(*groups)].sum()) + opened[1] - opened[0]
            # Two threads fill one stretch of the room from its middle, the first one backwards.
            backwards = k % 2 == 0 and k + 2 < len(cuts)
            base, step = (begin + most - 1, -1) if backwards else (begin, 1)
            made.append(_Piece(groups, opened, base, step, most))
            begin += most
        return made

    def _gather_piece(self, k: int, rows: Pass, series: I32, value: F64 | U64) -> None:
        """Makes the cells of one piece of a pass."""
        piece, numbers = self._pieces[k], self._numbers[k]
        numbers.prepare(self._n_series, piece.most)
        self._made[k] = kernels.gather(
            series,
            value,
            rows.start_u,
            rows.stop_u,
            rows.bucket_g,
            rows.first_g,
            rows.rows_g,
            *piece.groups,
            self._open.bucket_c,
            self._open.series_c,
            self._open.record_c,
            *piece.opened,
            self._width,
            self._n_series,
            piece.base,
            piece.step,
            numbers.next,
            numbers.position,
            self._room.bucket_c,
            self._room.series_c,
            self._room.record_c,
        )
        numbers.next += self._made[k]

    def _settle(self) -> None:
        """Makes what the pieces of the last pass came to the open cells."""
        if not self._pieces:
            return
        filled = [piece.filled(made) for piece, made in zip(self._pieces, self._made, strict=True)]
        stretches = [
            slice(a.start, b.stop) for a, b in zip(filled[::2], [*filled[1::2], filled[-1]], strict=False)
        ]
        parts = [_part(self._room, stretch) for stretch in stretches]
        self._open = parts[0] if len(parts) == 1 else _joined(parts)
        self._pieces = []

    @property
    def _open_cells(self) -> ClosedCells:
        """The cells of the open buckets, as they are kept."""
        self._settle()
        return self._open

    @_open_cells.setter
    def _open_cells(self, cells: ClosedCells) -> None:
        self._open = cells

    def _resume(self) -> None:
        require_cells(self._open, self._width)

    def require_open(self, n_series: int, first: int, last: int) -> None:
        """Sees that what was restored is of so many series, and of the buckets ``first <= b < last``."""
        require_within(self._open.series_c, n_series, "the series of an open cell")
        require_within(self._open.bucket_c, last, "the bucket of an open cell", least=first)

    def close(self, end: int, first_whole: int) -> ClosedCells:
        """The cells of every bucket that ends by `end`, which leave the stream; valid until rows come."""
        self._settle()
        span = self._span.span
        first, last = np.searchsorted(self._open.bucket_c, (-(-first_whole // span), end // span))
        closed = _part(self._open, slice(min(first, last), last))
        self._open = _part(self._open, slice(last, len(self._open)))
        return closed

    def peek(self, first_whole: int) -> ClosedCells:
        """The cells of the open buckets, which stay open."""
        self._settle()
        first = np.searchsorted(self._open.bucket_c, -(-first_whole // self._span.span))
        return _part(self._open, slice(first, len(self._open)))

    def reset(self, first: int, last: int) -> None:
        """Forgets what the open buckets numbered ``first <= b < last`` hold; they stay open."""
        self._settle()
        begin, end = np.searchsorted(self._open.bucket_c, (first, last))
        parts = [_part(self._open, slice(0, begin)), _part(self._open, slice(end, len(self._open)))]
        self._open = _joined(parts)

    def open_series(self) -> Iterator[I32]:
        """The series that have something in an open bucket."""
        self._settle()
        yield self._open.series_c

    def renumber(self, new_of: I32, n_series: int) -> None:
        """Goes on with other numbers of series, `n_series` in all; their order is the same."""
        self._settle()
        cells = _copied(self._open)
        self._open = ClosedCells(cells.bucket_c, new_of[cells.series_c], cells.record_c, cells.width)
        self._numbers, self._n_series = [], max(n_series, 1)


def require_cells(cells: ClosedCells, width: int) -> None:
    """Sees that restored cells are parallel arrays, bucket by bucket."""
    n = len(cells)
    fits = cells.width == width and len(cells.series_c) == n and len(cells.record_c) == n * width
    require(fits, f"its arrays are not those of {n} cells of {width} numbers")
    require(is_ascending(cells.bucket_c), "its cells are not bucket by bucket")


def empty_cells(size: int, width: int) -> ClosedCells:
    """Room for cells."""
    return ClosedCells(np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size * width), width)


def _part(cells: ClosedCells, rows: slice) -> ClosedCells:
    """Some of the cells; shares memory."""
    width = cells.width
    record_c = cells.record_c[rows.start * width : rows.stop * width]
    return ClosedCells(cells.bucket_c[rows], cells.series_c[rows], record_c, width)


def _copied(cells: ClosedCells) -> ClosedCells:
    return ClosedCells(cells.bucket_c.copy(), cells.series_c.copy(), cells.record_c.copy(), cells.width)


def _joined(parts: list[ClosedCells]) -> ClosedCells:
    """Cells one after the other, in memory of their own."""
    return ClosedCells(
        np.concatenate([part.bucket_c for part in parts]),
        np.concatenate([part.series_c for part in parts]),
        np.concatenate([part.record_c for part in parts]),
        parts[0].width,
    )
