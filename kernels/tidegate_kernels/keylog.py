"""Keys of rows, kept until enough have come to be worth sorting into cells.

A key stands for a value that is not to be added up: a 64-bit hash of its text, or the image of a
number that keeps its order. Key 0 is no value. A log has the (bucket, series, key) of every row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import device, kernel

Array = Any

COUNT = 0
VALUE = 1
SUMMARY_SIZE = 2
"""Doubles of a cell that keys come to: how many values it has, and what they come to."""

DIGIT = 11
"""Bits by which cells are sorted at once."""

_TOP, _ALL = np.uint64(1 << 63), np.uint64((1 << 64) - 1)
_EXPONENT = np.uint64(0x7FF0000000000000)
_0, _1, _63, _DIGIT = np.uint64(0), np.uint64(1), np.uint64(63), np.uint64(DIGIT)
_LOW = np.uint64((1 << DIGIT) - 1)


@device
def order_image(word: Any) -> Any:
    """The bits of a double as a number that orders as the double does; 0 for what is not finite.

    Both zeros are one.
    """
    if word & _EXPONENT == _EXPONENT:
        return _0
    if word << _1 == _0:
        return _TOP
    return word ^ (_ALL if word >> _63 != _0 else _TOP)


@kernel(
    "i64(in i32[], in u64[], in i64[], in i64[], in i64[], in i64[], i64, i64,"
    " out i64[], out i32[], out u64[])"
)
def log_keys(
    series: Array,
    word: Array,
    start_u: Array,
    stop_u: Array,
    bucket_g: Array,
    first_g: Array,
    is_number: int,
    used: int,
    bucket_r: Array,
    series_r: Array,
    key_r: Array,
) -> int:
    """Appends the rows of a pass, bucket by bucket, to a log of `used` rows; returns its new length.

    Groups and runs are those of `runs.group_runs`. A word is a key, or if `is_number` the bits of a
    double. Rows without a series or a value (a number that is not finite) are left out. `series`
    empty means that there is one series.
    """
    keyed = len(series) > 0
    for g in range(len(bucket_g)):
        for u in range(first_g[g], first_g[g + 1]):
            for i in range(start_u[u], stop_u[u]):
                s = series[i] if keyed else 0
                key = order_image(word[i]) if is_number else word[i]
                if s < 0 or key == _0:
                    continue
                bucket_r[used] = bucket_g[g]
                series_r[used] = s
                key_r[used] = key
                used += 1
    return used


@kernel("i64(i64, i64, i64, out i64[], out i32[], out u64[], out i64[], out i32[], out u64[], out i64[])")
def split_log(
    used: int,
    first_open: int,
    first_whole: int,
    bucket_r: Array,
    series_r: Array,
    key_r: Array,
    bucket_o: Array,
    series_o: Array,
    key_o: Array,
    left: Array,
) -> int:
    """Moves the rows of buckets before `first_open` to the output; returns how many moved.

    What stays, ``left[0]`` rows, is moved to the front of the log, in order. Rows of buckets
    before `first_whole` are dropped.
    """
    moved = stay = 0
    for i in range(used):
        if bucket_r[i] >= first_open:
            bucket_r[stay] = bucket_r[i]
            series_r[stay] = series_r[i]
            key_r[stay] = key_r[i]
            stay += 1
        elif bucket_r[i] >= first_whole:
            bucket_o[moved] = bucket_r[i]
            series_o[moved] = series_r[i]
            key_o[moved] = key_r[i]
            moved += 1
    left[0] = stay
    return moved


@device
def scatter(
    cell_in: Array, key_in: Array, n: int, shift: Any, count: Array, cell_out: Array, key_out: Array
) -> None:
    """Stable order of (cell, key) pairs by one digit of the cell."""
    for k in range(len(count)):
        count[k] = 0
    for i in range(n):
        digit = (cell_in[i] >> shift) & _LOW
        if digit < _LOW:
            count[digit + _1] += 1
    for k in range(len(count) - 1):
        count[k + 1] += count[k]
    for i in range(n):
        digit = (cell_in[i] >> shift) & _LOW
        at = count[digit]
        count[digit] = at + 1
        cell_out[at] = cell_in[i]
        key_out[at] = key_in[i]


@kernel(
    "i64(in i64[], in i32[], in u64[], i64, i64, i64, i64, out i64[], out u64[], out u64[], out u64[],"
    " out u64[], out i64[], out i32[], out i64[])"
)
def sort_by_cell(
    bucket_r: Array,
    series_r: Array,
    key_r: Array,
    n: int,
    first_bucket: int,
    n_series: int,
    digits: int,
    count: Array,
    cell_a: Array,
    key_a: Array,
    cell_b: Array,
    key_b: Array,
    bucket_g: Array,
    series_g: Array,
    first_g: Array,
) -> int:
    """Sorts n logged rows by bucket and series, and by nothing else; returns how many cells there are.

    The keys of cell g are ``key_a[first_g[g]:first_g[g + 1]]``. Its number is (bucket -
    `first_bucket`) `n_series` + series, of `digits` digits of `DIGIT` bits; `count` has room for
    the values of a digit. A radix sort, least digit first.
    """
    for i in range(n):
        cell = np.uint64(bucket_r[i] - first_bucket) * np.uint64(n_series) + np.uint64(series_r[i])
        if digits % 2 == 0:
            cell_a[i] = cell
            key_a[i] = key_r[i]
        else:
            cell_b[i] = cell
            key_b[i] = key_r[i]
    for d in range(digits):
        shift = np.uint64(d) * _DIGIT
        if (digits - d) % 2 == 0:
            scatter(cell_a, key_a, n, shift, count, cell_b, key_b)
        else:
            scatter(cell_b, key_b, n, shift, count, cell_a, key_a)
    made = 0
    for i in range(n):
        if i == 0 or cell_a[i] != cell_a[i - 1]:
            bucket_g[made] = np.int64(cell_a[i] // np.uint64(n_series)) + first_bucket
            series_g[made] = np.int64(cell_a[i] % np.uint64(n_series))
            first_g[made] = i
            made += 1
    first_g[made] = n
    return made
