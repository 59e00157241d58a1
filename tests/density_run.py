"""Runs the kernels for times and positions over series, whatever they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidegate.circular import settings_of
from tidegate.position import settings_of as positions_of
from tidegate_kernels import circle, circular, position, sphere, spots

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
ALL = 1e-9
"""A threshold of ln p with which everything below 1 is a result."""


@dataclass
class Judged:
    """What a kernel said of every cell: ln p, 0 where it said nothing, and the columns of results."""

    log_p: F64
    columns: dict[str, F64]
    state: F64
    scored_b: I64


def judge_times(
    model: I64, bucket: I64, time: F64, settings: F64, state: F64 | None = None, *, learn: bool = True
) -> Judged:
    """The times of cells, sorted by model and bucket; all with p < 1 are results."""
    settings = settings.copy()
    settings[circle.THRESHOLD] = -ALL
    size = circle.GROUPS + 4 * (int(settings[circle.SLOTS]) + 1)
    if state is None:
        state = np.zeros(size * (int(model.max()) + 1))
    room = [np.empty(circle.POINTS) for _ in range(2)]
    names = ("log_p", "typical", "lower", "upper", "score")
    first, n_buckets = int(bucket.min()), int(bucket.max() - bucket.min()) + 1
    made = np.zeros(circular.RESUME, np.int64)
    scored = np.zeros(n_buckets, np.int64)
    columns = [np.zeros(len(time)) for _ in names]
    cell = np.zeros(len(time), np.int64)
    at = circular.judge_times(
        model, bucket, time, 0, len(time), first, 0, int(learn), settings, state, *room,
        np.zeros(n_buckets), scored, cell, *columns, made,
    )  # fmt: skip
    assert at == len(time)
    return _judged(
        len(time), cell[: made[circular.MADE]], dict(zip(names, columns, strict=True)), state, scored
    )


def judge_positions(
    model: I64, bucket: I64, latitude: F64, longitude: F64, settings: F64, state: F64 | None = None
) -> Judged:
    """The positions of cells, sorted by model and bucket; all with p < 1 are results."""
    settings = settings.copy()
    settings[spots.THRESHOLD] = -ALL
    n = len(bucket)
    vectors = [np.empty(n) for _ in range(3)]
    sphere.to_vectors(latitude, longitude, *vectors)
    if state is None:
        state = np.zeros(spots.STATE * (int(model.max()) + 1))
    room = [np.empty(spots.POINTS) for _ in range(4)]
    names = ("log_p", "x", "y", "z", "score")
    first, n_buckets = int(bucket.min()), int(bucket.max() - bucket.min()) + 1
    made, scored = np.zeros(position.RESUME, np.int64), np.zeros(n_buckets, np.int64)
    columns, cell = [np.zeros(n) for _ in names], np.zeros(n, np.int64)
    at = position.judge_positions(
        model, bucket, *vectors, 0, n, first, 0, 1, settings, state, *room,
        np.zeros(n_buckets), scored, cell, *columns, made,
    )  # fmt: skip
    assert at == n
    return _judged(n, cell[: made[position.MADE]], dict(zip(names, columns, strict=True)), state, scored)


def _judged(n: int, cell: I64, columns: dict[str, F64], state: F64, scored: I64) -> Judged:
    log_p = np.zeros(n)
    log_p[cell] = columns["log_p"][: len(cell)]
    spread = {name: np.full(n, np.nan) for name in columns}
    for name, column in columns.items():
        spread[name][cell] = column[: len(cell)]
    return Judged(log_p, spread, state, scored)


def time_settings(span: float, *, is_week: bool = False) -> F64:
    """The settings for times with a bucket span in seconds."""
    return settings_of(is_week, int(span * 1000))


def position_settings(span: float, *, stays: bool = True) -> F64:
    """The settings for positions with a bucket span in seconds."""
    return positions_of(int(span * 1000), stays=stays)
