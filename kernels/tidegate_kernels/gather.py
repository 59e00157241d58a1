"""Rows to cells: the rows of each bucket of a pass are added up, one cell for every series.

Rows come bucket by bucket (`runs.group_runs`), so that only one bucket is worked on at a time,
and a cell is made where it is handed out: nothing is kept per bucket and series but the cells
themselves, nothing is cleared or copied when a bucket closes, and what is empty costs nothing.
Cells of buckets that stay open are given back to the next pass, which goes on with them.

A cell has the record that `fold` describes; where rows are only counted it is the count alone.
Unsigned indices spare the check for being counted from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .fold import COUNT, DEVIATION, MAX, MIN, ORIGIN, RECORD_SIZE, SQUARES, fold_value
from .intrinsics import prefetch
from .registry import device, kernel

Array = Any

DENSE = 2
"""Rows for every series from which on a bucket starts with a cell for each of them: 1.3 times as
fast at ten rows, 1.4 at three, no difference at two. Measured on 2026-11-23."""
FAR_RECORDS = 1 << 14
FAR_NUMBERS = 1 << 16
"""Series from which on records, or numbers of cells, are worth fetching ahead, because they outgrow
the nearer cache: 1.1 to 1.25 times as fast for records, 1.1 to 2.5 times for numbers."""
_AHEAD = 16
_CLUSTER = 4


@device
def put(record_c: Array, at: int, width: int, count: float, low: float, high: float, origin: float) -> None:
    """Makes the record at `at` one of no value, or of a single one."""
    record_c[np.uint64(at + COUNT)] = count
    if width == RECORD_SIZE:
        record_c[np.uint64(at + DEVIATION)] = 0.0
        record_c[np.uint64(at + SQUARES)] = 0.0
        record_c[np.uint64(at + MIN)] = low
        record_c[np.uint64(at + MAX)] = high
        record_c[np.uint64(at + ORIGIN)] = origin


@device
def copy_record(source: Array, source_at: int, target: Array, target_at: int, width: int) -> None:
    """Copies one record."""
    for k in range(width):
        target[np.uint64(target_at + k)] = source[np.uint64(source_at + k)]


@device
def add_alone(value: Array, start: int, stop: int, record_c: Array, at: int) -> None:
    """Adds rows that are all of one series to the record at `at`."""
    i = start
    while i < stop and value[np.uint64(i)] - value[np.uint64(i)] != 0.0:  # NaN or infinite
        i += 1
    if i == stop:
        return
    fold_value(record_c, at, value[np.uint64(i)])
    n, deviation, squares = record_c[at + COUNT], record_c[at + DEVIATION], record_c[at + SQUARES]
    low, high, origin = record_c[at + MIN], record_c[at + MAX], record_c[at + ORIGIN]
    for k in range(i + 1, stop):
        x = value[np.uint64(k)]
        if x - x == 0.0:
            d = x - origin
            n += 1.0
            deviation += d
            squares += d * d
            low = x if x < low else low
            high = x if x > high else high
    record_c[at + COUNT], record_c[at + DEVIATION], record_c[at + SQUARES] = n, deviation, squares
    record_c[at + MIN], record_c[at + MAX] = low, high


@device
def count_dense(series: Array, start: int, stop: int, base: int, step: int, record_c: Array) -> None:
    """Counts rows in records that are there for every series: that of series s is ``base + step * s``."""
    for i in range(start, stop):
        s = int(series[np.uint64(i)])
        if s >= 0:
            record_c[np.uint64(base + step * s)] += 1.0


@device
def is_clustered(series: Array, start: int, stop: int) -> bool:
    """Whether rows of a series seem to come one after the other: the first few do."""
    if stop - start < _CLUSTER:
        return False
    for i in range(start + 1, start + _CLUSTER):  # noqa: SIM110 - a kernel has no generators
        if series[np.uint64(i)] != series[np.uint64(start)]:
            return False
    return True


@device
def add_clusters(
    series: Array, value: Array, start: int, stop: int, base: int, step: int, record_c: Array
) -> None:
    """Adds rows as `add_dense` does, neighbours of one series by themselves.

    Through its record each would wait for the one before: 130 M rows/s instead of 510 with one
    series. To look for neighbours where there are none takes 8% (2026-11-23).
    """
    i = start
    while i < stop:
        s = int(series[np.uint64(i)])
        last = i + 1
        while last < stop and int(series[np.uint64(last)]) == s:
            last += 1
        if s >= 0:
            add_alone(value, i, last, record_c, (base + step * s) * RECORD_SIZE)
        i = last


@device
def add_dense(
    series: Array, value: Array, start: int, stop: int, base: int, step: int, is_far: bool, record_c: Array
) -> None:
    """Adds rows to records as `count_dense` does; no branch depends on whether a cell is new."""
    for i in range(start, stop):
        if is_far:
            ahead = int(series[np.uint64(min(i + _AHEAD, stop - 1))])
            prefetch(record_c, (base + step * (ahead if ahead > 0 else 0)) * RECORD_SIZE)
        s = int(series[np.uint64(i)])
        x = value[np.uint64(i)]
        if s >= 0 and x - x == 0.0:
            fold_value(record_c, (base + step * s) * RECORD_SIZE, x)


@device
def add_sparse(
    series: Array,
    value: Array,
    start: int,
    stop: int,
    base: int,
    step: int,
    width: int,
    is_far: bool,
    first: int,
    n: int,
    position: Array,
    series_c: Array,
    record_c: Array,
) -> int:
    """Adds rows to records of which series s has number ``position[s]`` if it is not before `first`.

    A series that has none gets the next, number n; returns how many there are then. Record k
    is ``base + step * k``.
    """
    for i in range(start, stop):
        if is_far:
            ahead = int(series[np.uint64(min(i + _AHEAD, stop - 1))])
            prefetch(position, ahead if ahead > 0 else 0)
        s = int(series[np.uint64(i)])
        x = 0.0 if width == 1 else value[np.uint64(i)]
        if s < 0 or x - x != 0.0:
            continue
        k = int(position[np.uint64(s)])
        if k < first:
            position[np.uint64(s)] = n
            series_c[np.uint64(base + step * n)] = s
            # Not cleared and then folded into: reading as a vector what was just written piece by
            # piece waits for the writes, and takes three times as long.
            put(record_c, (base + step * n) * width, width, 1.0, x, x, x)
            n += 1
        elif width == 1:
            record_c[np.uint64(base + step * k)] += 1.0
        else:
            fold_value(record_c, (base + step * k) * RECORD_SIZE, x)
    return n


@device
def open_dense(
    first: int, base: int, step: int, n_series: int, width: int, series_c: Array, record_c: Array
) -> None:
    """Makes an empty cell for every series, from number `first` on."""
    for s in range(n_series):
        c = base + step * (first + s)
        series_c[np.uint64(c)] = s
        put(record_c, c * width, width, 0.0, np.inf, -np.inf, 0.0)


@device
def close_dense(
    first: int, base: int, step: int, n_series: int, width: int, series_c: Array, record_c: Array
) -> int:
    """Leaves out the cells that are still empty; returns the number after the last that is not."""
    n = first
    for k in range(first, first + n_series):
        c = base + step * k
        if record_c[np.uint64(c * width + COUNT)] > 0.0:
            if n < k:
                to = base + step * n
                series_c[np.uint64(to)] = series_c[np.uint64(c)]
                copy_record(record_c, c * width, record_c, to * width, width)
            n += 1
    return n


@device
def reopen(
    bucket: int,
    bucket_o: Array,
    series_o: Array,
    record_o: Array,
    o: int,
    left: int,
    is_dense: bool,
    first: int,
    base: int,
    step: int,
    width: int,
    position: Array,
    series_c: Array,
    record_c: Array,
) -> int:
    """Takes the open cells of a bucket from place `o` on, of `left` in all; returns how many."""
    taken = 0
    while taken < left and bucket_o[o + step * taken] == bucket:
        s = int(series_o[o + step * taken])
        k = first + s if is_dense else first + taken
        if not is_dense:
            position[s] = k
            series_c[base + step * k] = s
        copy_record(record_o, (o + step * taken) * width, record_c, (base + step * k) * width, width)
        taken += 1
    return taken


@device
def add_runs(
    series: Array,
    value: Array,
    start_u: Array,
    stop_u: Array,
    u_first: int,
    u_last: int,
    is_dense: bool,
    base: int,
    step: int,
    width: int,
    n_series: int,
    first: int,
    n: int,
    position: Array,
    series_c: Array,
    record_c: Array,
) -> int:
    """Adds runs of one bucket, whose cells begin at number `first`; returns the number after the last."""
    c = base + step * first
    for u in range(u_first, u_last):
        start, stop = start_u[u], stop_u[u]
        if len(series) == 0 and width == 1:
            record_c[c] += stop - start
        elif len(series) == 0:
            add_alone(value, start, stop, record_c, c * width)
        elif is_dense and width == 1:
            count_dense(series, start, stop, c, step, record_c)
        elif is_dense and is_clustered(series, start, stop):
            add_clusters(series, value, start, stop, c, step, record_c)
        elif is_dense:
            add_dense(series, value, start, stop, c, step, n_series > FAR_RECORDS, record_c)
        else:
            is_far = n_series > FAR_NUMBERS
            n = add_sparse(
                series,
                value,
                start,
                stop,
                base,
                step,
                width,
                is_far,
                first,
                n,
                position,
                series_c,
                record_c,
            )
    return n


@kernel(
    "i64(in i32[], in f64[], in i64[], in i64[], in i64[], in i64[], in i64[], i64, i64, in i64[],"
    " in i32[], in f64[], i64, i64, i64, i64, i64, i64, i64, out i32[], out i64[], out i32[], out f64[])"
)
def gather(
    series: Array,
    value: Array,
    start_u: Array,
    stop_u: Array,
    bucket_g: Array,
    first_g: Array,
    rows_g: Array,
    first: int,
    last: int,
    bucket_o: Array,
    series_o: Array,
    record_o: Array,
    first_open: int,
    last_open: int,
    width: int,
    n_series: int,
    base: int,
    step: int,
    number: int,
    position: Array,
    bucket_c: Array,
    series_c: Array,
    record_c: Array,
) -> int:
    """Makes cells of groups [first, last) and of open cells [first_open, last_open); returns how many.

    A bucket's rows are added to its open cells, in order. The k-th cell goes to place
    ``base + step * k``: with a `step` of 1 buckets ascend; with -1 everything goes backwards, the
    latest bucket first and downwards from `base`, so that two threads with the earlier and the
    later buckets fill one array from its middle and leave no gap. Cells come bucket by bucket, in
    no order within one.

    `series` empty means that there is one series, else they are less than `n_series`; `value` is
    empty where rows are only counted. Rows with a negative series or a value that is not finite
    are left out. `position` has the number of the cell that every series had last; numbers begin
    at `number`, above all that are there: so what is left of other buckets never has to be cleared.
    """
    base -= step * number
    n = number
    g = first if step > 0 else last - 1
    o = first_open if step > 0 else last_open - 1
    groups, left = last - first, last_open - first_open
    while groups > 0 or left > 0:
        has_rows = groups > 0 and (left == 0 or (bucket_g[g] - bucket_o[o]) * step <= 0)
        bucket = bucket_g[g] if has_rows else bucket_o[o]
        rows = rows_g[g] if has_rows else 0
        is_dense = len(series) == 0 or rows >= DENSE * n_series
        if is_dense:
            open_dense(n, base, step, n_series, width, series_c, record_c)
        taken = reopen(
            bucket,
            bucket_o,
            series_o,
            record_o,
            o,
            left,
            is_dense,
            n,
            base,
            step,
            width,
            position,
            series_c,
            record_c,
        )
        o += step * taken
        left -= taken
        begin = n
        n = begin if is_dense else begin + taken
        if has_rows:
            n = add_runs(
                series,
                value,
                start_u,
                stop_u,
                first_g[g],
                first_g[g + 1],
                is_dense,
                base,
                step,
                width,
                n_series,
                begin,
                n,
                position,
                series_c,
                record_c,
            )
            g += step
            groups -= 1
        if is_dense:
            n = close_dense(begin, base, step, n_series, width, series_c, record_c)
        for k in range(begin, n):
            bucket_c[np.uint64(base + step * k)] = bucket
    return n - number
