"""The state of the series, in blocks: where every field lies, how a series begins and ends.

A block is LANES series side by side. Its state is STATE_ROWS rows of LANES float64, a field a
row, so that the compiler computes a field of several series in one instruction; all zeros means
a fresh series. Series s is lane ``s % LANES`` of block ``s // LANES``. The profiles of the day and the
week of a block, PROFILE_ROWS rows, are on a page of their own, which a block has only once one of its
series has use for it: a plain series costs a fifth of a seasonal one.

While a block is worked on, its state is copied to the work space of the call, before the rows of
the profiles at hand and those of what is computed on the way: one array, in which all distances
are constants, is what the compiler needs to see that rows do not overlap. Every name of a row is
the position of its first lane in the work space, unsigned so that no index wraps around.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tidegate_kernels.elementary import log, power
from tidegate_kernels.intrinsics import root
from tidegate_kernels.registry import device

Array = Any

LANES = 16
ALL_LANES: Any = np.uint64(LANES)


def _row(k: int) -> Any:
    return np.uint64(k * LANES)


# -- the state of a block -----------------------------------------------------------------
ALIVE = _row(0)  # 1 once the series has had a value
FIRST = _row(1)  # clock of the first value
LAST = _row(2)  # clock of the last value trained (or filled zero)
LAST_DATA = _row(3)  # clock of the last cell
COUNT = _row(4)  # decayed number of training values
OCCUPANCY = _row(5)  # decayed fraction of buckets with data; moves with zero fill only
OCCUPANCY_BEFORE = _row(6)  # when the last cell came
SILENCE = _row(7)  # -ln(1 - OCCUPANCY_BEFORE): how unlikely one empty bucket is
EMPTY_BUCKETS = _row(8)  # how many pass after a cell before one is looked at
RECORDS = _row(9)  # typical number of records in a bucket with data; moves with by_records only
LEVEL = _row(10)
SLOPE = _row(11)  # per bucket
VARIANCE = _row(12)  # of r
LAG_PRODUCT = _row(13)  # E[r r_previous]
VARIANCE_AR = _row(14)  # of e
CARRY = _row(15)  # last residual, times its training weight: what AR(1) starts from
ERROR_LEVEL = _row(16)  # discounted clipped squared error of L
ERROR_DAY = _row(17)  # of L + D
ERROR_WEEK = _row(18)  # of L + D + W
MULTI = _row(19)  # M
MULTI_VARIANCE = _row(20)
MULTI_COUNT = _row(21)
SHIFT_SIDE = _row(22)  # side of the open run of one-sided residuals
SHIFT_START = _row(23)
SHIFT_LEVEL = _row(24)  # mean over the run of the values less their season
SHIFT_COUNT = _row(25)
SHIFT_DEBT = _row(26)  # contrary buckets within it
TAIL_COUNT = _row(27)
TAIL_RUN = _row(28)  # how much the next s beyond the first of the TAIL_LEVELS counts
TAIL_RATE = _row(29)  # how often s lay beyond each of the TAIL_LEVELS: five rows
NON_NEGATIVE = _row(34)  # 1 as long as no value was below zero
SIZE_ABS = _row(35)  # mean of |t|, t clipped: with the mean of t^2 it tells how heavy the tails are
SIZE_SQUARE = _row(36)
SEASONAL = _row(37)  # 1 once the series has profiles
MEAN_ERROR = _row(38)  # moving mean of e, in the unit of the values
RECENT = _row(39)  # VARIANCE of the last days
RECENT_AR = _row(40)  # VARIANCE_AR of the last days
HABIT = _row(41)  # share of the values that a sharp test finds odd
DISPERSION = _row(42)  # of counts: variance over mean, less 1
COUNT_ODDS = _row(43)  # of counts: discounted log-likelihood ratio of their own law
EVENT_SINGLE = _row(44)  # history of the largest |e|: EVENT_ROWS rows, see below
EVENT_MEAN = _row(52)  # history of the largest |MEAN_ERROR|
EVENT_START = _row(0)  # clock at which the open event began; without one, up to which the slots have decayed
EVENT_MAX = _row(1)  # its largest magnitude; 0: no open event
EVENT_SLOT = _row(2)  # the EVENT_SLOTS largest past events; their sum is kept beside them
EVENT_SLOTS = 5
EVENT_SUM = _row(7)
PERIOD = _row(60)  # in buckets; while one is looked for -A, A the buckets of a slot; 0: not begun
PERIOD_SINCE = _row(61)  # clock at which it was found, or the ring began
PERIOD_DUE = _row(62)  # clock from which the slot is over, or the period is put to the test
RING_SUM = _row(63)  # of what goes into the slot
PERIOD_ORIGIN = RING_SUM  # bucket at which a known period has phase 0
STATE_ROWS = 64
BLOCK_SIZE = STATE_ROWS * LANES

# -- the page of a block: knots of the profiles, float32 ---------------------------------------
DAY_KNOTS = 24
WEEK_KNOTS = 84
PAGE_MEAN = 0  # of the day
PAGE_VISITS = DAY_KNOTS
PAGE_SPREAD = 2 * DAY_KNOTS  # the phase's share of the variance, less 1
PAGE_WEEK = 3 * DAY_KNOTS
RING = 128  # slots in which a period is looked for; what is found takes their place:
PERIOD_KNOTS = 48
PAGE_RING = PAGE_WEEK + WEEK_KNOTS
PAGE_PERIOD = PAGE_RING
PAGE_WITHOUT = PAGE_PERIOD + PERIOD_KNOTS  # discounted clipped squared error without the period,
PAGE_WITH = PAGE_WITHOUT + 1  # and with it
PAGE_LEAD = PAGE_WITHOUT + 2  # of the tuning: sum of error times slope of the profile,
PAGE_STEEP = PAGE_WITHOUT + 3  # and of the slope's square
PAGE_KNOTS = PAGE_WITHOUT + 4  # number of knots
MONTH_KNOTS = 31
YEAR_KNOTS = 24
PAGE_MONTH = PAGE_RING + RING
PAGE_YEAR = PAGE_MONTH + MONTH_KNOTS
PAGE_LONG_ERRORS = PAGE_YEAR + YEAR_KNOTS  # like PAGE_WITHOUT and PAGE_WITH: of the month, of the year
PROFILE_ROWS = PAGE_LONG_ERRORS + 4
PAGE_SIZE = PROFILE_ROWS * LANES

# -- work space: a block, the profiles at hand, then what is computed on the way ---------------
DAY_MEAN_0 = _row(STATE_ROWS)  # the knot before the bucket's middle
DAY_MEAN_1 = _row(STATE_ROWS + 1)  # the knot after it
DAY_VISITS_0 = _row(STATE_ROWS + 2)
DAY_VISITS_1 = _row(STATE_ROWS + 3)
DAY_SPREAD_0 = _row(STATE_ROWS + 4)
DAY_SPREAD_1 = _row(STATE_ROWS + 5)
WEEK_0 = _row(STATE_ROWS + 6)
WEEK_1 = _row(STATE_ROWS + 7)
MONTH = _row(STATE_ROWS + 8)
YEAR_0 = _row(STATE_ROWS + 9)
YEAR_1 = _row(STATE_ROWS + 10)
MONTH_WITHOUT = _row(STATE_ROWS + 11)
MONTH_WITH = _row(STATE_ROWS + 12)
YEAR_WITHOUT = _row(STATE_ROWS + 13)
YEAR_WITH = _row(STATE_ROWS + 14)
KNOT_ROWS = 15

_TEMPORARY = STATE_ROWS + KNOT_ROWS
IS_ON = _row(_TEMPORARY)  # 1 for the lanes that have a value in this bucket, and had one before
IS_DATA = _row(_TEMPORARY + 1)  # 0 for a filled zero
IS_SCORED = _row(_TEMPORARY + 2)
IS_LEARNED = _row(_TEMPORARY + 3)
VALUE = _row(_TEMPORARY + 4)
WHOLE_VALUE = _row(_TEMPORARY + 5)  # within +-HUGE; of an open bucket, with what is missing
CELL_RECORDS = _row(_TEMPORARY + 6)
MOST = _row(_TEMPORARY + 7)  # the most -ln p may be
KEPT_PHI = _row(_TEMPORARY + 8)  # of a gap wider than 1: phi^gap,
KEPT_MEAN = _row(_TEMPORARY + 9)  # MEAN_KEEP^gap,
KEPT_PRESENCE = _row(_TEMPORARY + 10)  # and (1 - PRESENCE_GAIN)^gap
Y = _row(_TEMPORARY + 11)
LINE = _row(_TEMPORARY + 12)  # level and slope
SEASON = _row(_TEMPORARY + 13)  # g1 D + g2 W + g3 P + g4 M + g5 Y
DAY = _row(_TEMPORARY + 14)  # D
WEEK = _row(_TEMPORARY + 15)  # W
SPREAD = _row(_TEMPORARY + 16)
R = _row(_TEMPORARY + 17)
E = _row(_TEMPORARY + 18)
SD_R = _row(_TEMPORARY + 19)
SD_E = _row(_TEMPORARY + 20)
Z = _row(_TEMPORARY + 21)  # r / sd_r
SIZE = _row(_TEMPORARY + 22)  # |e| / sd_e
MULTI_NEXT = _row(_TEMPORARY + 23)
FORECAST = _row(_TEMPORARY + 24)  # what was expected, as the model has values
SINGLE_EVENT = _row(_TEMPORARY + 25)  # magnitudes, then the shares of them that count
MEAN_EVENT = _row(_TEMPORARY + 26)
IS_RARE = _row(_TEMPORARY + 27)  # 1 where something needs a branch
ZERO_SHARE = _row(_TEMPORARY + 28)  # how much a filled zero counts
WEIGHT = _row(_TEMPORARY + 29)
LOG_P = _row(_TEMPORARY + 30)
LOG_P_SINGLE = _row(_TEMPORARY + 31)
LOG_P_MULTI = _row(_TEMPORARY + 32)
TYPICAL = _row(_TEMPORARY + 33)
LOWER = _row(_TEMPORARY + 34)
UPPER = _row(_TEMPORARY + 35)
SCORE = _row(_TEMPORARY + 36)
SHARP = _row(_TEMPORARY + 37)  # deviations that weigh the training: the smaller of |z| and SIZE
DEGREES = _row(_TEMPORARY + 38)  # of Student's law
TAIL_SHARE = _row(_TEMPORARY + 39)  # how much this bucket counts for the tail
PERIOD_PART = _row(_TEMPORARY + 40)  # of SEASON: g3 P,
MONTH_PART = _row(_TEMPORARY + 41)  # g4 M,
YEAR_PART = _row(_TEMPORARY + 42)  # and g5 Y
RULED = _row(_TEMPORARY + 43)  # what custom rules do with this bucket; see `rules`
SLOT = _row(_TEMPORARY + 44)  # the ring of a lane, less its mean: RING positions
LAG = _row(_TEMPORARY + 44 + RING // LANES)  # its autocorrelation: LAGS positions
LAGS = 112
WORK_SIZE = int(LAG) + LAGS

# -- settings --------------------------------------------------------------------------
SIDE = 0  # 0 both, -1 low, +1 high
ZERO_FILL = 1
PRUNE_BUCKETS = 2  # 0: never
SPAN_MS = 3
COUNTS = 4  # 1: values are counts, never below zero; their variance has a floor
SCALE_BY_RECORDS = 5  # 1: the variance of a value of few records is larger
THRESHOLD = 6  # only results with p below it are emitted
PRIOR_SPREAD = 7  # standard deviation that a new series begins with, as a share of its level,
PRIOR_COUNT = 8  # and how many values that is worth
AGREEMENT = 9  # how far the siblings' days have the shape; 0: there is none
PAGELESS_FROM = 10  # blocks that may not take a page now, for want of memory: from this one
PAGELESS_TO = 11  # to before this one
SHAPE = 12  # their season of the day, as a share of the level: DAY_KNOTS numbers
SETTINGS_SIZE = SHAPE + DAY_KNOTS

DAY_MS = 86_400_000.0
HUGE = 1e140  # values are clamped here, so that squares stay finite
KNOT_MOST = 3.4028234663852886e38  # the largest float32
TINY = 1e-150  # standard deviations never fall below: 1/TINY stays finite
MEAN_KEEP = 1.0 - 1.0 / 6.0  # of the moving means of residuals, six buckets long
PRESENCE_GAIN = 0.02  # least gain of the occupancy and of the typical number of records
COUNT_ODDS_BEGIN = 5.0
SPARSE = 0.25  # occupancy up to which empty buckets teach nothing


class Rates(NamedTuple):
    """What a call has in common for all series: settings, and times as gains per bucket."""

    side: float
    by_records: bool
    zero_fill: bool
    least: float  # variance
    level: float
    slope: float
    counts: bool
    spread: float
    recent: float
    gate: float
    tail: float  # values
    young: float  # buckets
    shift: float  # buckets
    day_share: float
    week_share: float
    is_long: bool  # whether there are profiles of month and year
    days: float  # in a bucket
    prior_spread: float
    prior_count: float
    known_age: float  # buckets before which a series is not scored,
    known_count: float  # and values
    prune: float  # buckets; 0: never
    log_threshold: float  # of p of a result


class Now(NamedTuple):
    """What a bucket has in common for all series."""

    clock: float  # of the model, in buckets
    day_weight: float  # of the next knot
    week_weight: float
    year_weight: float
    completeness: float


@device
def rates_of(settings: Array) -> Rates:
    """Turns settings and times into gains per bucket; day is the buckets in a day, [a, b] clips.

    ::

        level    1 / day[12, 1000]            slope    level gain / max(7 day, 50)
        spread   1 / 14 day[200, 4000]        recent   1 / max(3 day, 12)
        gate     1 / 7 day[100, 2000]         young    21 day[100, 1000] buckets
        shift    max(1.25 day, 8) buckets       tail     21 day[500, 4000] values
        share of a visit to a knot            min(24 / day, 1) of the day, from 1.9 buckets a day on,
                                              min(12 / day, 1) of the week, from 0.9; else no profile
        month and year                        for spans from a quarter of an hour on
        least    0.2 for COUNTS: those are always roots; a Poisson count's has 1/4
        known    from max(14 - PRIOR_COUNT, 3) buckets and max(4 - (PRIOR_COUNT - 2) / 4, 2) values on
    """
    day = DAY_MS / settings[SPAN_MS]  # buckets in a day
    level = 1.0 / min(max(day, 12.0), 1000.0)
    return Rates(
        settings[SIDE],
        settings[SCALE_BY_RECORDS] > 0.0,
        settings[ZERO_FILL] > 0.0,
        0.2 if settings[COUNTS] > 0.0 else 0.0,
        level,
        level / max(7.0 * day, 50.0),
        settings[COUNTS] > 0.0,
        1.0 / min(max(14.0 * day, 200.0), 4000.0),
        1.0 / max(3.0 * day, 12.0),
        1.0 / min(max(7.0 * day, 100.0), 2000.0),
        min(max(21.0 * day, 500.0), 4000.0),
        min(max(21.0 * day, 100.0), 1000.0),
        max(1.25 * day, 8.0),
        min(24.0 / day, 1.0) if day >= 1.9 else 0.0,
        min(84.0 / (7.0 * day), 1.0) if day >= 0.9 else 0.0,
        day <= 96.0,
        1.0 / day,
        settings[PRIOR_SPREAD],
        settings[PRIOR_COUNT],
        max(14.0 - settings[PRIOR_COUNT], 3.0),
        max(4.5 - 0.25 * settings[PRIOR_COUNT], 2.0),
        settings[PRUNE_BUCKETS],
        log(settings[THRESHOLD]),
    )


@device
def put(w: Array, at: int, is_on: bool, x: float) -> None:
    """Sets a field of a lane that is on."""
    w[at] = x if is_on else w[at]


@device
def rounded(x: float) -> float:
    """The nearest float32, within +-KNOT_MOST: what a page keeps of a number."""
    nearest: float = np.float64(np.float32(min(max(x, -KNOT_MOST), KNOT_MOST)))
    return nearest


@device
def gap_of(w: Array, lane: int, clock: float) -> float:
    """Buckets since the last value trained, at least 1."""
    gap: float = max(clock - w[LAST + lane], 1.0)
    return gap


@device
def decay(kept: float, keep: float, gap: float) -> float:
    """keep^gap: ``kept`` says so for a gap that is not 1, the gap of nearly every value."""
    return keep if gap == 1.0 else kept


@device
def unroot(x: float) -> float:
    """The value whose square root is x; 0 for what lies below."""
    return x * x if x > 0.0 else 0.0


@device
def clear_lane(w: Array, lane: int, pages: Array, page: int) -> None:
    """Makes the series a fresh one; ``page`` is where the page of its block begins, -1 without.

    Its knots at hand in the work space are cleared too.
    """
    for k in range(STATE_ROWS + KNOT_ROWS):
        w[np.uint64(k * LANES) + lane] = 0.0
    if page >= 0:
        for k in range(PROFILE_ROWS):
            pages[np.uint64(page + k * LANES) + lane] = 0.0


@device
def start_lane(w: Array, lane: int, clock: float, value: float, records: float) -> None:
    """First value of a fresh series: its level; as a square root unless the value is negative.

    Level y, count 1, both occupancies 1, its records, TAIL_RUN 1, COUNT_ODDS as they begin, all else 0.
    """
    is_root = value >= 0.0
    w[ALIVE + lane] = 1.0
    w[FIRST + lane] = clock
    w[LAST + lane] = clock
    w[LAST_DATA + lane] = clock
    w[COUNT + lane] = 1.0
    w[OCCUPANCY + lane] = 1.0
    w[OCCUPANCY_BEFORE + lane] = 1.0
    w[SILENCE + lane] = -log(1e-9)
    w[RECORDS + lane] = records
    w[TAIL_RUN + lane] = 1.0
    w[COUNT_ODDS + lane] = COUNT_ODDS_BEGIN
    w[LEVEL + lane] = root(value) if is_root else value
    w[NON_NEGATIVE + lane] = 1.0 if is_root else 0.0


@device
def make_linear(w: Array, lane: int, pages: Array, page: int) -> None:
    """At the first negative value: from square roots to values, by the slope of x^2 at the level.

    Levels (that of an open run too) are squared, 0 for those below zero. With a = 2 max(level, 0,
    sqrt(VARIANCE)), differences (slope, carry, profiles and their knots at hand) are multiplied by a,
    their squares by a^2; knots and errors of a page are rounded.
    """
    level = max(w[LEVEL + lane], 0.0)
    slope = 2.0 * max(level, root(max(w[VARIANCE + lane], 0.0)))
    w[NON_NEGATIVE + lane] = 0.0
    w[LEVEL + lane] = level * level
    w[SLOPE + lane] *= slope
    w[CARRY + lane] *= slope
    w[SHIFT_LEVEL + lane] = unroot(w[SHIFT_LEVEL + lane])
    w[VARIANCE + lane] *= slope * slope
    w[VARIANCE_AR + lane] *= slope * slope
    w[RECENT + lane] *= slope * slope
    w[RECENT_AR + lane] *= slope * slope
    w[LAG_PRODUCT + lane] *= slope * slope
    w[ERROR_LEVEL + lane] *= slope * slope
    w[ERROR_DAY + lane] *= slope * slope
    w[ERROR_WEEK + lane] *= slope * slope
    for row in (DAY_MEAN_0, DAY_MEAN_1, WEEK_0, WEEK_1, MONTH, YEAR_0, YEAR_1):
        w[row + lane] = rounded(w[row + lane] * slope)
    for row in (MONTH_WITHOUT, MONTH_WITH, YEAR_WITHOUT, YEAR_WITH):
        w[row + lane] = rounded(w[row + lane] * slope * slope)
    if page >= 0:
        stretch(pages, page, PAGE_MEAN, DAY_KNOTS, lane, slope)
        stretch(pages, page, PAGE_WEEK, WEEK_KNOTS, lane, slope)
        stretch(pages, page, PAGE_MONTH, MONTH_KNOTS + YEAR_KNOTS, lane, slope)
        stretch(pages, page, PAGE_LONG_ERRORS, 4, lane, slope * slope)
        if w[PERIOD + lane] > 0.0:
            stretch(pages, page, PAGE_PERIOD, PERIOD_KNOTS, lane, slope)
            stretch(pages, page, PAGE_WITHOUT, 4, lane, slope * slope)


@device
def stretch(pages: Array, page: int, row: int, rows: int, lane: int, factor: float) -> None:
    """Multiplies rows of a page, of one lane."""
    for k in range(rows):
        at: Any = np.uint64(page + (row + k) * LANES) + lane
        pages[at] = rounded(np.float64(pages[at]) * factor)


@device
def gap_powers(w: Array, lane: int, gap: float, age: float, phi: float) -> None:
    """What a gap that is not 1 leaves of what decays by the bucket.

    The occupancy, had its gap - 1 empty buckets come one by one: at age a each leaves a / (a + 1) of it up
    to a = 48, then 0.98.
    """
    w[KEPT_PHI + lane] = power(phi, gap) if phi > 1e-300 else 0.0
    w[KEPT_MEAN + lane] = power(MEAN_KEEP, gap)
    before, last = age - gap, min(age - 1.0, 1.0 / PRESENCE_GAIN - 2.0)
    young = max(last - before, 0.0)
    w[KEPT_PRESENCE + lane] = (
        (before + 1.0) / (before + 1.0 + young) * power(1.0 - PRESENCE_GAIN, gap - 1.0 - young)
    )
