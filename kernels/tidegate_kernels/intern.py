"""Strings to codes, codes to series: tables that only grow and never forget an order.

Each table is open addressing with linear probing over a power of two of slots that is kept
at most half full. A slot is 0 when empty, else 32 bits of the hash above the code plus one: a
probe hardly ever looks at another key than the one it finds, and a larger table is filled from
the slots alone. A kernel that would overfill its table returns the row it stopped at; the
caller makes the table larger and calls again from there.

All indices are unsigned: signed ones carry Python's wrap-around.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .intrinsics import load_u64
from .registry import device, kernel

Array = Any

PADDING = 8
"""Bytes that an arena has behind its last string, so that eight can be read anywhere."""

# Unsigned constants, so that products wrap: signed overflow is undefined in compiled code.
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_K1, _K2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_0, _1, _8, _64 = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(64)
_CODE = np.uint64(0xFFFFFFFF)


@device
def mix(h: Any) -> Any:
    """The finaliser of splitmix64: every input bit reaches every output bit."""
    h = (h ^ (h >> _S30)) * _M1
    h = (h ^ (h >> _S27)) * _M2
    return h ^ (h >> _S31)


@device
def short_word(data: Array, first: Any, length: Any) -> Any:
    """The bytes data[first:][:length] as a number, for 0 < length < 8; reads inside of `data` only."""
    size = np.uint64(len(data))
    if first + _8 <= size:
        return load_u64(data, first) & ((_1 << (_8 * length)) - _1)
    if first + length >= _8:
        return load_u64(data, first + length - _8) >> (_64 - _8 * length)
    word = _0
    for k in range(length):
        word |= np.uint64(data[first + np.uint64(k)]) << np.uint64(_8 * np.uint64(k))
    return word


@device
def hash_text(data: Array, first: Any, length: Any) -> Any:
    """A 64-bit hash of data[first:][:length], eight bytes a step; the last step overlaps."""
    h = length * _K2
    if length < _8:
        if length > _0:
            h ^= short_word(data, first, length) * _K1
        return mix(h)
    at, last = first, first + length - _8
    while at < last:
        h = (h ^ load_u64(data, at)) * _K1
        h ^= h >> _S32
        at += _8
    return mix(h ^ load_u64(data, last))


@device
def same_text(arena: Array, start: Any, data: Array, first: Any, length: Any) -> bool:
    """Whether arena[start:][:length] equals data[first:][:length], eight bytes a step."""
    if length < _8:
        if length == _0:
            return True
        word = load_u64(arena, start) & ((_1 << (_8 * length)) - _1)
        return bool(word == short_word(data, first, length))
    last = length - _8
    k = _0
    while k < last:
        if load_u64(arena, start + k) != load_u64(data, first + k):
            return False
        k += _8
    return bool(load_u64(arena, start + last) == load_u64(data, first + last))


@device
def find_text(
    data: Array, first: Any, length: Any, h: Any, slots: Array, starts: Array, arena: Array
) -> tuple[Any, Any]:
    """The slot of a string of hash h, and the string's code plus one; 0 when it is to come there."""
    mask = np.uint64(len(slots) - 1)
    tag = h >> _S32
    slot = tag & mask
    while slots[slot] != _0:
        if slots[slot] >> _S32 == tag:
            found = slots[slot] & _CODE
            start = np.uint64(starts[found - _1])
            if np.uint64(starts[found]) - start == length and same_text(arena, start, data, first, length):
                return slot, found
        slot = (slot + _1) & mask
    return slot, _0


@device
def has_room(count: int, length: Any, slots: Array, starts: Array, arena: Array) -> bool:
    """Whether one more string of that length fits into the table."""
    if 2 * (count + 1) > len(slots) or count + 2 > len(starts):
        return False
    return bool(starts[count] + np.int64(length) + PADDING <= len(arena))


@device
def add_text(
    data: Array, first: Any, length: Any, count: int, entry: Any, slots: Array, starts: Array, arena: Array
) -> None:
    """Makes a string the one with the code `count`; `entry` is its (slot, hash)."""
    slot, h = entry
    at = np.uint64(starts[count])
    for k in range(length):
        arena[at + np.uint64(k)] = data[first + np.uint64(k)]
    starts[count + 1] = np.int64(at + length)
    slots[slot] = (h >> _S32 << _S32) | np.uint64(count + 1)


@kernel("i64(in i64[], in u8[], in u8[], i64, out i64[], out u64[], out i64[], out u8[], out i32[])")
def intern_strings(
    offsets: Array,
    data: Array,
    null: Array,
    start: int,
    count: Array,
    slots: Array,
    starts: Array,
    arena: Array,
    codes: Array,
) -> int:
    """Gives every string its code; returns the row it stopped at for want of room.

    ``codes[i]`` is the code of ``data[offsets[i]:offsets[i + 1]]``, or 0 where ``null[i]``;
    `null` is empty when there is none. The table: its `slots`, and the `arena` that holds all
    strings behind one another, code c from ``starts[c]`` to ``starts[c + 1]``; ``count[0]`` codes
    are in use. Code 0 is the empty string and is there from the start.
    """
    n = np.uint64(len(codes))
    used = count[0]
    i = np.uint64(start)
    while i < n:
        if len(null) and null[i]:
            codes[i] = 0
            i += _1
            continue
        first = np.uint64(offsets[i])
        length = np.uint64(offsets[i + _1]) - first
        h = hash_text(data, first, length)
        slot, found = find_text(data, first, length, h, slots, starts, arena)
        if found == _0:
            if not has_room(used, length, slots, starts, arena):
                break
            add_text(data, first, length, used, (slot, h), slots, starts, arena)
            used += 1
            found = np.uint64(used)
        codes[i] = np.int64(found) - 1
        i += _1
    count[0] = used
    return int(i)


@kernel("i64(in u64[], out u64[])")
def rehash(slots: Array, larger: Array) -> int:
    """Puts the codes of a table into `larger`, empty slots (all 0); returns how many they are."""
    mask = np.uint64(len(larger) - 1)
    count = 0
    for k in range(np.uint64(len(slots))):
        entry = slots[k]
        if entry != _0:
            slot = (entry >> _S32) & mask
            while larger[slot] != _0:
                slot = (slot + _1) & mask
            larger[slot] = entry
            count += 1
    return count


@kernel("i64(in i32[], in i32[], in u8[], out i32[])")
def codes_of_indices(code_of: Array, indices: Array, null: Array, codes: Array) -> int:
    """Writes ``code_of[indices[i]]``, or 0 where ``null[i]``; returns how many lie outside of it.

    `null` is empty when there is none.
    """
    size = np.uint64(len(code_of))
    outside = 0
    for i in range(np.uint64(len(indices))):
        index = np.uint64(np.int64(indices[i]))
        if len(null) and null[i]:
            codes[i] = 0
        elif index < size:
            codes[i] = code_of[index]
        else:
            codes[i] = 0
            outside += 1
    return outside


@kernel("i64(in i32[], in i32[], i64, i64, i64, out i64[], out u64[], out i32[], out i32[], out i32[])")
def intern_pairs(
    left: Array,
    right: Array,
    skip_left: int,
    start: int,
    limit: int,
    count: Array,
    slots: Array,
    lefts: Array,
    rights: Array,
    series: Array,
) -> int:
    """Gives every (left code, right code) its series; returns the row it stopped at for room.

    Rows whose left code is 0 get no series (-1) when `skip_left`; those whose right code is
    negative get that; once `limit` series exist, a new pair gets -2. ``count[0]`` series exist,
    that of number s is (``lefts[s]``, ``rights[s]``).
    """
    mask = np.uint64(len(slots) - 1)
    n = np.uint64(len(left))
    used = count[0]
    i = np.uint64(start)
    while i < n:
        a, b = left[i], right[i]
        if b < 0 or (skip_left and a == 0):
            series[i] = min(b, -1)
            i += _1
            continue
        h = mix(np.uint64(a) << _S32 | np.uint64(b))
        tag = h >> _S32
        slot = tag & mask
        found = _0
        while slots[slot] != _0:
            if slots[slot] >> _S32 == tag:
                code = (slots[slot] & _CODE) - _1
                if lefts[code] == a and rights[code] == b:
                    found = code + _1
                    break
            slot = (slot + _1) & mask
        if found == _0:
            if used >= limit:
                series[i] = -2
                i += _1
                continue
            if 2 * (used + 1) > len(slots) or used >= len(lefts):
                break
            lefts[used] = a
            rights[used] = b
            used += 1
            found = np.uint64(used)
            slots[slot] = tag << _S32 | found
        series[i] = np.int64(found) - 1
        i += _1
    count[0] = used
    return int(i)


@kernel("i64(in i32[], i64, i64, i64, out i32[], out i32[], out i32[])")
def series_of_codes(
    codes: Array, skip_empty: int, count: int, limit: int, series_of: Array, code_of: Array, series: Array
) -> int:
    """Gives every code its series, for a key of one field; returns how many series there are.

    ``series_of[code]`` is -1 until the code is seen. Code 0 gets no series (-1) when
    `skip_empty`; once `limit` series exist, a new code gets -2.
    """
    for i in range(np.uint64(len(codes))):
        code = np.uint64(codes[i])
        if skip_empty and code == _0:
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
