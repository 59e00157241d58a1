"""Messages to categories, one after the other: a category is what has one template (see `templates`).

Categories are numbered 0, 1, ... in the order of their first messages, whatever batches these come in. A
category whose template another one has come to cover gets no more messages: it is *dead*, and FORWARD
says who took its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .intern import hash_text, mix
from .registry import device, kernel
from .templates import (
    BYTES,
    CATEGORIES,
    CATEGORY_SIZE,
    EXAMPLES,
    FIRST,
    FORWARD,
    FOUND,
    KEYS,
    LENGTH,
    LONGEST,
    MARK,
    MATCHES,
    NODES,
    PARTITION,
    TEXT,
    TOKENS,
    WHY,
    absorb,
    find_key,
    index_key,
    kind_of,
    learn,
    live,
    search,
    widen,
)
from .tokens import VARIABLE, find_tokens, without_words

Array = Any

DOCUMENTS, FAILED, NEXT_CHECK, STOPPED = 0, 1, 2, 3
PARTITION_SIZE = 4
"""What is known of a partition: messages with a category, messages that found no room for one, at how many
messages to look at its status (0: never), whether it takes no more."""

DONE, EXAMPLES_FULL, CHECK, NO_ROOM = 0, 1, 2, 3
"""Why the kernel stopped: no rows are left, as many examples were found as fit, a partition's status is to be
looked at, there is no room for one more category."""

_0, _1 = np.uint64(0), np.uint64(1)
_K1 = np.uint64(0x9E3779B97F4A7C15)
_CONTINUATION, _TOP = 0x80, 0xC0


@device
def has_room(
    n: int,
    length: int,
    templates: tuple[Array, Array, Array],
    index: tuple[Array, Array, Array, Array, Array],
    text: Array,
    used: Array,
) -> bool:
    """Whether one more category of n tokens and a text of that length fits in."""
    fits = (used[CATEGORIES] + 1) * CATEGORY_SIZE <= len(templates[0])
    fits = fits and used[TOKENS] + n <= len(templates[1]) and used[BYTES] + length <= len(text)
    return bool(fits and used[NODES] + n <= len(index[3]) and 2 * (used[KEYS] + n) <= len(index[0]))


@device
def add_template(
    message: tuple[Array, Array, int],
    partition: int,
    templates: tuple[Array, Array, Array],
    index: tuple[Array, Array, Array, Array, Array],
    used: Array,
) -> int:
    """Makes a category of the message's tokens; its text is to come."""
    hash_t, kind_t, n = message
    category, hash_k, kind_k = templates
    key_x, head_x, size_x, node_c, node_next = index
    c = used[CATEGORIES]
    at, first = c * CATEGORY_SIZE, used[TOKENS]
    category[at + FIRST], category[at + LENGTH], category[at + PARTITION] = first, n, partition
    category[at + FORWARD], category[at + MATCHES], category[at + LONGEST] = c, 0, 0
    category[at + EXAMPLES], category[at + MARK], category[at + TEXT] = 0, 0, used[BYTES]
    for t in range(n):
        hash_k[first + t], kind_k[first + t] = hash_t[t], kind_t[t]
        if hash_t[t] == VARIABLE and n > 1:
            continue  # a single one stands for all messages without words
        key = index_key(hash_t[t], t, n, partition)
        slot = find_key(key, key_x)
        if key_x[slot] == _0:
            key_x[slot], head_x[slot], size_x[slot] = key, -1, 0
            used[KEYS] += 1
        node = used[NODES]
        node_c[node], node_next[node] = c, head_x[slot]
        head_x[slot] = node
        size_x[slot] += 1
        used[NODES] += 1
    used[TOKENS] += n
    used[CATEGORIES] += 1
    return int(c)


@device
def match(
    message: tuple[Array, Array, int],
    partition: int,
    templates: tuple[Array, Array, Array],
    index: tuple[Array, Array, Array, Array, Array],
    used: Array,
    room: Array,
    value: Array,
) -> int:
    """The category that a message belongs to, -1 when it needs a new one; its template may get wildcards."""
    hash_t, _, n = message
    if n == 1 and hash_t[0] == VARIABLE:
        slot = find_key(index_key(hash_t[0], 0, n, partition), index[0])
        return int(index[3][index[1][slot]]) if index[0][slot] != _0 else -1
    cover, sure, similar = search(message, partition, templates, index, used, room)
    if cover >= 0:
        return int(cover)
    c = sure
    if sure >= 0:
        widen(message, sure, templates)
    else:
        c = learn(message, similar, templates, room, value)
    if c >= 0:
        absorb(c, similar, n, templates, room)
    return int(c)


@device
def characters(data: Array, first: Any, last: Any) -> int:
    """How many characters UTF-8 text has."""
    count = 0
    for i in range(first, last):
        count += int(data[i] & _TOP != _CONTINUATION)
    return count


@device
def note_match(
    c: int,
    raw: tuple[Array, Any, Any],
    examples: tuple[int, Array, Array, Array],
    row: int,
    category: Array,
    used: Array,
) -> None:
    """Counts a message of a category, and takes it as an example when it is a new one and more are wanted."""
    data, first, last = raw
    limit, example_hash, found_row, found_c = examples
    at = c * CATEGORY_SIZE
    category[at + MATCHES] += 1
    if np.int64(last - first) > category[at + LONGEST]:
        category[at + LONGEST] = max(category[at + LONGEST], characters(data, first, last))
    held = category[at + EXAMPLES]
    if held >= limit:
        return
    h = hash_text(data, first, last - first)
    for k in range(held):
        if example_hash[c * limit + k] == h:
            return
    example_hash[c * limit + held] = h
    category[at + EXAMPLES] = held + 1
    found_row[used[FOUND]], found_c[used[FOUND]] = row, c
    used[FOUND] += 1


@kernel(
    "i64(in i64[], in u8[], in u64[], in i64[], in u8[], in i32[], in i32[], in u8[], i64, in u64[], in"
    " u64[], in u64[], i64, i64, i64, out i64[], out i64[], out i64[], out u8[], out u64[], out u8[], out"
    " u64[], out i32[], out i32[], out i32[], out i32[], out u64[], out i32[], out u64[], out i64[], out"
    " i64[], out u64[], out u8[], out i64[], out i64[], out i64[], out u64[], out i32[])"
)
def categorize(
    offsets: Array,
    data: Array,
    sequence: Array,
    raw_offsets: Array,
    raw_data: Array,
    text_r: Array,
    partition_r: Array,
    class_of: Array,
    lines: int,
    dates: Array,
    stops: Array,
    vocabulary: Array,
    example_limit: int,
    is_full: int,
    start: int,
    used: Array,
    partition_p: Array,
    category: Array,
    text: Array,
    hash_k: Array,
    kind_k: Array,
    key_x: Array,
    head_x: Array,
    size_x: Array,
    node_c: Array,
    node_next: Array,
    cache_key: Array,
    cache_c: Array,
    example_hash: Array,
    found_row: Array,
    found_c: Array,
    hash_t: Array,
    kind_t: Array,
    start_t: Array,
    stop_t: Array,
    room: Array,
    value: Array,
    codes: Array,
) -> int:
    """Gives every row the number of its category plus one, 0 for none; returns the row it stopped at.

    Row r has the text ``text_r[r]`` (-1 for none, the empty text is none too) of partition
    ``partition_r[r]`` (0 when that is empty). Text i is ``data[offsets[i]:offsets[i + 1]]``, with
    ``sequence[i]`` of `tokens.hash_sequences`; raw_offsets and raw_data are the texts as they came, before
    filters. When ``used[WHY]`` is NO_ROOM the caller makes the tables larger and calls again; with
    `is_full` messages that need a new category get none instead. The rows of new examples are
    ``found_row[:used[FOUND]]``, their categories `found_c`; the caller sets ``used[FOUND]`` back to 0.

    The tables: `category` (see templates.CATEGORY_SIZE) with `text`, `hash_k`, `kind_k` and
    `example_hash`; the index `key_x`, `head_x`, `size_x` with lists of `node_c`, `node_next`; and the cache
    of sequences, where each has one place and the latest stays.
    """
    templates = (category, hash_k, kind_k)
    index = (key_x, head_x, size_x, node_c, node_next)
    mask = np.uint64(len(cache_key) - 1)
    row = start
    used[WHY] = DONE
    while row < len(text_r):
        i = text_r[row]
        partition: int = np.int64(partition_r[row]) if len(partition_r) else 0  # type: ignore[assignment]
        own = partition * PARTITION_SIZE
        if i < 0 or raw_offsets[i] == raw_offsets[i + 1] or partition_p[own + STOPPED]:
            codes[row] = 0
            row += 1
            continue
        if used[FOUND] == len(found_row):
            used[WHY] = EXAMPLES_FULL
            break
        key = mix(sequence[i] ^ np.uint64(partition) * _K1) | _1
        slot = (key >> _1) & mask
        if cache_key[slot] == key:
            c = live(category, cache_c[slot])
        else:
            rules, found = (class_of, lines, dates, stops), (hash_t, start_t, stop_t)
            n, words = find_tokens(data, np.uint64(offsets[i]), np.uint64(offsets[i + 1]), rules, found)
            first, length = 0, 0
            if words > 0:
                first, length = start_t[0], stop_t[n - 1] - start_t[0]
            n = without_words(n, words, hash_t)
            for t in range(n):
                kind_t[t] = kind_of(hash_t[t], data, stop_t[t], stop_t[t] - start_t[t], vocabulary)
            c = match((hash_t, kind_t, n), partition, templates, index, used, room, value)
            if c < 0 and not has_room(n, length, templates, index, text, used):
                if not is_full:
                    used[WHY] = NO_ROOM
                    break
                partition_p[own + FAILED] += 1
                codes[row] = 0
                row += 1
                continue
            if c < 0:
                c = add_template((hash_t, kind_t, n), partition, templates, index, used)
                for k in range(length):
                    text[used[BYTES] + k] = data[first + k]
                used[BYTES] += length
            cache_key[slot], cache_c[slot] = key, c
        raw = (raw_data, np.uint64(raw_offsets[i]), np.uint64(raw_offsets[i + 1]))
        note_match(c, raw, (example_limit, example_hash, found_row, found_c), row, category, used)
        codes[row] = c + 1
        row += 1
        partition_p[own + DOCUMENTS] += 1
        if partition_p[own + DOCUMENTS] == partition_p[own + NEXT_CHECK]:
            used[WHY] = CHECK
            break
    return row


@kernel("i64(in u64[], in i32[], in i32[], out u64[], out i32[], out i32[])")
def move_index(key_x: Array, head_x: Array, size_x: Array, key_y: Array, head_y: Array, size_y: Array) -> int:
    """Puts the entries of an index into a larger, empty one (all 0); returns how many they are."""
    count = 0
    for x in range(len(key_x)):
        if key_x[x] != _0:
            slot = find_key(key_x[x], key_y)
            key_y[slot], head_y[slot], size_y[slot] = key_x[x], head_x[x], size_x[x]
            count += 1
    return count
