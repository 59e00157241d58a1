"""One value of one series: predict, scale, score, then train.

The order is the law of the model: what is scored has not been trained on.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tidegate_kernels.event import score_events
from tidegate_kernels.law import (
    BODY,
    DEGREES,
    SIZE_CLIP,
    inverse_degrees,
    learn_tail,
    log_tail,
    recalibrated,
    train_size,
    training_weight,
)
from tidegate_kernels.profile import Phase, Season, season_at, train_profiles, use_of_day, use_of_week
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
    ALIVE,
    CARRY,
    COUNT,
    COUNTS,
    LAST,
    LAST_DATA,
    LEVEL,
    LOG_P,
    LOG_P_MULTI,
    LOG_P_SINGLE,
    LOWER,
    NON_NEGATIVE,
    OCCUPANCY,
    OCCUPANCY_BEFORE,
    RATE_LEVEL,
    RATE_SLOPE,
    RATE_SPREAD,
    RECORDS,
    SCALE_BY_RECORDS,
    SIDE,
    SIZE_ABS,
    SIZE_SQUARE,
    SLOPE,
    TINY,
    TYPICAL,
    UPPER,
    VARIANCE,
    VARIANCE_AR,
    ZERO_FILL,
    Moment,
    decay_power,
    make_linear,
    moment_of,
    start_series,
    unroot,
)

Array = Any

HUGE = 1e140  # values are clamped here, so that squares stay finite
MIN_BUCKETS = 12.0  # age, in buckets, before which nothing is scored
MIN_VALUES = 4.0  # count of training values before which nothing is scored
PRIOR_SPREAD = 0.03  # a new series is taken to vary by 3% of its level,
PRIOR_COUNT = 2.0  # with the weight of two buckets
AMPLITUDE_FLOOR = 0.001  # standard deviation never below 0.1% of the level
PHASE_FLOOR = 0.4  # quiet hours count at least 0.4 of the mean variance
POISSON_ROOT = 0.2  # least variance of the square root of a count (1/4 for a large Poisson mean)
YOUNG_SCALE = 4.0
RECORDS_RATIO = 100.0  # the most by which few records widen the variance
PRESENCE_GAIN = 0.02  # least gain of the occupancy and of the typical number of records
SLOPE_CLIP = 3.0  # sd_r
LOG_TWO = 0.6931471805599453


class Forecast(NamedTuple):
    """What a value is expected to be, before it is seen."""

    line: float  # level and slope
    seasonal: float  # g1 D + g2 W
    prediction: float  # P, both together
    carried: float  # what AR(1) adds
    typical: float


class Error(NamedTuple):
    """How far a value is from its forecast."""

    r: float  # from the prediction
    e: float  # from the typical value
    sd_r: float
    sd_e: float
    z: float  # r / sd_r
    size: float  # |e| / sd_e


@device
def observe(
    state: Array,
    base: int,
    work: Array,
    settings: Array,
    clock: float,
    phase: Phase,
    value: float,
    records: float,
    is_data: bool,
    completeness: float,
) -> bool:
    """Scores one value and trains on it; results are left in ``work``. False: nothing to score yet."""
    actual = min(max(value, -HUGE), HUGE)
    if actual < 0.0 and state[base + NON_NEGATIVE] > 0.0:
        make_linear(state, base)
    root = actual >= 0.0 and (state[base + NON_NEGATIVE] > 0.0 or state[base + ALIVE] == 0.0)
    if state[base + ALIVE] == 0.0:
        start_series(state, base, clock, math.sqrt(actual) if root else actual, records, root)
        return False
    now = moment_of(state, base, work, clock)
    season = season_at(state, base, phase)
    forecast = predict(state, base, work, now, season)
    if completeness < 1.0:
        actual = completed(actual, unroot(forecast.typical) if root else forecast.typical, completeness)
    y = math.sqrt(actual) if root else actual
    error = error_of(state, base, settings, now, season, forecast, y, records, root)
    multi = moving_mean(state, base, error.z, now.gap)
    scored: bool = now.age >= MIN_BUCKETS and now.n >= MIN_VALUES
    if scored:
        most = 1e300 if is_data else log_silence(state, base, clock)
        judge(state, base, work, settings[SIDE], now, error, multi, most)
        set_bounds(work, forecast.typical, error.sd_e, root)
        score_events(state, base, work, now, actual - work[TYPICAL], settings[SIDE])
    train(state, base, work, now, season, forecast, error, y, multi, is_data)
    train_presence(state, base, settings, now, records, is_data)
    return scored


@device
def predict(state: Array, base: int, work: Array, now: Moment, season: Season) -> Forecast:
    """P = L + B gap + g1 D + g2 W, and AR(1) on the last residual: typical = P + phi^gap CARRY."""
    use_day = use_of_day(state, base, work, now.days)
    use_week = use_of_week(state, base, work, now.days)
    line = state[base + LEVEL] + state[base + SLOPE] * now.gap
    seasonal = use_day * season.day + use_week * season.week
    prediction = line + seasonal
    carried = decay_power(autocorrelation(state, base, now.n), now.gap) * state[base + CARRY]
    return Forecast(line, seasonal, prediction, carried, prediction + carried)


@device
def completed(actual: float, expected: float, completeness: float) -> float:
    """A value that still grows, with what is missing: as expected, up to what is expected.

    actual + min(max(expected - actual, 0), max((1 - completeness) expected, 0)); ``expected`` is the
    typical value.
    """
    return actual + min(max(expected - actual, 0.0), max((1.0 - completeness) * expected, 0.0))


@device
def error_of(
    state: Array,
    base: int,
    settings: Array,
    now: Moment,
    season: Season,
    forecast: Forecast,
    y: float,
    records: float,
    root: bool,
) -> Error:
    """Residuals r = y - P, e = r - carried, and their standard deviations sd_r, sd_e.

    Of r, with V = VARIANCE; of e likewise with VARIANCE_AR; n is the count before this value::

        sd^2      max((2 prior + n V) / (2 + n), floor) q
        q         max(spread share of the phase, 0.4) (1 + 4 / n) R
        R         min(RECORDS / records, 100) for SCALE_BY_RECORDS and 0 < records < RECORDS; else 1
        prior     (0.03 a)^2,   a = |LEVEL|, half of it while y are roots (relative deviations halve)
        floor     max((0.001 a)^2, TINY^2), and at least 0.2 for COUNTS: those are always roots
    """
    n = now.n
    scale = max(season.spread, PHASE_FLOOR) * (1.0 + YOUNG_SCALE / n)
    if settings[SCALE_BY_RECORDS] > 0.0 and records > 0.0 and state[base + RECORDS] > records:
        scale *= min(state[base + RECORDS] / records, RECORDS_RATIO)
    around = abs(state[base + LEVEL]) * (0.5 if root else 1.0)
    prior = PRIOR_SPREAD * around
    prior = PRIOR_COUNT * prior * prior
    least = AMPLITUDE_FLOOR * around
    least = max(least * least, TINY * TINY)
    if settings[COUNTS] > 0.0:
        least = max(least, POISSON_ROOT)
    r = y - forecast.prediction
    e = r - forecast.carried
    sd_r = math.sqrt(max((prior + n * state[base + VARIANCE]) / (PRIOR_COUNT + n), least) * scale)
    sd_e = math.sqrt(max((prior + n * state[base + VARIANCE_AR]) / (PRIOR_COUNT + n), least) * scale)
    return Error(r, e, sd_r, sd_e, r / sd_r, abs(e) / sd_e)


@device
def log_silence(state: Array, base: int, clock: float) -> float:
    """The most -ln p of an empty bucket: in a sparse series silence is as unlikely as its length.

    -(empty buckets, this one too) ln(max(1 - OCCUPANCY_BEFORE, 1e-9)): (1 - occupancy)^empty, with
    the occupancy as it was once the last cell was learned. Values that are not finite end silence too.
    """
    empty: float = clock - state[base + LAST_DATA]
    return -empty * math.log(max(1.0 - state[base + OCCUPANCY_BEFORE], 1e-9))


@device
def judge(
    state: Array, base: int, work: Array, side: float, now: Moment, error: Error, multi: float, most: float
) -> None:
    """Log p of the bucket, of the moving mean, and of both (Bonferroni), recalibrated.

    ``size`` = |e| / sd_e, M in its deviations (0 until it is known, `knows_mean`), d the degrees::

        single = log_tail(size, d),    multi = log_tail(M, min(2 d, 50))
        both   = max(-min(single, multi) - penalty, 0),    penalty = ln 2 once M is known, before 0
        s      = the same after single <- 0 unless e, multi <- 0 unless M is on the side asked for
        -ln p  = min(recalibrated(s) if s > 1 else s, most)

    p is two-sided, for one side too: there it is conservative, by 2. The tail then, after
    `recalibrated` used it, learns min(both, most): both sides, whichever is asked for. LOG_P_SINGLE
    and LOG_P_MULTI are those of the side, neither penalised nor recalibrated.
    """
    has_mean = knows_mean(state, base)
    moved = mean_size(state, base, multi) if has_mean else 0.0
    heavy = 1.0 / DEGREES
    if error.size > BODY or moved > BODY:
        heavy = inverse_degrees(state[base + SIZE_ABS], state[base + SIZE_SQUARE], now.n)
    single_log = log_tail(error.size, 1.0 / heavy)
    multi_log = log_tail(moved, min(2.0 / heavy, 50.0))
    penalty = LOG_TWO if has_mean else 0.0
    both = max(-min(single_log, multi_log) - penalty, 0.0)
    if side != 0.0:
        single_log = single_log if error.e * side > 0.0 else 0.0
        multi_log = multi_log if multi * side > 0.0 else 0.0
    s = max(-min(single_log, multi_log) - penalty, 0.0)
    s = min(recalibrated(state, base, s), most) if s > 1.0 else min(s, most)
    learn_tail(state, base, min(both, most))
    work[LOG_P_SINGLE] = single_log
    work[LOG_P_MULTI] = multi_log
    work[LOG_P] = -s


@device
def set_bounds(work: Array, typical: float, sd: float, root: bool) -> None:
    """The typical value and two standard deviations around it, in the unit of the values."""
    work[TYPICAL] = typical
    work[LOWER] = typical - 2.0 * sd
    work[UPPER] = typical + 2.0 * sd
    if root:
        work[TYPICAL] = unroot(typical)
        work[LOWER] = unroot(work[LOWER])
        work[UPPER] = unroot(work[UPPER])


@device
def train(
    state: Array,
    base: int,
    work: Array,
    now: Moment,
    season: Season,
    forecast: Forecast,
    error: Error,
    y: float,
    multi: float,
    is_data: bool,
) -> None:
    """Moves the state towards the value, the less the more unlikely the value is.

    n is the count before this value, n' = n + w the one with it; COUNT becomes min(n', 1 / RATE_SPREAD).
    In this order, everything from the forecast and the errors made before::

        w        training_weight(min(|z|, size), young); of a filled zero times 2 OCCUPANCY, 1e-6 to 1
        sizes    train_size with n, min(size, SIZE_CLIP), no w
        spread   train_spread with n', w
        slope    B += RATE_SLOPE w (1 - young) (r within 3 sd_r)
        level    L = L + B_before gap + max(1 / n', RATE_LEVEL) w r
        season   train_profiles with w, y - line, z^2 min(1, spread share before), sd_r
        mean     train_mean with M
        CARRY    r w: AR(1) goes on from what was believed of the residual
        shift    watch_shift with y - g1 D - g2 W; may replace level, slope, M and CARRY
    """
    r = error.r
    weight = training_weight(min(abs(error.z), error.size), now.young)
    train_size(state, base, work, now.n, min(error.size, SIZE_CLIP))
    if not is_data:
        weight *= min(max(2.0 * state[base + OCCUPANCY], 1e-6), 1.0)
    n = now.n + weight
    state[base + COUNT] = min(n, 1.0 / work[RATE_SPREAD])
    train_spread(state, base, work, n, weight, r, error.e, now.gap)
    within = min(max(r, -SLOPE_CLIP * error.sd_r), SLOPE_CLIP * error.sd_r)
    state[base + SLOPE] += work[RATE_SLOPE] * weight * within * (1.0 - now.young)
    level_gain = max(1.0 / n, work[RATE_LEVEL]) * weight
    state[base + LEVEL] = forecast.line + level_gain * r
    z2 = error.z * error.z * min(1.0, season.spread)
    train_profiles(state, base, work, season, weight, y - forecast.line, z2, error.sd_r, now.days)
    train_mean(state, base, multi)
    state[base + CARRY] = r * weight
    watch_shift(state, base, work, now.clock, y - forecast.seasonal, error.z)
    state[base + LAST] = now.clock


@device
def train_presence(
    state: Array, base: int, settings: Array, now: Moment, records: float, is_data: bool
) -> None:
    """How often a bucket has data (with zero fill), and how many records (SCALE_BY_RECORDS).

    OCCUPANCY <- OCCUPANCY + max(1 / (age + 1), 1 - 0.98^gap) (1 or 0 - OCCUPANCY), OCCUPANCY_BEFORE
    that of the last cell. RECORDS <- RECORDS + max(1 / (n + 1), 0.02) (records - RECORDS), n the count
    before this value.
    """
    if settings[ZERO_FILL] > 0.0:
        gain = max(1.0 / (now.age + 1.0), 1.0 - decay_power(1.0 - PRESENCE_GAIN, now.gap))
        state[base + OCCUPANCY] += ((1.0 if is_data else 0.0) - state[base + OCCUPANCY]) * gain
        if is_data:
            state[base + OCCUPANCY_BEFORE] = state[base + OCCUPANCY]
    if is_data:
        state[base + LAST_DATA] = now.clock
        if settings[SCALE_BY_RECORDS] > 0.0:
            gain = max(1.0 / (now.n + 1.0), PRESENCE_GAIN)
            state[base + RECORDS] += (records - state[base + RECORDS]) * gain
