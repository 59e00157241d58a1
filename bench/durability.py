"""What durability costs: a stored job under each of its promises, a job in memory, and a bare file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

import tidegate

from .inputs import config, events
from .measure import CORES, Run, Size, medians
from .tables import Table

SMALL_ROWS, LARGE_ROWS = 100, 1_000_000
SHAPES = {SMALL_ROWS: 200, LARGE_ROWS: 8}
"""Rows of a post, and how many posts a turn has."""
N_SERIES = 1_000
SETTINGS = ("post", "flush", "close")
IN_MEMORY, BARE = "none", "bare"


def posts(rows: int, count: int) -> list[pa.Table]:
    """Posts of three columns: time, host as a code, a number; one after the other in time."""
    data = events(rows * count, N_SERIES).table()
    return [data.slice(k * rows, rows).combine_chunks() for k in range(count)]


class Posting:
    """Posts to an open job and flushes it once at the end; `ready` makes it anew."""

    def __init__(self, make: Callable[[], Any], given: list[pa.Table]) -> None:
        self._make, self._given = make, given
        self._job: Any = None

    def ready(self) -> None:
        """A new job, open."""
        self._job = self._make()

    def __call__(self) -> None:
        for table in self._given:
            self._job.post(table)
        self._job.flush()


class Stored:
    """Makes a job in a store of its own, in place of the one before."""

    def __init__(self, folder: Path, durability: str) -> None:
        self._folder, self._durability = folder, durability
        self._store: tidegate.Store | None = None

    def __call__(self) -> Any:
        self.close()
        self._store = tidegate.Store(self._folder, durability=self._durability, threads=CORES)
        self._store.put_job({**config("mean"), "job_id": "bench"})
        return self._store.open_job("bench")

    def close(self) -> None:
        """Drops the job and the store."""
        if self._store is not None:
            self._store.close_job("bench", force=True)
            self._store.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log_bytes(self) -> int:
        """Bytes that the log of the last run has."""
        return sum(path.stat().st_size for path in self._folder.rglob("*.log"))


class Writes:
    """Writes so many bytes at a time to the end of a file, and syncs each."""

    def __init__(self, path: Path, nbytes: int, count: int) -> None:
        self._path, self._data, self._count = path, os.urandom(nbytes), count

    def ready(self) -> None:
        """No file."""
        self._path.unlink(missing_ok=True)

    def __call__(self) -> None:
        file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            for _ in range(self._count):
                left = memoryview(self._data)
                while left:
                    left = left[os.write(file, left) :]
                os.fsync(file)
        finally:
            os.close(file)


def runs(folder: Path, rows: int, count: int) -> tuple[dict[str, Run], dict[str, Stored], int]:
    """What is measured, by name; the stores; and the bytes of a post in the log."""
    given = posts(rows, count)
    stores = {name: Stored(folder / name, name) for name in SETTINGS}
    trial = Posting(stores["post"], given)
    trial.ready()
    trial()
    nbytes = stores["post"].log_bytes() // count
    made: dict[str, Run] = {name: Posting(store, given) for name, store in stores.items()}
    made[IN_MEMORY] = Posting(lambda: tidegate.Job(config("mean"), threads=CORES), given)
    made[BARE] = Writes(folder / "bare", nbytes, count)
    return made, stores, nbytes


def table(size: Size) -> Table:
    """Posts and rows a second under each promise, and how many times what is in memory alone takes."""
    rows = []
    folder = Path.cwd() / "build" / "durability"
    folder.mkdir(parents=True, exist_ok=True)
    for n, count in SHAPES.items():
        made, stores, nbytes = runs(folder, n, count)
        taken = medians(made, size.repeats)
        for store in stores.values():
            store.close()
        for name in (*SETTINGS, IN_MEMORY, BARE):
            rate = count / taken[name]
            what = {
                IN_MEMORY: "a job in memory",
                BARE: "a bare write and fsync of the bytes of each post",
            }.get(name, f'durability="{name}"')
            rows.append(
                (
                    f"{n:,}",
                    what,
                    f"{rate:,.0f}",
                    f"{n * rate / 1e6:.2f}",
                    f"{1000 / rate:.2f}",
                    f"{taken[name] / taken[IN_MEMORY]:.2f}x",
                )
            )
        rows[-1] = (rows[-1][0], f"{rows[-1][1]} ({nbytes:,})", *rows[-1][2:])
    shutil.rmtree(folder)
    return Table(
        f"What durability costs: a mean over {N_SERIES:,} hosts in 5-minute buckets over a week, "
        f"{' or '.join(f'{count:,} posts of {n:,} rows' for n, count in SHAPES.items())}, then a flush.",
        ("rows of a post", "what", "posts/s", "M rows/s", "ms a post", "of in memory"),
        rows,
    )
