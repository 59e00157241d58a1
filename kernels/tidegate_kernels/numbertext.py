"""The numbers of JSON text, exactly: int64, or the double that is nearest to what is written.

A number of up to 19 digits is w * 10^q with w < 2^64. Its double comes from the product of w and
a 128-bit power of five (Lemire, "Number parsing at a gigabyte per second", 2021): exact but for
cases that are recognised, and handed back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .intrinsics import bits_of, load_u64
from .registry import device

Array = Any

ODD, WHOLE, FRACTION = 0, 1, 2
"""What a number is: none that is read here, an int64, or the bits of a double."""
LEAST_POWER, GREATEST_POWER = -342, 308
"""Powers of ten of the numbers that are read here."""

_0, _1, _8, _10, _64 = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(10), np.uint64(64)
_S4, _S32, _LOW = np.uint64(4), np.uint64(32), np.uint64(0xFFFFFFFF)
_ZEROS, _SIXES = np.uint64(0x3030303030303030), np.uint64(0x0606060606060606)
_NIBBLES, _THREES = np.uint64(0xF0F0F0F0F0F0F0F0), np.uint64(0x3333333333333333)
_PAIRS = np.uint64(0x000000FF000000FF)
_BY_HUNDRED, _BY_ONE = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)
_HUNDRED_MILLION = np.uint64(100_000_000)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_SIGN = np.uint64(1 << 63)


def powers_of_five() -> list[int]:
    """For q from LEAST_POWER to GREATEST_POWER the upper and the lower half of 5^q, in 128 bits.

    The first bit is one. Rounded down, but up from 5^-27 to 5^-1, as the proof wants it.
    """
    halves = []
    for q in range(LEAST_POWER, GREATEST_POWER + 1):
        power = 5 ** abs(q)
        length = power.bit_length()
        if q >= 0:
            bits = power >> (length - 128) if length > 128 else power << (128 - length)
        elif q >= -27:
            bits = (1 << (length + 127)) // power + 1
        else:
            bits = (1 << (2 * length + 128)) // power + 1
            bits >>= bits.bit_length() - 128
        halves += [bits >> 64, bits & 0xFFFFFFFFFFFFFFFF]
    return halves


@device
def wide_product(a: Any, b: Any) -> tuple[Any, Any]:
    """The upper and the lower 64 bits of a * b."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _S32, b & _LOW, b >> _S32
    left, right = a_high * b_low, a_low * b_high
    middle = ((a_low * b_low) >> _S32) + (left & _LOW) + (right & _LOW)
    return a_high * b_high + (left >> _S32) + (right >> _S32) + (middle >> _S32), a * b


@device
def leading_zeros(word: Any) -> Any:
    """How many of the highest bits of a u64 that is not zero are zero."""
    exponent = (bits_of(np.float64(word >> _1)) >> 52) - 1022 if word > _1 else 0
    zeros = np.uint64(63 - min(exponent, 63))
    # The conversion may have rounded up to the next power of two.
    return zeros if (word << zeros) & _SIGN else zeros + _1


@device
def nearest_double(w: Any, q: Any, powers: Array) -> tuple[bool, Any]:
    """The bits of the double nearest to w * 10^q, w > 0; (False, 0) where this way does not tell."""
    if q == 0 and w >> np.uint64(53) == _0:
        return True, bits_of(np.float64(w))
    if q < LEAST_POWER or q > GREATEST_POWER:
        return False, 0
    zeros = leading_zeros(w)
    w = w << zeros
    at = np.uint64(2 * (q - LEAST_POWER))
    high, low = wide_product(w, powers[at])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):  # the lower half of the power may matter
        more, _ = wide_product(w, powers[at + _1])
        low = low + more
        if more > low:
            high += _1
    if low == _ALL and (q < -27 or q > 55):
        return False, 0
    upper = high >> np.uint64(63)
    mantissa = high >> (upper + np.uint64(9))
    exponent = ((217706 * q) >> 16) + 63 + np.int64(upper) - np.int64(zeros) + 1023
    is_between = low <= _1 and -4 <= q <= 23 and mantissa << (upper + np.uint64(9)) == high
    if is_between and mantissa & np.uint64(3) == _1:
        mantissa -= _1  # exactly between two doubles: to the even one
    mantissa = (mantissa + (mantissa & _1)) >> _1
    if mantissa >> np.uint64(53):
        mantissa >>= _1
        exponent += 1
    if exponent <= 0 or exponent >= 2047:
        return False, 0
    bits = (np.uint64(exponent) << np.uint64(52)) | (mantissa & np.uint64((1 << 52) - 1))
    return True, np.int64(bits)


@device
def read_digits(data: Array, at: Any, value: Any) -> tuple[Any, Any]:
    """Appends the digits that follow to a value (modulo 2^64): (value, where they end)."""
    word = load_u64(data, at)
    while (word & _NIBBLES) | (((word + _SIXES) & _NIBBLES) >> _S4) == _THREES:
        word -= _ZEROS
        word = word * _10 + (word >> _8)
        word = ((word & _PAIRS) * _BY_HUNDRED + ((word >> np.uint64(16)) & _PAIRS) * _BY_ONE) >> _S32
        value = value * _HUNDRED_MILLION + word
        at += _8
        word = load_u64(data, at)
    digit = np.uint64(data[at]) - np.uint64(48)
    while digit < _10:
        value = value * _10 + digit
        at += _1
        digit = np.uint64(data[at]) - np.uint64(48)
    return value, at


@device
def read_exponent(data: Array, at: Any) -> tuple[Any, Any]:
    """The exponent after an ``e`` and where it ends; nowhere (0) when it is none of three digits."""
    negative = data[at] == 45
    if negative or data[at] == 43:
        at += _1
    value, end = read_digits(data, at, _0)
    if end == at or end - at > np.uint64(3):
        return 0, _0
    return (-np.int64(value) if negative else np.int64(value)), end


@device
def read_number(data: Array, at: Any, powers: Array) -> tuple[int, Any, Any]:
    """A number at data[at:]: (what it is, its value or bits, where it ends).

    At least eight bytes follow the text, which ends with a newline. ODD is what is no number by
    JSON's grammar, and also -0, integers beyond int64, more than 19 digits, powers of ten out of
    range, and what is not between the normal doubles.
    """
    negative = data[at] == 45
    if negative:
        at += _1
    first = at
    w, at = read_digits(data, at, _0)
    digits = at - first
    if digits == _0 or (digits > _1 and data[first] == 48):
        return ODD, 0, at
    power: Any = np.int64(0)
    whole = True
    if data[at] == 46:
        start = at + _1
        w, at = read_digits(data, start, w)
        if at == start:
            return ODD, 0, at
        digits += at - start
        power, whole = np.int64(start) - np.int64(at), False
    if data[at] | 32 == 101:
        exponent, at = read_exponent(data, at + _1)
        power, whole = power + exponent, False
        if at == _0:
            return ODD, 0, at
    if digits > np.uint64(19):
        return ODD, 0, at
    if whole:
        if w & _SIGN or (negative and w == _0):
            return ODD, 0, at
        return WHOLE, (-np.int64(w) if negative else np.int64(w)), at
    told = True
    bits: Any = np.int64(0)
    if w:
        told, bits = nearest_double(w, power, powers)
    if negative:
        bits |= np.int64(-(1 << 63))
    return (FRACTION if told else ODD), bits, at
