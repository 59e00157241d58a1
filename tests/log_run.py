"""Logs to test, and what they should say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tidegate.store import frames, segment
from tidegate.store.log import Log

JOB = "a-job"
Said = tuple[int, dict[str, Any], list[Any]]
SMALL = pa.record_batch({"time": [1, 2], "host": pa.array(["a", None]).dictionary_encode()})
LARGE = pa.record_batch({"value": pa.array(range(3 * frames.BLOCK // 8), pa.int64())})
"""Of three blocks, which are written where they lie."""


@pytest.fixture(scope="module")
def no_sync() -> Iterator[None]:
    """Syncs that do nothing: the tests open logs thousands of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda file: None)
        patch.setattr(os, "fsync", lambda file: None)
        yield


def said(log: Log, after: int = 0) -> list[Said]:
    """What the entries of a log say."""
    return [
        (entry.sequence, entry.head, [b.to_pylist() for b in entry.batches]) for entry in log.entries(after)
    ]


def fill(log: Log, count: int, *, sync: bool = True) -> None:
    """Appends so many more entries, some with a batch."""
    for number in range(log.last_sequence + 1, log.last_sequence + count + 1):
        log.append({"number": number}, [SMALL] if number % 2 else (), sync=sync)


def expected(*numbers: int) -> list[Said]:
    """What entries that `fill` has made say."""
    return [(number, {"number": number}, [SMALL.to_pylist()] if number % 2 else []) for number in numbers]


def ends(path: Path) -> list[int]:
    """Where the entries of a segment end."""
    with segment.Segment(path, JOB) as opened:
        return [at + frame.nbytes for at, frame in opened.frames(0)]


def put(path: Path, data: bytes) -> None:
    """Makes some bytes the content of a file, in place: ext4 flushes a file that is cut to nothing first."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Turns a bit of a file over."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    put(path, data)


def copied(log: Log, place: Path) -> Path:
    """What a crash now would leave: a copy of the folder of an open log."""
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(log.folder, place))
