"""Columns of numbers that grow at one end and are dropped from at the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_LEAST = 64


class Sliding:
    """Named arrays of equal length whose rows are numbered through, the first ones dropped again.

    >>> table = Sliding(time=np.int64)
    >>> table.append(time=np.array([10, 20, 30]))
    >>> table.drop(2)
    >>> table.first, table.stop, table["time"].tolist()
    (2, 3, [30])

    Adding n rows costs n on average, and so does dropping them.
    """

    def __init__(self, **types: type[np.generic]) -> None:
        self._columns: dict[str, npt.NDArray[Any]] = {
            name: np.empty(_LEAST, kind) for name, kind in types.items()
        }
        self.first = 0
        """The number of the first row that is kept."""
        self.stop = 0
        """The number that the next row gets."""
        self._base = 0  # the number of the first row that there is memory for

    def __len__(self) -> int:
        return self.stop - self.first

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The kept rows of a column; shares memory, until rows are added."""
        return self._columns[name][self.first - self._base : self.stop - self._base]

    @property
    def nbytes(self) -> int:
        """The memory of the columns, room for more included."""
        return sum(column.nbytes for column in self._columns.values())

    def restart(self, first: int) -> None:
        """Drops everything; the next row gets that number."""
        self.first = self.stop = self._base = first

    def append(self, **values: npt.NDArray[Any]) -> None:
        """Adds rows at the end; columns without values have zeros."""
        n = len(next(iter(values.values())))
        room = len(next(iter(self._columns.values())))
        if self.stop - self._base + n > room:
            self._move(max(2 * (len(self) + n), _LEAST))
        at = self.stop - self._base
        for name, column in self._columns.items():
            column[at : at + n] = values.get(name, 0)
        self.stop += n

    def drop(self, first: int) -> None:
        """Drops the rows before that number."""
        self.first = min(max(first, self.first), self.stop)
        room = len(next(iter(self._columns.values())))
        if room > _LEAST and 4 * len(self) < room:
            self._move(max(2 * len(self), _LEAST))

    def _move(self, room: int) -> None:
        """Moves the kept rows to the start of arrays of that size."""
        for name in self._columns:
            kept = self[name]
            self._columns[name] = np.empty(room, kept.dtype)
            self._columns[name][: len(kept)] = kept
        self._base = self.first
