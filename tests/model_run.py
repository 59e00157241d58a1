"""Many series through the model kernel, call by call, for tests of the kernel by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels import blocks, calendar, model

SPAN_MS = 900_000
START = 2_000_000
"""An absolute bucket, some decades after the epoch."""
WEEK = 7 * 86_400_000 // SPAN_MS
COLUMNS = (
    "bucket",
    "series",
    "actual",
    "typical",
    "lower",
    "upper",
    "log_p",
    "log_p_single",
    "log_p_multi",
    "score",
)
BUCKET, ACTUAL, TYPICAL, LOG_P, SCORE = (
    COLUMNS.index(name) for name in ("bucket", "actual", "typical", "log_p", "score")
)


class ModelRun:
    """Feeds cells to update_blocks, call by call, and keeps all results."""

    def __init__(self, n_series: int, kernel: Any = model.update_blocks, **settings: float) -> None:
        self.kernel = kernel
        self.blocks = -(-n_series // model.LANES)
        self.state = np.zeros(self.blocks * model.BLOCK_SIZE)
        self.page_b = np.full(self.blocks, -1)
        self.pages = np.zeros(self.blocks * model.PAGE_SIZE, np.float32)
        self.free = np.arange(self.blocks)
        self.settings = np.zeros(model.SETTINGS_SIZE)
        self.settings[model.SPAN_MS] = SPAN_MS
        self.settings[model.THRESHOLD] = 2.0
        self.settings[model.PRIOR_SPREAD], self.settings[model.PRIOR_COUNT] = 0.03, 2.0
        for name, value in settings.items():
            self.settings[getattr(model, name.upper())] = value
        self.rows: list[tuple[float, ...]] = []
        self.minimum: list[float] = []
        self.scored: list[int] = []
        self.plot_s = np.empty(0, np.uint8)
        self.bounds: list[tuple[float, ...]] = []
        self.rules, self.rule_s = np.empty(0), np.empty(0, np.uint64)

    def plot(self, *series: int) -> ModelRun:
        """Asks for the bounds of these series; they come in rows of `bounds.PLOT_BUCKET` and so on."""
        self.plot_s = np.zeros(self.blocks * model.LANES, np.uint8)
        self.plot_s[list(series)] = 1
        return self

    def feed(
        self,
        values_sb: np.ndarray,
        bucket_from: int,
        *,
        capacity: int = 0,
        learn: int = 1,
        sparse: bool = False,
        clock_offset: int = 0,
        completeness: float = 1.0,
        records: float = 1.0,
    ) -> np.ndarray:
        """One call over values_sb (series by bucket; with sparse NaN means no cell at all).

        Returns a row of COLUMNS for every result.
        """
        n = values_sb.shape[1]
        cells = ~np.isnan(values_sb) if sparse else np.ones(values_sb.shape, bool)
        at_c, series_c = np.nonzero(cells.T)
        order, first_s = np.empty(len(at_c), np.int64), np.empty(self.blocks + 1, np.int64)
        blocks.sort_by_block(series_c.astype(np.int32), self.blocks, first_s, order)
        day, week, month, year = (np.zeros(n, np.int64) for _ in range(4))
        phases = (day, np.zeros(n), week, np.zeros(n), month, year, np.zeros(n))
        calendar.fill_calendar(bucket_from, bucket_from + n, SPAN_MS, *phases)
        capacity = max(capacity or values_sb.size, model.LANES)
        outs = [np.zeros(capacity, np.int64) for _ in range(2)] + [np.zeros(capacity) for _ in range(8)]
        minimum, scored = np.zeros(n), np.zeros(n, np.int64)
        bounds = np.zeros(capacity * model.BOUNDS if len(self.plot_s) else 0)
        work, resume = np.zeros(model.WORK_SIZE), np.zeros(model.RESUME_SIZE, np.int64)
        scratch = np.zeros(model.PAGE_SIZE, np.float32)
        rows: list[tuple[float, ...]] = []
        while not resume[model.IS_DONE]:
            found = self.kernel(
                np.arange(self.blocks), first_s, bucket_from + at_c[order], series_c[order].astype(np.int32),
                values_sb.T[cells.T][order], np.full(len(at_c), records), *phases,
                self.state, self.page_b, self.pages, self.free, self.settings, work, scratch,
                bucket_from, bucket_from + n, clock_offset, learn, np.full(n, completeness),
                self.plot_s, self.rules, self.rule_s, *outs, minimum, scored, bounds, resume,
            )  # fmt: skip
            self.bounds += map(tuple, bounds.reshape(-1, model.BOUNDS)[: resume[model.PLOTTED]].tolist())
            rows += zip(*(out[:found].tolist() for out in outs), strict=True)
        self.free = self.free[resume[model.PAGES_TAKEN] :]
        self.rows += rows
        self.minimum += minimum.tolist()
        self.scored += scored.tolist()
        return np.array(rows).reshape(-1, len(COLUMNS))

    def peek(self, value: float, bucket: int, **options: float) -> np.ndarray:
        """What the first series would make of one more value, which changes nothing."""
        return self.feed(np.array([[float(value)]]), bucket, learn=0, **options)[0]


def seasonal(n_series: int, n: int, seed: int = 7) -> np.ndarray:
    """Values around 100 with the wave of the day, noise of 5 and some outliers."""
    rng = np.random.default_rng(seed)
    wave = 100 + 30 * np.sin(2 * np.pi * np.arange(n) / 96)
    values = wave + rng.normal(0, 5, (n_series, n))
    values[rng.random(values.shape) < 0.003] *= 3
    return values
