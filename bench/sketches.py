"""Distinct counts, medians and information of large cells: rows a second, and memory, of whole jobs."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import tidegate
from tidegate.config import JobConfig

from .inputs import DAY_MS, START_MS, config, host_names
from .measure import Size, in_child, memory_now, versions
from .tables import NO_GOAL, Table, at_least

BATCH_ROWS = 1 << 18
FIELDS = {"distinct_count": "id", "median": "value", "info_content": "id"}
SPANS = ("1d", "5m")
SERIES = (1, 1_000)
CASES = [
    *((function, n, span) for function in ("distinct_count", "median") for n in SERIES for span in SPANS),
    ("info_content", 1_000, "5m"),
]
GOAL = 1.0
PEERS = {
    "distinct_count": {"DuckDB": "approx_count_distinct(id)", "polars": "n_unique"},
    "median": {"DuckDB": "approx_quantile(value, 0.5)", "polars": "median"},
    "info_content": {},
}


def records(rows: int, n_series: int) -> pa.Table:
    """Records of a day in time order, each with a string and a number of its own."""
    random = np.random.default_rng(3)
    at = np.sort(random.integers(0, DAY_MS, rows)) + START_MS
    at[0] = START_MS
    ids = pc.binary_join_element_wise("session-", pa.array(random.permutation(rows)).cast(pa.string()), "")
    hosts = pa.array(random.integers(0, n_series, rows).astype(np.int32))
    keys = pa.DictionaryArray.from_arrays(hosts, host_names(n_series))
    return pa.table({"time": at, "host": keys, "id": ids, "value": random.lognormal(3.0, 1.0, rows)})


def job(function: str, n_series: int, span: str) -> tidegate.Job:
    """A job of one detector on one thread."""
    settings = config(span=span)
    detector = {"function": function, "field_name": FIELDS[function]}
    by = {"by_field_name": "host"} if n_series > 1 else {}
    settings["analysis_config"]["detectors"] = [{**detector, **by}]
    return tidegate.Job(settings, threads=1)


def ours(data: pa.Table, function: str, n_series: int, span: str) -> int:
    """The records batch by batch, as they would come, to the end of the day; counts the buckets."""
    with job(function, n_series, span) as whole:
        for batch in data.to_batches(max_chunksize=BATCH_ROWS):
            whole.post(batch)
        whole.flush(advance_time=(START_MS + DAY_MS) // 1000)
        return int(whole.buckets().num_rows)


def duckdb(data: pa.Table, function: str, n_series: int, span: str) -> int:
    """The estimate of DuckDB over Arrow, by host and bucket, on one thread; counts the cells."""
    import duckdb as db

    connection = db.connect(config={"threads": 1})
    connection.register("data", data)
    query = (
        f"SELECT time // {_span_ms(span)} AS bucket, host, {PEERS[function]['DuckDB']} FROM data GROUP BY ALL"
    )
    return int(connection.sql(query).to_arrow_table().num_rows)


def polars(data: pa.Table, function: str, n_series: int, span: str) -> int:
    """The exact one of polars, by host and bucket, on all cores; counts the cells."""
    import polars as pl

    value = getattr(pl.col(FIELDS[function]), PEERS[function]["polars"])()
    frame = pl.from_arrow(data).lazy()  # type: ignore[union-attr]
    bucket = (pl.col("time") // _span_ms(span)).alias("bucket")
    return len(frame.group_by(bucket, "host").agg(value).collect())


def _span_ms(span: str) -> int:
    return JobConfig.parse(config(span=span)).analysis_config.bucket_span_ms


def taken(who: str, rows: int, function: str, n_series: int, span: str) -> dict[str, float]:
    """Seconds, and the bytes by which the process grew at its peak (a child's work)."""
    run = {"tidegate": ours, "DuckDB": duckdb, "polars": polars}[who]
    data = records(rows, n_series)
    run(data.slice(0, 10_000), function, n_series, span)
    gc.collect()
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before, _ = memory_now()
    began = time.perf_counter()
    cells = run(data, function, n_series, span)
    seconds = time.perf_counter() - began
    size = memory_now()[1] - before
    return {"seconds": seconds, "bytes": size, "cells": cells, "strings": data["id"].nbytes}


def best(who: str, size: Size, rows: int, case: tuple[str, int, str]) -> dict[str, float]:
    """The quickest of a few runs, each in a process of its own."""
    return min(
        (in_child(taken, who, rows, *case) for _ in range(max(size.repeats // 2, 1))),
        key=lambda made: made["seconds"],
    )


def table(size: Size) -> Table:
    """Ours beside the group-by of peers."""
    count = size.rows // 2
    made: list[tuple[str, ...]] = []
    for case in CASES:
        function, n_series, span = case
        figures = {who: best(who, size, count, case) for who in ("tidegate", *PEERS[function])}
        rate = {who: count / figure["seconds"] / 1e6 for who, figure in figures.items()}
        cells = [
            f"{rate[who]:.1f} / {figures[who]['bytes'] / 1e6:.0f}" if who in rate else ""
            for who in ("tidegate", "DuckDB", "polars")
        ]
        goal = at_least(rate["tidegate"], GOAL) if function == "distinct_count" else NO_GOAL
        strings = f"{figures['tidegate']['strings'] / 1e6:.0f}" if FIELDS[function] == "id" else ""
        made.append((function, f"{n_series:,}", span, *cells, strings, *goal))
    return Table(
        f"Cells of many values, {count / 1e6:g} M records of a day, every string and every number another: "
        "M rows/s and MB by which the process grew at its peak, from Arrow in batches of "
        f"{BATCH_ROWS:,} rows to results, on one thread. Beside it a GROUP BY over the table, no models: "
        "DuckDB on one thread, with its own sketches (approx_count_distinct, approx_quantile), polars on all "
        f"cores, exact (n_unique, median); {versions('duckdb', 'polars')}. The quickest of "
        f"{max(size.repeats // 2, 1)} processes each.",
        ("function", "series", "span", "tidegate", "DuckDB", "polars", "strings, MB", "goal", "met"),
        made,
    )
