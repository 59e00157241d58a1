"""The streaming model: predict, score, then train, bucket by bucket, sixteen series at a time.

With L the level, B its slope, and profiles of day, week, any other period, month and year::

    value        y, or its square root as long as the series has never been negative
    prediction   L + B + g1 D + g2 W + g3 P + g4 M + g5 Y,    gates g of the profiles
    residual     r = y - prediction,   e = r - phi r_previous (AR(1), for the single-bucket score)
    variances    v = max(prior, E[r^2]) q(phase),  v1 likewise of e; q the phase's share; of weeks and of days
    single       t = e / sqrt(v1),                 Student-t tail; of a count the tail of its own law
    multi        M <- M + (z - M) / MULTI_WINDOW,  z = clip(r / sqrt(v)),  t of M / sd(M)
    recalibrated s = -ln p: by how often the series came to such an s before
    training     x <- x + gain w (target - x), w from a sharp normal test on r

The square root makes deviations of large and small values comparable: average precision
0.51 -> 0.60 on labelled production metrics, -2.6 points on NAB (2026-11-23).
The score is the smaller of what p allows and of what the size of the error allows, measured
in the values' own unit against the largest past events of the series.
Time enters only as the model clock (ages, decays) and as the calendar phase.

    state      blocks of series, the settings and the work space
    observe    one bucket, the bodies of the loops: predict, scale, judge, compare, train
    lanes      what branches, lane by lane, before and between the loops
    profile    day and week        period     any other period, found by `search`
    almanac    month and year
    residual   variances, moving mean, level shift
    law        tails of errors     event      past events, the score
    bounds     what the plotted series were expected to be
    rules      what is not to be reported, or hardly to be learned
    paging     blocks and pages between the state and the work space
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.almanac import bring_almanac, foretell_almanac, keep_almanac, learn_almanac
from tidegate_kernels.bounds import BOUNDS, is_any_plotted, plot_bucket
from tidegate_kernels.counts import judge_count
from tidegate_kernels.event import set_score
from tidegate_kernels.lanes import begin_value, begin_zero, find_powers, next_empty, prune, weigh_rare
from tidegate_kernels.observe import (
    compare,
    judge,
    judge_single,
    predict,
    scale,
    train,
    train_presence,
    train_records,
)
from tidegate_kernels.paging import (
    AT_BLOCK,
    AT_BUCKET,
    AT_CELL,
    IS_DONE,
    PAGES_TAKEN,
    PLOTTED,
    RESUME_SIZE,
    begin_shapes,
    copy_page,
    give_profiles,
    keep_block,
    load_block,
    take_page,
)
from tidegate_kernels.period import foretell_periods, learn_periods
from tidegate_kernels.profile import bring_knots, keep_knots
from tidegate_kernels.registry import device, kernel
from tidegate_kernels.rules import finish_rules, hide, obey
from tidegate_kernels.state import (
    AGREEMENT,
    ALIVE,
    ALL_LANES,
    BLOCK_SIZE,
    COUNTS,
    IS_DATA,
    IS_LEARNED,
    IS_ON,
    IS_RARE,
    IS_SCORED,
    LANES,
    LOG_P,
    LOG_P_MULTI,
    LOG_P_SINGLE,
    LOWER,
    MONTH_PART,
    PAGE_SIZE,
    PAGELESS_FROM,
    PAGELESS_TO,
    PERIOD_PART,
    PRIOR_COUNT,
    PRIOR_SPREAD,
    PRUNE_BUCKETS,
    SCALE_BY_RECORDS,
    SCORE,
    SETTINGS_SIZE,
    SHAPE,
    SIDE,
    SPAN_MS,
    THRESHOLD,
    TYPICAL,
    UPPER,
    VALUE,
    WORK_SIZE,
    YEAR_PART,
    ZERO_FILL,
    Now,
    Rates,
    gap_of,
    rates_of,
)

__all__ = [
    "AGREEMENT",
    "BLOCK_SIZE",
    "BOUNDS",
    "COUNTS",
    "IS_DONE",
    "LANES",
    "PAGELESS_FROM",
    "PAGELESS_TO",
    "PAGES_TAKEN",
    "PAGE_SIZE",
    "PLOTTED",
    "PRIOR_COUNT",
    "PRIOR_SPREAD",
    "PRUNE_BUCKETS",
    "RESUME_SIZE",
    "SCALE_BY_RECORDS",
    "SETTINGS_SIZE",
    "SHAPE",
    "SIDE",
    "SPAN_MS",
    "THRESHOLD",
    "WORK_SIZE",
    "ZERO_FILL",
    "update_blocks",
]

Array = Any

FEW = 3  # lanes with a value up to which they are worked on one by one


@device
def begin_bucket(w: Array) -> None:
    """No lane has anything yet."""
    for lane in range(ALL_LANES):
        w[IS_ON + lane] = 0.0
        w[IS_DATA + lane] = 0.0
        w[IS_LEARNED + lane] = 0.0
        w[IS_SCORED + lane] = 0.0
        w[PERIOD_PART + lane] = 0.0
        w[MONTH_PART + lane] = 0.0
        w[YEAR_PART + lane] = 0.0


@device
def observe(
    w: Array, rates: Rates, now: Now, n_on: int, rules: Array, rule_s: Array, block: int, seconds: float
) -> None:
    """Predicts, judges and trains the lanes that have a value: all at once, or a few one by one.

    With ``rule_s`` not empty, as the custom rules say; then all at once.

    All bodies take the rates, needed or not: of a call with two arguments the compiler unrolls the
    loop before it looks inside, and makes scalar code of it (counts: 5800 ns a block instead of 1900).
    """
    has_rules = len(rule_s) > 0
    if n_on > FEW or has_rules:
        for lane in range(ALL_LANES):
            predict(w, lane, rates, now)
        for lane in range(ALL_LANES):
            scale(w, lane, rates, now)
        if has_rules:
            obey(w, rules, rule_s, block, seconds)
        for lane in range(ALL_LANES):
            judge_single(w, lane, rates)
        if rates.counts:
            for lane in range(ALL_LANES):
                judge_count(w, lane, rates)
        for lane in range(ALL_LANES):
            judge(w, lane, rates)
        if has_rules:
            hide(w)
        for lane in range(ALL_LANES):
            compare(w, lane, rates, now)
        for lane in range(ALL_LANES):
            if w[IS_RARE + lane] > 0.0:
                weigh_rare(w, lane, rates, now.clock)
        if rates.zero_fill:
            for lane in range(ALL_LANES):
                train_presence(w, lane, rates, now.clock)
        if rates.by_records:
            for lane in range(ALL_LANES):
                train_records(w, lane, rates)
        for lane in range(ALL_LANES):
            train(w, lane, rates, now)
        if has_rules:
            finish_rules(w, rates, now)
        return
    for lane in range(ALL_LANES):
        if w[IS_ON + lane] > 0.0:
            predict(w, lane, rates, now)
            scale(w, lane, rates, now)
            judge_single(w, lane, rates)
            if rates.counts:
                judge_count(w, lane, rates)
            judge(w, lane, rates)
            compare(w, lane, rates, now)
            weigh_rare(w, lane, rates, now.clock)
            if rates.zero_fill:
                train_presence(w, lane, rates, now.clock)
            if rates.by_records:
                train_records(w, lane, rates)
            train(w, lane, rates, now)


@device
def fill_zeros(w: Array, clock: float, window: float, pages: Array, page: int) -> None:
    """An empty bucket of a series is a zero."""
    for lane in range(ALL_LANES):
        if w[IS_DATA + lane] == 0.0:
            prune(w, lane, clock, window, pages, page)
        if w[ALIVE + lane] != 0.0 and w[IS_DATA + lane] == 0.0:
            begin_zero(w, lane, clock)


@device
def count_on(w: Array, clock: float) -> int:
    """How many lanes have a value to work on; those with a gap get their powers."""
    n_on = n_gaps = 0
    for lane in range(ALL_LANES):
        is_on = w[IS_ON + lane] > 0.0
        n_on += 1 if is_on else 0
        n_gaps += 1 if is_on and gap_of(w, lane, clock) != 1.0 else 0
    if n_gaps > 0:
        for lane in range(ALL_LANES):
            if w[IS_ON + lane] > 0.0:
                find_powers(w, lane, clock)
    return n_on


@device
def summary(w: Array) -> tuple[int, float]:
    """How many lanes were scored, and the least of their log-probabilities, at most 0."""
    n_scored, least = 0, 0.0
    for lane in range(ALL_LANES):
        is_scored = w[IS_SCORED + lane] > 0.0
        n_scored += 1 if is_scored else 0
        least = w[LOG_P + lane] if is_scored and w[LOG_P + lane] < least else least
    return n_scored, least


@kernel(
    "i64(in i64[], in i64[], in i64[], in i32[], in f64[], in f64[],"
    " in i64[], in f64[], in i64[], in f64[], in i64[], in i64[], in f64[],"
    " out f64[], out i64[], out f32[], in i64[], in f64[], out f64[], out f32[],"
    " i64, i64, i64, i64, in f64[], in u8[], in f64[], in u64[],"
    " out i64[], out i64[], out f64[], out f64[], out f64[], out f64[],"
    " out f64[], out f64[], out f64[], out f64[],"
    " out f64[], out i64[], out f64[], out i64[])"
)
def update_blocks(
    block_s: Array,
    first_s: Array,
    bucket_c: Array,
    series_c: Array,
    value_c: Array,
    count_c: Array,
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
    free_pages: Array,
    settings: Array,
    work: Array,
    scratch: Array,
    bucket_from: int,
    bucket_to: int,
    clock_offset: int,
    learn: int,
    completeness_b: Array,
    plot_s: Array,
    rules: Array,
    rule_s: Array,
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
    out_bounds: Array,
    resume: Array,
) -> int:
    """Runs the model over the closed buckets of many blocks of series; returns the number of results.

    Block ``block_s[i]`` has the cells ``first_s[i]:first_s[i + 1]``, in the order of time. ``resume`` is
    RESUME_SIZE zeros to begin. When the output arrays are full the call returns with IS_DONE 0: drain
    them and call again with everything else, ``work`` and ``scratch`` too, unchanged. They have room for
    LANES results at least. Blocks without a page (-1 in ``page_b``) take theirs from ``free_pages``, of which
    ``resume[PAGES_TAKEN]`` are gone then; those from PAGELESS_FROM to before PAGELESS_TO take none, and their
    series stay plain. With ``learn`` 0 nothing of all that changes, and no zeros are
    filled. ``completeness_b`` is the share of its usual records that each bucket of the call has; 1: final.

    ``plot_s`` is 1 for series whose bounds are asked for, and empty when there is none. Their blocks are
    looked at in every bucket, which changes no results and no state, and `plot_bucket` puts
    ``resume[PLOTTED]`` rows into ``out_bounds``, which then has room for LANES at least.

    ``rules`` is the table that `rules` describes, ``rule_s`` which of them every series is in the scope of;
    empty when there are none.
    """
    w = work
    rates = rates_of(settings)
    is_filling = rates.zero_fill and learn != 0
    # Interim results of several open buckets change a page of their own; of one, none.
    is_apart = learn == 0 and bucket_to - bucket_from > 1
    keeps_knots = learn != 0 or is_apart
    book = scratch if is_apart else pages
    n_out = n_plot = 0
    began = resume[AT_BLOCK]
    resume[IS_DONE] = 0
    for i in range(began, len(block_s)):
        block = block_s[i]
        cell, end = first_s[i], first_s[i + 1]
        at = bucket_from - 1
        if i == began and resume[AT_BUCKET] > 0:
            cell = resume[AT_CELL]
            at = resume[AT_BUCKET] - 2 + bucket_from
        else:
            load_block(w, state, block)
            if is_apart:
                copy_page(pages, page_b[block], scratch)
        page = page_b[block] * PAGE_SIZE if page_b[block] >= 0 else -1
        page = 0 if is_apart else page
        may_take = block < settings[PAGELESS_FROM] or block >= settings[PAGELESS_TO]
        day_knot = week_knot = month_knot = year_knot = -1  # of the knots in the work space
        is_plotted = is_any_plotted(plot_s, block)
        while True:
            upcoming = bucket_c[cell] if cell < end else bucket_to
            if is_filling:
                upcoming = min(upcoming, next_empty(w, at, bucket_to, clock_offset))
            bucket = at + 1 if is_plotted else upcoming
            if bucket >= bucket_to:
                break
            if n_out + LANES > len(out_bucket) or (is_plotted and n_plot + LANES > len(out_bounds) // BOUNDS):
                if day_knot >= 0 and keeps_knots:
                    keep_knots(w, book, page, day_knot, week_knot)
                if month_knot >= 0 and keeps_knots:
                    keep_almanac(w, book, page, month_knot, year_knot)
                if learn != 0:
                    keep_block(w, state, block)
                resume[AT_BLOCK] = i
                resume[AT_CELL] = cell
                resume[AT_BUCKET] = at - bucket_from + 2
                resume[PLOTTED] = n_plot
                return n_out
            at = bucket
            b = bucket - bucket_from
            clock = float(bucket - clock_offset)
            if page >= 0 and (day_knot_b[b] != day_knot or week_knot_b[b] != week_knot):
                if day_knot >= 0 and keeps_knots:
                    keep_knots(w, book, page, day_knot, week_knot)
                day_knot, week_knot = day_knot_b[b], week_knot_b[b]
                bring_knots(w, book, page, day_knot, week_knot)
            is_turned = month_knot_b[b] != month_knot or year_knot_b[b] != year_knot
            if page >= 0 and rates.is_long and is_turned:
                if month_knot >= 0 and keeps_knots:
                    keep_almanac(w, book, page, month_knot, year_knot)
                month_knot, year_knot = month_knot_b[b], year_knot_b[b]
                bring_almanac(w, book, page, month_knot, year_knot)
            changed = page if keeps_knots else -1
            begin_bucket(w)
            new_lanes = 0
            while cell < end and bucket_c[cell] == bucket:
                at_lane: Any = np.uint64(series_c[cell] % LANES)
                prune(w, at_lane, clock, rates.prune, book, changed)
                begun = begin_value(w, at_lane, clock, value_c[cell], count_c[cell], book, changed)
                new_lanes |= 1 << (series_c[cell] % LANES) if begun else 0
                cell += 1
            if new_lanes != 0 and learn != 0 and settings[AGREEMENT] > 0.0 and (page >= 0 or may_take):
                if page < 0:
                    page = take_page(page_b, block, free_pages, pages, resume)
                elif day_knot >= 0:
                    keep_knots(w, pages, page, day_knot, week_knot)
                day_knot, week_knot = day_knot_b[b], week_knot_b[b]
                begin_shapes(w, new_lanes, pages, page, settings, day_knot, day_weight_b[b])
                bring_knots(w, pages, page, day_knot, week_knot)
            if is_filling and bucket == upcoming:
                fill_zeros(w, clock, rates.prune, book, changed)
            n_on = count_on(w, clock)
            now = Now(clock, day_weight_b[b], week_weight_b[b], year_weight_b[b], completeness_b[b])
            if page >= 0 and (n_on > 0 or is_plotted):
                foretell_periods(w, book, page, bucket, clock, is_plotted)
            if page >= 0 and rates.is_long:
                foretell_almanac(w, rates, now)
            if n_on > 0:
                seconds = bucket * settings[SPAN_MS] / 1000.0
                observe(w, rates, now, n_on, rules, rule_s, block, seconds)
            if n_on > 0 and changed >= 0:
                learn_periods(w, book, page, rates, bucket, clock)
                if rates.is_long:
                    learn_almanac(w, rates, now)
            if is_plotted:
                n_plot = plot_bucket(w, block, plot_s, rates, now, bucket, out_bounds, n_plot)
            if n_on == 0:
                continue
            if (page >= 0 or may_take) and give_profiles(w) and page < 0 and learn != 0:
                page = take_page(page_b, block, free_pages, pages, resume)
            n_scored, least = summary(w)
            bucket_count[b] += n_scored
            bucket_min_log_p[b] = min(bucket_min_log_p[b], least)
            if least >= rates.log_threshold:
                continue
            for lane in range(ALL_LANES):
                if w[IS_SCORED + lane] > 0.0 and w[LOG_P + lane] < rates.log_threshold:
                    set_score(w, lane, rates, clock)
                    out_bucket[n_out] = bucket
                    out_series[n_out] = block * LANES + np.int64(lane)
                    out_actual[n_out] = w[VALUE + lane]
                    out_typical[n_out] = w[TYPICAL + lane]
                    out_lower[n_out] = w[LOWER + lane]
                    out_upper[n_out] = w[UPPER + lane]
                    out_log_p[n_out] = w[LOG_P + lane]
                    out_log_p_single[n_out] = w[LOG_P_SINGLE + lane]
                    out_log_p_multi[n_out] = w[LOG_P_MULTI + lane]
                    out_score[n_out] = w[SCORE + lane]
                    n_out += 1
        if day_knot >= 0 and keeps_knots:
            keep_knots(w, book, page, day_knot, week_knot)
        if month_knot >= 0 and keeps_knots:
            keep_almanac(w, book, page, month_knot, year_knot)
        if learn != 0:
            keep_block(w, state, block)
    resume[AT_BLOCK] = len(block_s)
    resume[AT_CELL] = 0
    resume[AT_BUCKET] = 0
    resume[PLOTTED] = n_plot
    resume[IS_DONE] = 1
    return n_out
