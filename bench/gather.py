"""Gather beside the group-by of polars, DuckDB and pyarrow: the same five statistics of every cell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.engine import PASS_ROWS
from tidegate.streams import RingStream, Span

from .inputs import SPAN_MS, Events

Run = Callable[[], int]
"""One run of a case; returns how many cells came out, the same for all who do the same work."""


def tidegate(events: Events) -> Run:
    """Our gather, on one thread, in passes as the engine makes them."""

    def run() -> int:
        stream = RingStream(Span(SPAN_MS, 0), valued=True)
        stream.grow(events.n_series)
        stream.begin(int(events.time[0]) // SPAN_MS * SPAN_MS)
        rows, cells = len(events.time), 0
        for start in range(0, rows, PASS_ROWS):
            stop = min(start + PASS_ROWS, rows)
            stream.gather(events.time, events.series, events.value, start, stop, 0)
            cells += len(stream.take())
        stream.close((int(events.time[-1]) // SPAN_MS + 1) * SPAN_MS, 0)
        return cells + len(stream.take())

    return run


def polars(events: Events) -> Run:
    """Polars over columns in memory, on all its threads."""
    import polars as pl

    frame = pl.DataFrame({"time": events.time, "series": events.series, "value": events.value}).lazy()
    value = pl.col("value")
    query = frame.group_by((pl.col("time") // SPAN_MS).alias("bucket"), "series").agg(
        pl.len(),
        value.sum().alias("sum"),
        (value * value).sum().alias("squares"),
        value.min().alias("min"),
        value.max().alias("max"),
    )
    return lambda: len(query.collect())


def duckdb(events: Events) -> Run:
    """DuckDB over a native table, on all its threads."""
    import duckdb as db

    connection = db.connect()
    arrow = pa.table({"time": events.time, "series": events.series, "value": events.value})
    connection.register("arrow", arrow)
    connection.execute("CREATE TABLE events AS SELECT * FROM arrow")
    query = (
        f"SELECT time // {SPAN_MS} AS bucket, series, count(*), sum(value), sum(value * value), "
        "min(value), max(value) FROM events GROUP BY ALL"
    )
    return lambda: connection.sql(query).to_arrow_table().num_rows


def pyarrow(events: Events) -> Run:
    """Pyarrow's group_by, on all its threads."""
    table = pa.table({"time": events.time, "series": events.series, "value": events.value})

    def run() -> int:
        bucket = pc.divide(table["time"], SPAN_MS)
        squares = pc.multiply(table["value"], table["value"])
        whole = table.append_column("bucket", bucket).append_column("squares", squares)
        wanted = [
            ("value", "count"),
            ("value", "sum"),
            ("squares", "sum"),
            ("value", "min"),
            ("value", "max"),
        ]
        return whole.group_by(["bucket", "series"]).aggregate(wanted).num_rows

    return run


def read_memory(events: Events) -> Run:
    """The limit: merely reading the three columns, on one thread."""

    def run() -> int:
        return (
            int(events.time.max() > 0) + int(events.series.max() >= 0) + int(np.isfinite(events.value.sum()))
        )

    return run


PEERS: dict[str, Callable[[Events], Run]] = {"polars": polars, "DuckDB": duckdb, "pyarrow": pyarrow}
