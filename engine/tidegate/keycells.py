"""Cells of keys: sets and bins that rows are merged into, and what they come to.

Each kind of cell bounds what it keeps, and depends on the keys of a cell alone: neither on their
order nor on when they were merged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tidegate_kernels import deflate
from tidegate_kernels import distinct as set_kernels
from tidegate_kernels import information as text_kernels
from tidegate_kernels import keylog as kernels
from tidegate_kernels import quantiles as bin_kernels

from .cells import F64, I32, I64
from .kept import Keeper, is_ascending, require, require_within
from .keys import U8, U64
from .texts import TextStore


@dataclass(frozen=True, slots=True)
class KeyCells:
    """Cells in the order of bucket and series; cell c has ``keys[first_c[c]:first_c[c + 1]]``."""

    bucket_c: I64
    series_c: I32
    rows_c: I64
    """How many values came."""
    form_c: I64
    """What the keys are: a sketch's number plus one, or how many bits were dropped."""
    first_c: I64
    keys: U64
    counts: I64
    """How often the keys came; empty for sets."""

    def __len__(self) -> int:
        return len(self.bucket_c)

    @property
    def nbytes(self) -> int:
        """The memory of the cells."""
        return sum(column.nbytes for column in (*self.columns(), self.counts))

    def part(self, start: int, stop: int) -> KeyCells:
        """Cells [start, stop); shares memory."""
        first, last = int(self.first_c[start]), int(self.first_c[stop])
        cells = slice(start, stop)
        counts = self.counts[first:last] if len(self.counts) else self.counts
        return KeyCells(
            self.bucket_c[cells],
            self.series_c[cells],
            self.rows_c[cells],
            self.form_c[cells],
            self.first_c[start : stop + 1] - first,
            self.keys[first:last],
            counts,
        )

    def require_whole(self) -> None:
        """Sees that restored cells are parallel arrays, in order."""
        n = len(self)
        of_cells = self.series_c, self.rows_c, self.form_c, self.first_c[1:]
        require(all(len(column) == n for column in of_cells), f"its arrays are not those of {n} cells")
        in_order = self.first_c[0] == 0 and is_ascending(self.first_c)
        require(in_order and self.first_c[-1] == len(self.keys), "its cells do not share out the keys")
        require(len(self.counts) in (0, len(self.keys)), "its keys and counts are not as many")
        is_same, is_next = self.bucket_c[1:] == self.bucket_c[:-1], self.series_c[1:] > self.series_c[:-1]
        require(is_ascending(self.bucket_c) and (~is_same | is_next).all(), "its cells are not in order")

    def columns(self) -> tuple[I64, I32, I64, I64, I64, U64]:
        """The arrays as the kernels take them, but the counts."""
        return self.bucket_c, self.series_c, self.rows_c, self.form_c, self.first_c, self.keys

    @classmethod
    def empty(cls, cells: int = 0, keys: int = 0, counts: int = 0) -> KeyCells:
        """Room for so many cells, keys and counts."""
        return cls(
            np.empty(cells, np.int64),
            np.empty(cells, np.int32),
            np.empty(cells, np.int64),
            np.empty(cells, np.int64),
            np.zeros(cells + 1, np.int64),
            np.empty(keys, np.uint64),
            np.empty(counts, np.int64),
        )

    def filled(self, cells: int) -> KeyCells:
        """The first so many cells; not in the room for many more, so that this is freed."""
        made = self.part(0, cells)
        if 2 * len(made.keys) >= len(self.keys):
            return made
        of_cells = made.bucket_c, made.series_c, made.rows_c, made.form_c, made.first_c
        return KeyCells(*of_cells, made.keys.copy(), made.counts.copy())

    @classmethod
    def joined(cls, a: KeyCells, b: KeyCells) -> KeyCells:
        """Cells one after the other, in memory of their own."""
        first = np.concatenate([a.first_c[:-1], b.first_c + a.first_c[-1]])
        return cls(
            np.concatenate([a.bucket_c, b.bucket_c]),
            np.concatenate([a.series_c, b.series_c]),
            np.concatenate([a.rows_c, b.rows_c]),
            np.concatenate([a.form_c, b.form_c]),
            first,
            np.concatenate([a.keys, b.keys]),
            np.concatenate([a.counts, b.counts]),
        )


@dataclass(frozen=True, slots=True)
class KeyRows:
    """Rows sorted by cell; group g has the unsorted ``keys[first_g[g]:first_g[g + 1]]``."""

    bucket_g: I64
    series_g: I32
    first_g: I64
    keys: U64
    groups: int

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(cls, bucket: I64, series: I32, keys: U64) -> KeyRows:
        """Rows in any order, sorted."""
        n = len(keys)
        first, last = (int(bucket.min()), int(bucket.max())) if n else (0, 0)
        n_series = int(series.max(initial=0)) + 1
        digits = -(-((last - first + 1) * n_series - 1).bit_length() // kernels.DIGIT)
        cell_a, key_a, cell_b, key_b = (np.empty(n, np.uint64) for _ in range(4))
        made = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n + 1, np.int64)
        count = np.empty(1 << kernels.DIGIT, np.int64)
        room = count, cell_a, key_a, cell_b, key_b
        groups = kernels.sort_by_cell(bucket, series, keys, n, first, n_series, digits, *room, *made)
        return cls(*made, key_a, groups)

    def columns(self) -> tuple[I64, I32, I64, U64, int]:
        """The arrays as the kernels take them."""
        return self.bucket_g, self.series_g, self.first_g, self.keys, self.groups


class Summary(Keeper, ABC):
    """A kind of cell of keys."""

    is_number: bool
    """Whether the values are numbers rather than hashes."""

    @property
    def nbytes(self) -> int:
        """The memory of what is not in the cells."""
        return 0

    @abstractmethod
    def merged(self, cells: KeyCells, rows: KeyRows) -> KeyCells:
        """The cells with the rows; those given are not to be used any more."""

    @abstractmethod
    def records(self, cells: KeyCells) -> F64:
        """How many values every cell has, and what they come to, in turn."""

    @abstractmethod
    def forget(self, cells: KeyCells) -> None:
        """Takes note that cells are no longer needed."""

    @abstractmethod
    def require_cells(self, cells: KeyCells) -> None:
        """Sees that restored cells are of this kind."""


class DistinctCount(Summary):
    """How many distinct hashes: exact up to a limit, an estimate beyond."""

    is_number = False
    KEPT: ClassVar = {"_registers": U8, "_free": I64}

    def __init__(self, exact: int = set_kernels.EXACT) -> None:
        self._exact = exact
        self._registers: U8 = np.empty(0, np.uint8)
        # The numbers of the sketches that are not in use are free[1] to free[free[0]].
        self._free: I64 = np.zeros(1, np.int64)

    @property
    def nbytes(self) -> int:
        """The memory of the sketches, room for more included."""
        return self._registers.nbytes + self._free.nbytes

    def merged(self, cells: KeyCells, rows: KeyRows) -> KeyCells:
        """The cells with the rows; those given are not to be used any more."""
        self._make_room((len(cells.keys) + len(rows)) // (self._exact + 1))
        return _merged_sets(cells, rows, self._exact, self._registers, self._free)

    def _make_room(self, sketches: int) -> None:
        """Makes sure of so many sketches more."""
        free, present = int(self._free[0]), len(self._registers) // set_kernels.REGISTERS
        if sketches <= free:
            return
        size = max(present + sketches - free, 2 * present)
        registers = np.zeros(size * set_kernels.REGISTERS, np.uint8)
        registers[: len(self._registers)] = self._registers
        added = np.arange(size - 1, present - 1, -1)
        self._registers = registers
        available = np.concatenate([self._free[1 : free + 1], added])
        self._free = np.zeros(size + 1, np.int64)
        self._free[0], self._free[1 : len(available) + 1] = len(available), available

    def records(self, cells: KeyCells) -> F64:
        """How many values every cell has, and how many of them are distinct, in turn."""
        made = np.empty(2 * len(cells))
        came = np.empty(set_kernels.LARGEST + 1, np.int64)
        set_kernels.count_distinct(cells.rows_c, cells.form_c, cells.first_c, self._registers, came, made)
        return made

    def forget(self, cells: KeyCells) -> None:
        """Makes the sketches of cells free for others."""
        sketches = cells.form_c[cells.form_c > 0] - 1
        if len(sketches):
            free = int(self._free[0])
            self._free[free + 1 : free + 1 + len(sketches)] = sketches
            self._free[0] = free + len(sketches)

    def require_cells(self, cells: KeyCells) -> None:
        """Sees that every sketch there is belongs to one cell, or is free."""
        sketches, free = len(self._registers) // set_kernels.REGISTERS, int(self._free[0])
        require(len(self._registers) == sketches * set_kernels.REGISTERS, "a sketch is not whole")
        require(0 <= free < len(self._free) == sketches + 1, f"there are no {free} sketches to be free")
        taken = cells.form_c[cells.form_c != 0] - 1
        numbers = np.sort(np.concatenate([taken, self._free[1 : free + 1]]))
        require(np.array_equal(numbers, np.arange(sketches)), "not every sketch is one cell's, or free")
        large = int((self._registers >> 2).max(initial=0))
        require(large <= set_kernels.LARGEST, f"{large} is no value of a register")
        require(not len(cells.counts), "sets have no counts")


class Quantile(Summary):
    """A quantile of the numbers of a cell: exact up to a limit of distinct ones, of bins beyond."""

    is_number = True

    def __init__(self, q: float = 0.5, bins: int = bin_kernels.BINS) -> None:
        self._q = q
        self._bins = bins

    def merged(self, cells: KeyCells, rows: KeyRows) -> KeyCells:
        """The cells with the rows."""
        most = len(cells.keys) + len(rows)
        room = KeyCells.empty(len(cells) + rows.groups, most, most)
        spare, count = np.empty(len(rows), np.uint64), np.empty(bin_kernels.RADIX_SIZE, np.int64)
        made = bin_kernels.merge_bins(
            *cells.columns(),
            cells.counts,
            *rows.columns(),
            self._bins,
            spare,
            count,
            *room.columns(),
            room.counts,
        )
        return room.filled(made)

    def records(self, cells: KeyCells) -> F64:
        """How many values every cell has, and their quantile, in turn."""
        made = np.empty(2 * len(cells))
        parts = cells.rows_c, cells.form_c, cells.first_c, cells.keys, cells.counts
        bin_kernels.take_quantiles(*parts, self._q, made)
        return made

    def forget(self, cells: KeyCells) -> None:
        """Nothing to do: bins are in the cells."""

    def require_cells(self, cells: KeyCells) -> None:
        """Sees that cells have bins."""
        require_within(cells.form_c, 64, "the level of a cell")
        require(len(cells.counts) == len(cells.keys), "bins have counts")


class Information(Summary):
    """The compressed size of the distinct texts of a cell, of a part of them beyond a limit."""

    is_number = False

    def __init__(self, texts: TextStore, most_bytes: int = text_kernels.KEPT_BYTES) -> None:
        self._texts = texts
        self._most = most_bytes

    def merged(self, cells: KeyCells, rows: KeyRows) -> KeyCells:
        """The cells with the rows."""
        merged = _merged_sets(cells, rows, len(cells.keys) + len(rows), _NO_REGISTERS, np.zeros(1, np.int64))
        table = self._texts.table
        sizes = np.empty(65, np.int64)
        made = merged.form_c, merged.first_c, merged.keys, sizes
        text_kernels.thin_sets(len(merged), self._most, table.slots, table.hash_of, table.starts, *made)
        return merged.filled(len(merged))

    def records(self, cells: KeyCells) -> F64:
        """How many values every cell has, and the compressed size of the distinct ones, in turn."""
        made = np.empty(2 * len(cells))
        table = self._texts.table
        most = int(np.diff(cells.first_c).max(initial=0))
        size = min(self._most, most * text_kernels.LONGEST_TEXT) + 16
        text_kernels.measure_information(
            cells.rows_c,
            cells.form_c,
            cells.first_c,
            cells.keys,
            table.slots,
            table.hash_of,
            table.starts,
            table.arena,
            *(np.empty(most, kind) for kind in (np.int64, np.uint64, np.int64, np.uint64)),
            np.zeros(size, np.uint8),
            *(
                np.empty(n, np.int64)
                for n in (deflate.HEADS, deflate.WINDOW, deflate.COUNTS, deflate.WEIGHTS)
            ),
            made,
        )
        return made

    def forget(self, cells: KeyCells) -> None:
        """Nothing to do: the texts leave their store when no cell has them."""

    def require_cells(self, cells: KeyCells) -> None:
        """Sees that cells have sets of hashes."""
        require_within(cells.form_c, 65, "the level of a cell")
        require(not len(cells.counts), "sets have no counts")


_NO_REGISTERS: U8 = np.empty(0, np.uint8)


def _merged_sets(cells: KeyCells, rows: KeyRows, limit: int, registers: U8, free: I64) -> KeyCells:
    """Sets of keys with the keys of rows."""
    most = len(cells.keys) + len(rows)
    room = KeyCells.empty(len(cells) + rows.groups, most)
    table = np.empty(max(16, 1 << (2 * min(most, limit + 1)).bit_length()), np.uint64)
    kept = registers, free, table
    made = set_kernels.merge_sets(*cells.columns(), *rows.columns(), limit, *kept, *room.columns())
    return room.filled(made)
