"""CSV text to Arrow batches, block by block.

Each block is parsed by itself, with types of its own: text in a column that held numbers
before makes that column text in this block and harms nothing else. Rows with a wrong
number of fields are left out and counted.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from .arrowblock import arrow_block
from .errors import DataError
from .ndjson import Tally

BLOCK_BYTES = 8 << 20
LONGEST_ROW = 64 << 20
MOST_COLUMNS = 100_000
STRAY_QUOTE_BYTES = 1 << 20
DELIMITERS = ",\t;|"
KEY_TYPE = pa.dictionary(pa.int32(), pa.string())


def read_csv(
    source: Callable[[int], bytes],
    keys: Collection[str],
    tally: Tally,
    columns: Collection[str] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Batches of the rows below a header line; ``keys`` are dictionary-encoded text, "" is null there.

    The delimiter is that of DELIMITERS which the header has most of.
    """
    rest, layout = b"", None
    while True:
        piece = source(block_bytes)
        data = rest + piece if rest else piece
        if layout is None:
            data = data.removeprefix(b"\xef\xbb\xbf")
            end = _header_end(data, not piece)
            if end:
                layout = _layout(data[:end])
                data = data[end:]
        cut = 0 if layout is None else len(data) if not piece else _last_row_end(data)
        block, rest = data[:cut], data[cut:]
        if layout is not None and block and not block.isspace():
            yield from _parse(block, *layout, keys, columns, tally)
        if not piece:
            return
        if len(rest) > LONGEST_ROW:
            raise DataError(f"a row is longer than {LONGEST_ROW >> 20} MiB")


def _header_end(data: bytes, final: bool) -> int:
    """Where the first row ends, 0 if that is not known yet."""
    start, end = 0, data.find(b"\n") + 1
    odd = data.count(b'"', 0, end) % 2
    while end and odd:  # the next quote may close what is open
        start = data.find(b'"', end)
        end = data.find(b"\n", start) + 1 if start >= 0 else 0
        odd = (odd + data.count(b'"', start, end)) % 2
    return end or (len(data) if final else 0)


def _last_row_end(data: bytes) -> int:
    """Where the last complete row ends: after a newline outside of quotes.

    If there is none in STRAY_QUOTE_BYTES, a quote was not closed, and any newline ends a row.
    """
    last = end = data.rfind(b"\n") + 1
    if b'"' not in data:  # much quicker than to count none
        return last
    odd = data.count(b'"', 0, end) % 2
    while end and odd:  # as it is after the last quote
        before = data.rfind(b"\n", 0, data.rfind(b'"', 0, end)) + 1
        odd = (odd + data.count(b'"', before, end)) % 2
        end = before
    return end or (last if len(data) > STRAY_QUOTE_BYTES else 0)


def _layout(header: bytes) -> tuple[list[str], str]:
    """Column names and delimiter of a header line."""
    text = header.decode("utf-8", "replace")
    delimiter = max(DELIMITERS, key=text.count)
    if text.count(delimiter) >= MOST_COLUMNS:
        raise DataError(f"line 1: more than {MOST_COLUMNS} columns")
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"line 1: {error}") from error
    name, times = max(Counter(names).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise DataError(f"line 1: two columns are named {name!r}; names must differ")
    return names, delimiter


def _parse(
    block: bytes,
    names: list[str],
    delimiter: str,
    keys: Collection[str],
    columns: Collection[str] | None,
    tally: Tally,
) -> Iterator[pa.RecordBatch]:
    """The rows of one block; what is not UTF-8 is replaced."""
    try:
        table, wrong = _table(block, names, delimiter, keys, columns, len(block) // 2)
    except pa.ArrowException:
        block = block.decode("utf-8", "replace").encode()
        table, wrong = _table(block, names, delimiter, keys, columns, len(block))
    tally.malformed += wrong
    for batch in table.to_batches():
        yield _with_null_keys(batch)


def _table(
    block: bytes,
    names: list[str],
    delimiter: str,
    keys: Collection[str],
    columns: Collection[str] | None,
    block_size: int,
) -> tuple[pa.Table, int]:
    """The rows of a block, and how many were left out.

    Those are looked for where there are any, and then on this thread alone: a function of ours
    must not be left to Arrow's threads (see `arrow_block`).
    """
    wrong: list[int] = []

    def leave_out(row: Any) -> str:
        wrong.append(1)
        return "skip"

    def parsed(text: bytes, handler: Callable[[Any], str] | None) -> pa.Table:
        return pc_csv.read_csv(
            pa.BufferReader(arrow_block(text)),
            pc_csv.ReadOptions(
                column_names=names, block_size=max(block_size, 1 << 20), use_threads=handler is None
            ),
            pc_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=b'"' in block, invalid_row_handler=handler
            ),
            pc_csv.ConvertOptions(
                column_types={name: KEY_TYPE for name in names if name in keys},
                include_columns=[name for name in names if columns is None or name in columns],
            ),
        )

    try:
        return parsed(block, None), 0
    except pa.ArrowInvalid as error:
        if "columns, got" not in str(error):
            raise
    # A row that is no UTF-8 is not handed to the function: Python prints what went wrong instead.
    text = block if block.isascii() else block.decode("utf-8", "replace").encode()
    return parsed(text, leave_out), len(wrong)


def _with_null_keys(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with null for the empty text in dictionary columns."""
    for position, column in enumerate(batch.columns):
        if pa.types.is_dictionary(column.type):
            empty = pc.index(column.dictionary, "").as_py()
            if empty >= 0:
                indices = column.indices.to_numpy(zero_copy_only=False)
                mask = np.asarray(indices == empty) | column.is_null().to_numpy(zero_copy_only=False)
                nulled = pa.array(np.where(mask, 0, indices).astype(np.int32), mask=mask)
                made = pa.DictionaryArray.from_arrays(nulled, column.dictionary)
                batch = batch.set_column(position, batch.schema.names[position], made)
    return batch
