"""JSON records to Arrow batches: objects back to back, one a line, or in one array.

Blocks of the text go through pyarrow's parser. A block that it refuses (a record is
malformed, a column has values of two types, a key is a number ...) is read again object by
object with the standard library, which gives the same columns, keeps the text of
numbers where text is wanted, and skips what is malformed.

Nested objects become dotted names, arrays of scalars one text joined with commas; arrays
of anything else are dropped. ``null`` and an empty array are missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json as pj

from .errors import DataError

BLOCK_BYTES = 8 << 20
LONGEST_RECORD = 64 << 20
MOST_MALFORMED = 100
MALFORMED = "The input JSON data is malformed."
DEEPEST = 500

_BETWEEN = re.compile(r"[\s,\[\]]*")
_GARBAGE = re.compile(r"[^{\n]*")
_STRUCTURE = re.compile(r'["{}\[\]]|\n(?=\s*\{)')
_STRING_REST = re.compile(r'[^"\\\n]*(?:\\.[^"\\\n]*)*"?')
_SPREAD = re.compile(rb"\s*(?:\[|\{\s*\n)")
_NULL_RECORD = re.compile(rb"(?:\A|\})\s*null")


class Tally:
    """What a source of records counts while it is read."""

    __slots__ = ("input_bytes", "malformed")

    def __init__(self) -> None:
        self.input_bytes = 0
        self.malformed = 0

    def __repr__(self) -> str:
        return f"Tally(input_bytes={self.input_bytes}, malformed={self.malformed})"


class NumberText(str):
    """A number of a JSON text, as it was written."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText, parse_constant=NumberText)


def read_json(
    source: Callable[[int], bytes],
    keys: Collection[str],
    tally: Tally,
    columns: Collection[str] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Batches of the records of a JSON text that ``source(size)`` gives piece by piece.

    The columns ``keys`` are text as it was written. Raises DataError at the hundredth
    malformed record; what came before has been yielded.
    """
    rest, spread = b"", None
    while True:
        piece = source(block_bytes)
        data = rest + piece if rest else piece
        if spread is None:
            data = data.removeprefix(b"\xef\xbb\xbf")
            spread = _SPREAD.match(data) is not None
        cut = len(data) if spread or not piece else data.rfind(b"\n") + 1
        block, rest = data[:cut], data[cut:]
        if block and not block.isspace():
            table, consumed = read_fast(block, not piece, spread, keys, columns)
            if table is not None:
                yield from table.to_batches()
            else:
                rows, consumed = read_exactly(block, not piece, tally)
                if rows:
                    yield rows_to_batch(rows, keys)
                if tally.malformed >= MOST_MALFORMED:
                    raise DataError(MALFORMED)
            rest = block[consumed:] + rest
        if not piece:
            return
        if len(rest) > LONGEST_RECORD:
            raise DataError(f"a JSON record is longer than {LONGEST_RECORD >> 20} MiB")


def read_fast(
    block: bytes, final: bool, spread: bool, keys: Collection[str], columns: Collection[str] | None
) -> tuple[pa.Table | None, int]:
    """The records of a block by pyarrow and the bytes consumed; no table if that cannot be exact."""
    lines, consumed = one_a_line(block) if spread else (block, len(block))
    if final and consumed < len(block):
        if block[consumed:].strip(b" \t\r\n,]"):
            return None, 0
        consumed = len(block)
    if not lines or lines.isspace() or crashes_arrow(lines):
        return None, 0
    try:
        if not lines.isascii():
            lines.decode()
        table = pj.read_json(
            pa.BufferReader(lines),
            pj.ReadOptions(block_size=max(1 << 20, len(lines) // 4)),
            pj.ParseOptions(explicit_schema=_key_schema(keys, lines)),
        )
        table.validate()  # lists that start with null come out too short (pyarrow up to 26.0)
    except (pa.ArrowException, UnicodeDecodeError):
        return None, 0
    leaves = list(_leaves(table.schema))
    names = {name for name, _ in leaves}
    inexact = any(_joins_inexactly(kind) for name, kind in leaves if columns is None or name in columns)
    return (None, 0) if inexact or len(names) < len(leaves) else (table, consumed)


def crashes_arrow(lines: bytes) -> bool:
    """Whether pyarrow may crash on a text (seen up to 26.0): a record ``null``, or ten thousand levels.

    An object after a brace and a newline is always a new record. So the brackets that open, or
    the length of a record, bound the levels of most texts; only others pay for the exact depth.
    """
    if b"null" in lines and _NULL_RECORD.search(lines):
        return True
    new_record = b"}\r\n{" if b"}\r\n{" in lines else b"}\n{"
    data = np.frombuffer(lines, np.uint8)
    opens = np.count_nonzero(data == ord("{")) + np.count_nonzero(data == ord("["))
    if opens <= DEEPEST or opens - lines.count(new_record) <= DEEPEST:
        return False
    pieces = lines.split(new_record)
    if max(map(len, pieces)) <= DEEPEST or not any(
        piece.count(b"{") + piece.count(b"[") > DEEPEST for piece in pieces if len(piece) > DEEPEST
    ):
        return False
    return int(_depths(data)[0].max()) > DEEPEST


def _key_schema(keys: Collection[str], lines: bytes) -> pa.Schema:
    """Text columns for the keys: ``a.b`` is inside of ``a`` unless it is written as one name."""
    tree: dict[str, Any] = {}
    for key in sorted(keys):
        path = [key] if f'"{key}"'.encode() in lines else key.split(".")
        node: Any = tree
        for name in path[:-1]:
            node = node.setdefault(name, {}) if node is not None else None
        if node is not None:
            node.setdefault(path[-1], None)

    def fields(node: dict[str, Any]) -> list[pa.Field]:
        return [pa.field(n, pa.string() if c is None else pa.struct(fields(c))) for n, c in node.items()]

    return pa.schema(fields(tree))


def _leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, pa.DataType]]:
    """Dotted names and types of all fields that are not structs."""
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _leaves(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.type


def _joins_inexactly(kind: pa.DataType) -> bool:
    """Whether a list lost the text of its elements by being parsed."""
    types = pa.types
    return bool(
        types.is_list(kind) and (types.is_floating(kind.value_type) or types.is_timestamp(kind.value_type))
    )


def one_a_line(block: bytes) -> tuple[bytes, int]:
    """The complete records of an array, or of records over many lines, as one a line; bytes consumed.

    The block starts between two records. Text between records is kept, but for commas and brackets.
    """
    data = np.frombuffer(block, np.uint8).copy()
    depth, outside, closes = _depths(data)
    first = block.lstrip()[:1]
    base = 1 if first == b"[" else 0
    ends = np.flatnonzero(closes & (depth == base) & (data == ord("}")))
    consumed = int(ends[-1]) + 1 if len(ends) else 0
    between = (depth <= base) & outside & ~(closes & (data == ord("}")))
    data[between & ((data == ord("[")) | (data == ord("]")))] = ord(" ")
    data[~between & outside & ((data == ord("\n")) | (data == ord("\r")))] = ord(" ")
    data[between & (data == ord(","))] = ord("\n")
    return data[:consumed].tobytes(), consumed


def _depths(
    data: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each byte: the depth of brackets after it, is it outside of strings, does it close one."""
    outside = ~_inside_strings(data)
    opens = ((data == ord("{")) | (data == ord("["))) & outside
    closes = ((data == ord("}")) | (data == ord("]"))) & outside
    return np.cumsum(opens.view(np.int8) - closes.view(np.int8), dtype=np.int32), outside, closes


def _inside_strings(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """True from the quote that opens a string to the byte before the one that closes it."""
    quotes = data == ord('"')
    slashes = data == ord("\\")
    if slashes.any():
        places = np.arange(len(data), dtype=np.int32)
        last_other = np.maximum.accumulate(np.where(slashes, np.int32(-1), places))
        at = np.flatnonzero(quotes[1:]) + 1
        quotes[at] = (at - 1 - last_other[at - 1]) % 2 == 0
    inside: npt.NDArray[np.bool_] = np.bitwise_xor.accumulate(quotes.view(np.uint8)).view(np.bool_)
    return inside


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


def flat_record(record: Mapping[Any, Any]) -> dict[str, Any]:
    """A record with dotted names for nested objects and text for arrays.

    >>> flat_record({"a": {"b": 1}, "tags": ["x", 2, None], "rows": [{"c": 1}]})
    {'a.b': 1, 'tags': 'x,2'}
    """
    flat: dict[str, Any] = {}
    _flatten_into(flat, record, "")
    return flat


def _flatten_into(flat: dict[str, Any], record: Mapping[Any, Any], prefix: str) -> None:
    for name, value in record.items():
        if isinstance(value, Mapping):
            _flatten_into(flat, value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            if not any(isinstance(element, (Mapping, list, tuple)) for element in value):
                texts = [text_of(element) for element in value if element is not None]
                flat[f"{prefix}{name}"] = ",".join(map(str, texts)) if texts else None
        else:
            flat[f"{prefix}{name}"] = value


def text_of(value: Any) -> str | None:
    """The text of a scalar: ``true`` and ``false`` as in JSON, None stays None."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def rows_to_batch(rows: Sequence[Mapping[str, Any]], keys: Collection[str] = ()) -> pa.RecordBatch:
    """Flat records as one batch; a field that a record does not have is null."""
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    arrays = [column_of([row.get(name) for row in rows], name in keys) for name in names]
    return pa.RecordBatch.from_arrays(arrays, [_encodable(name) for name in names])


def column_of(values: Sequence[Any], as_text: bool = False) -> pa.Array:
    """Scalars as an array of the type that holds them all; values of many types become text.

    >>> column_of([1, None, 2.5]).to_pylist(), column_of([1, "x", True]).to_pylist()
    ([1.0, None, 2.5], ['1', 'x', 'true'])
    """
    if not as_text:
        kinds = {type(value) for value in values} - {type(None)}
        if kinds == {NumberText}:
            return _numbers(values)
        if NumberText not in kinds and not (bool in kinds and len(kinds) > 1):  # true is not 1
            try:
                return pa.array(values)
            except (pa.ArrowException, OverflowError, TypeError, ValueError):
                if kinds <= {int, float}:
                    return _numbers([None if value is None else NumberText(value) for value in values])
    texts = [text_of(value) for value in values]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([None if text is None else _encodable(text) for text in texts], pa.string())


def _encodable(text: str) -> str:
    """The text with a question mark for what is no Unicode character (half a surrogate pair)."""
    return text.encode("utf-8", "replace").decode()


def _numbers(values: Sequence[str | None]) -> pa.Array:
    """Number texts as int64 if all of them fit, else as float64."""
    try:
        return pa.array([None if value is None else int(value) for value in values], pa.int64())
    except (ValueError, OverflowError):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
