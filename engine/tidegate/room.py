"""Who is let in: new series of a lane, in the order of the rows, until its room is used up.

A series is charged what it may come to take at most: states with their profiles, cells of open buckets,
tables and its strings. The first row whose series does not fit shuts the lane to all new ones, until
there is room again. So who is let in depends on the rows and their order, not on how they were posted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .cells import I32, I64
from .kept import Keeper
from .keys import STRING_BYTES, Interner, Keys, MemberSpace, Sizes

UNLIMITED = sys.maxsize
_MOST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Price:
    """What one more series, and one more attribute of a population, may take at most; bytes."""

    series: int
    attribute: int


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a lane had come, to go back to."""

    sizes: Sizes
    spent: int
    is_shut: bool
    refused: int
    buckets: frozenset[int]


class Room(Keeper):
    """The room of one lane for series."""

    KEPT: ClassVar = {"spent": int, "is_shut": bool, "_refused": list[int]}

    def __init__(self, keys: Keys, names: Mapping[str, Interner], span_ms: int) -> None:
        self._keys = keys
        self._span_ms = span_ms
        self._names = names
        self.price = Price(0, 0)
        self.spent = 0
        """What the series there are were charged."""
        self.most = UNLIMITED
        """What all series may be charged."""
        self.is_shut = False
        """Whether a series was refused, after which none is let in."""
        self.refused_buckets: frozenset[int] = frozenset()
        """Buckets, not final yet, in which records were refused."""

    @property
    def _refused(self) -> list[int]:
        return sorted(self.refused_buckets)

    @_refused.setter
    def _refused(self, buckets: list[int]) -> None:
        self.refused_buckets = frozenset(buckets)

    def mark(self) -> Mark:
        """How far it has come."""
        return Mark(self._keys.sizes, self.spent, self.is_shut, self._keys.refused, self.refused_buckets)

    def go_back(self, mark: Mark) -> None:
        """Forgets all series since then."""
        self._keys.cut(mark.sizes)
        self.spent, self.is_shut = mark.spent, mark.is_shut
        self._keys.refused, self.refused_buckets = mark.refused, mark.buckets

    def charge_again(self) -> None:
        """Charges the series there are, after some left or prices changed."""
        n, attributes = self._keys.sizes
        fields = (self._keys.by, self._keys.over, self._keys.partition)
        self.spent = 0
        if any(field is not None for field in fields):
            self.spent += int(self._series_costs(0, n).sum()) + int(
                self._attribute_costs(0, attributes).sum()
            )

    def lookup(self, codes: Mapping[str, I32]) -> I32:
        """The series of every row, negative for none; none comes to be, none counts as refused."""
        refused = self._keys.refused
        series = self._keys.series(codes, 0)
        self._keys.refused = refused
        return series

    def series(self, codes: Mapping[str, I32], time: I64) -> I32:
        """The series of rows of these times, -1 for none, -2 for a refused one; empty if there is but one."""
        before, refused = self._keys.sizes, self._keys.refused
        left = 0 if self.is_shut else max(self.most - self.spent, 0)
        limit = min(before[0] + left // max(self.price.series, 1), _MOST)
        attribute_limit = min(before[1] + left // max(self.price.attribute, 1), _MOST)
        if isinstance(self._keys, MemberSpace):
            series, attribute = self._keys.numbers(codes, limit, attribute_limit)
        else:
            series, attribute = self._keys.series(codes, limit), np.empty(0, np.int32)
        is_full = self._keys.sizes[0] >= limit or (
            len(attribute) > 0 and self._keys.sizes[1] >= attribute_limit
        )
        if not self.is_shut and (is_full or self._keys.sizes != before):
            self._admit(before, left, series, attribute)
        if self.is_shut:
            out = np.flatnonzero(series == -2)
            self._keys.refused = refused + len(out)
            self.refused_buckets |= frozenset(np.unique(time[out] // self._span_ms).tolist())
        return series

    def _admit(self, before: Sizes, left: int, series: I32, attribute: I32) -> None:
        """Charges what is new, and takes back what came with or after the first row that has no room."""
        now = self._keys.sizes
        at = [_first_rows(series, before[0], now[0]), _first_rows(attribute, before[1], now[1])]
        costs = [self._series_costs(before[0], now[0]), self._attribute_costs(before[1], now[1])]
        rows, cost = np.concatenate(at), np.concatenate(costs)
        order = np.argsort(rows, kind="stable")
        over = rows[order][np.cumsum(cost[order]) > left]
        refused = [np.flatnonzero(numbers == -2)[:1] for numbers in (series, attribute)]
        first = np.concatenate([over[:1], *refused])
        if not len(first):
            self.spent += int(cost.sum())
            return
        self.is_shut = True
        self.spent += int(cost[rows < first.min()].sum())
        kept = [before[k] + int(np.count_nonzero(at[k] < first.min())) for k in range(2)]
        self._keys.cut((kept[0], kept[1]))
        series[series >= kept[0]] = -2

    def _series_costs(self, first: int, stop: int) -> I64:
        """What some series cost; members of populations with their over value, the others with all."""
        series = np.arange(first, stop)
        costs = np.full(len(series), self.price.series)
        roles = ("over",) if isinstance(self._keys, MemberSpace) else ("by", "partition")
        return costs + self._text_bytes(self._keys, roles, series)

    def _attribute_costs(self, first: int, stop: int) -> I64:
        """What some attributes cost."""
        attributes = np.arange(first, stop)
        costs = np.full(len(attributes), self.price.attribute)
        if not isinstance(self._keys, MemberSpace):
            return costs
        return costs + self._text_bytes(self._keys.attributes, ("by", "partition"), attributes)

    def _text_bytes(self, keys: Keys, roles: tuple[str, ...], series: I64) -> I64:
        size = np.zeros(len(series), np.int64)
        for role in roles:
            field = getattr(keys, role)
            if field is not None and len(series):
                codes = getattr(keys, f"{role}_codes")(series)
                size += self._names[field].lengths[codes] + STRING_BYTES
        return size


def _first_rows(number: I32, before: int, now: int) -> npt.NDArray[np.int64]:
    """The rows in which the numbers from `before` to `now`, given out in the order of rows, first come."""
    if now == before:
        return np.empty(0, np.int64)
    highest = np.maximum.accumulate(np.maximum(number, before - 1))
    return np.flatnonzero(np.diff(highest, prepend=before - 1) > 0)
