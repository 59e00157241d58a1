"""Times, numbers and names as a person reads them in a terminal."""

from __future__ import annotations

import datetime as dt
import math
import unicodedata


def iso_time(time_ms: int) -> str:
    """UTC, to the second.

    >>> iso_time(1_514_804_400_000)
    '2018-01-01T11:00:00Z'
    """
    moment = dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC)
    return moment.isoformat().removesuffix("+00:00") + "Z"


def number_text(value: float | None) -> str:
    """Six significant digits; whole numbers, and large ones, without an exponent up to a trillion.

    >>> [number_text(x) for x in (0.1 + 0.2, 12345.678, 1234567.8, 5.0, 2e-9, None)]
    ['0.3', '12345.7', '1234568', '5', '2e-09', '-']
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isfinite(value) and abs(value) < 1e12 and (value == int(value) or abs(value) >= 1e6):
        return f"{value:.0f}"
    return f"{value:.6g}"


def size_text(nbytes: int) -> str:
    """Bytes in the largest unit that leaves at least one.

    >>> size_text(0), size_text(1536), size_text(7 << 20)
    ('0 B', '1.5 KB', '7.0 MB')
    """
    if nbytes < 1024:
        return f"{nbytes} B"
    power = min((nbytes.bit_length() - 1) // 10, 4)
    return f"{nbytes / (1 << 10 * power):.1f} {'KMGT'[power - 1]}B"


def time_text(time_ms: int | None) -> str | None:
    """`iso_time`, or nothing where there is no time."""
    return None if time_ms is None else iso_time(time_ms)


def visible(text: str) -> str:
    r"""The text without characters that a terminal acts on.

    >>> visible("a\x1b[31mb")
    'a?[31mb'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def width(text: str) -> int:
    """Columns that the text takes in a terminal.

    >>> width("abc"), width("日本")
    (3, 4)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def fitted(text: str, columns: int) -> str:
    """The text in so many columns, shortened in the middle or filled up with spaces.

    >>> fitted("a-very-long-name", 9), fitted("short", 7)
    ('a-v...ame', 'short  ')
    """
    taken = width(text)
    if taken <= columns:
        return text + " " * (columns - taken)
    kept = max(columns - 3, 0)
    start, end = text[: len(text)], text
    while start and width(start) > kept - kept // 2:
        start = start[:-1]
    while end and width(end) > kept // 2:
        end = end[1:]
    shortened = (start + "..." + end)[:columns]
    return shortened + " " * (columns - width(shortened))
