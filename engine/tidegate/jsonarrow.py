"""JSON text to Arrow tables by pyarrow's parser, as far as that is exact."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json as pj

from .arrowblock import arrow_block
from .flatrecord import DEEPEST
from .jsonnames import is_sparse

HEAD_BYTES = 1 << 16

_MINUS_ZERO = re.compile(rb":\s*-0\s*[,}]")
_NULL_RECORD = re.compile(rb"(?:\A|\})\s*null")


def read_fast(
    block: bytes,
    final: bool,
    spread: bool,
    keys: Collection[str],
    columns: Collection[str] | None,
    integers: set[str] | None = None,
) -> tuple[pa.Table | None, int]:
    """The records of a block by pyarrow, and their bytes; no table if that cannot be exact.

    ``integers`` are the keys expected to be integers or booleans; what they are is put there.
    """
    lines, consumed = one_a_line(block) if spread else (block, len(block))
    if final and consumed < len(block):
        if block[consumed:].strip(b" \t\r\n,]"):
            return None, consumed
        consumed = len(block)
    if not lines or lines.isspace() or crashes_arrow(lines) or is_sparse(lines):
        return None, consumed
    table = _parsed(lines, keys, set() if integers is None else integers)
    if table is None:
        return None, consumed
    leaves = list(_leaves(table.schema))
    names = {name for name, _ in leaves}
    inexact = any(_joins_inexactly(kind) for name, kind in leaves if columns is None or name in columns)
    return None if inexact or len(names) < len(leaves) else table, consumed


def _parsed(lines: bytes, keys: Collection[str], integers: set[str]) -> pa.Table | None:
    """The records of lines with keys as text, or as what has no other text: integers and booleans."""
    try:
        if not lines.isascii():
            lines.decode()
    except UnicodeDecodeError:
        return None
    for _ in range(2):
        try:
            table = _by_arrow(lines, _key_schema(set(keys) - integers, lines))
            table.validate()  # lists that start with null come out too short (pyarrow up to 26.0)
            if not integers or _as_written(table, integers, lines):
                return table
        except pa.ArrowException:
            pass
        found = _integer_keys(lines, keys)
        if found == integers:
            break
        integers.clear()
        integers.update(found)
    return None


def _by_arrow(lines: bytes, schema: pa.Schema) -> pa.Table:
    return pj.read_json(
        pa.BufferReader(arrow_block(lines)),
        pj.ReadOptions(block_size=max(1 << 20, len(lines) // 4)),
        pj.ParseOptions(explicit_schema=schema),
    )


def _integer_keys(lines: bytes, keys: Collection[str]) -> set[str]:
    """The keys that are integers or booleans at the beginning of a text."""
    if not keys:
        return set()
    cut = lines.rfind(b"\n", 0, HEAD_BYTES) + 1 or lines.find(b"\n") + 1 or len(lines)
    try:
        head = _by_arrow(lines[:cut], pa.schema([]))
    except pa.ArrowException:
        return set()
    return {name for name, kind in _leaves(head.schema) if name in keys and _has_one_text(kind)}


def _as_written(table: pa.Table, integers: set[str], lines: bytes) -> bool:
    """Whether the text of what was read of some keys is what was written: 1.0 and -0 are no 1 and 0."""
    if b"-0" in lines and _MINUS_ZERO.search(lines):
        return False
    kinds = [kind for name, kind in _leaves(table.schema) if name in integers]
    return all(_has_one_text(kind) or pa.types.is_null(kind) for kind in kinds)


def _has_one_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


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
