"""The population kernels by themselves: against the naive twin, and calibrated on laws that are known."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.naive_population import Crowd, Settings, Shares
from tests.population_run import COLUMNS, DAY, HOUR_MS, LAWS, START, CrowdRun, crowd_cells

LOG_P, SCORE, TYPICAL, LOWER, UPPER = range(len(COLUMNS))


@dataclass
class Drawn:
    """Cells by bucket and member, what the crowd is told, and how they were drawn."""

    cells: tuple[np.ndarray, np.ndarray, np.ndarray] = field(repr=False)
    settings: Settings
    how: tuple[Any, ...]


@st.composite
def crowds(draw: st.DrawFn) -> Drawn:
    """Cells of a crowd with gaps, values that are none and outliers; and what the crowd is told."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    law = draw(st.sampled_from(sorted(LAWS)))
    n_members = draw(st.sampled_from((2, 7, 40)))
    wave, activity = draw(st.sampled_from((0.0, 0.9))), draw(st.sampled_from((0.3, 1.0)))
    n_buckets = draw(st.integers(5, 90))
    bucket, member, value = crowd_cells(law, n_members, n_buckets, seed=seed, wave=wave, activity=activity)
    assume(len(value) > 0)
    odd = random.random(len(value))
    value[odd < 0.02] *= 40.0
    value[odd > 0.99] = np.nan
    value[(odd > 0.97) & (odd < 0.98)] = 0.0
    unit = draw(st.sampled_from((1.0, 1e-4, 1e6)))
    late, gap = draw(st.integers(1, 90)), draw(st.sampled_from((0, 1, 30, 400)))
    bucket[bucket > START + late] += gap
    side, counts = draw(st.sampled_from((-1, 0, 1))), draw(st.booleans())
    span = draw(st.sampled_from((60_000, HOUR_MS, 24 * HOUR_MS)))
    settings = Settings(span, side, counts, draw(st.sampled_from((0, 200))))
    how = (seed, law, n_members, n_buckets, wave, activity, unit, late, gap)
    return Drawn((bucket, member, value * unit), settings, how)


def _twin(cells: tuple[Any, ...], settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """What the twin says of the cells: shares, and rows of COLUMNS."""
    bucket, member, value = cells
    crowd, shares = Crowd(settings), Shares(settings.span_ms)
    rows = np.full((len(bucket), len(COLUMNS)), np.nan)
    share_c = np.empty(len(bucket))
    for b in np.unique(bucket):
        at = np.flatnonzero(bucket == b)
        share = shares.of(member[at].tolist(), int(b))
        values = {member[i]: float(value[i]) for i in at if math.isfinite(value[i])}
        found = crowd.observe(int(b), int(b), values, share)
        for i in at:
            share_c[i] = share[member[i]]
            if member[i] in found:
                judged = found[member[i]]
                rows[i] = (judged.log_p, judged.score, judged.typical, judged.lower, judged.upper)
    return share_c, rows


@given(crowds())
def test_kernel_agrees_with_the_naive_twin(drawn: Drawn) -> None:
    """Probabilities, scores and bounds of all members are those of the twin."""
    cells, settings = drawn.cells, drawn.settings
    run = CrowdRun(settings.span_ms, side=settings.side, counts=settings.counts, prune=settings.prune)
    ours = run.feed(*cells)
    share_c, twins = _twin(cells, settings)
    np.testing.assert_allclose(run.shares, share_c, rtol=1e-9)
    np.testing.assert_allclose(ours[:, LOG_P], twins[:, LOG_P], rtol=1e-6, atol=1e-7)
    told = ours[:, LOG_P] <= math.log(0.05)
    np.testing.assert_allclose(ours[told], twins[told], rtol=1e-6, atol=1e-9)


def _shares_below(log_p: np.ndarray, weight: np.ndarray, *levels: float) -> list[float]:
    """Which multiple of its nominal share of the p lies below each level."""
    is_scored = ~np.isnan(log_p)
    weight = weight * is_scored
    below = [(np.where(is_scored, log_p, 0.0) < math.log(level)) for level in levels]
    return [float((weight * b).sum() / weight.sum() / p) for b, p in zip(below, levels, strict=True)]


@pytest.mark.parametrize("law", sorted(LAWS))
@pytest.mark.parametrize(("n_members", "n_buckets"), [(50, 20 * DAY), (1000, 15 * DAY), (5000, 8 * DAY)])
def test_probabilities_are_calibrated(law: str, n_members: int, n_buckets: int) -> None:
    """Whatever the members do, p below 0.01 and 0.001 come at their rate or less, a wave a day or not."""
    for wave in (0.0, 0.6):
        bucket, member, value = crowd_cells(law, n_members, n_buckets, wave=wave)
        log_p = CrowdRun(counts=law == "poisson").feed(bucket, member, value)[:, LOG_P]
        late = bucket >= START + n_buckets // 3
        for part in (late, ~late):
            hundredth, thousandth = _shares_below(log_p[part], np.ones(part.sum()), 0.01, 0.001)
            assert hundredth < 1.2, (wave, hundredth)
            assert thousandth < 1.5, (wave, thousandth)


@pytest.mark.parametrize("law", ["lognormal", "normal", "poisson", "pareto"])
def test_probabilities_are_not_overly_cautious(law: str) -> None:
    """Of laws without an end, p below 0.01 come at least at two fifths of their rate."""
    bucket, member, value = crowd_cells(law, 1000, 15 * DAY)
    log_p = CrowdRun().feed(bucket, member, value)[:, LOG_P]
    [hundredth] = _shares_below(log_p[bucket >= START + 5 * DAY], np.ones(1), 0.01)
    assert hundredth > 0.4


def test_probabilities_are_those_of_a_random_member() -> None:
    """With members of all activities p is calibrated by their shares, though the busy ones are different."""
    random = np.random.default_rng(2)
    activity = np.exp(random.uniform(math.log(0.02), math.log(0.5), 1000))
    activity[:10] = 1.0
    bucket, member, value = crowd_cells("normal", 1000, 15 * DAY, activity=activity)
    value[member < 10] *= 20.0
    late = bucket >= START + 5 * DAY
    run = CrowdRun()
    log_p = run.feed(bucket, member, value)[:, LOG_P]
    hundredth, thousandth = _shares_below(log_p[late], run.shares[late], 0.01, 0.001)
    assert 0.3 < hundredth < 1.5
    assert thousandth < 1.5
    busy = member[late] < 10
    assert np.median(log_p[late][busy]) < math.log(0.05)
    unfair = CrowdRun().feed(bucket, member, value, fair=False)[:, LOG_P]
    assert np.median(unfair[late][busy]) > np.median(log_p[late][busy])


def test_a_member_that_is_always_active_counts_as_much_as_the_mean_member() -> None:
    """Shares make the weight of a busy member that of the mean one; others count in full."""
    activity = np.full(100, 0.1)
    activity[0] = 1.0
    bucket, member, value = crowd_cells("normal", 100, 10 * DAY, activity=activity)
    run = CrowdRun()
    run.feed(bucket, member, value)
    counts = np.bincount(member)
    late = bucket > START + 5 * DAY
    assert run.shares[late & (member == 0)].max() < 1.5 * np.mean(counts) / counts[0] * 2.0
    assert np.mean(run.shares[late & (member > 0)]) > 0.85


def test_a_young_crowd_is_not_scored_and_then_not_sure() -> None:
    """Two buckets score nobody; what nobody ever did in three buckets is not thought to be impossible."""
    bucket, member, value = crowd_cells("normal", 200, 4, activity=1.0, wave=0.0)
    value[(bucket == START + 3) & (member == 7)] *= 3.0
    log_p = CrowdRun().feed(bucket, member, value)[:, LOG_P]
    assert np.isnan(log_p[bucket < START + 3]).all()
    odd = log_p[(bucket == START + 3) & (member == 7)]
    assert math.log(1e-8) < odd < math.log(0.01)


@pytest.mark.parametrize("law", sorted(set(LAWS) - {"bimodal"}))
@pytest.mark.parametrize("n_members", [50, 1000])
def test_a_planted_member_comes_out_first(law: str, n_members: int) -> None:
    """A member a hundred times above the usual is the least probable of its bucket.

    Its score is high unless members come as high all the time.
    """
    bucket, member, value = crowd_cells(law, n_members, 10 * DAY, activity=1.0)
    at = np.flatnonzero((bucket == START + 8 * DAY) & (member == 3))[0]
    value[at] = 1000.0
    found = CrowdRun().feed(bucket, member, value)
    same = bucket == bucket[at]
    assert found[at, LOG_P] == found[same, LOG_P].min() < math.log(2e-3)
    assert found[at, SCORE] == np.nanmax(found[same, SCORE])
    assert found[at, SCORE] > 50.0 or law in ("lognormal", "pareto")
    assert found[at, LOWER] <= found[at, TYPICAL] <= found[at, UPPER] < 1000.0


def test_sides() -> None:
    """One side finds only what it is asked for, with the p of both sides."""
    bucket, member, value = crowd_cells("normal", 100, 10 * DAY, activity=1.0)
    high = (bucket == START + 8 * DAY) & (member == 3)
    low = (bucket == START + 8 * DAY) & (member == 4)
    value[high] *= 5.0
    value[low] /= 5.0
    both, above, below = (CrowdRun(side=side).feed(bucket, member, value)[:, LOG_P] for side in (0, 1, -1))
    assert both[high] == above[high] < math.log(1e-4)
    assert both[low] == below[low] < math.log(1e-4)
    assert below[high] == above[low] == 0.0


def test_members_that_are_all_alike() -> None:
    """Where all do the same nobody is unusual, and who does something else is; whatever the unit."""
    for unit in (1e-9, 1.0, 1e9):
        bucket, member, value = crowd_cells("normal", 50, 5 * DAY, activity=1.0)
        value[:] = 3.0 * unit
        odd = (bucket == START + 4 * DAY) & (member == 3)
        value[odd] = 6.0 * unit
        log_p = CrowdRun().feed(bucket, member, value)[:, LOG_P]
        assert log_p[odd] < math.log(1e-4)
        assert np.nanmin(log_p[~odd]) > math.log(0.5)


def test_zeros_alone_are_no_error() -> None:
    """A crowd of zeros is scored; the first that is not zero is unusual."""
    bucket, member, value = crowd_cells("normal", 50, 3 * DAY, activity=1.0)
    value[:] = 0.0
    odd = (bucket == START + 2 * DAY) & (member == 3)
    value[odd] = 5.0
    log_p = CrowdRun().feed(bucket, member, value)[:, LOG_P]
    assert log_p[odd] < math.log(1e-3)


@given(crowds(), st.floats(0.0, 1.0))
def test_interim_kernel_agrees_with_the_naive_twin(drawn: Drawn, completeness: float) -> None:
    """What an open bucket is, as far as it has come, is what the twin makes of it."""
    bucket, member, value = drawn.cells
    settings = drawn.settings
    now = bucket == bucket[-1]
    if now.all():
        return
    run = CrowdRun(settings.span_ms, side=settings.side, counts=settings.counts, prune=settings.prune)
    run.feed(bucket[~now], member[~now], value[~now])
    crowd, shares = Crowd(settings), Shares(settings.span_ms)
    for b in np.unique(bucket[~now]):
        at = bucket == b
        share = shares.of(member[at].tolist(), int(b))
        finite = {m: x for m, x in zip(member[at].tolist(), value[at].tolist(), strict=True) if x == x}
        crowd.observe(int(b), int(b), finite, share)
    ours = run.feed(bucket[now], member[now], value[now], learn=False, completeness=completeness)
    values = {m: x for m, x in zip(member[now].tolist(), value[now].tolist(), strict=True) if x == x}
    found = crowd.observe(int(bucket[-1]), int(bucket[-1]), values, {}, completeness)
    twins = [found[m].log_p if m in found else math.nan for m in member[now].tolist()]
    np.testing.assert_allclose(ours[:, LOG_P], twins, rtol=1e-6, atol=1e-7)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(LAWS)), st.lists(st.integers(0, 60), max_size=6))
def test_cuts_into_calls_change_nothing(seed: int, law: str, cuts: list[int]) -> None:
    """Buckets in several calls give what they give in one, to the last bit."""
    bucket, member, value = crowd_cells(law, 20, 60, seed=seed)
    whole = CrowdRun()
    expected = whole.feed(bucket, member, value)
    run, parts = CrowdRun(), []
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        part = (bucket >= START + first) & (bucket < START + last)
        if part.any():
            parts.append(run.feed(bucket[part], member[part], value[part]))
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    np.testing.assert_array_equal(run.state, whole.state)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(LAWS)))
def test_who_is_who_does_not_matter(seed: int, law: str) -> None:
    """Members that are numbered in another order are scored the same, to rounding."""
    bucket, member, value = crowd_cells(law, 20, 60, seed=seed)
    other = np.random.default_rng(seed).permutation(20)[member]
    order = np.lexsort((other, bucket))
    one = CrowdRun().feed(bucket, member, value)
    two = np.empty_like(one)
    two[order] = CrowdRun().feed(bucket[order], other[order], value[order])
    np.testing.assert_allclose(two[:, LOG_P], one[:, LOG_P], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**20])
def test_the_unit_does_not_matter(unit: float) -> None:
    """Values in another unit have the same probabilities and scores."""
    bucket, member, value = crowd_cells("lognormal", 30, 5 * DAY)
    one, two = CrowdRun().feed(bucket, member, value), CrowdRun().feed(bucket, member, value * unit)
    np.testing.assert_allclose(two[:, LOG_P], one[:, LOG_P], rtol=1e-6, atol=1e-7)
    told = one[:, LOG_P] < math.log(0.05)
    np.testing.assert_allclose(two[told, TYPICAL], one[told, TYPICAL] * unit, rtol=1e-6)
    np.testing.assert_allclose(two[told, SCORE], one[told, SCORE], rtol=1e-6)


def test_interim_calls_change_nothing() -> None:
    """A call that does not learn leaves states as they are, and says what one that learns would have."""
    bucket, member, value = crowd_cells("lognormal", 50, 5 * DAY)
    now = bucket == bucket[-1]
    run = CrowdRun(grows=False)
    run.feed(bucket[~now], member[~now], value[~now])
    before = copy.deepcopy((run.state, run.crowd, run.members))
    interim = run.feed(bucket[now], member[now], value[now], learn=False)
    for was, state in zip(before, (run.state, run.crowd, run.members), strict=True):
        np.testing.assert_array_equal(was, state)
    np.testing.assert_array_equal(interim, run.feed(bucket[now], member[now], value[now]))


@pytest.mark.parametrize("completeness", [0.1, 1.0])
def test_a_bucket_that_has_just_begun_is_not_low(completeness: float) -> None:
    """Where nearly all have a tenth of the usual nobody is low; who has ten times the usual is high.

    That is so too if the records of that one make the bucket as full as usual.
    """
    bucket, member, value = crowd_cells("normal", 50, 5 * DAY, activity=1.0, wave=0.0)
    run = CrowdRun()
    run.feed(bucket, member, value)
    now = np.full(50, START + 5 * DAY)
    early = np.full(50, 1.0)
    early[3] = 100.0
    run_on = copy.deepcopy(run)
    as_whole = run_on.feed(now, np.arange(50), early)[:, LOG_P]
    as_begun = run.feed(now, np.arange(50), early, learn=False, completeness=completeness)[:, LOG_P]
    assert np.delete(as_whole, 3).max() < math.log(1e-3)
    assert np.delete(as_begun, 3).min() > math.log(0.2)
    assert as_begun[3] == as_whole[3] < math.log(1e-4)


def test_a_crowd_that_was_idle_for_longer_than_the_prune_window_begins_anew() -> None:
    """After the gap nobody is scored for three buckets, as in the beginning."""
    bucket, member, value = crowd_cells("normal", 50, 2 * DAY, activity=1.0)
    bucket[bucket >= START + DAY] += 10 * DAY
    pruned, kept = CrowdRun(prune=5.0 * DAY), CrowdRun(prune=20.0 * DAY)
    again = (bucket >= START + 11 * DAY) & (bucket < START + 11 * DAY + 3)
    assert np.isnan(pruned.feed(bucket, member, value)[again, LOG_P]).all()
    assert not np.isnan(kept.feed(bucket, member, value)[again, LOG_P]).any()


def test_extreme_values_train_little() -> None:
    """A member that is odd for a day stays odd, and the bounds of all others stay what they were."""
    bucket, member, value = crowd_cells("normal", 200, 12 * DAY, activity=1.0)
    odd = (bucket >= START + 10 * DAY) & (bucket < START + 11 * DAY) & (member == 3)
    clean, attacked = CrowdRun(), CrowdRun()
    clean.feed(bucket, member, value)
    value[odd] *= 10.0
    found = attacked.feed(bucket, member, value)
    assert found[odd, LOG_P].max() < math.log(1e-2)
    now = np.full(1, START + 12 * DAY)
    one, two = (run.feed(now, np.zeros(1), np.full(1, 30.0), learn=False)[0] for run in (clean, attacked))
    assert two[UPPER] == pytest.approx(one[UPPER], rel=0.05)
    assert two[TYPICAL] == pytest.approx(one[TYPICAL], rel=0.02)


@pytest.mark.parametrize("value", [1e308, -1e308, 1e-300, 0.0])
def test_values_at_the_edge_of_what_a_double_holds(value: float) -> None:
    """They are scored like any others, and the crowd goes on."""
    bucket, member, values = crowd_cells("either sign", 50, 5 * DAY, activity=1.0)
    values[(bucket == START + 3 * DAY) & (member == 3)] = value
    found = CrowdRun().feed(bucket, member, values)
    assert np.isfinite(found[bucket >= START + 3, LOG_P]).all()
    assert (found[bucket > START + 3 * DAY, LOG_P] > math.log(1e-9)).all()


def test_a_crowd_that_spans_all_that_a_double_holds() -> None:
    """Members that differ by hundreds of powers of ten are scored too: all that is told is finite."""
    bucket, member, values = crowd_cells("normal", 50, 5 * DAY, activity=1.0)
    values[member % 2 == 0] = 1e-200
    values[member % 2 == 1] *= 1e300
    values[(bucket > START + 3 * DAY) & (member == 3)] = -1e300
    found = CrowdRun().feed(bucket, member, values)
    assert np.isfinite(found[bucket >= START + 3, LOG_P]).all()
    told = found[found[:, LOG_P] <= math.log(0.05)]
    assert len(told)
    assert np.isfinite(told).all()
