"""How many distinct keys a cell has: exactly up to a limit, by a sketch beyond.

Keys are 64-bit hashes of values. The keys of a small cell are kept, each once. Those of a large
one are entered into an UltraLogLog (Ertl 2023, arXiv:2308.16862), 2^14 registers of a byte: the
lowest 14 bits choose the register, the trailing zeros of the others, plus one, are the value u,
which comes up with probability 2^-u. A register holds the largest u and whether u - 1 and u - 2
came. It depends on the set of keys alone, and so does what is made of it: neither their order nor
when a cell became large matters.

The count is the one of greatest likelihood, with a standard error of 0.60% (a HyperLogLog of as
many bytes has 0.81%).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementary import exp
from .intern import hash_text
from .intrinsics import double_of, trailing_zeros
from .registry import device, kernel

Array = Any

PRECISION = 14
REGISTERS = 1 << PRECISION
EXACT = 4096
"""The most distinct values of a cell that are counted exactly."""
LARGEST = 65 - PRECISION
"""The largest value of a register's u; it comes up with the probability of the one before."""

_0, _1, _2 = np.uint64(0), np.uint64(1), np.uint64(2)
_SHIFT, _INDEX = np.uint64(PRECISION), np.uint64(REGISTERS - 1)
_FEW = 8  # keys that are compared with one another: to clear a table for them takes longer


@kernel("i64(in i64[], in u8[], in u8[], out u64[])")
def hash_texts(offsets: Array, data: Array, null: Array, hashes: Array) -> int:
    """Hashes of strings, 0 for null and for the empty one; returns how many have one.

    String i is ``data[offsets[i]:offsets[i + 1]]``; `null` is empty when there is none.
    """
    made = 0
    for i in range(np.uint64(len(hashes))):
        first = np.uint64(offsets[i])
        length = np.uint64(offsets[i + _1]) - first
        if length == _0 or (len(null) > 0 and null[i]):
            hashes[i] = _0
            continue
        h = hash_text(data, first, length)
        hashes[i] = h if h != _0 else _1
        made += 1
    return made


@kernel("i64(in u64[], in i32[], in u8[], out u64[])")
def hashes_of_indices(hash_of: Array, indices: Array, null: Array, hashes: Array) -> int:
    """Writes ``hash_of[indices[i]]``, or 0 where ``null[i]``; returns how many lie outside of it.

    `null` is empty when there is none.
    """
    size = np.uint64(len(hash_of))
    outside = 0
    for i in range(np.uint64(len(indices))):
        index = np.uint64(np.int64(indices[i]))
        hashes[i] = _0
        if len(null) > 0 and null[i]:
            continue
        if index < size:
            hashes[i] = hash_of[index]
        else:
            outside += 1
    return outside


@device
def enter(registers: Array, base: int, key: Any) -> None:
    """Enters a key into the sketch whose registers begin at `base`.

    A register is 4 u, plus 2 if u - 1 came, plus 1 if u - 2 came; 0 when nothing has come.
    """
    u = min(trailing_zeros(key >> _SHIFT), LARGEST - 1) + 1
    at = base + np.int64(key & _INDEX)
    register: Any = np.int64(registers[at])
    largest = register >> 2
    if u > largest:
        seen = ((4 | (register & 3)) >> min(u - largest, 3)) & 3 if register else 0
        registers[at] = u << 2 | seen
    elif u >= largest - 2 and u < largest:
        registers[at] = register | (2 if u == largest - 1 else 1)


@device
def weight(u: int) -> float:
    """How often a key has the value u."""
    return double_of((1023 - min(u, LARGEST - 1)) << 52)


@device
def count_events(registers: Array, base: int, came: Array) -> float:
    """The weight of all values that did not come, over all registers; ``came[u]`` times u came."""
    absent = 0.0
    for u in range(LARGEST + 1):
        came[u] = 0
    for at in range(base, base + REGISTERS):
        register: Any = np.int64(registers[at])
        largest = register >> 2
        if largest < LARGEST:
            absent += weight(largest)  # the sum of those above
        if largest == 0:
            continue
        came[largest] += 1
        for below in range(1, min(3, largest)):
            if register & (4 >> below):
                came[largest - below] += 1
            else:
                absent += weight(largest - below)
    return absent


@device
def distinct_estimate(registers: Array, base: int, came: Array) -> float:
    """How many keys were entered, by greatest likelihood.

    With x keys a register, each value comes by a Poisson law of its own, of mean x w(u). With a
    the weight of what did not come and b(u) how often u came, ln L = -a x + sum b ln(1 - exp(-w x)),
    so that sum b w / (exp(w x) - 1) = a. The left side is convex and falls with x; Newton's method
    from below, where it starts with (1 / x - w / 2) in place of each term, only ever rises.
    """
    absent = count_events(registers, base, came)
    total = half = 0.0
    for u in range(1, LARGEST + 1):
        total += came[u]
        half += 0.5 * came[u] * weight(u)
    if total == 0.0 or absent == 0.0:
        return 0.0
    x = total / (absent + half)
    for _ in range(64):
        f, slope = -absent, 0.0
        for u in range(1, LARGEST + 1):
            if came[u] > 0:
                w = weight(u)
                t = w * x
                grown = t * (1.0 + 0.5 * t * (1.0 + t / 3.0)) if t < 1e-5 else exp(t) - 1.0
                f += came[u] * w / grown
                slope += came[u] * w / grown * (w / grown) * (grown + 1.0)
        step = f / slope
        x += step
        if abs(step) <= 1e-12 * x:
            break
    return x * REGISTERS


@device
def add_to_set(key: Any, table: Array, mask: Any) -> bool:
    """Whether a key is new to a hash table, which has it from now on."""
    slot = key & mask
    while table[slot] != _0:
        if table[slot] == key:
            return False
        slot = (slot + _1) & mask
    table[slot] = key
    return True


@device
def is_among(key: Any, keys: Array, first: int, last: int) -> bool:
    """Whether a key is one of a few."""
    k = first
    while k < last and keys[k] != key:
        k += 1
    return k < last


@device
def clear_table(n: int, table: Array) -> Any:
    """Empties as much of a table as n keys need; returns the mask of its slots."""
    size = np.uint64(16)
    while size < np.uint64(2 * n):
        size = size << _1
    for slot in range(size):
        table[slot] = _0
    return size - _1


@device
def unite(
    a_keys: Array,
    a0: int,
    a1: int,
    g_keys: Array,
    g0: int,
    g1: int,
    limit: int,
    table: Array,
    at: int,
    keys: Array,
) -> tuple[int, int]:
    """Writes the keys of a set and of some rows, each once, from ``keys[at]`` on.

    Returns where the keys end and which row it stopped at, g1 unless it wrote more than `limit`.
    """
    last = at
    for k in range(a0, a1):
        keys[last] = a_keys[k]
        last += 1
    g = g0
    if (a1 - a0) + (g1 - g0) <= _FEW:
        while g < g1 and last - at <= limit:
            if not is_among(g_keys[g], keys, at, last):
                keys[last] = g_keys[g]
                last += 1
            g += 1
        return last, g
    if g0 == g1:
        return last, g
    mask = clear_table(min((a1 - a0) + (g1 - g0), limit + 1), table)
    for k in range(at, last):
        add_to_set(keys[k], table, mask)
    while g < g1 and last - at <= limit:
        if add_to_set(g_keys[g], table, mask):
            keys[last] = g_keys[g]
            last += 1
        g += 1
    return last, g


@device
def comes_first(bucket: int, series: int, other_bucket: int, other_series: int) -> bool:
    """Whether a cell comes before another."""
    return bucket < other_bucket or (bucket == other_bucket and series < other_series)


@kernel(
    "i64(in i64[], in i32[], in i64[], in i64[], in i64[], in u64[], in i64[], in i32[], in i64[], in u64[],"
    " i64, i64, out u8[], out i64[], out u64[],"
    " out i64[], out i32[], out i64[], out i64[], out i64[], out u64[])"
)
def merge_sets(
    a_bucket: Array,
    a_series: Array,
    a_rows: Array,
    a_form: Array,
    a_first: Array,
    a_keys: Array,
    g_bucket: Array,
    g_series: Array,
    g_first: Array,
    g_keys: Array,
    n_groups: int,
    limit: int,
    registers: Array,
    free: Array,
    table: Array,
    bucket_c: Array,
    series_c: Array,
    rows_c: Array,
    form_c: Array,
    first_c: Array,
    keys: Array,
) -> int:
    """Merges rows that were sorted by cell into cells that hold sets; returns how many cells there are.

    Cell a has ``a_rows[a]`` rows so far and the keys ``a_keys[a_first[a]:a_first[a + 1]]``, or none
    when it is a sketch: the one of number ``a_form[a]`` - 1. A cell of more than `limit` keys becomes
    the sketch ``free[free[0]]``, and ``free[0]`` is one less then; without `registers` none does.
    `table` has room for twice as many keys as a cell may have, as a power of two.
    """
    sketched = len(registers) > 0
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
        form = a_form[a] if has_a else 0
        bucket_c[made] = a_bucket[a] if has_a else g_bucket[g]
        series_c[made] = a_series[a] if has_a else g_series[g]
        rows_c[made] = (a_rows[a] if has_a else 0) + g1 - g0
        first_c[made] = at
        if not (sketched and form > 0):
            last, g0 = unite(a_keys, a0, a1, g_keys, g0, g1, limit, table, at, keys)
            if sketched and last - at > limit:
                form = free[free[0]] + 1
                free[0] -= 1
                base = (form - 1) * REGISTERS
                for k in range(base, base + REGISTERS):
                    registers[k] = 0
                for k in range(at, last):
                    enter(registers, base, keys[k])
            else:
                at = last
        if sketched and form > 0:
            base = (form - 1) * REGISTERS
            for k in range(g0, g1):
                enter(registers, base, g_keys[k])
        form_c[made] = form
        made += 1
        a += has_a
        g += has_g
    first_c[made] = at
    return made


@kernel("i64(in i64[], in i64[], in i64[], in u8[], out i64[], out f64[])")
def count_distinct(
    rows_c: Array, form_c: Array, first_c: Array, registers: Array, came: Array, record_c: Array
) -> int:
    """Writes (number of values, number of distinct ones) of every cell; returns how many are estimates.

    Cells are those of `merge_sets`; `came` has room for `LARGEST` + 1 numbers.
    """
    estimates = 0
    for c in range(len(rows_c)):
        record_c[2 * c] = rows_c[c]
        if form_c[c] > 0:
            estimate = distinct_estimate(registers, (form_c[c] - 1) * REGISTERS, came)
            record_c[2 * c + 1] = np.floor(estimate + 0.5)  # a count
            estimates += 1
        else:
            record_c[2 * c + 1] = first_c[c + 1] - first_c[c]
    return estimates
