"""Positions on the earth: every series, or every attribute of a population, has its hot spots.

A value is the mean position of the records of a bucket: the direction of the mean of their unit vectors,
so that it is right across the date line and at the poles.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from tidegate_kernels import position as kernels
from tidegate_kernels import sphere, spots

from .analysis import Analysis, Finding, LaneCells, rows_kept
from .bymodel import ByModel, Density, found, grown, judged, mean_of, models_of
from .cells import F64, I64
from .circular import require_counts
from .config import Detector
from .keys import Keys, Sizes
from .model import SIGNIFICANT, U8, Run
from .rows import Source
from .threads import Threads

AXES = ("x", "y", "z")
"""Kinds of sources: the coordinates of the unit vectors of positions."""
_MEMORY_MS = 60 * 86_400_000
_LEAST_MEMORY = 500.0  # values
_RINGS = (0.7866397863806571, 1.6616961328197561, 2.8390938313325513, 4.767192485230949, 7.697113303269453)
_SHARES = (0.125, 0.075, 0.0375, 0.01, 0.0025)
_DECIMALS = 9  # of a degree: 0.1 mm


class Position(Analysis):
    """The hot spots of one detector."""

    KEPT: ClassVar = {"state": F64}

    def __init__(self, detector: Detector, span_ms: int) -> None:
        self.detector = detector
        self.sources: tuple[Source, ...] = tuple((axis, detector.field_name) for axis in AXES)
        self._settings = settings_of(span_ms, stays=detector.over_field_name is None)
        self.state: F64 = np.zeros(0)

    @property
    def series_bytes(self) -> int:
        """The memory that one more series takes; of a population the attributes have the models."""
        return 0 if self.detector.over_field_name is not None else 8 * spots.STATE

    @property
    def attribute_bytes(self) -> int:
        """The memory that one more attribute takes."""
        return 8 * spots.STATE

    def taken(self, sizes: Sizes) -> int:
        """The memory that the models of so many series and attributes take."""
        return 8 * spots.STATE * sizes[0 if self.detector.over_field_name is None else 1]

    def keep(self, keys: Keys, series: I64, attributes: I64) -> None:
        """Forgets all series and attributes but these, ascending, which move down."""
        self.state = grown(self.state, spots.STATE * models_of(keys))
        numbers = series if self.detector.over_field_name is None else attributes
        self.state = rows_kept(self.state, spots.STATE, numbers)

    def _resume(self) -> None:
        require_counts(self.state, spots.STATE, spots.USED, spots.SPOTS)

    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores every series with its positions, and with ``run.learn`` then trains."""
        x, y, z = (mean_of(cells[source]) for source in self.sources)
        sphere.to_unit(x, y, z)
        sorted_cells = ByModel.of(cells[self.sources[0]], keys, (x, y, z))
        vectors = [column[sorted_cells.order] for column in (x, y, z)]
        self.state = grown(self.state, spots.STATE * models_of(keys))

        density = Density(kernels.judge_positions, vectors, self._settings, self.state, (spots.POINTS,) * 4)
        piece = judged(sorted_cells, run, threads, density)
        cell = piece.columns[0]
        actual = degrees_of(*(column[cell] for column in vectors))
        typical = degrees_of(*piece.columns[2:5])
        nothing = np.full(len(cell), np.nan)
        return found(
            self.detector,
            keys,
            sorted_cells,
            piece,
            actual_r=actual[0],
            typical_r=typical[0],
            second_actual_r=actual[1],
            second_typical_r=typical[1],
            lower_r=nothing,
            upper_r=nothing,
            score_r=piece.columns[5],
        )


def settings_of(span_ms: int, *, stays: bool) -> F64:
    """The settings of the kernel for a bucket span; `stays`: a series has a last position."""
    settings = np.zeros(spots.SETTINGS)
    settings[spots.MEMORY] = _MEMORY_MS / span_ms
    settings[spots.LEAST_MEMORY] = _LEAST_MEMORY
    settings[spots.STAYS] = float(stays)
    settings[spots.THRESHOLD] = math.log(SIGNIFICANT)
    settings[spots.RING : spots.RING + spots.CELLS] = _RINGS
    settings[spots.SHARE : spots.SHARE + spots.CELLS] = _SHARES
    return settings


def degrees_of(x: F64, y: F64, z: F64) -> tuple[F64, F64]:
    """Latitude and longitude of vectors, rounded to what a position may mean.

    >>> one = np.ones(1)
    >>> [column.tolist() for column in degrees_of(one, one, 0.0 * one)]
    [[0.0], [45.0]]
    """
    latitude, longitude = np.empty(len(x)), np.empty(len(x))
    sphere.to_degrees(x, y, z, latitude, longitude)
    return np.round(latitude, _DECIMALS) + 0.0, np.round(longitude, _DECIMALS) + 0.0


def vectors_of(latitude: F64, longitude: F64) -> tuple[F64, F64, F64]:
    """Unit vectors of positions in degrees, NaN of those that are none."""
    x, y, z = (np.empty(len(latitude)) for _ in range(3))
    sphere.to_vectors(latitude, longitude, x, y, z)
    return x, y, z
