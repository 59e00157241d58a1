"""Rare by values: the twin's numbers, calibrated probabilities, and what users expect of them."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Hashable

import numpy as np
import pytest
from tests.naive_rare import NaiveRare, Result
from tests.rare_run import KINDS, SPAN_MS, Active, Kind, RareRun, passes, stream

from tidegate.analysis import Finding
from tidegate.cells import F64, I64
from tidegate.keys import MemberSpace
from tidegate.timeline import DAY_MS

Key = tuple[int, int, Hashable]


def of_twin(kind: Kind, rows: list[Active]) -> tuple[dict[Key, Result], dict[int, int], dict[int, float]]:
    """The twin's results by (bucket, partition, person or by value), and number and least log p by bucket."""
    twin = NaiveRare(
        kind.span_ms / DAY_MS, is_population=kind.is_population, by_repeats=kind.function == "freq_rare"
    )
    by_bucket: dict[int, dict[Hashable, list[tuple[Hashable, Hashable, int]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        by_bucket[row.bucket][row.partition].append((row.by, row.over, row.records))
    found, scored, least = {}, defaultdict(int), defaultdict(float)
    for bucket in sorted(by_bucket):
        for partition, made in twin.bucket(bucket, by_bucket[bucket]).items():
            for one in made or ():
                scored[bucket] += 1
                least[bucket] = min(least[bucket], one.log_p)
                name = one.person if kind.is_population else one.least.activation.category
                if one.log_p < math.log(0.01):
                    found[bucket, partition, name] = one
    return found, scored, least


def by_key(run: RareRun, finding: Finding) -> dict[Key, dict[str, float]]:
    """The results of a finding by (bucket, partition, person or by value)."""
    scored = finding.scored
    by, over = run.keys.by_codes(scored.series_r) - 1, run.keys.over_codes(scored.series_r) - 1
    partition = run.keys.partition_codes(scored.series_r) - 1 if run.keys.partition else np.zeros(len(scored))
    names = over if isinstance(run.keys, MemberSpace) else by
    columns = ("log_p_r", "typical_r", "score_r", "rarity_r", "is_first_r", "actual_r")
    return {
        (int(scored.bucket_r[r]), int(partition[r]), int(names[r])): {
            name: float(getattr(scored, name)[r]) for name in columns
        }
        for r in range(len(scored))
    }


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_twin_finds_the_same(name: str, seed: int) -> None:
    """Results, causes and what was scored are those of the twin, which keeps every activation."""
    kind, rng = KINDS[name], random.Random(seed)
    rows = stream(rng, kind, 180)
    expected, n_scored, least = of_twin(kind, rows)
    run = RareRun(kind)
    ours: dict[Key, dict[str, float]] = {}
    causes: dict[Key, list[tuple[int, float, float, float]]] = {}
    for begin, end, part in passes(rng, rows, 5):
        finding = run.run(part, begin, end)
        found = by_key(run, finding)
        ours |= found
        for at in range(end - begin):
            assert finding.scored.scored_b[at] == n_scored[begin + at]
            assert finding.scored.min_log_p_b[at] == pytest.approx(least[begin + at], rel=1e-9, abs=1e-12)
        if finding.causes is not None:
            keys = list(found)
            assert isinstance(run.keys, MemberSpace)
            by = run.keys.attributes.by_codes(finding.causes.attribute) - 1
            for k in range(len(finding.causes)):
                c = finding.causes
                told = int(by[k]), float(c.log_p[k]), float(c.actual[k]), float(c.typical[k])
                causes.setdefault(keys[c.result_r[k]], []).append(told)
    assert ours.keys() == expected.keys()
    assert ours
    for key, result in ours.items():
        twin = expected[key]
        wanted = {
            "log_p_r": twin.log_p,
            "typical_r": twin.least.typical,
            "rarity_r": twin.least.rarity,
            "score_r": twin.score,
            "is_first_r": float(twin.least.is_first),
            "actual_r": 1.0,
        }
        assert result == pytest.approx(wanted, rel=1e-9, abs=1e-12), key
        told = causes.get(key, [])
        assert [one[1] for one in told] == pytest.approx([one.log_p for one in twin.causes], abs=1e-12)
        if len({one.log_p for one in twin.causes}) == len(twin.causes):  # else their order is that of keys
            actual = [one.activation.records if kind.function == "freq_rare" else 1 for one in twin.causes]
            assert [one[0] for one in told] == [one.activation.category for one in twin.causes]
            assert [one[2] for one in told] == actual
            assert [one[3] for one in told] == pytest.approx([one.typical for one in twin.causes])


# What probabilities mean


def everyday(rng: np.random.Generator, draw: Callable[[], I64], buckets: int, partitions: int = 30) -> I64:
    """Rows of by values that ``draw`` gives for each partition: as many for every bucket, once each."""
    rows = []
    for partition in range(partitions):
        by = draw()
        bucket = np.repeat(np.arange(buckets), len(by) // buckets)
        rows.append(np.stack([bucket, by, 0 * by, 0 * by + partition, 0 * by + 1], axis=1))
    return np.unique(np.concatenate(rows), axis=0)


def shares(kind: Kind, rows: I64) -> tuple[int, F64]:
    """How many were scored, and the p of those below 0.01."""
    run = RareRun(kind)
    finding = run.run_columns(rows, int(rows[:, 0].min()), int(rows[:, 0].max()) + 1)
    return int(finding.scored.scored_b.sum()), np.exp(finding.scored.log_p_r)


BUCKETS, EACH = 800, 8
N = BUCKETS * EACH


def zipf(rng: np.random.Generator, size: int, exponent: float) -> I64:
    """By values of a fixed vocabulary, the k-th of them drawn with a probability like k^-exponent."""
    weight = np.arange(1.0, size + 1.0) ** -exponent
    return rng.choice(size, N, p=weight / weight.sum())


def growing(rng: np.random.Generator, newness: float) -> I64:
    """A vocabulary that grows like the logarithm of its use: the restaurant process."""
    new = np.flatnonzero(rng.random(N) < newness / (newness + np.arange(N)))
    earlier = (rng.random(N) * np.arange(N)).astype(np.int64)
    by = np.full(N, -1)
    by[new] = np.arange(len(new))
    by[0] = 0
    for k in range(1, N):
        if by[k] < 0:
            by[k] = by[earlier[k]]
    return by


def with_intruders(rng: np.random.Generator, every: int) -> I64:
    """Ten by values of equal right, and once in so many activations one never seen before."""
    return np.where(rng.random(N) < 1.0 / every, 1000 + np.arange(N), rng.integers(0, 10, N))


STATIONARY: dict[str, Callable[[np.random.Generator], I64]] = {
    "Zipf 1, 1000 values": lambda rng: zipf(rng, 1000, 1.0),
    "Zipf 1.5, 100 values": lambda rng: zipf(rng, 100, 1.5),
    "Zipf 2, 1000 values": lambda rng: zipf(rng, 1000, 2.0),
    "growing by 5": lambda rng: growing(rng, 5.0),
    "growing by 50": lambda rng: growing(rng, 50.0),
    "10 values": lambda rng: rng.integers(0, 10, N),
    "10 values, intruders 1 in 300": lambda rng: with_intruders(rng, 300),
    "10 values, intruders 1 in 3000": lambda rng: with_intruders(rng, 3000),
}


@pytest.mark.parametrize("name", STATIONARY)
def test_p_is_a_probability(name: str) -> None:
    """Of activations that are drawn alike, p < alpha comes with a share of alpha at most, to chance."""
    rng = np.random.default_rng(7)
    scored, p = shares(Kind(is_partitioned=True), everyday(rng, lambda: STATIONARY[name](rng), BUCKETS))
    assert scored > 50_000
    for alpha in (0.01, 0.003, 0.001, 0.0003):
        found = float(np.count_nonzero(p < alpha))
        assert found <= alpha * scored + 3.0 * math.sqrt(alpha * scored), (alpha, found / scored / alpha)


@pytest.mark.parametrize("every", [300, 1000])
def test_p_of_what_is_new_is_how_often_that_happens(every: int) -> None:
    """Where something new comes once in so many activations, that is about its probability."""
    rng = np.random.default_rng(11)
    rows = everyday(rng, lambda: with_intruders(rng, every), BUCKETS)
    scored, p = shares(Kind(is_partitioned=True), rows)
    assert len(p) == pytest.approx(scored * (rows[:, 1] >= 1000).mean(), rel=0.1)
    assert 0.9 < p.mean() / (rows[:, 1] >= 1000).mean() < 1.6


def test_p_of_what_is_new_is_small_where_nothing_ever_is() -> None:
    """In a vocabulary that never grew p of a new value is one over the activations so far."""
    rows = [Active(bucket, by) for bucket in range(500) for by in range(10)] + [Active(500, 77)]
    finding = RareRun(Kind()).run(rows, 0, 501)
    assert len(finding.scored) == 1
    weight = 10.0 * sum(0.5 ** ((500 - b) * SPAN_MS / DAY_MS / 90.0) for b in range(500))
    assert math.exp(finding.scored.log_p_r[0]) == pytest.approx(1.0 / (weight + 1.0))


def test_where_something_is_always_new_nothing_is_rare() -> None:
    """A partition of values that come only once has no results, however many it has seen."""
    finding = RareRun(Kind()).run([Active(k // 5, k) for k in range(3000)], 0, 600)
    assert finding.scored.scored_b.sum() > 2000
    assert len(finding.scored) == 0


def test_a_burst_of_new_values_on_the_first_day_is_forgotten() -> None:
    """A thousand values that came only on the first day do not make a new one likely ten days later."""
    day = DAY_MS // SPAN_MS
    once = [Active(k % day, 1000 + k) for k in range(1000)]
    usual = [Active(bucket, by) for bucket in range(10 * day) for by in range(10)]
    finding = RareRun(Kind()).run([*once, *usual, Active(10 * day, 77)], 0, 10 * day + 1)
    assert finding.scored.bucket_r.tolist() == [10 * day]
    assert math.exp(finding.scored.log_p_r[0]) < 0.008
    assert 1000 / len([*once, *usual]) > 0.09  # what the share of singletons would say


def test_new_values_in_one_bucket_do_not_excuse_each_other() -> None:
    """Twenty new values at once are as improbable, each, as one."""
    usual = [Active(bucket, by) for bucket in range(500) for by in range(10)]
    one = RareRun(Kind()).run([*usual, Active(500, 77)], 0, 501)
    many = RareRun(Kind()).run([*usual, *(Active(500, 77 + k) for k in range(20))], 0, 501)
    assert many.scored.log_p_r.tolist() == 20 * one.scored.log_p_r.tolist()


def test_what_comes_now_and_then_scores_low() -> None:
    """A value seen in every tenth bucket is improbable among forty others, but no surprise."""
    usual = [Active(bucket, by) for bucket in range(600) for by in range(40)]
    weekly = [Active(bucket, 50) for bucket in range(5, 600, 10)]
    finding = RareRun(Kind()).run([*usual, *weekly, Active(599, 60)], 0, 600)
    score = {int(s): float(v) for s, v in zip(finding.scored.series_r, finding.scored.score_r, strict=True)}
    typical = finding.scored.typical_r[finding.scored.typical_r > 0.0]
    assert typical[-1] == pytest.approx(0.1, abs=0.02)
    assert min(score.values()) < 25.0 < 60.0 < max(score.values())


def test_it_tells_first_from_seldom() -> None:
    """The first occurrence is said to be one, the second is not; what is rarer has the larger rarity."""
    usual = [Active(bucket, by) for bucket in range(400) for by in range(5)]
    finding = RareRun(Kind()).run([*usual, Active(300, 77), Active(390, 77)], 0, 400)
    assert finding.scored.bucket_r.tolist() == [300, 390]
    assert finding.scored.is_first_r.tolist() == [1.0, 0.0]
    assert finding.scored.rarity_r[0] == pytest.approx(300.0, rel=0.15)
    assert finding.scored.rarity_r[1] == pytest.approx(195.0, rel=0.15)


# Populations


def crowd(rng: random.Random, buckets: int, repeats: Callable[[], int] = lambda: 1) -> list[Active]:
    """Forty members with four of ten attributes in every bucket."""
    return [
        Active(bucket, by, over, 0, repeats())
        for bucket in range(buckets)
        for over in range(40)
        for by in rng.sample(range(10), 4)
    ]


def of_person(run: RareRun, finding: Finding, person: int) -> list[float]:
    """The p of the results of a member."""
    over = run.keys.over_codes(finding.scored.series_r) - 1
    return [math.exp(p) for p, who in zip(finding.scored.log_p_r, over, strict=True) if who == person]


def test_an_attribute_that_all_take_up_at_once_is_not_rare() -> None:
    """A new attribute is rare in one member, not in a bucket in which every member has it."""
    rows = crowd(random.Random(1), 50)
    one = RareRun(Kind(is_population=True)).run([*rows, Active(50, 77, 3)], 0, 51)
    all_of_them = RareRun(Kind(is_population=True)).run(
        [*rows, *(Active(50, 77, over) for over in range(40))], 0, 51
    )
    assert (one.scored.scored_b[50], all_of_them.scored.scored_b[50]) == (1, 40)
    assert (len(one.scored), len(all_of_them.scored)) == (1, 0)


def test_the_habit_of_one_member_stays_rare_in_others() -> None:
    """An attribute that one member has all day is as good as new in the second, not as common as it is."""
    rows = [*crowd(random.Random(2), 100), *(Active(bucket, 77, 3) for bucket in range(100))]
    run = RareRun(Kind(is_population=True))
    finding = run.run([*rows, Active(100, 77, 4), Active(100, 3, 5)], 0, 101)
    (p,) = of_person(run, finding, 4)
    assert p == pytest.approx(100 / len(rows), rel=0.3)
    assert of_person(run, finding, 5) == []


def test_a_member_is_explained_by_its_rare_attributes() -> None:
    """Its causes are its least probable attributes, those that are common not among them."""
    rows = crowd(random.Random(3), 100)
    run = RareRun(Kind(is_population=True))
    odd = [Active(100, 77, 4), Active(100, 78, 4), Active(100, 2, 4), Active(100, 3, 4)]
    finding = run.run([*rows, *odd], 0, 101)
    assert isinstance(run.keys, MemberSpace)
    assert finding.causes is not None
    assert (run.keys.attributes.by_codes(finding.causes.attribute) - 1).tolist() == [77, 78]
    assert len(of_person(run, finding, 4)) == 1
    assert finding.causes.typical.tolist() == [0.0, 0.0]


def test_often_is_less_probable_than_once() -> None:
    """A member that hits a rare attribute often is less probable than one that does once."""
    rng = random.Random(4)
    rows = crowd(rng, 60, lambda: rng.choice((1, 1, 1, 2, 4)))
    found = []
    for records in (1, 10, 1000):
        run = RareRun(Kind("freq_rare", is_population=True))
        finding = run.run([*rows, Active(60, 77, 4, 0, records)], 0, 61)
        found += of_person(run, finding, 4)
    assert found[0] > 5.0 * found[1] > 5.0 * found[2] / 1.001


def test_what_is_seldom_may_be_hit_too_often() -> None:
    """An attribute of a few members that none ever hit so often is unusual, and told with its own numbers."""
    rows = [*crowd(random.Random(6), 100), *(Active(b, 77, over) for b in range(100) for over in range(10))]
    finding = RareRun(Kind("freq_rare", is_population=True)).run([*rows, Active(100, 77, 3, 0, 500)], 0, 101)
    assert finding.causes is not None
    assert finding.causes.actual.tolist() == [500.0]
    assert finding.causes.typical[0] == pytest.approx(0.25, abs=0.01)
    assert (finding.scored.typical_r[0], finding.scored.is_first_r[0]) == (finding.causes.typical[0], 0.0)


def test_without_repeats_frequency_does_not_matter() -> None:
    """Where every activation has one record, ``freq_rare`` has the probabilities of ``rare``."""
    rows = [*crowd(random.Random(5), 60), Active(60, 77, 4), Active(60, 77, 5), Active(60, 78, 5)]
    ours, theirs = (
        RareRun(Kind(function, is_population=True)).run(rows, 0, 61) for function in ("rare", "freq_rare")
    )
    assert len(ours.scored) == 2
    assert theirs.scored.log_p_r == pytest.approx(ours.scored.log_p_r, rel=1e-9)


REPEATS: dict[str, Callable[[np.random.Generator, I64], F64]] = {
    "alike": lambda rng, by: rng.geometric(0.3, len(by)).astype(float),
    "heavy": lambda rng, by: np.ceil(rng.pareto(1.2, len(by)) + 0.01),
    "more of the rare": lambda rng, by: np.ceil(rng.exponential(1.0 + by)),
    "less of the rare": lambda rng, by: np.ceil(rng.exponential(20.0 / (1.0 + by))),
}


@pytest.mark.parametrize("name", REPEATS)
def test_p_of_frequency_is_a_probability(name: str) -> None:
    """However often common and rare attributes are usually hit, p < alpha has a share of alpha at most."""
    rng = np.random.default_rng(13)
    n = 60_000
    weight = np.arange(1.0, 61.0) ** -1.8
    by = rng.choice(60, n, p=weight / weight.sum())
    rows = np.stack([np.arange(n) // 100, by, rng.integers(0, 50, n), 0 * by, REPEATS[name](rng, by)], axis=1)
    _, first = np.unique(rows[:, :3], axis=0, return_index=True)
    scored, p = shares(Kind("freq_rare", is_population=True), rows[first].astype(np.int64))
    assert scored > 20_000
    for alpha in (0.01, 0.003, 0.001):
        assert np.count_nonzero(p < alpha) <= alpha * scored + 3.0 * math.sqrt(alpha * scored)
    assert len(p) > 0
