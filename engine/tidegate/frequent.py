"""By and over values that occur all the time, and are left out for it: ``exclude_frequent``.

How often a value occurs is counted in buckets, within its partition: with k the buckets in which it had a
cell, the one at hand included, and n those that have passed since the first cell of the partition, it is
frequent while ``k > SHARE n`` and ``k >= LEAST``. So nothing is frequent in the first two buckets that it is
seen in, and what comes in every bucket is from the third on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .analysis import LaneCells
from .cells import I32, I64, ClosedCells
from .config import Detector
from .kept import INSIDE, Keeper, require
from .keys import Keys, PairTable
from .model import Run

SHARE = 0.1
LEAST = 3
_NO_LIMIT = 1 << 31


class Frequency(Keeper):
    """In how many buckets every value of one key field, within its partition, had a cell."""

    KEPT: ClassVar = {"_units": INSIDE, "_seen_u": I64, "_since": I64}

    def __init__(self, keys: Keys, role: str) -> None:
        self._keys = keys
        self._role = role
        self._units = PairTable()
        """A unit is a value within a partition."""
        self._seen_u: I64 = np.zeros(0, np.int64)
        self._since: I64 = np.zeros(0, np.int64)
        """Clock of the first cell of each partition, by its code; -1 for none yet."""
        self._now: I64 = self._since
        """The same with the run at hand."""
        self._run = (0, 1, 0)
        """Of the run at hand: first bucket, number of buckets, clock offset."""
        self._pairs: I64 = np.zeros(0, np.int64)
        """Its cells: unit times number of buckets plus bucket, each once, in order."""

    def _resume(self) -> None:
        require(len(self._seen_u) == len(self._units), "there are not as many counts as values")
        self._now = self._since

    def see(self, cells: ClosedCells, run: Run) -> None:
        """Takes the cells of a run, until `learn` only for this run."""
        first, size = run.calendar.bucket_from, len(run.calendar)
        inside = cells.within(first, first + size)
        self._run = first, max(size, 1), run.clock_offset
        self._begin(inside.bucket_c - run.clock_offset, inside.series_c)
        units = self._units_of(inside.series_c)
        self._pairs = np.unique(units * self._run[1] + (inside.bucket_c - first))

    def learn(self) -> None:
        """Adds the run at hand to what was seen."""
        self._seen_u += np.bincount(self._pairs // self._run[1], minlength=len(self._seen_u))
        self._since, self._pairs = self._now, self._pairs[:0]

    def is_frequent(self, bucket: I64, series: I32 | I64) -> npt.NDArray[np.bool_]:
        """Whether the values of some series are frequent, each in a bucket of the run at hand."""
        first, size, offset = self._run
        begin = self._units_of(series) * size
        upto = np.searchsorted(self._pairs, begin + (bucket - first), "right")
        seen = self._seen_u[begin // size] + upto - np.searchsorted(self._pairs, begin)
        partition = self._partitions(series)
        since = np.append(self._now, -1)[np.minimum(partition, len(self._now))]
        passed = bucket - offset - since + 1
        found: npt.NDArray[np.bool_] = (since >= 0) & (seen >= LEAST) & (seen > SHARE * passed)
        return found

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return self._units.nbytes + self._seen_u.nbytes + self._since.nbytes

    def keep(self, series: I64) -> None:
        """Forgets the values that none of these series has, before their numbers move."""
        units = np.unique(self._units_of(series))
        left, right = self._units.left[units], self._units.right[units]
        self._units, self._seen_u = PairTable.of(left, right), self._seen_u[units]
        since, partitions = np.full_like(self._since, -1), self._partitions(series)
        partitions = partitions[partitions < len(since)]
        since[partitions] = self._since[partitions]
        self._since = self._now = since

    def codes(self, field: str) -> Iterator[npt.NDArray[np.integer]]:
        """The codes of a field that it knows."""
        if field == self._keys.partition:
            yield np.flatnonzero(self._since >= 0)
            yield self._units.right[: len(self._units)]
        if field == getattr(self._keys, self._role):
            yield self._units.left[: len(self._units)]

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        n = len(self._units)
        left, right = self._units.left[:n], self._units.right[:n]
        role, partition = getattr(self._keys, self._role), self._keys.partition
        if role in new_of:
            left = new_of[role][left]
        if partition is not None and partition in new_of:
            right = new_of[partition][right]
            known = np.flatnonzero(self._since >= 0)
            since = np.full(int(new_of[partition].max()) + 1, -1)
            since[new_of[partition][known]] = self._since[known]
            self._since = self._now = since
        self._units = PairTable.of(left, right)

    def _units_of(self, series: I32 | I64) -> I64:
        """The units of some series, new ones too."""
        values = getattr(self._keys, f"{self._role}_codes")(series)
        units = self._units.numbers(values, self._partitions(series), _NO_LIMIT, False).astype(np.int64)
        missing = len(self._units) - len(self._seen_u)
        self._seen_u = np.append(self._seen_u, np.zeros(missing, np.int64))
        return units

    def _partitions(self, series: I32 | I64) -> I32:
        if self._keys.partition is None:
            return np.zeros(len(series), np.int32)
        return self._keys.partition_codes(series)

    def _begin(self, clock: I64, series: I32) -> None:
        """Notes when partitions had their first cell; cells come in the order of time."""
        partition = self._partitions(series)
        missing = int(partition.max(initial=-1)) + 1 - len(self._since)
        self._now = np.append(self._since, np.full(max(missing, 0), -1))
        new, at = np.unique(partition, return_index=True)
        is_new = self._now[new] < 0
        self._now[new[is_new]] = clock[at[is_new]]


class Exclusion(Keeper):
    """What ``exclude_frequent`` of a detector leaves out."""

    KEPT: ClassVar = {"_of_role": INSIDE}

    def __init__(self, detector: Detector, keys: Keys) -> None:
        wanted = {"all": ("by", "over"), "none": ()}.get(
            detector.exclude_frequent, (detector.exclude_frequent,)
        )
        self._of_role = [Frequency(keys, role) for role in wanted if getattr(keys, role) is not None]

    def __bool__(self) -> bool:
        return bool(self._of_role)

    def see(self, cells: ClosedCells, run: Run) -> None:
        """Takes the cells of a run, until `learn` only for this run."""
        for frequency in self._of_role:
            frequency.see(cells, run)

    def learn(self) -> None:
        """Adds the run at hand to what was seen."""
        for frequency in self._of_role:
            frequency.learn()

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return sum(frequency.nbytes for frequency in self._of_role)

    def keep(self, series: I64) -> None:
        """Forgets the values that none of these series has, before their numbers move."""
        for frequency in self._of_role:
            frequency.keep(series)

    def codes(self, field: str) -> Iterator[npt.NDArray[np.integer]]:
        """The codes of a field that it knows."""
        for frequency in self._of_role:
            yield from frequency.codes(field)

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        for frequency in self._of_role:
            frequency.move_codes(new_of)

    def is_excluded(self, bucket: I64, series: I32 | I64) -> npt.NDArray[np.bool_]:
        """Whether some series are left out, each in a bucket of the run at hand."""
        found = np.zeros(len(bucket), bool)
        for frequency in self._of_role:
            found |= frequency.is_frequent(bucket, series)
        return found

    def without(self, cells: LaneCells, run: Run) -> LaneCells:
        """The cells of a run that are not left out."""
        first, last = run.calendar.bucket_from, run.calendar.bucket_to
        inside = cells.within(first, last)
        return inside.where(lambda closed: ~self.is_excluded(closed.bucket_c, closed.series_c))
