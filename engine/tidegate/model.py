"""The models of a detector: flat state in blocks of series, run by kernels on a few threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegate_kernels import calendar as calendar_kernels
from tidegate_kernels import model as kernels

from .cells import F64, I32, I64, Cells
from .config import Detector
from .threads import Threads

SIGNIFICANT = 0.01
"""Only a probability below this makes a record."""
STATE_BYTES = 8 * (kernels.BLOCK_SIZE + kernels.PAGE_SIZE) // kernels.LANES
"""Of a seasonal series; a plain one has no share of a page."""
_SIDES = {"both": 0.0, "low": -1.0, "high": 1.0}
_COUNTING = ("count", "distinct_count")
_BY_RECORDS = ("mean", "median", "min", "max", "varp")
_GROWS_WITH_BUCKET = ("count", "distinct_count", "sum")
"""Features of an open bucket that are still growing: interim results allow for what is missing."""
_PIECE = 256  # buckets of blocks below which a second thread costs more than it brings
_LARGEST_PIECE = 1 << 12  # above, what a piece reads and writes outgrows the nearer cache
_MOST_NEW_BLOCKS = 1 << 13
_FIRST_RESULTS = 1024


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which phase of the day and of the week every bucket of a pass has."""

    bucket_from: int
    bucket_to: int
    arrays: tuple[I64, F64, I64, F64]

    @classmethod
    def of(cls, bucket_from: int, bucket_to: int, span_ms: int) -> Calendar:
        """The calendar of the buckets numbered ``bucket_from <= b < bucket_to``."""
        n = max(bucket_to - bucket_from, 0)
        arrays = (np.empty(n, np.int64), np.empty(n), np.empty(n, np.int64), np.empty(n))
        calendar_kernels.fill_calendar(bucket_from, bucket_to, span_ms, *arrays)
        return cls(bucket_from, bucket_to, arrays)

    def __len__(self) -> int:
        return self.bucket_to - self.bucket_from


@dataclass(frozen=True, slots=True)
class Run:
    """What one pass over closed, or over open, buckets asks of the models."""

    calendar: Calendar
    clock_offset: int
    """Buckets skipped so far: the models' clock is the bucket's number less this."""
    learn: bool
    """False for interim results: nothing changes."""
    completeness_b: F64 | None = None
    """Interim only: the share of its usual records that every open bucket has so far."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Series and buckets with a probability below `SIGNIFICANT`, and what was scored in all.

    Arrays ending in _r have one element per result; _b one per bucket of the pass.
    """

    bucket_r: I64
    series_r: I64
    actual_r: F64
    typical_r: F64
    lower_r: F64
    upper_r: F64
    log_p_r: F64
    log_p_single_r: F64
    log_p_multi_r: F64
    score_r: F64
    feature_r: I64
    """Which of ``detector.spec.features`` it is that is unusual."""
    min_log_p_b: F64
    scored_b: I64

    def __len__(self) -> int:
        return len(self.bucket_r)


RESULT_COLUMNS = tuple(name for name in Scored.__slots__ if name.endswith("_r"))
_OF_KERNEL = tuple(name for name in RESULT_COLUMNS if name != "feature_r")


class FeatureModel:
    """The models of one feature of one detector, for all series."""

    def __init__(self, detector: Detector, feature: str, span_ms: int, prune_buckets: int) -> None:
        self.detector = detector
        self.feature = feature
        self._index = detector.spec.features.index(feature)
        self.state: F64 = np.zeros(0)
        self._pages: F64 = np.zeros(0)
        self._page_b: I64 = np.zeros(0, np.int64)
        self._free: I64 = np.zeros(0, np.int64)
        self._zero_fill = detector.spec.zero_fill
        settings = np.zeros(kernels.SETTINGS_SIZE)
        settings[kernels.SIDE] = _SIDES[detector.spec.side_of(feature)]
        settings[kernels.ZERO_FILL] = float(self._zero_fill)
        settings[kernels.PRUNE_BUCKETS] = prune_buckets
        settings[kernels.SPAN_MS] = span_ms
        settings[kernels.COUNTS] = float(feature in _COUNTING)
        settings[kernels.SCALE_BY_RECORDS] = float(feature in _BY_RECORDS)
        settings[kernels.THRESHOLD] = SIGNIFICANT
        self._settings = settings

    @property
    def state_bytes(self) -> int:
        """The memory that states and profiles take."""
        pages = int(np.count_nonzero(self._page_b >= 0))
        return 8 * (len(self._page_b) * kernels.BLOCK_SIZE + pages * kernels.PAGE_SIZE)

    def grow(self, n_blocks: int) -> None:
        """Makes room for so many blocks of series."""
        used = len(self._page_b)
        if n_blocks <= used:
            return
        size = max(n_blocks, min(2 * used, used + _MOST_NEW_BLOCKS))
        state, page_b = np.zeros(size * kernels.BLOCK_SIZE), np.full(size, -1)
        state[: len(self.state)], page_b[:used] = self.state, self._page_b
        self.state, self._page_b = state, page_b

    def _make_pages(self, blocks: I64) -> None:
        """Makes sure that there is a page for every block that has none."""
        wanted = int(np.count_nonzero(self._page_b[blocks] < 0))
        if wanted <= len(self._free):
            return
        used = len(self._pages) // kernels.PAGE_SIZE
        new = max(wanted - len(self._free), min(used, _MOST_NEW_BLOCKS))
        # Not touched until they are taken: pages nobody needs take addresses, no memory.
        pages = np.empty((used + new) * kernels.PAGE_SIZE)
        pages[: len(self._pages)] = self._pages
        self._pages, self._free = pages, np.append(self._free, np.arange(used, used + new))

    def run(self, cells: Cells, run: Run, threads: Threads) -> Scored:
        """Scores, and with ``run.learn`` then trains, every series with its cells in time order."""
        n_blocks = len(cells.first_b) - 1
        self.grow(n_blocks)
        if self._zero_fill and run.learn:
            blocks = np.arange(n_blocks)
            load = n_blocks * len(run.calendar)
        else:
            blocks = np.flatnonzero(np.diff(cells.first_b))
            load = len(cells) // kernels.LANES
        first = np.append(cells.first_b[blocks], len(cells))
        completeness_b = run.completeness_b if self.feature in _GROWS_WITH_BUCKET else None
        if completeness_b is None:
            completeness_b = np.ones(len(run.calendar))
        if run.learn:
            self._make_pages(blocks)

        def piece(k: int) -> Scored:
            begin, end = bounds[k], bounds[k + 1]
            return self._run_piece(
                blocks[begin:end],
                first[begin : end + 1] - first[begin],
                cells.columns(self.feature, first[begin], first[end]),
                self._free[pages[k] : pages[k + 1]],
                run,
                completeness_b,
            )

        pieces = max(min(threads.size, load // _PIECE), load // _LARGEST_PIECE)
        pieces = max(1, min(pieces, len(blocks)))
        bounds = _even_bounds(first, pieces, by_cells=not self._zero_fill)
        pages = np.append(0, np.cumsum(self._page_b[blocks] < 0))[bounds] if run.learn else bounds
        parts = list(threads.map(piece, range(pieces)))
        if run.learn and pages[-1]:
            self._free = np.setdiff1d(self._free, self._page_b[blocks], assume_unique=True)
        return _joined(parts)

    def _run_piece(
        self,
        blocks: I64,
        first: I64,
        columns: tuple[I64, I32, F64, F64],
        free: I64,
        run: Run,
        completeness_b: F64,
    ) -> Scored:
        """Runs the kernel over some of the blocks, however many results it has."""
        calendar = run.calendar
        work, resume = np.zeros(kernels.WORK_SIZE), np.zeros(kernels.RESUME_SIZE, np.int64)
        min_log_p, scored = np.zeros(len(calendar)), np.zeros(len(calendar), np.int64)
        size, parts = _FIRST_RESULTS, []
        while not resume[kernels.IS_DONE]:
            whole = [np.empty(size, np.int64) for _ in range(2)]
            real = [np.empty(size) for _ in range(8)]
            made = kernels.update_blocks(
                blocks,
                first,
                *columns,
                *calendar.arrays,
                self.state,
                self._page_b,
                self._pages,
                free,
                self._settings,
                work,
                calendar.bucket_from,
                calendar.bucket_to,
                run.clock_offset,
                int(run.learn),
                completeness_b,
                *whole,
                *real,
                min_log_p,
                scored,
                resume,
            )
            parts.append([column[:made] for column in (*whole, *real)])
            size = min(4 * size, 1 << 20)
        results: dict[str, Any] = {
            name: np.concatenate(pieces)
            for name, pieces in zip(_OF_KERNEL, zip(*parts, strict=True), strict=True)
        }
        feature_r = np.full(len(results["bucket_r"]), self._index)
        return Scored(**results, feature_r=feature_r, min_log_p_b=min_log_p, scored_b=scored)


def _even_bounds(first: I64, pieces: int, *, by_cells: bool) -> list[int]:
    """Positions that cut the blocks into pieces of about equal work."""
    n = len(first) - 1
    if not by_cells:
        return [n * k // pieces for k in range(pieces + 1)]
    targets = [int(first[-1]) * k // pieces for k in range(1, pieces)]
    return [0, *(int(at) for at in np.searchsorted(first[:-1], targets)), n]


def _joined(parts: list[Scored]) -> Scored:
    """Pieces of one run as one: results in the order of blocks, the smallest of the smallest."""
    if len(parts) == 1:
        return parts[0]
    return Scored(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in RESULT_COLUMNS},
        min_log_p_b=np.minimum.reduce([part.min_log_p_b for part in parts]),
        scored_b=np.add.reduce([part.scored_b for part in parts]),
    )
