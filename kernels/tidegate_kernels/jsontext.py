"""The strings of JSON text: where they end, and whether they are UTF-8."""

from __future__ import annotations

from typing import Any

import numpy as np

from .intrinsics import load_u64, trailing_zeros
from .registry import device

Array = Any

NOWHERE = np.uint64(0)
"""No place where something could end."""

_0, _1, _2, _3, _4, _6, _8 = (np.uint64(k) for k in (0, 1, 2, 3, 4, 6, 8))
_ONES, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _SLASHES = np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_BLANKS = np.uint64(0x2020202020202020)


@device
def skip_blanks(data: Array, at: Any) -> Any:
    """Past blanks, tabs and carriage returns."""
    while data[at] == 32 or data[at] == 13 or data[at] == 9:
        at += _1
    return at


@device
def character_end(data: Array, at: Any) -> Any:
    """Where the UTF-8 character of two to four bytes at data[at:] ends, or nowhere."""
    first, second = data[at], data[at + _1]
    if first < 0xC2 or first > 0xF4 or second & 0xC0 != 0x80:
        return NOWHERE
    if first < 0xE0:
        return at + _2
    if (first == 0xE0 and second < 0xA0) or (first == 0xED and second >= 0xA0):
        return NOWHERE
    if data[at + _2] & 0xC0 != 0x80:
        return NOWHERE
    if first < 0xF0:
        return at + _3
    if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second >= 0x90):
        return NOWHERE
    return at + _4 if data[at + _3] & 0xC0 == 0x80 else NOWHERE


@device
def escape_end(data: Array, at: Any) -> Any:
    """Where the escape at data[at:] ends, or nowhere."""
    kind = data[at + _1]
    if kind != 117:
        simple = kind == 34 or kind == 92 or kind == 47 or kind == 98 or kind == 102
        simple = simple or kind == 110 or kind == 114 or kind == 116
        return at + _2 if simple else NOWHERE
    for k in range(2, 6):
        digit = data[at + np.uint64(k)]
        if not (48 <= digit <= 57 or 97 <= digit | 32 <= 102):
            return NOWHERE
    return at + _6


@device
def text_end(data: Array, at: Any, escapes: bool) -> Any:
    """Where the closing quote of a string is whose content starts at data[at:], or nowhere."""
    while True:
        word = load_u64(data, at)
        quote, slash = word ^ _QUOTES, word ^ _SLASHES
        # A byte's highest bit is set where it is a quote, a backslash, a control character or not
        # ASCII; the lowest of these bits is right, others may come of a borrow.
        special = ((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _BLANKS) & ~word)
        special = (special | word) & _HIGH
        if special == _0:
            at += _8
            continue
        at += np.uint64(trailing_zeros(special)) >> _3
        if data[at] == 34:
            return at
        if data[at] >= 128:
            at = character_end(data, at)
        elif data[at] == 92 and escapes:
            at = escape_end(data, at)
        else:
            return NOWHERE
        if at == NOWHERE:
            return NOWHERE
