"""The per-series model: laws that hold for every input, and calibration on clean data."""

from __future__ import annotations

import numpy as np
import pytest
from tests.model_run import LOG_P, SCORE, SPAN_MS, START, ModelRun, seasonal

from tidegate_kernels import model, score


def test_interim_changes_no_state_and_gives_the_final_numbers() -> None:
    run = ModelRun(3)
    values = seasonal(3, 600)
    run.feed(values[:, :500], START)
    before = run.state.copy()
    interim = run.feed(values[:, 500:], START + 500, learn=0, capacity=17)
    assert np.array_equal(run.state, before)
    assert np.array_equal(interim, run.feed(values[:, 500:], START + 500))


def test_full_outputs_resume_where_they_stopped() -> None:
    one, two = ModelRun(3, zero_fill=1, counts=1), ModelRun(3, zero_fill=1, counts=1)
    values = np.where(np.random.default_rng(3).random((3, 400)) < 0.3, np.nan, seasonal(3, 400).round())
    one.feed(values, START, sparse=True, capacity=1300)
    two.feed(values, START, sparse=True, capacity=7)
    assert one.rows == two.rows
    assert one.minimum == two.minimum
    assert np.array_equal(one.state, two.state)


@pytest.mark.parametrize("zero_fill", [0, 1])
def test_cutting_the_stream_changes_nothing(zero_fill: int) -> None:
    values = seasonal(2, 700)
    values[:, 300:340] = np.nan
    values[1, ::3] = np.nan
    whole, cut = ModelRun(2, zero_fill=zero_fill), ModelRun(2, zero_fill=zero_fill)
    whole.feed(values, START, sparse=True, capacity=2000)
    at = 0
    for step in (1, 13, 301, 25, 60, 300):
        cut.feed(values[:, at : at + step], START + at, sparse=True, capacity=2000)
        at += step
    assert at == 700
    assert sorted(whole.rows) == sorted(cut.rows)
    assert whole.minimum == cut.minimum
    assert whole.scored == cut.scored
    assert np.array_equal(whole.state, cut.state)


def test_compiled_and_plain_python_agree_to_the_bit() -> None:
    values = seasonal(18, 60)
    values[0, 20:30] = np.nan
    values[1, 50] = 1e6
    values[2, 40] = -1.0
    values[17, ::2] = np.nan
    compiled, plain = ModelRun(18, zero_fill=1), ModelRun(18, model.update_blocks.interpret, zero_fill=1)
    compiled.feed(values, START, sparse=True)
    plain.feed(values, START, sparse=True)
    assert compiled.rows == plain.rows
    assert np.array_equal(compiled.state, plain.state)
    assert np.array_equal(compiled.pages, plain.pages)


@pytest.mark.parametrize("zero_fill", [0, 1])
@pytest.mark.parametrize("scale", [0.0, 1e-310, 1.0, 1e300])
def test_hostile_values_leave_everything_finite(scale: float, zero_fill: int) -> None:
    rng = np.random.default_rng(5)
    values = rng.choice([0.0, 1.0, -1.0, 1.0, 1e-300, 1e7], (6, 500)) * scale
    values[rng.random(values.shape) < 0.02] = np.nan
    values[rng.random(values.shape) < 0.02] = np.inf
    values[1] = scale
    values[2, :250] = 0.0
    values[3, 100:] = 0.0
    for side in (-1, 0, 1):
        run = ModelRun(6, zero_fill=zero_fill, side=side, counts=zero_fill, prune_buckets=50)
        rows = run.feed(values, START, sparse=True, capacity=4000)
        assert np.isfinite(run.state).all()
        assert np.isfinite(rows).all()
        assert (rows[:, LOG_P] <= 0).all()
        assert ((rows[:, SCORE] >= 0) & (rows[:, SCORE] < 100)).all()


def test_p_is_calibrated_on_normal_data() -> None:
    n = 6000
    run = ModelRun(20)
    rows = run.feed(np.random.default_rng(1).normal(100, 30, (20, n)), START)
    late = rows[rows[:, 0] > START + 500]
    for p in (0.05, 0.01, 0.001):
        assert 0.5 < (late[:, LOG_P] < np.log(p)).mean() / p < 2


def test_a_drop_after_a_constant_is_an_anomaly_and_a_hair_is_not() -> None:
    for last, least, most in ((1.0, 0.0, 1e-6), (1000.5, 0.05, 1.0)):
        rows = ModelRun(1).feed(np.append(np.full(48, 1000.0), last)[None], START)
        assert least <= np.exp(rows[-1, LOG_P]) <= most
        assert rows[-1, 3] == pytest.approx(1000)


def test_zero_fill_reports_silence_and_an_idle_series_starts_afresh() -> None:
    values = np.full((1, 400), np.nan)
    values[0, :200] = np.random.default_rng(2).poisson(50, 200)
    run = ModelRun(1, zero_fill=1, counts=1, prune_buckets=96)
    rows = run.feed(values, START, sparse=True, capacity=500)
    silent = rows[rows[:, 0] == START + 200]
    assert silent[0, 2] == 0
    assert silent[0, LOG_P] < np.log(1e-4)
    assert rows[:, 0].max() <= START + 200 + 97
    assert not run.state.any()


def test_buckets_follow_their_records_and_count_their_series() -> None:
    n = 300
    bucket_r = np.repeat(START + np.arange(n), 1)
    log_p_r = np.full(n, -3.5)
    log_p_r[-1] = -40.0
    series_score = np.full(n, 12.0)
    series_score[-1] = 95.0
    outs = [np.zeros(n) for _ in range(3)]
    history, scratch = np.zeros(score.HISTORY_SIZE), np.zeros(score.HISTORY_SIZE)
    counts = np.full(n, 1000)
    for learn in (0, 1):
        found = score.score_buckets(
            bucket_r, log_p_r, series_score, log_p_r, counts, START, START + n, SPAN_MS, learn,
            0, history, scratch, np.empty(0), *outs,
        )  # fmt: skip
        assert found == n
        assert history.any() == bool(learn)
        assert outs[0][-1] == 95.0
        assert outs[1][-1] == pytest.approx(-40 + np.log(1000))
        assert outs[2][0] < 1
        assert 90 < outs[2][-1] <= 95
