"""Forecasts: what the series will be, bucket by bucket, with bounds; the state is only read.

Of a series whose last trained value is k buckets before, with L, B and the profiles as they are now::

    prediction   L + B' d(k) + g1 D + g2 W + g3 P + g4 M + g5 Y + phi^k CARRY
    d(k)         t + t^2 + ... + t^k,  t = exp(-1 / T): the slope fades, in four memories of its own
    B'           evidence B / learned: the slope as far as it is more than noise

The profiles move on with the calendar, their gates stay. Bounds are two deviations to both sides of the
prediction, in the model's unit, then squared while values are roots::

    v(k)         (S(k) + min(S(k), V) (q - 1)) s + U d(k)^2 + g2 H (1 - (1 - LEVEL_RATE)^k)
    S(k)         E sum over j < k of psi_j^2,   psi_j = r^j + LEVEL_RATE (1 - r^j) / (1 - r)
    r            min(LAG_PRODUCT / V + sqrt((1 - r^2) / n), 1 - LEVEL_RATE), LAG_PRODUCT at least 0
    E            max(V (1 - r^2), VARIANCE_AR)
    q, s         max(spread share of the phase, 0.4),  1 + 4 / (n + PRIOR_COUNT - 2)
    H            half the variance of the knots of the week

psi is what a shock is worth j buckets later: it fades as residuals do, while the level takes it over with
its gain (the innovations form of exponential smoothing; Hyndman, Koehler, Ord & Snyder 2008, chapter 6).
r is the autocorrelation, one standard error up: a random walk has r = 1 - LEVEL_RATE and psi = 1. V is
`observe.scale`'s variance of weeks: that of the last days says nothing of the next week. H is there because
the level, with its memory of a day, has a part of every week in it: what it holds now is not what it will
hold. (Of a week of +-2 deviations 93% of the values one to three days ahead are within bounds, without H
83%; on the labelled files below the bounds widen by 2% where there is a week.)

The slope gathers noise too. With r as above, T_B the memory of the slope and R_B its gain::

    noise        U0 = R_B^2 T_B / 2 V (1 + r) / (1 - r)
    evidence     max(1 - 4 U0 / B^2, 0): nothing up to two deviations
    learned      1 - exp(-m), at least that of m = 0.3; m the memories that the slope has trained for
    U            U0 / learned^2

On 52 labelled files, errors of the week after 362 cuts: 1.39 mean deviations of the week before, 1.39
without a slope, 1.42 with B damped in a week, 1.45 undamped; on trends 0.45 with evidence, 1.06 without a
slope (2026-11-23; `bench.forecast` has the shares of values within bounds).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.almanac import bring_almanac, foretell_almanac
from tidegate_kernels.elementary import exp, power
from tidegate_kernels.intrinsics import root
from tidegate_kernels.observe import AMPLITUDE_FLOOR, PHASE_FLOOR, YOUNG_SCALE
from tidegate_kernels.paging import load_block
from tidegate_kernels.period import foretell_periods
from tidegate_kernels.profile import bring_knots, read_season, use_of_day, use_of_week
from tidegate_kernels.registry import device, kernel
from tidegate_kernels.residual import autocorrelation
from tidegate_kernels.state import (
    ALIVE,
    ALL_LANES,
    CARRY,
    COUNT,
    DAY,
    FIRST,
    LAG_PRODUCT,
    LANES,
    LAST,
    LAST_DATA,
    LEVEL,
    MONTH_PART,
    NON_NEGATIVE,
    OCCUPANCY_BEFORE,
    PAGE_SIZE,
    PAGE_WEEK,
    PERIOD_PART,
    SLOPE,
    SPREAD,
    TINY,
    VARIANCE,
    VARIANCE_AR,
    WEEK,
    WEEK_KNOTS,
    YEAR_PART,
    Now,
    Rates,
    rates_of,
    unroot,
)

Array = Any

SLOPE_MEMORIES = 4.0  # in which the slope fades
NOISE = 4.0  # squared deviations of the slope that are nothing but noise
LEAST_LEARNED = 0.3  # memories
DEVIATIONS = 2.0  # 95% of Student's law of unit variance lie within 1.96 to 2.00, for 4 degrees or more
MOSTLY_EMPTY = 0.4  # occupancy below which filled zeros are not in the level: the typical bucket is empty
MOST_VARIANCE = 1e300
SMALL = 1e-100


def _row(k: int) -> Any:
    return np.uint64(k * LANES)


# -- the plan of a block: what its lanes have in common with all buckets of the forecast --------------
IS_ASKED = _row(0)  # 1 for the series that have a forecast
PLACE = _row(1)  # which forecast of the call it is
TREND = _row(2)  # B'
TREND_NOISE = _row(3)  # U
KEEP = _row(4)  # r
SHOCK = _row(5)  # E
WHOLE = _row(6)  # V
PHI = _row(7)
AHEAD = _row(8)  # k
KEPT = _row(9)  # r^k,
KEPT_PHI = _row(10)  # phi^k
KEPT_SLOPE = _row(11)  # and t^k
STRETCH = _row(12)  # s
WEEK_DOUBT = _row(13)  # H
KEPT_LEVEL = _row(14)  # (1 - LEVEL_RATE)^k
PLAN_SIZE = 15 * LANES


@device
def is_known(w: Array, lane: int, rates: Rates, clock: float) -> bool:
    """Whether a series has a forecast: old enough to be scored, and not idle for the prune window."""
    idle = clock - w[LAST_DATA + lane]
    is_idle = rates.prune > 0.0 and idle > rates.prune
    is_old = clock - w[FIRST + lane] >= rates.known_age and w[COUNT + lane] >= rates.known_count
    known: bool = w[ALIVE + lane] > 0.0 and is_old and not is_idle
    return known


@device
def fading(x: float, keep: float) -> float:
    """The next power; 0 instead of one that is too small to tell and slow to compute with."""
    following = x * keep
    return following if following > SMALL else 0.0


@device
def kept_after(keep: float, passed: float) -> float:
    """keep^passed."""
    some = power(keep, passed) if keep > SMALL else 0.0
    return 1.0 if passed == 0.0 else some


@device
def slope_keep(rates: Rates) -> float:
    """What is left of a slope after a bucket, t."""
    return exp(-rates.slope / (SLOPE_MEMORIES * rates.level))


@device
def plan_lane(w: Array, lane: int, rates: Rates, clock: float, plan: Array) -> None:
    """What a forecast from a clock on needs of a series; the powers are those of the bucket before it."""
    n, r_level = w[COUNT + lane], rates.level
    around = abs(w[LEVEL + lane]) * (0.5 if w[NON_NEGATIVE + lane] > 0.0 else 1.0)
    prior = rates.prior_spread * around
    prior = rates.prior_count * prior * prior
    least = max(AMPLITUDE_FLOOR * around, TINY)
    least = max(least * least, rates.least)
    known = 1.0 / (rates.prior_count + n)
    variance = max((prior + n * w[VARIANCE + lane]) * known, least)
    keep = max(w[LAG_PRODUCT + lane], 0.0) / max(w[VARIANCE + lane], TINY)
    keep = min(keep, 1.0)
    keep = min(keep + root((1.0 - keep * keep) / n), 1.0 - r_level)
    plan[KEEP + lane] = keep
    plan[WHOLE + lane] = variance
    shock = max((prior + n * w[VARIANCE_AR + lane]) * known, least)
    plan[SHOCK + lane] = max(variance * (1.0 - keep * keep), shock)
    plan[STRETCH + lane] = 1.0 + YOUNG_SCALE / (n + rates.prior_count - 2.0)
    age, slope = w[LAST + lane] - w[FIRST + lane], w[SLOPE + lane]
    noise = 0.5 * rates.slope * r_level * variance * (1.0 + keep) / (1.0 - keep)
    trained = age - 0.5 * rates.young if age > rates.young else 0.5 * age * age / rates.young
    learned = 1.0 - exp(-max(trained * rates.slope / r_level, LEAST_LEARNED))
    is_trend = slope * slope > NOISE * noise
    plan[TREND + lane] = slope * (1.0 - NOISE * noise / (slope * slope)) / learned if is_trend else 0.0
    plan[TREND_NOISE + lane] = noise / (learned * learned)
    passed = max(clock - 1.0 - w[LAST + lane], 0.0)
    phi = autocorrelation(w, lane)
    plan[PHI + lane] = phi
    plan[AHEAD + lane] = passed
    plan[KEPT + lane] = kept_after(keep, passed)
    plan[KEPT_PHI + lane] = kept_after(phi, passed)
    plan[KEPT_SLOPE + lane] = kept_after(slope_keep(rates), passed)
    plan[KEPT_LEVEL + lane] = kept_after(1.0 - r_level, passed)


@device
def week_doubt(lane: int, pages: Array, page: int) -> float:
    """H: half the variance of the knots of the week; 0 without a page."""
    total = squares = 0.0
    if page >= 0:
        for k in range(WEEK_KNOTS):
            knot = np.float64(pages[np.uint64(page + (PAGE_WEEK + k) * LANES) + lane])
            total += knot
            squares += knot * knot
    mean = total / WEEK_KNOTS
    return 0.5 * max(squares / WEEK_KNOTS - mean * mean, 0.0)


@device
def move_on(plan: Array, lane: int, keep_slope: float, keep_level: float) -> None:
    """One bucket further ahead."""
    plan[AHEAD + lane] += 1.0
    plan[KEPT + lane] = fading(plan[KEPT + lane], plan[KEEP + lane])
    plan[KEPT_PHI + lane] = fading(plan[KEPT_PHI + lane], plan[PHI + lane])
    plan[KEPT_SLOPE + lane] = fading(plan[KEPT_SLOPE + lane], keep_slope)
    plan[KEPT_LEVEL + lane] = fading(plan[KEPT_LEVEL + lane], keep_level)


@device
def spread_ahead(plan: Array, lane: int, rates: Rates) -> float:
    """S(k) in closed form: psi_j = c + (1 - c) r^j with c = LEVEL_RATE / (1 - r)."""
    keep, kept = plan[KEEP + lane], plan[KEPT + lane]
    c = rates.level / (1.0 - keep)
    rest = 1.0 - c
    total = plan[AHEAD + lane] * c * c + 2.0 * c * rest * (1.0 - kept) / (1.0 - keep)
    total += rest * rest * (1.0 - kept * kept) / (1.0 - keep * keep)
    spread: float = plan[SHOCK + lane] * total
    return spread


@device
def write_point(
    w: Array,
    lane: int,
    rates: Rates,
    now: Now,
    plan: Array,
    keep_slope: float,
    at: int,
    lower: Array,
    prediction: Array,
    upper: Array,
) -> None:
    """The bounds of one bucket, in the values' own unit.

    Where empty buckets are zeros and most are empty, the prediction is 0, and one of the bounds.
    """
    days = (now.clock - w[FIRST + lane]) * rates.days
    fade = keep_slope * (1.0 - plan[KEPT_SLOPE + lane]) / (1.0 - keep_slope)
    mean = w[LEVEL + lane] + plan[TREND + lane] * fade + plan[KEPT_PHI + lane] * w[CARRY + lane]
    mean += use_of_day(w, lane, rates, days) * w[DAY + lane]
    use_week = use_of_week(w, lane, rates, days)
    mean += use_week * w[WEEK + lane]
    mean += w[PERIOD_PART + lane] + w[MONTH_PART + lane] + w[YEAR_PART + lane]
    ahead = spread_ahead(plan, lane, rates)
    share = max(w[SPREAD + lane], PHASE_FLOOR)
    ahead += min(ahead, plan[WHOLE + lane]) * (share - 1.0)
    ahead = ahead * plan[STRETCH + lane] + plan[TREND_NOISE + lane] * fade * fade
    ahead += use_week * plan[WEEK_DOUBT + lane] * (1.0 - plan[KEPT_LEVEL + lane])
    deviation = DEVIATIONS * root(min(ahead, MOST_VARIANCE))
    low, high = mean - deviation, mean + deviation
    is_root = w[NON_NEGATIVE + lane] > 0.0
    low, mean, high = (unroot(low), unroot(mean), unroot(high)) if is_root else (low, mean, high)
    is_empty = rates.zero_fill and w[OCCUPANCY_BEFORE + lane] < MOSTLY_EMPTY
    lower[at] = min(low, 0.0) if is_empty else low
    prediction[at] = 0.0 if is_empty else mean
    upper[at] = max(high, 0.0) if is_empty else high


@kernel(
    "i64(in i64[], in i64[], in f64[], in i64[], in f64[], in i64[], in i64[], in f64[],"
    " in f64[], in i64[], in f32[], in f64[], out f64[], out f64[], i64, i64, i64,"
    " out i64[], out f64[], out f64[], out f64[])"
)
def forecast_blocks(
    block_s: Array,
    day_knot_b: Array,
    day_weight_b: Array,
    week_knot_b: Array,
    week_weight_b: Array,
    month_knot_b: Array,
    year_knot_b: Array,
    year_weight_b: Array,
    state: Array,
    page_b: Array,
    pages: Array,
    settings: Array,
    work: Array,
    plan: Array,
    bucket_from: int,
    bucket_to: int,
    clock_offset: int,
    series_s: Array,
    lower: Array,
    prediction: Array,
    upper: Array,
) -> int:
    """Forecasts the buckets from ``bucket_from`` to before ``bucket_to`` for every series that is known.

    Returns how many series are known: ``series_s`` has their numbers, block by block, and series i has
    the rows ``i n`` to before ``(i + 1) n`` of the other outputs, n the number of buckets. When there is
    less room than that (the caller may give none, to learn how much it takes), what does not fit is only
    counted. ``work`` has WORK_SIZE numbers, ``plan`` PLAN_SIZE; nothing else is written.
    """
    w = work
    rates = rates_of(settings)
    keep_slope = slope_keep(rates)
    n_buckets = bucket_to - bucket_from
    room = min(len(series_s), len(lower) // n_buckets)
    clock = float(bucket_from - clock_offset)
    found = 0
    for i in range(len(block_s)):
        block = block_s[i]
        load_block(w, state, block)
        page = page_b[block] * PAGE_SIZE if page_b[block] >= 0 else -1
        before = found
        for lane in range(ALL_LANES):
            known = is_known(w, lane, rates, clock)
            fits = known and found < room
            plan[IS_ASKED + lane] = 1.0 if fits else 0.0
            plan[PLACE + lane] = found
            w[PERIOD_PART + lane] = 0.0
            w[MONTH_PART + lane] = 0.0
            w[YEAR_PART + lane] = 0.0
            if fits:
                plan_lane(w, lane, rates, clock, plan)
                plan[WEEK_DOUBT + lane] = week_doubt(lane, pages, page)
                series_s[found] = block * LANES + np.int64(lane)
            found += 1 if known else 0
        if min(found, room) <= before:
            continue
        day_knot = week_knot = month_knot = year_knot = -1
        for b in range(n_buckets):
            if page >= 0 and (day_knot_b[b] != day_knot or week_knot_b[b] != week_knot):
                day_knot, week_knot = day_knot_b[b], week_knot_b[b]
                bring_knots(w, pages, page, day_knot, week_knot)
            is_turned = month_knot_b[b] != month_knot or year_knot_b[b] != year_knot
            if page >= 0 and rates.is_long and is_turned:
                month_knot, year_knot = month_knot_b[b], year_knot_b[b]
                bring_almanac(w, pages, page, month_knot, year_knot)
            now = Now(clock, day_weight_b[b], week_weight_b[b], year_weight_b[b], 1.0)
            if page >= 0:
                foretell_periods(w, pages, page, bucket_from + b, clock, True)
            if page >= 0 and rates.is_long:
                foretell_almanac(w, rates, now)
            for lane in range(ALL_LANES):
                read_season(w, lane, now)
            for lane in range(ALL_LANES):
                if plan[IS_ASKED + lane] > 0.0:
                    move_on(plan, lane, keep_slope, 1.0 - rates.level)
                    at: Any = np.uint64(np.int64(plan[PLACE + lane]) * n_buckets + b)
                    write_point(w, lane, rates, now, plan, keep_slope, at, lower, prediction, upper)
    return found
