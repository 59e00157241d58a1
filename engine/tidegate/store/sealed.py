"""Arrow IPC files of one record batch whose every byte can be checked before anything is parsed.

Behind the batch, before Arrow's footer, where no reader of Arrow looks, lies a seal of 32 bytes:

    "TIDESEAL" | bytes before the data | bytes of the data | checksum of all other bytes but itself

The data are the values of the last column, large_binary, which has its own checksums in another
column. They lie in one stretch, so that they are written from where they are and read to where
they belong.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..arrowframes import require_bounded
from ..soundness import require_sound
from .checksum import checksum
from .diskfile import read_into

_MAGIC = b"ARROW1"
_PREFACE = 8
"""Bytes before the schema: the magic, padded."""
_END = struct.Struct("<i6s")
"""How every Arrow file ends: the length of the footer, and the magic."""
_SEAL = struct.Struct("<8sQQQ")
_NAME = b"TIDESEAL"


class Frame(NamedTuple):
    """What lies around the data of a file: the bytes before and after, the seal's checksum."""

    before: bytes
    after: bytes
    checksum: int


class Seal(NamedTuple):
    """What a file whose frame is right says of itself: its schema, and where the data lie."""

    schema: pa.Schema
    start: int
    nbytes: int


def framed(schema: pa.Schema, columns: Sequence[pa.Array], sizes: Sequence[int]) -> Frame:
    """The frame of a batch of these columns and of the data, a value of each size; not all are empty."""
    ends = np.cumsum([0, *sizes], dtype=np.int64)
    # Arrow hands on what to write as it is given, so these pages are never touched and take no memory.
    stand_in = pa.py_buffer(np.empty(ends[-1], np.uint8))
    data = pa.Array.from_buffers(pa.large_binary(), len(sizes), [None, pa.py_buffer(ends), stand_in])
    sink = _Sink(stand_in)
    with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), schema) as writer:
        writer.write_batch(pa.record_batch([*columns, data], schema=schema))
    before, after = b"".join(sink.before), b"".join(sink.after)
    at = _seal_place(after)
    around = after[:at], after[at:]
    signature = _signature(before, _SEAL.pack(_NAME, len(before), ends[-1], 0).join(around))
    return Frame(before, _SEAL.pack(_NAME, len(before), ends[-1], signature).join(around), signature)


def sealed(fd: int) -> Seal:
    """The seal of a file; ValueError, which says what is wrong, unless its frame is as it was written."""
    size = os.fstat(fd).st_size
    if not size:
        raise ValueError("the file is empty")
    end = _content(fd, max(size - _END.size, 0), min(size, _END.size))
    if not end.endswith(_MAGIC):
        is_arrow = _content(fd, 0, min(size, len(_MAGIC))) == _MAGIC
        raise ValueError("its end is missing" if is_arrow else "it is no snapshot, which are Arrow files")
    at = size + _seal_place(end) if len(end) == _END.size else 0
    if not _SEAL.size <= at <= size - _END.size:
        raise ValueError("its footer is damaged")
    name, start, nbytes, signature = _SEAL.unpack(_content(fd, at - _SEAL.size, _SEAL.size))
    if name != _NAME or start + nbytes > at - _SEAL.size:
        raise ValueError("its seal is missing or damaged")
    before = _content(fd, 0, start)
    after = _content(fd, start + nbytes, size - start - nbytes)
    sealed_at = at - start - nbytes
    after[sealed_at - 8 : sealed_at] = bytes(8)  # the signature itself
    if _signature(before, after) != signature:
        raise ValueError("its frame is damaged: the checksum is wrong")
    return Seal(pa.ipc.read_schema(pa.BufferReader(memoryview(before)[_PREFACE:])), start, nbytes)


def columns(fd: int, seal: Seal) -> tuple[list[list[Any]], npt.NDArray[np.int64]]:
    """All columns but the data as lists, and the places of the data in the file: row k from k to k + 1."""
    mapped = pa.py_buffer(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))  # until the last array of it is gone
    require_bounded(pa.BufferReader(mapped))
    batch = require_sound(pa.ipc.open_file(mapped).get_batch(0))
    *others, data = batch.columns
    ends = np.frombuffer(data.buffers()[1], np.int64)[: len(data) + 1].copy()
    lists = [column.to_pylist() for column in others]
    if ends[0] != 0 or ends[-1] != seal.nbytes or (np.diff(ends) < 0).any():
        raise ValueError("its rows do not lie in its data")
    return lists, seal.start + ends


def _content(fd: int, start: int, nbytes: int) -> bytearray:
    """Some bytes of a file that has them."""
    memory = bytearray(nbytes)
    read_into(fd, memory, start)
    return memory


class _Sink:
    """A file for Arrow to write to, which keeps what comes before the data and after."""

    closed = False

    def __init__(self, data: pa.Buffer) -> None:
        self._data = data
        self._written = 0
        self.before: list[Any] = []
        self.after: list[Any] = []
        self._now = self.before

    def write(self, piece: Any) -> int:
        if isinstance(piece, pa.Buffer) and piece.address == self._data.address:
            self._now = self.after
        else:
            self._now.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""


def _seal_place(end: bytes | bytearray) -> int:
    """Where the seal ends, counted from the end of the file: before the footer."""
    footer, _ = _END.unpack(end[-_END.size :])
    return -int(footer) - _END.size


def _signature(before: Any, after: Any) -> int:
    return checksum(after, checksum(before))
