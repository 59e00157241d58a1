"""Cells in the order of the model: block by block, within a block in the order of time."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.registry import kernel
from tidegate_kernels.state import LANES

Array = Any


@kernel("i64(in i32[], i64, out i64[], out i64[])")
def sort_by_block(series_c: Array, n_blocks: int, first_b: Array, order: Array) -> int:
    """Stable order of the cells by block: block b has ``order[first_b[b]:first_b[b + 1]]``.

    Cells come bucket by bucket for every series, and so they leave. Returns how many blocks have a cell.
    """
    n = len(series_c)
    for b in range(n_blocks + 1):
        first_b[b] = 0
    for i in range(n):
        first_b[series_c[i] // LANES + 1] += 1
    present = 0
    for b in range(n_blocks):
        if first_b[b + 1] > 0:
            present += 1
        first_b[b + 1] += first_b[b]
    for i in range(n):
        b = series_c[i] // LANES
        order[first_b[b]] = i
        first_b[b] += 1
    for k in range(n_blocks):
        b = n_blocks - k
        first_b[b] = first_b[b - 1]
    first_b[0] = 0
    return present


@kernel("i64(in i64[], i64, out i64[], out i64[])")
def sort_by_number(number_c: Array, n_numbers: int, first: Array, order: Array) -> int:
    """Stable order of the cells by their number: number k has ``order[first[k]:first[k + 1]]``.

    ``first`` is one longer than there are numbers. Returns how many numbers have a cell.
    """
    for k in range(n_numbers + 1):
        first[k] = 0
    for i in range(len(number_c)):
        first[number_c[i] + 1] += 1
    present = 0
    for k in range(n_numbers):
        if first[k + 1] > 0:
            present += 1
        first[k + 1] += first[k]
    for i in range(len(number_c)):
        order[first[number_c[i]]] = i
        first[number_c[i]] += 1
    for j in range(n_numbers):
        k = n_numbers - j
        first[k] = first[k - 1]
    first[0] = 0
    return present


@kernel("i64(in i64[], in i32[], i64, out i64[])")
def keep_latest(bucket_c: Array, series_c: Array, clock_offset: int, last_s: Array) -> int:
    """Notes the bucket of the latest cell of every series, less the offset; returns how often one was later.

    ``last_s`` has what was known of every series before.
    """
    later = 0
    for i in range(np.uint64(len(series_c))):
        series, clock = np.uint64(series_c[i]), bucket_c[i] - clock_offset
        if clock > last_s[series]:
            last_s[series] = clock
            later += 1
    return later
