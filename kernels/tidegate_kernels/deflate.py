"""How many bytes a text has when it is compressed as DEFLATE does, without compressing it.

Repetitions are found as zlib's level 6 finds them (RFC 1951, section 4): a hash of three bytes leads
to the places where they were, the latest first, and a repetition is put off by a byte when a longer one
begins there. Every block of symbols then costs what its Huffman codes come to, which is the sum of
the weights of the inner nodes of the two trees, plus the extra bits and about what the trees themselves
take; or what the fixed codes come to, or the bytes as they are, whichever is least.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .intrinsics import bits_of, load_u64, trailing_zeros
from .registry import device

Array = Any

WINDOW = 32768
HASH_BITS = 15
HEADS = 1 << HASH_BITS
SYMBOLS = 286
DISTANCES = 30
COUNTS = SYMBOLS + DISTANCES
"""Numbers that the symbols of a block are counted in."""
WEIGHTS = 2 * SYMBOLS
"""Numbers that a Huffman tree is built in."""

_SHORTEST, _LONGEST = 3, 258
_CHAIN = 32  # places that are looked at for a repetition
_GOOD, _LAZY, _NICE = 8, 16, 128  # as zlib's level 6
_TOO_FAR = 4096  # a repetition of three bytes is not worth a distance like that
_BLOCK = 16384 - 1  # symbols
_FRAME = 6  # bytes of zlib's header and checksum
_END = 256
_HASH = np.uint64(0x9E3779B97F4A7C15)
_THREE, _0, _8 = np.uint64(0xFFFFFF), np.uint64(0), np.uint64(8)


@device
def exponent(n: int) -> int:
    """The largest k with 2^k <= n."""
    return (bits_of(float(n)) >> 52) - 1023


@device
def length_symbol(length: int) -> tuple[int, int]:
    """The symbol of a repetition's length, and how many extra bits go with it."""
    if length == _LONGEST:
        return 285, 0
    n = length - _SHORTEST
    if n < 8:
        return 257 + n, 0
    extra = exponent(n) - 2
    return 257 + 4 * extra + (n >> extra), extra


@device
def distance_symbol(distance: int) -> tuple[int, int]:
    """The symbol of a repetition's distance, and how many extra bits go with it."""
    n = distance - 1
    if n < 4:
        return n, 0
    extra = exponent(n) - 1
    return 2 * extra + (n >> extra), extra


@device
def hash_at(data: Array, at: int, bits: int) -> Any:
    """The hash of three bytes; four must be there."""
    word = load_u64(data, at) & _THREE
    return np.int64((word * _HASH) >> np.uint64(64 - bits))


@device
def common_length(data: Array, a: int, b: int, most: int) -> int:
    """How many bytes from a and from b on are the same; reads up to 8 bytes past `most`."""
    n = 0
    while n < most:
        differ = load_u64(data, a + n) ^ load_u64(data, b + n)
        if differ != _0:
            return min(n + (trailing_zeros(differ) >> 3), most)
        n += 8
    return most


@device
def longest_repetition(data: Array, at: int, n: int, found: int, than: int, before: Array) -> tuple[int, int]:
    """Length and distance of the longest repetition at a place that is longer than `than`; else (`than`, 0).

    `found` is the latest place with the same hash, `before` the one before each, -1 for none.
    """
    best, distance = than, 0
    most = min(n - at, _LONGEST)
    chain = _CHAIN >> 2 if than >= _GOOD else _CHAIN
    while found >= 0 and at - found <= WINDOW - 262 and chain > 0:
        if best < most and data[found + best] == data[at + best]:
            length = common_length(data, found, at, most)
            if length > best:
                best, distance = length, at - found
                if length >= _NICE or length == most:
                    break
        earlier = before[found & (WINDOW - 1)]
        if earlier >= found:
            break
        found = earlier
        chain -= 1
    return best, distance


@device
def tree_bits(counts: Array, first: int, size: int, weights: Array) -> tuple[int, int, int]:
    """Bits of the Huffman codes of some counts; how many are used, and how many gaps lie between them.

    The inner nodes of the tree come to be in ascending order (van Leeuwen 1976).
    """
    used = gaps = 0
    for k in range(size):
        w = counts[first + k]
        if w == 0:
            if k > 0 and counts[first + k - 1] > 0:
                gaps += 1
            continue
        at = used
        while at > 0 and weights[at - 1] > w:
            weights[at] = weights[at - 1]
            at -= 1
        weights[at] = w
        used += 1
    if used == 1:
        return weights[0], used, gaps
    bits = 0
    leaf, node, last = 0, SYMBOLS, SYMBOLS
    for _ in range(used - 1):
        weight = 0
        for _ in range(2):
            if node == last or (leaf < used and weights[leaf] <= weights[node]):
                weight += weights[leaf]
                leaf += 1
            else:
                weight += weights[node]
                node += 1
        weights[last] = weight
        last += 1
        bits += weight
    return bits, used, gaps


@device
def fixed_bits(counts: Array) -> int:
    """Bits of the fixed codes: 8, 9 for literals from 144, 7 for the lower lengths; 5 for distances."""
    bits = 0
    for k in range(SYMBOLS):
        bits += counts[k] * (7 if 256 <= k < 280 else 9 if 144 <= k < 256 else 8)
    for k in range(SYMBOLS, COUNTS):
        bits += counts[k] * 5
    return bits


@device
def block_bits(counts: Array, extra: int, size: int, weights: Array) -> int:
    """Bits of a block of `size` bytes whose symbols were counted; the counts begin anew."""
    counts[_END] += 1
    symbol, used, gaps = tree_bits(counts, 0, SYMBOLS, weights)
    distance, used_distances, distance_gaps = tree_bits(counts, SYMBOLS, DISTANCES, weights)
    # The two trees are written as lengths of codes, themselves coded, and runs of unused symbols.
    trees = 55 + (7 * (used + used_distances)) // 2 + 6 * (gaps + distance_gaps)
    bits = min(3 + trees + symbol + distance, 3 + fixed_bits(counts)) + extra
    for k in range(COUNTS):
        counts[k] = 0
    return min(bits, 8 * size + 40)


@device
def deflated_size(data: Array, n: int, head: Array, before: Array, counts: Array, weights: Array) -> int:
    """Bytes of data[:n] when compressed, 0 for none; `data` has 16 bytes more.

    `head` has room for `HEADS` places, `before` for `WINDOW`, `counts` for `COUNTS` and `weights` for
    `WEIGHTS` numbers.
    """
    if n == 0:
        return 0
    bits_of_hash = min(max(exponent(n) + 1, 6), HASH_BITS)
    for k in range(1 << bits_of_hash):
        head[k] = -1
    for k in range(COUNTS):
        counts[k] = 0
    total = extra = symbols = block = 0
    at = 0
    put_off, put_off_distance = 2, 0  # the repetition one byte earlier
    waits = False
    while at < n or waits:
        length, distance = 2, 0
        if at + _SHORTEST <= n:
            h = hash_at(data, at, bits_of_hash)
            found = head[h]
            if found >= 0 and put_off < _LAZY:
                length, distance = longest_repetition(data, at, n, found, put_off, before)
                if distance == 0 or (length == _SHORTEST and distance > _TOO_FAR):
                    length, distance = 2, 0
            before[at & (WINDOW - 1)] = found
            head[h] = at
        if put_off_distance > 0 and length <= put_off:
            symbol, more = length_symbol(put_off)
            counts[symbol] += 1
            extra += more
            symbol, more = distance_symbol(put_off_distance)
            counts[SYMBOLS + symbol] += 1
            extra += more
            symbols += 1
            end = at - 1 + put_off
            at += 1
            while at < end:
                if at + _SHORTEST <= n:
                    h = hash_at(data, at, bits_of_hash)
                    before[at & (WINDOW - 1)] = head[h]
                    head[h] = at
                at += 1
            put_off, put_off_distance = 2, 0
            waits = False
        else:
            if waits:
                counts[data[at - 1]] += 1
                symbols += 1
            if at == n:
                break
            put_off, put_off_distance = length, distance
            waits = True
            at += 1
        if symbols >= _BLOCK:
            done = at - 1 if waits else at
            total += block_bits(counts, extra, done - block, weights)
            extra, symbols, block = 0, 0, done
    total += block_bits(counts, extra, n - block, weights)
    return _FRAME + (total + 7) // 8
