"""Populations of hundreds of thousands of members: whole jobs, and the memory that they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

import tidegate

from .inputs import SPAN_MS, START_MS, config
from .measure import Run, Size, in_child, medians, memory_now
from .tables import Table, at_least

MEMBERS = 500_000
BUCKETS = 24
GOAL = 1.0  # M rows/s


def transfers(rows: int, members: int) -> pa.Table:
    """Records of members that are active now and then, a few of them always; bytes of three powers of ten."""
    random = np.random.default_rng(20240301)
    time = np.sort(random.integers(0, BUCKETS * SPAN_MS, rows)) + START_MS
    member = (members * random.random(rows) ** 1.5).astype(np.int32)
    names = pa.array([f"user-{k:07d}" for k in range(members)])
    keys = pa.DictionaryArray.from_arrays(pa.array(member), names)
    return pa.table({"time": time, "host": keys, "value": random.lognormal(6.0, 1.5, rows)})


def population(function: str) -> dict[str, Any]:
    """A job that compares all members with one another."""
    made = config(function)
    [detector] = made["analysis_config"]["detectors"]
    detector["over_field_name"] = detector.pop("by_field_name")
    return made


def job(table: pa.Table, function: str, *, plain: bool = False) -> Run:
    """A whole job on one thread: post one Arrow table, advance to the end of its last bucket."""
    if plain:
        table = table.set_column(1, "host", table["host"].cast(pa.string()))
    end = START_MS + BUCKETS * SPAN_MS

    def run() -> int:
        with tidegate.Job(population(function), threads=1) as whole:
            whole.post(table)
            whole.flush(advance_time=end)
            return int(whole.records().num_rows)

    return run


def grown(rows: int, members: int) -> dict[str, float]:
    """Bytes of the state, and by which the process grew, per member of a job (a child's work)."""
    table = transfers(rows, members)
    job(table.slice(0, 100_000), "high_sum")()
    before, _ = memory_now()
    whole = tidegate.Job(population("high_sum"), threads=1)
    whole.post(table)
    whole.flush(advance_time=START_MS + BUCKETS * SPAN_MS)
    after, _ = memory_now()
    [lane] = whole._engine._lanes.values()
    seen = len(lane.keys)
    tables = sum(names.nbytes for names in whole._engine._names.values())
    return {
        "state": sum(analysis.taken(lane.keys.sizes) for analysis in lane.analyses) / seen,
        "engine": (lane.state_bytes + tables) / seen,
        "process": (after - before) / seen,
    }


def table(size: Size) -> Table:
    """Rates of whole jobs over a population, and the memory of a member."""
    rows = size.rows // 2
    data = transfers(rows, MEMBERS)
    runs = {
        "high_count": job(data, "high_count"),
        "high_sum": job(data, "high_sum"),
        "high_sum, keys as plain strings": job(data, "high_sum", plain=True),
    }
    lines: list[tuple[str, ...]] = []
    for name, spent in medians(runs, size.repeats).items():
        rate = rows / spent / 1e6
        lines.append((f"{name} over user, 1 thread", f"{rate:.1f} M rows/s", *at_least(rate, GOAL, " M")))
    made = in_child(grown, rows, MEMBERS)
    text = f"state {made['state']:.0f} B, of the engine {made['engine']:.0f} B"
    lines.append((f"memory of a member: {text}", f"{made['process']:.0f} B of the process", "", ""))
    return Table(
        f"Population analysis: {rows / 1e6:g} M rows of {MEMBERS:,} members, {BUCKETS} buckets of 5 minutes.",
        ("what", "measured", "goal", "met"),
        lines,
    )
