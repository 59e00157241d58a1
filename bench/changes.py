"""Synthetic changes at known times: weeks of one law in hourly buckets, a change, weeks of another."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .grid import F64, I64
from .laws import DAY, WEEK

SERIES = 40
BEFORE, AFTER = 6 * WEEK, 10 * WEEK
"""Buckets before the first series changes, and after the last has."""

Draw = Callable[[np.random.Generator, I64, I64], F64]


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of change; of values with a deviation of 5 around 100, unless the name says more."""

    name: str
    draw: Draw
    """Values of (generator, buckets since the change, hours of the day), all (buckets, series)."""
    within: int = DAY
    """An alarm this many buckets after the change tells it; a later one may as well be false."""
    lasts: int = 0
    """Buckets until all is as before; 0 for a change for good."""
    function: str = "mean"
    deviation: float = 5.0
    """Of the values after the change."""

    def values(self, series: int = SERIES) -> tuple[F64, I64]:
        """The values (buckets, series), the same at every call, and the bucket each series changes in.

        >>> TASKS["stops"].values(series=3)[1] - BEFORE
        array([20, 13,  4])
        """
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        change_s = BEFORE + random.integers(0, DAY, series)
        bucket = np.arange(BEFORE + DAY + AFTER)[:, None]
        hour = np.broadcast_to(bucket % DAY, (len(bucket), series))
        return self.draw(random, bucket - change_s, hour), change_s


def _noise(random: np.random.Generator, since: I64) -> F64:
    return 100.0 + 5.0 * random.normal(size=since.shape)


def _shift(deviations: float, lasts: float = math.inf) -> Draw:
    def draw(random: np.random.Generator, since: I64, hour: I64) -> F64:
        return _noise(random, since) + np.where((since >= 0) & (since < lasts), 5.0 * deviations, 0.0)

    return draw


def _spread(factor: float) -> Draw:
    def draw(random: np.random.Generator, since: I64, hour: I64) -> F64:
        return 100.0 + (_noise(random, since) - 100.0) * np.where(since >= 0, factor, 1.0)

    return draw


def _trend(random: np.random.Generator, since: I64, hour: I64) -> F64:
    return _noise(random, since) + 5.0 / DAY * np.maximum(since, 0)


def _season(random: np.random.Generator, since: I64, hour: I64) -> F64:
    return _noise(random, since) + np.where(since >= 0, 25.0 * np.sin(2.0 * np.pi * hour / DAY), 0.0)


def _time_shift(random: np.random.Generator, since: I64, hour: I64) -> F64:
    late = np.where(since >= 0, hour - 3, hour)
    return _noise(random, since) + 25.0 * np.sin(2.0 * np.pi * late / DAY)


def _stop(random: np.random.Generator, since: I64, hour: I64) -> F64:
    return np.where(since < 0, random.poisson(20.0, since.shape), 0).astype(np.float64)


TASKS = {
    "+2 deviations": Task("level +2 deviations", _shift(2.0)),
    "+5 deviations": Task("level +5 deviations", _shift(5.0)),
    "+10 deviations": Task("level +10 deviations", _shift(10.0)),
    "season": Task("a daily season of 5 deviations begins", _season),
    "time shift": Task("a daily season of 5 deviations comes 3 hours later", _time_shift),
    "x3": Task("deviation times 3", _spread(3.0), deviation=15.0),
    "/3": Task("deviation over 3", _spread(1.0 / 3.0), deviation=5.0 / 3.0),
    "trend": Task("a trend of one deviation a day begins", _trend, within=WEEK),
    "stops": Task("count of 20 stops", _stop, function="count", deviation=2.5),
    "incident": Task("a day at +10 deviations", _shift(10.0, DAY), lasts=DAY),
    "run": Task("a day at +1.5 deviations", _shift(1.5, DAY), lasts=DAY),
}
