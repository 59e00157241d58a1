"""Strings to codes, codes to series: tables that only grow and never forget an order.

Each table is open addressing with linear probing over a power of two of slots that is kept
at most half full. A kernel that would overfill its table returns the row it stopped at; the
caller makes the table larger and calls again from there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import device, kernel

Array = Any


# Unsigned constants, so that products wrap: signed overflow is undefined in compiled code.
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


@device
def mix(h: Any) -> Any:
    """The finaliser of splitmix64: every input bit reaches every output bit."""
    h = (h ^ (h >> _S30)) * _M1
    h = (h ^ (h >> _S27)) * _M2
    return h ^ (h >> _S31)


@device
def hash_bytes(data: Array, start: int, stop: int) -> Any:
    """A 64-bit hash of data[start:stop], eight bytes a step."""
    h = np.uint64(stop - start)
    at = start
    while at + 8 <= stop:
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        h = mix(h ^ word)
        at += 8
    word = np.uint64(0)
    for k in range(stop - at):
        word |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return mix(h ^ word)


@device
def same_bytes(a: Array, a_start: int, b: Array, b_start: int, length: int) -> bool:
    """Whether a[a_start:][:length] equals b[b_start:][:length]."""
    for k in range(length):  # noqa: SIM110 - a kernel has no generators
        if a[a_start + k] != b[b_start + k]:
            return False
    return True


@kernel("i64(in i64[], in u8[], in u8[], i64, i64, out i64[], out u64[], out i64[], out u8[], out i32[])")
def intern_strings(
    offsets: Array,
    data: Array,
    null: Array,
    start: int,
    count: int,
    slots: Array,
    hashes: Array,
    ends: Array,
    arena: Array,
    codes: Array,
) -> int:
    """Gives every string its code; returns the row it stopped at for want of room.

    ``codes[i]`` is the code of ``data[offsets[i]:offsets[i + 1]]``, or 0 where ``null[i]``.
    The table: ``slots`` (code or -1), the ``hashes`` and ``ends`` of each code, and the
    ``arena`` that holds all strings behind one another (code c ends at ``ends[c]``).
    ``count`` codes are in use on entry; ``slots[-1]`` returns how many are on exit.
    Code 0 is the empty string and is there from the start.
    """
    mask = len(slots) - 2
    n = len(null)
    row = n
    for i in range(start, n):
        if null[i]:
            codes[i] = 0
            continue
        first, last = offsets[i], offsets[i + 1]
        h = hash_bytes(data, first, last)
        slot = np.int64(h & np.uint64(mask))
        found = -1
        while slots[slot] >= 0:
            code = slots[slot]
            code_start = ends[code - 1] if code > 0 else 0
            if (
                hashes[code] == h
                and ends[code] - code_start == last - first
                and same_bytes(arena, code_start, data, first, last - first)
            ):
                found = code
                break
            slot = (slot + 1) & mask
        if found < 0:
            at = ends[count - 1] if count > 0 else 0
            if 2 * (count + 1) > mask or count >= len(ends) or at + last - first > len(arena):
                row = i
                break
            for k in range(last - first):
                arena[at + k] = data[first + k]
            ends[count] = at + last - first
            hashes[count] = h
            slots[slot] = count
            found = count
            count += 1
        codes[i] = found
    slots[len(slots) - 1] = count
    return row


@kernel("i64(in u64[], i64, out i64[])")
def rehash(hashes: Array, count: int, slots: Array) -> int:
    """Fills empty `slots` (all -1; the last one is not a slot) with the codes 0..count-1."""
    mask = len(slots) - 2
    for code in range(count):
        slot = np.int64(hashes[code] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = code
    slots[len(slots) - 1] = count
    return count


@kernel("i64(in i32[], in i32[], i64, i64, i64, i64, out i64[], out u64[], out i32[], out i32[], out i32[])")
def intern_pairs(
    left: Array,
    right: Array,
    skip_left: int,
    start: int,
    count: int,
    limit: int,
    slots: Array,
    hashes: Array,
    lefts: Array,
    rights: Array,
    series: Array,
) -> int:
    """Gives every (left code, right code) its series; returns the row it stopped at for room.

    Rows whose left code is 0 get no series (-1) when `skip_left`; once `limit` series exist,
    a new pair gets -2. ``slots[-1]`` returns the count as in `intern_strings`.
    """
    mask = len(slots) - 2
    n = len(left)
    row = n
    for i in range(start, n):
        a, b = left[i], right[i]
        if skip_left and a == 0:
            series[i] = -1
            continue
        h = mix(mix(np.uint64(a)) ^ np.uint64(b))
        slot = np.int64(h & np.uint64(mask))
        found = -1
        while slots[slot] >= 0:
            code = slots[slot]
            if lefts[code] == a and rights[code] == b:
                found = code
                break
            slot = (slot + 1) & mask
        if found < 0:
            if count >= limit:
                series[i] = -2
                continue
            if 2 * (count + 1) > mask or count >= len(lefts):
                row = i
                break
            lefts[count] = a
            rights[count] = b
            hashes[count] = h
            slots[slot] = count
            found = count
            count += 1
        series[i] = found
    slots[len(slots) - 1] = count
    return row


@kernel("i64(in i32[], i64, i64, i64, out i32[], out i32[], out i32[])")
def series_of_codes(
    codes: Array, skip_empty: int, count: int, limit: int, series_of: Array, code_of: Array, series: Array
) -> int:
    """Gives every code its series, for a key of one field; returns how many series there are.

    ``series_of[code]`` is -1 until the code is seen. Code 0 gets no series (-1) when
    `skip_empty`; once `limit` series exist, a new code gets -2.
    """
    for i in range(len(codes)):
        code = codes[i]
        if skip_empty and code == 0:
            series[i] = -1
            continue
        found = series_of[code]
        if found < 0:
            if count >= limit:
                series[i] = -2
                continue
            found = count
            series_of[code] = found
            code_of[found] = code
            count += 1
        series[i] = found
    return count
