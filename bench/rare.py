"""Rare by values: a million processes on ten thousand hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import tidegate

from . import inside
from .inputs import DAY_MS, START_MS
from .measure import CORES, Run, Size, in_child, medians, memory_now, versions
from .tables import NO_GOAL, Table, at_least, at_most

HOSTS = 10_000
PROCESSES = 1_000_000
SPAN_MS = 900_000
ROWS_SHARE = 4
"""A row of the large inputs in so many is enough: cells are what costs here."""
GOAL_CELLS = 1.0
GOAL_STATE = 64


@dataclass(frozen=True)
class Activity:
    """Which process was seen on its host, at random times of a day; each process has one host."""

    time: npt.NDArray[np.int64]
    process: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def host(self) -> npt.NDArray[np.int32]:
        """The host of each."""
        return self.process % np.int32(HOSTS)

    def table(self) -> pa.Table:
        """The records as an Arrow table, keys as dictionaries."""
        columns = {
            name: pa.DictionaryArray.from_arrays(
                pa.array(codes), pa.array([f"{name}-{k:07d}" for k in range(int(codes.max()) + 1)])
            )
            for name, codes in (("host", self.host), ("process", self.process))
        }
        return pa.table({"time": self.time, **columns})


def activity(rows: int, processes: int = PROCESSES) -> Activity:
    """Every process as likely as any other."""
    random = np.random.default_rng(20240301)
    time = np.sort(random.integers(0, DAY_MS, rows)) + START_MS
    return Activity(time, random.integers(0, processes, rows).astype(np.int32))


def config(over: bool = False) -> dict[str, Any]:
    """A job that looks for rare processes, of every host or of the hosts as a population."""
    role = "over_field_name" if over else "partition_field_name"
    return {
        "analysis_config": {
            "bucket_span": SPAN_MS // 1000,
            "detectors": [{"function": "rare", "by_field_name": "process", role: "host"}],
        },
        "analysis_limits": {"model_memory_limit": "8gb"},
        "data_description": {"time_field": "time"},
    }


def job(table: pa.Table, threads: int, *, over: bool = False) -> Run:
    """A whole job: post the table, close all its buckets, count them."""

    def run() -> int:
        with tidegate.Job(config(over), threads=threads) as whole:
            whole.post(table)
            whole.flush(advance_time=START_MS + DAY_MS)
            return int(whole.buckets().num_rows)

    return run


def polars(data: Activity) -> Run:
    """Merely the cells, by polars on all cores."""
    import polars as pl

    frame = pl.DataFrame({"time": data.time, "host": data.host, "process": data.process}).lazy()
    bucket = (pl.col("time") // SPAN_MS).alias("bucket")
    query = frame.group_by(bucket, "host", "process").agg(pl.len())
    return lambda: len(query.collect())  # type: ignore[arg-type]


def grown(rows: int) -> dict[str, float]:
    """Bytes per series of a job's states, and of the whole process (a child's work)."""
    job(activity(100_000, 1_000).table(), CORES)()
    table = activity(rows).table()
    before, _ = memory_now()
    with tidegate.Job(config(), threads=CORES) as whole:
        whole.post(table)
        whole.flush(advance_time=START_MS + DAY_MS)
        pa.default_memory_pool().release_unused()
        after, _ = memory_now()
        state = inside.state_bytes(whole)
    return {"state": state / PROCESSES, "process": (after - before) / PROCESSES}


def table(size: Size) -> Table:
    """Rates of whole jobs and of the models by themselves, and memory per series."""
    n = size.rows // ROWS_SHARE
    data = activity(n)
    records, (cells, scored) = data.table(), inside.rare_scorer(data.time // SPAN_MS, data.process, data.host)
    runs = {
        "job, 1 thread": job(records, 1),
        f"job, {CORES} threads": job(records, CORES),
        f"job over hosts, {CORES} threads": job(records, CORES, over=True),
        "polars": polars(data),
        "models": scored,
    }
    taken = medians(runs, size.repeats)
    peer = taken.pop("polars")
    models = cells / taken.pop("models") / 1e6
    rows: list[tuple[str, ...]] = [
        (name, f"{n / spent / 1e6:.2f} M rows/s", f"{peer / spent:.2f}x the cells alone", *NO_GOAL)
        for name, spent in taken.items()
    ]
    goal = at_least(models, GOAL_CELLS, " M cells/s")
    rows.append(("models alone, 1 thread", f"{models:.2f} M cells/s", f"{cells / 1e6:.1f} M cells", *goal))
    made = in_child(grown, n)
    others = f"the process {made['process']:.0f} bytes"
    rows.append(
        (
            "state of a series",
            f"{made['state']:.0f} bytes",
            others,
            *at_most(made["state"], GOAL_STATE, " bytes"),
        )
    )
    return Table(
        f"Rare: `rare by process partition by host`, {n / 1e6:g} M rows, {PROCESSES / 1e6:g} M processes on "
        f"{HOSTS:,} hosts, 15-minute buckets over a day, and `rare by process over host`; beside them the "
        f"group-by of polars ({versions('polars')}, {CORES} threads), which makes the cells. The time of the "
        "models by themselves has the sort of the cells in it.",
        ("what", "tidegate", "beside it", "goal", "met"),
        rows,
    )
