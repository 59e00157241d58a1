"""Memory: of a series, and at the peak of a large job; each in a fresh process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

import tidegate

from . import files, inside
from .inputs import Events, config, even, events, host_names
from .measure import CORES, Size, in_child, memory_now
from .tables import Table, at_most

HOUR_MS = 3_600_000
SERIES = 100_000
SEASONAL_DAYS = 15
PLAIN_HOURS = 12
GOALS_KB = {"seasonal": 2.0, "plain": 0.5}
GOAL_PEAK_GB = 1.5


def grown(kind: str, n_series: int) -> dict[str, float]:
    """Bytes per series of a job's states, its results, and of the whole process (a child's work).

    The process has run a small job before, so that libraries and kernels are there. ``seasonal``:
    a record an hour for 15 days; ``plain``: three records within half a day.
    """
    settings = config("mean", span="1h")
    with tidegate.Job(settings, threads=CORES) as small:
        small.post(even(10, 48, 1, HOUR_MS).table())
        small.flush()
    names = host_names(n_series)
    before, _ = memory_now()
    job = tidegate.Job(settings, threads=CORES)
    for data in hours(kind, n_series):
        keys = pa.DictionaryArray.from_arrays(pa.array(data.series), names)
        job.post(pa.table({"time": data.time, "host": keys, "value": data.value}))
        job.flush()
    del data, keys
    pa.default_memory_pool().release_unused()
    after, _ = memory_now()
    results = job.buckets().nbytes + job.records().nbytes
    figures = {"state": inside.state_bytes(job), "results": results, "process": after - before}
    return {name: taken / n_series for name, taken in figures.items()}


def hours(kind: str, n_series: int) -> Iterator[Events]:
    """The records of a job, hour by hour."""
    hours = range(24 * SEASONAL_DAYS) if kind == "seasonal" else range(0, PLAIN_HOURS, PLAIN_HOURS // 3)
    one = even(n_series, 1, 1, HOUR_MS)
    random = np.random.default_rng(5)
    for hour in hours:
        value = 100.0 + 10.0 * np.sin(2 * np.pi * hour / 24) + random.normal(0.0, 3.0, n_series)
        yield Events(one.time + hour * HOUR_MS, one.series, value, n_series)


def write_parquet(rows: int, path: str) -> int:
    """Writes the records that `peak` reads (in a child, so that nobody's peak has them)."""
    files.write(events(rows, 1_000), "parquet", Path(path))
    return rows


def peak(who: str, path: str) -> dict[str, float]:
    """Peak bytes of a process that merely imports, or that reads the file as well (a child's work)."""
    makers = {"tidegate": files.tidegate, **files.PEERS}
    if who != "imports":
        makers[who](Path(path))()
    return {"peak": memory_now()[1]}


def peaks(rows: int) -> dict[str, float]:
    """Peak bytes of the imports, of ours from Parquet to results, and of the peers' mere read."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bench.parquet")
        in_child(write_parquet, rows, path)
        return {who: in_child(peak, who, path)["peak"] for who in ("imports", "tidegate", *files.PEERS)}


def table(size: Size) -> Table:
    """Kilobytes per series, and the peak of the Parquet run."""
    rows: list[tuple[str, ...]] = []
    for kind, goal in GOALS_KB.items():
        made = in_child(grown, kind, SERIES)
        state = made["state"] / 1024
        others = f"the process {made['process'] / 1024:.2f} KB, results of it {made['results'] / 1024:.2f} KB"
        rows.append((f"state of a {kind} series", f"{state:.2f} KB", others, *at_most(state, goal, " KB")))
    taken = {who: bytes_ / 1e9 for who, bytes_ in peaks(size.rows).items()}
    ours = taken["tidegate"]
    others = ", ".join(f"{who} {taken[who]:.2f} GB" for who in ("imports", *files.PEERS))
    what = f"peak, Parquet to results, {size.rows / 1e6:g} M rows"
    rows.append((what, f"{ours:.2f} GB", others, *at_most(ours, GOAL_PEAK_GB, " GB")))
    return Table(
        f"Memory, {SERIES:,} series in 1-hour buckets: seasonal ones with a record an hour for "
        f"{SEASONAL_DAYS} days, plain ones with three records in half a day; state as allocated by the "
        "engine, and by how much the process grew per series. Peaks are those of fresh processes; beside "
        "ours that of a process with the same imports, and those of merely reading the file.",
        ("what", "tidegate", "beside it", "goal", "met"),
        rows,
    )
