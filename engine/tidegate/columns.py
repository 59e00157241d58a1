"""Columns of posted batches as numbers."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .cells import F64
from .soundness import of_rows
from .valuetext import as_text, is_text


def to_float(column: pa.Array) -> tuple[F64, int]:
    """The values as float64, NaN for none, and how many that are there are not finite numbers.

    Text is parsed; booleans, dates and nested values are not numbers. Shares the column's
    memory where it is float64 without nulls.

    >>> to_float(pa.array(["1.5", "x", None, "inf"]))
    (array([1.5, nan, nan, nan]), 2)
    """
    kind = column.type
    present = len(column) - column.null_count
    if pa.types.is_dictionary(kind):
        distinct, _ = to_float(column.dictionary)
        values = of_rows(distinct, np.float64(np.nan), column)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    elif is_text(kind):
        values = _parsed(as_text(column))
    else:
        values = np.full(len(column), np.nan)
    # A finite sum is proof that every value is finite, and the fastest one.
    with np.errstate(all="ignore"):
        all_finite = math.isfinite(values.sum())
    finite = len(values) if all_finite else int(np.count_nonzero(np.isfinite(values)))
    if not all_finite and np.isinf(values).any():
        values = np.where(np.isfinite(values), values, np.nan)
    return values, present - finite


def to_degrees(column: pa.Array) -> tuple[F64, F64, int]:
    """Latitudes and longitudes of text like "51.5,-0.1", NaN for none, and how many are there but invalid.

    Invalid is what is not two numbers with a comma in between, a latitude beyond 90 degrees or a longitude
    beyond 180.

    >>> to_degrees(pa.array(["51.5,-0.1", None, "91,0"]))
    (array([51.5,  nan,  nan]), array([-0.1,  nan,  nan]), 1)
    """
    if pa.types.is_dictionary(column.type):
        latitudes, longitudes, _ = to_degrees(column.dictionary)
        latitude = of_rows(latitudes, np.float64(np.nan), column)
        longitude = of_rows(longitudes, np.float64(np.nan), column)
    elif is_text(column.type):
        latitude, longitude = _pairs(as_text(column))
    else:
        latitude = longitude = np.full(len(column), np.nan)
    valid = (np.abs(latitude) <= 90.0) & (np.abs(longitude) <= 180.0)
    if not valid.all():
        latitude, longitude = np.where(valid, latitude, np.nan), np.where(valid, longitude, np.nan)
    return latitude, longitude, len(column) - column.null_count - int(np.count_nonzero(valid))


def _pairs(text: pa.LargeStringArray) -> tuple[F64, F64]:
    """The two numbers of every text, NaN where there are not two."""
    parts = pc.split_pattern(text, ",")
    is_pair = pc.fill_null(pc.equal(pc.list_value_length(parts), 2), False).to_numpy(zero_copy_only=False)
    made = np.full((len(text), 2), np.nan)
    flat = pc.list_flatten(parts.filter(pa.array(is_pair)))
    made[is_pair] = _parsed(pc.utf8_trim_whitespace(flat)).reshape(-1, 2)
    return np.ascontiguousarray(made[:, 0]), np.ascontiguousarray(made[:, 1])


def _parsed(column: pa.Array) -> F64:
    """Text as numbers, value by value only where the whole column does not parse."""
    try:
        parsed: F64 = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        encoded = pc.dictionary_encode(column)
        distinct = np.array([_number(text) for text in encoded.dictionary.to_pylist()] + [math.nan])
        indices = encoded.indices.cast(pa.int64()).fill_null(len(distinct) - 1)
        parsed = distinct[indices.to_numpy(zero_copy_only=False)]
    return parsed


def _number(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)  # Python reads 1_000, nobody else does
    except ValueError:
        return math.nan
