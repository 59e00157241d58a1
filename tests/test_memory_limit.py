"""The memory limit: who is let in, who is pruned, and that it depends on the rows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import Job

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
    """All that was found, less what is of the wall clock."""
    buckets = job.buckets()
    return [buckets.drop_columns(["processing_time_ms"]), job.records(), job.influencers()]


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
    data = stream(7, 60, 1500, 900, 0.5)
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
    assert seen > 0.4 * LIMIT
    sizes = job.model_size_stats
    assert sizes.refused_series_record_count == 0 or sizes.bucket_allocation_failures_count > 0


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_who_is_let_in_depends_on_the_rows_alone(data: Any) -> None:
    """However records are cut into posts and flushes, and on any number of threads: the same, bit for bit."""
    name = data.draw(st.sampled_from(sorted(DETECTORS)))
    seed, values = data.draw(st.integers(0, 1000)), data.draw(st.sampled_from([100, 700, 2500]))
    table = stream(seed, 14, 1200, values, data.draw(st.sampled_from([0.0, 0.5, 3.0])))
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
