"""Time that is shifted: what is learned of day, week and other periods, moved against the clock.

When the clocks of the people behind a series change, all they do happens an hour earlier or later in UTC.
Shifted by s seconds a series is expected to be at time t what it was expected to be at t + s: for clocks
that go forward by an hour s is 3600.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate_kernels import state as rows

from .cells import F32, F64, I64

_DAY_S = 86_400
_PROFILES = (
    (rows.PAGE_MEAN, rows.DAY_KNOTS, _DAY_S),
    (rows.PAGE_VISITS, rows.DAY_KNOTS, _DAY_S),
    (rows.PAGE_SPREAD, rows.DAY_KNOTS, _DAY_S),
    (rows.PAGE_WEEK, rows.WEEK_KNOTS, 7 * _DAY_S),
)
"""First row, number of knots and length of every profile of a page; the month and the year stay."""


def rotated(knots: npt.NDArray[Any], seconds: float, length_s: int) -> npt.NDArray[Any]:
    """A ring of knots, its first axis, as it is so many seconds later; linear between two knots.

    >>> rotated(np.array([0.0, 10.0, 20.0, 30.0]), 9 * 3600, _DAY_S).tolist()
    [15.0, 25.0, 15.0, 5.0]
    """
    places = seconds * len(knots) / length_s
    whole = math.floor(places)
    part = places - whole
    first = np.roll(knots, -whole, axis=0).astype(np.float64)
    moved = (1.0 - part) * first + part * np.roll(first, -1, axis=0)
    return moved.astype(knots.dtype)


def shift_series(
    state: F64, pages: F32, page_b: I64, shift: tuple[int, int], chosen_s: npt.NDArray[np.bool_] | None
) -> None:
    """Shifts the chosen series, or all, by ``shift``: seconds, and the bucket span in milliseconds.

    Chosen ones that have no state yet expect nothing that could be shifted.

    ::

        day, week    knot k <- (1 - f) knot[k + i] + f knot[k + i + 1],   i + f = seconds / knot spacing
        period       origin <- origin - seconds / span
    """
    seconds, span_ms = shift
    blocks = state.reshape(-1, rows.STATE_ROWS, rows.LANES)
    lanes = np.ones((len(blocks), rows.LANES), bool)
    if chosen_s is not None:
        lanes[:] = False
        lanes.reshape(-1)[: len(chosen_s)] = chosen_s[: lanes.size]
    has_period = lanes & (blocks[:, int(rows.PERIOD) // rows.LANES] > 0.0)
    origin = blocks[:, int(rows.PERIOD_ORIGIN) // rows.LANES]
    origin[has_period] -= seconds * 1000.0 / span_ms
    with_page = np.flatnonzero((page_b[: len(blocks)] >= 0) & lanes.any(axis=1))
    profiles = pages.reshape(-1, rows.PROFILE_ROWS, rows.LANES)
    for block in with_page:
        page = profiles[page_b[block]]
        for first, knots, length_s in _PROFILES:
            part = page[first : first + knots]
            part[:, lanes[block]] = rotated(part[:, lanes[block]], seconds, length_s)
