"""What the rows of every value of an influencer field come to, series by series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import influence as kernels
from tidegate_kernels.fold import COUNT, DEVIATION, MAX, MIN, ORIGIN, RECORD_SIZE, SQUARES

from .cells import F64, I32, I64
from .kept import INSIDE, Keeper, require, require_within
from .keys import PairTable
from .rows import WEIGHT, Source

T = TypeVar("T", bound=np.generic)
_MOST_PAIRS = (1 << 31) - 1
FEW_PAIRS = 1 << 6


class ValueStatistics(Keeper):
    """Records, moments and distinct values of every pair of a value and a slot: a series or a result.

    Rows that stand for many records, by a column `rows.WEIGHT`, count as often; what is summed or
    distinct of them counts once. Everything is folded in the order of the rows, pair by pair: in one
    go or piece by piece, it is the same to the last bit. A missing value, code 0, makes pairs like any
    other.
    """

    KEPT: ClassVar = {"_pairs": INSIDE, "_rows": F64, "_record": dict[Source, F64], "_distinct": INSIDE}

    def __init__(self, numbers: Iterable[Source], distinct: Iterable[Source], room: int = FEW_PAIRS) -> None:
        self._pairs = PairTable(room)
        self._rows: F64 = np.zeros(0)
        self._record: dict[Source, F64] = {source: np.zeros(0) for source in numbers}
        self._distinct = {source: PairTable() for source in distinct}
        """Pairs of a distinct value's code and a number of `_pairs`."""
        self._numbers = tuple(self._record)
        self._by_slot: tuple[I64, I32] | None = None

    def _resume(self) -> None:
        room = len(self._rows)
        require(len(self) <= room, f"there is no room for {len(self)} pairs")
        require(tuple(self._record) == self._numbers, "there are records of other fields than the job has")
        for record in self._record.values():
            require(len(record) == room * RECORD_SIZE, "records and pairs are not as many")
        for table in self._distinct.values():
            require_within(table.right[: len(table)], len(self), "a pair")

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
    def rows_p(self) -> F64:
        """The number of records of every pair."""
        return self._rows[: len(self)]

    @property
    def by_slot(self) -> tuple[I64, I32]:
        """The pairs of a value that is not missing, slot by slot, and the slot of each of them."""
        if self._by_slot is None:
            known = np.flatnonzero(self.value_p)
            slot = self.slot_p[known]
            # Numbers of two bytes are sorted in linear time.
            keys = slot.astype(np.int16) if len(slot) and slot.max() < 1 << 15 else slot
            order = np.argsort(keys, kind="stable")
            self._by_slot = known[order], slot[order]
        return self._by_slot

    def record_p(self, source: Source) -> F64:
        """The record (`fold`) of every pair: an array of a row for each."""
        return self._record[source][: RECORD_SIZE * len(self)].reshape(-1, RECORD_SIZE)

    def distinct_p(self, source: Source) -> I64:
        """How many distinct values of a field every pair has."""
        table = self._distinct[source]
        return np.bincount(table.right[: len(table)], minlength=len(self))

    def exclusive_p(self, source: Source) -> I64:
        """How many distinct values of a field every pair has that no other of its slot has."""
        table = self._distinct[source]
        code, pair = table.left[: len(table)].astype(np.int64), table.right[: len(table)]
        slot = self.slot_p[pair]
        both = slot * (int(code.max(initial=0)) + 1) + code
        _, of_slot, pairs = np.unique(both, return_inverse=True, return_counts=True)
        return np.bincount(pair[pairs[of_slot] == 1], minlength=len(self))

    @property
    def nbytes(self) -> int:
        """The memory of all of it, room for more included."""
        tables = (self._pairs, *self._distinct.values())
        arrays = (self._rows, *self._record.values())
        return sum(table.nbytes for table in tables) + sum(array.nbytes for array in arrays)

    def add(self, value_h: I32, slot_h: I32, columns: Mapping[Source, npt.NDArray[Any]]) -> I32:
        """Adds rows; returns the number of the pair of each, negative for none."""
        pair_h = self._pairs.numbers(value_h, slot_h, _MOST_PAIRS, False)
        self._make_room()
        self._by_slot = None
        weight_h = columns.get(WEIGHT)
        if weight_h is None:
            self._rows[: len(self)] += np.bincount(pair_h[pair_h >= 0], minlength=len(self))
        else:
            # One by one: sums above 2^53 depend on the order of their parts.
            known = pair_h >= 0
            np.add.at(self._rows, pair_h[known], weight_h[known])
        for source, record in self._record.items():
            if weight_h is None or source[0] == "sum":
                kernels.fold_pairs(pair_h, columns[source], record)
            else:
                fold_weighted(pair_h, columns[source], weight_h, record)
        for source, table in self._distinct.items():
            table.numbers(as_codes(columns[source]), pair_h, _MOST_PAIRS, True)
        return pair_h

    def carry_over(self, other: ValueStatistics, slot_of: I32) -> None:
        """Begins with the statistics of another, its slot s becoming ``slot_of[s]``; negative: left out."""
        slot = slot_of[other.slot_p]
        chosen = np.flatnonzero(slot >= 0)
        pair = self._pairs.numbers(other.value_p[chosen], slot[chosen], _MOST_PAIRS, False)
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

    def move_values(self, new_of: I32) -> None:
        """Goes on with new codes of the values."""
        self._pairs = PairTable.of(new_of[self.value_p], self.slot_p)
        self._by_slot = None

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


def fold_weighted(pair_h: I32, value_h: F64, weight_h: F64, record_p: F64) -> None:
    """Adds every value to the record of its pair so many times, as `weigh.fold_weighted` does.

    Rows of no pair (negative) and with a value that is not finite are left out. One by one, in the order of
    the rows: the same to the last bit however they are cut.
    """
    chosen = np.flatnonzero((pair_h >= 0) & np.isfinite(value_h))
    pair, value, weight = pair_h[chosen], value_h[chosen], weight_h[chosen]
    count, deviation, squares, least, most, origin = (
        record_p[k::RECORD_SIZE] for k in (COUNT, DEVIATION, SQUARES, MIN, MAX, ORIGIN)
    )
    new = np.flatnonzero(count[pair] == 0.0)[::-1]
    origin[pair[new]] = value[new]  # the last that is assigned, the first that came, stays
    with np.errstate(over="ignore", invalid="ignore"):
        away = value - origin[pair]
        weighted = weight * away
        np.add.at(count, pair, weight)
        np.add.at(deviation, pair, weighted)
        np.add.at(squares, pair, weighted * away)
    np.minimum.at(least, pair, value)
    np.maximum.at(most, pair, value)


def as_codes(column: npt.NDArray[Any]) -> I32:
    """Codes of hashes of distinct values, 0 is none: 31 bits of each.

    Two of n values share one with a probability of n^2 / 2^32, and then count as one.
    """
    return np.where(column > 0, np.maximum(column >> np.uint64(33), np.uint64(1)), column).astype(np.int32)


def _longer(array: npt.NDArray[T], size: int) -> npt.NDArray[T]:
    longer = np.zeros(size, array.dtype)
    longer[: len(array)] = array
    return longer
