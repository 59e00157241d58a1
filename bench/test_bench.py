"""The cases of `python -m bench` under pytest-benchmark: ``pytest bench --benchmark-only``."""

from __future__ import annotations

import importlib
import os

import pytest

from . import (
    categories,
    coldstart,
    durability,
    files,
    flush,
    gather,
    influencers,
    measure,
    memory,
    model,
    plot,
    population,
    rare,
    scaling,
    sketches,
    snapshots,
    tables,
    whole,
)
from .inputs import even, events

ROWS = int(os.environ.get("TIDEGATE_BENCH_ROWS", "1000000"))
GATHER = {"tidegate": gather.tidegate} | {
    f"{name}, {way}": make for name, ways in gather.PEERS.items() for way, make in ways.items()
}
_PACKAGES = {"river": "river", "rcf3": "rcf3", "statsforecast": "statsforecast"}


@pytest.mark.parametrize("n_series", gather.SERIES)
@pytest.mark.parametrize("who", list(GATHER))
def test_gather(benchmark, who, n_series):
    """Gather makes the cells that the group-by of every peer makes."""
    benchmark.group = f"gather, {n_series} series"
    data = events(ROWS, n_series)
    case = GATHER[who](data)
    gather.check({who: case, "DuckDB": gather.duckdb(data)})
    assert benchmark.pedantic(case.run, rounds=3, warmup_rounds=1) > 0


@pytest.mark.parametrize("threads", range(1, measure.CORES + 1))
def test_model(benchmark, threads):
    """The model scores every series in every bucket once it is informed."""
    benchmark.group = "model"
    run = model.ours(1_000, model.DAY, threads)
    assert benchmark.pedantic(run, setup=run.ready, rounds=5) == 1_000 * model.DAY


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("who", list(model.PEERS))
def test_model_peers(benchmark, who):
    """Every peer of the model takes all the values it is given."""
    benchmark.group = "model"
    pytest.importorskip(_PACKAGES[who.split()[0]])
    peer = model.PEERS[who]
    assert benchmark.pedantic(peer.make(peer.values), rounds=3) == peer.values


@pytest.mark.parametrize("which", range(5))
def test_whole_job(benchmark, which):
    """A week of records gives every whole bucket but the open one, less the latency."""
    benchmark.group = "whole job"
    name, run = list(whole.jobs(events(ROWS, 1_000)).items())[which]
    benchmark.name = name
    assert 2010 <= benchmark.pedantic(run, rounds=3, warmup_rounds=1) <= 2015


@pytest.mark.parametrize("n_fields", [0, influencers.FIELDS])
def test_influencers(benchmark, n_fields):
    """Only a job with influencers has values to blame."""
    benchmark.group = "influencers"
    run = influencers.job(influencers.with_values(events(ROWS, 1_000), n_fields), "mean", n_fields)
    assert (benchmark.pedantic(run, rounds=3, warmup_rounds=1) > 0) == (n_fields > 0)


@pytest.mark.parametrize("kind", files.KINDS)
@pytest.mark.parametrize("who", ["tidegate", *files.PEERS])
def test_file(benchmark, tmp_path, who, kind):
    """Everyone reads every row of a file."""
    benchmark.group = kind
    data = events(ROWS, 1_000).head(files.rows_of(kind, ROWS))
    path = tmp_path / f"bench.{kind}"
    files.write(data, kind, path)
    makers = {"tidegate": files.tidegate, **files.PEERS}
    assert benchmark.pedantic(makers[who](path), rounds=3, warmup_rounds=1) == len(data)


@pytest.mark.parametrize("latency", [None, "1h"])
@pytest.mark.parametrize("n_series", [100, 10_000])
def test_flush(benchmark, n_series, latency):
    """A flush with interim results gives results for the open buckets."""
    benchmark.group = f"flush, {n_series} series"
    job, post = flush.job(n_series, latency)
    with job:
        benchmark.pedantic(job.flush, kwargs={"calc_interim": True}, setup=post, rounds=5)
        assert job.buckets().num_rows > job.buckets(exclude_interim=True).num_rows


def test_cold_start(benchmark):
    """A fresh process gets from its imports to results."""
    assert benchmark.pedantic(coldstart.process(coldstart.FIRST_RESULTS), rounds=3) == 1


@pytest.mark.parametrize("kind", list(memory.GOALS_KB))
def test_memory(benchmark, kind):
    """The states of the models are part of what the process grew by."""
    made = benchmark.pedantic(measure.in_child, (memory.grown, kind, 5_000), rounds=1)
    assert 0 < made["state"] < made["process"]


def test_peak(benchmark):
    """Reading a file takes more memory than the imports alone."""
    made = benchmark.pedantic(memory.peaks, (ROWS,), rounds=1)
    assert made["imports"] < min(made[who] for who in ("tidegate", *files.PEERS))


@pytest.mark.parametrize("span", snapshots.KINDS.values())
def test_snapshots(benchmark, tmp_path, span):
    """A job is restored from its snapshot, with whose state the same snapshot is made again."""
    benchmark.group = f"snapshots, {span}"
    with snapshots.grown(span, 2_000) as job:
        made = snapshots.runs(job, tmp_path)
        nbytes = benchmark.pedantic(made["snapshot"], rounds=3)
        made["bare write"]()
        assert nbytes == len(made["bare read"]()) > 2_000 * 256
        content = (tmp_path / "ours.arrow").read_bytes()
        with made["restore"]() as again:
            assert snapshots.runs(again, tmp_path)["snapshot"]() == nbytes
        assert (tmp_path / "ours.arrow").read_bytes() == content


@pytest.mark.parametrize("who", [*durability.SETTINGS, durability.IN_MEMORY, durability.BARE])
def test_durability(benchmark, tmp_path, who):
    """Small posts to a job under each promise, in memory, and the bytes of them to a file."""
    benchmark.group = "durability, posts of 100 rows"
    made, stores, nbytes = durability.runs(tmp_path, 100, 20)
    assert nbytes > 100 * 16
    try:
        benchmark.pedantic(made[who], setup=made[who].ready, rounds=3)
    finally:
        for store in stores.values():
            store.close()


def test_close(benchmark, tmp_path):
    """A stored job is closed, and opened for the next round."""
    closing = snapshots.Closing(tmp_path, 2_000)
    benchmark.pedantic(closing, setup=closing.ready, rounds=3)
    closing.end()


@pytest.mark.parametrize("case", sketches.CASES)
def test_sketches(benchmark, case):
    """A day of records of many values gives all its buckets, and peers find as many cells."""
    function, n_series, span = case
    benchmark.group = f"{function}, {n_series} series, {span}"
    data = sketches.records(ROWS // 10, n_series)
    buckets = {"1d": 1, "5m": 288}[span]
    assert benchmark.pedantic(sketches.ours, (data, *case), rounds=3) == buckets
    if sketches.PEERS[function]:
        assert sketches.duckdb(data, *case) == sketches.polars(data, *case)


@pytest.mark.parametrize("over", [False, True])
def test_rare(benchmark, over):
    """A day of processes gives a result for every whole bucket, by host and over hosts."""
    data = rare.activity(ROWS // 10, 10_000)
    assert (
        benchmark.pedantic(rare.job(data.table(), 1, over=over), rounds=3) == rare.DAY_MS // rare.SPAN_MS - 1
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("span", list(scaling.SPANS))
def test_spans(benchmark, span):
    """A job gives a result for every bucket but the open one, whatever its span."""
    benchmark.group = "bucket spans"
    data = even(100, 200, 1, scaling.SPANS[span])
    assert benchmark.pedantic(whole.job(data, "mean", 1, span=span), rounds=3) == 200


def test_population(benchmark):
    """A job over a population of some thousand members ends with records of the least probable."""
    benchmark.group = "population"
    run = population.job(population.transfers(200_000, 5_000), "high_sum")
    assert 0 < benchmark.pedantic(run, rounds=3) < 100 * population.BUCKETS


def test_categories(benchmark):
    """Every template of log lines comes to one category, and the lines to those of their template."""
    benchmark.group = "categories"
    lines, _, templates = categories.log_column(categories.TUNED, ROWS // categories.SHARE)
    made = benchmark.pedantic(categories.categorized, (lines,), rounds=3, warmup_rounds=1)
    assert len(templates) <= len(made) < 1.2 * len(templates)
    assert categories.accuracy([1, 1, 2, 3], ["a", "a", "b", "b"]) == 0.5


@pytest.mark.filterwarnings("ignore")
def test_curves_are_drawn():
    """The picture of the curves is small, and its text is text."""
    pytest.importorskip("matplotlib")
    made = [plot.Curve("gather", axis, "row", [1, 10], [5.0, 6.0]) for axis in plot.AXES]
    table = scaling.table(measure.Size(), made)
    assert len(table.pictures["scaling.svg"]) < 100_000
    assert b"nanoseconds per unit" in table.pictures["scaling.svg"]
    assert table.markdown().count("1.2x between") == 3


def test_a_partial_run_replaces_its_own_table_only():
    """Sections that were not measured stay; those measured are replaced, in the order of the cases."""
    readme = f"before\n{tables.BEGIN}\n{tables.END}\nafter"
    order = ["gather", "model"]
    once = tables.written(readme, {"model": "m1"}, order)
    twice = tables.written(once, {"gather": "g1"}, order)
    again = tables.written(twice, {"gather": "g2"}, order)
    assert again == twice.replace("g1", "g2")
    assert again.index("g2") < again.index("m1")
    assert again.startswith("before\n")
    assert again.endswith("\nafter")


def test_every_case_is_run():
    """Every module that has a table is a case of ``python -m bench``."""
    main = importlib.import_module("bench.__main__")
    subjects = (
        categories,
        coldstart,
        durability,
        files,
        flush,
        gather,
        influencers,
        memory,
        model,
        population,
        rare,
        scaling,
        sketches,
        snapshots,
        whole,
    )
    assert set(main.CASES) == {subject.__name__.split(".")[-1] for subject in subjects}
