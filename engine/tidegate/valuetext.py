"""The text of values. One value has one text, whatever holds it: a dict, NumPy or an Arrow column.

Numbers are written as Python and JSON write them (8080, 8080.0, 1e+20), booleans ``true`` and
``false``, times as 2018-01-01 12:00:00.5 without zeros at the end, whatever their unit. Bytes
that are not UTF-8 become U+FFFD.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_NO_BYTES: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_FRACTION_ZEROS = r"(?:(\.\d*[1-9])|\.)0+(\D.*)?$"


def text_of(value: Any) -> str | None:
    """The text of a scalar, None of None.

    >>> text_of(True), text_of(80.0), text_of(datetime.datetime(2018, 1, 1))
    ('true', '80.0', '2018-01-01 00:00:00')
    """
    if value is None or type(value) is str:
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (np.float16, np.float32)):
        return _short_float_text(value)
    if isinstance(value, _TIMES):
        try:
            text: str | None = as_text(pa.array([value]))[0].as_py()
        except (pa.ArrowException, OverflowError, ValueError):
            return str(value)
        return text
    return str(value)


def is_string(kind: pa.DataType) -> bool:
    """Whether a type holds strings."""
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a type holds bytes, which are taken as UTF-8 text."""
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether the values of a type are text as they are."""
    return is_string(kind) or is_bytes(kind)


def as_text(column: pa.Array) -> pa.LargeStringArray:
    """The text of every value with 64-bit offsets, always valid UTF-8; null of null.

    >>> as_text(pa.array([80.0, None, 1e20])).to_pylist(), as_text(pa.array([b"a"])).to_pylist()
    (['80.0', None, '1e+20'], ['a'])
    """
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_string())
    if is_bytes(kind):
        return _decoded(column.cast(pa.large_binary()))
    if pa.types.is_floating(kind):
        return _float_texts(column)
    text = column.cast(pa.large_string())
    if is_string(kind):
        return text if _is_ascii(text) else _decoded(text.view(pa.large_binary()))
    if (pa.types.is_timestamp(kind) or pa.types.is_time(kind)) and kind.unit != "s":
        text = pc.replace_substring_regex(text, _FRACTION_ZEROS, r"\1\2")
    return text


def _is_ascii(text: pa.LargeStringArray) -> bool:
    """Whether all bytes are ASCII: 0.07 ns a byte, where a look at UTF-8 takes 0.3."""
    _, offsets, data = text.buffers()
    if data is None or not len(text):
        return True
    first, last = np.frombuffer(offsets, np.int64, len(text) + 1, text.offset * 8)[[0, -1]]
    return bool(np.frombuffer(data, np.uint8)[first:last].max(initial=0) < 128)


def _decoded(column: pa.LargeBinaryArray) -> pa.LargeStringArray:
    try:
        return column.cast(pa.large_string())
    except pa.ArrowInvalid:  # it is not UTF-8
        encoded = column.dictionary_encode()
        texts = [text_of(value) for value in encoded.dictionary.to_pylist()]
        return pa.array(texts, pa.large_string()).take(encoded.indices)


def _float_texts(column: pa.Array) -> pa.LargeStringArray:
    """Python's text of every distinct number."""
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_numpy(zero_copy_only=False)
    if values.dtype == np.float64:
        texts = [repr(value) for value in values.tolist()]
    else:
        texts = [_short_float_text(value) for value in values]
    return pa.array(texts, pa.large_string()).take(encoded.indices)


def _short_float_text(value: Any) -> str:
    """The fewest digits that tell a float32 or float16 from its neighbours, as Python writes them."""
    return repr(float(str(value)))


# What kernels read of it


def text_buffers(
    text: pa.LargeStringArray,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Offsets, bytes and nulls of text that is not empty; shares its memory."""
    _, offset_buffer, data_buffer = text.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(text) + 1, text.offset * 8)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else _NO_BYTES
    return offsets, data, _nulls(text)


def index_buffers(indices: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """The indices of a dictionary column, and which are null."""
    places = indices.cast(pa.int32())
    return np.frombuffer(places.buffers()[1], np.int32, len(places), places.offset * 4), _nulls(indices)


def _nulls(column: pa.Array) -> npt.NDArray[np.uint8]:
    """1 where the value of a row is null; empty when none is."""
    if not column.null_count:
        return _NO_BYTES
    nulls: npt.NDArray[np.uint8] = column.is_null().to_numpy(zero_copy_only=False).view(np.uint8)
    return nulls
