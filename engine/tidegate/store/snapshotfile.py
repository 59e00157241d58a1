"""A tree of state in one file, every byte of which is checked when it is read.

The file is an Arrow IPC file that any reader of Arrow opens: one record batch, a row for each array
with its path in the tree, dtype, shape, checksum and bytes; the last row is the tree itself (see `tree`).
The metadata of the schema hold `info`, the version of the format and that of tidegate; they and
the seal (see `sealed`) stay as they are in every format to come, so that a newer file is told from
a damaged one.

Arrays are read into memory of their own: 103 MB, verified and every page of them then written to, take
30 ms and up, against 190 ms and up of a private mapping (2026-11, both in one run on a busy machine).
A mapping would also end the process, not the call, when the disk fails.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .. import __version__
from ..errors import SnapshotError, StoreError, VersionError
from ..kept import State
from .checksum import checksum, flat_bytes
from .diskfile import read_into
from .sealed import Seal, columns, framed, sealed
from .tree import DTYPES, Leaf, flattened, grown
from .wholefile import write_whole

FORMAT = 1
_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),
        pa.field("shape", pa.list_(pa.int64()), nullable=False),
        pa.field("checksum", pa.uint64(), nullable=False),
        pa.field("data", pa.large_binary(), nullable=False),
    ]
)
_ROWS = {**DTYPES, "bytes": np.dtype(np.uint8), "json": np.dtype(np.uint8)}
"""What a row's bytes are, by its dtype."""
_KEY = b"tidegate.snapshot"
_MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    struct.error,
    pa.ArrowException,
)
"""What bytes can raise that pass the checksum and were not made here."""


class Written(NamedTuple):
    """A snapshot on disk: its bytes, and a checksum (u64) that stands for all of its content."""

    nbytes: int
    checksum: int


def write(path: Path, state: State, info: Mapping[str, Any]) -> Written:
    """Writes a tree to a file, which is whole and on disk when this returns.

    `info` is of values that JSON has, and small: `read_info` gives it back without reading the tree.
    Arrays are not copied, unless they are not contiguous, and must not change meanwhile. StoreError
    if the state or the info has what cannot be kept, or the file cannot be written; then what was
    there before is still there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "1.arrow")
    ...     written = write(path, {"mean": np.zeros(3), "seen": 7}, {"job_id": "load"})
    ...     read(path)
    ({'mean': array([0., 0., 0.]), 'seen': 7}, {'job_id': 'load'})
    """
    schema = _SCHEMA.with_metadata({_KEY: _head(path, info)})
    try:
        text, leaves = flattened(state)
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from None
    leaves.append(Leaf("", "json", np.frombuffer(text.encode(), np.uint8)))
    parts = [flat_bytes(leaf.array) for leaf in leaves]
    rows = [
        pa.array([leaf.path.encode(errors="backslashreplace") for leaf in leaves]).cast(pa.string()),
        pa.array([leaf.dtype for leaf in leaves]),
        pa.array([list(leaf.array.shape) for leaf in leaves], pa.list_(pa.int64())),
        pa.array([checksum(part) for part in parts], pa.uint64()),
    ]
    frame = framed(schema, rows, [len(part) for part in parts])
    return Written(write_whole(path, [frame.before, *parts, frame.after]), frame.checksum)


def read(path: Path) -> tuple[State, dict[str, Any]]:
    """The tree and the info of a file; its arrays can be written, and are nobody else's.

    SnapshotError if it is damaged anywhere, not whole, or not there; VersionError if a newer tidegate
    wrote it; StoreError if it cannot be read.
    """
    with _opened(path) as (fd, seal):
        info = _info(path, seal)
        (paths, *kinds), places = columns(fd, seal)
        starts = places[:-1].tolist()
        arrays = []
        for name, dtype, shape, signature, start, nbytes in zip(
            paths, *kinds, starts, np.diff(places).tolist(), strict=True
        ):
            array = _array(dtype, shape, nbytes)
            read_into(fd, flat_bytes(array), start)
            if checksum(array) != signature:
                raise ValueError(f"the checksum of {name or 'its tree'} is wrong")
            arrays.append(array)
        return grown(arrays.pop().tobytes(), arrays), info


def read_info(path: Path) -> dict[str, Any]:
    """The info of a file; all but the arrays is checked. Errors are those of `read`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write(Path(folder, "1.arrow"), {}, {"job_id": "load"})
    ...     read_info(Path(folder, "1.arrow"))
    {'job_id': 'load'}
    """
    with _opened(path) as (_, seal):
        return _info(path, seal)


def _head(path: Path, info: Mapping[str, Any]) -> str:
    """The metadata of the schema."""
    try:
        return json.dumps({"format": FORMAT, "tidegate": __version__, "info": dict(info)}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: info {info!r} is not of values that JSON has: {error}") from None


def _info(path: Path, seal: Seal) -> dict[str, Any]:
    """The info in the metadata of a schema."""
    head = json.loads(seal.schema.metadata[_KEY])
    if head["format"] > FORMAT:
        raise VersionError(
            f"{path}: tidegate {head['tidegate']} wrote this snapshot in format {head['format']}; "
            f"tidegate {__version__} reads formats up to {FORMAT}"
        )
    return dict(head["info"])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[int, Seal]]:
    """A file and its seal; what goes wrong with it is named, with the file."""
    try:
        # What is no file must not hang: a pipe waits for who writes to it.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ValueError("it is no file")
            yield fd, sealed(fd)
        finally:
            os.close(fd)
    except StoreError:
        raise
    except FileNotFoundError:
        raise SnapshotError(f"{path}: there is no such snapshot") from None
    except OSError as error:
        if error.errno is None:  # Arrow's, about what it found in the file
            raise SnapshotError(f"{path}: the snapshot is damaged: {error}") from error
        raise StoreError(f"{path}: the snapshot cannot be read: {error.strerror}") from error
    except _MALFORMED as error:
        raise SnapshotError(f"{path}: the snapshot is damaged: {error}") from error


def _array(dtype: str, shape: list[int], nbytes: int) -> npt.NDArray[Any]:
    """Memory for an array; ValueError unless it takes so many bytes."""
    if dtype not in _ROWS or math.prod(shape) * _ROWS[dtype].itemsize != nbytes:
        raise ValueError(f"{nbytes} bytes are not an array of {dtype} of shape {shape}")
    return np.empty(shape, _ROWS[dtype])
