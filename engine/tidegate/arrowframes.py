"""The frames of Arrow IPC data, looked at before Arrow unpacks them: a few bytes can unpack to any size.

Every message says in a flatbuffer where its buffers lie; a packed one begins with its size unpacked,
which Arrow allocates on trust.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from .errors import DataError

MOST_BYTES, MOST_RATIO = 1 << 30, 64
"""A message may unpack to MOST_BYTES, and beyond that to so many times its size."""
MOST_METADATA = 64 << 20
_DAMAGED = "the Arrow data is damaged"
_DICTIONARY, _BATCH = 2, 3
_MAGIC = b"ARROW1"

ReadAt = Callable[[int, int], bytes]
"""Bytes by their place and number; fewer at the end."""


class FramedStream(io.RawIOBase):
    """An Arrow IPC stream, message by message, each looked at before its body is given away."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._pieces = self._frames()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Exactly so many bytes, but at the end; a body is not copied."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
        if size < 0 or size == len(self._rest):
            data, self._rest = self._rest, b""
            return data if size >= 0 or not data else data + self.read()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data + self.read(size - len(data)) if data and len(data) < size else data

    def _frames(self) -> Iterator[bytes]:
        while len(word := self._read(4)) == 4:
            length = struct.unpack("<i", word)[0]
            yield word
            if length == -1:
                word = self._read(4)
                yield word
                length = struct.unpack("<i", word)[0] if len(word) == 4 else 0
            if length <= 0:
                break  # the end of the stream; what follows is not its own
            if length > MOST_METADATA:
                raise DataError(f"{_DAMAGED}: a message has {length} bytes of metadata")
            metadata = self._read(length)
            yield metadata
            if len(metadata) == length:
                size = _body_length(metadata)
                body = self._read(size) if size > 0 else b""
                _require_bounded(metadata, partial(_part, body))
                if body:
                    yield body


def require_bounded(file: Any) -> None:
    """Raises DataError for an Arrow IPC file (a file of Arrow's) with a message that unpacks to too much."""
    size = file.size()
    tail = file.read_at(10, max(size - 10, 0))
    if size < 24 or not tail.endswith(_MAGIC):
        return  # what Arrow says of it is clear
    length = struct.unpack("<i", tail[:4])[0]
    if not 0 < length <= size - 10:
        raise DataError(f"{_DAMAGED}: its footer has {length} bytes")
    with _clear():
        footer = _Table.root(file.read_at(length, size - 10 - length))
        blocks = [block for field in (2, 3) for block in footer.structs(field, "<qi4xq")]
    for place, metadata_length, _ in blocks:
        if not 8 < metadata_length <= MOST_METADATA or not 0 <= place <= size:
            raise DataError(f"{_DAMAGED}: a message of it lies outside")
        metadata = file.read_at(metadata_length, place)
        start = 8 if metadata[:4] == b"\xff\xff\xff\xff" else 4
        _require_bounded(metadata[start:], partial(_read_at, file, place + metadata_length))


def _part(body: bytes, at: int, size: int) -> bytes:
    return body[at : at + size]


def _read_at(file: Any, start: int, at: int, size: int) -> bytes:
    return bytes(file.read_at(size, start + at))


def _require_bounded(metadata: bytes, body: ReadAt) -> None:
    with _clear():
        packed, unpacked = _sizes(metadata, body)
    if unpacked > max(MOST_BYTES, MOST_RATIO * packed):
        raise DataError(
            f"a batch of {packed} bytes unpacks to {unpacked} bytes; allowed are {MOST_BYTES >> 20} MiB, "
            f"or {MOST_RATIO} times its size"
        )


def _sizes(metadata: bytes, body: ReadAt) -> tuple[int, int]:
    """How many bytes the packed buffers of a message have, and how many they say they unpack to."""
    message = _Table.root(metadata)
    kind, batch = message.number(1, "<B"), message.table(2)
    if kind == _DICTIONARY and batch is not None:
        batch = batch.table(1)
    if kind not in (_DICTIONARY, _BATCH) or batch is None or batch.table(3) is None:
        return 0, 0
    packed = unpacked = 0
    for place, length in batch.structs(2, "<qq"):
        if place < 0 or length < 0:
            raise DataError(f"{_DAMAGED}: a buffer lies outside of its message")
        if length >= 8:
            packed += length
            unpacked += max(struct.unpack("<q", body(place, 8).ljust(8, b"\0"))[0], 0)
    return packed, unpacked


def _body_length(metadata: bytes) -> int:
    with _clear():
        return int(_Table.root(metadata).number(3, "<q"))


class _clear:
    """Turns what comes of a flatbuffer that points outside of itself into a DataError."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (struct.error, IndexError, OverflowError)):
            raise DataError(f"{_DAMAGED}: a message points outside of itself") from error


class _Table:
    """A table of a flatbuffer; struct.error when something lies outside of it."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._vtable = place - self._at("<i", place)
        self._fields = (self._at("<H", self._vtable) - 4) // 2

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """The outermost table of a flatbuffer."""
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def _at(self, form: str, place: int) -> int:
        if place < 0:
            raise struct.error("before the beginning")
        return int(struct.unpack_from(form, self._data, place)[0])

    def _field(self, number: int) -> int:
        """Where a field lies, 0 for none."""
        offset = self._at("<H", self._vtable + 4 + 2 * number) if number < self._fields else 0
        return self._place + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        """A field that is a number, 0 if it is absent."""
        place = self._field(field)
        return self._at(form, place) if place else 0

    def table(self, field: int) -> _Table | None:
        """A field that is a table."""
        place = self._field(field)
        return _Table(self._data, place + self._at("<I", place)) if place else None

    def structs(self, field: int, form: str) -> Iterator[tuple[int, ...]]:
        """A field that is a vector of structs of such a form."""
        place = self._field(field)
        if not place:
            return
        place += self._at("<I", place)
        count, size = self._at("<I", place), struct.calcsize(form)
        if place + 4 + count * size > len(self._data):
            raise struct.error("beyond the end")
        yield from struct.iter_unpack(form, self._data[place + 4 : place + 4 + count * size])


def open_stream(read: Callable[[int], bytes]) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow IPC stream that `read(size)` gives."""
    return iter(pa.ipc.open_stream(pa.PythonFile(FramedStream(read), "r")))
