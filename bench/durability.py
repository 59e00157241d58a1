"""What it costs to write posts down before they are taken: the log beside a bare write of the same bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa

from tidegate.store.log import Log

from .inputs import events, host_names
from .measure import Run, Size, medians
from .tables import Table

SMALL_ROWS, LARGE_ROWS = 100, 1_000_000
N_SERIES = 1_000
SHAPES = {SMALL_ROWS: 200, LARGE_ROWS: 4}
"""Rows of a post, and how many posts a turn has."""


def batch(rows: int) -> pa.RecordBatch:
    """A post of four columns: time, host as a code, and two numbers."""
    data = events(max(rows, N_SERIES), N_SERIES)
    keys = pa.DictionaryArray.from_arrays(pa.array(data.series), host_names(N_SERIES))
    columns = {"time": data.time, "host": keys, "value": data.value, "load": 2.0 * data.value}
    return pa.record_batch(columns).slice(0, rows)


class Appends:
    """Appends posts to a log, each synced or none; `ready` empties the log."""

    def __init__(self, folder: Path, post: pa.RecordBatch, count: int, *, sync: bool) -> None:
        self._folder, self._post, self._count, self._sync = folder, post, count, sync
        self._log: Log | None = None

    def ready(self) -> None:
        """A new log in place of the last one."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._log = Log.open(self._folder, "bench")

    def __call__(self) -> int:
        assert self._log is not None
        for _ in range(self._count):
            self._log.append({"op": "post", "input_bytes": 0}, [self._post], sync=self._sync)
        return self._count

    def close(self) -> None:
        """Closes the log."""
        if self._log is not None:
            self._log.close()


class Writes:
    """Writes so many bytes at a time to the end of a file, each synced or not."""

    def __init__(self, path: Path, nbytes: int, count: int, *, sync: bool) -> None:
        self._path, self._data, self._count, self._sync = path, os.urandom(nbytes), count, sync

    def ready(self) -> None:
        """No file."""
        self._path.unlink(missing_ok=True)

    def __call__(self) -> int:
        file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            for _ in range(self._count):
                left = memoryview(self._data)
                while left:
                    left = left[os.write(file, left) :]
                if self._sync:
                    os.fsync(file)
        finally:
            os.close(file)
        return self._count


def entry_bytes(folder: Path, post: pa.RecordBatch) -> int:
    """Bytes that a post takes in a log."""
    log = Log.open(folder, "bench")
    before = log.nbytes
    log.append({"op": "post", "input_bytes": 0}, [post], sync=False)
    taken = log.nbytes - before
    log.close()
    return taken


def table(size: Size) -> Table:
    """Posts and rows a second of the log, and the time of a bare write of the same bytes."""
    rows = []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        for n, count in SHAPES.items():
            post = batch(n)
            nbytes = entry_bytes(folder / f"one{n}", post)
            runs: dict[str, Run] = {}
            for sync in (False, True):
                log = Appends(folder / f"log{n}{sync}", post, count, sync=sync)
                stack.callback(log.close)
                runs[f"log {sync}"] = log
                runs[f"bare {sync}"] = Writes(folder / f"bare{n}{sync}", nbytes, count, sync=sync)
            taken = medians(runs, size.repeats)
            for sync in (False, True):
                ours, bare = taken[f"log {sync}"] / count, taken[f"bare {sync}"] / count
                rows.append(
                    (
                        f"{n:,}",
                        f"{nbytes:,}",
                        "every post" if sync else "none",
                        f"{1 / ours:,.0f}",
                        f"{n / ours / 1e6:.2f}",
                        f"{1000 * ours:.2f}",
                        f"{1000 * bare:.2f}",
                        f"{ours / bare:.2f}x",
                    )
                )
    return Table(
        "Posts written to the log of a job (time, a host of 1,000 as a code, two numbers), and a bare "
        "write, and fsync, of the same bytes to the end of a file.",
        ("rows of a post", "bytes", "synced", "posts/s", "M rows/s", "ms a post", "ms bare", "ratio"),
        rows,
    )
