"""Parts of the naive twin of the model: tails of probability, gains, phases, past events.

Plain formulas of numbers and small objects; `z` is a residual in standard deviations, `s` is -ln p.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

DAY_MS = 24 * 3600 * 1000
TINY = 1e-150
MULTI_WINDOW = 6.0
MULTI_PRIOR = 1.0 / (2.0 * MULTI_WINDOW - 1.0)
"""Variance of an exponentially weighted mean of independent values of variance 1."""


def clip(x: float, low: float, high: float) -> float:
    """The number, or the limit it passes."""
    return min(max(x, low), high)


def square_above_zero(x: float) -> float:
    """The value whose square root is `x`."""
    return max(x, 0.0) * max(x, 0.0)


def log_normal_tail(w: float) -> float:
    """Ln P(|Z| > w) of the normal law, from w = 20 by its asymptotic series 1 - 1/w^2 + 3/w^4 - ..."""
    if w < 20.0:
        return math.log(math.erfc(w / math.sqrt(2.0)))
    series = 1.0 - w**-2 + 3.0 * w**-4 - 15.0 * w**-6 + 105.0 * w**-8
    return -0.5 * w * w - math.log(w * math.sqrt(math.pi / 2.0)) + math.log(series)


def log_student_tail(z: float, degrees: float) -> float:
    """Ln P(|T| > z) of Student's law of variance 1, by Wallace; a quadratic below 1.6."""
    if z < 1.6:
        return -0.8 * z - 0.35 * z * z
    t = min(z, 1e150) * math.sqrt(degrees / (degrees - 2.0))
    wallace = (8.0 * degrees + 1.0) / (8.0 * degrees + 3.0)
    return log_normal_tail(wallace * math.sqrt(degrees * math.log1p(t * t / degrees)))


def absolute_score(s: float) -> float:
    """The most that p = exp(-s) scores: lines from 0 over 5 (p = 0.05) to 90 (1e-4), then up to 100."""
    low, high = math.log(20.0), math.log(1e4)
    if s <= low:
        return 5.0 * s / low
    if s <= high:
        return 5.0 + 85.0 * (s - low) / (high - low)
    return 100.0 - 10.0 * high / s


def gate(error_without: float, error_with: float, periods: float) -> float:
    """How far a profile is used: x / (1 + x), x growing with the error saved and the periods seen."""
    if error_without <= 1.02 * error_with:
        return 0.0
    x = 2.0 * periods * (error_without / max(error_with, 1e-6 * error_without) - 1.02)
    return x / (1.0 + x)


def training_weight(z: float, young: float) -> float:
    """sqrt(p / 0.001) of the normal tail, 1 where p is larger; at least 0.01, for the young 0.5."""
    least = 0.01 + 0.49 * young
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
    """The five largest past events of a series; an event is open for 60 buckets.

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
        """What counts of a magnitude, 0.3 of it for an echo; then the history knows it."""
        if self.is_open and clock - self.start > 60.0:
            least, *others = sorted(self.past)
            self.past = [max(least, self.largest), *others]
            self.is_open = False
        if self.is_open:
            is_echo = x < 1.2 * self.largest
            self.largest = max(self.largest, x)
            return 0.3 * x if is_echo else x
        if (clock - self.start) * days_per_bucket >= 7.0:
            self._fade(clock, days_per_bucket)
        if x > 0.7 * sum(self.past) / 5.0:
            self._fade(clock, days_per_bucket)
            self.is_open, self.largest = True, x
        return x

    def _fade(self, clock: float, days_per_bucket: float) -> None:
        keep = 0.995 ** min((clock - self.start) * days_per_bucket, 3650.0)
        self.past = [keep * size for size in self.past]
        self.start = clock


@dataclass
class Tail:
    """How often s passes 3 in this series, and by how much: an exponential tail learned."""

    count: float = 0.0
    rate: float = 0.0
    excesses: float = 0.0
    excess: float = 0.0

    def corrected(self, s: float) -> float:
        """The s that this tail makes of s; the prior is that of exact p, with 400 and 20 samples."""
        rate = (400.0 * math.exp(-3.0) + self.count * self.rate) / (400.0 + self.count)
        start = -math.log(clip(rate, 0.01, 0.15))
        if s <= 3.0:
            return s * start / 3.0
        excess = (20.0 + self.excesses * self.excess) / (20.0 + self.excesses)
        return start + (s - 3.0) / clip(excess, 0.4, 2.5)

    def learn(self, s: float) -> None:
        """Takes s into the rate and, where it passes 3, into the mean excess, clipped at 4."""
        self.count = min(self.count + 1.0, 4000.0)
        self.rate += ((s > 3.0) - self.rate) / self.count
        if s > 3.0:
            self.excesses = min(self.excesses + 1.0, 300.0)
            excess = min(s - 3.0, 4.0) / (1.0 - math.exp(-4.0))  # the mean of a clipped exponential
            self.excess += (excess - self.excess) / self.excesses


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
