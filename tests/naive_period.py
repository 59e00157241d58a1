"""Part of the naive twin of the model: any other period of a series, how it is found, learned and dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tests.naive_laws import Settings, clip, gate, single

RING = 128
MOST_KNOTS = 48
MOST_LAG = 21


def autocorrelations(ring: list[float]) -> list[float]:
    """Of every lag up to 111, each mean product in mean squares; zeros for a constant."""
    mean = sum(ring) / RING
    x = [value - mean for value in ring]
    whole = sum(value * value for value in x)
    if whole <= 1e-30:
        return [0.0] * 112
    return [
        sum(a * b for a, b in zip(x[lag:], x, strict=False)) / (RING - lag) / (whole / RING)
        for lag in range(112)
    ]


def first_lag(c: list[float]) -> int:
    """The shortest lag at a peak above 0.36 that stands 0.22 above the lowest before; 0 without one.

    A longer one is preferred where the shorter has less than 0.85 of it.
    """
    found = 0
    for lag in range(2, MOST_LAG + 1):
        is_peak = c[lag] >= c[lag - 1] and c[lag] > c[lag + 1]
        least = c[found] / 0.85 if found else 0.36
        if is_peak and c[lag] > least and c[lag] - min(c[1:lag]) > 0.22:
            found = lag
    return found


def search(ring: list[float], span: float) -> float:
    """The period, in buckets, of a ring whose slots have `span` buckets; 0 if there is none."""
    c = autocorrelations(ring)
    lag = first_lag(c)
    if not lag:
        return 0.0
    period, heights, tops = float(lag), [], []
    while len(tops) < 12 and period * (len(tops) + 1) + 0.5 < 105:
        k = len(tops) + 1
        near = int(period * k + 0.5)
        at = max((near, near - 1, near + 1), key=lambda lag: c[lag])
        heights.append(c[at])
        rise = c[at] - c[int(period * (k - 0.5) + 0.5)]
        if c[at] < 0.35 * c[lag] or rise < (0.22 if k <= 5 else 0.11):
            return 0.0
        reach = min(max(int(period / 6.0), 1), 111 - at)
        before, after = c[at - reach], c[at + reach]
        bend = before - 2.0 * c[at] + after
        offset = reach * (before - after) / bend / 2.0 if bend < 0.0 else 0.0
        tops.append(at + clip(offset, -reach / 2.0, reach / 2.0))
        period = sum(k * top for k, top in enumerate(tops, 1)) / sum(k * k for k in range(1, len(tops) + 1))
    if sum(heights) < 0.6 * c[lag] * len(heights):
        return 0.0
    period *= span
    whole = math.floor(period + 0.5)
    is_whole = span == 1.0 and abs(period - whole) <= 0.2 / len(tops)
    return max(float(whole) if is_whole else period, 2.0)


@dataclass
class Found:
    """A period, in buckets, and its profile; since when, and the bucket of phase 0."""

    length: float
    since: float
    origin: float
    n: int
    knots: list[float]
    without: float = 0.0
    error: float = 0.0
    lead: float = 0.0
    steep: float = 0.0

    @classmethod
    def of(cls, length: float, clock: float, bucket: int) -> Found:
        """A new one."""
        n = int(clip(math.floor(length + 0.5), 2, MOST_KNOTS))
        return cls(length, clock, float(bucket), n, [0.0] * n)

    def phase(self, bucket: int) -> float:
        """How many buckets of the period have passed."""
        after = bucket - self.origin
        return clip(after - math.floor(after / self.length) * self.length, 0.0, self.length)

    def around(self, bucket: int) -> tuple[int, int, float]:
        """The knots around the phase and the weight of the second."""
        at = self.phase(bucket) * (self.n / self.length)
        knot = math.floor(at)
        return knot % self.n, (knot % self.n + 1) % self.n, at - knot

    def value(self, bucket: int) -> float:
        """Of the profile."""
        left, right, weight = self.around(bucket)
        return (1.0 - weight) * self.knots[left] + weight * self.knots[right]

    def use(self, clock: float) -> float:
        """How far the profile is used; the first period does not count."""
        periods = (clock - self.since) / self.length - 1.0
        return gate(self.without, self.error, periods) if periods > 0.0 else 0.0

    def gain(self, clock: float) -> float:
        """Of a knot for a whole visit: the less the more periods were seen, the more its buckets."""
        most = 20.0 * min(self.n / self.length, 1.0)
        return 1.0 / (1.5 + 0.4 * min((clock - self.since) / self.length, most))

    def learn(self, bucket: int, clock: float, rest: float, sd: float, weight: float, rate: float) -> None:
        """Takes what is left without the period."""
        left, right, h = self.around(bucket)
        error = rest - self.value(bucket)
        for name, x in (("without", rest), ("error", error)):
            before = getattr(self, name)
            setattr(self, name, single(before + rate * weight * (min(abs(x), 5.0 * sd) ** 2 - before)))
        slope = (self.knots[(right + 1) % self.n] - self.knots[right]) * (self.n / self.length)  # beyond here
        self.lead = single(self.lead + weight * slope * clip(error, -5.0 * sd, 5.0 * sd))
        self.steep = single(self.steep + weight * slope * slope)
        visit = min(self.n / self.length, 1.0) * weight * self.gain(clock)
        step = visit / ((1.0 - h) ** 2 + h**2) * error
        self.knots[left] = single(self.knots[left] + step * (1.0 - h))
        self.knots[right] = single(self.knots[right] + step * h)

    def tune(self, bucket: int, clock: float, level_rate: float) -> None:
        """Corrects the length by how far the series was ahead of the profile; the phase stays as it is."""
        is_seen = clock - self.since > 1.5 * self.length
        if self.length != self.n and self.length * level_rate < 3.0 and is_seen and self.steep > 0.0:
            step = self.gain(clock) / 2.0 * self.lead / self.steep
            length = self.length - clip(step, -self.length / 100.0, self.length / 100.0)
            self.origin = bucket - self.phase(bucket) * (length / self.length)
            self.length = length
        self.lead = self.steep = 0.0

    def stretch(self, factor: float) -> None:
        """Goes over to another unit."""
        self.knots = [single(x * factor) for x in self.knots]
        for name in ("without", "error", "lead", "steep"):
            setattr(self, name, single(getattr(self, name) * factor * factor))


@dataclass
class Ring:
    """Means of z over slots of `span` buckets, since a clock; `total` is what the present slot has so far."""

    since: float
    span: float = 1.0
    total: float = 0.0
    due: float = 0.0
    slots: list[float] = field(default_factory=lambda: [0.0] * RING)

    def close(self) -> None:
        """Ends the present slot."""
        self.slots[int((self.due - self.since) / self.span) - 1] = single(self.total / self.span)
        self.total = 0.0

    def halve(self) -> None:
        """Makes slots of twice the buckets: the ring is half empty then."""
        pairs = zip(self.slots[::2], self.slots[1::2], strict=True)
        self.slots = [single((a + b) / 2.0) for a, b in pairs] + [0.0] * (RING // 2)
        self.span *= 2.0


class Period:
    """Looks for a period, or has one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ring: Ring | None = None
        self.found: Found | None = None
        self.due = 0.0

    def part(self, bucket: int, clock: float) -> float:
        """What is foretold of it."""
        return self.found.use(clock) * self.found.value(bucket) if self.found else 0.0

    def learn(self, bucket: int, clock: float, z: float, rest: float, sd: float, weight: float) -> None:
        """Takes a bucket: into the ring, or into the profile."""
        if clock >= self.due:
            self._turn(bucket, clock)
        if self.ring is not None:
            self.ring.total += clip(z, -4.0, 4.0)
        elif self.found is not None:
            self.found.learn(bucket, clock, rest, sd, weight, self.settings.gate_rate)

    def _turn(self, bucket: int, clock: float) -> None:
        """Begins, goes on to the next slot, or puts the period to the test."""
        if self.ring is not None:
            self.ring.close()
            self._go_on(self.ring, bucket, clock)
        elif self.found is not None:
            length = self.found.length
            is_young = clock - self.found.since < max(8.0 * length, 2.0 * RING)
            if is_young or self.found.use(clock) >= 0.2:
                self.found.tune(bucket, clock, self.settings.level_rate)
                self.due = clock + max(length, 16.0)
            else:
                self._begin(clock)
        else:
            self._begin(clock)

    def _begin(self, clock: float) -> None:
        self.found, self.ring = None, Ring(clock)
        self.ring.due = self.due = clock + 1.0

    def _go_on(self, ring: Ring, bucket: int, clock: float) -> None:
        while clock >= ring.since + ring.span * RING:
            length = search(ring.slots, ring.span)
            if length and not self._is_calendar(length / self.settings.day):
                self.ring, self.found = None, Found.of(length, clock, bucket)
                self.due = clock + max(length, 16.0)
                return
            if ring.span == 64.0:
                self._begin(clock)
                return
            ring.halve()
        slot = math.floor((clock - ring.since) / ring.span)
        ring.due = self.due = ring.since + (slot + 1.0) * ring.span

    def _is_calendar(self, days: float) -> bool:
        """Whether a profile has it already: a day, a half, third or quarter, or a week, within 3%."""
        is_daily = any(abs(days * parts - 1.0) < 0.03 for parts in (1, 2, 3, 4))
        return (is_daily and self.settings.day >= 1.9) or (
            abs(days / 7.0 - 1.0) < 0.03 and self.settings.day >= 0.9
        )

    def stretch(self, factor: float) -> None:
        """Goes over to another unit; z has none."""
        if self.found is not None:
            self.found.stretch(factor)
