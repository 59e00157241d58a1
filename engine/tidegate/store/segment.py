"""A file of a job's log: entries of consecutive sequences after a header.

    "tidegate" (8 bytes) | format version (uint32) | bytes of the job's id (uint32) | sequence of its
    first entry | sequence of the entry before that | marker of its entries | the job's id, in UTF-8
    | zeros | checksum of all of that (uint64)                              256 bytes in all
    the last entry that is on the disk (uint64) | checksum of that          written over now and then
    | zeros                                                                 64 bytes

This layout is that of all versions; what comes after it may change with them.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from ..errors import LogError, VersionError
from .checksum import checksum
from .diskfile import read_all, storing, write_all
from .frames import BLOCK, HEADER_SIZE, MARKER_SIZE, Entry, Frame
from .wholefile import write_whole

FORMAT = 1
_MAGIC = b"tidegate"
_FIELDS = struct.Struct("<8sIIQQ8s")
_CHECKSUM = struct.Struct("<Q")
_HEADER = 256
_FILLED = _HEADER - _CHECKSUM.size
_MARK = struct.Struct("<QQ")
START = _HEADER + 64
"""Where the first entry of a segment is."""
_NAME = re.compile(r"\d{20}\.log")


class Damage(LogError):
    """A log that cannot be read from a place on: everything before that is whole."""

    def __init__(self, path: Path, at: int, what: str) -> None:
        self.path, self.at = path, at
        super().__init__(f"{path}: at byte {at}: {what}; damaged='cut' goes on without what is from there on")


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind the last whole entry of a segment."""

    nbytes: int
    entries: int
    """Whole entries among it."""
    synced: int
    """The last entry that was on the disk when something of it was written."""


def segments(folder: Path) -> list[Path]:
    """The files of the log in a folder, in order."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def segment_path(folder: Path, first: int) -> Path:
    """The file of the segment whose first entry has a sequence."""
    return folder / f"{first:020d}.log"


def first_sequence(path: Path) -> int:
    """The sequence that a segment's name says."""
    return int(path.stem)


def packed_header(job_id: str, first: int, follows: int, marker: bytes) -> bytes:
    """The header of a segment; `follows` is the sequence before its first one."""
    name = job_id.encode()
    fields = _FIELDS.pack(_MAGIC, FORMAT, len(name), first, follows, marker) + name
    if len(fields) > _FILLED:
        raise ValueError(f"a job's id of {len(name)} bytes: {_FILLED - _FIELDS.size} at most")
    fields = fields.ljust(_FILLED, b"\0")
    return (fields + _CHECKSUM.pack(checksum(fields))).ljust(START, b"\0")


def create(path: Path, job_id: str, first: int, follows: int) -> None:
    """Puts a segment without entries in its place, on the disk."""
    write_whole(path, [packed_header(job_id, first, follows, os.urandom(MARKER_SIZE))])


class Segment:
    """A segment that is open for reading and writing."""

    def __init__(self, path: Path, job_id: str) -> None:
        self.path = path
        with storing(f"{path}: cannot be opened"):
            self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.first, self.follows, self.marker = self._header(job_id)
        except BaseException:
            self.close()
            raise

    def _header(self, job_id: str) -> tuple[int, int, bytes]:
        with storing(f"{self.path}: cannot be read"):
            data = os.pread(self.file, START, 0)
        whole = len(data) == START and data[: len(_MAGIC)] == _MAGIC
        if not whole or (checksum(data[:_FILLED]),) != _CHECKSUM.unpack_from(data, _FILLED):
            raise Damage(self.path, 0, "its header is damaged")
        _, version, length, first, follows, marker = _FIELDS.unpack_from(data)
        if version > FORMAT:
            raise VersionError(
                f"{self.path}: format {version} of a newer tidegate; this one reads up to {FORMAT}"
            )
        owner = data[_FIELDS.size : _FIELDS.size + length].decode(errors="backslashreplace")
        if owner != job_id:
            raise LogError(f"{self.path}: a log of the job {owner!r}, not of {job_id!r}")
        if first != first_sequence(self.path):
            raise LogError(f"{self.path}: begins with entry {first}, not with that of its name")
        return first, follows, marker

    @property
    def nbytes(self) -> int:
        """Bytes of the file."""
        return os.fstat(self.file).st_size

    def frame(self, at: int) -> Frame | None:
        """The header of an entry at a place, if there is one and the file holds so many bytes."""
        with storing(f"{self.path}: cannot be read"):
            frame = Frame.unpacked(os.pread(self.file, HEADER_SIZE, at), self.marker)
            return frame if frame is not None and at + frame.nbytes <= self.nbytes else None

    def is_whole(self, at: int, frame: Frame) -> bool:
        """Whether the payload of an entry is what was written."""
        seen, end = 0, at + frame.nbytes
        for start in range(at + HEADER_SIZE, end, BLOCK):
            seen = checksum(read_all(self.file, min(BLOCK, end - start), start), seen)
        return seen == frame.checksum

    def frames(self, after: int) -> Iterator[tuple[int, Frame]]:
        """The places and headers of the entries up to the end or the first damage.

        Payloads of those up to `after` are not looked at.
        """
        at, sequence = START, self.first
        while (frame := self.frame(at)) and frame.sequence == sequence:
            if sequence > after and not self.is_whole(at, frame):
                return
            yield at, frame
            at, sequence = at + frame.nbytes, sequence + 1

    def entry(self, at: int, frame: Frame) -> Entry:
        """The entry of a header."""
        with storing(f"{self.path}: entry {frame.sequence} cannot be read"):
            payload = read_all(self.file, frame.payload_bytes, at + HEADER_SIZE)
        seen = 0
        for start in range(0, payload.size, BLOCK):
            seen = checksum(payload.slice(start, min(BLOCK, payload.size - start)), seen)
        if seen != frame.checksum:
            raise Damage(self.path, at, f"entry {frame.sequence} has changed since it was written")
        try:
            return frame.entry(payload)
        except (ValueError, TypeError, ArithmeticError, RecursionError, OSError, pa.ArrowException) as error:
            raise LogError(f"{self.path}: at byte {at}: entry {frame.sequence}: {error}") from error

    def mark(self, synced: int) -> None:
        """Notes the last entry that is on the disk; the note gets there in its time, or not at all."""
        number = _CHECKSUM.pack(synced)
        with suppress(OSError):
            write_all(self.file, [number + _CHECKSUM.pack(checksum(number))], _HEADER)

    def _marked(self) -> int:
        data = os.pread(self.file, _MARK.size, _HEADER)
        synced, check = _MARK.unpack(data)
        return int(synced) if check == checksum(data[: _CHECKSUM.size]) else 0

    def behind(self, at: int) -> Behind:
        """What is from the end of the last whole entry on."""
        nbytes, entries, synced = self.nbytes - at, 0, self._marked()
        while (at := self._find_marker(at)) >= 0:
            frame = Frame.unpacked(os.pread(self.file, HEADER_SIZE, at), self.marker)
            synced = max(synced, frame.synced if frame else 0)
            is_whole = frame and at + frame.nbytes <= self.nbytes and self.is_whole(at, frame)
            entries += bool(is_whole)
            at += frame.nbytes if frame and is_whole else 1
        return Behind(nbytes, entries, synced)

    def _find_marker(self, at: int) -> int:
        """Where the next marker is, or -1."""
        while data := os.pread(self.file, BLOCK, at):
            if (found := data.find(self.marker)) >= 0:
                return at + found
            if len(data) < MARKER_SIZE:
                break
            at += len(data) - MARKER_SIZE + 1
        return -1

    def close(self) -> None:
        """Closes the file."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def __enter__(self) -> Segment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
