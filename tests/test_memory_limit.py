"""The memory limit: who is let in, who is pruned, and that it depends on the rows alone."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import Job, RequestError, estimate_model_memory
from tidegate.estimate import estimated_bytes
from tidegate_kernels.blocks import keep_latest
from tidegate_kernels.state import PAGE_SIZE

HOUR = 3_600_000
START = 1_514_764_800_000
DETECTORS: dict[str, list[dict[str, Any]]] = {
    "count": [{"function": "count", "partition_field_name": "a"}],
    "mean": [{"function": "mean", "field_name": "value", "by_field_name": "a"}],
    "metric": [
        {"function": "metric", "field_name": "value", "by_field_name": "a", "partition_field_name": "b"}
    ],
    "median": [{"function": "median", "field_name": "value", "by_field_name": "a"}],
    "distinct": [{"function": "distinct_count", "field_name": "c", "by_field_name": "a"}],
    "info": [{"function": "info_content", "field_name": "c", "by_field_name": "a"}],
    "rare": [{"function": "rare", "by_field_name": "a", "partition_field_name": "b"}],
    "time": [{"function": "time_of_day", "by_field_name": "a"}],
    "population": [{"function": "high_count", "over_field_name": "a", "by_field_name": "b"}],
    "freq_rare": [{"function": "freq_rare", "over_field_name": "a", "by_field_name": "b"}],
    "exclude": [{"function": "count", "by_field_name": "a", "exclude_frequent": "by"}],
    "two": [
        {"function": "mean", "field_name": "value", "by_field_name": "a"},
        {"function": "count", "partition_field_name": "b"},
        {"function": "rare", "by_field_name": "c"},
    ],
}
LIMIT = 1 << 20
EXAMPLES = 200 if os.environ.get("TIDEGATE_FUZZ") == "thorough" else 10


def configured(name: str, *, influencers: tuple[str, ...] = (), **analysis: Any) -> dict[str, Any]:
    """A job with a small limit."""
    return {
        "analysis_config": {
            "bucket_span": "30m",
            "detectors": DETECTORS[name],
            "influencers": list(influencers),
            **analysis,
        },
        "analysis_limits": {"model_memory_limit": "1mb"},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"},
    }


def stream(seed: int, hours: int, rows: int, values: int, churn: float) -> pa.Table:
    """Random records of so many values of a field, some of which give way to new ones with time."""
    random = np.random.default_rng(seed)
    n = hours * rows
    time = np.sort(START + random.integers(0, hours * HOUR, n))
    age = ((time - START) // HOUR * churn).astype(int)
    a = random.integers(0, values, n) + age * values // 4
    b = random.integers(0, 3 + values // 40, n) + age
    c = random.integers(0, 2 * values, n)
    width = random.integers(0, 60, 4 * values + int(a.max()) + 1)
    return pa.table(
        {
            "time": time,
            "value": random.gamma(2.0, 10.0, n),
            "a": [f"a{k}" + "x" * width[k] for k in a.tolist()],
            "b": [f"b{k}" for k in b.tolist()],
            "c": [f"c{k}" for k in c.tolist()],
        }
    )


def results_of(job: Job) -> list[pa.Table]:
    """All final results, less what is of the wall clock."""
    tables = [
        job._engine.results.table(kind, exclude_interim=True)
        for kind in ("buckets", "records", "influencers")
    ]
    return [tables[0].drop_columns(["processing_time_ms"]), *tables[1:]]


def run(
    config: dict[str, Any], data: pa.Table, cuts: list[int], threads: int = 1, flush: bool = False
) -> Job:
    """A job that got the records in pieces."""
    job = Job(config, threads=threads)
    for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
        job.post(data.slice(start, stop - start))
        if flush:
            job.flush(calc_interim=True)
    job.flush()
    return job


def stats(job: Job) -> dict[str, Any]:
    """The sizes, less what is of the wall clock, and of who looked when."""
    sizes = job.model_size_stats.to_dict()
    return {name: sizes[name] for name in sizes if name not in ("log_time", "peak_model_bytes")}


@pytest.mark.parametrize("name", DETECTORS)
def test_model_bytes_stay_under_the_limit(name: str) -> None:
    """Whatever comes, at every hour the models take no more than the limit and what open buckets hold."""
    data = stream(7, 30, 1500, 900, 0.5)
    job = Job(configured(name, influencers=("c",)), threads=1)
    seen = 0
    for part in range(0, len(data), 3000):
        job.post(data.slice(part, 3000))
        job.flush()
        engine = job._engine
        assert engine.stock.taken <= LIMIT
        opened = sum(lane.open_bytes for lane in engine._lanes.values()) + engine.influencers.log.nbytes
        texts = sum(store.nbytes for store in engine._texts.values())
        assert job.model_size_stats.model_bytes <= LIMIT + opened + texts
        seen = max(seen, engine.stock.taken)
    assert seen > 0.3 * LIMIT
    sizes = job.model_size_stats
    assert sizes.refused_series_record_count == 0 or sizes.bucket_allocation_failures_count > 0


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_who_is_let_in_depends_on_the_rows_alone(data: Any) -> None:
    """However records are cut into posts and flushes, and on any number of threads: the same, bit for bit."""
    name = data.draw(st.sampled_from(sorted(DETECTORS)))
    seed, values = data.draw(st.integers(0, 1000)), data.draw(st.sampled_from([100, 700, 2000]))
    table = stream(seed, 8, 800, values, data.draw(st.sampled_from([0.0, 0.5, 3.0])))
    config = configured(
        name,
        influencers=("c",),
        model_prune_window=data.draw(st.sampled_from(["2h", "30d"])),
        latency=data.draw(st.sampled_from([0, 3600])),
    )
    whole = run(config, table, [])
    cuts = sorted(data.draw(st.lists(st.integers(1, len(table) - 1), max_size=6, unique=True)))
    pieces = run(config, table, cuts, threads=2, flush=data.draw(st.booleans()))
    for one, other in zip(results_of(whole), results_of(pieces), strict=True):
        assert one.equals(other)
    assert whole.data_counts.refused_series_record_count == pieces.data_counts.refused_series_record_count
    ours, theirs = stats(whole), stats(pieces)
    assert {k: v for k, v in ours.items() if "bytes" not in k} == {
        k: v for k, v in theirs.items() if "bytes" not in k
    }
    assert whole._engine.stock.taken == pieces._engine.stock.taken


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_what_is_swept_and_pruned_at_close_is_not_missed(data: Any) -> None:
    """A job that is closed, captured, restored and swept of strings all the time finds the same."""
    name = data.draw(st.sampled_from(sorted(DETECTORS)))
    table = stream(data.draw(st.integers(0, 1000)), 10, 300, data.draw(st.sampled_from([20, 300, 1200])), 2.0)
    config = configured(name, influencers=("c",), model_prune_window="2h")
    whole = run(config, table, [])
    job, found = Job(config, threads=1), []
    with mock.patch.multiple("tidegate.keys", _LEAST_SWEPT=4, _LEAST_BYTES=64):
        for start in range(0, len(table), 500):
            job.post(table.slice(start, 500))
            act = data.draw(st.sampled_from(["nothing", "flush", "close", "restore"]))
            if act == "flush":
                job.flush()
            elif act == "close":
                job.close()
                job.open()
            elif act == "restore":
                found.append(results_of(job))
                reborn = Job(config, threads=1)
                reborn._restore(job._capture(copy=True))
                job = reborn
        job.flush()
    found.append(results_of(job))
    for one, *parts in zip(results_of(whole), *found, strict=True):
        assert one.equals(pa.concat_tables(parts))
    assert whole.data_counts.refused_series_record_count == job.data_counts.refused_series_record_count
    assert whole._engine.stock.taken == job._engine.stock.taken


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=20), st.integers(-3, 3))
def test_the_latest_cell_of_every_series_is_known(cells: list[tuple[int, int]], offset: int) -> None:
    """Compiled and as plain Python, the latest bucket of every series stays, in whatever order cells come."""
    bucket = np.array([bucket for bucket, _ in cells], np.int64)
    series = np.array([number for _, number in cells], np.int32)
    before = [2, -9, 5, -9, 0]
    latest = [max([known, *(b - offset for b, s in cells if s == k)]) for k, known in enumerate(before)]
    for call in (keep_latest, keep_latest.interpret):
        last = np.array(before, np.int64)
        call(bucket, series, offset, last)
        assert last.tolist() == latest


def test_silent_series_make_room_for_others() -> None:
    """Above three fifths of the limit the series that are silent for longest leave, and new ones come in."""
    config = configured("mean")
    config["analysis_config"]["bucket_span"] = "1h"
    job = Job(config, threads=1)
    lasting = [f"lasting {k}" for k in range(100)]
    for hour in range(200):
        names = lasting + [f"of day {hour // 24}: {k}" for k in range(150)]
        value = np.random.default_rng(hour).normal(100.0, 5.0, len(names))
        job.post(pa.table({"time": np.full(len(names), START + hour * HOUR), "value": value, "a": names}))
    job.flush()
    [lane] = job._engine.lanes
    texts = set(
        job._engine._names["a"]
        .texts()
        .take(pa.array(lane.keys.by_codes(np.arange(len(lane.keys)))))
        .to_pylist()
    )
    assert set(lasting) <= texts
    assert "of day 0: 1" not in texts
    assert any(name.startswith("of day 7") for name in texts)
    assert job._engine.stock.taken <= LIMIT
    sizes = job.model_size_stats
    assert sizes.bucket_allocation_failures_count > 0
    assert sizes.assignment_memory_basis in ("current_model_bytes", "peak_model_bytes")


def test_strings_of_refused_values_do_not_pile_up() -> None:
    """A million values too many leave no strings behind."""
    job = Job(configured("mean"), threads=1)
    for part in range(10):
        n = 100_000
        names = [f"a value with a long text, number {part * n + k}" for k in range(n)]
        time = np.full(n, START + part * HOUR)
        job.post(pa.table({"time": time, "value": np.ones(n), "a": names}))
        job.flush()
    names = job._engine._names["a"]
    assert len(names) < 300_000
    assert job.data_counts.refused_series_record_count > 900_000
    job.close()


def test_a_block_without_leave_takes_no_page() -> None:
    """Where memory is short the first blocks may become seasonal, the others stay plain and go on."""
    config = configured("mean")
    config["analysis_limits"]["model_memory_limit"] = "8mb"
    taken = []
    hours = np.repeat(np.arange(24 * 6), 160)
    value = 100.0 + 30.0 * np.sin(hours / 24 * 2 * np.pi) + np.random.default_rng(1).normal(0, 3, len(hours))
    names = [f"a{k}" for k in range(160)] * (24 * 6)
    data = pa.table({"time": START + hours * HOUR, "value": value, "a": names})
    for most in (10, 3):
        job = Job(config, threads=2)
        job.post(data.slice(0, 320))
        job.flush()
        [model] = job._engine.lanes[0].analyses[0].models  # type: ignore[attr-defined]
        assert model.limit_pages(160, most * 4 * PAGE_SIZE) == most * 4 * PAGE_SIZE
        job.post(data.slice(320))
        job.flush()
        taken.append(np.flatnonzero(model._page_b[:10] >= 0).tolist())
        assert job.buckets().num_rows == 2 * (24 * 6 - 1)
    assert taken == [list(range(10)), [0, 1, 2]]


def test_close_gives_back_what_is_silent() -> None:
    """Series silent for longer than the prune window have no state and no pages after a close."""
    config = configured("mean", model_prune_window="1d")
    config["analysis_limits"]["model_memory_limit"] = "64mb"
    job = Job(config, threads=1)
    for hour in range(24 * 6):
        names = [f"a{k}" for k in range(16 if hour > 100 else 160)]
        value = 100.0 + 30.0 * np.sin(hour / 24 * 2 * np.pi) + np.arange(len(names))
        job.post(pa.table({"time": np.full(len(names), START + hour * HOUR), "value": value, "a": names}))
    job.flush()
    before = job.model_size_stats.model_bytes
    job.close()
    [model] = job._engine.lanes[0].analyses[0].models
    assert np.count_nonzero(model._page_b >= 0) == 1
    assert job.model_size_stats.model_bytes < before - 8 * 4 * PAGE_SIZE


@pytest.mark.parametrize("name", ["count", "mean", "metric", "rare", "population", "time", "two"])
def test_an_estimate_is_near_what_a_job_takes(name: str) -> None:
    """Of a job that has run for two weeks an estimate is right within a factor of 0.7 to 1.5."""
    random = np.random.default_rng(5)
    cardinality = {"a": 300, "b": 4, "c": 200}
    config = configured(name)
    config["analysis_limits"]["model_memory_limit"] = "100mb"
    config["analysis_config"]["bucket_span"] = "4h"
    n = 14 * 6 * 1200
    time = np.repeat(START + 4 * HOUR * np.arange(14 * 6), 1200)
    table = {"time": time, "value": random.gamma(2.0, 10.0, n)}
    every = np.tile(np.arange(1200), 14 * 6)
    table |= {
        "a": [f"value {k}" for k in (every % 300).tolist()],
        "b": [f"value {k}" for k in (every // 300).tolist()],
    }
    table["c"] = [f"value {k}" for k in random.integers(0, 200, n).tolist()]
    job = Job(config, threads=1)
    job.post(pa.table(table).filter(random.random(n) < 0.8))
    job.flush()
    taken = job.model_size_stats.model_bytes
    assert job.data_counts.refused_series_record_count == 0
    assert 0.7 * taken < estimated_bytes(config, cardinality, {}) < 1.5 * taken


def test_an_estimate_wants_to_know_the_cardinality() -> None:
    """A field without a cardinality, or a wrong one, is named."""
    with pytest.raises(
        RequestError, match=r"\[overall_cardinality\] does not say how many .* of \[a\], \[b\]"
    ):
        estimate_model_memory(configured("rare"))
    with pytest.raises(RequestError, match=r"\[overall_cardinality\] of \[a\] is -1"):
        estimate_model_memory(configured("mean"), {"a": -1})
    assert estimate_model_memory(configured("mean"), {"a": 0}) == "1mb"
