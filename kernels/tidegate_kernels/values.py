"""Cells that need every value of a bucket: the median and the distinct count, both exact.

Rows are kept in a log of (bucket, series, value) until their bucket closes.
"""

from __future__ import annotations

from typing import Any

from .registry import device, kernel

Array = Any

COUNT = 0
MEDIAN = 1
DISTINCT = 2
SUMMARY_SIZE = 3


@kernel(
    "i64(in i32[], in f64[], in i64[], in i64[], in i64[], in i64[], i64, out i64[], out i32[], out f64[])"
)
def log_values(
    series: Array,
    value: Array,
    start_u: Array,
    stop_u: Array,
    bucket_g: Array,
    first_g: Array,
    used: int,
    bucket_r: Array,
    series_r: Array,
    value_r: Array,
) -> int:
    """Appends the rows of a pass, bucket by bucket, to a log of `used` rows; returns its new length.

    Groups and runs are those of `runs.group_runs`. Rows without a series or with a value that is
    not finite are left out. `series` empty means that there is one series.
    """
    keyed = len(series) > 0
    for g in range(len(bucket_g)):
        for u in range(first_g[g], first_g[g + 1]):
            for i in range(start_u[u], stop_u[u]):
                s = series[i] if keyed else 0
                if s < 0 or value[i] - value[i] != 0.0:
                    continue
                bucket_r[used] = bucket_g[g]
                series_r[used] = s
                value_r[used] = value[i]
                used += 1
    return used


@kernel("i64(i64, i64, i64, out i64[], out i32[], out f64[], out i64[], out i32[], out f64[], out i64[])")
def split_log(
    used: int,
    first_open: int,
    first_whole: int,
    bucket_r: Array,
    series_r: Array,
    value_r: Array,
    bucket_o: Array,
    series_o: Array,
    value_o: Array,
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
            value_r[stay] = value_r[i]
            stay += 1
        elif bucket_r[i] >= first_whole:
            bucket_o[moved] = bucket_r[i]
            series_o[moved] = series_r[i]
            value_o[moved] = value_r[i]
            moved += 1
    left[0] = stay
    return moved


@device
def counting_sort(
    key: Array, base: int, size: int, n: int, order_in: Array, count: Array, order_out: Array
) -> None:
    """Stable order of rows by ``key[row] - base``, given them in the order `order_in`."""
    for k in range(size + 1):
        count[k] = 0
    for i in range(n):
        count[key[order_in[i]] - base + 1] += 1
    for k in range(size):
        count[k + 1] += count[k]
    for i in range(n):
        k = key[order_in[i]] - base
        order_out[count[k]] = order_in[i]
        count[k] += 1


@device
def heap_sort(x: Array, n: int) -> None:
    """Sorts x[:n] in place."""
    for phase in range(2):
        steps = n // 2 if phase == 0 else n - 1
        for step in range(steps):
            if phase == 0:
                root, last = n // 2 - 1 - step, n
            else:
                last = n - 1 - step
                x[0], x[last] = x[last], x[0]
                root = 0
            value = x[root]
            child = 2 * root + 1
            while child < last:
                if child + 1 < last and x[child + 1] > x[child]:
                    child += 1
                if x[child] <= value:
                    break
                x[root] = x[child]
                root = child
                child = 2 * root + 1
            x[root] = value


@kernel(
    "i64(in i64[], in i32[], in f64[], i64, i64, i64, i64, out i64[], out i64[], out i64[],"
    " out f64[], out i64[], out i32[], out f64[])"
)
def summarise(
    bucket_r: Array,
    series_r: Array,
    value_r: Array,
    n: int,
    first_bucket: int,
    n_buckets: int,
    n_series: int,
    count: Array,
    order_a: Array,
    order_b: Array,
    scratch: Array,
    bucket_c: Array,
    series_c: Array,
    cells: Array,
) -> int:
    """Sorts n logged rows into cells, bucket by bucket; returns how many cells there are.

    A cell has `SUMMARY_SIZE` doubles: how many values, their median (the mean of the two
    middle ones), how many are distinct. `count` has room for the larger of `n_buckets` and
    `n_series`, plus 1.
    """
    for i in range(n):
        order_b[i] = i
    counting_sort(series_r, 0, n_series, n, order_b, count, order_a)
    counting_sort(bucket_r, first_bucket, n_buckets, n, order_a, count, order_b)
    made = 0
    i = 0
    while i < n:
        b, s = bucket_r[order_b[i]], series_r[order_b[i]]
        m = 0
        while i < n and bucket_r[order_b[i]] == b and series_r[order_b[i]] == s:
            scratch[m] = value_r[order_b[i]]
            m += 1
            i += 1
        heap_sort(scratch, m)
        distinct = 1
        for k in range(1, m):
            if scratch[k] != scratch[k - 1]:
                distinct += 1
        low, high = scratch[(m - 1) // 2], scratch[m // 2]
        bucket_c[made] = b
        series_c[made] = s
        cells[made * SUMMARY_SIZE + COUNT] = m
        cells[made * SUMMARY_SIZE + MEDIAN] = low if low == high else low / 2.0 + high / 2.0
        cells[made * SUMMARY_SIZE + DISTINCT] = distinct
        made += 1
    return made
