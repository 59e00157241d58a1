"""The streaming model of one series: predict, score, then train, bucket by bucket.

With L the level, B its slope, D and W the profiles of the day and the week::

    value        y, or its square root as long as the series has never been negative
    prediction   P = L + B + g1 D + g2 W,            gates g of the profiles
    residual     r = y - P,   e = r - phi r_previous (AR(1), for the single-bucket score)
    variances    v = max(prior, E[r^2]) q(phase),  v1 likewise of e; q the phase's share
    single       t = e / sqrt(v1),                 Student-t tail
    multi        M <- M + (z - M) / MULTI_WINDOW,  z = clip(r / sqrt(v)),  t of M / sd(M)
    recalibrated s = -ln p: beyond TAIL_START, -ln(rate) + (s - TAIL_START) / excess
    training     x <- x + gain w (target - x), w from a sharp normal test on r

The square root makes deviations of large and small values comparable: average precision
0.51 -> 0.60 on labelled production metrics, -2.6 points on NAB (2026-11-23).
The score is the smaller of what p allows and of what the size of the error allows, measured
in the values' own unit against the largest past events of the series.
Time enters only as the model clock (ages, decays) and as the calendar phase.

    state      the fields of a series, the settings and the work space
    observe    one value: predict, scale, score, train
    profile    the season          residual   variances, moving mean, level shift
    law        tails of errors     event      past events, the score
"""

from __future__ import annotations

import math
from typing import Any

from tidegate_kernels.observe import observe
from tidegate_kernels.profile import Phase
from tidegate_kernels.registry import kernel
from tidegate_kernels.state import (
    ALIVE,
    COUNTS,
    DAY_KNOTS,
    LAST_DATA,
    LOG_P,
    LOG_P_MULTI,
    LOG_P_SINGLE,
    LOWER,
    PRUNE_BUCKETS,
    SCALE_BY_RECORDS,
    SCORE,
    SETTINGS_SIZE,
    SIDE,
    SPAN_MS,
    STATE_SIZE,
    THRESHOLD,
    TYPICAL,
    UPPER,
    WEEK_KNOTS,
    WORK_SIZE,
    ZERO_FILL,
    clear_state,
    copy_state,
    set_rates,
)

__all__ = [
    "COUNTS",
    "PRUNE_BUCKETS",
    "SCALE_BY_RECORDS",
    "SETTINGS_SIZE",
    "SIDE",
    "SPAN_MS",
    "STATE_SIZE",
    "THRESHOLD",
    "WORK_SIZE",
    "ZERO_FILL",
    "fill_calendar",
    "update_series",
]

Array = Any


@kernel("i64(i64, i64, i64, out i64[], out f64[], out i64[], out f64[])")
def fill_calendar(
    bucket_from: int,
    bucket_to: int,
    span_ms: int,
    day_knot_b: Array,
    day_weight_b: Array,
    week_knot_b: Array,
    week_weight_b: Array,
) -> int:
    """Knot and interpolation weight of every bucket's middle, in the profiles of day and week.

    The value at a bucket is (1 - weight) * knot[k] + weight * knot[(k + 1) % knots].
    """
    day_ms = 86_400_000
    week_ms = 7 * day_ms
    for bucket in range(bucket_from, bucket_to):
        i = bucket - bucket_from
        middle = bucket * span_ms + span_ms // 2
        phase = (middle % day_ms) * DAY_KNOTS / day_ms
        knot = int(phase)
        day_knot_b[i] = knot
        day_weight_b[i] = phase - knot
        phase = (middle % week_ms) * WEEK_KNOTS / week_ms
        knot = int(phase)
        week_knot_b[i] = knot
        week_weight_b[i] = phase - knot
    return bucket_to - bucket_from


@kernel(
    "i64(in i64[], in i64[], in i64[], in f64[], in f64[],"
    " in i64[], in f64[], in i64[], in f64[],"
    " out f64[], in f64[], out f64[],"
    " i64, i64, i64, i64, in f64[],"
    " out i64[], out i64[], out f64[], out f64[], out f64[], out f64[],"
    " out f64[], out f64[], out f64[], out f64[],"
    " out f64[], out i64[], out i64[])"
)
def update_series(
    series_s: Array,
    first_s: Array,
    bucket_c: Array,
    value_c: Array,
    count_c: Array,
    day_knot_b: Array,
    day_weight_b: Array,
    week_knot_b: Array,
    week_weight_b: Array,
    state: Array,
    settings: Array,
    work: Array,
    bucket_from: int,
    bucket_to: int,
    clock_offset: int,
    learn: int,
    completeness_b: Array,
    out_bucket: Array,
    out_series: Array,
    out_actual: Array,
    out_typical: Array,
    out_lower: Array,
    out_upper: Array,
    out_log_p: Array,
    out_log_p_single: Array,
    out_log_p_multi: Array,
    out_score: Array,
    bucket_min_log_p: Array,
    bucket_count: Array,
    resume: Array,
) -> int:
    """Runs the model over the closed buckets of many series; returns the number of results.

    ``resume`` is (position in series_s, next cell, next bucket, done); all zeros to begin. When the
    output arrays are full the call returns with done = 0: drain them and call again with
    everything else, ``work`` too, unchanged. With ``learn`` 0 a copy of each state in ``work`` is used.
    ``completeness_b`` is the share of its usual records that each bucket of the call has; 1: final.
    """
    zero_fill = settings[ZERO_FILL] > 0.0 and learn != 0
    prune = settings[PRUNE_BUCKETS]
    log_threshold = math.log(settings[THRESHOLD])
    set_rates(work, settings[SPAN_MS])
    states = state if learn != 0 else work
    n_out = 0
    first = resume[0]
    resume[3] = 0
    for i in range(first, len(series_s)):
        series = series_s[i]
        base = series * STATE_SIZE if learn != 0 else 0
        cell = first_s[i]
        end = first_s[i + 1]
        bucket = bucket_from
        if i == first and resume[2] > 0:
            cell = resume[1]
            bucket = resume[2] - 1 + bucket_from
        elif learn == 0:
            copy_state(state, series * STATE_SIZE, work)
        while True:
            alive = states[base + ALIVE] != 0.0
            if not (zero_fill and alive):
                if cell >= end:
                    break
                bucket = bucket_c[cell]
            if bucket >= bucket_to:
                break
            if n_out >= len(out_bucket):
                resume[0] = i
                resume[1] = cell
                resume[2] = bucket - bucket_from + 1
                return n_out
            clock = float(bucket - clock_offset)
            at = bucket - bucket_from
            value = 0.0
            records = 0.0
            is_data = cell < end and bucket_c[cell] == bucket
            if is_data:
                value = value_c[cell]
                records = count_c[cell]
                cell += 1
            bucket += 1
            if alive and prune > 0.0 and clock - states[base + LAST_DATA] > prune:
                clear_state(states, base)
                alive = False
                if not is_data:
                    continue
            if not math.isfinite(value):  # NaN or infinite: no sample, but a sign of life
                if alive:
                    states[base + LAST_DATA] = clock
                continue
            phase = Phase(day_knot_b[at], day_weight_b[at], week_knot_b[at], week_weight_b[at])
            if not observe(
                states, base, work, settings, clock, phase, value, records, is_data, completeness_b[at]
            ):
                continue
            bucket_count[at] += 1
            bucket_min_log_p[at] = min(bucket_min_log_p[at], work[LOG_P])
            if work[LOG_P] < log_threshold:
                out_bucket[n_out] = at + bucket_from
                out_series[n_out] = series
                out_actual[n_out] = value
                out_typical[n_out] = work[TYPICAL]
                out_lower[n_out] = work[LOWER]
                out_upper[n_out] = work[UPPER]
                out_log_p[n_out] = work[LOG_P]
                out_log_p_single[n_out] = work[LOG_P_SINGLE]
                out_log_p_multi[n_out] = work[LOG_P_MULTI]
                out_score[n_out] = work[SCORE]
                n_out += 1
    resume[0] = len(series_s)
    resume[1] = 0
    resume[2] = 0
    resume[3] = 1
    return n_out
