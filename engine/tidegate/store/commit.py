"""What one call of a job adds to the database, ready to be written: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .pending import Pending, Tables

Changed = Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]
"""By kind of results: numbers of rows, and the scores that they have now."""


@dataclass(frozen=True, slots=True)
class Commit:
    """New results, and what they do to those that are there."""

    restarts: bool
    """All results that there are go first: their records proved strays."""
    sweeps: bool
    """All interim results that there are go first."""
    final: Tables
    interim: Tables | None
    changed: Changed

    @classmethod
    def of(cls, pending: Pending, final: Tables, changed: Changed, *, with_interim: bool) -> Commit:
        """The results that are pending; without interim ones if the database has what became of them."""
        adds = with_interim or bool(final["buckets"].num_rows)
        interim = pending.interim() if with_interim else None
        return cls(pending.restarted, pending.sweeps and adds, final, interim, changed)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        has_final = bool(self.final["buckets"].num_rows)
        return self.restarts or self.sweeps or has_final or self.interim is not None


@dataclass(frozen=True, slots=True)
class Status:
    """What the database says of a job as a whole."""

    finalized_end: int | None
    applied: int
    """The last entry of the log whose results are in the database."""
    data_counts: Mapping[str, Any]
    model_size_stats: Mapping[str, Any]
    first_rows: Mapping[str, int]
    """By kind: the first result whose score can still change."""
    tables: Tables
    """Results that are told as a whole: categories, and what became of messages."""
