"""Gather beside the group-by of polars, DuckDB and pyarrow: the same statistics of every cell.

All get the same columns: integer times in order, integer series, float64 values. Ours may use
that time goes forward, as records do; a group-by does not know it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.cells import FEATURES
from tidegate.engine import PASS_ROWS
from tidegate.streams import RingStream, Span
from tidegate_kernels.features import take_feature

from .inputs import SPAN_MS, Events


class Totals(NamedTuple):
    """What all cells together come to; the same for all who do the same work."""

    cells: int
    counts: float
    sums: float
    minima: float
    maxima: float


class Case(NamedTuple):
    """One contestant: `run` does the work and returns how many cells came out."""

    run: Callable[[], int]
    totals: Callable[[], Totals]


def tidegate(events: Events) -> Case:
    """Our gather, on one thread, in passes as the engine makes them."""
    rows = len(events.time)
    features = ("count", "sum", "min", "max")

    def run(sums: list[float] | None = None) -> int:
        stream = RingStream(Span(SPAN_MS, 0), valued=True)
        stream.grow(events.n_series)
        stream.begin(int(events.time[0]) // SPAN_MS * SPAN_MS)
        cells = 0
        for start in (*range(0, rows, PASS_ROWS), rows):
            if start < rows:
                stop = min(start + PASS_ROWS, rows)
                stream.gather(events.time, events.series, events.value, start, stop, 0)
            else:
                stream.close((int(events.time[-1]) // SPAN_MS + 1) * SPAN_MS, 0)
            closed = stream.take()
            cells += len(closed)
            for k, name in enumerate(features if sums is not None else ()):
                value, count = np.empty(len(closed)), np.empty(len(closed))
                take_feature(
                    np.arange(len(closed)), closed.record_c, closed.width, FEATURES[name], value, count
                )
                sums[k] += float(value.sum())  # type: ignore[index]
        return cells

    def totals() -> Totals:
        sums = [0.0] * len(features)
        return Totals(run(sums), *sums)

    return Case(run, totals)


def polars(events: Events) -> Case:
    """Polars over columns in memory, on all its threads."""
    import polars as pl

    frame = pl.DataFrame({"time": events.time, "series": events.series, "value": events.value}).lazy()
    value = pl.col("value")
    statistics = {"n": pl.len(), "sum": value.sum(), "min": value.min(), "max": value.max()}
    query = frame.group_by((pl.col("time") // SPAN_MS).alias("bucket"), "series").agg(
        (value * value).sum().alias("squares"), **statistics
    )

    def totals() -> Totals:
        cells = query.collect()
        return Totals(len(cells), *(float(cells[name].sum()) for name in statistics))

    return Case(lambda: len(query.collect()), totals)


def duckdb(events: Events) -> Case:
    """DuckDB over a native table, on all its threads."""
    import duckdb as db

    connection = db.connect()
    arrow = pa.table({"time": events.time, "series": events.series, "value": events.value})
    connection.register("arrow", arrow)
    connection.execute("CREATE TABLE events AS SELECT * FROM arrow")
    query = (
        f"SELECT time // {SPAN_MS} AS bucket, series, count(*) AS n, sum(value) AS sum, min(value) AS min, "
        "max(value) AS max, sum(value * value) AS squares FROM events GROUP BY ALL"
    )

    def totals() -> Totals:
        sums = "count(*), sum(n), sum(sum), sum(min), sum(max)"
        (row,) = connection.execute(f"SELECT {sums} FROM ({query})").fetchall()
        return Totals(*row)

    return Case(lambda: connection.sql(query).to_arrow_table().num_rows, totals)


def pyarrow(events: Events) -> Case:
    """Pyarrow's group_by, on all its threads."""
    table = pa.table({"time": events.time, "series": events.series, "value": events.value})
    wanted = [("value", "count"), ("value", "sum"), ("value", "min"), ("value", "max"), ("squares", "sum")]

    def cells() -> pa.Table:
        bucket = pc.divide(table["time"], SPAN_MS)
        squares = pc.multiply(table["value"], table["value"])
        whole = table.append_column("bucket", bucket).append_column("squares", squares)
        return whole.group_by(["bucket", "series"]).aggregate(wanted)

    def totals() -> Totals:
        made = cells()
        names = ("value_count", "value_sum", "value_min", "value_max")
        return Totals(made.num_rows, *(float(pc.sum(made[name]).as_py()) for name in names))

    return Case(lambda: cells().num_rows, totals)


def read_memory(events: Events) -> Callable[[], int]:
    """The limit: merely reading the three columns, on one thread."""
    return lambda: int(events.time.max() + events.series.max() + events.value.sum() > 0)


PEERS: dict[str, Callable[[Events], Case]] = {"polars": polars, "DuckDB": duckdb, "pyarrow": pyarrow}


def check(cases: dict[str, Case]) -> None:
    """Raises when the contestants do not come to the same cells and statistics."""
    totals = {name: case.totals() for name, case in cases.items()}
    first = next(iter(totals.values()))
    for name, other in totals.items():
        if other[:2] != first[:2] or not np.allclose(other, first, rtol=1e-9):
            raise AssertionError(f"{name} comes to other cells: {totals}")
