"""Files that are there as a whole or not at all, whatever fails, and whenever the process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .diskfile import storing, sync_folder, write_all

_TEMPORARY = ".unfinished"
"""How the name of a file ends until it is whole."""


def write_whole(path: Path, pieces: Sequence[Any]) -> int:
    """Puts a file of these pieces in its place, on disk when this returns; returns its bytes.

    The pieces are flat buffers and are not copied together. They go to a temporary file beside the
    place, which is then renamed, so what was there stays until all is on disk. StoreError if
    anything fails; then no temporary file is left. (Should the very last step fail, that of the
    folder, the new file is in its place, and may not be after a crash.)

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = write_whole(Path(folder, "greeting"), [b"good ", b"morning"])
    ...     size, Path(folder, "greeting").read_bytes()
    (12, b'good morning')
    """
    size = sum(len(piece) for piece in pieces)
    temporary = path.with_name(path.name + _TEMPORARY)
    with storing(f"{path}: cannot be written, {size:,} bytes were needed"):
        try:
            _written(temporary, pieces)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
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
        write_all(fd, pieces, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
