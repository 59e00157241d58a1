"""Records that are dicts: flat, and many of them as one batch.

Nested dicts become dotted names, lists of scalars one text joined with commas; lists of anything
else are dropped. None and an empty list are missing.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from .errors import DataError
from .valuetext import text_of

DEEPEST = 500
_FEWEST_CELLS, _CELLS_PER_VALUE = 1 << 16, 64
_ONE_TEXT = frozenset((str, int, float, bool, bytes, datetime.datetime, datetime.date))


class NumberText(str):
    """A number of a JSON text, as it was written."""

    __slots__ = ()


def flat_record(record: Mapping[Any, Any]) -> dict[str, Any]:
    """A record with dotted names for nested objects and text for arrays.

    Raises DataError for more than DEEPEST levels.

    >>> flat_record({"a": {"b": 1}, "tags": ["x", 2, None], "rows": [{"c": 1}]})
    {'a.b': 1, 'tags': 'x,2'}
    """
    flat: dict[str, Any] = {}
    try:
        _flatten_into(flat, record, "", DEEPEST)
    except RecursionError:  # the caller's own stack was deep
        raise _too_deep() from None
    return flat


def _too_deep() -> DataError:
    return DataError(f"a record has more than {DEEPEST} levels of dicts, or is inside of itself")


def _flatten_into(flat: dict[str, Any], record: Mapping[Any, Any], prefix: str, levels: int) -> None:
    if not levels:
        raise _too_deep()
    for name, value in record.items():
        if isinstance(value, Mapping):
            _flatten_into(flat, value, f"{prefix}{name}.", levels - 1)
        elif isinstance(value, (list, tuple)):
            if not any(isinstance(element, (Mapping, list, tuple)) for element in value):
                texts = [text_of(element) for element in value if element is not None]
                flat[f"{prefix}{name}"] = ",".join(map(str, texts)) if texts else None
        else:
            flat[f"{prefix}{name}"] = value


def rows_to_batches(
    rows: Sequence[Mapping[str, Any]], keys: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Flat records as batches, few where records have hardly a field in common: nulls take memory too.

    >>> [batch.num_rows for batch in rows_to_batches([{f"field {k}": k} for k in range(1000)])]
    [256, 256, 256, 232]
    """
    first = values = 0
    names: set[str] = set()
    for at, row in enumerate(rows):
        values += len(row)
        names.update(row)
        if (at - first) * len(names) > max(_FEWEST_CELLS, _CELLS_PER_VALUE * values):
            yield rows_to_batch(rows[first:at], keys)
            first, values, names = at, len(row), set(row)
    yield rows_to_batch(rows[first:], keys)


def rows_to_batch(rows: Sequence[Mapping[str, Any]], keys: Collection[str] = ()) -> pa.RecordBatch:
    """Flat records as one batch; a field that a record does not have is null."""
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    arrays = [column_of([row.get(name) for row in rows], name in keys) for name in names]
    return pa.RecordBatch.from_arrays(arrays, [_encodable(name) for name in names])


def column_of(values: Sequence[Any], is_key: bool = False) -> pa.Array:
    """Scalars as an array of the type that holds them all; values of many types become text.

    In a key every value keeps its own text: 1 beside 2.5 is no 1.0.

    >>> column_of([1, None, 2.5]).to_pylist(), column_of([1, "x", True]).to_pylist()
    ([1.0, None, 2.5], ['1', 'x', 'true'])
    """
    kinds = {type(value) for value in values} - {type(None)}
    if not is_key and kinds == {NumberText}:
        return _numbers(values)
    mixed = bool in kinds and len(kinds) > 1  # true is not 1
    if (len(kinds) < 2 and kinds <= _ONE_TEXT) if is_key else not (mixed or NumberText in kinds):
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            if not is_key and kinds <= {int, float}:
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
