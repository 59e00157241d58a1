"""The model plot: what a series was expected to be in a bucket, whether it had a value or not.

Of a lane that had one the bucket's own prediction is taken, which was made before training on it. Any
other lane is predicted here, by the same functions, and its state is left as it was: what they write
is the work space, or depends on IS_ON and IS_LEARNED, which such a lane has not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.lanes import find_powers
from tidegate_kernels.observe import compare, predict, scale
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    ALIVE,
    ALL_LANES,
    CELL_RECORDS,
    IS_DATA,
    IS_ON,
    IS_SCORED,
    LANES,
    LAST_DATA,
    LOG_P,
    LOWER,
    MOST,
    TYPICAL,
    UPPER,
    VALUE,
    Now,
    Rates,
)

Array = Any

# A row of the plot: the numbers of bucket and series, bounds, the value and its ln p, both NaN where there
# was none.
PLOT_BUCKET, PLOT_SERIES, PLOT_LOWER, PLOT_MEDIAN, PLOT_UPPER, PLOT_ACTUAL, PLOT_LOG_P = range(7)
BOUNDS = 7


@device
def is_any_plotted(plot_s: Array, block: int) -> bool:
    """Whether one of the block's series is plotted."""
    found = 0
    if len(plot_s) > 0:
        for lane in range(LANES):
            found += plot_s[block * LANES + lane]
    return found > 0


@device
def forecast(w: Array, lane: int, rates: Rates, now: Now) -> bool:
    """Predicts a lane that has no value; False while its series is too young to be scored.

    `scale` knows that of lanes with a value only: for it the lane has one, a zero of no records.
    """
    find_powers(w, lane, now.clock)
    w[VALUE + lane] = 0.0
    w[CELL_RECORDS + lane] = 0.0
    w[MOST + lane] = 0.0
    w[IS_ON + lane] = 1.0
    predict(w, lane, rates, now)
    scale(w, lane, rates, now)
    is_known: bool = w[IS_SCORED + lane] > 0.0
    w[IS_ON + lane] = 0.0
    w[IS_SCORED + lane] = 0.0
    compare(w, lane, rates, now)
    return is_known


@device
def plot_bucket(
    w: Array, block: int, plot_s: Array, rates: Rates, now: Now, bucket: int, rows: Array, n_rows: int
) -> int:
    """Writes a row for every plotted series of the block that is alive and old enough to be scored.

    Where empty buckets count as zeros the value of one is 0. A series idle for longer than the prune
    window has no rows: it is forgotten once something comes. Returns how many rows there are now.
    """
    for lane in range(ALL_LANES):
        series = block * LANES + np.int64(lane)
        idle = now.clock - w[LAST_DATA + lane]
        is_idle = rates.prune > 0.0 and idle > rates.prune
        if plot_s[series] == 0 or w[ALIVE + lane] == 0.0 or is_idle:
            continue
        is_on = w[IS_ON + lane] > 0.0
        is_zero = rates.zero_fill and w[IS_DATA + lane] == 0.0
        value = w[VALUE + lane]
        is_known = w[IS_SCORED + lane] > 0.0 if is_on else forecast(w, lane, rates, now)
        if is_known:
            row = np.uint64(n_rows * BOUNDS)
            rows[row + np.uint64(PLOT_BUCKET)] = bucket
            rows[row + np.uint64(PLOT_SERIES)] = series
            rows[row + np.uint64(PLOT_LOWER)] = w[LOWER + lane]
            rows[row + np.uint64(PLOT_MEDIAN)] = w[TYPICAL + lane]
            rows[row + np.uint64(PLOT_UPPER)] = w[UPPER + lane]
            rows[row + np.uint64(PLOT_ACTUAL)] = value if is_on else (0.0 if is_zero else np.nan)
            rows[row + np.uint64(PLOT_LOG_P)] = w[LOG_P + lane] if is_on else np.nan
            n_rows += 1
    return n_rows
