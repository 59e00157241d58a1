"""The models of a detector: flat state in blocks of series, run by kernels on a few threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import calendar as calendar_kernels
from tidegate_kernels import model as kernels
from tidegate_kernels import state as rows

from .cells import F32, F64, I32, I64, Cells
from .config import Detector
from .kept import INSIDE
from .pagedstate import PagedState
from .siblings import Prior, common
from .threads import Threads
from .timeshift import rotated, shift_series

U8 = npt.NDArray[np.uint8]
SIGNIFICANT = 0.01
"""Only a probability below this makes a record."""
_BLOCK_BYTES, _PAGE_BYTES = 8 * kernels.BLOCK_SIZE, 4 * kernels.PAGE_SIZE
STATE_BYTES = (_BLOCK_BYTES + _PAGE_BYTES) // kernels.LANES
"""Of a seasonal series; a plain one has no share of a page."""
SIDES = {"both": 0.0, "low": -1.0, "high": 1.0}
COUNTING = ("count", "distinct_count")
# A size is a measure, whose unit is arbitrary; the data hardly decide. Clean lookups of 60 hosts, 0.5, 3 and
# 30 an hour, 90,000 buckets each: p < 1e-4 came 5, 1 and 9 times as a measure, 6, 0 and 18 as a count (9 are
# due); of 240 strange ones put in, p < 1e-4 found 45, 58 and 42% against 35, 70 and 45% (2026-11-23).
_BY_RECORDS = ("mean", "median", "min", "max", "varp")
GROWS_WITH_BUCKET = ("count", "distinct_count", "info_content", "sum")
"""Features of an open bucket that are still growing: interim results allow for what is missing."""
_PIECE = 256  # buckets of blocks below which a second thread costs more than it brings
_LARGEST_PIECE = 1 << 12  # above, what a piece reads and writes outgrows the nearer cache
_MOST_NEW_BLOCKS = 1 << 13
_FIRST_RESULTS = 1024
_MOST_RESULTS = 1 << 20
NO_PLOT: U8 = np.empty(0, np.uint8)
"""No series has its bounds asked for."""
RuleTable = tuple[F64, npt.NDArray[np.uint64]]
"""Custom rules for the kernel, and a mask of them for every series; both empty without any."""
NO_RULES: RuleTable = (np.empty(0), np.empty(0, np.uint64))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which phase of the day, the week, the month and the year every bucket of a pass has."""

    bucket_from: int
    bucket_to: int
    arrays: tuple[I64, F64, I64, F64, I64, I64, F64]

    @classmethod
    def of(cls, bucket_from: int, bucket_to: int, span_ms: int) -> Calendar:
        """The calendar of the buckets numbered ``bucket_from <= b < bucket_to``."""
        n = max(bucket_to - bucket_from, 0)
        day, week, month, year = (np.empty(n, np.int64) for _ in range(4))
        arrays = (day, np.empty(n), week, np.empty(n), month, year, np.empty(n))
        calendar_kernels.fill_calendar(bucket_from, bucket_to, span_ms, *arrays)
        return cls(bucket_from, bucket_to, arrays)

    def __len__(self) -> int:
        return self.bucket_to - self.bucket_from

    def within(self, first: int, last: int) -> Calendar:
        """The calendar of some of its buckets, ``first <= b < last``; shares memory."""
        at = slice(first - self.bucket_from, last - self.bucket_from)
        day, day_part, week, week_part, month, year, year_part = self.arrays
        dates = day[at], day_part[at], week[at], week_part[at], month[at], year[at], year_part[at]
        return Calendar(first, last, dates)


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

    @property
    def is_interim(self) -> bool:
        """Whether the buckets are open still."""
        return self.completeness_b is not None


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
    second_actual_r: F64
    """The second number of a value that has two, a longitude; NaN for others."""
    second_typical_r: F64
    rarity_r: F64
    """How rare a by value is among its like; NaN where that is not the question."""
    is_first_r: F64
    """1 for a by value never seen before, 0 for one that was; NaN where that is not the question."""
    min_log_p_b: F64
    scored_b: I64
    bounds: F64
    """Rows of the model plot, `kernels.BOUNDS` numbers each, those of a series in time order."""

    def __len__(self) -> int:
        return len(self.bucket_r)


RESULT_COLUMNS = tuple(name for name in Scored.__slots__ if name.endswith("_r"))
INTEGER_COLUMNS = ("bucket_r", "series_r", "feature_r")
SELDOM = ("second_actual_r", "second_typical_r", "rarity_r", "is_first_r")
"""Columns of results that few functions have; NaN for the others."""
_OF_KERNEL = tuple(name for name in RESULT_COLUMNS if name not in ("feature_r", *SELDOM))


class FeatureModel(PagedState):
    """The models of one feature of one detector, for all series."""

    KEPT: ClassVar = {"_prior": INSIDE, **PagedState.KEPT}

    def __init__(self, detector: Detector, feature: str, span_ms: int, prune_buckets: int) -> None:
        self.detector = detector
        self.feature = feature
        self._index = detector.spec.features.index(feature)
        super().__init__()
        self._zero_fill = detector.spec.zero_fill
        settings = np.zeros(kernels.SETTINGS_SIZE)
        settings[kernels.SIDE] = SIDES[detector.spec.side_of(feature)]
        settings[kernels.ZERO_FILL] = float(self._zero_fill)
        settings[kernels.PRUNE_BUCKETS] = prune_buckets
        settings[kernels.SPAN_MS] = span_ms
        settings[kernels.COUNTS] = float(feature in COUNTING)
        settings[kernels.SCALE_BY_RECORDS] = float(feature in _BY_RECORDS)
        settings[kernels.THRESHOLD] = SIGNIFICANT
        self._settings = settings
        self._prior = settings[kernels.PRIOR_SPREAD :]  # and which blocks may not take a page
        self._begin_with(Prior())

    def taken(self, n_series: int) -> int:
        """The memory that the states of so many series and their profiles take."""
        pages = int(np.count_nonzero(self._page_b >= 0))
        return _BLOCK_BYTES * blocks_of(n_series) + _PAGE_BYTES * pages

    def promised(self, n_series: int) -> int:
        """The memory of the profiles that so many series do not have yet."""
        return _PAGE_BYTES * len(self._pageless(n_series))

    def _pageless(self, n_series: int) -> I64:
        """The blocks of so many series that have no page."""
        self.grow(blocks_of(n_series))
        return np.flatnonzero(self._page_b[: blocks_of(n_series)] < 0)

    def limit_pages(self, n_series: int, most_bytes: int) -> int:
        """Lets no more blocks of so many series take a page than fit; returns the bytes of those.

        It is the first that may, and blocks yet to come: whoever asks first makes no difference.
        """
        pageless, most = self._pageless(n_series), max(most_bytes, 0) // _PAGE_BYTES
        stop = blocks_of(n_series)
        first = int(pageless[most]) if most < len(pageless) else stop
        self._settings[kernels.PAGELESS_FROM], self._settings[kernels.PAGELESS_TO] = first, stop
        return _PAGE_BYTES * min(most, len(pageless))

    def keep(self, series: I64, n_series: int) -> None:
        """Forgets all but some of the series, ascending, which move down."""
        self.grow(blocks_of(n_series))
        n, size = len(series), blocks_of(len(series))
        block, lane = series // kernels.LANES, series % kernels.LANES
        new_block, new_lane = np.divmod(np.arange(n), kernels.LANES)
        states = np.zeros((size, rows.STATE_ROWS, kernels.LANES))
        old = self.state.reshape(-1, rows.STATE_ROWS, kernels.LANES)
        states[new_block, :, new_lane] = old[block, :, lane]
        has_page = (self._page_b[block] >= 0) & (old[block, int(rows.SEASONAL) // kernels.LANES, lane] > 0.0)
        paged = np.unique(new_block[has_page])
        page_b = np.full(size, -1)
        page_b[paged] = np.arange(len(paged))
        pages = np.zeros((len(paged), rows.PROFILE_ROWS, kernels.LANES), np.float32)
        old_pages = self._pages.reshape(-1, rows.PROFILE_ROWS, kernels.LANES)
        of_lane = self._page_b[block[has_page]], slice(None), lane[has_page]
        pages[page_b[new_block[has_page]], :, new_lane[has_page]] = old_pages[of_lane]
        self.state, self._page_b, self._pages = states.reshape(-1), page_b, pages.reshape(-1)
        self._used = size
        self._free = np.zeros(0, np.int64)

    def forget_silent(self, clock: int, spared_s: U8) -> None:
        """Makes series fresh that are silent for longer than the prune window; pages of none are given back.

        The kernel would do so at their next cell: whether it is done before changes nothing. Those that
        are 1 in `spared_s` stay: the model plot looks at them.
        """
        states = self.state.reshape(-1, rows.STATE_ROWS, kernels.LANES)
        is_silent = (
            clock - states[:, int(rows.LAST_DATA) // kernels.LANES] > self._settings[kernels.PRUNE_BUCKETS]
        )
        is_silent.reshape(-1)[: len(spared_s)] &= spared_s == 0
        block, lane = np.nonzero(is_silent & (states[:, int(rows.ALIVE) // kernels.LANES] > 0.0))
        if not len(block):
            return
        states[block, :, lane] = 0.0
        pages = self._pages.reshape(-1, rows.PROFILE_ROWS, kernels.LANES)
        has_page = self._page_b[block] >= 0
        pages[self._page_b[block[has_page]], :, lane[has_page]] = 0.0
        self._give_pages_back()

    def _give_pages_back(self) -> None:
        """Takes the pages away from blocks in which no series has profiles."""
        states = self.state.reshape(-1, rows.STATE_ROWS, kernels.LANES)
        has_use = (states[:, int(rows.SEASONAL) // kernels.LANES] > 0.0).any(axis=1)
        paged = np.flatnonzero((self._page_b >= 0) & has_use)
        if len(paged) == np.count_nonzero(self._page_b >= 0):
            return
        pages = self._pages.reshape(-1, kernels.PAGE_SIZE)[self._page_b[paged]]
        self._page_b = np.full_like(self._page_b, -1)
        self._page_b[paged] = np.arange(len(paged))
        self._pages, self._free = pages.reshape(-1), np.zeros(0, np.int64)

    @property
    def memory(self) -> tuple[F64, I64, F32, F64]:
        """States, the page of every block, pages and settings, as kernels take them; only to be read."""
        return self.state, self._page_b, self._pages, self._settings

    def _begin_with(self, prior: Prior) -> None:
        settings = self._settings
        settings[kernels.PRIOR_SPREAD], settings[kernels.PRIOR_COUNT] = prior.spread, prior.count
        settings[kernels.AGREEMENT] = prior.agreement
        settings[kernels.SHAPE :] = 0.0 if prior.shape is None else prior.shape

    def ask_siblings(self, clock: int) -> None:
        """Lets the series that are yet to come begin with what the present ones have in common.

        Not with what those had that are silent, at this time, for longer than the prune window.
        """
        window = self._settings[kernels.PRUNE_BUCKETS]
        self._begin_with(common(self.state, self._pages, self._page_b, clock - window))

    def set_prune(self, buckets: int) -> None:
        """Forgets series that are silent for longer than so many buckets."""
        self._settings[kernels.PRUNE_BUCKETS] = buckets

    def shift_time(self, seconds: int, chosen_s: npt.NDArray[np.bool_] | None = None) -> None:
        """Expects of the chosen series, or of all, at any time what was expected so many seconds later."""
        shift = seconds, int(self._settings[kernels.SPAN_MS])
        shift_series(self.state, self._pages, self._page_b, shift, chosen_s)
        if chosen_s is None:
            self._settings[kernels.SHAPE :] = rotated(self._settings[kernels.SHAPE :], seconds, 86_400)

    def grow(self, n_blocks: int) -> None:
        """Makes room for so many blocks of series."""
        self._used = max(n_blocks, self._used)
        room = len(self._page_b)
        if n_blocks > room:
            state, page_b = self.state, self._page_b
            self._room = max(n_blocks, min(2 * room, room + _MOST_NEW_BLOCKS))
            self.state[: len(state)], self._page_b[:room] = state, page_b

    def _make_pages(self, blocks: I64) -> None:
        """Makes sure that there is a page for every block that has none."""
        wanted = int(np.count_nonzero(self._page_b[blocks] < 0))
        if wanted <= len(self._free):
            return
        used = len(self._pages) // kernels.PAGE_SIZE
        new = max(wanted - len(self._free), min(used, _MOST_NEW_BLOCKS))
        # Not touched until they are taken: pages nobody needs take addresses, no memory.
        pages = np.empty((used + new) * kernels.PAGE_SIZE, np.float32)
        pages[: len(self._pages)] = self._pages
        self._pages, self._free = pages, np.append(self._free, np.arange(used, used + new))

    def run(
        self,
        cells: Cells,
        run: Run,
        threads: Threads,
        plot_s: U8 = NO_PLOT,
        rules: RuleTable = NO_RULES,
    ) -> Scored:
        """Scores, and with ``run.learn`` then trains, every series with its cells in time order.

        The series that are 1 in ``plot_s`` are in the model plot; ``rules`` are the custom rules, and which
        of them every series is in the scope of. Both say 0 of what fills them up to whole blocks.
        """
        self.grow(len(cells.first_b) - 1)
        visited_b = self._visited_blocks(cells, run, plot_s)
        blocks = np.flatnonzero(visited_b | (np.diff(cells.first_b) > 0))
        load = max(int(np.count_nonzero(visited_b)) * len(run.calendar), len(cells) // kernels.LANES)
        first = np.append(cells.first_b[blocks], len(cells))
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
                plot_s,
                rules,
            )

        pieces = max(min(threads.size, load // _PIECE), load // _LARGEST_PIECE)
        pieces = max(1, min(pieces, len(blocks)))
        bounds = _even_bounds(first, pieces, by_cells=not visited_b.any())
        pages = np.append(0, np.cumsum(self._page_b[blocks] < 0))[bounds] if run.learn else bounds
        parts = list(threads.map(piece, range(pieces)))
        if run.learn and pages[-1]:
            self._free = np.setdiff1d(self._free, self._page_b[blocks], assume_unique=True)
        return joined(parts)

    def _visited_blocks(self, cells: Cells, run: Run, plot_s: U8) -> npt.NDArray[np.bool_]:
        """Which blocks are looked at in every bucket, whether there are cells or not."""
        if self._zero_fill and run.learn:
            return np.ones(len(cells.first_b) - 1, bool)
        if not len(plot_s):
            return np.zeros(len(cells.first_b) - 1, bool)
        return np.asarray(plot_s.reshape(-1, kernels.LANES).any(axis=1))

    def _completeness(self, run: Run) -> F64:
        """The share that every bucket has so far of what makes the feature grow; 1 where nothing does."""
        if run.completeness_b is None or self.feature not in GROWS_WITH_BUCKET:
            return np.ones(len(run.calendar))
        return run.completeness_b

    def _run_piece(
        self,
        blocks: I64,
        first: I64,
        columns: tuple[I64, I32, F64, F64],
        free: I64,
        run: Run,
        plot_s: U8,
        rules: RuleTable,
    ) -> Scored:
        """Runs the kernel over some of the blocks, however many results it has."""
        calendar, completeness_b = run.calendar, self._completeness(run)
        work, resume = np.zeros(kernels.WORK_SIZE), np.zeros(kernels.RESUME_SIZE, np.int64)
        scratch = np.empty(kernels.PAGE_SIZE, np.float32)
        min_log_p, scored = np.zeros(len(calendar)), np.zeros(len(calendar), np.int64)
        size = _FIRST_RESULTS
        parts: list[list[npt.NDArray[Any]]] = []
        plotted: list[F64] = []
        while not resume[kernels.IS_DONE]:
            whole = [np.empty(size, np.int64) for _ in range(2)]
            real = [np.empty(size) for _ in range(8)]
            bounds = np.empty(size * kernels.BOUNDS if len(plot_s) else 0)
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
                scratch,
                calendar.bucket_from,
                calendar.bucket_to,
                run.clock_offset,
                int(run.learn),
                completeness_b,
                plot_s,
                *rules,
                *whole,
                *real,
                min_log_p,
                scored,
                bounds,
                resume,
            )
            parts.append([column[:made] for column in (*whole, *real)])
            plotted.append(bounds[: resume[kernels.PLOTTED] * kernels.BOUNDS])
            size = min(4 * size, _MOST_RESULTS)
        return self._scored(parts, plotted, min_log_p, scored)

    def _scored(
        self, parts: list[list[npt.NDArray[Any]]], plotted: list[F64], min_log_p: F64, scored: I64
    ) -> Scored:
        """What the calls of the kernel for a piece gave, as one."""
        columns = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
        nothing = np.full(len(columns[0]), np.nan)
        results: dict[str, Any] = dict(zip(_OF_KERNEL, columns, strict=True))
        return Scored(
            **results,
            feature_r=np.full(len(columns[0]), self._index),
            second_actual_r=nothing,
            second_typical_r=nothing,
            rarity_r=nothing,
            is_first_r=nothing,
            min_log_p_b=min_log_p,
            scored_b=scored,
            bounds=np.concatenate(plotted),
        )


def blocks_of(n_series: int) -> int:
    """How many blocks so many series fill."""
    return -(-n_series // kernels.LANES)


def _even_bounds(first: I64, pieces: int, *, by_cells: bool) -> list[int]:
    """Positions that cut the blocks into pieces of about equal work."""
    n = len(first) - 1
    if not by_cells:
        return [n * k // pieces for k in range(pieces + 1)]
    targets = [int(first[-1]) * k // pieces for k in range(1, pieces)]
    return [0, *(int(at) for at in np.searchsorted(first[:-1], targets)), n]


def consecutive(parts: list[Scored]) -> Scored:
    """Runs over one stretch of buckets after the other as one."""
    return Scored(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Scored.__slots__}
    )


def joined(parts: list[Scored]) -> Scored:
    """Pieces of one run as one: results in the order of blocks, the smallest of the smallest."""
    if len(parts) == 1:
        return parts[0]
    return replace(
        consecutive(parts),
        min_log_p_b=np.minimum.reduce([part.min_log_p_b for part in parts]),
        scored_b=np.add.reduce([part.scored_b for part in parts]),
    )
