"""How long a snapshot of a large job takes, and its restoring, beside the bare file of as many bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tidegate
from tidegate.store import snapshotfile

from . import inside
from .inputs import DAY_MS, SPAN_MS, Events, config, even
from .measure import CORES, Size, medians
from .memory import hours
from .tables import Table, at_most

SERIES = 100_000
KINDS = {"a day of 5-minute buckets": "5m", "15 days of 1-hour buckets": "1h"}
HOUR_BUCKETS = 12
GOAL_MS, CLOSE_GOAL_MS = 200.0, 2000.0


@dataclass(slots=True)
class _Run:
    """Something to measure, and what is to be done before each time."""

    call: Callable[[], Any]
    ready: Callable[[], None] = field(default=lambda: None)

    def __call__(self) -> Any:
        return self.call()


def grown(span: str, n_series: int) -> tidegate.Job:
    """A job of means with a record of every series in every bucket: of a day, or of 15 days of hours."""
    job = tidegate.Job(config("mean", span=span), threads=CORES)
    for data in hours("seasonal", n_series) if span == "1h" else _day(n_series):
        job.post(data.table())
        job.flush()
    return job


def _day(n_series: int) -> Iterator[Events]:
    """The records of a day in 5-minute buckets, hour by hour."""
    step = HOUR_BUCKETS * SPAN_MS
    one = even(n_series, HOUR_BUCKETS, 1)
    for start in range(0, DAY_MS, step):
        yield Events(one.time + start, one.series, one.value, n_series)


def runs(job: tidegate.Job, folder: Path) -> dict[str, _Run]:
    """A snapshot, the bare write of as many bytes, restoring that snapshot, and a bare read, in this order.

    What is written is on disk at the end. What is read was just written, and is in memory.
    """
    ours, bare = folder / "ours.arrow", folder / "bare"
    snapshotfile.write(ours, inside.state_of(job), {})
    content = memoryview(ours.read_bytes())

    def snapshot() -> int:
        return snapshotfile.write(ours, inside.state_of(job), {}).nbytes

    def bare_write() -> None:
        with bare.open("wb", buffering=0) as file:
            rest = content
            while len(rest):
                rest = rest[file.write(rest) :]
            os.fsync(file)

    def restore() -> tidegate.Job:
        made = tidegate.Job(job.config, threads=CORES)
        inside.restore(made, snapshotfile.read(ours)[0])
        return made

    return {
        "snapshot": _Run(snapshot, ready=lambda: ours.unlink(missing_ok=True)),
        "bare write": _Run(bare_write, ready=lambda: bare.unlink(missing_ok=True)),
        "restore": _Run(restore),
        "bare read": _Run(bare.read_bytes),
    }


class Closing:
    """Closes a stored job of many series that had an hour of records since it was opened."""

    def __init__(self, folder: Path, n_series: int) -> None:
        self._store = tidegate.Store(folder, threads=CORES)
        self._store.put_job({**config("mean"), "job_id": "bench"})
        self._job = self._store.open_job("bench")
        self._data = list(_day(n_series))
        self._job.post(self._data[0].table())
        self._hour = 1

    def ready(self) -> None:
        """Opens the job if it is closed, and posts an hour of records of all series."""
        self._job = self._store.opened_job("bench") or self._store.open_job("bench")
        self._job.post(self._data[self._hour].table())
        self._hour += 1

    def __call__(self) -> None:
        self._job.close()

    def end(self) -> None:
        """Closes the store."""
        self._store.close()


def table(size: Size) -> Table:
    """Milliseconds of snapshots and of restoring them, by the kind of job."""
    rows = []
    for kind, span in KINDS.items():
        with grown(span, SERIES) as job, tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            made = runs(job, Path(folder))
            nbytes = made["snapshot"]()
            taken = {name: 1e3 * seconds for name, seconds in medians(made, size.repeats).items()}
        for what, peer in (("snapshot", "bare write"), ("restore", "bare read")):
            ms, bare = f"{taken[what]:.0f}", f"{taken[peer]:.0f}"
            goal = at_most(taken[what], GOAL_MS, " ms")
            rows.append((f"{what}, {kind}", f"{nbytes / 1e6:.0f}", ms, bare, *goal))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        closing = Closing(Path(folder), SERIES)
        taken_ms = 1e3 * medians({"close": closing}, size.repeats)["close"]
        closing.end()
    goal = at_most(taken_ms, CLOSE_GOAL_MS, " ms")
    rows.append(("close of a stored job after an hour of 5-minute buckets", "", f"{taken_ms:.0f}", "", *goal))
    return Table(
        f"Snapshots of a job over {SERIES:,} series, a record of each in every bucket, and restoring them: "
        "milliseconds. A snapshot is on disk (fsync) when it is done, and every byte is verified when it is "
        "restored. Beside it a bare write and fsync of as many bytes, and a bare read.",
        ("what", "MB", "tidegate", "bare file", "goal", "met"),
        rows,
    )
