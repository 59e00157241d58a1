"""Decisions taken from bytes, so that whoever makes up bytes makes up structures."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

WHOLE = (0, 1, -1, 2, 127, 255, 2**15, 2**31 - 1, 2**31, -(2**31), 2**53, 2**62, 2**63 - 1, -(2**63))


class Choices:
    """Decisions read from bytes one after the other; the first of all when they run out.

    >>> choices = Choices(bytes([7, 1]))
    >>> choices.below(5), choices.flag(), choices.one_of("abc")
    (2, True, 'a')
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        """Whether there is anything left."""
        return self._at < len(self._data)

    def some(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.some(len(self._data))

    def below(self, n: int) -> int:
        """A number less than n, which is 65,536 at most."""
        return int.from_bytes(self.some(1 if n <= 256 else 2), "little") % n

    def flag(self) -> bool:
        """Yes or no."""
        return bool(self.below(2))

    def one_of(self, options: Sequence[T]) -> T:
        """One of some things."""
        return options[self.below(len(options))]

    def integer(self, low: int = -(2**63), high: int = 2**63 - 1) -> int:
        """A whole number of a range, often one at its edges."""
        kind = self.below(4)
        if kind == 0:
            number = self.below(256)
        elif kind == 1:
            number = self.one_of(WHOLE)
        elif kind == 2:
            number = 1_700_000_000_000 + self.below(1 << 16) * 60_000
        else:
            number = int.from_bytes(self.some(8), "little", signed=True)
        return low + (number - low) % (high - low + 1)

    def double(self) -> float:
        """A number of any kind, infinite ones and NaN too."""
        kind = self.below(3)
        if kind == 0:
            return float(self.below(256)) / 4
        if kind == 1:
            return self.one_of((0.0, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf")))
        return float(struct.unpack("<d", self.some(8).ljust(8, b"\0"))[0])

    def text(self, longest: int = 24) -> str:
        """A text, half surrogates and null bytes not left out."""
        raw = self.some(self.below(longest + 1))
        return raw.decode("utf-8", "surrogateescape" if raw[:1] > b"\xf0" else "replace")
