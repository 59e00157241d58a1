"""What every kind of analysis has in common: cells of closed buckets in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .causes import Causes
from .cells import F64, Cells, ClosedCells
from .config import Detector
from .keys import Keys
from .model import U8, Run, Scored
from .rows import Source
from .threads import Threads


@dataclass(frozen=True, slots=True)
class Finding:
    """What one detector found in a pass."""

    detector: Detector
    keys: Keys
    scored: Scored
    bounds_f: tuple[F64, ...] = ()
    """The rows of the model plot, of each of the detector's features."""
    causes: Causes | None = None
    """Of a population: why its members are unusual."""


class LaneCells:
    """The cells of one lane in a pass, by source; sorted by block of series only once."""

    def __init__(self, closed: dict[Source, ClosedCells], n_series: int) -> None:
        self._closed = closed
        self._n_series = n_series
        self._by_block: dict[Source, Cells] = {}

    def __getitem__(self, source: Source) -> ClosedCells:
        """The cells of a source, bucket by bucket."""
        return self._closed[source]

    def renamed(self, names: Mapping[Source, Source]) -> LaneCells:
        """The cells as somebody sees them who asks for one source and is to have another."""
        return LaneCells({name: self._closed[source] for name, source in names.items()}, self._n_series)

    def where(self, choose: Callable[[ClosedCells], npt.NDArray[np.bool_]]) -> LaneCells:
        """The cells that are chosen of every source."""
        chosen = {source: closed.where(choose(closed)) for source, closed in self._closed.items()}
        return LaneCells(chosen, self._n_series)

    def within(self, first: int, last: int) -> LaneCells:
        """The cells of the buckets ``first <= b < last``."""
        parts = {source: closed.within(first, last) for source, closed in self._closed.items()}
        return LaneCells(parts, self._n_series)

    def by_block(self, source: Source) -> Cells:
        """The cells of a source, those of every block of series together."""
        if source not in self._by_block:
            self._by_block[source] = self._closed[source].by_block(self._n_series)
        return self._by_block[source]


class Analysis(Protocol):
    """The models of one detector."""

    @property
    def detector(self) -> Detector:
        """The detector that it serves."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is to be gathered for it."""

    @property
    def series_bytes(self) -> int:
        """The memory that one more series takes."""

    @property
    def attribute_bytes(self) -> int:
        """The memory that one more attribute of a population takes; 0 without an over field."""

    @property
    def state_bytes(self) -> int:
        """The memory that its models take now."""

    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores every series with its cells, bucket by bucket, and with ``run.learn`` then trains.

        The series that are 1 in ``plot_s`` are in the model plot. However the buckets are cut into
        runs, and whatever the number of threads, the findings are the same.
        """

    def ask_siblings(self) -> None:
        """Lets series that are yet to come begin with what the present ones have in common."""
