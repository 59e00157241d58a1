"""The bytes of a file as readers take them: the beginning first, counted, in no more memory than they are."""

from __future__ import annotations

import io
import tempfile
from typing import Any

from .errors import DataError
from .ndjson import Tally

MOST_SPOOLED, MOST_RATIO = 1 << 30, 64
_HEAD_BYTES, _PIECE_BYTES = 1 << 16, 64 << 20


class ByteSource(io.RawIOBase):
    """A binary stream whose beginning, `head`, can be looked at; counts its bytes into a tally."""

    def __init__(self, file: Any, tally: Tally | None = None) -> None:
        self._file, self._tally = file, tally
        self.head = self._rest = self._counted(_HEAD_BYTES)

    def _counted(self, size: int) -> bytes:
        """The next bytes, as many as there are at once; of a very large size piece by piece, because a
        damaged file can ask for any.
        """
        pieces: list[bytes] = [self._file.read(min(size, _PIECE_BYTES)) or b""]
        while len(pieces[-1]) == _PIECE_BYTES and size > _PIECE_BYTES:
            size -= _PIECE_BYTES
            pieces.append(self._file.read(min(size, _PIECE_BYTES)) or b"")
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._tally is not None:
            self._tally.input_bytes += len(data)
        return data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            return self._counted(size)
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        if size < 0 or len(data) < size:
            data += self._counted(-1 if size < 0 else size - len(data))
        return data


def spooled_file(source: ByteSource, tally: Tally) -> Any:
    """A temporary file with the content of a stream, for formats that are read from their end.

    Raises DataError for one that unpacks to MOST_SPOOLED and more than MOST_RATIO times its size.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads it to its end
    size = 0
    try:
        while piece := source.read(1 << 20):
            size += file.write(piece)
            if size > max(MOST_SPOOLED, MOST_RATIO * tally.input_bytes):
                raise DataError(f"unpacks to more than {size >> 20} MiB, {MOST_RATIO} times its size")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
