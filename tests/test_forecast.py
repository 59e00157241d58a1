"""Forecasts: the twin's points, bounds that hold, series in their order, and no trace in the job."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bench.laws import LAWS
from tests.naive_forecast import forecast, is_forecast
from tests.test_naive_model import SHAPES, Pair, cells_of

from tidegate import Job
from tidegate import forecast as engine_forecast
from tidegate.model import Calendar
from tidegate.outlook import known_series, look_ahead
from tidegate.results import FORECAST
from tidegate.threads import Threads

HOUR = 3_600_000
START = 1_400_000_400_000 // HOUR * HOUR


def config(*detectors: dict[str, Any], span: str = "1h") -> dict[str, Any]:
    return {
        "analysis_config": {"bucket_span": span, "detectors": list(detectors)},
        "data_description": {"time_field": "t"},
    }


MEAN = {"function": "mean", "field_name": "x"}
BY_K = {**MEAN, "by_field_name": "k"}


def posted(values: np.ndarray, *detectors: dict[str, Any], threads: int = 1) -> Job:
    """A job over hourly values of (bucket, series), NaN for none, flushed to the end of the last."""
    job = Job(config(*detectors or (BY_K,)), threads=threads)
    at, series = np.nonzero(~np.isnan(values))
    names = pa.array([f"k{s}" for s in range(values.shape[1])])
    keys = pa.DictionaryArray.from_arrays(pa.array(series), names)
    job.post(pa.table({"t": START + at * HOUR, "x": values[at, series], "k": keys}))
    job.flush(advance_time=START + len(values) * HOUR)
    return job


def noise(buckets: int = 400, series: int = 3) -> np.ndarray:
    return np.random.default_rng(3).normal(100.0, 5.0, (buckets, series))


@pytest.mark.parametrize("function", ["mean", "count", "high_non_zero_count", "sum", "varp"])
@pytest.mark.parametrize(
    ("span_ms", "n", "skipped"), [(HOUR, 420, 0), (6 * HOUR, 500, 0), (24 * HOUR, 500, 0), (900_000, 800, 37)]
)
def test_points_are_those_of_the_twin(function: str, span_ms: int, n: int, skipped: int) -> None:
    """Every bound of every kind of series is the sum of its definition, and the same series have one."""
    shapes, first, ahead = tuple(SHAPES), 10_000, 30
    pair = Pair(function, span_ms, prune=45, n_series=len(shapes), rounding=1e-6)
    pair.feed(cells_of(shapes, 5, first, n, span_ms), first, first + n, skipped=skipped)
    calendar = Calendar.of(first + n, first + n + ahead, span_ms)
    ours = look_ahead(pair.model, calendar, skipped, Threads(1))
    clock = first + n - skipped
    known = [
        s for s in range(len(shapes)) if s in pair.twin.series and is_forecast(pair.twin.series[s], clock)
    ]
    assert ours.series.tolist() == known
    assert known_series(pair.model, calendar, skipped) == len(known) >= 10
    for i, series in enumerate(known):
        twins = forecast(pair.twin.series[series], first + n, clock, ahead)
        for at, twin in enumerate(twins):
            row = i * ahead + at
            for our, wanted in zip(
                (ours.lower[row], ours.prediction[row], ours.upper[row]), twin, strict=True
            ):
                # Bounds near zero are what is left of larger numbers.
                most = 1e-6 * max(abs(twin.upper), abs(twin.lower), 1e-300)
                assert math.isclose(our, wanted, rel_tol=1e-6, abs_tol=most), (shapes[series], at, twin)


def coverage(name: str, buckets: int, ahead: int) -> tuple[float, float]:
    """The share of values within the bounds: of the first day ahead, and of the last."""
    law = LAWS[name]
    values = law.values(64, buckets + ahead)
    rows = values[:buckets]
    if law.function == "count":
        job = Job(config({"function": "count", "by_field_name": "k"}), threads=1)
        at, series = np.nonzero(rows)
        many = rows[at, series].astype(int)
        keys = pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(series, many)), pa.array([f"k{s}" for s in range(64)])
        )
        job.post(pa.table({"t": START + np.repeat(at, many) * HOUR, "k": keys}))
        job.flush(advance_time=START + buckets * HOUR)
    else:
        job = posted(rows)
    points = job.forecast(f"{ahead}h")
    series = np.array([int(text[1:]) for text in points["by_field_value"].to_pylist()])
    at = (points["timestamp"].to_numpy() - START) // HOUR
    value = values[at, series]
    inside = (points["forecast_lower"].to_numpy() <= value) & (value <= points["forecast_upper"].to_numpy())
    known = ~np.isnan(value)
    day = at < buckets + 24
    last = at >= buckets + ahead - 24
    return float(inside[day & known].mean()), float(inside[last & known].mean())


@pytest.mark.parametrize(
    "name",
    ["normal", "autoregressive 0.8", "trend", "day and week, variance by phase", "Poisson 3", "Poisson 300"],
)
def test_bounds_hold_what_they_promise(name: str) -> None:
    """Of series that are as the model assumes, 90 to 99% of the values of a day and of a week are inside."""
    day, week = coverage(name, 1000, 168)
    assert 0.9 <= day <= 0.99
    assert 0.9 <= week <= 1.0


def test_a_random_walk_has_wide_bounds() -> None:
    """The bounds of a random walk widen with the root of time; those of noise around a level hardly do."""
    rng = np.random.default_rng(8)
    walk = 1000.0 + np.cumsum(rng.normal(size=(1000, 1)), axis=0)
    ratios = []
    for values in (walk, noise(1000, 1)):
        points = posted(values).forecast("8d")
        width = points["forecast_upper"].to_numpy() - points["forecast_lower"].to_numpy()
        ratios.append(width[24 * 7 : 24 * 8].mean() / width[:24].mean())
    assert ratios[0] > 2.0
    assert 1.0 <= ratios[1] < 1.3


def test_a_trend_goes_on_and_fades() -> None:
    """A clear slope is kept for the next days, and has an end: values far ahead stay finite."""
    hours = np.arange(1000)[:, None]
    job = posted(500.0 + 0.2 * hours + noise(1000, 1) - 100.0)
    points = job.forecast("3650d")["forecast_prediction"].to_numpy()
    assert abs(points[24 * 7] - (500.0 + 0.2 * 1168)) < 5.0
    assert np.isfinite(points).all()
    assert abs(points[-1] - points[-1 - 168]) < 1e-6  # of the same hour of the week
    assert points[-1] < 500.0 + 0.2 * (1000 + 24 * 60)


def test_noise_has_no_trend() -> None:
    """Without a trend the prediction of a month ahead is that of today."""
    points = posted(noise(1500, 1)).forecast("30d")["forecast_prediction"].to_numpy()
    assert abs(points[-24:].mean() - points[:24].mean()) < 1.0


def test_a_season_goes_on() -> None:
    """The day is in the predictions, in its phase; of a smooth week the level has a part, as bounds know."""
    hours = np.arange(24 * 7 * 9)
    day = 200.0 + 50.0 * np.sin(2 * np.pi * hours / 24)
    week = day + 10.0 * np.sin(2 * np.pi * hours / 168)
    for wave, error in ((day, 1.0), (week, 8.0)):
        points = posted(wave[:-168, None] + noise(len(hours) - 168, 1) / 10.0 - 10.0).forecast("7d")
        lower, upper, truth = points["forecast_lower"], points["forecast_upper"], wave[-168:]
        assert np.abs(points["forecast_prediction"].to_numpy() - truth).mean() < error
        assert ((lower.to_numpy() <= truth) & (truth <= upper.to_numpy())).mean() > 0.75


def test_values_that_never_were_negative_stay_so() -> None:
    """Bounds of a series without negative values are not below zero; those of one with some may be."""
    low = np.abs(np.random.default_rng(2).normal(1.0, 2.0, (300, 1)))
    assert pc.min(posted(low).forecast("10d")["forecast_lower"]).as_py() >= 0.0
    assert pc.min(posted(low - 1.0).forecast("10d")["forecast_lower"]).as_py() < 0.0


def test_mostly_empty_counts_are_forecast_as_empty() -> None:
    """Where a record comes in one bucket of ten, none is what is expected, and one is within bounds."""
    at = np.flatnonzero(np.random.default_rng(5).random(2000) < 0.1)
    job = Job(config({"function": "count"}))
    job.post(pa.table({"t": START + at * HOUR}))
    points = job.forecast()
    assert set(points["forecast_prediction"].to_pylist()) == {0.0}
    assert set(points["forecast_lower"].to_pylist()) == {0.0}
    assert pc.min(points["forecast_upper"]).as_py() >= 1.0


def timeless(table: pa.Table) -> pa.Table:
    return table.drop_columns(["processing_time_ms"])


def test_a_forecast_leaves_no_trace() -> None:
    """Results after forecasts, and further forecasts, are those of a job that made none, bit by bit."""
    values = noise(300)
    values[250, 1] = 400.0
    plain, asked = posted(values[:200]), posted(values[:200])
    first = asked.forecast("3d")
    again = asked.forecast("3d")
    points = ["timestamp", "by_field_value", "forecast_lower", "forecast_prediction", "forecast_upper"]
    assert again.select(points).equals(first.select(points))
    at, series = np.nonzero(values[200:])
    rest = pa.table(
        {
            "t": START + (200 + at) * HOUR,
            "x": values[200 + at, series],
            "k": pa.array([f"k{s}" for s in series]),
        }
    )
    for job in (plain, asked):
        job.post(rest)
        job.flush(calc_interim=True)
    assert asked.records().num_rows > 0
    assert asked.records().equals(plain.records())
    assert timeless(asked.buckets()).equals(timeless(plain.buckets()))
    assert asked.forecast().select(points).equals(plain.forecast().select(points))


def test_threads_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread and many give the same bits, series and order, however the work and the rows are cut."""
    values = noise(60, 100)
    values[40:, 7] = np.nan
    one = posted(values).forecast("2d")
    monkeypatch.setattr("tidegate.outlook._PIECE_POINTS", 64)
    monkeypatch.setattr(engine_forecast, "_BATCH_ROWS", 100)
    many = posted(values, threads=4).forecast("2d")
    columns = [name for name in FORECAST.names if name not in ("forecast_id", *FORECAST.names[-2:])]
    assert many.select(columns).equals(one.select(columns))
    assert one.num_rows == 100 * 48
    assert one.filter(pc.equal(one["by_field_value"], "k7"))["timestamp"].to_pylist() == [
        START + HOUR * h for h in range(60, 108)
    ]


def test_rows_come_by_detector_and_series() -> None:
    """All detectors that can be forecast, in their order, each with its features, keys and names."""
    rows = [
        {"t": START + HOUR * h + 1, "x": float(h % 7), "k": k, "p": p}
        for h in range(60)
        for k in "ab"
        for p in "uv"
    ]
    job = Job(
        config(
            {**BY_K, "partition_field_name": "p"},
            {"function": "count"},
            {"function": "metric", "field_name": "x", "partition_field_name": "p"},
        )
    )
    job.post(rows)
    points = job.forecast("2h").to_pylist()
    keys = [
        (r["detector_index"], r["model_feature"], r["by_field_value"], r["partition_field_value"])
        for r in points
    ]
    mean, count = "'arithmetic mean value by person'", "'count per bucket by person'"
    metric = [mean, *(f"'{name} value by person'" for name in ("minimum", "maximum"))]
    wanted = [(0, mean, k, p) for k, p in (("a", "u"), ("a", "v"), ("b", "u"), ("b", "v"))]
    wanted += [(1, count, None, None)]
    wanted += [(2, feature, None, p) for feature in metric for p in "uv"]
    assert [key for key, again in zip(keys[::2], keys[1::2], strict=True) if key == again] == wanted
    assert {r["by_field_name"] for r in points} == {"k", None}
    assert {r["partition_field_name"] for r in points} == {"p", None}


def test_an_idle_series_has_no_forecast() -> None:
    """A series without data for longer than the prune window is forgotten; one that only rests is not."""
    values = noise(24 * 45, 2)
    values[24 * 10 :, 0] = np.nan
    values[24 * 30 :, 1] = np.nan
    job = Job(config(BY_K, {"function": "count"}))
    at, series = np.nonzero(~np.isnan(values))
    keys = pa.array([f"k{s}" for s in series])
    job.post(pa.table({"t": START + at * HOUR, "x": values[at, series], "k": keys}))
    job.flush(advance_time=START + len(values) * HOUR)
    points = job.forecast()
    assert set(points["by_field_value"].to_pylist()) == {"k1", None}


def test_the_way_records_came_makes_no_difference() -> None:
    """However the records were cut into posts and flushes, a forecast is the same to the last bit."""
    values = noise(200)
    values[150:160, 1] = np.nan
    whole = posted(values).forecast("2d")
    at, series = np.nonzero(~np.isnan(values))
    keys = pa.array([f"k{s}" for s in series])
    rows = pa.table({"t": START + at * HOUR, "x": values[at, series], "k": keys})
    job = Job(config(BY_K), threads=2)
    for start in range(0, len(at), 37):
        job.post(rows.slice(start, 37))
        if start % 2:
            job.flush(calc_interim=True)
    job.flush(advance_time=START + len(values) * HOUR)
    columns = [name for name in FORECAST.names if name != "forecast_id" and not name.endswith("timestamp")]
    assert job.forecast("2d").select(columns).equals(whole.select(columns))
