"""Templates of log messages: the words that the messages of a category have in common, by position.

A template is a sequence of hashes: words, VARIABLE, and WILDCARD where its messages were seen to differ.
Only templates of the same length and the same partition can be alike. Between a message and a template
every position is one of::

    equal      the same word                     (VARIABLE on both sides and WILDCARD count for nothing)
    soft       different, but one of the two is no word of the vocabulary: a name, an identifier
    contrast   two different words of the vocabulary: opened and closed, INFO and ERROR

Templates that share enough words with a message are found through an index from (partition, length,
position, word) to the templates that have it. A template that shares `needed` of the message's W words
is in at least one of any W - needed + 1 lists of the index, so the shortest ones of these are read (prefix
filtering: Chaudhuri, Ganti, Kaushik, ICDE 2006). That takes the place of Drain's tree (He et al., ICWS
2017), which goes by the first words: often the first word is what varies (the host in front of syslog lines).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .intern import mix
from .registry import device
from .tokens import MAX_TOKENS, VARIABLE, WILDCARD, holds

Array = Any

UNKNOWN, KNOWN = 1, 2
"""Words: not of the vocabulary, of the vocabulary. VARIABLE is neither (0)."""

LEAST_VERB = 5
"""Letters of a word that is known by its ending."""

MAX_CANDIDATES = 64
"""As many similar templates are compared with a message; more are left aside."""
MAX_VISITS = 256
"""As many entries of the index are read for a message, the newest of the shortest lists first. Logs that have
templates need few; text without any took 600 us a line with 4096 of them (2026-11-23), 110 us now."""
SLOTS = 12
"""Distinct values that are counted at a position."""
EVIDENCE = 12
"""So much evidence makes a position vary: 4 of each name, 1 of each word of the vocabulary."""
_PER_NAME, _PER_WORD = 4, 1

_0, _1 = np.uint64(0), np.uint64(1)
_K1, _K2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)

FIRST, LENGTH, PARTITION, FORWARD, MATCHES, LONGEST, EXAMPLES, MARK, TEXT = 0, 1, 2, 3, 4, 5, 6, 7, 8
CATEGORY_SIZE = 9
"""A record of `category`: its tokens in `hash_k` (where, how many), its partition, the category that took its
place (itself), how many messages, the characters of the longest, how many examples, the latest search that
met it, its text in `text` (up to that of the next)."""

CATEGORIES, TOKENS, BYTES, NODES, KEYS, SERIAL, FOUND, WHY = 0, 1, 2, 3, 4, 5, 6, 7
USED_SIZE = 8
"""What `used` holds: entries of the tables in use, searches so far, examples found, why the kernel
stopped."""

# The room that a search needs, in `room`: lists of MAX_TOKENS, and the candidates.
_HEADS, _SIZES, _WEIGHT, _CANDIDATES = 0, MAX_TOKENS, 2 * MAX_TOKENS, 3 * MAX_TOKENS
ROOM = 3 * MAX_TOKENS + MAX_CANDIDATES


@device
def words_needed(words: int) -> int:
    """How many of its words a message must share with a template: half of them, rounded up."""
    return (words + 1) // 2


@device
def is_sure(known: int, soft: int) -> bool:
    """Whether the known words that are equal say that those that differ are names.

    ``User alice logged in`` and ``User bob logged in`` are alike at once. In a language that the
    vocabulary does not know nothing is sure, and a third name is waited for.
    """
    return known > soft or known == soft > 1


@device
def kind_of(h: Any, data: Array, stop: int, length: int, vocabulary: Array) -> int:
    """0 for VARIABLE, else UNKNOWN or KNOWN, of a token that ends at `stop`.

    What ends like an English verb or noun made from one (ing, ed, tion) is as good as known.
    """
    if h == VARIABLE:
        return 0
    if holds(vocabulary, h):
        return KNOWN
    if length >= LEAST_VERB:
        a, b, c = data[stop - 3] | 0x20, data[stop - 2] | 0x20, data[stop - 1] | 0x20
        if a == 0x69 and b == 0x6E and c == 0x67:  # ing
            return KNOWN
        if b == 0x65 and c == 0x64:  # ed
            return KNOWN
        if data[stop - 4] | 0x20 == 0x74 and a == 0x69 and b == 0x6F and c == 0x6E:  # tion
            return KNOWN
    return UNKNOWN


@device
def index_key(h: Any, at: int, n: int, partition: int) -> Any:
    """The key of a word at a position of templates of a length in a partition; never 0."""
    place = np.uint64(partition * (MAX_TOKENS + 1) + n) * _K1 + np.uint64(at) * _K2
    return mix(h ^ place) | _1


@device
def find_key(key: Any, key_x: Array) -> Any:
    """The slot of a key in the index, or the empty one where it is to come."""
    mask = np.uint64(len(key_x) - 1)
    slot = (key >> _1) & mask
    while key_x[slot] != _0 and key_x[slot] != key:
        slot = (slot + _1) & mask
    return slot


@device
def live(category: Array, c: int) -> int:
    """The category that took the place of c; c itself mostly."""
    while category[c * CATEGORY_SIZE + FORWARD] != c:
        c = category[c * CATEGORY_SIZE + FORWARD]
    return c


@device
def compare(
    message: tuple[Array, Array, int], first: int, template: tuple[Array, Array]
) -> tuple[int, int, int, int]:
    """Words equal, known words equal, soft and contrasting positions of a message and a template."""
    hash_t, kind_t, n = message
    hash_k, kind_k = template
    equal = known = soft = contrast = 0
    for t in range(n):
        h, k = hash_t[t], hash_k[first + t]
        if h == k:
            equal += int(h != VARIABLE)
            known += int(kind_t[t] == KNOWN)
        elif k != WILDCARD:
            if kind_t[t] == KNOWN and kind_k[first + t] == KNOWN:
                contrast += 1
            else:
                soft += 1
    return equal, known, soft, contrast


@device
def open_lists(
    message: tuple[Array, Array, int], partition: int, index: tuple[Array, Array, Array], room: Array
) -> int:
    """Finds the lists of the message's words in the index; returns how many words there are."""
    hash_t, _, n = message
    key_x, head_x, size_x = index
    words = 0
    for t in range(n):
        if hash_t[t] == VARIABLE:
            continue
        slot = find_key(index_key(hash_t[t], t, n, partition), key_x)
        empty = key_x[slot] == _0
        room[_HEADS + words] = -1 if empty else head_x[slot]
        room[_SIZES + words] = 0 if empty else size_x[slot]
        words += 1
    return words


@device
def take_shortest(words: int, room: Array) -> int:
    """The head of the shortest list not yet taken; -1 when that is empty."""
    best = 0
    for w in range(words):
        if room[_SIZES + w] >= 0 and (room[_SIZES + best] < 0 or room[_SIZES + w] < room[_SIZES + best]):
            best = w
    room[_SIZES + best] = -1
    return int(room[_HEADS + best])


@device
def search(
    message: tuple[Array, Array, int],
    partition: int,
    templates: tuple[Array, Array, Array],
    index: tuple[Array, Array, Array, Array, Array],
    used: Array,
    room: Array,
) -> tuple[int, int, int]:
    """The template that covers a message, the best that is surely alike (-1 for none), how many are similar.

    A template covers a message when no position differs. The similar ones are in `room`. The one with
    the most equal words is the best, of several the oldest.
    """
    category, hash_k, kind_k = templates
    key_x, head_x, size_x, node_c, node_next = index
    used[SERIAL] += 1
    words = open_lists(message, partition, (key_x, head_x, size_x), room)
    needed = words_needed(words)
    cover, cover_equal, sure, sure_equal = -1, -1, -1, -1
    similar = visits = 0
    for _ in range(words - needed + 1 if words > 0 else 0):
        node = take_shortest(words, room)
        while node >= 0 and visits < MAX_VISITS:
            c = node_c[node]
            node = node_next[node]
            visits += 1
            at = c * CATEGORY_SIZE
            if category[at + MARK] == used[SERIAL] or category[at + FORWARD] != c:
                continue
            category[at + MARK] = used[SERIAL]
            equal, known, soft, contrast = compare(message, category[at + FIRST], (hash_k, kind_k))
            if equal < needed:
                continue
            if soft + contrast == 0:
                if equal > cover_equal or (equal == cover_equal and c < cover):
                    cover, cover_equal = c, equal
            elif (
                contrast == 0
                and is_sure(known, soft)
                and (equal > sure_equal or (equal == sure_equal and c < sure))
            ):
                sure, sure_equal = c, equal
            if similar < MAX_CANDIDATES:
                room[_CANDIDATES + similar] = c
                similar += 1
    return cover, sure, similar


@device
def weigh(
    message: tuple[Array, Array, int],
    similar: int,
    templates: tuple[Array, Array, Array],
    room: Array,
    value: Array,
) -> int:
    """Finds the positions that vary among similar templates and the message: their weight is EVIDENCE.

    `value` has room for SLOTS of each position. Returns how many positions of words do not vary.
    """
    hash_t, kind_t, n = message
    category, hash_k, kind_k = templates
    constant = 0
    for t in range(n):
        value[t * SLOTS] = hash_t[t]
        distinct = 1
        weight = _PER_WORD if kind_t[t] == KNOWN else _PER_NAME
        for s in range(similar):
            at = category[room[_CANDIDATES + s] * CATEGORY_SIZE + FIRST] + t
            k = hash_k[at]
            if k == WILDCARD:
                weight = EVIDENCE
            if weight >= EVIDENCE or distinct == SLOTS:
                break
            seen = False
            for d in range(distinct):
                seen = seen or value[t * SLOTS + d] == k
            if not seen:
                value[t * SLOTS + distinct] = k
                distinct += 1
                weight += _PER_WORD if kind_k[at] == KNOWN else _PER_NAME
        room[_WEIGHT + t] = weight
        constant += int(weight < EVIDENCE and hash_t[t] != VARIABLE)
    return constant


@device
def agrees(
    message: tuple[Array, Array, int], c: int, templates: tuple[Array, Array, Array], room: Array
) -> bool:
    """Whether a template equals the message at every position that does not vary, see `weigh`."""
    hash_t, _, n = message
    category, hash_k, _ = templates
    first = category[c * CATEGORY_SIZE + FIRST]
    same = True
    for t in range(n):
        same = same and (room[_WEIGHT + t] >= EVIDENCE or hash_k[first + t] == hash_t[t])
    return bool(same)


@device
def learn(
    message: tuple[Array, Array, int],
    similar: int,
    templates: tuple[Array, Array, Array],
    room: Array,
    value: Array,
) -> int:
    """The oldest similar template that the message equals but for what varies; -1 when there is none.

    It gets wildcards where it varies.
    """
    hash_t, _, n = message
    category, hash_k, _ = templates
    words = 0
    for t in range(n):
        words += int(hash_t[t] != VARIABLE)
    if similar == 0 or weigh(message, similar, templates, room, value) < words_needed(words):
        return -1
    oldest = -1
    for s in range(similar):
        c = room[_CANDIDATES + s]
        if (oldest < 0 or c < oldest) and agrees(message, c, templates, room):
            oldest = c
    if oldest >= 0:
        first = category[oldest * CATEGORY_SIZE + FIRST]
        for t in range(n):
            if room[_WEIGHT + t] >= EVIDENCE:
                hash_k[first + t] = WILDCARD
    return int(oldest)


@device
def widen(message: tuple[Array, Array, int], c: int, templates: tuple[Array, Array, Array]) -> None:
    """Gives a template wildcards where it differs from the message."""
    hash_t, _, n = message
    category, hash_k, _ = templates
    first = category[c * CATEGORY_SIZE + FIRST]
    for t in range(n):
        if hash_k[first + t] != hash_t[t]:
            hash_k[first + t] = WILDCARD


@device
def absorb(c: int, similar: int, n: int, templates: tuple[Array, Array, Array], room: Array) -> None:
    """Puts template c in the place of the similar ones that it covers."""
    category, hash_k, _ = templates
    first = category[c * CATEGORY_SIZE + FIRST]
    for s in range(similar):
        other = room[_CANDIDATES + s]
        at = category[other * CATEGORY_SIZE + FIRST]
        covers = other != c
        for t in range(n):
            k = hash_k[first + t]
            covers = covers and (k == WILDCARD or k == hash_k[at + t])
        if covers:
            category[other * CATEGORY_SIZE + FORWARD] = c
