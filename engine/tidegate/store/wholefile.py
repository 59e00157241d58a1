"""Files that are there as a whole or not at all, whatever fails, and whenever the process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import StoreError

_TEMPORARY = ".unfinished"
"""How the name of a file ends until it is whole."""


def write_whole(path: Path, pieces: Sequence[Any]) -> int:
    """Puts a file of these pieces in its place, on disk when this returns; returns its bytes.

    The pieces are flat buffers and are not copied together. They go to a temporary file beside the
    place, which is then renamed, so what was there stays until all is on disk. StoreError if
    anything fails; then no temporary file is left.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = write_whole(Path(folder, "greeting"), [b"good ", b"morning"])
    ...     size, Path(folder, "greeting").read_bytes()
    (12, b'good morning')
    """
    size = sum(len(piece) for piece in pieces)
    temporary = path.with_name(path.name + _TEMPORARY)
    try:
        try:
            _written(temporary, pieces)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written, {size:,} bytes were needed: {error.strerror}"
        ) from error
    return size


def sweep(folder: Path) -> int:
    """Removes what killed processes left half written in a folder; returns how many files those were.

    Only for who has the folder to himself: it would take a file from under another's hands.
    """
    left = list(folder.glob(f"*{_TEMPORARY}"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _written(path: Path, pieces: Sequence[Any]) -> None:
    """Writes a file to the disk itself."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while len(rest):
                rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    """Sees that the names in a folder are on disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
