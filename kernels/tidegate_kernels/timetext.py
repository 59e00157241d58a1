"""Text times to integer epoch milliseconds, by a small program of integers.

A program starts with its kind: numbers, ISO-8601, or a pattern. A pattern goes on with
operations, each ``code, number of arguments, arguments ...``:

=============  =========================================================================
``LITERAL``    bytes that must follow (ASCII letters in either case)
``DIGITS``     field, fewest, most, reserved, low, high, modulus, factor, base: a number of
               ``fewest`` to ``most`` digits that leaves ``reserved`` digits to what follows
``FRACTION``   fewest, most: digits of a decimal fraction of a second
``CHOICE``     field, then (value, length, bytes ...) of every text allowed, longest first
``OFFSET``     zulu, colon, minutes, seconds, prefix: a zone offset
``OPTIONAL``   section, end of the section in the program: what follows may be missing
``END``        the section around the one that ends here, or -1
=============  =========================================================================

Nothing is backtracked but optional sections: when one does not match, the text is read
again from its beginning with that section left out.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from .registry import device, kernel

INVALID = -(2**63)
FAILED = -(2**62)

SECONDS, MILLISECONDS, ISO, SECONDS_OR_ISO, MILLISECONDS_OR_ISO, PATTERN = 1, 2, 3, 4, 5, 6
LITERAL, DIGITS, FRACTION, CHOICE, OFFSET, OPTIONAL, END = 1, 2, 3, 4, 5, 6, 7
MONTH, DAY, DAY_OF_YEAR, HALF, YEAR, TIME, IGNORED = 0, 1, 2, 3, 4, 5, 20
FIELD_BITS = 10

NANOS_PER_MS = 1_000_000
DAY_MS = 86_400_000
MOST_VALUE = 10**16


@device
def days_in_month(year, month):
    """Days of a month of the proleptic Gregorian calendar."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@device
def day_number(year, month, day):
    """Days since 1970-01-01, FAILED for a date that does not exist (Hinnant, days_from_civil)."""
    if year < 1 or year > 9999 or month < 1 or month > 12 or day < 1 or day > days_in_month(year, month):
        return FAILED
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


@device
def digit_count(data, at, end, most):
    """How many digits follow, at most ``most``."""
    count = 0
    while count < most and at + count < end and 48 <= np.int64(data[at + count]) <= 57:
        count += 1
    return count


@device
def digits_value(data, at, count):
    """The number that ``count`` digits make."""
    value = np.int64(0)
    for i in range(at, at + count):
        value = value * 10 + np.int64(data[i]) - 48
    return value


@device
def matches(data, at, end, program, first, count):
    """Whether the text goes on with ``count`` bytes of the program, ASCII case ignored."""
    if at + count > end:
        return False
    for i in range(count):
        have, want = np.int64(data[at + i]), np.int64(program[first + i])
        if have != want and not (have | 32 == want | 32 and 97 <= have | 32 <= 122):
            return False
    return True


@device
def number_ms(data, at, end, factor):
    """The floor of a decimal number (exponent allowed) times ``factor``; INVALID if it is none."""
    first = np.int64(data[at])
    if first == 43 or first == 45:
        at += 1
    whole = digit_count(data, at, end, end - at)
    after = at + whole
    part = 0
    if after < end and np.int64(data[after]) == 46:
        part = digit_count(data, after + 1, end, end - after - 1)
        after += 1 + part
    if whole + part == 0:
        return INVALID
    shift = np.int64(0)
    if after + 1 < end and np.int64(data[after]) | 32 == 101:
        sign = np.int64(data[after + 1])
        start = after + 2 if sign == 43 or sign == 45 else after + 1
        count = digit_count(data, start, end, 5)
        if count == 0 or count > 4:
            return INVALID
        shift = digits_value(data, start, count)
        shift = -shift if sign == 45 else shift
        after = start + count
    if after != end:
        return INVALID
    value, rest = shifted_digits(data, at, whole, part, shift)
    if value == INVALID:
        return INVALID
    if first == 45:
        value = -value - (1 if rest else 0)
    return value * factor


@device
def shifted_digits(data, at, whole, part, shift):
    """The whole part of digits "whole.part" with the point moved right by ``shift``; is there a rest?"""
    value, rest = np.int64(0), False
    point = whole + shift
    for k in range(whole + part):
        digit = np.int64(data[at + k if k < whole else at + k + 1]) - 48
        if k < point:
            value = value * 10 + digit
            if value > MOST_VALUE:
                return np.int64(INVALID), True
        elif digit != 0:
            rest = True
    k = whole + part
    while value != 0 and k < point:
        value *= 10
        k += 1
        if value > MOST_VALUE:
            return np.int64(INVALID), True
    return value, rest


@device
def clock_part(data, at, end, most):
    """A number of exactly two digits not above ``most``, else FAILED."""
    if digit_count(data, at, end, 2) < 2:
        return np.int64(FAILED)
    value = digits_value(data, at, 2)
    return value if value <= most else np.int64(FAILED)


@device
def offset_seconds(data, at, end, colon, minutes, seconds):
    """Reads ``±hh[[:]mm[[:]ss]]``: (seconds east of UTC or FAILED, where it ends).

    ``colon`` is 0 (none), 1 (required) or 2 (either); ``minutes`` 1 when they must be given.
    """
    failed = np.int64(FAILED)
    if at >= end or (np.int64(data[at]) != 43 and np.int64(data[at]) != 45):
        return failed, at
    sign = np.int64(44) - np.int64(data[at])
    hours = clock_part(data, at + 1, end, 18)
    if hours == FAILED:
        return failed, at
    total, at, unit = hours * 3600, at + 3, np.int64(60)
    for level in range(2):
        has_colon = 1 if at < end and np.int64(data[at]) == 58 else 0
        fits = colon == 2 or has_colon == colon
        value = clock_part(data, at + has_colon, end, 59) if fits else failed
        if value == FAILED or (level == 1 and seconds == 0):
            if level == 0 and (minutes == 1 or has_colon == 1):
                return failed, at
            break
        total, at, unit = total + value * unit, at + has_colon + 2, np.int64(1)
    return (sign * total, at) if total <= 18 * 3600 else (failed, at)


@device
def iso_clock(data, at, end):
    """Reads ``hh[:mm[:ss[.fraction]]]``: (milliseconds of the day or FAILED, where it ends)."""
    hours = clock_part(data, at, end, 23)
    if hours == FAILED:
        return hours, at
    total, at, unit = hours * 3_600_000, at + 2, np.int64(60_000)
    while unit >= 1000 and at < end and np.int64(data[at]) == 58:
        value = clock_part(data, at + 1, end, 59)
        if value == FAILED:
            return value, at
        total, at, unit = total + value * unit, at + 3, np.int64(1000 if unit == 60_000 else 1)
    if unit == 1 and at < end and (np.int64(data[at]) == 46 or np.int64(data[at]) == 44):
        count = digit_count(data, at + 1, end, end - at - 1)
        if count == 0:
            return np.int64(FAILED), at
        for k in range(min(count, 3)):
            total += (np.int64(data[at + 1 + k]) - 48) * (100 if k == 0 else 10 if k == 1 else 1)
        at += 1 + count
    return total, at


@device
def iso_ms(data, at, end):
    """An ISO-8601 date or date and time in UTC unless it has an offset; INVALID if it is none."""
    if end - at < 10 or digit_count(data, at, end, 5) != 4:
        return INVALID
    if np.int64(data[at + 4]) != 45 or np.int64(data[at + 7]) != 45:
        return INVALID
    month, day = clock_part(data, at + 5, end, 12), clock_part(data, at + 8, end, 31)
    days = day_number(digits_value(data, at, 4), month, day)
    if days == FAILED:
        return INVALID
    at += 10
    if at == end:
        return days * DAY_MS
    if np.int64(data[at]) | 32 != 116 and np.int64(data[at]) != 32:
        return INVALID
    clock, at = iso_clock(data, at + 1, end)
    if clock == FAILED:
        return INVALID
    value = days * DAY_MS + clock
    if at < end and np.int64(data[at]) == 32:
        at += 1
    if at == end or (at + 1 == end and np.int64(data[at]) | 32 == 122) or is_utc(data, at, end):
        return value
    east, at = offset_seconds(data, at, end, 2, 0, 0)
    return value - east * 1000 if east != FAILED and at == end else INVALID


@device
def is_utc(data, at, end):
    """Whether the rest of the text is ``UTC``."""
    if end - at != 3:
        return False
    return np.int64(data[at]) == 85 and np.int64(data[at + 1]) == 84 and np.int64(data[at + 2]) == 67


@device
def chosen(data, at, end, program, first, last):
    """The first text of a CHOICE that follows: (its value or FAILED, where it ends)."""
    while first < last:
        count = program[first + 1]
        if matches(data, at, end, program, first + 2, count):
            return np.int64(program[first]), at + count
        first += 2 + count
    return np.int64(FAILED), at


@device
def zone(data, at, end, program, first):
    """Reads an OFFSET operation: (seconds east of UTC or FAILED, where it ends)."""
    zulu, prefix = program[first], program[first + 4]
    if zulu == 1 and at < end and np.int64(data[at]) | 32 == 122:
        return np.int64(0), at + 1
    if prefix == 1:
        if at + 3 > end or np.int64(data[at]) != 71 or np.int64(data[at + 1]) != 77:
            return np.int64(FAILED), at
        if np.int64(data[at + 2]) != 84:
            return np.int64(FAILED), at
        at += 3
        if at == end or (np.int64(data[at]) != 43 and np.int64(data[at]) != 45):
            return np.int64(0), at
    return offset_seconds(data, at, end, program[first + 1], program[first + 2], program[first + 3])


@device
def digits_field(data, at, end, program, first):
    """Reads a DIGITS operation: (value within its limits or FAILED, where it ends)."""
    fewest, most, reserved = program[first + 1], program[first + 2], program[first + 3]
    found = digit_count(data, at, end, most + reserved)
    count = max(fewest, min(most, found - reserved))
    if found < count:
        return np.int64(FAILED), at
    value = digits_value(data, at, count)
    if value < program[first + 4] or value > program[first + 5]:
        return np.int64(FAILED), at
    return value % program[first + 6] * program[first + 7] + program[first + 8], at + count


@device
def fraction_field(data, at, end, program, first):
    """Reads a FRACTION operation: (nanoseconds or FAILED, where it ends)."""
    count = digit_count(data, at, end, program[first + 1])
    if count < program[first]:
        return np.int64(FAILED), at
    value = digits_value(data, at, count)
    for _ in range(9 - count):
        value *= 10
    return value, at + count


@device
def pattern_ms(data, begin, end, program):
    """Reads one text by a pattern program; INVALID when it does not match to the end."""
    skipped = np.int64(0)
    while True:
        value, failed_section = pattern_pass(data, begin, end, program, skipped)
        if failed_section < 0:
            return value
        skipped |= np.int64(1) << failed_section


@device
def pattern_pass(data, at, end, program, skipped):
    """One reading with the ``skipped`` sections left out: (value, section that failed or -1).

    The fields of the date are packed into one number, FIELD_BITS each, the times of day
    added up as nanoseconds; so each may be read once only.
    """
    date, nanos, east, seen = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    section, pc = np.int64(-1), np.int64(1)
    while pc < len(program):
        code, first, after = program[pc], pc + 2, pc + 2 + program[pc + 1]
        pc = after
        field, value = np.int64(IGNORED), np.int64(0)
        if code == DIGITS:
            field = program[first]
            value, at = digits_field(data, at, end, program, first)
        elif code == LITERAL:
            value = np.int64(0 if matches(data, at, end, program, first, after - first) else FAILED)
            at += after - first
        elif code == FRACTION:
            field = np.int64(TIME + 4)
            value, at = fraction_field(data, at, end, program, first)
        elif code == CHOICE:
            field = program[first]
            value, at = chosen(data, at, end, program, first + 1, after)
        elif code == OFFSET:
            value, at = zone(data, at, end, program, first)
            east = value
        elif code == OPTIONAL and skipped >> program[first] & 1:
            pc = program[first + 1]
        else:
            section = program[first]
        if value == FAILED or (field < IGNORED and seen >> field & 1):
            return np.int64(INVALID), section
        if field < IGNORED:
            seen |= np.int64(1) << field
            date += value << FIELD_BITS * field if field < TIME else 0
            nanos += value if field >= TIME else 0
    return np.int64(moment(date, nanos, east, seen) if at == end else INVALID), np.int64(-1)


@device
def moment(date, nanos, east, seen):
    """Epoch milliseconds of the fields read; TIME + 1 is the hour of a 12-hour clock."""
    mask = (1 << FIELD_BITS) - 1
    year, of_year = date >> FIELD_BITS * YEAR, date >> FIELD_BITS * DAY_OF_YEAR & mask
    if of_year > 0 and not seen >> DAY & 1:
        days = day_number(year, np.int64(1), np.int64(1)) + of_year - 1
        if of_year > 337 + days_in_month(year, 2):
            return INVALID
    else:
        days = day_number(year, max(date & mask, 1), max(date >> FIELD_BITS * DAY & mask, 1))
    if days < FAILED // 2:
        return INVALID
    if seen >> (TIME + 1) & 1:
        nanos += (date >> FIELD_BITS * HALF & mask) * 43_200_000 * NANOS_PER_MS
    return days * DAY_MS + nanos // NANOS_PER_MS - east * 1000


@kernel("i64(in i64[], in u8[], in i64[], out i64[])")
def parse_times(offsets, data, program, out_ms):
    """Epoch milliseconds of text ``i`` = ``data[offsets[i]:offsets[i + 1]]``, blanks around it ignored.

    Writes INVALID for what cannot be read and returns how many those are. Fractions are
    truncated: to whole seconds by SECONDS, to milliseconds by everything else.
    """
    kind = program[0]
    unreadable = 0
    for i in range(len(out_ms)):
        at, end = offsets[i], offsets[i + 1]
        while at < end and np.int64(data[at]) <= 32:
            at += 1
        while at < end and np.int64(data[end - 1]) <= 32:
            end -= 1
        value = np.int64(INVALID)
        if at < end:
            if kind == PATTERN:
                value = np.int64(pattern_ms(data, at, end, program))
            elif kind != ISO:
                seconds = kind in (SECONDS, SECONDS_OR_ISO)
                value = np.int64(number_ms(data, at, end, 1000 if seconds else 1))
            if value == INVALID and kind >= ISO and kind != PATTERN:
                value = np.int64(iso_ms(data, at, end))
        unreadable += value == INVALID
        out_ms[i] = value
    return unreadable
