"""What every kind of analysis has in common: cells of closed buckets in, findings out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .causes import Causes
from .cells import F64, I32, I64, Cells, ClosedCells
from .config import Detector
from .kept import Keeper
from .keys import Keys, Sizes
from .model import U8, Run, Scored
from .rows import Source
from .rules import DetectorRules
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


class Analysis(Keeper, ABC):
    """The models of one detector; what a kind of analysis has no use for does nothing."""

    detector: Detector
    """The detector that it serves."""
    sources: tuple[Source, ...]
    """What is to be gathered for it."""
    rules: DetectorRules | None = None
    """The custom rules of the detector."""
    obeys_rules: ClassVar[bool] = False
    """Whether `run` goes by the rules; else that is done from outside."""

    @property
    @abstractmethod
    def series_bytes(self) -> int:
        """The most memory that one more series takes."""

    @property
    def attribute_bytes(self) -> int:
        """The memory that one more attribute of a population takes beside its members."""
        return 0

    @abstractmethod
    def taken(self, sizes: Sizes) -> int:
        """The memory that the models of so many series and attributes take; of room for more, nothing."""

    def expected(self, sizes: Sizes, partitions: int) -> int:
        """The memory that the models of so many series, all seasonal, attributes and partitions will take."""
        return self.series_bytes * sizes[0] + self.attribute_bytes * sizes[1]

    def promised(self, n_series: int) -> int:
        """The memory that models of so many series, plain so far, take if all turn out to be seasonal."""
        return 0

    def limit_growth(self, n_series: int, most_bytes: int) -> int:
        """Lets no more of these models become seasonal than fit; returns the bytes that they may take."""
        return 0

    @abstractmethod
    def keep(self, keys: Keys, series: I64, attributes: I64) -> None:
        """Forgets all series and attributes but these, ascending, which move down; `keys` has all yet."""

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""

    def forget_silent(self, clock: int, spared_s: npt.NDArray[np.uint8]) -> None:
        """Lets go of what the prune window will forget anyway; not of series that are 1 in `spared_s`."""

    @abstractmethod
    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores every series with its cells, bucket by bucket, and with ``run.learn`` then trains.

        The series that are 1 in ``plot_s`` are in the model plot. However the buckets are cut into
        runs, and whatever the number of threads, the findings are the same.
        """

    def actual_of(self, closed: ClosedCells) -> F64:
        """What custom rules take for the values of cells of its first source, NaN where that is nothing."""
        return np.full(len(closed), np.nan)

    def ask_siblings(self, clock: int) -> None:
        """Lets series that are yet to come begin with what the present ones, at a time, have in common."""

    def require_keys(self, keys: Keys) -> None:
        """Sees that what was restored is of these keys."""

    def set_prune(self, buckets: int) -> None:
        """Forgets what is silent for longer than so many buckets."""

    def shift_time(self, seconds: int, chosen_s: npt.NDArray[np.bool_] | None = None) -> None:
        """Expects of the chosen series, or all, at any time what was expected so many seconds later."""


def with_room(array: F64, size: int) -> F64:
    """The array, or a longer copy with zeros at its end."""
    if size <= len(array):
        return array
    longer = np.zeros(max(size, len(array) + len(array) // 2))
    longer[: len(array)] = array
    return longer


def rows_kept(state: F64, size: int, numbers: I64) -> F64:
    """The states of some numbers, `size` elements each."""
    kept: F64 = state[: len(state) // size * size].reshape(-1, size)[numbers].reshape(-1)
    return kept
