"""How long a flush with interim results takes while records come in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pyarrow as pa

import tidegate

from .inputs import SPAN_MS, Events, config, even, host_names
from .measure import CORES, Size
from .tables import NO_GOAL, Table, at_most

SERIES = (100, 10_000, 100_000)
HISTORY_BUCKETS = 36
SMALL_ROWS = 1_000
FEW = 10
"""Flushes where one takes long."""
GOALS_MS = {10_000: 20.0}


def job(n_series: int, latency: str | None) -> tuple[tidegate.Job, Callable[[], None]]:
    """A job with three hours of history and a full open bucket; what posts a small batch to it.

    History: one record of every series in each of 36 buckets, and one in the open bucket. A small
    batch: one record of each of the first 1,000 series, in the open bucket.
    """
    data = even(n_series, HISTORY_BUCKETS + 1, 1)
    whole = tidegate.Job(config("mean", latency=latency), threads=CORES)
    whole.post(data.table())
    whole.flush()
    rows = min(SMALL_ROWS, n_series)
    last = Events(data.time[-rows:], data.series[:rows], data.value[-rows:], rows)
    keys = pa.DictionaryArray.from_arrays(pa.array(last.series), host_names(rows))
    small = pa.table({"time": last.time, "host": keys, "value": last.value})

    def post() -> None:
        whole.post(small)

    return whole, post


def latencies_ms(n_series: int, latency: str | None, turns: int) -> list[float]:
    """Milliseconds of flushes with interim results, each after a small batch; sorted."""
    whole, post = job(n_series, latency)
    taken = []
    with whole:
        for turn in range(turns + 2):
            post()
            began = time.perf_counter()
            whole.flush(calc_interim=True)
            if turn >= 2:
                taken.append(1000.0 * (time.perf_counter() - began))
        interim = whole.buckets().num_rows - whole.buckets(exclude_interim=True).num_rows
    if not interim:
        raise AssertionError("the flush made no interim results")
    return sorted(taken)


def table(size: Size) -> Table:
    """Median and 95th percentile of the latency, by series, without and with latency."""
    rows = []
    for latency, open_buckets in ((None, 1), ("1h", 13)):
        for n_series in SERIES:
            turns = FEW if n_series * open_buckets > 500_000 else 8 * size.repeats
            taken = latencies_ms(n_series, latency, turns)
            middle, late = statistics.median(taken), taken[int(0.95 * (len(taken) - 1))]
            goal = (
                at_most(middle, GOALS_MS[n_series], " ms")
                if latency is None and n_series in GOALS_MS
                else NO_GOAL
            )
            cells = n_series * open_buckets
            per_cell = f"{1e6 * middle / cells:.0f}"
            rows.append(
                (
                    f"{n_series:,}",
                    latency or "none",
                    str(open_buckets),
                    f"{middle:.1f}",
                    f"{late:.1f}",
                    per_cell,
                    *goal,
                )
            )
    return Table(
        f"Flush with interim results, {SPAN_MS // 60_000}-minute buckets, {CORES} threads: three hours of "
        f"history and the open bucket hold one record of every series and bucket; before each flush "
        f"{SMALL_ROWS:,} records come (100 with 100 series). Milliseconds of {8 * size.repeats} "
        f"flushes, of {FEW} with 100,000 series and latency.",
        ("series", "latency", "open buckets", "p50", "p95", "p50, ns per open cell", "goal", "met"),
        rows,
    )
