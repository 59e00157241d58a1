"""One bucket of one series: predict, scale, judge, then train.

The order is the law of the model: what is scored has not been trained on. Every function here is the
body of a loop over the lanes of a block; conditions are choices between two computed values, so
that the loops become vector code. What needs a real branch is rare and done by `model` between them.
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.counts import train_count
from tidegate_kernels.elementary import floor, log
from tidegate_kernels.event import measure_event, weigh_usual
from tidegate_kernels.intrinsics import root
from tidegate_kernels.law import (
    LOG_TWO,
    MOST_DEGREES,
    WEIGHT_BODY,
    degrees_of,
    learn_tail,
    log_tail,
    recalibrated,
    train_habit,
    train_size,
)
from tidegate_kernels.profile import read_season, train_profiles, use_of_day, use_of_week
from tidegate_kernels.registry import device
from tidegate_kernels.residual import (
    autocorrelation,
    knows_mean,
    mean_size,
    moving_mean,
    train_mean,
    train_spread,
    watch_shift,
)
from tidegate_kernels.state import (
    CARRY,
    CELL_RECORDS,
    COUNT,
    DAY,
    DEGREES,
    EMPTY_BUCKETS,
    EVENT_MEAN,
    EVENT_SINGLE,
    FIRST,
    FORECAST,
    HUGE,
    IS_DATA,
    IS_LEARNED,
    IS_ON,
    IS_RARE,
    IS_SCORED,
    KEPT_PHI,
    KEPT_PRESENCE,
    LAST,
    LAST_DATA,
    LEVEL,
    LINE,
    LOG_P,
    LOG_P_MULTI,
    LOG_P_SINGLE,
    LOWER,
    MEAN_EVENT,
    MONTH_PART,
    MOST,
    MULTI_NEXT,
    NON_NEGATIVE,
    OCCUPANCY,
    OCCUPANCY_BEFORE,
    PERIOD_PART,
    PRESENCE_GAIN,
    RECENT,
    RECENT_AR,
    RECORDS,
    SD_E,
    SD_R,
    SEASON,
    SHARP,
    SILENCE,
    SINGLE_EVENT,
    SIZE,
    SLOPE,
    SPARSE,
    SPREAD,
    TINY,
    TYPICAL,
    UPPER,
    VALUE,
    VARIANCE,
    VARIANCE_AR,
    WEEK,
    WEIGHT,
    WHOLE_VALUE,
    YEAR_PART,
    ZERO_SHARE,
    E,
    Now,
    R,
    Rates,
    Y,
    Z,
    decay,
    gap_of,
    put,
    unroot,
)

Array = Any

AMPLITUDE_FLOOR = 0.001  # standard deviation never below 0.1% of the level
PHASE_FLOOR = 0.4  # quiet hours count at least 0.4 of the mean variance
YOUNG_SCALE = 4.0
RECORDS_RATIO = 100.0  # the most by which few records widen the variance
SLOPE_CLIP = 3.0  # sd_r
RARE_WEIGHT, RARE_SINGLE, RARE_MEAN = 1, 2, 4  # what of a lane needs a branch


@device
def predict(w: Array, lane: int, rates: Rates, now: Now) -> None:
    """F = L + B gap + g1 D + g2 W + g3 P + g4 M + g5 Y, and AR(1): typical = F + phi^gap CARRY.

    Then how far the value is from both: r = y - F, e = y - typical; y is the value, or its root.
    """
    gap = gap_of(w, lane, now.clock)
    days = (now.clock - w[FIRST + lane]) * rates.days
    read_season(w, lane, now)
    use_day = use_of_day(w, lane, rates, days)
    use_week = use_of_week(w, lane, rates, days)
    line = w[LEVEL + lane] + w[SLOPE + lane] * gap
    season = use_day * w[DAY + lane] + use_week * w[WEEK + lane]
    season += w[PERIOD_PART + lane] + w[MONTH_PART + lane] + w[YEAR_PART + lane]
    carried = decay(w[KEPT_PHI + lane], autocorrelation(w, lane), gap) * w[CARRY + lane]
    forecast = line + season + carried
    is_root = w[NON_NEGATIVE + lane] > 0.0
    value = min(max(w[VALUE + lane], -HUGE), HUGE)
    value = completed(value, unroot(forecast) if is_root else forecast, now.completeness)
    y = root(max(value, 0.0)) if is_root else value
    w[LINE + lane] = line
    w[SEASON + lane] = season
    w[FORECAST + lane] = forecast
    w[WHOLE_VALUE + lane] = value
    w[Y + lane] = y
    w[R + lane] = y - (line + season)
    w[E + lane] = y - (line + season) - carried


@device
def completed(value: float, expected: float, completeness: float) -> float:
    """A value that still grows, with what is missing: as expected, up to what is expected.

    value + min(max(expected - value, 0), max((1 - completeness) expected, 0)); ``expected`` is the
    typical value; a complete one is left as it is.
    """
    missing = min(max(expected - value, 0.0), max((1.0 - completeness) * expected, 0.0))
    return value + (missing if completeness < 1.0 else 0.0)


@device
def scale(w: Array, lane: int, rates: Rates, now: Now) -> None:
    """Standard deviations of r and e, and z = r / sd_r, size = |e| / sd_e.

    ::

        v         max(2 / (1 / u(VARIANCE) + 1 / u(RECENT)), floor) q: of weeks, of days, nearer the least
        u(V)      (prior + n V) / (PRIOR_COUNT + n)
        q         max(spread share of the phase, 0.4) (1 + 4 / (n + PRIOR_COUNT - 2)) R
        R         min(RECORDS / records, 100) for SCALE_BY_RECORDS and 0 < records < RECORDS; else 1
        prior     PRIOR_COUNT (PRIOR_SPREAD a)^2,   a = |LEVEL|, half of it while y are roots (relative
                  deviations halve)
        floor     max((0.001 a)^2, TINY^2), and at least 0.2 for COUNTS: those are always roots
    """
    n, records, usual = w[COUNT + lane], w[CELL_RECORDS + lane], w[RECORDS + lane]
    share = max(w[SPREAD + lane], PHASE_FLOOR) * (1.0 + YOUNG_SCALE / (n + rates.prior_count - 2.0))
    is_small = rates.by_records and records > 0.0 and usual > records
    share *= min(usual / records, RECORDS_RATIO) if is_small else 1.0
    around = abs(w[LEVEL + lane]) * (0.5 if w[NON_NEGATIVE + lane] > 0.0 else 1.0)
    prior = rates.prior_spread * around
    prior = rates.prior_count * prior * prior
    least = max(AMPLITUDE_FLOOR * around, TINY)
    least = max(least * least, rates.least)
    known = 1.0 / (rates.prior_count + n)
    of_r = harmonic((prior + n * w[VARIANCE + lane]) * known, (prior + n * w[RECENT + lane]) * known)
    of_e = harmonic((prior + n * w[VARIANCE_AR + lane]) * known, (prior + n * w[RECENT_AR + lane]) * known)
    sd_r = root(max(of_r, least) * share)
    sd_e = root(max(of_e, least) * share)
    w[SD_R + lane] = sd_r
    w[SD_E + lane] = sd_e
    w[Z + lane] = w[R + lane] / sd_r
    size = abs(w[E + lane]) / sd_e
    w[SIZE + lane] = size
    w[SHARP + lane] = min(abs(w[Z + lane]), size)
    w[MULTI_NEXT + lane] = moving_mean(w, lane, gap_of(w, lane, now.clock))
    is_known = now.clock - w[FIRST + lane] >= rates.known_age and n >= rates.known_count
    w[IS_SCORED + lane] = 1.0 if is_known and w[IS_ON + lane] > 0.0 else 0.0


@device
def harmonic(a: float, b: float) -> float:
    """The harmonic mean of two numbers that are not negative."""
    total = a + b
    mean: float = a * (2.0 * b / (total if total > 0.0 else 1.0))
    return mean


@device
def judge_single(w: Array, lane: int, rates: Rates) -> None:
    """Log p of the bucket alone, two-sided: log_tail(size, degrees). Counts go on in `judge_count`."""
    degrees = degrees_of(w, lane)
    w[DEGREES + lane] = degrees
    w[LOG_P_SINGLE + lane] = log_tail(w[SIZE + lane], degrees)


@device
def judge(w: Array, lane: int, rates: Rates) -> None:
    """Log p of the bucket, of the moving mean, and of both (Bonferroni), recalibrated.

    ``single`` is that of `judge_single` or `judge_count`, M in its deviations (0 until it is known,
    `knows_mean`), d the degrees::

        multi  = log_tail(M, min(2 d, 50))
        both   = max(-min(single, multi) - penalty, 0),    penalty = ln 2 once M is known, before 0
        s      = the same after single <- 0 unless e, multi <- 0 unless M is on the side asked for
        -ln p  = min(recalibrated(s), MOST)

    p is two-sided, for one side too: there it is conservative, by 2. The tail then, after
    `recalibrated` used it, learns min(both, MOST): both sides, whichever is asked for. LOG_P_SINGLE
    and LOG_P_MULTI are those of the side, neither penalised nor recalibrated.
    """
    has_mean = knows_mean(w, lane)
    single, degrees = w[LOG_P_SINGLE + lane], w[DEGREES + lane]
    multi = log_tail(mean_size(w, lane) if has_mean else 0.0, min(2.0 * degrees, MOST_DEGREES))
    penalty = LOG_TWO if has_mean else 0.0
    most = w[MOST + lane]
    both = max(-min(single, multi) - penalty, 0.0)
    single = single if rates.side == 0.0 or w[E + lane] * rates.side > 0.0 else 0.0
    multi = multi if rates.side == 0.0 or w[MULTI_NEXT + lane] * rates.side > 0.0 else 0.0
    s = max(-min(single, multi) - penalty, 0.0)
    s = min(recalibrated(w, lane, s), most)
    is_on = w[IS_SCORED + lane] > 0.0
    learn_tail(w, lane, rates, is_on and w[IS_LEARNED + lane] > 0.0, min(both, most))
    w[LOG_P_SINGLE + lane] = single
    w[LOG_P_MULTI + lane] = multi
    w[LOG_P + lane] = -s


@device
def compare(w: Array, lane: int, rates: Rates, now: Now) -> None:
    """The typical value and two deviations around it, and the error beside past ones.

    All in the unit of the values. IS_RARE says which of the weight and the events need a branch.
    """
    typical, sd = w[FORECAST + lane], w[SD_E + lane]
    is_root = w[NON_NEGATIVE + lane] > 0.0
    lower, upper = typical - 2.0 * sd, typical + 2.0 * sd
    w[TYPICAL + lane] = unroot(typical) if is_root else typical
    w[LOWER + lane] = unroot(lower) if is_root else lower
    w[UPPER + lane] = unroot(upper) if is_root else upper
    is_on = w[IS_SCORED + lane] > 0.0
    error = w[WHOLE_VALUE + lane] - w[TYPICAL + lane]
    measure_event(w, lane, rates, is_on and w[IS_LEARNED + lane] > 0.0, gap_of(w, lane, now.clock), error)
    rare_single = weigh_usual(w, lane, EVENT_SINGLE, SINGLE_EVENT, rates, is_on, now.clock)
    rare_mean = weigh_usual(w, lane, EVENT_MEAN, MEAN_EVENT, rates, is_on, now.clock)
    is_heavy = w[IS_ON + lane] > 0.0 and w[SHARP + lane] > WEIGHT_BODY
    rare = (RARE_WEIGHT if is_heavy else 0.0) + (RARE_SINGLE if rare_single else 0.0)
    w[WEIGHT + lane] = 1.0
    w[ZERO_SHARE + lane] = 1.0 if w[IS_DATA + lane] > 0.0 else zero_weight(w, lane)
    w[IS_RARE + lane] = rare + (RARE_MEAN if rare_mean else 0.0)


@device
def train(w: Array, lane: int, rates: Rates, now: Now) -> None:
    """Moves the state towards the value, the less the more unlikely the value is.

    n is the count before this value, n' = n + w the one with it; COUNT becomes min(n', 1 / RATE_SPREAD).
    In this order, everything from the forecast and the errors made before::

        w        training_weight(SHARP, young, HABIT); of a filled zero see `zero_weight`
        sizes    train_size with n, min(size, SIZE_CLIP), no w; then train_habit
        spread   train_spread, and train_count for COUNTS, with n', w
        slope    B += RATE_SLOPE w (1 - young) (r within 3 sd_r)
        level    L = L + B_before gap + max(1 / n', RATE_LEVEL) w r
        season   train_profiles with w, y - line, z^2 min(1, spread share before), sd_r
        mean     train_mean with M
        CARRY    r w: AR(1) goes on from what was believed of the residual
        shift    watch_shift with y - g1 D - g2 W; may replace level, slope, M and CARRY

    `train_presence` and `train_records` come after it by their place in the law, but need what it moves.
    """
    is_on = w[IS_ON + lane] > 0.0 and w[IS_LEARNED + lane] > 0.0
    clock, gap = now.clock, gap_of(w, lane, now.clock)
    age = clock - w[FIRST + lane]
    young = max(1.0 - age / rates.young, 0.0)
    weight = w[WEIGHT + lane] * w[ZERO_SHARE + lane]
    r, before = w[R + lane], w[COUNT + lane]
    train_size(w, lane, rates, is_on)
    train_habit(w, lane, is_on)
    n = before + weight
    put(w, COUNT + lane, is_on, min(n, 1.0 / rates.spread))
    train_spread(w, lane, rates, is_on, n, weight, gap)
    if rates.counts:
        train_count(w, lane, rates, is_on, n, weight)
    most = SLOPE_CLIP * w[SD_R + lane]
    slope = w[SLOPE + lane] + rates.slope * weight * min(max(r, -most), most) * (1.0 - young)
    put(w, SLOPE + lane, is_on, slope)
    put(w, LEVEL + lane, is_on, w[LINE + lane] + max(1.0 / n, rates.level) * weight * r)
    train_profiles(w, lane, rates, now, is_on, weight, age * rates.days)
    train_mean(w, lane, is_on)
    put(w, CARRY + lane, is_on, r * weight)
    watch_shift(w, lane, rates, is_on, clock)
    put(w, LAST_DATA + lane, is_on and w[IS_DATA + lane] > 0.0, clock)
    put(w, LAST + lane, is_on, clock)


@device
def zero_weight(w: Array, lane: int) -> float:
    """How much a filled zero counts: less the rarer data is; nothing below an occupancy of 1/4.

    clip(2 OCCUPANCY, 1e-6, 1) clip(4 OCCUPANCY_BEFORE - 1, 0, 1)
    """
    present = min(max(2.0 * w[OCCUPANCY + lane], 1e-6), 1.0)
    share: float = present * min(max(4.0 * w[OCCUPANCY_BEFORE + lane] - 1.0, 0.0), 1.0)
    return share


@device
def train_presence(w: Array, lane: int, rates: Rates, clock: float) -> None:
    """How often a bucket has data, with zero fill; comes before `train`, which moves LAST.

    OCCUPANCY <- OCCUPANCY + max(1 / (age + 1), 0.02) (1 or 0 - OCCUPANCY) bucket by bucket, those within
    a gap at once (`gap_powers`). OCCUPANCY_BEFORE and SILENCE are those of the last cell.
    """
    is_on, has_data = w[IS_ON + lane] > 0.0 and w[IS_LEARNED + lane] > 0.0, w[IS_DATA + lane] > 0.0
    gain = max(1.0 / (clock - w[FIRST + lane] + 1.0), PRESENCE_GAIN)
    occupancy = w[OCCUPANCY + lane] * decay(w[KEPT_PRESENCE + lane], 1.0, gap_of(w, lane, clock))
    occupancy += gain * ((1.0 if has_data else 0.0) - occupancy)
    put(w, OCCUPANCY + lane, is_on, occupancy)
    put(w, OCCUPANCY_BEFORE + lane, is_on and has_data, occupancy)
    silence = -log(max(1.0 - occupancy, 1e-9))
    put(w, SILENCE + lane, is_on and has_data, silence)
    # None but for a sparse series: there an empty bucket is as unlikely as the silence is long.
    empty = floor(min(max(-rates.log_threshold, 0.0) / max(silence, 1e-12), 1e9))
    put(w, EMPTY_BUCKETS + lane, is_on and has_data, empty if occupancy <= SPARSE else 0.0)


@device
def train_records(w: Array, lane: int, rates: Rates) -> None:
    """The usual number of records; comes before `train`, which moves COUNT.

    RECORDS <- RECORDS + max(1 / (n + 1), 0.02) (records - RECORDS), n the count before this value.
    """
    is_on = w[IS_ON + lane] > 0.0 and w[IS_DATA + lane] > 0.0
    usual, records = w[RECORDS + lane], w[CELL_RECORDS + lane]
    gain = max(1.0 / (w[COUNT + lane] + 1.0), PRESENCE_GAIN)
    put(w, RECORDS + lane, is_on, usual + gain * (records - usual))
