"""What the per-series model promises about time, open buckets, sides, scores and idle series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests import model_run
from tests.model_run import ACTUAL, BUCKET, LOG_P, SCORE, START, TYPICAL, WEEK, ModelRun, seasonal

from tidegate import JobConfig
from tidegate.config.functions import FUNCTIONS
from tidegate.model import FeatureModel
from tidegate_kernels import model

RARE, PLAIN = np.log(1e-4), np.log(0.05)


def quiet(n: int, seed: int = 11) -> np.ndarray:
    """One series of normal noise: 100 with a standard deviation of 5."""
    return np.random.default_rng(seed).normal(100, 5, (1, n))


def test_a_skipped_gap_ages_nothing() -> None:
    """A gap of whole weeks with a matching clock offset leaves no trace: not a bit differs."""
    values = seasonal(2, 700)
    whole, gap = ModelRun(2, prune_buckets=100), ModelRun(2, prune_buckets=100)
    for run, weeks in ((whole, 0), (gap, 3)):
        run.feed(values[:, :400], START)
        run.feed(values[:, 400:], START + 400 + weeks * WEEK, clock_offset=weeks * WEEK)
    assert [row[1:] for row in whole.rows] == [row[1:] for row in gap.rows]
    assert len(whole.rows) > 1000
    assert np.array_equal(whole.state, gap.state)


def test_a_gap_that_is_not_skipped_prunes() -> None:
    """Without the offset the same gap is idle time, and the series starts afresh after it."""
    values = seasonal(1, 500)
    run, fresh = ModelRun(1, prune_buckets=100), ModelRun(1, prune_buckets=100)
    run.feed(values[:, :400], START)
    after = run.feed(values[:, 400:], START + 400 + WEEK)
    assert np.array_equal(after, fresh.feed(values[:, 400:], START + 400 + WEEK))
    assert np.array_equal(run.state, fresh.state)


@pytest.mark.parametrize(("idle", "afresh"), [(96, False), (97, True)])
def test_a_series_idle_for_longer_than_the_window_starts_afresh(idle: int, afresh: bool) -> None:
    """The window is exact: at its length the series lives on, one bucket later it is new."""
    run, fresh = ModelRun(1, prune_buckets=96), ModelRun(1, prune_buckets=96)
    run.feed(quiet(300), START)
    again = START + 299 + idle
    run.feed(quiet(5, 12), again)
    fresh.feed(quiet(5, 12), again)
    assert np.array_equal(run.state, fresh.state) == afresh


def test_a_pruned_series_leaves_no_trace() -> None:
    """A value that is not finite, after the window, finds the series forgotten: its state is all zeros."""
    run = ModelRun(1, prune_buckets=96)
    run.feed(quiet(300), START)
    for not_a_value in (np.nan, np.inf):
        run.feed(np.array([[not_a_value]]), START + 299 + 97)
        assert not run.state.any()


@pytest.mark.parametrize("minutes", [15, 60])
@pytest.mark.parametrize("days", [8, 20, 60])
@pytest.mark.parametrize("level", [60.0, 140.0, 300.0])
@pytest.mark.parametrize("wave", [0.0, 0.1])
def test_a_shift_is_accepted_at_its_level(
    minutes: int, days: int, level: float, wave: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once 1.25 days of a new level were seen it is typical, neither more nor less."""
    monkeypatch.setattr(model_run, "SPAN_MS", minutes * 60_000)
    day = 1440 // minutes
    at = np.arange((days + 3) * day)
    expected = np.where(at < days * day, 100.0, level) * (1.0 + wave * np.sin(2 * np.pi * at / day))
    run = ModelRun(1, span_ms=minutes * 60_000)
    rows = run.feed((expected * np.random.default_rng(6).normal(1.0, 0.03, len(at)))[None], START)
    ratio = rows[:, TYPICAL] / expected[rows[:, BUCKET].astype(int) - START]
    before, after = ratio[-3 * day : -2 * day], ratio[-3 * day + day * 5 // 4 + 2 :]
    assert abs(before - 1.0).max() > 0.2
    assert abs(after - 1.0).max() < 0.08


def test_an_open_count_is_judged_by_what_it_should_have_so_far() -> None:
    """Half the usual count in a half-full bucket is usual; in a whole bucket it is not."""
    run = ModelRun(1, counts=1)
    run.feed(np.random.default_rng(4).poisson(100, (1, 400)).astype(float), START)
    open_, closed = (run.peek(50, START + 400, completeness=share) for share in (0.5, 1.0))
    assert open_[LOG_P] > PLAIN
    assert closed[LOG_P] < RARE
    assert open_[ACTUAL] == 50


def test_an_open_count_that_is_too_high_already_is_judged_as_it_is() -> None:
    """What an open bucket misses never lifts a value above what is typical."""
    run = ModelRun(1, counts=1)
    run.feed(np.random.default_rng(4).poisson(100, (1, 400)).astype(float), START)
    whole = run.peek(200, START + 400)
    assert whole[LOG_P] < RARE
    for completeness in (0.0, 0.5, 0.99):
        assert np.array_equal(run.peek(200, START + 400, completeness=completeness), whole)


def test_a_value_of_few_records_is_judged_more_mildly() -> None:
    """A mean of one record where a hundred are typical varies more, if the function says so."""
    for by_records in (0, 1):
        run = ModelRun(1, scale_by_records=by_records)
        run.feed(quiet(400), START, records=100.0)
        one, many = (run.peek(150, START + 400, records=n)[LOG_P] for n in (1.0, 100.0))
        assert many < RARE
        assert one > PLAIN if by_records else one == many


@pytest.mark.parametrize("side", [-1, 0, 1])
def test_only_the_side_asked_for_is_unusual(side: int) -> None:
    """A rise is unusual for high and both, a drop for low and both."""
    run = ModelRun(1, side=side)
    run.feed(quiet(400), START)
    for value, direction in ((160, 1), (40, -1)):
        log_p = run.peek(value, START + 400)[LOG_P]
        assert log_p < RARE if side in (0, direction) else log_p > PLAIN


@pytest.mark.parametrize(
    ("name", "feature"),
    [(f.name, feature) for f in FUNCTIONS.values() if f.is_numeric for feature in f.features],
)
def test_every_function_reports_its_side(name: str, feature: str) -> None:
    """low_ functions and minima report drops alone, high_ functions and maxima rises alone."""
    needs_field = FUNCTIONS[name].field_name == "required"
    detector = {"function": name} | ({"field_name": "value"} if needs_field else {})
    config = {
        "analysis_config": {"bucket_span": "15m", "detectors": [detector]},
        "data_description": {"time_field": "at"},
    }
    detectors = JobConfig.parse(config).analysis_config.detectors
    run = ModelRun(1)
    run.settings[:] = FeatureModel(detectors[0], feature, 900_000, 0)._settings
    run.settings[model.THRESHOLD] = 2.0
    run.feed(quiet(400), START)
    reported = {value: run.peek(value, START + 400)[LOG_P] < RARE for value in (40, 160)}
    low = name.startswith("low_") or feature == "min"
    high = name.startswith("high_") or feature == "max"
    assert reported == {40: not high, 160: not low}


def test_more_unlikely_scores_higher_and_below_100() -> None:
    """At equal history the score rises strictly with -ln p and never reaches 100."""
    run = ModelRun(1)
    run.feed(quiet(600), START)
    rows = np.array([run.peek(100 + 5 * away, START + 600) for away in (1, 2, 3, 4, 6, 9, 20, 1e3, 1e6)])
    assert (np.diff(rows[:, LOG_P]) < 0).all()
    assert (np.diff(rows[:, SCORE]) > 0).all()
    assert rows[0, SCORE] < 5
    assert 90 < rows[-1, SCORE] < 100


def test_within_an_event_only_what_exceeds_it_scores_high_again() -> None:
    """After a spike the same value again is an echo; a clearly larger one is news.

    The event begins with the spike, as the values before it are calm.
    """
    run, values = ModelRun(1), quiet(600)
    values[0, -50:] = 100.0
    run.feed(values, START)
    spike = run.peek(300, START + 600)
    run.feed(np.array([[300.0]]), START + 600)
    run.feed(quiet(16, 12), START + 601)
    echo, larger = run.peek(300, START + 617), run.peek(600, START + 617)
    assert spike[SCORE] > 75
    assert echo[SCORE] < spike[SCORE] / 2
    assert larger[SCORE] > 75
    assert echo[LOG_P] < RARE  # the score forgives, the probability does not


def test_the_same_spike_so_soon_that_the_mean_rises_with_it_scores_less_than_at_first() -> None:
    """Ten buckets after a spike the same again moves the mean farther: news, but less than at first."""
    for seed in range(20):
        run = ModelRun(1)
        run.feed(quiet(600, seed), START)
        spike = run.peek(150, START + 600)
        run.feed(np.array([[150.0]]), START + 600)
        run.feed(quiet(10, 100 + seed), START + 601)
        assert run.peek(150, START + 611)[SCORE] < spike[SCORE] - 5.0


def test_events_fade_slowly() -> None:
    """A great event lowers the scores after it for months, but not for ever."""
    scores = []
    for days in (1, 70, 280):
        run = ModelRun(1)
        values = quiet(900 + days * 96)
        values[0, 890] = 300.0
        run.feed(values, START)
        scores.append(run.peek(160, START + values.shape[1])[SCORE])
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 1.5 * scores[0]


def test_a_larger_past_event_lowers_the_score() -> None:
    """What would be news to a quiet series is old to one that has seen worse."""
    scores = []
    for past in (100.0, 150.0, 200.0, 300.0):
        run = ModelRun(1)
        values = quiet(900)
        values[0, 400] = past
        run.feed(values, START)
        scores.append(run.peek(160, START + 900)[SCORE])
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 2 * scores[-1]


def test_typical_is_what_the_series_did_before() -> None:
    """The typical value of a quiet series is its mean, between the bounds."""
    run = ModelRun(1)
    run.feed(quiet(600), START)
    row = run.peek(500, START + 600)
    assert row[TYPICAL] == pytest.approx(100, abs=3)
    assert row[4] < row[TYPICAL] < row[5]


# What p is worth


def poisson(mean: float) -> Callable[[np.random.Generator, tuple[int, int]], np.ndarray]:
    """Counts of Poisson's law."""
    return lambda rng, shape: rng.poisson(mean, shape).astype(float)


def bursts(mean: float, dispersion: float) -> Callable[[np.random.Generator, tuple[int, int]], np.ndarray]:
    """Counts of the negative binomial law, by their mean and variance over mean."""
    size = mean / (dispersion - 1.0)
    return lambda rng, shape: rng.negative_binomial(size, 1.0 / dispersion, shape).astype(float)


LAWS: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], np.ndarray], float]] = {
    "Poisson 0.3": (poisson(0.3), 0.5),
    "Poisson 3": (poisson(3.0), 0.25),
    "Poisson 30": (poisson(30.0), 0.5),
    "Poisson 300": (poisson(300.0), 0.5),
    "three times Poisson's variance, 0.3": (bursts(0.3, 3.0), 0.5),
    "three times, 3": (bursts(3.0, 3.0), 0.5),
    "ten times, 3": (bursts(3.0, 10.0), 0.5),
    "three times, 30": (bursts(30.0, 3.0), 0.5),
    "twenty times, 30": (bursts(30.0, 20.0), 0.5),
    "fifty times, 300": (bursts(300.0, 50.0), 0.4),
}
"""Laws of counts, and the least share of the nominal 0.001 that p < 0.001 comes up.

Of Poisson's 3, p < 0.001 begins at 11 (P 0.0003), as 10 has 0.0014: no p of a count can come nearer. With
bursts of 50 values of hundreds, large ones are rarer than they were in what was learned of the tail.
"""


@pytest.mark.parametrize("name", LAWS)
def test_p_of_counts_is_as_rare_as_it_says(name: str) -> None:
    """In 160,000 buckets p < 0.01 and p < 0.001 (1,600 and 160 expected) come up half to twice as often."""
    law, least = LAWS[name]
    run = ModelRun(32, counts=1, zero_fill=1)
    rows = run.feed(law(np.random.default_rng(1), (32, 6000)), START)
    log_p = rows[rows[:, BUCKET] > START + 1000, LOG_P]
    assert len(log_p) > 159_000
    assert 0.5 < (log_p < np.log(0.01)).mean() / 0.01 < 2.0
    assert least < (log_p < np.log(0.001)).mean() / 0.001 < 2.0


@pytest.mark.parametrize("counts", [0, 1])
def test_what_comes_by_the_normal_law_is_as_rare_as_it_says(counts: int) -> None:
    """Of noise without bounds or of a large count, in 160,000 buckets: p from 0.1 to 0.001."""
    run = ModelRun(32, counts=counts)
    rows = run.feed(np.random.default_rng(2).normal(10_000.0, 300.0, (32, 6000)).round(), START)
    log_p = rows[rows[:, BUCKET] > START + 1000, LOG_P]
    for p, most in ((0.1, 1.25), (0.05, 1.35), (0.01, 1.6), (0.001, 2.0)):
        assert 0.5 < (log_p < np.log(p)).mean() / p < most


# What an incident leaves behind


@pytest.mark.parametrize("deviations", [8.0, 30.0, 100.0])
def test_an_incident_does_not_make_a_series_blind(deviations: float) -> None:
    """Four weeks after a day of values far out a spike of 8 deviations is told, up and down, p < 0.001."""
    for seed in range(12):
        values = quiet(57 * 96, seed)
        values[0, 28 * 96 : 29 * 96] += 5.0 * deviations
        run = ModelRun(1)
        run.feed(values, START)
        for spike in (60.0, 140.0):
            assert run.peek(spike, START + values.shape[1])[LOG_P] < np.log(0.001), seed


@pytest.mark.parametrize(("share", "least", "most"), [(0.2, 0.0, 0.05), (0.02, 0.8, 1.0)])
def test_what_comes_often_becomes_a_habit(share: float, least: float, most: float) -> None:
    """Of values 50 deviations out p < 0.01 tells hardly any where they are a fifth, nearly all where 2%."""
    n = 4000
    for seed in range(6):
        rng = np.random.default_rng(seed)
        values, is_odd = rng.normal(100.0, 5.0, (1, n)), rng.random(n) < share
        values[0, is_odd] += rng.choice([-250.0, 250.0], is_odd.sum())
        rows = ModelRun(1).feed(values, START)
        late = rows[rows[:, BUCKET] > START + n / 2]
        odd = late[is_odd[late[:, BUCKET].astype(int) - START], LOG_P]
        assert least <= (odd < np.log(0.01)).mean() <= most, seed


def test_a_series_that_has_calmed_down_is_judged_by_its_last_days() -> None:
    """Two weeks of noise of 15 and four days of 3: 12 deviations of now, under 3 of then, are told."""
    rng = np.random.default_rng(1)
    for _ in range(6):
        values = np.append(rng.normal(100.0, 15.0, 14 * 96), rng.normal(100.0, 3.0, 4 * 96))
        run = ModelRun(1)
        run.feed(values[None], START)
        assert run.peek(136, START + len(values))[LOG_P] < np.log(0.01)
