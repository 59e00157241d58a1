"""Spans of time as configurations write them: ``"5m"``, ``"1h"``, ``"500ms"``, or a number of seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["DAY_MS", "Span", "parse_span"]

DAY_MS = 86_400_000

_NANOS = {
    "nanos": 1,
    "micros": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_WRITTEN = re.compile(r"\s*(-?[0-9]{1,19})\s*(nanos|micros|ms|s|m|h|d)?\s*", re.IGNORECASE)
_LONGEST_NANOS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time that remembers how it was written.

    >>> Span("90m", 5_400_000_000_000).ms
    5400000
    """

    text: str
    nanos: int

    @property
    def ms(self) -> int:
        """Whole milliseconds; what a span that passed ``is_whole_seconds`` really lasts."""
        return self.nanos // 1_000_000

    @property
    def seconds(self) -> int:
        """Whole seconds, as the messages of the contract count them."""
        return self.nanos // 1_000_000_000

    @property
    def is_whole_seconds(self) -> bool:
        """Whether the span is a multiple of one second, which buckets must be."""
        return self.nanos % 1_000_000_000 == 0

    @classmethod
    def of_ms(cls, ms: int) -> Span:
        """A span of so many milliseconds, written with the largest unit that divides it.

        >>> Span.of_ms(2_592_000_000).text
        '30d'
        """
        nanos = ms * 1_000_000
        unit = next(unit for unit, size in reversed(_NANOS.items()) if nanos % size == 0)
        return cls(f"{nanos // _NANOS[unit]}{unit}", nanos)

    def __str__(self) -> str:
        return self.text


def parse_span(value: object) -> Span:
    """Returns the span a JSON value stands for; a number without a unit counts seconds.

    Raises ValueError for anything else. Fractions are refused, as in ``"1.5h"``: write ``"90m"``.

    >>> parse_span("1h").ms, parse_span(300).text
    (3600000, '300s')
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a time span such as '5m' or a number of seconds")
    written = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, int):
        count, unit = value, "s"
    elif written is not None:
        count, unit = int(written[1]), (written[2] or "s").lower()
    else:
        raise ValueError("must be a whole number with one of the units d, h, m, s, ms, micros, nanos")
    nanos = count * _NANOS[unit]
    # Sums of a few spans and a time must fit 64 bits of milliseconds, so the longest is that in nanoseconds.
    if abs(nanos) > _LONGEST_NANOS:
        raise ValueError("must not be longer than 106751d")
    return Span(f"{count}{unit}", nanos)
