"""Whole jobs: from an Arrow table in memory to results."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import tidegate
from tidegate.config import JobConfig

from .gather import read_memory
from .inputs import Events, config, events
from .measure import CORES, Run, Size, medians
from .tables import Table

DISORDER_MS = 300_000


def job(
    data: Events, function: str, threads: int, *, plain: bool = False, disorder_ms: int = 0, span: str = "5m"
) -> Run:
    """A whole job: post one Arrow table, advance to the end of its last bucket, count the buckets.

    `plain` gives keys as strings instead of a dictionary; `disorder_ms` delays each record by
    up to so much, with a latency of twice that.
    """
    table = data.table()
    if plain:
        table = table.set_column(1, "host", table["host"].cast(pa.string()))
    if disorder_ms:
        delay = np.random.default_rng(3).integers(0, disorder_ms, len(data))
        table = table.take(pa.array(np.argsort(data.time + delay, kind="stable")))
    settings = config(function, span, f"{2 * disorder_ms // 1000}s" if disorder_ms else None)

    span_ms = JobConfig.parse(settings).analysis_config.bucket_span_ms
    end = (int(data.time[-1]) // span_ms + 1) * span_ms

    def run() -> int:
        with tidegate.Job(settings, threads=threads) as whole:
            counts = whole.post(table)
            whole.flush(advance_time=end)
            if counts.processed_record_count != len(data):
                raise AssertionError(f"not all records were used: {counts}")
            return int(whole.buckets().num_rows)

    return run


def jobs(data: Events) -> dict[str, Run]:
    """The jobs that are measured, over the same records."""
    disordered = f"mean, disordered by up to {DISORDER_MS // 60_000} minutes, latency twice that"
    return {
        "mean, 1 thread": job(data, "mean", 1),
        f"mean, {CORES} threads": job(data, "mean", CORES),
        f"count, {CORES} threads": job(data, "count", CORES),
        f"mean, keys as plain strings, {CORES} threads": job(data, "mean", CORES, plain=True),
        f"{disordered}, {CORES} threads": job(data, "mean", CORES, disorder_ms=DISORDER_MS),
    }


def table(size: Size) -> Table:
    """Rates of whole jobs, and what part of reading the columns they come to."""
    data = events(size.rows, 1_000)
    taken = medians(jobs(data) | {"read": read_memory(data)}, size.repeats)
    read = taken.pop("read")
    first = next(iter(taken.values()))
    rows = []
    for name, spent in taken.items():
        figures = (f"{size.rows / spent / 1e6:.0f}", f"{first / spent:.2f}x", f"{spent / read:.0f}x")
        rows.append((name, *figures))
    return Table(
        f"Arrow table to results: {size.rows / 1e6:g} M rows, 1,000 series, 5-minute buckets over a week.",
        ("job", "M rows/s", "the first / it", "its time / memory read of the columns"),
        rows,
    )
