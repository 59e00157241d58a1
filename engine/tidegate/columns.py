"""Columns of posted batches as numbers."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .cells import F64
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
        indices = column.indices.cast(pa.int64()).fill_null(len(distinct))
        values = np.append(distinct, np.nan)[indices.to_numpy(zero_copy_only=False)]
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
