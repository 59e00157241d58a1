"""The size of a text under DEFLATE, the slow way: symbols as a list, trees by a heap."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

REACH = 32768 - 262
CHAIN, GOOD, LAZY, NICE, TOO_FAR = 32, 8, 16, 128, 4096
BLOCK = 16383

Token = tuple[int, int]
"""(length, distance) of a repetition, or (byte, 0)."""


class _Matcher:
    """Finds what was there before, as zlib does: by a hash of three bytes, latest first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bits = min(max(len(data).bit_length(), 6), 15)
        self.places: dict[int, list[int]] = defaultdict(list)

    def _hash(self, at: int) -> int:
        word = int.from_bytes(self.data[at : at + 3], "little")
        return (word * 0x9E3779B97F4A7C15) % 2**64 >> (64 - self.bits)

    def enter(self, at: int) -> None:
        """Makes a place known."""
        if at + 3 <= len(self.data):
            self.places[self._hash(at)].append(at)

    def longest(self, at: int, than: int) -> Token | None:
        """The longest repetition at a place that is longer than `than`."""
        if at + 3 > len(self.data):
            return None
        most, best = min(len(self.data) - at, 258), None
        near = [p for p in self.places[self._hash(at)][::-1][:CHAIN] if at - p <= REACH]
        for place in near[: CHAIN // 4 if than >= GOOD else CHAIN]:
            length = 0
            while length < most and self.data[place + length] == self.data[at + length]:
                length += 1
            if length > than:
                best, than = (length, at - place), length
                if length >= NICE or length == most:
                    break
        return None if best is None or (best[0] == 3 and best[1] > TOO_FAR) else best


def tokens(data: bytes) -> Iterator[tuple[Token, int]]:
    """The symbols of a text, each with where it ends."""
    matcher, at, last = _Matcher(data), 0, 0
    waiting: Token | None = None
    while at < len(data) or last < at:
        than = waiting[0] if waiting else 2
        found = matcher.longest(at, than) if than < LAZY else None
        matcher.enter(at)
        if waiting and not found:
            yield waiting, at - 1 + waiting[0]
            for place in range(at + 1, at - 1 + waiting[0]):
                matcher.enter(place)
            at = last = max(at + 1, at - 1 + waiting[0])
            waiting = None
            continue
        if last < at:
            yield (data[at - 1], 0), at
            last = at
        if at == len(data):
            return
        waiting = found
        at += 1


def length_symbol(length: int) -> tuple[int, int]:
    """Symbol and extra bits of a length, from the table of RFC 1951."""
    base, symbol = 3, 257
    for extra in (*[0] * 8, *[1] * 4, *[2] * 4, *[3] * 4, *[4] * 4, *[5] * 4):
        if length < 258 and base <= length < base + 2**extra:
            return symbol, extra
        base, symbol = base + 2**extra, symbol + 1
    return 285, 0


def distance_symbol(distance: int) -> tuple[int, int]:
    """Symbol and extra bits of a distance, from the table of RFC 1951."""
    base = 1
    for symbol in range(30):
        extra = max(symbol // 2 - 1, 0)
        if distance < base + 2**extra:
            return symbol, extra
        base += 2**extra
    raise AssertionError(distance)


def tree_bits(counts: Counter[int], size: int) -> tuple[int, int, int]:
    """Bits of the Huffman codes, symbols used, and gaps behind a used symbol."""
    heap = list(counts.values())
    heapq.heapify(heap)
    bits = heap[0] if len(heap) == 1 else 0
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        bits += both
        heapq.heappush(heap, both)
    runs = [used for used, _ in groupby(symbol in counts for symbol in range(size))]
    return bits, len(counts), runs[1:].count(False)


def block_bits(block: Sequence[Token], size: int) -> int:
    """Bits of one block, in the cheapest of the three ways."""
    symbols, distances, extra = Counter({256: 1}), Counter[int](), 0
    for first, distance in block:
        if distance:
            for counts, (symbol, more) in (
                (symbols, length_symbol(first)),
                (distances, distance_symbol(distance)),
            ):
                counts[symbol] += 1
                extra += more
        else:
            symbols[first] += 1
    bits, used, gaps = tree_bits(symbols, 286)
    distance_bits, used_distances, distance_gaps = tree_bits(distances, 30)
    trees = 55 + (used + used_distances) * 7 // 2 + 6 * (gaps + distance_gaps)
    fixed = sum(n * (7 if 256 <= s < 280 else 9 if 144 <= s < 256 else 8) for s, n in symbols.items())
    fixed += 5 * distances.total()
    return min(min(trees + bits + distance_bits, fixed) + 3 + extra, 8 * size + 40)


def deflated_size(data: bytes) -> int:
    """Bytes of a text when compressed; 0 for none."""
    if not data:
        return 0
    total = begin = 0
    block: list[Token] = []
    for token, end in tokens(data):
        block.append(token)
        if len(block) == BLOCK:
            total += block_bits(block, end - begin)
            block, begin = [], end
    return 6 + (total + block_bits(block, len(data) - begin) + 7) // 8
