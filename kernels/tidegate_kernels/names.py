"""How many different names the fields of a JSON text have."""

from __future__ import annotations

from typing import Any

import numpy as np

from .intern import hash_text
from .registry import kernel

Array = Any

_0, _1, _2 = np.uint64(0), np.uint64(1), np.uint64(2)


@kernel("i64(in u8[], i64, out u64[])")
def count_names(data: Array, limit: int, slots: Array) -> int:
    """The different strings before a colon, as they are written; counts no further than to limit + 1.

    They are told apart by their hashes; `slots` are empty (0), a power of two, more than limit + 1. Names
    with an escape in one of their letters count as others than those without.
    """
    at, end = _0, np.uint64(len(data))
    mask = np.uint64(len(slots) - 1)
    count = 0
    while at < end and count <= limit:
        if data[at] != 34:
            at += _1
            continue
        at += _1
        start = at
        while at < end and data[at] != 34:
            at += _2 if data[at] == 92 else _1
        length = at - start
        at += _1
        while at < end and data[at] <= 32:
            at += _1
        if at >= end or data[at] != 58:
            continue
        h = hash_text(data, start, length) | _1
        slot = (h >> np.uint64(20)) & mask
        while slots[slot] != _0 and slots[slot] != h:
            slot = (slot + _1) & mask
        if slots[slot] == _0:
            slots[slot] = h
            count += 1
    return count
