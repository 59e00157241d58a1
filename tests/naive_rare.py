"""The naive twin of ``rare`` and ``freq_rare``: every activation is kept, and all are gone through each time.

An activation is a by value, of a population that of one member, in one bucket of one partition.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from tests.naive_laws import absolute_score, clip
from tests.naive_scores import log_any

HALF_LIFE = 90.0  # days in which a weight halves
SIGNIFICANT = 0.01
LEAST = 99.0  # activations without which nothing is scored
RARE = 0.1
BINS_PER_E = 4.0
_LINE_FROM = 2.0 * HALF_LIFE / math.log(2.0) - 1.0


def fade(days: float) -> float:
    """The g of an age: 2 ln(1 + days), from where that rises by ln 2 in a half-life on a line."""
    bent, rest = min(days, _LINE_FROM), max(days - _LINE_FROM, 0.0)
    return 2.0 * math.log1p(bent) + rest * math.log(2.0) / HALF_LIFE


def weight_since(then: float, now: float) -> float:
    """What an activation of then weighs now."""
    return float(0.5 ** ((now - then) / HALF_LIFE))


def bin_of(weight: float, now: float) -> float:
    """The bin of a weight: those of up to one activation of today share the lowest."""
    growth = now * math.log(2.0) / HALF_LIFE
    lowest = math.floor(BINS_PER_E * growth)
    return max(math.floor(BINS_PER_E * (math.log(weight) + growth)), lowest)


@dataclass
class Activation:
    """What was active, and what it adds to the weight of its category."""

    days: float
    category: Hashable
    person: Hashable
    records: int
    adds: float
    lone_p: float = 1.0


@dataclass
class Scored:
    """An activation with its probability and what is told of it."""

    activation: Activation
    log_p: float
    typical: float
    log_own: float
    rarity: float
    is_first: bool


@dataclass
class Result:
    """A category, or a member of a population by its least probable attributes."""

    least: Scored
    person: Hashable
    log_p: float
    score: float
    causes: list[Scored]


@dataclass
class NaivePartition:
    """All that was ever active in one partition."""

    first: int
    span_days: float
    is_population: bool
    by_repeats: bool
    past: list[Activation] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    buckets: list[float] = field(default_factory=list)

    def days(self, clock: int) -> float:
        """The age of the partition in days."""
        return (clock - self.first) * self.span_days

    def score(self, clock: int, active: Sequence[tuple[Hashable, Hashable, int]]) -> list[Scored] | None:
        """Scores the (category, person, records) of a bucket; None while there is too little to tell."""
        now = self.days(clock)
        if sum(weight_since(a.days, now) for a in self.past) < LEAST:
            return None
        fresh = [self._activation(now, *one) for one in active]
        active_persons = len({person for _, person, _ in active}) if self.is_population else 1
        return [
            self._scored(now, one, [a for a in fresh if a.category == one.category], active_persons)
            for one in fresh
        ]

    def learn(
        self,
        clock: int,
        active: Sequence[tuple[Hashable, Hashable, int]],
        scored: Sequence[Scored] | None,
    ) -> None:
        """Keeps the activations of a bucket."""
        now = self.days(clock)
        fresh = [self._activation(now, *one) for one in active]
        for k, one in enumerate(fresh):
            one.lone_p = 1.0 if scored is None else scored[k].activation.lone_p
        self.past += fresh
        chances = len({person for _, person, _ in active}) if self.is_population else 1
        self.chances += chances * [now]
        self.buckets.append(now)

    def results(self, clock: int, scored: Sequence[Scored]) -> list[Result]:
        """What is unusual: each by itself, or of a population the members, most of them not significant."""
        groups: dict[Hashable, list[Scored]] = defaultdict(list)
        for one in scored:
            key = one.activation.person if self.is_population else one.activation.category
            groups[key].append(one)
        made = []
        for group in groups.values():
            group.sort(key=lambda one: (one.log_p, -one.rarity))
            least = group[0]
            log_p = least.log_p
            if len(group) > 1:
                low = [one.log_p for one in group if one.log_p < math.log(SIGNIFICANT)] or [log_p]
                log_p = min(log_any(low, len(group)), 0.0)
            trusted = min((1.0 + self.days(clock)) / 3.0, 1.0)
            score = trusted * absolute_score(min(-log_p, -least.log_own))
            level = max(1.1 * math.exp(least.log_p), 0.05)
            causes = [one for one in group if math.exp(one.log_p) <= level][:10]
            person = least.activation.person
            made.append(Result(least, person, log_p, score, causes if self.is_population else []))
        return made

    def _activation(self, now: float, category: Hashable, person: Hashable, records: int) -> Activation:
        adds = 1.0
        if self.is_population:
            same = [a for a in self.past if (a.category, a.person) == (category, person)]
            adds = 1.0 / (1.0 + sum(weight_since(a.days, now) for a in same))
        return Activation(now, category, person, records, adds)

    def _scored(self, now: float, one: Activation, fresh: Sequence[Activation], active: int) -> Scored:
        weights: dict[Hashable, float] = defaultdict(float)
        masses: dict[Hashable, float] = defaultdict(float)
        for a in self.past:
            weights[a.category] += a.adds * weight_since(a.days, now)
            masses[a.category] += math.exp(fade(a.days) - fade(now))
        added = sum(a.adds for a in fresh)
        weight = weights.get(one.category, 0.0) + added
        total = sum(masses.values())
        up_to = sum(masses[c] for c in masses if bin_of(weights[c], now) <= bin_of(weight, now))
        before = sum(weight_since(a.days, now) for a in self.past)
        least = max(added, 1.0) / (before + max(added, 1.0))
        chances = sum(math.exp(fade(days) - fade(now)) for days in self.chances)
        usual = chances / sum(math.exp(fade(days) - fade(now)) for days in self.buckets)
        present = max(active, usual)
        p = max(
            up_to / total * (1.0 - least) + least, added * (added - 1.0) / max(present * (present - 1.0), 1.0)
        )
        one.lone_p = p = min(p, 1.0)
        if self.by_repeats and p <= RARE:
            p = self._often(now, one)
        share = min(masses.get(one.category, 0.0) / chances, 1.0)
        new = 1.0 / (chances / total * before + 1.0)
        median = self._median(now, weights, masses)
        return Scored(
            one,
            math.log(p),
            share,
            math.log(min(masses.get(one.category, 0.0) / chances * (1.0 - new) + new, 1.0)),
            median / weight,
            one.category not in weights,
        )

    def _median(self, now: float, weights: dict[Hashable, float], masses: dict[Hashable, float]) -> float:
        """The middle of the first bin up to which half of the mass lies."""
        bins = sorted((bin_of(weights[c], now), masses[c]) for c in weights)
        so_far = 0.0
        for middle, mass in bins:
            number = middle
            so_far += mass
            if so_far >= 0.5 * sum(masses.values()) * (1.0 - 1e-12):
                break
        return math.exp((number + 0.5) / BINS_PER_E - now * math.log(2.0) / HALF_LIFE)

    def _often(self, now: float, one: Activation) -> float:
        """P of being as rare and hit as often, or anything as unlikely together."""

        def bin_of_records(records: int) -> int:
            return min(math.floor(2.0 * math.log(max(records, 1))), 23)

        masses = [math.exp(fade(a.days) - fade(now)) for a in self.past]
        share = [0.0] * 24
        for a, mass in zip(self.past, masses, strict=True):
            k = bin_of_records(a.records)
            share[k] += 20.0 * mass / sum(masses) + (mass if a.lone_p <= RARE else 0.0)
        here = bin_of_records(one.records)
        share[here] += 1.0
        whole = sum(share)
        x = one.lone_p / RARE * clip(sum(share[here:]) / whole, 0.0, 1.0)
        tails = [sum(share[k:]) / whole for k in range(24)]
        chance = sum(share[k] / whole * min(x / tails[k], 1.0) for k in range(24) if share[k] > 0.0)
        return RARE * min(chance, 1.0)


class NaiveRare:
    """A whole detector: partitions by name, buckets in order."""

    def __init__(self, span_days: float, *, is_population: bool, by_repeats: bool) -> None:
        self._settings = (span_days, is_population, by_repeats)
        self.partitions: dict[Hashable, NaivePartition] = {}

    def bucket(
        self, clock: int, active: dict[Hashable, list[tuple[Hashable, Hashable, int]]], learn: bool = True
    ) -> dict[Hashable, list[Result] | None]:
        """The results of a bucket, partition by partition; None for one that is too young."""
        found: dict[Hashable, list[Result] | None] = {}
        for name, what in active.items():
            known = self.partitions.get(name) or NaivePartition(clock, *self._settings)
            scored = known.score(clock, what)
            found[name] = None if scored is None else known.results(clock, scored)
            if learn:
                self.partitions[name] = known
                known.learn(clock, what, scored)
        return found
