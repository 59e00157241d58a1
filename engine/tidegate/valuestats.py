"""What the rows of every value of an influencer field come to, series by series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import influence as kernels
from tidegate_kernels.fold import MAX, MIN, RECORD_SIZE

from .cells import F64, I32, I64
from .keys import PairTable
from .rows import Source

T = TypeVar("T", bound=np.generic)
_MOST_PAIRS = (1 << 31) - 1


class ValueStatistics:
    """Rows, moments and distinct values of every pair of a value and a slot, which is a series or a result.

    Everything is folded in the order of the rows, pair by pair: in one go or piece by piece, it is
    the same to the last bit. Code 0, a missing value, makes no pair.
    """

    def __init__(self, numbers: Iterable[Source], distinct: Iterable[Source]) -> None:
        self._pairs = PairTable()
        self._rows: I64 = np.zeros(0, np.int64)
        self._record: dict[Source, F64] = {source: np.zeros(0) for source in numbers}
        self._distinct = {source: PairTable() for source in distinct}
        """Pairs of a distinct value's code and a number of `_pairs`."""

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def value_p(self) -> I32:
        """The code of the value of every pair, in the order of first appearance."""
        return self._pairs.left[: len(self)]

    @property
    def slot_p(self) -> I32:
        """The slot of every pair."""
        return self._pairs.right[: len(self)]

    @property
    def rows_p(self) -> I64:
        """The number of rows of every pair."""
        return self._rows[: len(self)]

    def record_p(self, source: Source) -> F64:
        """The record (`fold`) of every pair: an array of a row for each."""
        return self._record[source][: RECORD_SIZE * len(self)].reshape(-1, RECORD_SIZE)

    def distinct_p(self, source: Source) -> I64:
        """How many distinct values of a field every pair has."""
        table = self._distinct[source]
        return np.bincount(table.right[: len(table)], minlength=len(self))

    @property
    def nbytes(self) -> int:
        """The memory of all of it, room for more included."""
        tables = (self._pairs, *self._distinct.values())
        arrays = (self._rows, *self._record.values())
        return sum(table.nbytes for table in tables) + sum(array.nbytes for array in arrays)

    def add(self, value_h: I32, slot_h: I32, columns: Mapping[Source, npt.NDArray[Any]]) -> I32:
        """Adds rows; returns the number of the pair of each, negative for none."""
        pair_h = self._pairs.numbers(value_h, slot_h, _MOST_PAIRS, True)
        self._make_room()
        self._rows[: len(self)] += np.bincount(pair_h[pair_h >= 0], minlength=len(self))
        for source, record in self._record.items():
            kernels.fold_pairs(pair_h, columns[source], record)
        for source, table in self._distinct.items():
            table.numbers(as_codes(columns[source]), pair_h, _MOST_PAIRS, True)
        return pair_h

    def carry_over(self, other: ValueStatistics, slot_of: I32) -> None:
        """Begins with the statistics of another, its slot s becoming ``slot_of[s]``; negative: left out."""
        slot = slot_of[other.slot_p]
        chosen = np.flatnonzero(slot >= 0)
        pair = self._pairs.numbers(other.value_p[chosen], slot[chosen], _MOST_PAIRS, True)
        self._make_room()
        self._rows[pair] = other.rows_p[chosen]
        pair_of = np.full(len(other), -1, np.int32)
        pair_of[chosen] = pair
        for source in self._record:
            self.record_p(source)[pair] = other.record_p(source)[chosen]
        for source, table in self._distinct.items():
            known = other._distinct[source]
            n = len(known)
            table.numbers(known.left[:n], pair_of[known.right[:n]], _MOST_PAIRS, True)

    def _make_room(self) -> None:
        """Makes sure that every pair has its statistics, empty ones if it is new."""
        used, needed = len(self._rows), len(self)
        if needed <= used:
            return
        size = max(needed, 2 * used)
        self._rows = _longer(self._rows, size)
        for source, record in self._record.items():
            longer = _longer(record, size * RECORD_SIZE)
            longer[used * RECORD_SIZE + MIN :: RECORD_SIZE] = np.inf
            longer[used * RECORD_SIZE + MAX :: RECORD_SIZE] = -np.inf
            self._record[source] = longer


def as_codes(column: npt.NDArray[Any]) -> I32:
    """Codes of distinct values, which come with NaN for none; 0 is none here."""
    if column.dtype == np.int32:
        return column
    return np.where(column > 0, column, 0).astype(np.int32)


def _longer(array: npt.NDArray[T], size: int) -> npt.NDArray[T]:
    longer = np.zeros(size, array.dtype)
    longer[: len(array)] = array
    return longer
