"""Naive twin of `circular`: the density of the times of one series, from its definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tests.naive_levels import NaiveRates, NaiveTable

STUDENT = 2.0 / (math.pi * math.sqrt(3.0))
RINGS = [  # distance in half-widths, share of the mass on each side
    (0.3492180887417384, 0.25),
    (1.1045199391225742, 0.15),
    (2.1130867292364264, 0.075),
    (4.355634969110448, 0.02),
    (8.052613074541654, 0.005),
]


@dataclass
class Group:
    """Neighbouring times."""

    n: float
    mean: float
    squares: float
    h: float


@dataclass
class Circle:
    """What is set for a detector; seconds."""

    period: float
    slots: int
    least: float
    most: float
    bridge: float
    memory: float
    least_memory: float
    span: float

    def apart(self, a: float, b: float) -> float:
        """The distance of two times."""
        return min(abs(a - b), self.period - abs(a - b))


class NaiveCircular:
    """The times of one series, bucket by bucket."""

    def __init__(self, circle: Circle) -> None:
        self.circle = circle
        self.groups: list[Group] = []
        self.rates = NaiveRates()
        self.novel = 0.0
        self.seen = 0
        self.due = 0.0
        self.first = self.last = 0
        self.table: NaiveTable | None = None

    @property
    def weight(self) -> float:
        """The weight of all groups."""
        return sum(g.n for g in self.groups)

    @property
    def new(self) -> float:
        """The probability of something new."""
        return (0.3 + self.novel) / (self.weight + 2.3)

    def density(self, x: float) -> float:
        """A share for what is new, and Student's law with 3 degrees of freedom for every group."""
        total = 0.0
        for g in self.groups:
            u = self.circle.apart(x, g.mean) / g.h
            total += g.n * STUDENT / g.h * (1.0 + u * u / 3.0) ** -2
        return self.new / self.circle.period + (1.0 - self.new) * total / self.weight

    def bucket(self, number: int, times: list[float]) -> list[float]:
        """Ln p of the times of a bucket, which then is learned from."""
        log_p = [self.log_p(x, number) for x in times] if self.seen else [0.0] * len(times)
        self.fade(number)
        if not self.seen:
            self.first = number
        for x in times:
            self.learn(x)
        self.last = number
        if self.seen >= self.due:
            self.fit()
        return log_p

    def log_p(self, x: float, number: int) -> float:
        """Ln p, blended with the newness of the series in its first three periods."""
        assert self.table is not None
        p = math.exp(-self.rates.worth(self.table.s(math.log(self.density(x)))))
        age = (number - self.first) * self.circle.span / self.circle.period
        new = math.exp(-(age**4)) if age < 3.0 else 0.0
        return math.log(new + p * (1.0 - new))

    def fade(self, number: int) -> None:
        """Everything counts less the older it is."""
        gap = (number - self.last) * self.circle.span
        if not self.seen or gap <= 0:
            return
        keep = max(math.exp(-gap / self.circle.memory), 1.0 - 1.0 / self.circle.least_memory)
        self.novel *= keep
        faded = [replace(g, n=g.n * keep, squares=g.squares * keep) for g in self.groups]
        kept = [g for g in faded if g.n >= 0.02]
        self.groups = kept or faded[-1:]

    def learn(self, x: float) -> None:
        """One time more."""
        if self.table is not None:
            f = self.density(x)
            s = self.table.s(math.log(f))
            self.novel += self.new / self.circle.period / f
            if self.seen >= 20:
                self.rates.learn(s)
            if s > 4.6:
                self.due = 0.0
        before = self.weight
        self.seen += 1
        self.insert(x, before + 1.0)
        if len(self.groups) > self.circle.slots:
            self.merge()

    def insert(self, x: float, weight: float) -> None:
        """A group of its own, as wide as the one before it on the circle if that is near."""
        for g in self.groups:
            if g.mean == x:
                g.n += 1.0
                return
        earlier = [g for g in self.groups if g.mean < x]
        added = Group(1.0, x, 0.0, 1.0)
        self.groups.insert(len(earlier), added)
        if len(self.groups) > 2 or len(self.groups) == 2:
            beside = earlier[-1] if earlier else self.groups[-1]
            if self.circle.apart(x, beside.mean) / beside.h < 1.0:
                added.h = beside.h
                return
        added.h = self.width(added, weight)

    def width(self, group: Group, weight: float) -> float:
        """The half-width of a group's kernel."""
        circle, window = self.circle, max(2.0, 0.7 * weight**0.6)
        spread = math.sqrt(group.squares / group.n)
        others = sorted((circle.apart(group.mean, g.mean), g.n) for g in self.groups if g is not group)
        bridged = [d for d, n in others if d <= circle.bridge and n >= 0.1 * group.n]
        reach = math.sqrt(3.0) * spread * min(window / group.n, 1.0)
        gathered = group.n
        for d, n in others:
            if gathered >= window:
                break
            reach, gathered = max(reach, d), gathered + n
        if gathered < window:
            reach = circle.period
        least = max(1.2 * spread, 0.5 * max(bridged, default=0.0), circle.least)
        return max(min(0.5 * reach, circle.most), least)

    def merge(self) -> None:
        """Joins the two neighbours whose joining adds least to the squares."""
        period, groups = self.circle.period, self.groups
        pairs = [(g, groups[(i + 1) % len(groups)]) for i, g in enumerate(groups)]
        costs = [
            a.n * b.n / (a.n + b.n) * ((b.mean - a.mean) % period) ** 2
            if i + 1 == len(groups)
            else a.n * b.n / (a.n + b.n) * (b.mean - a.mean) ** 2
            for i, (a, b) in enumerate(pairs)
        ]
        i = costs.index(min(costs))
        a, b = pairs[i]
        mean = a.mean + ((b.mean - a.mean) % period) * b.n / (a.n + b.n)
        joined = Group(a.n + b.n, mean % period, a.squares + b.squares + costs[i], max(a.h, b.h))
        self.groups = sorted([g for g in groups if g not in (a, b)] + [joined], key=lambda g: g.mean)

    def fit(self) -> None:
        """Half-widths and table anew."""
        weight = self.weight
        widths = [self.width(g, weight) for g in self.groups]
        for g, h in zip(self.groups, widths, strict=True):
            g.h = h
        period, new = self.circle.period, self.new
        points = [(period * (k + 0.5) / 24, new / 24) for k in range(24)]
        for g in self.groups:
            mass = (1.0 - new) * g.n / weight
            points += [
                ((g.mean + side * at * g.h) % period, mass * share) for at, share in RINGS for side in (1, -1)
            ]
        self.table = NaiveTable([(math.log(self.density(x)), mass) for x, mass in points], 0.75)
        self.due = self.seen + max(1.0, 0.25 * min(self.seen, weight))
