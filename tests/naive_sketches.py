"""What sets and bins of a cell come to, from their definitions: plain Python over whole sets of keys."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence

PRECISION = 14
REGISTERS = 1 << PRECISION
LARGEST = 65 - PRECISION
_GREATEST = 0xFFEFFFFFFFFFFFFF
_LEAST = 0x0010000000000000


def distinct_count(hashes: Iterable[int], exact: int) -> int:
    """How many distinct hashes there are; the estimate of `distinct_estimate` for more than `exact`."""
    distinct = set(hashes)
    return len(distinct) if len(distinct) <= exact else math.floor(distinct_estimate(distinct) + 0.5)


def distinct_estimate(hashes: Iterable[int]) -> float:
    """The number of greatest likelihood, given which of its three largest values every register had.

    A hash has the value u in the register of its low bits; at x hashes a register, a value is
    there with probability 1 - exp(-x w(u)), where w(u) = 2^-u, and 2^-50 for the last one.
    """
    values: dict[int, set[int]] = {}
    for h in hashes:
        rest = h >> PRECISION
        zeros = (rest & -rest).bit_length() - 1 if rest else LARGEST - 1
        values.setdefault(h % REGISTERS, set()).add(zeros + 1)
    absent, came = float(REGISTERS - len(values)), Counter[int]()
    for seen in values.values():
        largest = max(seen)
        for u in range(max(largest - 2, 1), LARGEST + 1):
            if u in seen:
                came[u] += 1
            else:
                absent += _weight(u)
    low, high = 0.0, 1.0
    while _slope(high, absent, came) > 0.0:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _slope(middle, absent, came) > 0.0 else (low, middle)
    return high * REGISTERS


def _weight(u: int) -> float:
    return 2.0 ** -min(u, LARGEST - 1)


def _slope(x: float, absent: float, came: Counter[int]) -> float:
    """How the logarithm of the likelihood changes with x."""
    return sum(n * _weight(u) / math.expm1(min(_weight(u) * x, 700.0)) for u, n in came.items()) - absent


def image(x: float) -> int:
    """A number that orders as doubles do."""
    bits = struct.unpack("<Q", struct.pack("<d", x + 0.0))[0]
    return bits ^ (2**64 - 1 if bits >> 63 else 2**63)


def number(code: int) -> float:
    """The double with an image, the nearest finite one if there is none."""
    code = min(max(code, _LEAST), _GREATEST)
    bits = code ^ (2**63 if code >> 63 else 2**64 - 1)
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def bins(numbers: Sequence[float], most: int) -> tuple[int, Counter[int]]:
    """The least number of bits to drop so that there are at most so many bins, and the bins."""
    level = 0
    while len({image(x) >> level for x in numbers}) > most:
        level += 1
    return level, Counter(image(x) >> level for x in numbers)


def quantile(numbers: Sequence[float], q: float, most: int) -> float:
    """The quantile of numbers that are replaced by as many, evenly spread ones in every bin."""
    level, counts = bins(numbers, most)
    spread: list[float] = []
    for code in sorted(counts):
        low, high = number(code << level), number((code << level) + 2**level - 1)
        n = counts[code]
        shares = [(k + 0.5) / n for k in range(n)]
        spread += [low * (1.0 - share) + high * share if level else low for share in shares]
    rank = q * (len(spread) - 1)
    below = math.floor(rank)
    share = rank - below
    low, high = spread[below], spread[min(below + 1, len(spread) - 1)]
    return low if share == 0.0 or low == high else low * (1.0 - share) + high * share


def kept_texts(hash_of: dict[bytes, int], limit: int, longest: int) -> tuple[int, list[bytes]]:
    """The least level at which the texts take at most `limit` bytes, and those of that level, sorted.

    A text is of level k when its hash begins with k zero bits; of a text `longest` bytes count.
    """
    level = 0
    while True:
        kept = sorted(text for text, h in hash_of.items() if h >> (64 - level) == 0)
        if sum(min(len(text), longest) for text in kept) <= limit:
            return level, [text[:longest] for text in kept]
        level += 1
