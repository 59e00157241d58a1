"""Parts of the naive twin of the model: tails of probability, gains, phases, variances, past events.

Plain formulas of numbers and small objects; `z` is a residual in standard deviations, `s` is -ln p.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

DAY_MS = 24 * 3600 * 1000
TINY = 1e-150
LARGEST_SINGLE = float(np.finfo(np.float32).max)
TAIL_LEVELS = (3.0, 5.0, 8.0, 13.0, 21.0)
"""The s at which the tail of a series is counted."""
MULTI_WINDOW = 6.0
MULTI_PRIOR = 1.0 / (2.0 * MULTI_WINDOW - 1.0)
"""Variance of an exponentially weighted mean of independent values of variance 1."""


def clip(x: float, low: float, high: float) -> float:
    """The number, or the limit it passes."""
    return min(max(x, low), high)


def single(x: float) -> float:
    """The nearest float32, which is what profiles are kept in."""
    return float(np.float32(clip(x, -LARGEST_SINGLE, LARGEST_SINGLE)))


def square_above_zero(x: float) -> float:
    """The value whose square root is `x`."""
    return max(x, 0.0) * max(x, 0.0)


def log_normal_tail(w: float) -> float:
    """Ln P(|Z| > w) of the normal law, from w = 20 by its asymptotic series 1 - 1/w^2 + 3/w^4 - ..."""
    if w < 20.0:
        return math.log(math.erfc(w / math.sqrt(2.0)))
    series = 1.0 - w**-2 + 3.0 * w**-4 - 15.0 * w**-6 + 105.0 * w**-8
    return -0.5 * w * w - math.log(w * math.sqrt(math.pi / 2.0)) + math.log(series)


def log_two_sided(w: float) -> float:
    """Ln P(|Z| > w) of the normal law, a quadratic below 1.6."""
    return -0.8 * w - 0.35 * w * w if w < 1.6 else log_normal_tail(w)


def wallace(z: float, degrees: float) -> float:
    """The normal deviation that is as unlikely as the deviation z of Student's law of variance 1."""
    t = min(z, 1e150) * math.sqrt(degrees / (degrees - 2.0))
    stretch = (8.0 * degrees + 1.0) / (8.0 * degrees + 3.0)
    return stretch * math.sqrt(degrees * math.log1p(t * t / degrees))


def log_student_tail(z: float, degrees: float) -> float:
    """Ln P(|T| > z) of Student's law of variance 1; below z = 1.6 the quadratic of the normal law."""
    return log_two_sided(z) if z < 1.6 else log_normal_tail(wallace(z, degrees))


def absolute_score(s: float) -> float:
    """The most that p = exp(-s) scores: 50 where s^2 is 20, then up to 100."""
    return 100.0 / (1.0 + 20.0 / (s * s)) if s > 1e-100 else 0.0


def gate(error_without: float, error_with: float, periods: float) -> float:
    """How far a profile is used: x / (1 + x), x growing with the error saved and the periods seen."""
    if error_without <= 1.02 * error_with:
        return 0.0
    x = 2.0 * periods * (error_without / max(error_with, 1e-6 * error_without) - 1.02)
    return x / (1.0 + x)


def training_weight(z: float, young: float, habit: float) -> float:
    """sqrt(p / 0.001) of the normal tail, 1 where p is larger; at least 0.01, for the young 0.5.

    What comes more often than once in ten values is a habit: from there to one in five it counts ever more.
    """
    least = min(0.01 + 0.49 * young + 10.0 * max(habit - 0.1, 0.0), 1.0)
    if z <= 3.29:
        return 1.0
    return least if z >= 5.33 else max(math.exp(0.5 * (log_normal_tail(z) - math.log(0.001))), least)


class Settings(NamedTuple):
    """What the function of a detector asks of the models of one feature."""

    span_ms: int
    side: int = 0
    zero_fill: bool = False
    prune: int = 0
    counts: bool = False
    by_records: bool = False
    threshold: float = 0.01

    @property
    def day(self) -> float:
        """Buckets in a day."""
        return DAY_MS / self.span_ms

    @property
    def level_rate(self) -> float:
        """Gain of the level: a day, but no less than 12 buckets and no more than 1000."""
        return 1.0 / clip(self.day, 12.0, 1000.0)

    @property
    def slope_rate(self) -> float:
        """Gain of the slope: a week of level gains."""
        return self.level_rate / max(7.0 * self.day, 50.0)

    @property
    def spread_rate(self) -> float:
        """Gain of the variances: two weeks."""
        return 1.0 / clip(14.0 * self.day, 200.0, 4000.0)

    @property
    def recent_rate(self) -> float:
        """Gain of the recent variances: three days."""
        return 1.0 / max(3.0 * self.day, 12.0)

    @property
    def tail_memory(self) -> float:
        """Values that the tail is made of: three weeks."""
        return clip(21.0 * self.day, 500.0, 4000.0)

    @property
    def gate_rate(self) -> float:
        """Gain of the errors that decide on the profiles: a week."""
        return 1.0 / clip(7.0 * self.day, 100.0, 2000.0)


class Phase(NamedTuple):
    """A place between two knots of a profile."""

    left: int
    right: int
    weight: float

    @classmethod
    def of(cls, bucket: int, span_ms: int, period_ms: int, knots: int) -> Phase:
        """Where the middle of the bucket lies in the period."""
        at = (bucket * span_ms + span_ms // 2) % period_ms * knots / period_ms
        return cls(int(at), (int(at) + 1) % knots, at - int(at))

    def between(self, knots: list[float]) -> float:
        """The interpolated value."""
        return (1.0 - self.weight) * knots[self.left] + self.weight * knots[self.right]

    @property
    def sides(self) -> tuple[tuple[int, float], tuple[int, float]]:
        """Both knots with their weights."""
        return (self.left, 1.0 - self.weight), (self.right, self.weight)

    @property
    def step(self) -> float:
        """By how much both knots must move, times their weights, for the value to move by 1."""
        return 1.0 / ((1.0 - self.weight) ** 2 + self.weight**2)


@dataclass
class Events:
    """The five largest past events of a series; an event is open for 40 buckets.

    Past events fade by half a percent a day: when an event opens, and after a week without one.
    """

    past: list[float] = field(default_factory=lambda: [0.0] * 5)
    is_open: bool = False
    start: float = 0.0
    largest: float = 0.0

    @property
    def mean(self) -> float:
        """The mean of the past events."""
        return max(sum(self.past), TINY) / 5.0

    def weigh(self, clock: float, x: float, days_per_bucket: float) -> float:
        """A magnitude in means of the past, a twentieth of an echo; then the history knows it."""
        if self.is_open and clock - self.start > 40.0:
            least, *others = sorted(self.past)
            self.past = [max(least, self.largest), *others]
            self.is_open = False
        if self.is_open:
            is_echo = x < 1.1 * self.largest
            self.largest = max(self.largest, x)
            return 0.05 * x / max(self.mean, self.largest) if is_echo else x / self.mean
        if (clock - self.start) * days_per_bucket >= 7.0:
            self._fade(clock, days_per_bucket)
        if x > 0.7 * sum(self.past) / 5.0:
            self._fade(clock, days_per_bucket)
            self.is_open, self.largest = True, x
        return x / self.mean

    def _fade(self, clock: float, days_per_bucket: float) -> None:
        keep = 0.995 ** min((clock - self.start) * days_per_bucket, 3650.0)
        self.past = [keep * size for size in self.past]
        self.start = clock


@dataclass
class Tail:
    """How often s passes each of the levels in this series: points of a law of its own, lines between."""

    count: float = 0.0
    rates: list[float] = field(default_factory=lambda: [0.0] * len(TAIL_LEVELS))
    run: int = 0
    """How many s before this one, without a break, were beyond the first level."""

    @property
    def points(self) -> list[tuple[float, float]]:
        """0 and the levels, with the s that each stands for; the prior: exact p in 300 samples."""
        points = [(0.0, 0.0)]
        for level, seen in zip(TAIL_LEVELS, self.rates, strict=True):
            rate = (300.0 * math.exp(-level) + self.count * seen) / (300.0 + self.count)
            before, corrected = points[-1]
            step, most = level - before, 1.2 if before == 3.0 else 1.0
            limits = (1.9, 4.6) if before == 0.0 else (corrected + 0.02 * step, corrected + most * step)
            points.append((level, clip(-math.log(rate), *limits)))
        return points

    def corrected(self, s: float) -> float:
        """The s that this tail makes of s; beyond the last level they differ by the same."""
        points = self.points
        for (start, low), (end, high) in pairwise(points):
            if s <= end:
                return low + (s - start) / (end - start) * (high - low)
        return points[-1][1] + s - points[-1][0]

    def learn(self, s: float, memory: float) -> float:
        """Takes s into the rates; how much it counted: 1, in a run 0.7 times as much each time."""
        self.count = min(self.count + 1.0, memory)
        share = 1.0
        if s > TAIL_LEVELS[0]:
            share = 0.7**self.run
            self.run += 1
        else:
            self.run = 0
        gain = share / self.count
        self.rates = [
            rate + gain * ((s > level) - rate) for level, rate in zip(TAIL_LEVELS, self.rates, strict=True)
        ]
        return share


@dataclass
class Sizes:
    """Means of |t| and t^2, t clipped at 6: together they tell how heavy the tails are."""

    abs: float = 0.0
    square: float = 0.0

    def degrees(self, n: float) -> float:
        """Degrees of the Student law with this E|t| / sqrt(E t^2): shrunk to 8, more for the young."""
        heavy = 1.0 / 8.0
        if self.square > 0.0:
            lack = max(0.7979 - self.abs / math.sqrt(self.square), 0.0)
            heavy = (n * 4.4 * lack / (1.0 + 7.0 * lack) + 60.0 * heavy) / (n + 60.0)
        heavy += (0.5 - heavy) * 10.0 / (n + 30.0)
        return clip(1.0 / heavy, 4.0, 50.0)

    def learn(self, size: float, gain: float) -> None:
        """Takes |t|."""
        size = min(size, 6.0)
        self.abs += gain * (size - self.abs)
        self.square += gain * (size * size - self.square)


@dataclass
class Spread:
    """A variance, known by its means over two weeks and over three days."""

    slow: float = 0.0
    recent: float = 0.0

    def variance(self, prior: float, worth: float, n: float) -> float:
        """Harmonic mean of the two, nearer the smaller, each shrunk to a prior worth some values."""
        slow, recent = ((worth * prior + n * known) / (worth + n) for known in (self.slow, self.recent))
        return 2.0 / (1.0 / slow + 1.0 / recent) if min(slow, recent) > 0.0 else 0.0

    def learn(self, error: float, n: float, weight: float, settings: Settings) -> None:
        """Takes an error; n is the count with it."""
        square = min(error * error, 1e280)
        self.slow += max(1.0 / n, settings.spread_rate) * weight * (square - self.slow)
        self.recent += max(1.0 / n, settings.recent_rate) * weight * (square - self.recent)

    def stretch(self, factor: float) -> None:
        """Goes over to another unit."""
        self.slow *= factor * factor
        self.recent *= factor * factor


@dataclass
class Shift:
    """A run of residuals on one side; the total is of the values less their season, its mean a new level."""

    side: float
    start: float
    total: float
    count: float = 1.0
    contrary: float = 0.0

    @property
    def level(self) -> float:
        """The mean so far."""
        return self.total / self.count

    def is_broken(self, z: float, level: float) -> bool:
        """Takes a value, contrary below 1.5 deviations on the side; whether there were too many of those."""
        if z * self.side >= 1.5:
            self.total += level
            self.count += 1.0
            return False
        self.contrary += 1.0
        return self.contrary > 2.0 + 0.2 * self.count

    def is_proved(self, clock: float, day: float) -> bool:
        """Whether 1.25 days (at least 8 buckets) have passed, and six values."""
        return clock - self.start >= max(1.25 * day, 8.0) and self.count >= 6.0


@dataclass
class Multi:
    """The moving mean of clipped z, which sees many small deviations in a row."""

    mean: float = 0.0
    variance: float = 0.0
    count: float = 0.0

    def after(self, z: float, gap: float) -> float:
        """The mean with one z more; buckets left out count as 0."""
        mean = self.mean * (1.0 - 1.0 / MULTI_WINDOW) ** (gap - 1.0)
        return mean + (clip(z, -8.0, 8.0) - mean) / MULTI_WINDOW

    @property
    def is_known(self) -> bool:
        """Whether the mean has seen enough to be judged."""
        return self.count > 3.0 * MULTI_WINDOW

    @property
    def deviation(self) -> float:
        """Standard deviation of the mean, shrunk towards that of independent values."""
        return math.sqrt((20.0 * MULTI_PRIOR + self.count * self.variance) / (20.0 + self.count))

    def learn(self, mean: float) -> None:
        """Takes the new mean, and its square, clipped at three deviations, into the variance."""
        square = mean * mean
        self.count = min(self.count + 1.0, 3000.0)
        if self.is_known:
            square = min(square, 9.0 * max(self.variance, MULTI_PRIOR))
        self.mean = mean
        self.variance += (square - self.variance) / self.count
