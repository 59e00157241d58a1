"""The state of one series: its fields, how it begins, and how time becomes gains.

A series is STATE_SIZE consecutive float64 of a flat array; all zeros means a fresh series.
Beside it a call has SETTINGS_SIZE settings and WORK_SIZE work space.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tidegate_kernels.registry import device

Array = Any

# -- the state of one series -----------------------------------------------------------
ALIVE = 0  # 1 once the series has had a value
FIRST = 1  # clock of the first value
LAST = 2  # clock of the last value trained (or filled zero)
LAST_DATA = 3  # clock of the last cell
COUNT = 4  # decayed number of training values
OCCUPANCY = 5  # decayed fraction of buckets with data; moves with zero fill only
RECORDS = 6  # typical number of records in a bucket with data; moves with SCALE_BY_RECORDS only
LEVEL = 7
SLOPE = 8  # per bucket
VARIANCE = 9  # of r
LAG_PRODUCT = 10  # E[r r_previous]
VARIANCE_AR = 11  # of e
CARRY = 12  # last residual, times its training weight: what AR(1) starts from
ERROR_LEVEL = 13  # discounted clipped squared error of L
ERROR_DAY = 14  # of L + D
ERROR_WEEK = 15  # of L + D + W
MULTI = 16  # M
MULTI_VARIANCE = 17
MULTI_COUNT = 18
SHIFT_SIDE = 19  # side of the open run of one-sided residuals
SHIFT_START = 20
SHIFT_LEVEL = 21  # mean over the run of the values less their season
SHIFT_COUNT = 22
SHIFT_DEBT = 23  # contrary buckets within it
TAIL_COUNT = 24
TAIL_RATE = 25
TAIL_EXCESSES = 26
TAIL_EXCESS = 27
NON_NEGATIVE = 28  # 1 as long as no value was below zero
MEAN_ERROR = 29  # moving mean of e, in the unit of the values
EVENT_SINGLE = 30  # history of the largest |e|: EVENT_SIZE fields, see below
EVENT_MEAN = 38  # history of the largest |MEAN_ERROR|
EVENT_SIZE = 8
EVENT_START = 0  # clock at which the open event began; without one, up to which the slots have decayed
EVENT_MAX = 1  # its largest magnitude; 0: no open event
EVENT_SLOT = 2  # the EVENT_SLOTS largest past events; their sum is kept beside them
EVENT_SLOTS = 5
EVENT_SUM = 7
DAY_KNOTS = 24
WEEK_KNOTS = 84
SIZE_ABS = 46  # mean of |t|, t clipped: with the mean of t^2 it tells how heavy the tails are
SIZE_SQUARE = 47
DAY_MEAN = 48
DAY_COUNT = DAY_MEAN + DAY_KNOTS
DAY_SPREAD = DAY_COUNT + DAY_KNOTS
WEEK_MEAN = DAY_SPREAD + DAY_KNOTS
OCCUPANCY_BEFORE = WEEK_MEAN + WEEK_KNOTS  # occupancy when the last cell came
STATE_USED = OCCUPANCY_BEFORE + 1
STATE_SIZE = 208

# -- settings --------------------------------------------------------------------------
SIDE = 0  # 0 both, -1 low, +1 high
ZERO_FILL = 1
PRUNE_BUCKETS = 2  # 0: never
SPAN_MS = 3
COUNTS = 4  # 1: values are counts, never below zero; their variance has a floor
SCALE_BY_RECORDS = 5  # 1: the variance of a value of few records is larger
THRESHOLD = 6  # only results with p below it are emitted
SETTINGS_SIZE = 8

# -- work space: a scratch state, then rates of this call, then results of one bucket ----
RATE_LEVEL = STATE_SIZE
RATE_SLOPE = STATE_SIZE + 1
RATE_SPREAD = STATE_SIZE + 2
RATE_GATE = STATE_SIZE + 3
YOUNG = STATE_SIZE + 4
SHIFT_BUCKETS = STATE_SIZE + 5
DAY_SHARE = STATE_SIZE + 6
WEEK_SHARE = STATE_SIZE + 7
DAYS = STATE_SIZE + 9
LOG_P = STATE_SIZE + 16
LOG_P_SINGLE = STATE_SIZE + 17
LOG_P_MULTI = STATE_SIZE + 18
TYPICAL = STATE_SIZE + 19
LOWER = STATE_SIZE + 20
UPPER = STATE_SIZE + 21
SCORE = STATE_SIZE + 22
WORK_SIZE = STATE_SIZE + 32

DAY_MS = 86_400_000.0
TINY = 1e-150  # standard deviations never fall below: 1/TINY stays finite


class Moment(NamedTuple):
    """When a value comes, as its series sees it."""

    clock: float  # of the model, in buckets
    gap: float  # buckets since the last value trained, at least 1
    age: float  # buckets since the first value
    days: float  # the same in days
    young: float  # 1 at the first value, 0 after YOUNG buckets
    n: float  # decayed number of training values so far


@device
def set_rates(work: Array, span_ms: float) -> None:
    """Turns times into gains per bucket; day is the buckets in a day, [a, b] clips.

    ::

        level    1 / day[12, 1000]            slope    level gain / max(7 day, 50)
        spread   1 / 14 day[200, 4000]        gate     1 / 7 day[100, 2000]
        young    21 day[100, 1000] buckets    shift    max(1.25 day, 8) buckets
        share of a visit to a knot            min(24 / day, 1) of the day, from 1.9 buckets a day on,
                                              min(12 / day, 1) of the week, from 0.9; else no profile
    """
    day = DAY_MS / span_ms  # buckets in a day
    work[DAYS] = 1.0 / day
    work[RATE_LEVEL] = 1.0 / min(max(day, 12.0), 1000.0)
    work[RATE_SLOPE] = work[RATE_LEVEL] / max(7.0 * day, 50.0)
    work[RATE_SPREAD] = 1.0 / min(max(14.0 * day, 200.0), 4000.0)
    work[RATE_GATE] = 1.0 / min(max(7.0 * day, 100.0), 2000.0)
    work[YOUNG] = min(max(21.0 * day, 100.0), 1000.0)
    work[SHIFT_BUCKETS] = max(1.25 * day, 8.0)
    work[DAY_SHARE] = min(24.0 / day, 1.0) if day >= 1.9 else 0.0
    work[WEEK_SHARE] = min(84.0 / (7.0 * day), 1.0) if day >= 0.9 else 0.0


@device
def decay_power(keep: float, gap: float) -> float:
    """keep^gap, without a power for the gap of nearly every value, 1."""
    return keep if gap == 1.0 else keep**gap


@device
def moment_of(state: Array, base: int, work: Array, clock: float) -> Moment:
    """Ages and gaps of a series at this clock."""
    age = clock - state[base + FIRST]
    gap = max(clock - state[base + LAST], 1.0)
    young = max(1.0 - age / work[YOUNG], 0.0)
    return Moment(clock, gap, age, age * work[DAYS], young, state[base + COUNT])


@device
def copy_state(state: Array, base: int, scratch: Array) -> None:
    """Copies one series to the beginning of the scratch array."""
    for k in range(STATE_SIZE):
        scratch[k] = state[base + k]


@device
def clear_state(state: Array, base: int) -> None:
    """Makes the series a fresh one."""
    for k in range(STATE_SIZE):
        state[base + k] = 0.0


@device
def start_series(state: Array, base: int, clock: float, y: float, records: float, root: bool) -> None:
    """First value of a series; ``root`` says that y is the square root of a value.

    Level y, count 1, both occupancies 1, its records, all shares of variance 1, all else 0.
    """
    for k in range(STATE_USED):
        state[base + k] = 0.0
    state[base + ALIVE] = 1.0
    state[base + FIRST] = clock
    state[base + LAST] = clock
    state[base + LAST_DATA] = clock
    state[base + COUNT] = 1.0
    state[base + OCCUPANCY] = 1.0
    state[base + OCCUPANCY_BEFORE] = 1.0
    state[base + RECORDS] = records
    state[base + LEVEL] = y
    state[base + NON_NEGATIVE] = 1.0 if root else 0.0
    for k in range(DAY_KNOTS):
        state[base + DAY_SPREAD + k] = 1.0


@device
def make_linear(state: Array, base: int) -> None:
    """At the first negative value: from square roots to values, by the slope of x^2 at the level.

    Levels (that of an open run too) are squared, 0 for those below zero. With a = 2 max(level, 0,
    sqrt(VARIANCE)), differences (slope, carry, profiles) are multiplied by a, their squares by a^2.
    """
    level = max(state[base + LEVEL], 0.0)
    slope = 2.0 * max(level, math.sqrt(max(state[base + VARIANCE], 0.0)))
    state[base + NON_NEGATIVE] = 0.0
    state[base + LEVEL] = level * level
    state[base + SLOPE] *= slope
    state[base + CARRY] *= slope
    state[base + SHIFT_LEVEL] = unroot(state[base + SHIFT_LEVEL])
    state[base + VARIANCE] *= slope * slope
    state[base + VARIANCE_AR] *= slope * slope
    state[base + LAG_PRODUCT] *= slope * slope
    state[base + ERROR_LEVEL] *= slope * slope
    state[base + ERROR_DAY] *= slope * slope
    state[base + ERROR_WEEK] *= slope * slope
    for k in range(DAY_KNOTS):
        state[base + DAY_MEAN + k] *= slope
    for k in range(WEEK_KNOTS):
        state[base + WEEK_MEAN + k] *= slope


@device
def unroot(x: float) -> float:
    """The value whose square root is x; 0 for what lies below."""
    return x * x if x > 0.0 else 0.0
