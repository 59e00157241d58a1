"""Gather beside the group-by of polars, DuckDB and pyarrow: the same statistics of every cell.

All get the same columns: integer times in order, the codes of dictionary keys, float64 values.
Ours may use that time goes forward, as records do; a group-by does not know it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import inside
from .inputs import SPAN_MS, Events, events
from .measure import CORES, Run, Size, medians, versions
from .tables import Table, at_least

SERIES = (1, 1_000, 100_000)
FEW = 3
"""Turns at the most series, where the peers take long."""
GOALS = {1: 2.5, 1_000: 6.0, 100_000: 15.0}


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


def tidegate(data: Events, threads: int = 1) -> Case:
    """Our gather, in passes as the engine makes them."""
    names = ("count", "sum", "min", "max")

    def totals() -> Totals:
        cells, sums = 0, [0.0] * len(names)
        for closed in inside.gathered(data, threads):
            cells += len(closed)
            for k, name in enumerate(names):
                sums[k] += float(inside.statistic(closed, name).sum())
        return Totals(cells, *sums)

    return Case(lambda: sum(len(closed) for closed in inside.gathered(data, threads)), totals)


def polars(data: Events, engine: str = "in-memory") -> Case:
    """Polars over columns in memory, with one of its engines, on all cores."""
    import polars as pl

    frame = pl.DataFrame({"time": data.time, "series": data.series, "value": data.value}).lazy()
    value = pl.col("value")
    statistics = {"n": pl.len(), "sum": value.sum(), "min": value.min(), "max": value.max()}
    query = frame.group_by((pl.col("time") // SPAN_MS).alias("bucket"), "series").agg(
        (value * value).sum().alias("squares"), **statistics
    )

    def cells() -> Any:
        return query.collect(engine=engine)  # type: ignore[call-overload]

    def totals() -> Totals:
        made = cells()
        return Totals(len(made), *(float(made[name].sum()) for name in statistics))

    return Case(lambda: len(cells()), totals)


def duckdb(data: Events, *, over_arrow: bool = False) -> Case:
    """DuckDB over a table of its own, or over Arrow, on all cores."""
    import duckdb as db

    connection = db.connect()
    arrow = pa.table({"time": data.time, "series": data.series, "value": data.value})
    connection.register("arrow", arrow)
    if not over_arrow:
        connection.execute("CREATE TABLE events AS SELECT * FROM arrow")
    query = (
        f"SELECT time // {SPAN_MS} AS bucket, series, count(*) AS n, sum(value) AS sum, min(value) AS min, "
        f"max(value) AS max, sum(value * value) AS squares FROM {'arrow' if over_arrow else 'events'} "
        "GROUP BY ALL"
    )

    def totals() -> Totals:
        sums = "count(*), sum(n), sum(sum), sum(min), sum(max)"
        (row,) = connection.execute(f"SELECT {sums} FROM ({query})").fetchall()
        return Totals(*row)

    return Case(lambda: connection.sql(query).to_arrow_table().num_rows, totals)


def pyarrow(data: Events) -> Case:
    """Pyarrow's group_by, on all cores."""
    table = pa.table({"time": data.time, "series": data.series, "value": data.value})
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


def read_memory(data: Events) -> Run:
    """The limit: merely reading the three columns, on one thread."""
    return lambda: int(data.time.max() + data.series.max() + data.value.sum() > 0)


PEERS: dict[str, dict[str, Callable[[Events], Case]]] = {
    "polars": {"in-memory": polars, "streaming": partial(polars, engine="streaming")},
    "DuckDB": {"own table": duckdb, "over Arrow": partial(duckdb, over_arrow=True)},
    "pyarrow": {"group_by": pyarrow},
}
"""Libraries, and the ways in which each can do it."""


def check(cases: dict[str, Case]) -> None:
    """Raises when the contestants do not come to the same cells and statistics."""
    totals = {name: case.totals() for name, case in cases.items()}
    first = next(iter(totals.values()))
    for name, other in totals.items():
        if other[:2] != first[:2] or not np.allclose(other, first, rtol=1e-9):
            raise AssertionError(f"{name} comes to other cells: {totals}")


def _quickest(cases: Iterable[Case]) -> Case:
    """The way in which a library is quickest here, by one run of each."""

    def taken(case: Case) -> float:
        began = time.perf_counter()
        case.run()
        return time.perf_counter() - began

    cases = list(cases)
    return min(cases, key=taken) if len(cases) > 1 else cases[0]


def rates(rows: int, n_series: int, repeats: int) -> dict[str, float]:
    """M rows/s of ours on one thread and on all, of the peers, and of the memory read."""
    data = events(rows, n_series)
    peers = {name: _quickest(make(data) for make in ways.values()) for name, ways in PEERS.items()}
    ours = {"one": tidegate(data, 1), "all": tidegate(data, CORES)}
    check(ours | peers)
    runs = {name: case.run for name, case in (ours | peers).items()} | {"read": read_memory(data)}
    return {name: rows / taken / 1e6 for name, taken in medians(runs, repeats).items()}


def table(size: Size) -> Table:
    """Gather beside its peers."""
    rows, kept = [], {}
    for n_series in SERIES:
        rate = kept[n_series] = rates(size.rows, n_series, size.repeats if n_series < SERIES[-1] else FEW)
        ratio = rate["all"] / max(rate[name] for name in PEERS)
        figures = (f"{rate[name]:.0f}" for name in ("one", "all", *PEERS))
        read = f"{rate['read']:.0f}"
        rows.append((f"{n_series:,}", *figures, f"{ratio:.1f}x", *at_least(ratio, GOALS[n_series]), read))
    middle = kept[SERIES[1]]
    goals = {
        f"{CORES} threads over the memory read": (middle["all"] / middle["read"], 1 / 3),
        f"{CORES} threads over one": (middle["all"] / middle["one"], 1.8),
    }
    packages = versions(*(name.lower() for name in PEERS))
    notes = [
        f"{SERIES[1]:,} series, {name}: {figure:.2f}; goal at least {goal:.2g}: "
        f"{'met' if figure >= goal else 'not met'}."
        for name, (figure, goal) in goals.items()
    ]
    return Table(
        f"Gather, {size.rows / 1e6:g} M rows over a week in 5-minute buckets: count, sum, sum of squares, "
        "min and max of every (series, bucket), of integer times in order, int32 codes of dictionary keys "
        f"and float64 values. M rows/s; the peers' GROUP BY on {CORES} threads, in the quicker of their "
        f"ways (polars in memory or streaming, DuckDB's own table or Arrow); {FEW} turns at "
        f"{SERIES[-1]:,} series; {packages}.",
        ("series", "1 thread", f"{CORES} threads", *PEERS, "ours / best", "goal", "met", "memory read"),
        rows,
        notes,
    )
