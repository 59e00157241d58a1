"""Times of the day and the week: every series, or every attribute of a population, has a circular density.

A value is the mean time of the records of a bucket, in seconds since midnight UTC, or since Thursday 00:00
UTC, where the weeks of the epoch begin. An interval around midnight has a lower bound above its upper one.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from tidegate_kernels import circle
from tidegate_kernels import circular as kernels

from .analysis import Analysis, Finding, LaneCells, rows_kept
from .bymodel import ByModel, Density, found, grown, judged, mean_of, models_of
from .cells import F64, I64, ClosedCells
from .config import Detector
from .kept import require
from .keys import Keys, Sizes
from .model import SIGNIFICANT, U8, Run
from .rows import Source
from .threads import Threads

_DAY = 86_400.0
_TIME: Source = ("time", None)
_POINTS = (0.3492180887417384, 1.1045199391225742, 2.1130867292364264, 4.355634969110448, 8.052613074541654)
_SHARES = (0.25, 0.15, 0.075, 0.02, 0.005)


class Circular(Analysis):
    """The densities of the times of one detector."""

    KEPT: ClassVar = {"state": F64}

    def __init__(self, detector: Detector, span_ms: int) -> None:
        self.detector = detector
        self.sources = (_TIME,)
        is_week = detector.spec.name == "time_of_week"
        self._period = 7.0 * _DAY if is_week else _DAY
        self._settings = settings_of(is_week, span_ms)
        self._size = circle.GROUPS + 4 * (int(self._settings[circle.SLOTS]) + 1)
        self.state: F64 = np.zeros(0)

    @property
    def series_bytes(self) -> int:
        """The memory that one more series takes; of a population the attributes have the models."""
        return 0 if self.detector.over_field_name is not None else 8 * self._size

    @property
    def attribute_bytes(self) -> int:
        """The memory that one more attribute takes."""
        return 8 * self._size

    def taken(self, sizes: Sizes) -> int:
        """The memory that the models of so many series and attributes take."""
        return 8 * self._size * sizes[0 if self.detector.over_field_name is None else 1]

    def keep(self, keys: Keys, series: I64, attributes: I64) -> None:
        """Forgets all series and attributes but these, ascending, which move down."""
        self.state = grown(self.state, self._size * models_of(keys))
        numbers = series if self.detector.over_field_name is None else attributes
        self.state = rows_kept(self.state, self._size, numbers)

    def _resume(self) -> None:
        require_counts(self.state, self._size, circle.USED, int(self._settings[circle.SLOTS]))

    def actual_of(self, closed: ClosedCells) -> F64:
        """The times of cells, seconds into the day or the week."""
        return seconds_of(mean_of(closed), self._period)

    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores every series with its times, and with ``run.learn`` then trains."""
        closed = cells[_TIME]
        time = self.actual_of(closed)
        sorted_cells = ByModel.of(closed, keys, (time,))
        time_c = time[sorted_cells.order]
        self.state = grown(self.state, self._size * models_of(keys))

        density = Density(kernels.judge_times, (time_c,), self._settings, self.state, (circle.POINTS,) * 2)
        piece = judged(sorted_cells, run, threads, density)
        cell, _, typical, lower, upper, score = piece.columns
        return found(
            self.detector,
            keys,
            sorted_cells,
            piece,
            actual_r=time_c[cell],
            typical_r=typical,
            lower_r=lower,
            upper_r=upper,
            score_r=score,
        )


def require_counts(state: F64, size: int, place: int, most: int) -> None:
    """Sees that restored densities are numbers, and have groups or spots no more than there is room for."""
    require(bool(np.isfinite(state).all()), "what is known of a series is no number")
    used = state[: len(state) // size * size].reshape(-1, size)[:, place]
    fits = ((used >= 0.0) & (used <= most) & (used == np.floor(used))).all()
    require(bool(fits), f"a density does not have 0 to {most} parts")


def seconds_of(time_ms: F64, period: float) -> F64:
    """Seconds into the period, less than the period.

    >>> seconds_of(np.array([0.0, 86_400_500.0]), 86_400.0).tolist()
    [0.0, 0.5]
    """
    seconds = np.remainder(time_ms, 1000.0 * period) / 1000.0
    return np.where(seconds < period, seconds, 0.0)


def settings_of(is_week: bool, span_ms: int) -> F64:
    """The settings of the kernel for a bucket span."""
    span = span_ms / 1000.0
    settings = np.zeros(circle.SETTINGS)
    settings[circle.PERIOD] = 7.0 * _DAY if is_week else _DAY
    settings[circle.SLOTS] = 32 if is_week else 24
    settings[circle.LEAST_WIDTH] = min(span, _DAY) / 30.0
    settings[circle.MOST_WIDTH] = _DAY / 8.0 if is_week else _DAY / 24.0
    settings[circle.BRIDGE] = 1.5 * span
    settings[circle.MEMORY] = (84.0 if is_week else 30.0) * _DAY
    settings[circle.LEAST_MEMORY] = 1000.0 if is_week else 500.0
    settings[circle.SPAN] = span
    settings[circle.THRESHOLD] = math.log(SIGNIFICANT)
    settings[circle.POINT : circle.POINT + circle.CELLS] = _POINTS
    settings[circle.SHARE : circle.SHARE + circle.CELLS] = _SHARES
    return settings
