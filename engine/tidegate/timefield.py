"""A column of times, of any type, as int64 epoch milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidegate_kernels.timetext import INVALID, parse_times

from .soundness import of_rows
from .timepattern import BUILT_IN, program_for
from .valuetext import is_bytes, is_text

Times = npt.NDArray[np.int64]

LATEST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
DAY_MS = 86_400_000
_MS_PER_UNIT = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


def to_epoch_ms(column: pa.Array | pa.ChunkedArray, time_format: str = "epoch_ms") -> Times:
    """Epoch milliseconds of every row; INVALID where there is no time within 1970 to 9999.

    Timestamps and dates have their own unit. Numbers are seconds by ``epoch`` (truncated
    to whole seconds), milliseconds by ``epoch_ms``, and text by a pattern. Text may be a
    number, or ISO-8601 whatever the number would mean; by a pattern it is only that.

    Millisecond times that are all valid come back as a read-only view of the column.

    >>> to_epoch_ms(pa.array(["1514804400", "2018-01-01T11:00:00Z", "soon"]), "epoch").tolist()
    [1514804400000, 1514804400000, -9223372036854775808]
    """
    if isinstance(column, pa.ChunkedArray):
        parts = [to_epoch_ms(chunk, time_format) for chunk in column.chunks]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])
    if not len(column):
        return np.empty(0, np.int64)
    return _in_range(_from_array(column, time_format), _nulls(column))


def _from_array(column: Any, time_format: str) -> Times:
    """Milliseconds of one array; rows that are null hold anything, others may be out of range."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _from_array(column.storage, time_format)
    if pa.types.is_dictionary(kind):
        return _from_dictionary(column, time_format)
    if pa.types.is_run_end_encoded(kind):
        return to_epoch_ms(pc.run_end_decode(column), time_format)
    if pa.types.is_timestamp(kind):
        return _scaled(_int64_values(column.view(pa.int64())), *_MS_PER_UNIT[kind.unit])
    if pa.types.is_date64(kind):
        return _int64_values(column.view(pa.int64()))
    if pa.types.is_date32(kind):
        return _scaled(_int64_values(column.view(pa.int32()).cast(pa.int64())), DAY_MS, 1)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_numbers(column, time_format)
    if pa.types.is_decimal(kind):
        return _from_text(column.cast(pa.string()), time_format)
    if is_text(kind):
        return _from_text(column, time_format)
    return np.full(len(column), INVALID, np.int64)


def _from_dictionary(column: pa.DictionaryArray, time_format: str) -> Times:
    """Every distinct value is parsed once."""
    return of_rows(to_epoch_ms(column.dictionary, time_format), np.int64(INVALID), column)


def _from_numbers(column: pa.Array, time_format: str) -> Times:
    whole = pa.types.is_integer(column.type)
    if time_format not in BUILT_IN:
        if not whole:
            column = _whole_or_null(column)
        return to_epoch_ms(column.cast(pa.string()), time_format)
    factor = 1000 if time_format == "epoch" else 1
    if not whole:
        values = column.cast(pa.float64()).fill_null(-1.0).to_numpy(zero_copy_only=False)
        return _scaled(_floor(values), factor, 1)
    if column.type == pa.uint64():
        large = pc.greater(column, pa.scalar(LATEST_MS, pa.uint64()))
        column = pc.if_else(large, pa.scalar(None, pa.uint64()), column).fill_null(LATEST_MS + 1)
    return _scaled(_int64_values(column.cast(pa.int64())), factor, 1)


def _whole_or_null(column: pa.Array) -> pa.Array:
    """The whole numbers of a float column as int64, null elsewhere."""
    numbers = column.cast(pa.float64())
    values = numbers.fill_null(-1.0).to_numpy(zero_copy_only=False)
    bad = ~((values >= 0) & (values <= LATEST_MS) & (values == np.floor(values)))
    return pa.array(np.where(bad, 0, values).astype(np.int64), mask=bad)


def _floor(values: npt.NDArray[np.float64]) -> Times:
    """Whole numbers, INVALID for NaN, infinity and what is far out of range."""
    good = (values >= 0) & (values <= LATEST_MS)
    return np.where(good, np.where(good, values, 0.0).astype(np.int64), INVALID)


def _from_text(column: pa.Array, time_format: str) -> Times:
    column = column.cast(pa.large_binary() if is_bytes(column.type) else pa.large_string())
    _, offsets, data = column.buffers()
    size = len(column)
    program = np.array(program_for(time_format), np.int64)
    positions = np.frombuffer(offsets, np.int64, size + 1, column.offset * 8)
    text = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    times = np.empty(size, np.int64)
    parse_times(positions, text, program, times)
    return times


def _int64_values(column: pa.Array) -> Times:
    """The values of an int64 array as a view, with anything where it is null."""
    values = np.frombuffer(column.buffers()[1], np.int64, len(column), column.offset * 8)
    values.flags.writeable = False
    return values


def _scaled(values: Times, factor: int, divisor: int) -> Times:
    """``floor(values * factor / divisor)``, with what would overflow out of range."""
    if divisor > 1:
        return values // divisor
    if factor == 1:
        return values
    limit = LATEST_MS // factor
    if not _all_within(values, limit):
        values = np.where((values < 0) | (values > limit), INVALID // factor, values)
    return values * factor


def _all_within(values: Times, limit: int) -> bool:
    """Whether all values are in [0, limit], in one pass without a mask."""
    return bool(values.view(np.uint64).max() <= limit)


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_] | None:
    if pa.types.is_dictionary(column.type):
        column = column.indices  # of a dictionary of nulls, is_null ends the process (pyarrow up to 26.0)
    if not column.null_count:
        return None
    nulls: npt.NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _in_range(times: Times, nulls: npt.NDArray[np.bool_] | None) -> Times:
    if nulls is None and _all_within(times, LATEST_MS):
        return times
    bad = (times < 0) | (times > LATEST_MS)
    return np.where(bad if nulls is None else bad | nulls, INVALID, times)
