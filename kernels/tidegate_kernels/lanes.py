"""What is done lane by lane, before and between the loops of a bucket: all that branches.

Cells and filled zeros are put where the loops find them; series begin, turn linear and are pruned;
weights of unlikely values and events of a series that open or end are settled.
"""

from __future__ import annotations

import math
from typing import Any

from tidegate_kernels.event import weigh_event
from tidegate_kernels.law import training_weight
from tidegate_kernels.observe import RARE_MEAN, RARE_SINGLE, RARE_WEIGHT
from tidegate_kernels.registry import device
from tidegate_kernels.residual import autocorrelation
from tidegate_kernels.state import (
    ALIVE,
    ALL_LANES,
    CELL_RECORDS,
    EMPTY_BUCKETS,
    EVENT_MEAN,
    EVENT_SINGLE,
    FIRST,
    HABIT,
    HUGE,
    IS_DATA,
    IS_LEARNED,
    IS_ON,
    IS_RARE,
    LAST_DATA,
    MEAN_EVENT,
    MOST,
    NON_NEGATIVE,
    OCCUPANCY_BEFORE,
    SHARP,
    SILENCE,
    SINGLE_EVENT,
    SPARSE,
    VALUE,
    WEIGHT,
    Rates,
    clear_lane,
    gap_of,
    gap_powers,
    make_linear,
    start_lane,
)

Array = Any


@device
def next_empty(w: Array, bucket: int, bucket_to: int, clock_offset: int) -> int:
    """The first bucket after `bucket` that has something to say about a series without a cell in it."""
    soonest = float(bucket_to - clock_offset)
    for lane in range(ALL_LANES):
        due = w[LAST_DATA + lane] + w[EMPTY_BUCKETS + lane]
        soonest = due if w[ALIVE + lane] != 0.0 and due < soonest else soonest
    return max(int(soonest) + clock_offset, bucket + 1)


@device
def begin_value(
    w: Array, lane: int, clock: float, value: float, records: float, pages: Array, page: int
) -> bool:
    """Puts a cell's value where the lane's loops find it, or begins the series with it; True if so."""
    w[IS_DATA + lane] = 1.0
    if not math.isfinite(value):  # no sample, but a sign of life
        if w[ALIVE + lane] != 0.0:
            w[LAST_DATA + lane] = clock
        return False
    if w[ALIVE + lane] == 0.0:
        start_lane(w, lane, clock, min(max(value, -HUGE), HUGE), records)
        return True
    if value < 0.0 and w[NON_NEGATIVE + lane] > 0.0:
        make_linear(w, lane, pages, page)
    w[VALUE + lane] = value
    w[CELL_RECORDS + lane] = records
    w[MOST + lane] = 1e300
    w[IS_ON + lane] = 1.0
    w[IS_LEARNED + lane] = 1.0
    return False


@device
def begin_zero(w: Array, lane: int, clock: float) -> None:
    """Fills a zero, unless the bucket has nothing to say.

    Of the silence of a sparse series nothing is learned: it is looked at when it is long enough to be
    unlikely, and again whenever it is twice as long.
    """
    silent = clock - w[LAST_DATA + lane]
    if silent < w[EMPTY_BUCKETS + lane]:
        return
    is_sparse = w[OCCUPANCY_BEFORE + lane] <= SPARSE
    if is_sparse:
        w[EMPTY_BUCKETS + lane] *= 2.0
    w[VALUE + lane] = 0.0
    w[CELL_RECORDS + lane] = 0.0
    w[MOST + lane] = silent * w[SILENCE + lane]
    w[IS_ON + lane] = 1.0
    w[IS_LEARNED + lane] = 0.0 if is_sparse else 1.0


@device
def find_powers(w: Array, lane: int, clock: float) -> None:
    """Computes the powers that a lane with a gap needs."""
    gap = gap_of(w, lane, clock)
    if gap != 1.0:
        gap_powers(w, lane, gap, clock - w[FIRST + lane], autocorrelation(w, lane))


@device
def weigh_rare(w: Array, lane: int, rates: Rates, clock: float) -> None:
    """Weights and events of a lane where they are out of the ordinary; see `observe.compare`."""
    rare = int(w[IS_RARE + lane])
    if rare & RARE_WEIGHT:
        young = max(1.0 - (clock - w[FIRST + lane]) / rates.young, 0.0)
        w[WEIGHT + lane] = training_weight(w[SHARP + lane], young, w[HABIT + lane])
    if rare & RARE_SINGLE:
        weigh_event(w, lane, EVENT_SINGLE, SINGLE_EVENT, rates, clock)
    if rare & RARE_MEAN:
        weigh_event(w, lane, EVENT_MEAN, MEAN_EVENT, rates, clock)


@device
def prune(w: Array, lane: int, clock: float, window: float, pages: Array, page: int) -> None:
    """Forgets a series without a cell for longer than the window."""
    if window > 0.0 and w[ALIVE + lane] != 0.0 and clock - w[LAST_DATA + lane] > window:
        clear_lane(w, lane, pages, page)
