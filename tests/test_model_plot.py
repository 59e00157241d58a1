"""The model plot: the twin's bounds, for the series asked for, and no trace of it in the results."""

from __future__ import annotations

import copy
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model_run import START, ModelRun, seasonal
from tests.naive_feature import NaiveFeature
from tests.test_naive_model import SHAPES, Cell, Cells, Pair, cells_of, close

from tidegate import Job
from tidegate import engine as engine_module
from tidegate.config import FUNCTIONS
from tidegate.model import Calendar, Run
from tidegate.modelplot import model_feature
from tidegate.results import MODEL_PLOT
from tidegate.threads import Threads
from tidegate_kernels import bounds as kernels
from tidegate_kernels import model
from tidegate_kernels.state import LANES

HOUR = 3_600_000
DETECTORS = (
    {"function": "count"},
    {"function": "mean", "field_name": "x", "by_field_name": "k", "use_null": True},
    {"function": "metric", "field_name": "x", "partition_field_name": "p"},
    {"function": "high_count", "by_field_name": "k", "partition_field_name": "p"},
    {"function": "low_non_zero_count", "by_field_name": "p"},
)


def config(*detectors: dict[str, Any], plot: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A job in buckets of an hour."""
    made: dict[str, Any] = {
        "analysis_config": {"bucket_span": "1h", "detectors": list(detectors or DETECTORS), **more},
        "data_description": {"time_field": "t"},
    }
    return made | ({} if plot is None else {"model_plot_config": plot})


def records(hours: int = 160, seed: int = 1) -> list[dict[str, Any]]:
    """Records of three by and two partition values: some hours empty, some values far off, one key idle."""
    rng, made = random.Random(seed), []
    for hour in range(hours):
        if hour % 40 in (33, 34):
            continue
        for k in ("a", "b", None):
            if k == "b" and hour > 60:
                continue
            for p in "uv":
                for _ in range(rng.choice((0, 1, 2, 3))):
                    x = rng.gauss(50.0, 3.0) * (4.0 if rng.random() < 0.02 else 1.0)
                    made.append({"t": hour * HOUR + rng.randrange(HOUR), "k": k, "p": p, "x": x})
    return sorted(made, key=lambda record: record["t"])


def posted(
    settings: dict[str, Any], rows: Sequence[dict[str, Any]], cuts: Sequence[int] = (), **options: Any
) -> Job:
    """A job that was given the records, flushed at each cut and in the end."""
    job = Job(settings, **options)
    for start, stop in zip((0, *cuts), (*cuts, len(rows)), strict=True):
        job.post(rows[start:stop])
        job.flush(calc_interim=start % 2 == 1)
    return job


def forecast(
    twin: NaiveFeature, series: int, bucket: int, cell: tuple[float, float]
) -> tuple[float, ...] | None:
    """What the twin expects of a series, before it learns the bucket; None while it is too young or idle."""
    alive = twin.series.get(series)
    if alive is None or 0 < twin.settings.prune < bucket - alive.last_data:
        return None
    result = copy.deepcopy(alive).observe(bucket, bucket, *cell, True, 1.0)
    return None if result is None else (result.lower, result.typical, result.upper)


def expected_rows(
    pair: Pair, cells: Sequence[Cell], first: int, last: int
) -> dict[tuple[int, int], tuple[float, ...]]:
    """Lower, median, upper, the value and its ln p of every series and bucket; the twin learns the cells."""
    of_bucket: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    for bucket, series, value, count in cells:
        of_bucket[bucket][series] = (value, count)
    rows = {}
    empty = 0.0 if pair.twin.settings.zero_fill else math.nan
    for bucket in range(first, last):
        given_cells, at_bucket = of_bucket[bucket], {}
        for series in range(pair.n_series):
            value, count = given_cells.get(series, (empty, 0.0))
            cell = (value, count) if math.isfinite(value) else (0.0, 0.0)
            if found := forecast(pair.twin, series, bucket, cell):
                at_bucket[series] = (*found, value if math.isfinite(value) else math.nan)
        results = pair.twin.observe(bucket, bucket, given_cells)
        for series, row in at_bucket.items():
            rows[bucket, series] = (*row, results[series].log_p if series in results else math.nan)
    return rows


@pytest.mark.parametrize("function", ["mean", "count", "high_non_zero_count", "low_varp", "sum"])
def test_bounds_are_what_the_twin_forecasts(function: str) -> None:
    """Every bucket of every kind of series has the twin's bounds, those without data too."""
    shapes, first, last = tuple(SHAPES), 10_000, 10_330
    cells = cells_of(shapes, 3, first, last - first, HOUR)
    pair = Pair(function, HOUR, prune=35, n_series=len(shapes))
    plot_s = np.zeros(LANES, np.uint8)
    plot_s[: len(shapes)] = 1
    rows = []
    for start, stop in ((first, first + 7), (first + 7, last - 100), (last - 100, last)):
        part = [cell for cell in cells if start <= cell.bucket < stop]
        run = Run(Calendar.of(start, stop, HOUR), 0, learn=True)
        scored = pair.model.run(Cells(part, len(shapes)), run, Threads(1), plot_s)
        rows += scored.bounds.reshape(-1, kernels.BOUNDS).tolist()
    ours = {(int(bucket), int(series)): row for bucket, series, *row in rows}
    assert len(ours) == len(rows)
    twins = expected_rows(pair, cells, first, last)
    rounding = 1e-7 if pair.twin.settings.counts else 1e-9  # weights of odd counts are steep
    assert ours.keys() == twins.keys()
    for key, row in twins.items():
        for our, twin in zip(ours[key], row, strict=True):
            assert close(our, twin, rounding) or (math.isnan(our) and math.isnan(twin)), (key, ours[key], row)
    assert sum(math.isnan(row[3]) for row in twins.values()) > 50 or pair.twin.settings.zero_fill


@pytest.mark.parametrize("zero_fill", [0, 1])
def test_the_plot_leaves_no_trace(zero_fill: int) -> None:
    """Results, states and profiles are those without a plot, to the last bit, whichever series are in it."""
    values = seasonal(18, 700)
    values[0, 300:340] = np.nan
    values[1, ::3] = np.nan
    values[2, 100:] = np.nan
    values[3, np.random.default_rng(4).random(700) < 0.9] = np.nan
    values[17, 400:] = np.nan
    settings = {"zero_fill": zero_fill, "counts": zero_fill, "prune_buckets": 150}
    plain = ModelRun(18, **settings)
    plain.feed(values, START, sparse=True, capacity=13_000)
    sizes = []
    for series in ((0, 1, 2, 3), (17,), range(18)):
        plotted = ModelRun(18, **settings).plot(*series)
        plotted.feed(values, START, sparse=True, capacity=13_000)
        assert plotted.rows == plain.rows
        assert (plotted.minimum, plotted.scored) == (plain.minimum, plain.scored)
        assert np.array_equal(plotted.state, plain.state)
        assert np.array_equal(plotted.pages, plain.pages)
        assert {row[kernels.PLOT_SERIES] for row in plotted.bounds} == set(series)
        sizes.append(len(plotted.bounds))
    assert sizes[1] > 500
    assert sizes[2] > 15 * 600


def test_a_plot_looks_at_silence_as_seldom() -> None:
    """The empty buckets of sparse series that nothing is made of change nothing when they are plotted."""
    values = np.where(np.random.default_rng(6).random((1, 500)) < 0.1, 5.0, np.nan)
    last = int(np.flatnonzero(~np.isnan(values[0]))[-1])
    values = np.concatenate([values[:, : last + 1], np.full((1, 150), np.nan)], axis=1)
    settings = {"zero_fill": 1, "counts": 1, "prune_buckets": 100, "threshold": 0.01}
    plain, plotted = ModelRun(1, **settings), ModelRun(1, **settings).plot(0)
    for run in (plain, plotted):
        run.feed(values, START, sparse=True, capacity=1000)
    assert np.array_equal(plotted.state, plain.state)
    assert plain.state.any()
    assert max(row[kernels.PLOT_BUCKET] for row in plotted.bounds) == START + last + 100


def test_full_bounds_resume_where_they_stopped() -> None:
    """However little room there is for them, no row is lost, doubled or different."""
    values = np.where(np.random.default_rng(3).random((18, 300)) < 0.4, np.nan, seasonal(18, 300))
    one, two = (ModelRun(18, zero_fill=1).plot(0, 3, 17) for _ in range(2))
    one.feed(values, START, sparse=True, capacity=6000)
    two.feed(values, START, sparse=True, capacity=model.LANES)
    assert repr(one.bounds) == repr(two.bounds)
    assert one.rows == two.rows


def test_compiled_and_plain_python_plot_alike() -> None:
    """The compiled kernel and its Python form give the same bounds, to the last bit."""
    values = seasonal(4, 60)
    values[0, 20:30] = np.nan
    values[3, ::2] = np.nan
    compiled, plain = ModelRun(4).plot(0, 1, 3), ModelRun(4, model.update_blocks.interpret).plot(0, 1, 3)
    for run in (compiled, plain):
        run.feed(values, START, sparse=True)
    assert repr(compiled.bounds) == repr(plain.bounds)
    assert len(plain.bounds) > 100


@given(st.data())
def test_cuts_and_threads_change_no_plot(data: st.DataObject) -> None:
    """However posts and flushes cut the stream, and on two threads, the table is the same to the last bit."""
    rows = records(120, data.draw(st.integers(0, 3)))
    settings = config(plot={"enabled": True})
    whole = posted(settings, rows, threads=1)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows) - 1), max_size=6)))
    cut = posted(settings, rows, cuts, threads=2)
    assert cut.model_plot().combine_chunks().equals(whole.model_plot().combine_chunks())


def test_small_passes_and_pieces_change_no_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do passes of a few buckets, or tables of a few rows."""
    rows, settings = records(), config(plot={"enabled": True})
    whole = posted(settings, rows).model_plot().combine_chunks()
    monkeypatch.setattr(engine_module, "PLOTTED_CELLS", 1)
    monkeypatch.setattr("tidegate.modelplot._BATCH_ROWS", 7)
    monkeypatch.setattr("tidegate.model._PIECE", 1)
    assert posted(settings, rows, threads=2).model_plot().combine_chunks().equals(whole)


@pytest.mark.parametrize("plot", [{"enabled": True}, {"enabled": True, "terms": "a,v"}, {"enabled": False}])
def test_a_plot_changes_no_result(plot: dict[str, Any]) -> None:
    """Buckets and records, interim ones too, are those of the same job without a plot."""
    rows, drop = records(), ["processing_time_ms"]
    plain, plotted = posted(config(), rows, (301,)), posted(config(plot=plot), rows, (301,))
    for job in (plain, plotted):
        job.flush(calc_interim=True)
    assert plotted.records().equals(plain.records())
    assert plotted.buckets().drop_columns(drop).equals(plain.buckets().drop_columns(drop))
    assert plain.records().num_rows > 10
    assert (plotted.model_plot().num_rows > 0) == plot["enabled"]
    assert plain.model_plot().equals(pa.Table.from_batches([], MODEL_PLOT))


def keys_of(job: Job) -> set[tuple[Any, ...]]:
    """Detector, by and partition value of all series in the plot."""
    names = ("detector_index", "by_field_value", "partition_field_value")
    return {tuple(row[name] for name in names) for row in job.model_plot().to_pylist()}


ALL = {
    *[(0, None, None)],
    *[(1, k, None) for k in ("a", "b", "")],
    *[(2, None, p) for p in "uv"],
    *[(3, k, p) for k in "ab" for p in "uv"],
    *[(4, p, None) for p in "uv"],
}


@pytest.mark.parametrize("terms", [None, "", " ,", "a", "a, v", "b,nothing", "A"])
def test_terms_choose_by_either_value(terms: str | None) -> None:
    """A series is plotted if its by or its partition value is a term; all are without any."""
    chosen = {term.strip() for term in (terms or "").split(",")} - {""}
    job = posted(config(plot={"enabled": True, "terms": terms}), records())
    expected = {
        (index, by, partition)
        for index, by, partition in ALL
        if not chosen or index == 0 or by in chosen or partition in chosen
    }
    assert keys_of(job) == expected


def test_rows_come_by_bucket_detector_and_series() -> None:
    """Rows are in the order of time, then detectors, then series, then features, each but once."""
    job = posted(config(plot={"enabled": True}), records())
    rows = job.model_plot().to_pylist()
    features = [model_feature(FUNCTIONS["metric"], name) for name in ("mean", "min", "max")]
    series: dict[tuple[Any, ...], int] = {}
    places = []
    for row in rows:
        key = (row["detector_index"], row["by_field_value"], row["partition_field_value"])
        feature = row["model_feature"]
        rank = features.index(feature) if row["detector_index"] == 2 else 0
        places.append((row["timestamp"], key[0], series.setdefault(key, len(series)), rank))
    assert [(time, index) for time, index, *_ in places] == sorted(
        (time, index) for time, index, *_ in places
    )
    assert len(set(places)) == len(places)
    assert {row["model_feature"] for row in rows if row["detector_index"] == 2} == set(features)


def test_rows_say_whose_they_are() -> None:
    """A row names the job, its bucket and its fields, and has null where there is no field or value."""
    job = posted(config(plot={"enabled": True}), records())
    table = job.model_plot()
    assert table.schema == MODEL_PLOT
    row = table.filter(pc.equal(table["detector_index"], 3)).slice(0, 1).to_pylist()[0]
    named = ("by_field_name", "partition_field_name", "over_field_name", "over_field_value")
    assert [row[name] for name in named] == ["k", "p", None, None]
    assert (row["job_id"], row["result_type"], row["bucket_span"]) == (job.job_id, "model_plot", 3600)
    assert row["model_feature"] == "'high values of count per bucket by person'"
    assert table["timestamp"].null_count == table["model_lower"].null_count == 0
    assert row["model_lower"] <= row["model_median"] <= row["model_upper"]


def test_empty_buckets_have_bounds_and_no_value() -> None:
    """A bucket without data has bounds: no value of a mean, a zero of a count; an idle series has none."""
    job = posted(config(plot={"enabled": True}, model_prune_window="20h"), records())
    table = job.model_plot()
    empty = table.filter(pc.equal(table["timestamp"], 113 * HOUR)).to_pylist()
    values = {(row["detector_index"], row["by_field_value"]): row["actual"] for row in empty}
    assert values[0, None] == 0.0
    assert values[1, "a"] is None
    assert values[4, "u"] is None
    idle = table.filter(pc.equal(table["by_field_value"], "b"))["timestamp"]
    assert pc.max(idle).as_py() in (80 * HOUR, 79 * HOUR)


def test_a_young_series_has_no_bounds() -> None:
    """Rows begin with the first bucket that could be scored."""
    rows = [{"t": hour * HOUR, "x": 5.0} for hour in range(40)]
    job = posted(config({"function": "mean", "field_name": "x"}, plot={"enabled": True}), rows)
    assert job.model_plot()["timestamp"].to_pylist() == [hour * HOUR for hour in range(12, 39)]


def test_bounds_are_those_of_the_records() -> None:
    """Where there is a record its typical value and bounds are those of the plot."""
    job = posted(
        config({"function": "mean", "field_name": "x", "by_field_name": "k"}, plot={"enabled": True}),
        records(),
    )
    plot = {(row["timestamp"], row["by_field_value"]): row for row in job.model_plot().to_pylist()}
    found = job.records().to_pylist()
    assert len(found) > 5
    for record in found:
        row, told = plot[record["timestamp"], record["by_field_value"]], record["anomaly_score_explanation"]
        assert [row["model_median"]] == record["typical"]
        assert [row["actual"]] == record["actual"]
        assert row["model_lower"] == told["lower_confidence_bound"]
        assert row["model_upper"] == told["upper_confidence_bound"]


def test_every_numeric_function_has_a_feature() -> None:
    """Every function that has a line to plot has a name of its own for what it models."""
    plotted = [f for f in FUNCTIONS.values() if f.is_numeric]
    names = {
        model_feature(function, feature)
        for function in plotted
        if function.name != "metric"
        for feature in function.features
    }
    assert len(names) == len(plotted) - 1
    assert "'arithmetic mean value by person'" in names
    assert "'low bucket non-null sum by person'" in names
