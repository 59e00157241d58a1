"""Lines of JSON records to columns, straight from the bytes.

The scanner reads what is plain: objects of scalars with known names, one a line. It hands back,
by its place, a line with anything else (an escape, a nested value, an unknown or a repeated name,
a value of another kind, a number that `numbertext` does not read, what is no UTF-8 or no JSON);
what it takes, it takes exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .intern import add_text, has_room, hash_text, same_text
from .intrinsics import bits_of, load_u64, trailing_zeros
from .jsontext import NOWHERE, skip_blanks, text_end
from .numbertext import FRACTION, ODD, WHOLE, read_number
from .registry import device, kernel

Array = Any

SKIPPED, CODED, TEXT, NUMBER, INTEGER, TRUTH, NOTHING = 0, 1, 2, 3, 4, 5, 6
"""What is taken of a field: nothing, the code of its text, where its text is, a number, a number
that is an integer, true or false, or only null."""
MISSING = 0x7FFC_0DE5_0000_0000
"""Stands for no value; its lower half is 0, a code that every dictionary has."""
HAS_MISSING, HAS_FRACTION = 1, 2
"""What a column holds besides integers."""
MOST_FIELDS = 64
PADDING = 8

# Where a scan stands, and why it ended there.
ROWS, STATUS, TEXTS, STATE_SIZE = 0, 1, 2, 3
DONE, ODD_LINE, FULL, NO_ROOM = 0, 1, 2, 3

_WAIT = np.uint64(1)  # like NOWHERE, no place where a value could end
_0, _1, _4, _5, _8, _64 = (np.uint64(k) for k in (0, 1, 4, 5, 8, 64))
_S32, _CODE, _ALL = np.uint64(32), np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFFFFFFFFFF)
_FIELD = np.uint64(0xD6E8FEB86659FD93)
_NULL, _TRUE, _FALS = (np.uint64(int.from_bytes(word, "little")) for word in (b"null", b"true", b"fals"))


@device
def is_name(data: Array, at: Any, field: Any, names: Array, name_starts: Array) -> bool:
    """Whether data[at:] is the name of a field and a quote."""
    start = np.uint64(name_starts[field])
    length = np.uint64(name_starts[field + _1]) - start
    k = _0
    while k + _8 <= length:
        if load_u64(data, at + k) != load_u64(names, start + k):
            return False
        k += _8
    unlike = load_u64(data, at + k) ^ load_u64(names, start + k)
    return bool(unlike & ((_1 << (_8 * (length - k))) - _1) == _0 and data[at + length] == 34)


@device
def find_field(data: Array, at: Any, expected: Any, names: Array, name_starts: Array) -> Any:
    """The field whose name and a quote are at data[at:]; as many as there are for none."""
    n = np.uint64(len(name_starts) - 1)
    if is_name(data, at, expected, names, name_starts):
        return expected
    field = _0
    while field < n and not is_name(data, at, field, names, name_starts):
        field += _1
    return field


@device
def code_of_text(
    data: Array,
    first: Any,
    length: Any,
    field: Any,
    state: Array,
    slots: Array,
    starts: Array,
    arena: Array,
    field_of: Array,
    code_of: Array,
    counts: Array,
) -> int:
    """The code of a string among those of its field, -1 when there is no room for a new one."""
    h = hash_text(data, first, length) ^ (field * _FIELD)
    mask = np.uint64(len(slots) - 1)
    tag = h >> _S32
    slot = tag & mask
    while slots[slot] != _0:
        if slots[slot] >> _S32 == tag:
            found = (slots[slot] & _CODE) - _1
            start = np.uint64(starts[found])
            if (
                np.uint64(starts[found + _1]) - start == length
                and np.uint64(field_of[found]) == field
                and same_text(arena, start, data, first, length)
            ):
                return np.int64(code_of[found])  # type: ignore[return-value]
        slot = (slot + _1) & mask
    used = state[TEXTS]
    if not has_room(used, length, slots, starts, arena):
        return -1
    add_text(data, first, length, used, (slot, h), slots, starts, arena)
    code = counts[field]
    field_of[used] = field
    code_of[used] = code
    counts[field] = code + 1
    state[TEXTS] = used + 1
    return np.int64(code)  # type: ignore[return-value]


@device
def put_number(what: int, value: int, field: Any, slot: Any, row: int, columns: Array, flags: Array) -> None:
    """Puts a number into its column: integers, until the first fraction makes all of it doubles."""
    if what == FRACTION and not flags[field] & HAS_FRACTION:
        flags[field] |= HAS_FRACTION
        before = slot - np.uint64(row)
        while before < slot:
            if columns[before] != MISSING:
                columns[before] = bits_of(np.float64(columns[before]))
            before += _1
    elif what == WHOLE and flags[field] & HAS_FRACTION:
        value = bits_of(np.float64(value))
    columns[slot] = value


@device
def read_word(data: Array, at: Any, kind: int, field: Any, slot: Any, columns: Array, flags: Array) -> Any:
    """Reads null, true or false: where it ends, or nowhere."""
    word = load_u64(data, at) & _CODE
    if word == _NULL:
        columns[slot] = MISSING
        flags[field] |= HAS_MISSING
        return at + _4
    if kind != TRUTH and kind != SKIPPED:
        return NOWHERE
    columns[slot] = 1 if word == _TRUE else 0
    if word == _TRUE:
        return at + _4
    return at + _5 if word == _FALS and data[at + _4] == 101 else NOWHERE


@device
def read_value(
    data: Array,
    at: Any,
    row: int,
    field: Any,
    slot: Any,
    kinds: Array,
    powers: Array,
    state: Array,
    slots: Array,
    starts: Array,
    arena: Array,
    field_of: Array,
    code_of: Array,
    counts: Array,
    columns: Array,
    flags: Array,
) -> Any:
    """Reads one value into its column: where it ends, nowhere, or _WAIT for want of room."""
    kind, first = kinds[field], data[at]
    if first == 34:
        if kind > TEXT:
            return NOWHERE
        at += _1
        end = text_end(data, at, kind == SKIPPED)
        if end == NOWHERE:
            return NOWHERE
        if kind == CODED:
            code = code_of_text(
                data, at, end - at, field, state, slots, starts, arena, field_of, code_of, counts
            )
            if code < 0:
                return _WAIT
            columns[slot] = code
        elif kind == TEXT:
            columns[slot] = np.int64((at << _S32) | (end - at))
        return end + _1
    if first != 45 and (first < 48 or first > 57):
        return read_word(data, at, kind, field, slot, columns, flags)
    what, value, end = read_number(data, at, powers)
    if what == ODD or value == MISSING:
        return NOWHERE
    if kind == NUMBER or (kind == INTEGER and what == WHOLE):
        put_number(what, value, field, slot, row, columns, flags)
        return end
    return end if kind == SKIPPED else NOWHERE


@device
def read_record(
    data: Array,
    at: Any,
    row: int,
    names: Array,
    name_starts: Array,
    kinds: Array,
    follows: Array,
    powers: Array,
    state: Array,
    slots: Array,
    starts: Array,
    arena: Array,
    field_of: Array,
    code_of: Array,
    counts: Array,
    columns: Array,
    flags: Array,
) -> Any:
    """Reads the line of a record from its brace on: where the next one starts, nowhere, or _WAIT.

    ``follows[f]`` is the field that came after field f of late, for the last f that of the first.
    """
    n = np.uint64(len(kinds))
    capacity = np.uint64(len(columns)) // n
    seen, last = _0, n
    at = skip_blanks(data, at + _1)
    while data[at] != 125 or last != n:
        if data[at] != 34:
            return NOWHERE
        at += _1
        expected = np.uint64(follows[last])
        field = find_field(data, at, expected, names, name_starts)
        if field == n or seen >> field & _1:
            return NOWHERE
        if field != expected:
            follows[last] = field
        seen |= _1 << field
        last = field
        at = skip_blanks(data, at + np.uint64(name_starts[field + _1] - name_starts[field]) + _1)
        if data[at] != 58:
            return NOWHERE
        at = skip_blanks(data, at + _1)
        slot = field * capacity + np.uint64(row)
        at = read_value(
            data,
            at,
            row,
            field,
            slot,
            kinds,
            powers,
            state,
            slots,
            starts,
            arena,
            field_of,
            code_of,
            counts,
            columns,
            flags,
        )
        if at <= _WAIT:
            return at
        at = skip_blanks(data, at)
        if data[at] == 125:
            break
        if data[at] != 44:
            return NOWHERE
        at = skip_blanks(data, at + _1)
    missing = ~seen & (_ALL >> (_64 - n))
    while missing:
        field = np.uint64(trailing_zeros(missing))
        missing &= missing - _1
        columns[field * capacity + np.uint64(row)] = MISSING
        flags[field] |= HAS_MISSING
    at = skip_blanks(data, at + _1)
    return at + _1 if data[at] == 10 else NOWHERE


@kernel(
    "i64(in u8[], i64, i64, in u8[], in i64[], in u8[], in u64[], out i64[], out i64[], out u64[], "
    "out i64[], out u8[], out i32[], out i32[], out i32[], out i64[], out u8[])"
)
def scan_lines(
    data: Array,
    start: int,
    end: int,
    names: Array,
    name_starts: Array,
    kinds: Array,
    powers: Array,
    follows: Array,
    state: Array,
    slots: Array,
    starts: Array,
    arena: Array,
    field_of: Array,
    code_of: Array,
    counts: Array,
    columns: Array,
    flags: Array,
) -> int:
    """Reads the lines data[start:end]; returns the place of the first that it has not read.

    ``state[STATUS]`` says why it ended: DONE, an ODD_LINE, columns that are FULL, or NO_ROOM for
    a new string in the table. ``state[ROWS]`` rows are in the columns, on entry too.

    Every line ends with a newline, the last one too, and PADDING bytes follow. Field f, of at most
    MOST_FIELDS, has the name ``names[name_starts[f]:name_starts[f + 1]]`` (PADDING bytes follow the
    last) and a kind. `columns` has its values, one field after the other, with MISSING for none:
    codes, places (start << 32 | length) of texts, integers, or bits of doubles when ``flags[f]``
    says HAS_FRACTION. `powers` are `numbertext.powers_of_five`. `follows` has one field more than
    there are; any content is right.

    The table of strings is that of `intern`, ``state[TEXTS]`` strings of all fields together;
    string t is the one with ``code_of[t]`` of field ``field_of[t]``, which has ``counts`` of them.
    Strings of a line that is handed back may be in it.
    """
    row, capacity = state[ROWS], len(columns) // len(kinds)
    at, stop = np.uint64(start), np.uint64(end)
    state[STATUS] = DONE
    while at < stop:
        at = skip_blanks(data, at)
        if data[at] == 10:
            at += _1
            continue
        if row >= capacity:
            state[STATUS] = FULL
            break
        after = NOWHERE
        if data[at] == 123:
            after = read_record(
                data,
                at,
                row,
                names,
                name_starts,
                kinds,
                follows,
                powers,
                state,
                slots,
                starts,
                arena,
                field_of,
                code_of,
                counts,
                columns,
                flags,
            )
        if after <= _WAIT:
            state[STATUS] = ODD_LINE if after == NOWHERE else NO_ROOM
            break
        at = after
        row += 1
    state[ROWS] = row
    return int(at)


@kernel("i64(in u8[], in i64[], out i32[], out u8[])")
def copy_texts(data: Array, places: Array, offsets: Array, texts: Array) -> int:
    """Copies texts from their places (as `scan_lines` gives them), one behind the other; the bytes.

    `texts` has PADDING bytes more than there are in all of them, and so has `data`.
    """
    at = _0
    for k in range(np.uint64(len(places))):
        offsets[k] = at
        place = np.uint64(places[k])
        if places[k] != MISSING:
            first, length = place >> _S32, place & _CODE
            for j in range(length):
                texts[at + np.uint64(j)] = data[first + np.uint64(j)]
            at += length
    offsets[len(places)] = at
    return int(at)
