"""Whole reads and writes of files, folders that keep their names after a crash, and clear errors of both."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import StoreError

Bytes = bytes | bytearray | memoryview
_MOST_PIECES = 1024
"""Of one call of the system: IOV_MAX of Linux."""


def write_all(file: int, pieces: Sequence[Any], at: int) -> None:
    """Writes flat buffers one after the other from a position of a file on; OSError when not all could be."""
    left = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    while left:
        done = os.pwritev(file, left[:_MOST_PIECES], at)
        if not done:
            raise OSError(errno.EIO, "nothing could be written")
        at += done
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if done:
            left[0] = left[0][done:]


def read_all(file: int, size: int, at: int) -> pa.Buffer:
    """So many bytes of a file from a position on; OSError when it ends before."""
    room = pa.allocate_buffer(size)
    read_into(file, room, at)
    return room


def read_into(file: int, room: Any, at: int) -> None:
    """Fills a flat buffer with the bytes of a file from a position on; OSError when it ends before.

    Not a mapping: a disk that fails under a mapping ends the process, here it is an error.
    """
    left = memoryview(room)
    while len(left):
        done = os.preadv(file, [left], at)
        if not done:
            raise OSError(errno.EIO, "the file ends early")
        at, left = at + done, left[done:]


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last: new, renamed and deleted files are so after a crash."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Raises errors of the system as StoreError: `what` (path and act), then the system's reason."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}") from error
