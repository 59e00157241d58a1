"""Rows that stand for many records: the cells of summarised data, with the records that `fold` describes.

A row counts as often as its weight says. Its moments are weighted::

    COUNT += w,   DEVIATION += w (x - ORIGIN),   SQUARES += w (x - ORIGIN)^2

A row whose count is not known (a weight of NaN) makes a cell without any value, if there is none: the
series is there, and has no zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .fold import COUNT, DEVIATION, MAX, MIN, ORIGIN, SQUARES
from .gather import put, reopen
from .registry import device, kernel

Array = Any


@device
def fold_weighted(record: Array, at: int, x: float, weight: float) -> None:
    """Adds a value to the record at `at`, so many times."""
    origin = x if record[at + COUNT] == 0.0 else record[at + ORIGIN]
    d = x - origin
    record[at + COUNT] += weight
    record[at + DEVIATION] += weight * d
    record[at + SQUARES] += weight * d * d
    record[at + MIN] = min(record[at + MIN], x)
    record[at + MAX] = max(record[at + MAX], x)
    record[at + ORIGIN] = origin


@kernel(
    "i64(in i32[], in f64[], in f64[], in i64[], in i64[], in i64[], in i64[],"
    " in i64[], in i32[], in f64[], i64, i64, out i32[], out i64[], out i32[], out f64[])"
)
def gather_weighted(
    series: Array,
    value: Array,
    weight: Array,
    start_u: Array,
    stop_u: Array,
    bucket_g: Array,
    first_g: Array,
    bucket_o: Array,
    series_o: Array,
    record_o: Array,
    width: int,
    number: int,
    position: Array,
    bucket_c: Array,
    series_c: Array,
    record_c: Array,
) -> int:
    """Makes cells of the rows of a pass and of the open cells, bucket by bucket; returns how many.

    Groups, runs and open cells are those of `gather.gather`, and so are `position` and `number`: the
    numbers that cells have had. Left out are rows with a negative series, with a weight of 0 or less, and
    those with a weight whose value is not finite. `value` is looked at with a `width` of more than 1;
    an empty `series` means that there is one.
    """
    base = -number
    n = number
    g = o = 0
    while g < len(bucket_g) or o < len(bucket_o):
        has_rows = g < len(bucket_g) and (o == len(bucket_o) or bucket_g[g] <= bucket_o[o])
        bucket = bucket_g[g] if has_rows else bucket_o[o]
        begin = n
        left = len(bucket_o) - o
        taken = reopen(
            bucket,
            bucket_o,
            series_o,
            record_o,
            o,
            left,
            False,
            n,
            base,
            1,
            width,
            position,
            series_c,
            record_c,
        )
        o += taken
        n += taken
        if has_rows:
            for u in range(first_g[g], first_g[g + 1]):
                for i in range(start_u[u], stop_u[u]):
                    s = int(series[i]) if len(series) > 0 else 0
                    w = weight[i]
                    x = value[i] if width > 1 else 0.0
                    is_null = w != w
                    if s < 0 or w <= 0.0 or (not is_null and x - x != 0.0):
                        continue
                    if position[s] < begin:
                        position[s] = n
                        series_c[base + n] = s
                        put(record_c, (base + n) * width, width, 0.0, np.inf, -np.inf, 0.0)
                        n += 1
                    at = (base + position[s]) * width
                    if not is_null and width == 1:
                        record_c[at] += w
                    elif not is_null:
                        fold_weighted(record_c, at, x, w)
            g += 1
        for k in range(begin, n):
            bucket_c[base + k] = bucket
    return n - number
