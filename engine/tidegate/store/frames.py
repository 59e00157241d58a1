"""An entry of a job's log as bytes: a header, the head as JSON, and the batches.

    marker (8 bytes) | sequence | synced | bytes of the head | bytes of the payload
    | checksum of the payload | checksum of this header        each a little-endian uint64
    payload: head as JSON, with blanks to a multiple of 8 bytes | Arrow IPC streams of the batches

The marker is drawn by lot for every segment, so that neither a posted text that holds the bytes of
a log nor what a deleted file left on the disk looks like an entry. `synced` is the last entry that
was known to be on the disk when this one was written. A payload is checked in blocks, each with the
checksum of those before it as its seed, so that it need not lie in memory in one piece.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from .batchstreams import compacted, read_batches, write_batches
from .checksum import checksum
from .diskfile import Bytes, write_all

BLOCK = 1 << 20
"""Bytes that are checked, and gathered for a write, at a time."""
MARKER_SIZE = 8
_FIELDS = struct.Struct("<8s5Q")
_CHECKSUM = struct.Struct("<Q")
HEADER_SIZE = _FIELDS.size + _CHECKSUM.size
_ALIGNED = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a log: its place, what it says, and the batches of a post."""

    sequence: int
    head: dict[str, Any]
    batches: list[pa.RecordBatch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frame:
    """The header of an entry."""

    sequence: int
    synced: int
    head_bytes: int
    payload_bytes: int
    checksum: int

    @property
    def nbytes(self) -> int:
        """Bytes of the whole entry."""
        return HEADER_SIZE + self.payload_bytes

    def packed(self, marker: bytes) -> bytes:
        """The header as bytes."""
        numbers = (self.sequence, self.synced, self.head_bytes, self.payload_bytes, self.checksum)
        fields = _FIELDS.pack(marker, *numbers)
        return fields + _CHECKSUM.pack(checksum(fields))

    @classmethod
    def unpacked(cls, data: bytes, marker: bytes) -> Frame | None:
        """The header at the beginning of some bytes, if they are one."""
        if len(data) < HEADER_SIZE or data[:MARKER_SIZE] != marker:
            return None
        if (checksum(data[: _FIELDS.size]),) != _CHECKSUM.unpack_from(data, _FIELDS.size):
            return None
        _, *numbers = _FIELDS.unpack_from(data)
        return cls(*numbers)

    def entry(self, payload: pa.Buffer) -> Entry:
        """The entry of a payload that was found whole; ValueError when it cannot be read all the same."""
        head = json.loads(payload.slice(0, self.head_bytes).to_pybytes())
        return Entry(self.sequence, head, list(read_batches(payload.slice(self.head_bytes))))


class Payload:
    """Writes a payload into a file, at a place, as it is made: a sink for Arrow's streams.

    Small pieces are gathered to blocks; what is large is written from where it lies. A post of 28 MB
    takes 15 ms by way of a buffer for all of it, 7 without.
    """

    closed = False

    def __init__(self, file: int, at: int) -> None:
        self._file, self._at = file, at
        self._block = bytearray()
        self.nbytes = self.checksum = 0

    def write(self, data: Any) -> int:
        """Takes more bytes; what `os.pwritev` raises goes through."""
        view = memoryview(data).cast("B")
        at = 0
        while at < len(view):
            piece = view[at : at + BLOCK - len(self._block)]
            at += len(piece)
            if len(piece) == BLOCK:
                self._spill(piece)
            else:
                self._block += piece
                if len(self._block) == BLOCK:
                    self._spill(self._block)
                    self._block = bytearray()
        return len(view)

    def flush(self) -> None:
        """Nothing; Arrow calls it."""

    def _spill(self, block: Bytes) -> None:
        self.checksum = checksum(block, self.checksum)
        write_all(self._file, [block], self._at + self.nbytes)
        self.nbytes += len(block)

    def finish(self) -> bytearray:
        """The last bytes, which are not written yet but counted and checked."""
        self.checksum = checksum(self._block, self.checksum)
        self.nbytes += len(self._block)
        return self._block


def packed_head(head: Mapping[str, Any]) -> bytes:
    """A head as JSON, with blanks that align what comes after it."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % _ALIGNED)


def write_frame(
    file: int, at: int, marker: bytes, place: tuple[int, int], head: bytes, batches: Sequence[pa.RecordBatch]
) -> Frame:
    """Writes an entry, whose `place` is its sequence and the last one synced; its header last."""
    payload = Payload(file, at + HEADER_SIZE)
    payload.write(head)
    write_batches(payload, compacted(batches))
    before = payload.nbytes
    rest = payload.finish()
    frame = Frame(*place, len(head), payload.nbytes, payload.checksum)
    if before:
        write_all(file, [rest], at + HEADER_SIZE + before)
        rest = bytearray()
    write_all(file, [frame.packed(marker), rest], at)
    return frame
