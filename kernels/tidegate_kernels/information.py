"""How much information the distinct texts of a cell hold: their size, in order, when compressed.

A cell has the hashes of its texts (`distinct.merge_sets`), and a table of strings (`intern`) their
bytes. When the texts of a cell take more than a limit, only those are kept whose hashes begin with
as many zeros, the level, as it takes to stay within it. The level never falls and is the least one
for all texts of the cell together, so what is kept depends on the set of texts alone. A level
halves the texts: the size is then that of those kept times 2^level. Texts that are like their
neighbours lose some of them, and few large ones are sampled coarsely: beside the size of all, it was 7%
above for 1.3 MB of domains, 9% above for 5.9 MB of URLs, within 2% for random names, digits and base64,
9% below for 17 MB in 3,000 scripts (one draw of each, 2026-11-23).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .deflate import deflated_size
from .intern import _CODE, _S32
from .intrinsics import double_of, load_u64
from .registry import device, kernel

Array = Any

KEPT_BYTES = 1 << 20
"""The most bytes of text that a cell keeps."""
LONGEST_TEXT = 1 << 14
"""Bytes of a text beyond which nothing counts, so that the kept texts are always many."""

_0, _1, _8, _64 = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(64)
_BYTE = np.uint64(0xFF)
_PAIRS, _WORDS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_S8, _S16 = np.uint64(8), np.uint64(16)


@device
def code_of_hash(h: Any, slots: Array, hash_of: Array) -> Any:
    """The code of the string with a hash; -1 when the table has none."""
    mask = np.uint64(len(slots) - 1)
    tag = h >> _S32
    slot = tag & mask
    while slots[slot] != _0:
        if slots[slot] >> _S32 == tag:
            code = np.int64(slots[slot] & _CODE) - 1
            if hash_of[code] == h:
                return code
        slot = (slot + _1) & mask
    return -1


@device
def text_size(code: int, starts: Array) -> int:
    """How many bytes of a text count."""
    return min(starts[code + 1] - starts[code], LONGEST_TEXT) if code >= 0 else 0


@kernel("i64(i64, i64, in u64[], in u64[], in i64[], out i64[], out i64[], out u64[], out i64[])")
def thin_sets(
    n: int,
    limit: int,
    slots: Array,
    hash_of: Array,
    starts: Array,
    form_c: Array,
    first_c: Array,
    keys: Array,
    bytes_l: Array,
) -> int:
    """Raises the level ``form_c[c]`` of n cells until their texts take at most `limit` bytes.

    Keys of other levels leave; what stays is moved together. `bytes_l` has room for 65 sums.
    Returns how many keys stay.
    """
    at = 0
    for c in range(n):
        for level in range(65):
            bytes_l[level] = 0
        first, last = first_c[c], first_c[c + 1]
        first_c[c] = at
        for k in range(first, last):
            size = text_size(code_of_hash(keys[k], slots, hash_of), starts)
            bytes_l[leading_zeros(keys[k])] += size
        total = 0
        for level in range(form_c[c], 65):
            total += bytes_l[level]
        level = form_c[c]
        while total > limit:
            total -= bytes_l[level]
            level += 1
        form_c[c] = level
        for k in range(first, last):
            if leading_zeros(keys[k]) >= level:
                keys[at] = keys[k]
                at += 1
    first_c[n] = at
    return at


@device
def leading_zeros(word: Any) -> int:
    """How many of the highest bits are zero."""
    n = 0
    while n < 64 and word >> np.uint64(63 - n) == _0:
        n += 1
    return n


@device
def big_endian(word: Any) -> Any:
    """The bytes of a word in reverse, so that words compare as texts do."""
    word = (word >> _S8 & _PAIRS) | (word & _PAIRS) << _S8
    word = (word >> _S16 & _WORDS) | (word & _WORDS) << _S16
    return word >> _S32 | word << _S32


@device
def word_at(arena: Array, start: int, length: int, k: int) -> Any:
    """The bytes from k to k + 8 of a text as a word that compares as they do; zeros behind its end."""
    if k >= length:
        return _0
    word = big_endian(load_u64(arena, start + k))
    left = length - k
    return word if left >= 8 else word & ~((_1 << np.uint64(64 - 8 * left)) - _1)


@device
def is_before(a: int, b: int, starts: Array, arena: Array) -> bool:
    """Whether text a comes before text b, byte by byte; their first eight bytes are the same."""
    length_a, length_b = starts[a + 1] - starts[a], starts[b + 1] - starts[b]
    k = 8
    while k < min(length_a, length_b):
        left, right = word_at(arena, starts[a], length_a, k), word_at(arena, starts[b], length_b, k)
        if left != right:
            return bool(left < right)
        k += 8
    return bool(length_a < length_b)


@device
def order_texts(
    n: int, starts: Array, arena: Array, code: Array, head: Array, code_b: Array, head_b: Array
) -> bool:
    """Sorts n texts by their bytes; whether the order is in `code_b` rather than in `code`.

    A merge sort; `head` has the first eight bytes of each, so that most are not looked up.
    """
    width, swapped = 1, False
    while width < n:
        for first in range(0, n, 2 * width):
            middle, last = min(first + width, n), min(first + 2 * width, n)
            a, b = first, middle
            for k in range(first, last):
                if swapped:
                    take_b = a == middle or (b < last and goes_first(head_b, code_b, b, a, starts, arena))
                    at = b if take_b else a
                    code[k], head[k] = code_b[at], head_b[at]
                else:
                    take_b = a == middle or (b < last and goes_first(head, code, b, a, starts, arena))
                    at = b if take_b else a
                    code_b[k], head_b[k] = code[at], head[at]
                if take_b:
                    b += 1
                else:
                    a += 1
        swapped = not swapped
        width *= 2
    return swapped


@device
def goes_first(head: Array, code: Array, b: int, a: int, starts: Array, arena: Array) -> bool:
    """Whether the text in place b comes before the one in place a."""
    if head[b] != head[a]:
        return bool(head[b] < head[a])
    return is_before(code[b], code[a], starts, arena)


@device
def copy_text(arena: Array, start: int, size: int, text: Array, at: int) -> None:
    """Copies a text behind what `text` has; `text` and the arena have 8 bytes more."""
    for k in range(size):
        text[at + k] = arena[start + k]


@kernel(
    "i64(in i64[], in i64[], in i64[], in u64[], in u64[], in u64[], in i64[], in u8[],"
    " out i64[], out u64[], out i64[], out u64[], out u8[], out i64[], out i64[], out i64[], out i64[],"
    " out f64[])"
)
def measure_information(
    rows_c: Array,
    form_c: Array,
    first_c: Array,
    keys: Array,
    slots: Array,
    hash_of: Array,
    starts: Array,
    arena: Array,
    code: Array,
    head: Array,
    code_b: Array,
    head_b: Array,
    text: Array,
    place: Array,
    before: Array,
    counts: Array,
    weights: Array,
    record_c: Array,
) -> int:
    """Writes (number of values, compressed size) of every cell; returns how many texts were not found.

    The texts of a cell are sorted by their bytes and put behind one another. `text` has room for
    the largest cell and 16 bytes; `code`, `head` and their second copies for its texts; what follows
    is for `deflate.deflated_size`.
    """
    missing = 0
    for c in range(len(rows_c)):
        n = 0
        for k in range(first_c[c], first_c[c + 1]):
            found = code_of_hash(keys[k], slots, hash_of)
            if found < 0:
                missing += 1
                continue
            code[n] = found
            head[n] = word_at(arena, starts[found], starts[found + 1] - starts[found], 0)
            n += 1
        swapped = order_texts(n, starts, arena, code, head, code_b, head_b)
        size = 0
        for k in range(n):
            one = code_b[k] if swapped else code[k]
            length = text_size(one, starts)
            copy_text(arena, starts[one], length, text, size)
            size += length
        record_c[2 * c] = rows_c[c]
        share = double_of((1023 + form_c[c]) << 52)
        record_c[2 * c + 1] = deflated_size(text, size, place, before, counts, weights) * share
    return missing


@kernel("i64(in u64[], in u64[], in u64[], out u8[])")
def mark_hashes(keys: Array, slots: Array, hash_of: Array, lives: Array) -> int:
    """Marks the codes of hashes; returns how many are newly marked."""
    made = 0
    for k in range(len(keys)):
        if keys[k] == _0:
            continue
        code = code_of_hash(keys[k], slots, hash_of)
        if code >= 0 and lives[code] == 0:
            lives[code] = 1
            made += 1
    return made
