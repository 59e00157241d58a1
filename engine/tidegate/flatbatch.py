"""Flat record batches, and one clear line for what goes wrong below them."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .ndjson import MALFORMED
from .valuetext import as_text

MOST_ROWS = 1 << 20
"""A larger batch is taken in slices: the columns made of it stay small."""
_INDEX = re.compile(r"__index_level_\d+__")


def flat_batches(
    batches: Iterator[pa.RecordBatch], where: str, columns: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Flattens batches, leaves out empty ones and gives every failure below one clear line."""
    with clear_errors(where):
        for batch in batches:
            for row in range(0, batch.num_rows, MOST_ROWS):
                yield flat_batch(
                    batch.slice(row, MOST_ROWS) if batch.num_rows > MOST_ROWS else batch, columns
                )


@contextmanager
def clear_errors(where: str) -> Iterator[None]:
    """Turns what Arrow, the file system and decompression raise into a DataError."""
    try:
        yield
    except DataError as error:
        if str(error).startswith(where) or (where == "data" and str(error) == MALFORMED):
            raise
        raise DataError(f"{where}: {error}") from None
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{where}: {reason[0]}") from error
    except KeyError as error:  # in memory it may be the caller's own
        if where == "data":
            raise
        raise DataError(f"{where}: a type of a column is none that pyarrow knows") from error


def flat_batch(batch: pa.RecordBatch, columns: Collection[str] | None = None) -> pa.RecordBatch:
    """A batch without nested columns and the index that pandas adds, of some ``columns`` or of all.

    >>> flat_batch(pa.RecordBatch.from_pylist([{"a": {"b": 1}, "c": [1, 2]}])).to_pylist()
    [{'a.b': 1, 'c': '1,2'}]
    """
    flat: list[tuple[str, pa.Array]] = []
    for place, name in enumerate(batch.schema.names):
        unwanted = columns is not None and not any(c == name or c.startswith(f"{name}.") for c in columns)
        if not unwanted and not _INDEX.fullmatch(name):
            try:
                flat += _flat_column(name, batch.column(place))
            except KeyError as error:
                raise no_such_type(batch.schema.types[place]) from error
    if columns is not None:
        flat = [pair for pair in flat if pair[0] in columns]
    names = [name for name, _ in flat]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(f"two columns are named {twice!r}; names must differ")
    if not names:
        return pa.RecordBatch.from_struct_array(pa.Array.from_buffers(pa.struct([]), len(batch), [None]))
    if names == batch.schema.names and not any(map(_is_folded, batch.columns)):
        return batch
    return pa.RecordBatch.from_arrays([column for _, column in flat], names)


def no_such_type(kind: pa.DataType) -> DataError:
    """The error for a column of which pyarrow makes no array: intervals of days, inside of it too."""
    return DataError(f"a column of type {kind} cannot be read")


def _is_folded(column: pa.Array) -> bool:
    """Whether a column is nested, or in a form that is not read as it is."""
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return bool(column.dictionary.null_count) or _is_folded(column.dictionary)
    return (
        isinstance(kind, pa.BaseExtensionType)
        or types.is_nested(kind)
        or types.is_string_view(kind)
        or types.is_binary_view(kind)
    )


def _unfolded(column: Any) -> pa.Array:
    """The column without runs, views (pyarrow up to 26.0 cannot filter them) and null in a dictionary."""
    types, kind = pa.types, column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _unfolded(column.storage)
    if types.is_run_end_encoded(kind):  # pc.run_end_decode knows neither dictionaries nor views
        rows = np.arange(column.offset, column.offset + len(column))
        runs = np.searchsorted(column.run_ends.to_numpy(), rows, side="right")
        return _unfolded(_unfolded(column.values).take(pa.array(runs)))
    if types.is_dictionary(kind) and _is_folded(column):
        return _unfolded(column.dictionary).take(column.indices)
    if types.is_string_view(kind):
        return column.cast(pa.large_string())
    if types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    return column


def _flat_column(name: str, column: pa.Array) -> list[tuple[str, pa.Array]]:
    """The flat columns of one column: itself, the fields of a struct, a joined list, or none."""
    column = _unfolded(column)
    types, kind = pa.types, column.type
    if types.is_struct(kind):
        return [pair for inner, part in fields_of(column) for pair in _flat_column(f"{name}.{inner}", part)]
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        return _flat_column(name, _list_of_view(column))
    if types.is_fixed_size_list(kind):
        return _flat_column(name, column.cast(pa.large_list(kind.value_type)))
    if types.is_list(kind) or types.is_large_list(kind):
        if types.is_nested(kind.value_type):
            return []
        if types.is_null(kind.value_type):
            return [(name, pa.nulls(len(column)))]
        return [(name, _joined(column))]
    return [] if types.is_nested(kind) else [(name, column)]


def fields_of(column: pa.StructArray) -> list[tuple[str, pa.Array]]:
    """The fields of a struct, null where it is; no unions, which abort the process (pyarrow up to 26.0)."""
    fields = [(at, field) for at, field in enumerate(column.type) if not pa.types.is_union(field.type)]
    if len(fields) < column.type.num_fields:
        if not fields:
            return []
        parts = [column.field(at) for at, _ in fields]
        column = pa.StructArray.from_arrays(parts, fields=[f for _, f in fields], mask=column.is_null())
    return list(zip((field.name for _, field in fields), column.flatten(), strict=True))


def _list_of_view(column: Any) -> pa.LargeListArray:
    """A list view as lists; pyarrow's cast loses the last list, and all of a slice (up to 26.0)."""
    present = column.is_valid().to_numpy(zero_copy_only=False)
    sizes = np.where(present, column.sizes.to_numpy(), 0).astype(np.int64)
    ends = np.cumsum(sizes)
    first = np.where(present, column.offsets.to_numpy(), 0).astype(np.int64)
    elements = np.arange(sizes.sum()) + np.repeat(first - ends + sizes, sizes)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int64())
    return pa.LargeListArray.from_arrays(
        offsets, column.values.take(pa.array(elements)), mask=pa.array(~present)
    )


def _joined(lists: Any) -> pa.Array:
    """The elements of each list as one text with commas; null for none, nulls inside left out."""
    offsets = lists.offsets.to_numpy().astype(np.int64)
    elements = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
    elements = _unfolded(elements)
    if pa.types.is_dictionary(elements.type):
        elements = elements.dictionary_decode()
    kept = elements.is_valid().to_numpy(zero_copy_only=False)
    texts = as_text(elements.filter(pa.array(kept)))
    offsets = np.concatenate([[0], np.cumsum(kept)])[offsets - offsets[0]].astype(np.int64)
    joined = pc.binary_join(
        pa.LargeListArray.from_arrays(pa.array(offsets), texts), pa.scalar(",", pa.large_string())
    )
    missing = pc.or_(lists.is_null(), pa.array(offsets[1:] == offsets[:-1]))
    return pc.if_else(missing, pa.scalar(None, pa.large_string()), joined)
