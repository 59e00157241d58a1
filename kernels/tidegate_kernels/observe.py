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
    Moment,
    decay_power,
    make_linear,
    moment_of,
    start_series,
    unroot,
)

Array = Any

HUGE = 1e140  # values are clamped here, so that squares stay finite
MIN_BUCKETS = 12.0  # values before anything is scored
PRIOR_SPREAD = 0.03  # a new series is taken to vary by 3% of its level,
PRIOR_COUNT = 2.0  # with the weight of two buckets
AMPLITUDE_FLOOR = 0.001  # standard deviation never below 0.1% of the level
PHASE_FLOOR = 0.4  # quiet hours count at least 0.4 of the mean variance
POISSON_ROOT = 0.2  # least variance of the square root of a count (1/4 for a large Poisson mean)
YOUNG_SCALE = 4.0
LOG_TWO = 0.6931471805599453


class Forecast(NamedTuple):
    """What a value is expected to be, before it is seen."""

    line: float  # level and slope
    prediction: float  # P, with the season
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
    scored: bool = now.age >= MIN_BUCKETS and now.n >= 4.0
    if scored:
        most = 1e300 if is_data else log_silence(state, base, clock)
        judge(state, base, work, settings[SIDE], now, error, multi, most)
        set_bounds(work, forecast.typical, error.sd_e, root)
        score_events(state, base, work, now, actual - work[TYPICAL], settings[SIDE])
    train(state, base, work, now, season, forecast, error, y, multi, is_data)
    train_occupancy(state, base, now, records, is_data)
    return scored


@device
def predict(state: Array, base: int, work: Array, now: Moment, season: Season) -> Forecast:
    """P = L + B gap + g1 D + g2 W, and AR(1) on the last residual."""
    use_day = use_of_day(state, base, work, now.days)
    use_week = use_of_week(state, base, work, now.days)
    line = state[base + LEVEL] + state[base + SLOPE] * now.gap
    prediction = line + use_day * season.day + use_week * season.week
    phi = autocorrelation(state, base, now.n)
    carried = phi * state[base + CARRY]
    if now.gap > 1.0 and phi > 0.0:
        carried *= decay_power(1.0 - phi, now.gap - 1.0)
    return Forecast(line, prediction, carried, prediction + carried)


@device
def completed(actual: float, expected: float, completeness: float) -> float:
    """A value that still grows, with what is missing: as expected, up to what is expected."""
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
    """Residuals and their standard deviations: v = max(prior and learned variance, floor) q."""
    n = now.n
    scale = max(season.spread, PHASE_FLOOR) * (1.0 + YOUNG_SCALE / n)
    if settings[SCALE_BY_RECORDS] > 0.0 and records > 0.0 and state[base + RECORDS] > records:
        scale *= min(state[base + RECORDS] / records, 100.0)
    around = abs(state[base + LEVEL]) * (0.5 if root else 1.0)  # the root halves relative deviations
    prior = PRIOR_SPREAD * around
    prior = PRIOR_COUNT * prior * prior
    least = AMPLITUDE_FLOOR * around
    least = max(least * least, TINY * TINY)
    if settings[COUNTS] > 0.0:
        least = max(least, POISSON_ROOT if root else max(forecast.prediction, 0.1))
    r = y - forecast.prediction
    e = r - forecast.carried
    sd_r = math.sqrt(max((prior + n * state[base + VARIANCE]) / (PRIOR_COUNT + n), least) * scale)
    sd_e = math.sqrt(max((prior + n * state[base + VARIANCE_AR]) / (PRIOR_COUNT + n), least) * scale)
    return Error(r, e, sd_r, sd_e, r / sd_r, abs(e) / sd_e)


@device
def log_silence(state: Array, base: int, clock: float) -> float:
    """The most -ln p of an empty bucket: in a sparse series silence is as unlikely as its length.

    (1 - occupancy)^(empty buckets), with the occupancy when the last cell came.
    """
    empty: float = clock - state[base + LAST_DATA]
    return -empty * math.log(max(1.0 - state[base + OCCUPANCY_BEFORE], 1e-9))


@device
def judge(
    state: Array, base: int, work: Array, side: float, now: Moment, error: Error, multi: float, most: float
) -> None:
    """Log p of the bucket, of the moving mean, and of both (Bonferroni), recalibrated.

    -ln p is at most ``most``. The tail is trained on both sides; the results are of the side asked for.
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
    """Moves the state towards the value, the less the more unlikely the value is."""
    r = error.r
    weight = training_weight(min(abs(error.z), error.size), now.young)
    train_size(state, base, work, now.n, min(error.size, SIZE_CLIP))
    if not is_data:
        weight *= min(max(2.0 * state[base + OCCUPANCY], 1e-6), 1.0)
    n = now.n + weight
    state[base + COUNT] = min(n, 1.0 / work[RATE_SPREAD])
    train_spread(state, base, work, n, weight, r, error.e, now.gap)
    slope_gain = work[RATE_SLOPE] * weight
    state[base + SLOPE] += slope_gain * min(max(r, -3.0 * error.sd_r), 3.0 * error.sd_r) * (1.0 - now.young)
    level_gain = max(1.0 / n, work[RATE_LEVEL]) * weight
    state[base + LEVEL] = forecast.line + level_gain * r
    z2 = error.z * error.z * min(1.0, season.spread)
    train_profiles(state, base, work, season, weight, y - forecast.line, z2, error.sd_r, now.days)
    train_mean(state, base, multi)
    state[base + CARRY] = r * weight
    watch_shift(state, base, work, now.clock, r, error.z)
    state[base + LAST] = now.clock


@device
def train_occupancy(state: Array, base: int, now: Moment, records: float, is_data: bool) -> None:
    """How often a bucket has data, and how many records."""
    gain = max(1.0 / (now.age + 1.0), 1.0 - decay_power(0.02, now.gap))
    state[base + OCCUPANCY] += ((1.0 if is_data else 0.0) - state[base + OCCUPANCY]) * gain
    if is_data:
        state[base + LAST_DATA] = now.clock
        state[base + RECORDS] += (records - state[base + RECORDS]) * 0.02
        state[base + OCCUPANCY_BEFORE] = state[base + OCCUPANCY]
