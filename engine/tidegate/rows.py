"""Admitted records as columns of codes and numbers: what the buffer holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .cells import F64, I32, I64
from .kept import require, require_within
from .keys import U64
from .timefield import LATEST_MS

Source = tuple[str, str | None]
"""What is gathered, and of which field: ("count", None), ("number", field), ("value", field) ..."""

WEIGHT: Source = ("weight", None)
"""How many records a row of summarised data stands for."""

_NO_VALUES: F64 = np.empty(0)


@dataclass(frozen=True, slots=True)
class Rows:
    """Admitted records of one batch, ready to be gathered; arrays are of equal length."""

    time: I64
    codes: Mapping[str, I32]
    """Key fields: codes of their strings."""
    columns: Mapping[Source, F64]
    """Numbers, NaN for none."""
    hashes: Mapping[str, U64]
    """Fields whose distinct values matter: hashes of their text, 0 for none."""
    weight: F64 = field(default_factory=lambda: _NO_VALUES)
    """How many records each stands for, see `weights`; empty when each is one."""

    def __len__(self) -> int:
        return len(self.time)

    def values(self, source: Source) -> F64 | U64:
        """The values that a stream of the source gathers."""
        kind, name = source
        if source == WEIGHT:
            return self.weight
        if name is None:
            return self.time.astype(np.float64) if kind == "time" else _NO_VALUES
        if kind in ("distinct", "info"):
            return self.hashes[name]
        return self.columns["number" if kind in ("value", "sum") else kind, name]

    def require_like(self, other: Rows, codes: Mapping[str, int]) -> None:
        """Sees that restored rows have the columns that others have, and of every field so many codes."""
        fits = self.codes.keys() == other.codes.keys() and self.columns.keys() == other.columns.keys()
        fits = fits and self.hashes.keys() == other.hashes.keys()
        require(fits, "rows do not have the columns of the job")
        columns: list[Any] = [*self.codes.values(), *self.columns.values(), *self.hashes.values()]
        columns += [self.weight] if len(other.weight) else []
        require(all(len(column) == len(self) for column in columns), "columns of rows are not of one length")
        require(len(other.weight) or not len(self.weight), "rows have a weight")
        require_within(self.time, LATEST_MS + 1, "the time of a row")
        for name, column in self.codes.items():
            require_within(column, codes[name], f"the code of a row's {name}")

    def _each(self, change: Callable[[Any], Any]) -> Rows:
        """The rows with a change made to every array."""
        return Rows(
            change(self.time),
            {field: change(codes) for field, codes in self.codes.items()},
            {source: change(values) for source, values in self.columns.items()},
            {field: change(hashes) for field, hashes in self.hashes.items()},
            change(self.weight) if len(self.weight) else self.weight,
        )

    def with_codes(self, new_of: Mapping[str, I32]) -> Rows:
        """The rows with new codes of the strings of some fields."""
        codes = {name: new_of[name][codes] if name in new_of else codes for name, codes in self.codes.items()}
        return replace(self, codes=codes)

    def where(self, mask: npt.NDArray[np.bool_]) -> Rows:
        """The rows where the mask is true."""
        return self._each(lambda array: array[mask])

    def part(self, start: int, stop: int) -> Rows:
        """Rows [start, stop); shares memory."""
        return self._each(lambda array: array[start:stop])

    def owned(self) -> Rows:
        """The rows in memory that nobody else can change."""
        return self._each(lambda array: array if array.flags.owndata else array.copy())

    @classmethod
    def joined(cls, pieces: Sequence[Rows]) -> Rows:
        """Several batches as one."""
        first = pieces[0]
        return cls(
            np.concatenate([p.time for p in pieces]),
            {field: np.concatenate([p.codes[field] for p in pieces]) for field in first.codes},
            {source: np.concatenate([p.columns[source] for p in pieces]) for source in first.columns},
            {field: np.concatenate([p.hashes[field] for p in pieces]) for field in first.hashes},
            np.concatenate([p.weight for p in pieces]),
        )
