"""What the calibration and adaptation benchmarks measure is what they say: laws, changes, counting."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
from bench import adapt, calibration, changes, clean, grid, laws, quality
from bench.calibration import NOMINAL, Tally
from bench.changes import AFTER, BEFORE, TASKS
from bench.laws import DAY, LAWS, WEEK

HOUR_MS = 3_600_000
MOMENTS = {
    "normal": (100.0, 5.0),
    "autoregressive 0.8": (100.0, 5.0),
    "log-normal 0.8": (20.0 * np.exp(0.32), 20.0 * np.exp(0.32) * np.sqrt(np.exp(0.64) - 1.0)),
    "exponential": (20.0, 20.0),
    "bimodal": (115.0, np.sqrt(25.0 + 0.21 * 2500.0)),
    "80% empty, normal": (100.0, 5.0),
    "80% empty, counts": (0.8, np.sqrt(0.2 * 19.0 - 0.64)),
    "Poisson 0.3": (0.3, np.sqrt(0.3)),
    "Poisson 3": (3.0, np.sqrt(3.0)),
    "Poisson 300": (300.0, np.sqrt(300.0)),
    "negative binomial 10, variance 60": (10.0, np.sqrt(60.0)),
}
"""Mean and standard deviation of the laws that are the same in all buckets."""


@pytest.mark.parametrize("module", [adapt, calibration, changes, clean, grid, laws], ids=lambda m: m.__name__)
def test_examples(module):
    """The examples in the docstrings are true."""
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", LAWS)
def test_a_law_gives_the_same_values_again(name):
    """Values depend on the law's name and the size alone, and are what the function takes."""
    law = LAWS[name]
    values = law.values(3, 400)
    assert values.shape == (400, 3)
    assert np.array_equal(values, law.values(3, 400), equal_nan=True)
    assert law.function in ("mean", "count")
    if law.function == "count":
        assert np.array_equal(values, np.abs(np.rint(values)))


@pytest.mark.parametrize("name", MOMENTS)
def test_laws_have_the_moments_they_claim(name):
    """Mean and deviation of 160,000 values are within five standard errors or 3% of the law's."""
    mean, deviation = MOMENTS[name]
    values = LAWS[name].values(40, 4000)
    assert np.nanmean(values) == pytest.approx(mean, abs=5 * 3 * deviation / 400)
    assert np.nanstd(values) == pytest.approx(deviation, rel=0.03)


def test_laws_have_the_shape_they_claim():
    """Autocorrelation, season, trend, empty buckets and steps are those of the docstrings."""
    values = {name: law.values(40, 50 * WEEK) for name, law in LAWS.items() if law.function == "mean"}
    centred = values["autoregressive 0.8"] - 100.0
    assert np.mean(centred[1:] * centred[:-1]) / np.mean(centred**2) == pytest.approx(0.8, abs=0.01)
    slopes = np.polyfit(np.arange(50 * WEEK), values["trend"], 1)[0]
    assert slopes == pytest.approx(np.full(40, 0.05), rel=0.01)
    assert np.isnan(values["80% empty, normal"]).mean() == pytest.approx(0.8, abs=0.01)
    steps = np.diff(values["constant with steps of 1"], axis=0)
    assert set(np.unique(steps)) == {-1.0, 0.0, 1.0}
    assert np.mean(steps != 0.0) == pytest.approx(1.0 / 200.0, rel=0.1)
    weeks = values["day and week, variance by phase"].reshape(50, WEEK, 40)
    assert weeks.mean(axis=0).std() == pytest.approx(np.sqrt((64.0 + 16.0) / 2.0), rel=0.05)
    by_hour = weeks.std(axis=0).reshape(7, DAY, 40).mean(axis=0)
    assert by_hour.max(axis=0) == pytest.approx(np.full(40, 3.0), rel=0.2)
    assert by_hour.min(axis=0) == pytest.approx(np.full(40, 1.0), rel=0.2)


def test_uniform_probabilities_have_ratios_of_one():
    """Uniform p below 0.01 count as often as they should; buckets that are not counted do not."""
    log_p = np.log(np.random.default_rng(5).uniform(size=(50_000, 40)))
    log_p[log_p >= np.log(NOMINAL[0])] = 0.0
    counted = np.ones(log_p.shape, bool)
    tally = Tally.of(log_p, np.zeros(log_p.shape), counted, HOUR_MS)
    expected = tally.scored * np.array(NOMINAL)
    assert np.all(np.abs(tally.ratios - 1.0) < 4.0 / np.sqrt(expected))
    counted[:, 1:] = False
    assert Tally.of(log_p, np.zeros(log_p.shape), counted, HOUR_MS).scored == 50_000


def test_scores_are_counted_in_runs_and_buckets():
    """Consecutive buckets of a series are one run; weeks are those of time, whatever is counted."""
    score = np.zeros((WEEK, 2))
    score[[3, 4, 5, 9], 0] = (30.0, 80.0, 30.0, 60.0)
    score[5, 1] = 25.0
    tally = Tally.of(np.zeros(score.shape), score, np.zeros(score.shape, bool), HOUR_MS)
    assert tally.runs.tolist() == [2, 2, 1]
    assert tally.buckets.tolist() == [4, 2, 1]
    assert tally.weeks == 2.0
    both = calibration.pooled([tally, tally])
    assert (both.weeks, both.runs.tolist()) == (4.0, [4, 4, 2])


def test_a_grid_is_judged_as_its_series_are():
    """A job over one column of a grid says the same, bucket by bucket."""
    values = LAWS["Student 3"].values(2, 600)
    values[50:60, 0] = np.nan
    judged = grid.judge(values, "mean")
    for s in range(2):
        kept = np.flatnonzero(~np.isnan(values[:, s]))
        found = quality.detect(grid.times(600)[kept], values[kept, s], grid.SPAN_MS)
        assert np.array_equal(judged.log_p[kept, s], found.record_log_p)
        assert np.array_equal(judged.score[kept, s], found.record_score)
    assert (judged.log_p < 0.0).any()


def test_a_count_of_zero_is_judged():
    """Buckets without records have a place in the grid: the count's end is seen there."""
    values = np.full((300, 1), 50.0)
    values[::2] = 53.0
    values[250:] = 0.0
    judged = grid.judge(values, "count")
    assert judged.log_p[250, 0] < np.log(1e-4)
    assert not judged.log_p[100:250].any()


def test_a_normal_law_is_calibrated():
    """The whole way, law to ratio: about one bucket in a hundred has p < 0.01."""
    tally = calibration.of_law(LAWS["normal"], series=8, buckets=1600)
    assert tally.scored == 8 * 1200
    assert 0.5 < tally.ratios[0] < 1.6


@pytest.mark.parametrize("name", TASKS)
def test_changes_are_where_they_are_said_to_be(name):
    """Before its bucket a series follows the old law, with room for weeks before and after."""
    task = TASKS[name]
    values, change_s = task.values(series=200)
    assert values.shape == (BEFORE + DAY + AFTER, 200)
    assert change_s.min() == BEFORE
    assert change_s.max() == BEFORE + DAY - 1
    assert np.array_equal(values, task.values(series=200)[0])
    mean, deviation = {"stops": (20.0, np.sqrt(20.0)), "time shift": (100.0, np.sqrt(337.5))}.get(
        name, (100.0, 5.0)
    )
    assert values[:BEFORE].mean() == pytest.approx(mean, rel=0.01)
    assert values[:BEFORE].std() == pytest.approx(deviation, rel=0.02)


def _around(name: str, first: int, last: int) -> np.ndarray:
    """Values from so many buckets after the change, (buckets, series)."""
    values, change_s = TASKS[name].values(series=400)
    return np.stack([values[c + first : c + last, s] for s, c in enumerate(change_s)], axis=1)


def test_changes_are_what_they_are_said_to_be():
    """The bucket of the change is the first of the new law, and an incident's last is its 24th."""
    for name, size in (("+2 deviations", 10.0), ("+5 deviations", 25.0), ("+10 deviations", 50.0)):
        means = _around(name, -2, 2).mean(axis=1)
        assert means == pytest.approx([100.0, 100.0, 100.0 + size, 100.0 + size], abs=1.0)
    for name, size in (("incident", 50.0), ("run", 7.5)):
        means = _around(name, 22, 26).mean(axis=1)
        assert means == pytest.approx([100.0 + size, 100.0 + size, 100.0, 100.0], abs=1.0)
    for name, deviation in (("x3", 15.0), ("/3", 5.0 / 3.0)):
        assert _around(name, -2, 0).std() == pytest.approx(5.0, rel=0.1)
        assert _around(name, 0, 2).std() == pytest.approx(deviation, rel=0.1) == TASKS[name].deviation
    stops = _around("stops", -1, 3)
    assert stops[0].min() > 0.0
    assert not stops[1:].any()
    assert _around("trend", 10 * DAY, 10 * DAY + 1).mean() == pytest.approx(150.0, abs=1.0)


def test_seasons_begin_and_come_late():
    """The new season is a sine of the hour; the late one that of three hours before."""
    hour = np.arange(DAY)
    for name, late in (("season", 0), ("time shift", 3)):
        values, _ = TASKS[name].values(series=100)
        days = values[BEFORE + DAY :].reshape(-1, DAY, 100).mean(axis=(0, 2))
        assert days == pytest.approx(100.0 + 25.0 * np.sin(2.0 * np.pi * (hour - late) / DAY), abs=0.5)


def test_figures_follow_the_alarms():
    """Delay, acceptance and later false alarms of alarms at known places; one series in two has them."""
    alarm = np.zeros((BEFORE + DAY + AFTER, 2), bool)
    change_s = np.array([BEFORE, BEFORE + 5])
    alarm[BEFORE + 3 : BEFORE + 31, 0] = True
    alarm[BEFORE + 31 + WEEK + 10 : BEFORE + 31 + WEEK + 13, 0] = True
    found = adapt.figures(alarm, change_s, TASKS["+5 deviations"])
    assert (found.detected, found.delay) == (0.5, 3.0)
    assert found.accepted == np.median([31.0, 0.0])
    assert found.false == np.mean([0.5, 0.0])


def test_what_lasts_is_accepted_from_its_end():
    """Alarms in an incident are no matter of acceptance, those after it are."""
    alarm = np.zeros((BEFORE + DAY + AFTER, 1), bool)
    alarm[BEFORE : BEFORE + DAY + 4] = True
    assert adapt.figures(alarm, np.array([BEFORE]), TASKS["incident"]).accepted == 4.0
    alarm[BEFORE:] = True
    assert adapt.figures(alarm, np.array([BEFORE]), TASKS["incident"]).accepted == np.inf


def test_the_threshold_gives_one_false_alarm_a_week():
    """Counted in runs before the change; not above it, whatever the scores are like."""
    change_s = np.full(20, BEFORE)
    shape = (BEFORE + DAY + AFTER, 20)
    score = np.random.default_rng(3).uniform(size=shape)
    score[BEFORE:] = 2.0
    least = adapt.threshold(score, change_s)
    used = score[adapt.MATURE : BEFORE]
    assert 0.9 < grid.runs(used > least) * WEEK / used.size <= 1.0
    assert adapt.threshold(np.zeros(shape), change_s) == 0.0


def test_clean_stretches_of_a_benchmark_folder(tmp_path: Path):
    """Rows in a window, behind it by its width and in the warm-up are not clean."""
    start = np.datetime64("2024-01-01T00:00:00")
    texts = [str(start + np.timedelta64(k, "h")).replace("T", " ") for k in range(40)]
    rows = "".join(f"{text},{k}\n" for k, text in enumerate(texts))
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "b.csv").write_text(f"timestamp,value\n{rows}")
    (tmp_path / "labels").mkdir()
    windows = {"a/b.csv": [[texts[10] + ".000000", texts[14] + ".000000"]]}
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    [found] = clean.nab_files(tmp_path)
    assert np.flatnonzero(~found.is_clean).tolist() == [*range(6), *range(10, 19)]
    assert calibration.of_file(found).scored == 25


def test_clean_stretches_of_labelled_metrics(tmp_path: Path):
    """Rows near a label are not clean, wherever the rows lie in the file; nor are rows without a value."""
    texts = [str(np.datetime64("2024-01-01T00:00:00") + np.timedelta64(k, "h")) for k in range(200)]
    lines = [f"{text}Z,{'' if k == 190 else k},{int(k == 100)}" for k, text in enumerate(texts)]
    (tmp_path / "one.csv").write_text("\n".join(["TimeStamp,Value,Label", *lines]))
    [found] = clean.metric_files(tmp_path)
    assert np.flatnonzero(~found.is_clean).tolist() == [*range(30), *range(76, 125), 190]
    with pytest.raises(quality.DataError, match="no CSV files"):
        list(clean.metric_files(tmp_path / "none"))
