"""The naive twin of population analysis: one bucket at a time, by the definitions, in plain Python.

It is written from the docstrings of `tidegate_kernels.crowd`, `crowdlaw`, `crowdlevel`, `population` and
`members`; a crowd is all members of an attribute.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.naive_laws import DAY_MS, absolute_score, clip
from tests.naive_scores import SIGNIFICANT, log_any

BINS = 257
SIDE = BINS // 2  # bins on either side of the one around 0
KNOTS = 24
CAUSE = math.log(0.05)


class Settings(NamedTuple):
    """What a crowd is told."""

    span_ms: int
    side: int = 0
    counts: bool = False
    prune: float = 0.0


class Judged(NamedTuple):
    """What a crowd says of a member."""

    log_p: float
    score: float
    actual: float
    typical: float
    lower: float
    upper: float


@dataclass
class Law:
    """One side of the law: masses V(0) to V(BINS), the edge of the tail and what is beyond."""

    total: float
    beyond: list[float]
    edge: int
    log_rate: float
    shape: float
    mean: float

    def log_p(self, u: float) -> float:
        """Ln p of an error whose position less half a bin is u."""
        if u >= self.edge:
            return self.log_rate - self.shape * math.log1p((u - self.edge) / (self.shape * self.mean))
        k = int(max(u, 0.0))
        part = max(u, 0.0) - k
        mass = (1.0 - part) * self.beyond[k] + part * self.beyond[k + 1]
        return math.log((mass + 1.0) / (self.total + 2.0))

    @property
    def limit(self) -> float:
        """Where p is 1e-4, or e^-2.3 of that at the edge if that is less."""
        depth = max(self.log_rate - math.log(1e-4), 2.3)
        return self.edge + self.shape * self.mean * math.expm1(depth / self.shape)

    def quantile(self, share: float) -> float:
        """The position beyond which so much of the mass is."""
        target = share * self.total * (1.0 - 1e-9)
        k = next((k for k in range(BINS, 0, -1) if self.beyond[k] >= target), 0)
        if k == BINS or self.beyond[k] <= self.beyond[k + 1]:
            return float(k)
        return k + min((self.beyond[k] - target) / (self.beyond[k] - self.beyond[k + 1]), 1.0)


@dataclass
class Histogram:
    """Masses by error: bins around 0, and the mass and total distance of what is beyond them."""

    width: float = 0.0
    bins: list[float] = field(default_factory=lambda: [0.0] * BINS)
    below: tuple[float, float] = (0.0, 0.0)
    above: tuple[float, float] = (0.0, 0.0)

    @property
    def reach(self) -> float:
        """How far half the bins go."""
        return BINS / 2 * self.width

    def decay(self, keep: float) -> None:
        """Multiplies all masses."""
        self.bins = [keep * mass for mass in self.bins]
        self.below, self.above = _times(self.below, keep), _times(self.above, keep)

    def add(self, e: float, mass: float) -> None:
        """Puts a mass where it belongs."""
        at = e / self.width + BINS / 2
        if at < 0:
            self.below = (self.below[0] + mass, self.below[1] + mass * (-e - self.reach))
        elif at >= BINS:
            self.above = (self.above[0] + mass, self.above[1] + mass * (e - self.reach))
        else:
            self.bins[int(at)] += mass

    def widen(self) -> None:
        """Doubles the width; what was beyond is spread exponentially."""
        old = [0.0] * BINS + self.bins + [0.0] * BINS
        middle = BINS + SIDE
        inside = [
            old[middle + 2 * k] + (old[middle + 2 * k - 1] + old[middle + 2 * k + 1]) / 2.0
            for k in range(-SIDE, SIDE + 1)
        ]
        # Beyond the old bins there was nothing: what lay there comes by its law.
        self.width *= 2.0
        self.below, low = self._spread(self.below)
        self.above, high = self._spread(self.above)
        inner = SIDE // 2
        for k, mass in enumerate(low):
            inside[SIDE - inner - k] += mass
        for k, mass in enumerate(high):
            inside[SIDE + inner + k] += mass
        self.bins = inside

    def _spread(self, beyond: tuple[float, float]) -> tuple[tuple[float, float], list[float]]:
        """What stays beyond, and what falls into the inner last bin, a quarter of it, and those after it."""
        mass, total = beyond
        if mass <= 0.0:
            return beyond, []
        rate = self.width * mass / max(total, 1e-150)
        left = [mass, *(mass * math.exp(-(k + 0.25) * rate) for k in range(SIDE // 2 + 1))]
        return (left[-1], left[-1] * (total / mass)), [a - b for a, b in pairwise(left)]

    def narrow(self) -> None:
        """Halves the width; what is beyond then is kept as a distance."""
        old, new = self.bins, [0.0] * (2 * BINS + 1)
        for k, mass in enumerate(old):
            new[2 * k + 1] += mass / 2.0
            new[2 * k] += mass / 4.0
            new[2 * k + 2] += mass / 4.0
        middle = 2 * SIDE + 1
        self.bins = new[middle - SIDE : middle + SIDE + 1]
        self.below = self._outer(self.below, old[::-1])
        self.above = self._outer(self.above, old)
        self.width /= 2.0

    def _outer(self, beyond: tuple[float, float], old: Sequence[float]) -> tuple[float, float]:
        """What is beyond half the reach: what was beyond, the outer bins, a quarter of one."""
        quarter = old[SIDE + SIDE // 2] / 4.0
        outer = {k * self.width - self.reach / 2: old[SIDE + k] for k in range(SIDE // 2 + 1, SIDE + 1)}
        mass = beyond[0] + quarter + sum(outer.values())
        total = beyond[1] + beyond[0] * self.reach / 2 + quarter * self.width / 8
        return mass, total + sum(distance * m for distance, m in outer.items())

    def fit(self, size: float, mass: float) -> None:
        """Makes half the bins reach over 6 to 24 times the mean |e|, and nearly all of the mass."""
        if self.width == 0.0:
            self.width = max(10.3 * size / (BINS / 2), 1e-5)
            return
        if self.below[0] + self.above[0] > 0.0003 * mass + 1.0:
            self.widen()
        while self.reach < 6.0 * size:
            self.widen()
        while self.reach > 24.0 * size and self.width >= 2e-5:
            outer = sum(self.bins[: SIDE // 2]) + sum(self.bins[-SIDE // 2 :])
            if self.below[0] + self.above[0] + outer > 0.0001 * mass:
                return
            self.narrow()


def _times(pair: tuple[float, float], keep: float) -> tuple[float, float]:
    return keep * pair[0], keep * pair[1]


def scaled(x: float, scale: float) -> float:
    """Signed ln(1 + |x| / scale)."""
    return math.copysign(math.log1p(abs(x) / scale), x)


def unscaled(t: float, scale: float) -> float:
    """The value of that."""
    return math.copysign(scale * math.expm1(abs(t)), t)


class Crowd:
    """The members of one attribute, and what is known of one feature of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.day = DAY_MS / settings.span_ms
        self.is_alive = False

    def _begin(self, values: Sequence[float], clock: int) -> None:
        self.is_alive = True
        self.first = self.last = clock
        self.logs = [math.log(abs(x)) for x in values if x != 0.0]
        self.scale = math.exp(math.fsum(self.logs) / len(self.logs)) if self.logs else 1.0
        self.level = math.fsum(scaled(x, self.scale) for x in values) / len(values)
        self.buckets = 0
        self.mass = self.size = 0.0
        self.histogram = Histogram()
        self.error_level = self.error_day = 0.0
        self.carry = self.square = self.next = self.drift = 0.0
        self.knots, self.visits = [0.0] * KNOTS, [0.0] * KNOTS
        self.events = [0.0] * 4
        self.window = 0.0
        self.window_start = 0

    @property
    def is_known(self) -> bool:
        """Whether members are scored."""
        return self.is_alive and self.buckets >= 3 and self.mass >= 20.0

    def observe(
        self,
        bucket: int,
        clock: int,
        values: Mapping[Hashable, float],
        shares: Mapping[Hashable, float],
        completeness: float | None = None,
    ) -> dict[Hashable, Judged]:
        """What the members of a bucket are; trains with them unless a completeness is given (interim)."""
        learn = completeness is None
        if learn and self.is_alive and not self.is_known:
            self.logs += [math.log(abs(x)) for x in values.values() if x != 0.0]
            if self.logs and abs(math.fsum(self.logs) / len(self.logs) - math.log(self.scale)) > 1.1:
                self.is_alive = False
        gap = clock - self.last if self.is_alive else 0
        if self.is_alive and 0 < self.settings.prune < gap:
            self.is_alive = False
        if not self.is_alive:
            if not learn or not values:
                return {}
            self._begin(list(values.values()), clock)
        self._decay(gap, clock)
        known = self.is_known
        days = (clock - self.first) / self.day
        season = self._season(bucket)
        gate = _gate(self.error_level, self.error_day, days)
        phi = clip(self.next / self.square, 0.0, 0.95) if self.square > 0.0 else 0.0
        carry = phi ** max(gap, 1) * self.carry if phi > 1e-3 else 0.0
        forecast = self.level + gate * season + carry
        errors, weights = {}, {}
        results: dict[Hashable, Judged] = {}
        if known:
            results, errors, weights, largest = self._judge(values, forecast, days, clock, completeness)
        else:
            errors = {key: scaled(x, self.scale) - forecast for key, x in values.items()}
            weights, largest = dict.fromkeys(values, 1.0), 0.0
        if learn and values:
            weights = {key: w * shares[key] for key, w in weights.items()}
            self._train(bucket, errors, weights, carry, gate * season, season)
            self._remember(largest, clock)
        return results

    def _decay(self, gap: int, clock: int) -> None:
        self.last = clock
        rest = math.log(2.0) / max(29.0 * self.day, 200.0)
        keep = math.exp(-max(1.5 / (clock - self.first + 6.0), rest) * gap)
        self.mass *= keep
        self.size *= keep
        self.histogram.decay(keep)

    def _phase(self, bucket: int) -> tuple[int, int, float]:
        middle = bucket * self.settings.span_ms + self.settings.span_ms // 2
        phase = (middle % DAY_MS) * KNOTS / DAY_MS
        return int(phase), (int(phase) + 1) % KNOTS, phase - int(phase)

    def _season(self, bucket: int) -> float:
        k, after, h = self._phase(bucket)
        return (1.0 - h) * self.knots[k] + h * self.knots[after]

    def _law(self, bins: Sequence[float], over: tuple[float, float]) -> Law:
        """The law of one side; bins in the order of the distance to that side's end reversed."""
        beyond = [over[0] + math.fsum(bins[k:]) for k in range(BINS + 1)]
        target = max(0.001 * self.mass, min(50.0, 0.05 * self.mass)) * (1.0 + 1e-9)
        edge = next((k for k in range(BINS + 1) if beyond[k] <= target), BINS)
        width = self.histogram.width
        excess = over[1] / width + over[0] * (BINS - edge)
        excess += math.fsum(bins[j] * (j + 0.5 - edge) for j in range(edge, BINS))
        usual = max(self.size / self.mass, 0.005)
        if self.settings.counts:
            usual = max(usual, 1.0 / (self.scale * math.exp(abs(self.level))))
        mean = (excess + 3.0 * usual / width) / (beyond[edge] + 3.0)
        shape = min(beyond[edge], 100.0, 4.0 * self.buckets) + 3.0
        rate = math.log((beyond[edge] + 1.0) / (self.mass + 2.0))
        return Law(self.mass, beyond, edge, rate, shape, mean)

    def _judge(
        self,
        values: Mapping[Hashable, float],
        forecast: float,
        days: float,
        clock: int,
        completeness: float | None,
    ) -> tuple[dict[Hashable, Judged], dict[Hashable, float], dict[Hashable, float], float]:
        h, half = self.histogram, BINS / 2
        upper, lower = self._law(h.bins, h.above), self._law(h.bins[::-1], h.below)
        typical = unscaled(forecast + (upper.quantile(0.5) - half) * h.width, self.scale)
        low = unscaled(forecast - (lower.quantile(0.025) - half) * h.width, self.scale)
        high = unscaled(forecast + (upper.quantile(0.025) - half) * h.width, self.scale)
        most, least = (upper.limit + 0.5 - half) * h.width, (half - 0.5 - lower.limit) * h.width
        young = max(1.0 - (clock - self.first) / max(21.0 * self.day, 100.0), 0.0)
        doubt = 3.0 * self.drift * max(1.0 - days / 4.0, 0.0)
        trusted = min((1.0 + days) / 3.0, 1.0)
        past_logs = [math.log(event) for event in self.events if event > 1e-150]
        past = math.exp(math.fsum(past_logs) / len(past_logs)) if past_logs else 1e-150
        results, errors, weights, largest = {}, {}, {}, 0.0
        if completeness is not None and values:
            has = [clip(x / max(typical, 1e-150), 0.0, 1.0) for x in values.values()]
            completeness = min(completeness, sorted(has)[(len(has) - 1) // 2])
        for key, actual in values.items():
            x = actual
            if completeness is not None and completeness < 1.0:
                x += min(max(typical - x, 0.0), max((1.0 - completeness) * typical, 0.0))
            e = scaled(x, self.scale) - forecast
            sure = math.copysign(max(abs(e) - doubt, 0.0), e)
            u = sure * math.sqrt(self.buckets / (self.buckets + 2.0)) / h.width
            above, below = upper.log_p(half - 0.5 + u), lower.log_p(half - 0.5 - u)
            both = min(min(above, below) + math.log(2.0), 0.0)
            sides = {0: both, 1: min(above + math.log(2.0), 0.0), -1: min(below + math.log(2.0), 0.0)}
            log_p, side = sides[self.settings.side], self.settings.side
            off = abs(x - typical) if side == 0 else max(side * (x - typical), 0.0)
            largest = max(largest, off)
            square = (off / past) ** 2 if off / past < 1e100 else 1e200
            score = trusted * min(absolute_score(-log_p), 100.0 * square / (3.0 + square))
            results[key] = Judged(log_p, score, actual, typical, low, high)
            errors[key] = clip(e, least, most)
            weights[key] = clip(math.exp(0.5 * (both - math.log(1e-5))), 0.05 + 0.45 * young, 1.0)
        return results, errors, weights, largest

    def _train(
        self,
        bucket: int,
        errors: Mapping[Hashable, float],
        weights: Mapping[Hashable, float],
        carry: float,
        seasonal: float,
        season: float,
    ) -> None:
        limit = 3.0 * self.size / self.mass if self.mass > 0.0 else 0.0
        mass = math.fsum(weights.values())
        mean = math.fsum(weights[key] * clip(e, -limit, limit) for key, e in errors.items()) / mass
        self.mass += mass
        self.size += math.fsum(weights[key] * abs(e) for key, e in errors.items())
        self.histogram.fit(self.size / self.mass, self.mass)
        for key, e in errors.items():
            self.histogram.add(e, weights[key])
        rate = mass / (mass + 4.0)
        r = mean + carry
        r0 = r + seasonal
        r1 = r0 - season
        evidence = rate / clip(7.0 * self.day, 100.0, 2000.0)
        self.error_level += evidence * (r0 * r0 - self.error_level)
        self.error_day += evidence * (r1 * r1 - self.error_day)
        if self.day >= 1.9 and self.buckets > 0:
            k, after, h = self._phase(bucket)
            for knot, part in ((k, 1.0 - h), (after, h)):
                share = min(24.0 / self.day, 1.0) * rate * part
                self.visits[knot] = min(self.visits[knot] + share, 10.0)
                self.knots[knot] += share / (self.visits[knot] + 0.5) * r1 / (h * h + (1.0 - h) ** 2)
        gain = max(1.0 / (self.buckets + 1.0), 1.0 / clip(self.day, 12.0, 288.0))
        self.drift += gain * (abs(mean) - self.drift)
        self.square += gain * (r * r - self.square)
        self.next += gain * (r * self.carry - self.next)
        self.carry = rate * r
        self.level += gain * rate * r
        self.buckets += 1

    def _remember(self, largest: float, clock: int) -> None:
        since = clock - self.window_start
        if since > 40:
            keep = math.exp(min(since / self.day, 3650.0) * math.log(0.995))
            kept = sorted(keep * event for event in self.events)
            self.events = [max(kept[0], self.window), *kept[1:]]
            self.window, self.window_start = 0.0, clock
        self.window = max(self.window, largest)


def _gate(without: float, including: float, periods: float) -> float:
    """How far the profile is used: x / (1 + x), x = 2 periods (without / including - 1.02)."""
    least = max(including, without * 1e-6)
    if without <= 1.02 * including:
        return 0.0
    x = 2.0 * periods * (without / least - 1.02)
    return x / (1.0 + x)


class Shares:
    """How much each member of an attribute counts."""

    def __init__(self, span_ms: int) -> None:
        self.rate = math.log(2.0) / max(29.0 * DAY_MS / span_ms, 200.0)
        self.active: dict[Hashable, list[int]] = defaultdict(list)

    def of(self, members: Sequence[Hashable], clock: int) -> dict[Hashable, float]:
        """The shares after a bucket in which these are active."""
        for member in members:
            self.active[member].append(clock)
        worth = {m: sum(self._kept(clock - c) for c in clocks) for m, clocks in self.active.items()}
        present = sum(self._kept(clock - clocks[-1]) for clocks in self.active.values())
        mean = sum(worth.values()) / present
        return {member: min(mean / worth[member], 1.0) for member in members}

    def _kept(self, age: int) -> float:
        return math.exp(-self.rate * age)


class Cause(NamedTuple):
    """An attribute in which a person is unusual."""

    attribute: tuple[str, str]
    judged: Judged


class Found(NamedTuple):
    """A person in a bucket: over and partition value, p and score of all attributes, what is unusual."""

    person: tuple[str, str]
    log_p: float
    score: float
    causes: list[Cause]
    feature: int


class NaivePopulation:
    """One detector with an over field."""

    def __init__(self, settings: Sequence[Settings]) -> None:
        self.settings = settings
        self.shares: dict[tuple[str, str], Shares] = {}
        self.crowds: dict[tuple[tuple[str, str], int], Crowd] = {}

    def observe(
        self,
        bucket: int,
        clock: int,
        cells: Mapping[tuple[str, str, str], Sequence[float | None]],
        completeness: float | None = None,
    ) -> tuple[list[Found], int, float]:
        """Results of a bucket of cells by (by, over, partition), how many it scored, the least ln p."""
        by_attribute: dict[tuple[str, str], dict[Hashable, Sequence[float | None]]] = defaultdict(dict)
        for (by, over, partition), values in cells.items():
            by_attribute[by, partition][over] = values
        said: dict[tuple[str, str], list[tuple[float, int, tuple[str, str], Judged]]] = defaultdict(list)
        for attribute, members in by_attribute.items():
            shares = self._shares(attribute, list(members), clock, completeness is None)
            best: dict[Hashable, tuple[float, int, Judged]] = {}
            for k, settings in enumerate(self.settings):
                crowd = self.crowds.setdefault((attribute, k), Crowd(settings))
                values = {over: found[k] for over, found in members.items() if found[k] is not None}
                for over, judged in crowd.observe(bucket, clock, values, shares, completeness).items():
                    if over not in best or judged.log_p < best[over][0]:
                        best[over] = (judged.log_p, k, judged)
            for over, (log_p, k, judged) in best.items():
                penalised = min(log_p + math.log(len(self.settings)), 0.0)
                said[over, attribute[1]].append((penalised, k, attribute, judged))
        return self._found(said)

    def _shares(
        self, attribute: tuple[str, str], members: Sequence[Hashable], clock: int, learn: bool
    ) -> Mapping[Hashable, float]:
        if not learn:
            return {}
        return self.shares.setdefault(attribute, Shares(self.settings[0].span_ms)).of(members, clock)

    def _found(
        self, said: Mapping[tuple[str, str], list[tuple[float, int, tuple[str, str], Judged]]]
    ) -> tuple[list[Found], int, float]:
        found, least_of_all = [], 0.0
        for person, parts in said.items():
            log_ps = [log_p for log_p, *_ in parts]
            least = min(log_ps)
            unlikely = [log_p for log_p in log_ps if log_p < SIGNIFICANT] or [least]
            log_p = least if len(parts) == 1 else log_any(unlikely, len(parts))
            least_of_all = min(least_of_all, log_p)
            if log_p < SIGNIFICANT:
                parts.sort(key=lambda part: part[0])
                causes = [Cause(a, j._replace(log_p=p)) for p, _, a, j in parts if p <= CAUSE][:10]
                score = min(causes[0].judged.score, absolute_score(-log_p))
                found.append(Found(person, log_p, score, causes, parts[0][1]))
        return found, len(said), least_of_all
