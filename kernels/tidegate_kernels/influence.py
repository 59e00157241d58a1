"""The rows behind unusual series, and what the rows of every pair of numbers come to.

Influence asks what a result would have been without the rows of one value of a field, or with them
alone. Only few series of a bucket are asked about; the rows of all others are passed over here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .fold import RECORD_SIZE, fold_value
from .registry import kernel

Array = Any


@kernel(
    "i64(in i32[], in i64[], in i64[], in i64[], in i64[], in i64[], in i64[], in i32[], out i32[],"
    " out i64[], out i32[])"
)
def select_rows(
    series: Array,
    start_u: Array,
    stop_u: Array,
    first_v: Array,
    last_v: Array,
    begin_v: Array,
    end_v: Array,
    series_t: Array,
    target_s: Array,
    row_h: Array,
    target_h: Array,
) -> int:
    """Finds the rows of some buckets whose series is a target there, in the order they came.

    Visit v is of the runs ``first_v[v]`` to before ``last_v[v]`` (as of `runs.group_runs`), all of one
    bucket; its targets are ``begin_v[v]`` to before ``end_v[v]``, target t is series ``series_t[t]``.
    ``target_s`` is -1 for every series, before and after. Returns how many rows were found; there is
    room for one more than the runs have. `series` empty means that there is one series, number 0.
    """
    # Written whether found or not: a branch that one row in a hundred takes is mispredicted by each.
    made = 0
    keyed = len(series) > 0
    for v in range(len(first_v)):
        for t in range(begin_v[v], end_v[v]):
            target_s[series_t[t]] = t
        for u in range(first_v[v], last_v[v]):
            for i in range(start_u[u], stop_u[u]):
                s = series[np.uint64(i)] if keyed else 0
                t = target_s[np.uint64(max(s, 0))]
                row_h[np.uint64(made)] = i
                target_h[np.uint64(made)] = t
                made += int(s >= 0 and t >= 0)
        for t in range(begin_v[v], end_v[v]):
            target_s[series_t[t]] = -1
    return made


@kernel("i64(in i32[], in f64[], out f64[])")
def fold_pairs(pair_h: Array, value_h: Array, record_p: Array) -> int:
    """Adds the value of every row to the record (`fold`) of its pair; returns how many were added.

    Rows of no pair (negative) and with a value that is not finite are left out.
    """
    added = 0
    for i in range(np.uint64(len(pair_h))):
        x = value_h[i]
        if pair_h[i] >= 0 and x - x == 0.0:
            fold_value(record_p, pair_h[i] * RECORD_SIZE, x)
            added += 1
    return added
