"""JSON records to Arrow batches: objects back to back, one a line, or in one array.

Blocks of the text go through pyarrow's parser. A block that it refuses (a record is
malformed, a column has values of two types, a key has a fraction ...) is read again in
pieces, and the small pieces that it refuses too object by object with the standard library,
which gives the same columns, keeps the text of numbers where text is wanted, and skips what
is malformed. One odd value in 400,000 records so doubles the time at most (8 times without the
pieces).

Nested objects become dotted names, arrays of scalars one text joined with commas; arrays
of anything else are dropped. ``null`` and an empty array are missing.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from .errors import DataError
from .flatrecord import NumberText, flat_record, rows_to_batches
from .jsonarrow import HEAD_BYTES, read_fast
from .linescan import MOST_ROWS, PADDING, LineScanner

BLOCK_BYTES = 8 << 20
LINES_BYTES = 4 << 20
MOST_ODD_LINES = 100
"""Odd lines of a block after which the scanner does not fit the text; each is a batch of its own."""
PIECE_BYTES = (1 << 20, 1 << 16)
LONGEST_RECORD = 64 << 20
MOST_MALFORMED = 100
MALFORMED = "The input JSON data is malformed."

_BETWEEN = re.compile(r"[\s,\[\]]*")
_GARBAGE = re.compile(r"[^{\n]*")
_STRUCTURE = re.compile(r'["{}\[\]]|\n(?=\s*\{)')
_STRING_REST = re.compile(r'[^"\\\n]*(?:\\.[^"\\\n]*)*"?')
_SPREAD = re.compile(rb"\s*(?:\[|\{\s*\n)")


class Tally:
    """What a source of records counts while it is read."""

    __slots__ = ("input_bytes", "malformed")

    def __init__(self) -> None:
        self.input_bytes = 0
        self.malformed = 0

    def __repr__(self) -> str:
        return f"Tally(input_bytes={self.input_bytes}, malformed={self.malformed})"


_DECODER = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText, parse_constant=NumberText)


@dataclasses.dataclass(frozen=True, slots=True)
class _Text:
    """What is known of a text all the while it is read."""

    keys: Collection[str]
    columns: Collection[str] | None
    tally: Tally
    spread: bool
    """Whether records may end elsewhere than at the end of a line."""
    integers: set[str] = dataclasses.field(default_factory=set)
    """The keys that were integers or booleans of late."""


def read_json(
    source: Callable[[int], bytes],
    keys: Collection[str],
    tally: Tally,
    columns: Collection[str] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Batches of the records of a JSON text that ``source(size)`` gives piece by piece.

    The columns ``keys`` are text as it was written, or integers or booleans whose text is that.
    Raises DataError at the hundredth malformed record; what came before has been yielded.
    """
    rest, text, lines = b"", None, None
    while True:
        piece = source(block_bytes if lines is None else min(block_bytes, LINES_BYTES))
        data = rest + piece if rest else piece
        if text is None:
            data = data.removeprefix(b"\xef\xbb\xbf")
            text = _Text(keys, columns, tally, _SPREAD.match(data) is not None)
            lines = None if text.spread else _Lines(text)
        cut = len(data) if text.spread or not piece else data.rfind(b"\n") + 1
        if lines is not None and cut:
            rest = data[(yield from lines.read(data, cut, not piece)) :]
        else:
            block, rest = data[:cut], data[cut:]
            if block and not block.isspace():
                consumed = yield from _read_block(block, not piece, text, PIECE_BYTES)
                rest = block[consumed:] + rest
        if not piece:
            return
        if len(rest) > LONGEST_RECORD:
            raise DataError(f"a JSON record is longer than {LONGEST_RECORD >> 20} MiB")


class _Lines:
    """Reads text with one record a line: a scanner for what is plain, the rest as any other text."""

    def __init__(self, text: _Text) -> None:
        self._text = text
        self._scanner: LineScanner | None = None

    def read(self, data: bytes, end: int, final: bool) -> Generator[pa.RecordBatch, None, int]:
        """Yields the records of data[:end], which are lines but for the last one; the bytes consumed."""
        at = 0
        if self._scanner is None:
            at = yield from self._learn(data, end, final)
        if self._scanner is None or at == end:
            return at + (yield from self._unscanned(data, at, end, final))
        if final or len(data) - end < len(PADDING):
            data = b"".join((data[:end], b"\n", PADDING))
            closed = end if data[end - 1 : end] == b"\n" else end + 1
        else:
            closed = end
        return min((yield from self._scan(data, at, end, closed, final)), end)

    def _unscanned(self, data: bytes, at: int, end: int, final: bool) -> Generator[pa.RecordBatch, None, int]:
        """Yields the records of data[at:end] without a scanner; the bytes consumed."""
        block = data[at:end]
        if not block or block.isspace():
            return len(block)
        return (yield from _read_block(block, final, self._text, PIECE_BYTES))

    def _learn(self, data: bytes, end: int, final: bool) -> Generator[pa.RecordBatch, None, int]:
        """Yields the first records; makes a scanner of what they are. The bytes consumed."""
        text = self._text
        cut = data.rfind(b"\n", 0, min(end, HEAD_BYTES)) + 1
        table, consumed = read_fast(data[:cut], False, False, text.keys, text.columns, text.integers)
        if table is None:
            return 0
        self._scanner = LineScanner.learn(table, text.keys, text.columns)
        yield from table.to_batches()
        return consumed

    def _scan(
        self, data: bytes, at: int, end: int, closed: int, final: bool
    ) -> Generator[pa.RecordBatch, None, int]:
        """Yields the records of data[at:end] with the scanner; the bytes consumed.

        The last line ends with a newline at `closed`, and PADDING bytes follow.
        When many lines are odd, the rest is read without it, and it is made anew after that.
        """
        scanner, view = self._scanner, np.frombuffer(data, np.uint8)
        assert scanner is not None
        odd = 0
        while at < end:
            at, rows = scanner.scan(view, at, closed)
            if rows:
                yield scanner.batch(view)
            if at >= end or rows == MOST_ROWS:
                continue
            odd += 1
            if odd > MOST_ODD_LINES:
                self._scanner = None
                return at + (yield from self._unscanned(data, at, end, final))
            consumed = yield from self._odd_line(data, at, end, final)
            if not consumed:
                break
            at += consumed
        return at

    def _odd_line(self, data: bytes, at: int, end: int, final: bool) -> Generator[pa.RecordBatch, None, int]:
        """Yields the record of the line at data[at:], and of more lines if it goes on; the bytes."""
        size = 1
        while True:
            stop = data.find(b"\n", min(at + size, end) - 1, end) + 1 or end
            consumed = yield from _read_exact_block(data[at:stop], final and stop == end, self._text)
            if consumed or stop == end:
                return consumed
            size = 2 * (stop - at)


def _read_block(
    block: bytes, final: bool, text: _Text, piece_bytes: tuple[int, ...]
) -> Generator[pa.RecordBatch, None, int]:
    """Yields the records of a block, in ever smaller pieces until all is read; the bytes consumed."""
    table, consumed = read_fast(block, final, text.spread, text.keys, text.columns, text.integers)
    if table is not None:
        yield from table.to_batches()
        return consumed
    if piece_bytes and consumed:  # there is a record to its end
        size = piece_bytes[0] if len(block) > 2 * piece_bytes[0] else len(block)
        return (yield from _read_pieces(block, final, text, size, piece_bytes[1:]))
    return (yield from _read_exact_block(block, final, text))


def _read_exact_block(block: bytes, final: bool, text: _Text) -> Generator[pa.RecordBatch, None, int]:
    """Yields the records of a block, read one by one; the bytes consumed."""
    rows, consumed = read_exactly(block, final, text.tally)
    if rows:
        yield from rows_to_batches(rows, text.keys)
    if text.tally.malformed >= MOST_MALFORMED:
        raise DataError(MALFORMED)
    return consumed


def _read_pieces(
    block: bytes, final: bool, text: _Text, size: int, smaller: tuple[int, ...]
) -> Generator[pa.RecordBatch, None, int]:
    """Yields the records of pieces of a block of about ``size`` bytes; the bytes consumed."""
    at = end = 0
    step = size
    while end < len(block):
        before, end = end, min(end + step, len(block))
        if not text.spread:
            end = block.rfind(b"\n", before, end) + 1 or block.find(b"\n", end) + 1 or len(block)
        consumed = yield from _read_block(block[at:end], final and end == len(block), text, smaller)
        at += consumed
        step = size if consumed else 2 * step  # a record longer than that
    return at


def read_exactly(block: bytes, final: bool, tally: Tally) -> tuple[list[dict[str, Any]], int]:
    """The flat records of a block one by one and the bytes consumed; malformed ones are counted.

    A last record without its end stays for the next block, unless this one is ``final``.
    """
    text = block.decode("utf-8", "surrogateescape")
    rows: list[dict[str, Any]] = []
    at = 0
    while tally.malformed < MOST_MALFORMED:
        at = _skip(_BETWEEN, text, at)
        if at == len(text):
            break
        if text[at] == "{":
            try:
                record, after = _DECODER.raw_decode(text, at)
                rows.append(flat_record(record))
                at = after
                continue
            except (ValueError, RecursionError):
                after = _malformed_end(text, at)
            if after < 0 and not final:
                break
            at = after if after >= 0 else len(text)
        else:
            at = _skip(_GARBAGE, text, _skip(_STRING_REST, text, at + 1) if text[at] == '"' else at + 1)
        tally.malformed += 1
    return rows, len(text[:at].encode("utf-8", "surrogateescape"))


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _malformed_end(text: str, start: int) -> int:
    """Where the malformed object at ``start`` ends, -1 if it has not ended yet.

    That is its closing brace, or a line that starts with an object where none can be inside:
    strings do not span lines, and an object inside follows a colon, or is in an array.
    """
    depth = square = 0
    at = start
    while match := _STRUCTURE.search(text, at):
        at, found = match.end(), match[0]
        if found == '"':
            at = _skip(_STRING_REST, text, at)
        elif found in "[]":
            square += 1 if found == "[" else -1
        elif found in "{}":
            depth += 1 if found == "{" else -1
            if depth == 0:
                return at
        else:
            before = text[max(start, at - 200) : at].rstrip()[-1:]
            if before not in (",", "[", ":") or (square <= 0 and before != ":"):
                return at
    return -1
