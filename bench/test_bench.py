"""The cases of `python -m bench` under pytest-benchmark: ``pytest bench --benchmark-only``."""

from __future__ import annotations

import os

import pytest

from . import gather, whole
from .inputs import events

ROWS = int(os.environ.get("TIDEGATE_BENCH_ROWS", "2000000"))


@pytest.mark.parametrize("n_series", [1, 1_000, 100_000])
@pytest.mark.parametrize("who", ["tidegate", *gather.PEERS])
def test_gather(benchmark, who, n_series):
    """Gather makes the cells that the group-by of every peer makes."""
    benchmark.group = f"gather, {n_series} series"
    data = events(ROWS, n_series)
    makers = {"tidegate": gather.tidegate, **gather.PEERS}
    case = makers[who](data)
    gather.check({who: case, "DuckDB": gather.duckdb(data)})
    assert benchmark(case.run) > 0


def test_model(benchmark):
    """The model scores every series in every bucket once it is informed."""
    run = whole.model(1_000, 288)
    run()
    scored = benchmark.pedantic(run, setup=run.ready, rounds=5)
    assert scored == 1_000 * 288


@pytest.mark.parametrize("function", ["mean", "count"])
def test_whole_job(benchmark, function):
    """A week of records gives every whole bucket but the open one."""
    buckets = benchmark(whole.job(events(ROWS, 1_000), function, 1))
    assert buckets in (2014, 2015)
