"""Where time goes in the rows of a pass: runs of rows of one bucket, and the runs of every bucket.

Times are looked at here and nowhere else: whatever gathers the rows is told, bucket by bucket,
which of them to take. A run is a stretch of rows, one after another, that fall in one bucket.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import kernel

Array = Any

# What a pass over rows comes to.
PLANNED_END = 0
PLANNED_ROW = 1

_FEW = 8
_BLOCK = 64


@kernel("i64(in i64[], i64, i64, i64, i64, out i64[], out i64[])")
def find_runs(time: Array, start: int, stop: int, span: int, at: int, bucket_u: Array, stop_u: Array) -> int:
    """Finds the runs of rows [start, stop), written from place `at` on; returns where they end.

    Run u is of bucket ``bucket_u[u]`` and goes from where the one before it stops, or from
    `start`, to before row ``stop_u[u]``.
    """
    # Unsigned throughout: one comparison tells both sides of a bucket, and an index needs no
    # check for being counted from the end. Blocks without a way out become vector code, 3,000 M
    # rows/s instead of 1,300; the first rows go one by one because disordered rows come in runs
    # of two or three. Measured on 2026-11-23.
    width = np.uint64(span)
    n = at
    i = start
    while i < stop:
        bucket = time[np.uint64(i)] // span
        low = bucket * span
        i += 1
        few = min(i + _FEW, stop)
        while i < few and np.uint64(time[np.uint64(i)] - low) < width:
            i += 1
        if i == few:
            while i + _BLOCK <= stop:
                outside = 0
                for k in range(_BLOCK):
                    outside += int(np.uint64(time[np.uint64(i + k)] - low) >= width)
                if outside != 0:
                    break
                i += _BLOCK
            while i < stop and np.uint64(time[np.uint64(i)] - low) < width:
                i += 1
        bucket_u[np.uint64(n)] = bucket
        stop_u[np.uint64(n)] = i
        n += 1
    return n


@kernel("i64(in i64[], in i64[], i64, i64, i64, i64, i64, i64, i64, out i64[])")
def plan_pass(
    bucket_u: Array,
    stop_u: Array,
    first: int,
    row: int,
    finalized: int,
    span: int,
    latency: int,
    max_buckets: int,
    max_jump: int,
    planned: Array,
) -> int:
    """How far one pass over the runs from `first` on, at `row`, may go; returns the run to stop before.

    ``planned[PLANNED_END]`` becomes the finalised end after those runs, ``planned[PLANNED_ROW]``
    the row they stop before. The pass ends early before the run that would make it close more
    than `max_buckets` buckets, unless that is its first, and before a run that alone would close
    more than `max_jump`, even if that is its first: then the pass has none.
    """
    planned[PLANNED_END] = finalized
    planned[PLANNED_ROW] = row
    for u in range(first, len(bucket_u)):
        end = bucket_u[u] * span - latency
        if end > planned[PLANNED_END]:
            if end - planned[PLANNED_END] > max_jump * span:
                return u
            if end - finalized > max_buckets * span and u > first:
                return u
            planned[PLANNED_END] = end
        planned[PLANNED_ROW] = stop_u[u]
    return len(bucket_u)


@kernel(
    "i64(in i64[], in i64[], i64, i64, i64, i64, i64, out i64[], out i64[], out i64[], out i64[],"
    " out i64[], out i64[])"
)
def group_runs(
    bucket_u: Array,
    stop_u: Array,
    first: int,
    last: int,
    row: int,
    first_bucket: int,
    n_buckets: int,
    count: Array,
    start_o: Array,
    stop_o: Array,
    bucket_g: Array,
    first_g: Array,
    rows_g: Array,
) -> int:
    """Puts the runs [first, last) of each bucket together; returns how many groups there are.

    The runs go to ``start_o, stop_o``, bucket by bucket and in the order of rows within one: those
    of group g, of bucket ``bucket_g[g]`` and with ``rows_g[g]`` rows, are ``first_g[g]`` to before
    ``first_g[g + 1]``. Their rows are counted from `row`, where the first run starts. Runs of
    buckets before `first_bucket` are left out; none is of ``first_bucket + n_buckets`` or later.
    `count` has room for ``n_buckets + 1``.
    """
    for k in range(n_buckets + 1):
        count[k] = 0
    for u in range(first, last):
        if bucket_u[u] >= first_bucket:
            count[bucket_u[u] - first_bucket + 1] += 1
    groups = 0
    for k in range(n_buckets):
        if count[k + 1] > 0:
            bucket_g[groups] = first_bucket + k
            first_g[groups] = count[k]
            rows_g[groups] = 0
            groups += 1
        count[k + 1] += count[k]
    first_g[groups] = count[n_buckets]
    start = row
    for u in range(first, last):
        if bucket_u[u] >= first_bucket:
            at = count[bucket_u[u] - first_bucket]
            count[bucket_u[u] - first_bucket] += 1
            start_o[at] = start - row
            stop_o[at] = stop_u[u] - row
        start = stop_u[u]
    for g in range(groups):
        for u in range(first_g[g], first_g[g + 1]):
            rows_g[g] += stop_o[u] - start_o[u]
    return groups
