"""Quantiles of the numbers of a cell: exact while few are distinct, of bins beyond.

A number is kept as the order-preserving image of its double (`keylog.order_image`), with how often
it came. When a cell has more than m distinct ones, their lowest bits are dropped, as many, the
level, as it takes to leave at most m. What then counts as one is a bin: numbers with the same sign
and exponent whose mantissas agree in the highest 52 - level bits. The level never falls and is the
least one for all numbers of the cell together, so the bins depend on the numbers alone, neither on
their order nor on how they were cut.

The error is at most the width of a bin. For numbers of one sign and B binades (from 2^k to 2^(k + 1))
this is at most 2 B / m of the number: more than m bins of the level below were occupied, and B
binades have B 2^(53 - level) of them. A stray number takes one bin, wherever it lies. Within a bin
numbers are taken as evenly spread, which brings smooth data nearer. Medians of 10,000 to a million
numbers were off, in the mean of 12 draws and at most (2026-11-23), by 1e-4 and 3e-4 of themselves where
the numbers are uniform, 4e-4 and 2e-3 log-normal, 2e-4 and 8e-4 of a Pareto law, 3e-6 and 2e-5 normal
far from 0; about 0, where little is much, by 2e-3 and 3e-3 normal, 5e-3 and 1e-2 for integers of both
signs. Numbers of all magnitudes there are, 2,000 binades, are off by a third. What is narrow, lies far
from 0 and shares its cell with numbers near 0, which have many binades, gets no nearer than the bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .distinct import comes_first
from .intrinsics import bits_of, double_of
from .registry import device, kernel

Array = Any

BINS = 2048
"""The most bins (m) of a cell."""
RADIX_SIZE = 8 * 256

_SMALL = 64  # up to here insertion is quicker than eight passes
_0, _1, _8, _255 = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(255)
_TOP, _ALL = np.uint64(1 << 63), np.uint64((1 << 64) - 1)
_GREATEST = np.uint64(0xFFEFFFFFFFFFFFFF)  # the image of the greatest double
_LEAST = np.uint64(0x0010000000000000)  # of the one that is farthest below 0


@device
def number_of(image: Any) -> float:
    """The double of an image; the nearest finite one where there is none."""
    image = min(max(image, _LEAST), _GREATEST)
    word = image ^ (_TOP if image & _TOP != _0 else _ALL)
    bits: Any = np.int64(word)
    return double_of(bits)


@device
def insertion_sort(keys: Array, first: int, last: int) -> None:
    """Sorts keys[first:last] in place."""
    for i in range(first + 1, last):
        key = keys[i]
        k = i
        while k > first and keys[k - 1] > key:
            keys[k] = keys[k - 1]
            k -= 1
        keys[k] = key


@device
def sort_keys(keys: Array, first: int, last: int, spare: Array, count: Array) -> None:
    """Sorts keys[first:last] in place, by radix where they are many; `spare` has room for as many."""
    n = last - first
    if n <= _SMALL:
        insertion_sort(keys, first, last)
        return
    for k in range(RADIX_SIZE):
        count[k] = 0
    for i in range(first, last):
        key = keys[i]
        for d in range(8):
            count[d * 256 + np.int64((key >> np.uint64(8 * d)) & _255)] += 1
    in_place = True
    for d in range(8):
        shift = np.uint64(8 * d)
        if count[d * 256 + np.int64((keys[first] >> shift) & _255)] == n:
            continue  # all have this digit
        total = 0
        for k in range(d * 256, d * 256 + 256):
            here = count[k]
            count[k] = total
            total += here
        for i in range(n):
            key = keys[first + i] if in_place else spare[i]
            digit = d * 256 + np.int64((key >> shift) & _255)
            to = count[digit]
            count[digit] = to + 1
            if in_place:
                spare[to] = key
            else:
                keys[first + to] = key
        in_place = not in_place
    if not in_place:
        for i in range(n):
            keys[first + i] = spare[i]


@device
def bit_length(word: Any) -> int:
    """How many bits a number has, without leading zeros: 0 for 0."""
    if word == _0:
        return 0
    # Without the bit below the highest one, the conversion to a double cannot round up.
    return (bits_of(float(word & ~(word >> _1))) >> 52) - 1022


@device
def merge_bins_of_cell(
    a_keys: Array,
    a_counts: Array,
    a0: int,
    a1: int,
    g_keys: Array,
    g0: int,
    g1: int,
    at: int,
    keys: Array,
    counts: Array,
) -> int:
    """Merges bins with sorted keys of rows into bins from `at` on; returns where they end."""
    last = at
    while a0 < a1 or g0 < g1:
        take_a = a0 < a1 and (g0 == g1 or a_keys[a0] <= g_keys[g0])
        key = a_keys[a0] if take_a else g_keys[g0]
        count = a_counts[a0] if take_a else 1
        a0 += take_a
        g0 += not take_a
        if last > at and keys[last - 1] == key:
            counts[last - 1] += count
        else:
            keys[last] = key
            counts[last] = count
            last += 1
    return last


@device
def coarsen(keys: Array, counts: Array, first: int, last: int, most: int, gaps: Array) -> tuple[int, int]:
    """Drops as few bits as leave at most so many bins; returns how many, and where the bins end.

    Neighbours are in one bin once all bits are dropped that they differ in.
    """
    if last - first <= most:
        return 0, last
    for k in range(65):
        gaps[k] = 0
    for i in range(first + 1, last):
        gaps[bit_length(keys[i] ^ keys[i - 1])] += 1
    drop, bins = 0, last - first
    while bins > most:
        drop += 1
        bins -= gaps[drop]
    shift = np.uint64(drop)
    end = first
    for i in range(first, last):
        key = keys[i] >> shift
        if end > first and keys[end - 1] == key:
            counts[end - 1] += counts[i]
        else:
            keys[end] = key
            counts[end] = counts[i]
            end += 1
    return drop, end


@kernel(
    "i64(in i64[], in i32[], in i64[], in i64[], in i64[], in u64[], in i64[], in i64[], in i32[], in i64[],"
    " out u64[], i64, i64, out u64[], out i64[],"
    " out i64[], out i32[], out i64[], out i64[], out i64[], out u64[], out i64[])"
)
def merge_bins(
    a_bucket: Array,
    a_series: Array,
    a_rows: Array,
    a_form: Array,
    a_first: Array,
    a_keys: Array,
    a_counts: Array,
    g_bucket: Array,
    g_series: Array,
    g_first: Array,
    g_keys: Array,
    n_groups: int,
    most: int,
    spare: Array,
    count: Array,
    bucket_c: Array,
    series_c: Array,
    rows_c: Array,
    form_c: Array,
    first_c: Array,
    keys: Array,
    counts: Array,
) -> int:
    """Merges rows that were sorted by cell into cells that hold bins; returns how many cells there are.

    Cell a has ``a_rows[a]`` numbers so far, in the bins ``a_keys[a_first[a]:a_first[a + 1]]`` of level
    ``a_form[a]``, ascending, with `a_counts` numbers each. No cell has more than `most` bins, at least
    2. The keys of the rows are changed.
    """
    a = g = made = at = 0
    while a < len(a_bucket) or g < n_groups:
        has_a = a < len(a_bucket) and not (
            g < n_groups and comes_first(g_bucket[g], g_series[g], a_bucket[a], a_series[a])
        )
        has_g = g < n_groups and not (
            has_a and comes_first(a_bucket[a], a_series[a], g_bucket[g], g_series[g])
        )
        a0, a1 = (a_first[a], a_first[a + 1]) if has_a else (0, 0)
        g0, g1 = (g_first[g], g_first[g + 1]) if has_g else (0, 0)
        level = a_form[a] if has_a else 0
        for k in range(g0, g1):
            g_keys[k] = g_keys[k] >> np.uint64(level)
        sort_keys(g_keys, g0, g1, spare, count)
        last = merge_bins_of_cell(a_keys, a_counts, a0, a1, g_keys, g0, g1, at, keys, counts)
        drop, last = coarsen(keys, counts, at, last, most, count)
        bucket_c[made] = a_bucket[a] if has_a else g_bucket[g]
        series_c[made] = a_series[a] if has_a else g_series[g]
        rows_c[made] = (a_rows[a] if has_a else 0) + g1 - g0
        form_c[made] = level + drop
        first_c[made] = at
        at = last
        made += 1
        a += has_a
        g += has_g
    first_c[made] = at
    return made


@device
def value_in_bin(key: Any, level: int, rank: int, n: int) -> float:
    """The value of the number of that rank among the n of a bin, as if they lay evenly in it."""
    if level == 0:
        return number_of(key)
    low = number_of(key << np.uint64(level))
    high = number_of((key << np.uint64(level)) | ((_1 << np.uint64(level)) - _1))
    share = (rank + 0.5) / n
    return low * (1.0 - share) + high * share


@device
def quantile_of_bins(
    keys: Array, counts: Array, first: int, last: int, level: int, n: int, q: float
) -> float:
    """The quantile q of n numbers in bins: linear between those of the ranks about q (n - 1)."""
    rank = q * (n - 1)
    below: Any = np.int64(rank)
    above = min(below + 1, n - 1)
    share = rank - below
    low, before = 0.0, 0
    for k in range(first, last):
        until = before + counts[k]
        if before <= below < until:
            low = value_in_bin(keys[k], level, below - before, counts[k])
        if before <= above < until:
            high = value_in_bin(keys[k], level, above - before, counts[k])
            return low if share == 0.0 or low == high else low * (1.0 - share) + high * share
        before = until
    return np.nan


@kernel("i64(in i64[], in i64[], in i64[], in u64[], in i64[], f64, out f64[])")
def take_quantiles(
    rows_c: Array, form_c: Array, first_c: Array, keys: Array, counts: Array, q: float, record_c: Array
) -> int:
    """Writes (number of values, their quantile q) of every cell of `merge_bins`; returns how many."""
    for c in range(len(rows_c)):
        record_c[2 * c] = rows_c[c]
        record_c[2 * c + 1] = quantile_of_bins(
            keys, counts, first_c[c], first_c[c + 1], form_c[c], rows_c[c], q
        )
    return len(rows_c)
