"""Words of log messages: where they are, which of them vary, and a hash of a message's sequence of words.

A token is a run of letters, digits and ``/`` that may hold one or two of ``_ . -`` between two of these.
Bytes of 0x80 and above are letters, so text of every language has words. What the class of a
byte is, the caller says: ``class_of`` has 256 of the classes below.

A token *varies* when it holds a digit, is a hexadecimal number of LEAST_HEX letters or more, begins
with ``/`` (a path) or is a word of a date (of the table `dates`). In a sequence such tokens are VARIABLE, and
one of them stands for a whole list, ``10:15:30`` or ``[1, 2, 3]``: tokens that vary with no space or a
comma between them. Words of the table `stops` are not there at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .intern import hash_text, mix
from .registry import device, kernel

Array = Any

DELIMITER, LETTER, HEX_LETTER, DIGIT, SLASH, CONNECTOR, SPACE, COMMA, LINE_END = 0, 1, 2, 3, 4, 5, 6, 7, 8
"""Classes of bytes: between tokens, in tokens (four), between two bytes of a token; between tokens again, but
those apart that are or are not of one list; at the end of a line."""

ALL_LINES, FIRST_NON_BLANK, FIRST_WITH_LETTERS = 0, 1, 2
"""Which line is read: all of the text, the first that has a token, the first that has a letter."""

MAX_BYTES = 1000
"""As much of a line is read; a token that the limit cuts is not there."""
MAX_TOKENS = 100
"""As many tokens of a line are read."""
LEAST_HEX = 8
"""So many letters from a to f are a number rather than a word: no English word has eight of them."""
_MOST_CONNECTORS = 2

VARIABLE, WILDCARD = np.uint64(1), np.uint64(2)
"""Instead of the hash of a word: a token that varies; in a template, one that is seen to vary."""

_0, _1, _2, _S32 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(32)
_K1 = np.uint64(0x9E3779B97F4A7C15)


@device
def holds(table: Array, h: Any) -> bool:
    """Whether a set of hashes has one: open addressing, a power of two of slots, 0 where empty."""
    mask = np.uint64(len(table) - 1)
    slot = (h >> _S32) & mask
    while table[slot] != _0:
        if table[slot] == h:
            return True
        slot = (slot + _1) & mask
    return False


@device
def token_end(data: Array, at: Any, limit: Any, class_of: Array) -> tuple[Any, bool, bool, bool]:
    """The end of the token that begins at `at`; whether it has letters, digits, and no letter past f."""
    has_letter, has_digit, is_hex = False, False, True
    end = at
    while end < limit:
        kind = class_of[data[end]]
        if kind == LETTER:
            has_letter, is_hex = True, False
        elif kind == HEX_LETTER:
            has_letter = True
        elif kind == DIGIT:
            has_digit = True
        elif kind == SLASH:
            is_hex = False
        elif kind == CONNECTOR:
            # Looks past the connectors: they belong to the token when it goes on behind them.
            past = end + _1
            if past < limit and class_of[data[past]] == CONNECTOR:
                past += _1
            if past >= limit or not LETTER <= class_of[data[past]] <= SLASH:
                break
            is_hex = False
            end = past
            continue
        else:
            break
        end += _1
    return end, has_letter, has_digit, is_hex


@device
def find_tokens(
    data: Array,
    first: Any,
    last: Any,
    rules: tuple[Array, int, Array, Array],
    found: tuple[Array, Array, Array],
) -> tuple[int, int]:
    """Tokens of the text data[first:last]: how many, and how many of them are words.

    `rules` are (class_of, which lines, dates, stops); `found` gets the hash of every token, or
    VARIABLE, and where it begins and ends. Of a list of tokens that vary only the first is there.
    """
    class_of, lines, dates, stops = rules
    hash_t, start_t, stop_t = found
    n = words = 0
    any_letter = has_space = has_comma = False
    at = first
    limit = min(last, first + np.uint64(MAX_BYTES))
    while at < limit:
        kind = class_of[data[at]]
        if kind == LINE_END and lines != ALL_LINES:
            if any_letter or (n > 0 and lines == FIRST_NON_BLANK):
                break
            n = words = 0
            limit = min(last, at + _1 + np.uint64(MAX_BYTES))
        if not LETTER <= kind <= SLASH:
            has_space = has_space or kind in (SPACE, LINE_END)
            has_comma = has_comma or kind == COMMA
            at += _1
            continue
        start = at
        at, has_letter, has_digit, is_hex = token_end(data, start, limit, class_of)
        if (at == limit and limit < last) or n == MAX_TOKENS:
            # Cut by the limit: who knows what it would be. Nothing but the line's end can follow.
            break
        if not (has_letter or has_digit):
            continue
        any_letter = any_letter or has_letter
        h = VARIABLE
        if not has_digit and kind != SLASH and not (is_hex and at - start >= np.uint64(LEAST_HEX)):
            h = max(hash_text(data, start, at - start), WILDCARD + _1)
            if holds(stops, h):
                continue
            if holds(dates, h):
                h = VARIABLE
        is_listed = has_comma or not has_space
        has_space = has_comma = False
        if h == VARIABLE and n > 0 and hash_t[n - 1] == VARIABLE and is_listed:
            continue
        hash_t[n], start_t[n], stop_t[n] = h, np.int64(start), np.int64(at)
        n += 1
        words += int(h != VARIABLE)
    return n, words


@device
def without_words(n: int, words: int, hash_t: Array) -> int:
    """The length of a sequence; without any word every one is that of a single VARIABLE."""
    if words > 0:
        return n
    hash_t[0] = VARIABLE
    return 1


@kernel(
    "i64(in i64[], in u8[], in u8[], i64, in u64[], in u64[], out u64[], out i64[], out i64[], out u64[])"
)
def hash_sequences(
    offsets: Array,
    data: Array,
    class_of: Array,
    lines: int,
    dates: Array,
    stops: Array,
    hash_t: Array,
    start_t: Array,
    stop_t: Array,
    sequence: Array,
) -> int:
    """A hash, never 0, of the sequence of tokens of every text; returns how many texts there are.

    Text i is ``data[offsets[i]:offsets[i + 1]]``. `hash_t`, `start_t` and `stop_t` are room for
    MAX_TOKENS tokens.
    """
    for i in range(len(sequence)):
        k = np.uint64(i)
        first, last = np.uint64(offsets[k]), np.uint64(offsets[k + _1])
        n, words = find_tokens(data, first, last, (class_of, lines, dates, stops), (hash_t, start_t, stop_t))
        n = without_words(n, words, hash_t)
        h = np.uint64(n)
        for t in range(n):
            h = (h ^ hash_t[t]) * _K1
            h ^= h >> _S32
        sequence[k] = mix(h) | _1
    return len(sequence)


@kernel("i64(in u8[], in u8[], i64, in u64[], in u64[], out u64[], out i64[], out i64[])")
def split_text(
    data: Array,
    class_of: Array,
    lines: int,
    dates: Array,
    stops: Array,
    hash_t: Array,
    start_t: Array,
    stop_t: Array,
) -> int:
    """The tokens of one text: their hashes, starts and ends; returns how many there are."""
    n, words = find_tokens(
        data, _0, np.uint64(len(data)), (class_of, lines, dates, stops), (hash_t, start_t, stop_t)
    )
    return without_words(n, words, hash_t)


@kernel("i64(in i64[], in u8[], out u64[])")
def add_words(offsets: Array, data: Array, table: Array) -> int:
    """Puts words into a set of hashes, which must be less than half full; returns how many are new."""
    mask = np.uint64(len(table) - 1)
    added = 0
    for i in range(len(offsets) - 1):
        first = np.uint64(offsets[i])
        h = max(hash_text(data, first, np.uint64(offsets[i + 1]) - first), WILDCARD + _1)
        if not holds(table, h):
            slot = (h >> _S32) & mask
            while table[slot] != _0:
                slot = (slot + _1) & mask
            table[slot] = h
            added += 1
    return added
