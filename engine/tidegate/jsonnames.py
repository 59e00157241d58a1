"""How many columns the records of a JSON text would need, before anything makes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CELLS_PER_BYTE = 8
_LONGEST_NAME = 64
_SLOT_BITS = 16
_MULTIPLIERS = tuple(np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xC2B2AE3D27D4EB4F))


def is_sparse(lines: bytes) -> bool:
    """Whether the columns of all fields may take far more memory than the text of the records, one a line.

    In 200 KB of records that have one field each, of a name of its own, they took 2 GB. Never false where
    it matters: names count as different where that is not quite sure. Some 1 ns a byte.
    """
    rows = lines.count(b"\n") + 1
    most = CELLS_PER_BYTE * len(lines) // rows
    if most >= len(lines) // 4:  # a name takes four bytes
        return False
    return _names(lines) > min(most, 1 << (_SLOT_BITS - 2))


def _names(lines: bytes) -> int:
    """About how many different names there are, rather too many than too few."""
    data = np.frombuffer(lines + bytes(8), np.uint8)
    colons = np.flatnonzero(data == ord(":"))
    before = data[colons - 1]
    if (before <= ord(" ")).any():
        return 1 << _SLOT_BITS  # names that end before the colon's blanks are not looked for
    quotes = np.flatnonzero(data == ord('"'))
    closing = np.flatnonzero(data[quotes + 1] == ord(":"))
    closing = closing[closing > 0]
    start, length = quotes[closing - 1] + 1, quotes[closing] - quotes[closing - 1] - 1
    if (length > _LONGEST_NAME).any():
        return 1 << _SLOT_BITS
    seen = np.zeros(1 << _SLOT_BITS, np.bool_)
    seen[_hashes(data, start, length) >> np.uint64(64 - _SLOT_BITS)] = True
    return int(np.count_nonzero(seen))


def _hashes(
    data: npt.NDArray[np.uint8], start: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """A hash of every text data[start:start + length]; 8 bytes follow the data."""
    words = np.ndarray((len(data) - 7,), np.uint64, data, strides=(1,))
    hashes = length.astype(np.uint64) * _MULTIPLIERS[0]
    left = np.arange(len(start))
    done = 0
    while len(left):
        size = np.minimum(length[left] - done, 8)
        word = words[np.minimum(start[left] + done, len(words) - 1)]
        word = np.where(
            size < 8, word & ((np.uint64(1) << (8 * size).astype(np.uint64)) - np.uint64(1)), word
        )
        mixed = (hashes[left] ^ word) * _MULTIPLIERS[1]
        hashes[left] = (mixed ^ (mixed >> np.uint64(29))) * _MULTIPLIERS[2]
        done += 8
        left = left[length[left] > done]
    return hashes
