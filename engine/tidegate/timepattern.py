"""Time formats compiled to the integer programs of the kernel ``parse_times``.

A time format is ``epoch``, ``epoch_ms`` or a Java ``DateTimeFormatter`` pattern. This
module is imported by the configuration, so it imports neither numpy nor Numba; the codes
are those of ``tidegate_kernels.timetext``, and a test compares the two.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

SECONDS, MILLISECONDS, ISO, SECONDS_OR_ISO, MILLISECONDS_OR_ISO, PATTERN = 1, 2, 3, 4, 5, 6
LITERAL, DIGITS, FRACTION, CHOICE, OFFSET, OPTIONAL, END = 1, 2, 3, 4, 5, 6, 7
MONTH, DAY, DAY_OF_YEAR, HALF, YEAR, TIME, IGNORED = 0, 1, 2, 3, 4, 5, 20

BUILT_IN = {"epoch": (SECONDS_OR_ISO,), "epoch_ms": (MILLISECONDS_OR_ISO,)}
MOST_SECTIONS = 60
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# letter: field, most digits, lowest, highest, modulus, nanoseconds per unit. Hours have two
# fields: TIME (a 24-hour clock) and TIME + 1 (a 12-hour clock, which takes AM and PM).
_HOUR = 3_600_000_000_000
_NUMBERS = {
    "y": (YEAR, 4, 1, 9999, 10**9, 1),
    "u": (YEAR, 4, 1, 9999, 10**9, 1),
    "M": (MONTH, 2, 1, 12, 10**9, 1),
    "L": (MONTH, 2, 1, 12, 10**9, 1),
    "d": (DAY, 2, 1, 31, 10**9, 1),
    "D": (DAY_OF_YEAR, 3, 1, 366, 10**9, 1),
    "H": (TIME, 2, 0, 23, 24, _HOUR),
    "k": (TIME, 2, 1, 24, 24, _HOUR),
    "h": (TIME + 1, 2, 1, 12, 12, _HOUR),
    "K": (TIME + 1, 2, 0, 11, 12, _HOUR),
    "m": (TIME + 2, 2, 0, 59, 60, _HOUR // 60),
    "s": (TIME + 3, 2, 0, 59, 60, _HOUR // 3600),
    "n": (TIME + 4, 9, 0, 999_999_999, 10**9, 1),
    "A": (TIME + 5, 8, 0, 86_399_999, 10**8, 1_000_000),
}
_OFFSETS = {  # zulu, colon, minutes required, seconds allowed, GMT prefix
    "X": (1, 0, 0, 0, 0),
    "XX": (1, 0, 1, 0, 0),
    "XXX": (1, 1, 1, 0, 0),
    "XXXX": (1, 0, 1, 1, 0),
    "XXXXX": (1, 1, 1, 1, 0),
    "x": (0, 0, 0, 0, 0),
    "xx": (0, 0, 1, 0, 0),
    "xxx": (0, 1, 1, 0, 0),
    "xxxx": (0, 0, 1, 1, 0),
    "xxxxx": (0, 1, 1, 1, 0),
    "Z": (0, 0, 1, 0, 0),
    "ZZ": (0, 0, 1, 0, 0),
    "ZZZ": (0, 0, 1, 0, 0),
    "ZZZZ": (0, 1, 1, 0, 1),
    "ZZZZZ": (1, 1, 1, 1, 0),
}
_LETTERS = "yuMLdDHhKkmsSnAaEXxZzV"


@lru_cache(maxsize=256)
def program_for(time_format: str) -> tuple[int, ...]:
    """The program of a time format: ``epoch``, ``epoch_ms`` or a pattern."""
    return BUILT_IN.get(time_format) or compile_pattern(time_format)


def compile_pattern(pattern: str) -> tuple[int, ...]:
    """The program of a Java ``DateTimeFormatter`` pattern.

    Read as leniently as the established engine reads it: a number that stands alone may
    have fewer digits than letters, a fraction any number up to nine. Names are English,
    ``z`` and ``VV`` accept UTC, GMT and Z, names of days are read over.

    Raises ValueError with the reason when the pattern is wrong or cannot give a date.

    >>> compile_pattern("yyyy.MM")
    Traceback (most recent call last):
    ...
    ValueError: a pattern needs a day: 'd' with 'M', or 'D'
    """
    tokens = _tokens(pattern)
    _check_fields("".join(text[0] for kind, text in tokens if kind == "field"))
    program, sections, open_sections = [PATTERN], 0, []
    for position, (kind, text) in enumerate(tokens):
        if kind == "field":
            program += _field(text, *_neighbours(tokens, position))
        elif kind == "literal":
            encoded = text.encode()
            program += [LITERAL, len(encoded), *encoded]
        elif text == "[":
            open_sections.append((sections, len(program) + 3))
            program += [OPTIONAL, 2, sections, 0]
            sections += 1
        else:
            _, slot = open_sections.pop()
            program += [END, 1, open_sections[-1][0] if open_sections else -1]
            program[slot] = len(program)
    if sections > MOST_SECTIONS:
        raise ValueError(f"a pattern has at most {MOST_SECTIONS} optional sections, not {sections}")
    return tuple(program)


def _tokens(pattern: str) -> list[tuple[str, str]]:
    """(kind, text) pieces of a pattern: field, literal, or section for a bracket."""
    tokens: list[tuple[str, str]] = []
    depth = at = 0
    while at < len(pattern):
        char = pattern[at]
        size = 1
        if char == "'":
            text, size = _quoted(pattern, at)
            tokens.append(("literal", text))
        elif char in "[]":
            depth += 1 if char == "[" else -1
            if depth < 0:
                raise ValueError(f"']' at position {at} closes nothing")
            tokens.append(("section", char))
        elif char in "{}#":
            raise ValueError(f"{char!r} at position {at} is reserved; write it in quotes")
        elif char.isascii() and char.isalpha():
            size = len(next("".join(run) for _, run in groupby(pattern[at:])))
            tokens.append(("field", char * size))
        else:
            tokens.append(("literal", char))
        at += size
    if depth:
        raise ValueError("a '[' is not closed")
    return tokens


def _quoted(pattern: str, at: int) -> tuple[str, int]:
    """The text of a quoted literal that starts at ``at`` and the length of its source."""
    if pattern[at : at + 2] == "''":
        return "'", 2
    text, end = "", at + 1
    while end < len(pattern):
        if pattern[end] != "'":
            text += pattern[end]
            end += 1
        elif pattern[end : end + 2] == "''":
            text += "'"
            end += 2
        else:
            return text, end + 1 - at
    raise ValueError(f"the quote at position {at} is not closed")


def _check_fields(letters: str) -> None:
    """Raises ValueError unless the letters are known and can give a date and a time."""
    for letter in letters:
        if letter not in _LETTERS:
            raise ValueError(f"letter {letter!r} is not supported; allowed are {' '.join(_LETTERS)}")
    have = set(letters)
    if not have & {"y", "u"}:
        raise ValueError("a pattern needs a year: 'y' or 'u'")
    if "D" not in have and not ("d" in have and have & {"M", "L"}):
        raise ValueError("a pattern needs a day: 'd' with 'M', or 'D'")
    clocks = [clock for clock in ("Hk", "hK", "A") if have & set(clock)]
    if len(clocks) > 1:
        raise ValueError(f"letters of two clocks in one pattern: {clocks[0]!r} and {clocks[1]!r}")
    if have & {"h", "K"} and "a" not in have:
        raise ValueError("the 12-hour clock of 'h' and 'K' needs 'a'")


def _neighbours(tokens: list[tuple[str, str]], position: int) -> tuple[bool, int]:
    """Whether a number stands directly before, and how many digits stand directly after."""
    before = position > 0 and _digits_of(tokens[position - 1]) > 0
    after = 0
    for token in tokens[position + 1 :]:
        if not _digits_of(token):
            break
        after += _digits_of(token)
    return before, after


def _digits_of(token: tuple[str, str]) -> int:
    """How many digits a fixed number of a pattern has, 0 for what is no number."""
    kind, text = token
    if kind != "field" or (text[0] in "ML" and len(text) > 2):
        return 0
    return len(text) if text[0] in _NUMBERS or text[0] == "S" else 0


def _field(text: str, joined: bool, reserved: int) -> list[int]:
    """The operation of one run of letters; ``joined`` to the number before it, with digits after it."""
    letter, size = text[0], len(text)
    if letter == "S":
        if size > 9:
            raise ValueError(f"{text!r} has more than the 9 digits of a nanosecond")
        fixed = joined or reserved
        return [FRACTION, 2, size if fixed else 0, size if fixed else 9]
    if letter in "XxZ":
        if text not in _OFFSETS:
            raise ValueError(f"{text!r} is longer than 5 letters")
        return [OFFSET, 5, *_OFFSETS[text]]
    if letter in "MLE" and size > (2 if letter != "E" else 0):
        return _names(text)
    if letter == "a":
        if size > 1:
            raise ValueError(f"{text!r}: 'a' stands alone")
        return _choice(HALF, [(0, "AM"), (1, "PM")])
    if letter in "zV":
        if (letter == "V" and size != 2) or size > 4:
            raise ValueError(f"{text!r} is not a zone; allowed are z to zzzz and VV")
        return _choice(IGNORED, [(0, "UTC"), (0, "GMT"), (0, "Z")])
    return _number(text, joined, reserved)


def _number(text: str, joined: bool, reserved: int) -> list[int]:
    """The DIGITS operation of a run of number letters."""
    letter, size = text[0], len(text)
    field, most, low, high, modulus, factor = _NUMBERS[letter]
    if letter in "yu" and size == 2:
        return [DIGITS, 9, field, 2, 2, reserved, 0, 99, 10**9, 1, 2000]
    if size > most:
        raise ValueError(f"{text!r} has more than {most} letters")
    fixed = size > 1 and (joined or reserved > 0)
    fewest, most = (size, size) if fixed else (1, most)
    return [DIGITS, 9, field, fewest, most, reserved, low, high, modulus, factor, 0]


def _names(text: str) -> list[int]:
    """The CHOICE operation of names of months or days, short or long."""
    letter, size = text[0], len(text)
    if size > 4:
        raise ValueError(f"{text!r}: narrow names are ambiguous; use 3 or 4 letters")
    names = WEEKDAYS if letter == "E" else MONTHS
    numbered = [(number, name if size == 4 else name[:3]) for number, name in enumerate(names, start=1)]
    return _choice(IGNORED if letter == "E" else MONTH, numbered)


def _choice(field: int, texts: list[tuple[int, str]]) -> list[int]:
    """A CHOICE operation; no text is the beginning of another."""
    arguments = [field]
    for value, text in texts:
        arguments += [value, len(text), *text.encode()]
    return [CHOICE, len(arguments), *arguments]
