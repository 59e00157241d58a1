"""Stock-taking: what the models take, who is pruned for want of memory, and how much may come until the next.

Far from the limit nothing is done: as long as no lane has series that may come to take more than its part
of half the limit, all are let in. Beyond that stock is taken whenever a bucket ends at a full hour (of spans
of more than an hour: every bucket) of data time, just before the first row that makes it final: what the
models take then, and all that follows, depends on the rows alone, not on how they were posted.

With U what the models take, P what they take more if all series turn out to be seasonal, and R what the rows
of an open bucket take, all of them of the limit L::

    U > 3/5 L       the series silent for longest are pruned, at most once per hour: the window, at first
                    that of `model_prune_window`, shrinks by 1% each time, to a 16th, and grows back as slowly
    profiles        may take half of what U and R leave; blocks in the order of their numbers
    new series      49/50 L - U - R - q P in all, every lane its part; none below 1/100 L. q falls from
                    0.7 to 0.1 in the first 12 days: by then series have shown whether they are seasonal
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from .categorize import Categorizer, memory_share
from .cells import I64
from .config import JobConfig
from .kept import Keeper, require
from .keys import STRING_BYTES, Interner
from .lanes import Lane, LaneKey
from .passes import Span
from .rowlog import RowLog
from .sizes import SOFT, Memory, ModelSizeStats, size_stats
from .timeline import DAY_MS

HOUR_MS = 3_600_000
_NEW = 0.98  # share of the limit that new series may fill
_CALM = 0.49  # and that they fill, at most, while nothing is done
_LEAST = 0.01  # share below which none is let in
_SHRINK = 0.99  # of the window
_LEAST_WINDOW = 1.0 / 16.0
_PROMISED_MS = 14 * DAY_MS
_MOST_PROMISED, _LEAST_PROMISED = 0.7, 0.1


class Stock(Keeper):
    """The memory of the models of a job, and its limit."""

    KEPT: ClassVar = {
        "_most": dict[LaneKey, int],
        "_pruned_at": int | None,
        "_window": float,
        "_rows_of_day": tuple[int, int, int],
        "_failures": int,
        "_peak": int,
    }

    def __init__(
        self,
        lanes: Mapping[LaneKey, Lane],
        names: Mapping[str, Interner],
        log: RowLog,
        span: Span,
        config: JobConfig,
    ) -> None:
        self._lanes = lanes
        self._names = names
        self._log = log
        self._span = span
        self.period_ms = -(-HOUR_MS // span.span) * span.span
        """From one stock-taking to the next."""
        self._most: dict[LaneKey, int] = {}
        """What the series of every lane may be charged until the next stock-taking."""
        self._pruned_at: int | None = None
        self._window = 1.0
        """Share of the prune window after which series are pruned for want of memory."""
        self._rows_of_day: tuple[int, int, int] = (0, 0, 0)
        """A day, and the most rows in a bucket of it and of the day before."""
        self._failures = 0
        """Final buckets in which records were refused."""
        self._peak = 0
        self.update(config)

    def _resume(self) -> None:
        require(self._most.keys() == self._lanes.keys(), "it has not said what every lane may take")
        require(_LEAST_WINDOW <= self._window <= 1.0, "no such share of the prune window")

    def update(self, config: JobConfig) -> None:
        """Goes on with another limit and another prune window."""
        self._whole = config.analysis_limits.model_memory_limit_bytes
        self._limit = max(self._whole - memory_share(config), 1)
        self._prune_buckets = max(config.analysis_config.model_prune_window_ms // self._span.span, 1)
        for lane in self._lanes.values():
            lane.room.price = lane.price
            lane.room.charge_again()
        self._open_wide()

    @property
    def is_idle(self) -> bool:
        """Whether there is no need to take stock."""
        return self._is_calm and not self._is_full

    @property
    def _is_calm(self) -> bool:
        """Whether no lane may come to take more than its part of half the limit."""
        return all(lane.room.spent <= self._calm for lane in self._lanes.values())

    @property
    def _calm(self) -> int:
        return int(_CALM * self._limit) // self._parts

    @property
    def _parts(self) -> int:
        """How many lanes may have more than one series."""
        return max(sum(len(lane.fields) > 0 for lane in self._lanes.values()), 1)

    @property
    def _is_full(self) -> bool:
        """Whether series are refused."""
        return any(lane.room.is_shut for lane in self._lanes.values())

    def _open_wide(self) -> None:
        """Lets in what may come to take the limit; nobody is kept from becoming seasonal."""
        for key, lane in self._lanes.items():
            self._most[key], lane.room.is_shut = int(_NEW * self._limit) // self._parts, False
            lane.limit_growth(lane.promised)

    def loosen(self) -> None:
        """Lets in only as many series as need no stock-taking."""
        for lane in self._lanes.values():
            lane.room.most = self._calm

    def tighten(self) -> None:
        """Lets in as many series as the last stock-taking said."""
        for key, lane in self._lanes.items():
            lane.room.most = self._most[key]

    def next_after(self, end_ms: int) -> int:
        """The first time after this one at which stock may be taken."""
        return (end_ms // self.period_ms + 1) * self.period_ms

    def see(self, first_bucket: int, rows_b: I64) -> None:
        """Takes note of how many rows final buckets had, from the first one on."""
        if not len(rows_b):
            return
        days = (first_bucket + np.array([0, len(rows_b) - 1])) * self._span.span // DAY_MS
        last = int(days[1])
        start = max(-(-(last * DAY_MS) // self._span.span) - first_bucket, 0)
        begin = max(-(-((last - 1) * DAY_MS) // self._span.span) - first_bucket, 0)
        day, most, before = self._rows_of_day
        before = most if day == last - 1 else before if day == last else 0
        most = most if day == last else 0
        before = max(before, int(rows_b[begin:start].max(initial=0)))
        self._rows_of_day = last, max(most, int(rows_b[start:].max(initial=0))), before

    @property
    def _reserve(self) -> int:
        """What the rows of open buckets take that influencers need; a quarter of the limit at most."""
        return min(self._log.row_bytes * self._span.rows * max(self._rows_of_day[1:]), self._limit // 4)

    @property
    def taken(self) -> int:
        """What models, tables of keys and their strings take now."""
        strings = sum(
            _string_bytes(names, self._lanes.values(), field) for field, names in self._names.items()
        )
        return strings + sum(lane.taken for lane in self._lanes.values())

    def settle(self, bucket: int) -> None:
        """Counts the buckets before this one, now final, in which records were refused."""
        refused = frozenset[int]().union(*(lane.room.refused_buckets for lane in self._lanes.values()))
        final = frozenset(number for number in refused if number < bucket)
        if final:
            self._failures += len(final)
            for lane in self._lanes.values():
                lane.room.refused_buckets -= final

    def stats(
        self, job_id: str, taken: int, latest: int | None, buckets: int, categorizer: Categorizer | None
    ) -> ModelSizeStats:
        """The sizes of the models, which take so much now; `latest` is the start of the last final bucket."""
        self._peak = max(self._peak, taken)
        refused = frozenset[int]().union(*(lane.room.refused_buckets for lane in self._lanes.values()))
        is_full = self._is_full or self.taken > _NEW * self._limit
        is_full |= categorizer is not None and categorizer.is_full
        return size_stats(
            job_id,
            [lane.keys for lane in self._lanes.values()],
            Memory(taken, self._peak, self._whole, self._failures + len(refused), is_full, buckets),
            latest,
            categorizer,
        )

    def take(self, end_ms: int, clock: int, age_ms: int) -> None:
        """Takes stock when the buckets up to a time are final: prunes, and says what may come.

        `clock` is the number of the next bucket in the job's own time, `age_ms` how long there are results.
        """
        taken = self.taken
        if taken > SOFT * self._limit and (self._pruned_at is None or end_ms - self._pruned_at >= HOUR_MS):
            self._prune(end_ms, clock)
            taken = self.taken
        if self._is_calm:
            self._open_wide()
            return
        lanes = self._lanes.values()
        left = self._limit - taken - self._reserve
        granted = 0
        for lane in lanes:
            granted += lane.limit_growth(max(left // 2 - granted, 0))
        waited = max(_MOST_PROMISED * (1.0 - age_ms / _PROMISED_MS), _LEAST_PROMISED)
        promised = waited * sum(lane.promised for lane in lanes)
        room = min(int(left - (1.0 - _NEW) * self._limit - promised), left - granted)
        part = room // self._parts if room >= _LEAST * self._limit else 0
        for key, lane in self._lanes.items():
            self._most[key] = lane.room.spent + part
            lane.room.is_shut = lane.room.is_shut and not part

    def _prune(self, end_ms: int, clock: int) -> None:
        """Forgets the series that are silent for longest."""
        hours = 1 if self._pruned_at is None else (end_ms - self._pruned_at) / HOUR_MS
        grown = min(self._window * _SHRINK ** max(1.0 - hours, -1000.0), 1.0)
        self._window = max(grown * _SHRINK, _LEAST_WINDOW)
        self._pruned_at = end_ms
        since = clock - int(max(self._window * self._prune_buckets, 2.0))
        for key, lane in self._lanes.items():
            is_silent = lane.silent(since)
            for series in self._log.open_series(key):
                is_silent[series[series >= 0]] = False
            if 32 * int(np.count_nonzero(is_silent)) > len(is_silent) and lane.fields:
                self._log.renumber(key, lane.keep(np.flatnonzero(~is_silent)))


def _string_bytes(names: Interner, lanes: Iterable[Lane], field: str) -> int:
    """What the strings of a field take that series have."""
    lives = np.zeros(len(names), bool)
    for lane in lanes:
        for codes in lane.codes(field):
            lives[codes] = True
    return int(names.lengths[lives].sum()) + STRING_BYTES * int(np.count_nonzero(lives))
