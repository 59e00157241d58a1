"""Population analysis: members are compared with what all members of their attribute do.

Attribute by attribute, each in the order of time, a bucket at a time: the members of a bucket are scored
by the law as it was before (`crowdlaw`), then it is trained with all of them (`crowdlevel`). `members`
says how much each counts, and joins what a member's attributes say.
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.crowd import (
    ALIVE,
    EVENT_MAX,
    EVENT_START,
    FIRST,
    HALF,
    LAST,
    LEVEL,
    MASS,
    SCALE,
    SLOT,
    SLOTS,
    STATE_SIZE,
    fade,
    pace_of,
    scaled,
)
from tidegate_kernels.crowdlaw import (
    DOUBT,
    FORECAST,
    HIGHEST,
    LEAST_WEIGHT,
    LOWER,
    LOWER_BOUND,
    LOWEST,
    STRETCH,
    TYPICAL,
    UPPER,
    UPPER_BOUND,
    build_law,
    is_known,
    judged,
    log_beyond,
    training_weight,
)
from tidegate_kernels.crowdlevel import (
    LEVEL_MEMBERS,
    begin,
    carried,
    clamped,
    rebase,
    season,
    train_law,
    train_level,
    use_of_day,
)
from tidegate_kernels.elementary import exp, log
from tidegate_kernels.event import LOG_KEEP, absolute_score, relative_score
from tidegate_kernels.members import CAUSE, UNSCORED
from tidegate_kernels.observe import completed
from tidegate_kernels.registry import device, kernel
from tidegate_kernels.state import TINY

Array = Any

SIDE, SPAN_MS, PRUNE_BUCKETS, COUNTS, GROWS = range(5)
SETTINGS_SIZE = 5
WINDOW = 40.0  # buckets of one event


@device
def past_event(s: Array, at: int) -> float:
    """The geometric mean of the largest magnitudes of past windows; TINY without any.

    Not the mean: where members differ by powers of ten one event would hide all that come after it.
    """
    total, count = 0.0, 0.0
    for k in range(SLOTS):
        if s[at + SLOT + k] > TINY:
            total += log(s[at + SLOT + k])
            count += 1.0
    return exp(total / count) if count > 0.0 else TINY


@device
def remember_event(s: Array, at: int, magnitude: float, clock: float, days: float) -> None:
    """The largest magnitude of WINDOW buckets; after those it enters the smallest slot, if larger.

    The slots fade by 0.5% per day. ``days`` is the days in a bucket.
    """
    since = clock - s[at + EVENT_START]
    if since > WINDOW:
        keep = exp(min(since * days, 3650.0) * LOG_KEEP)
        least = SLOT
        for k in range(SLOTS):
            s[at + SLOT + k] *= keep
            if s[at + SLOT + k] < s[at + least]:
                least = SLOT + k
        s[at + least] = max(s[at + least], s[at + EVENT_MAX])
        s[at + EVENT_MAX] = 0.0
        s[at + EVENT_START] = clock
    s[at + EVENT_MAX] = max(s[at + EVENT_MAX], magnitude)


@device
def filled(law: Array, value_i: Array, start: int, stop: int) -> float:
    """The share of what is typical that the middle member of an open bucket has so far, at most 1.

    How many records the bucket has says less: one member with many would make all others look low. Found
    by halving, as the middle one of so many.
    """
    typical = max(law[TYPICAL], TINY)
    members = 0
    for i in range(start, stop):
        members += value_i[i] == value_i[i]
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        below = 0
        for i in range(start, stop):
            below += value_i[i] <= middle * typical
        if 2 * below >= members:
            high = middle
        else:
            low = middle
    return high


@device
def leave_unscored(
    s: Array, at: int, start: int, stop: int, forecast: float, value_i: Array, share_i: Array, place_i: Array,
    error_i: Array, weight_i: Array, log_p_c: Array,
) -> None:  # fmt: skip
    """The errors and weights of the members of a bucket without a law."""
    for i in range(start, stop):
        is_value = value_i[i] == value_i[i] and s[at + ALIVE] > 0.0
        error_i[i] = scaled(clamped(value_i[i]), s[at + SCALE]) - forecast if is_value else 0.0
        weight_i[i] = share_i[i] if is_value else 0.0
        log_p_c[place_i[i]] = UNSCORED


@device
def score_bucket(
    s: Array, at: int, law: Array, start: int, stop: int, side: float, completeness: float, trusted: float,
    value_i: Array, share_i: Array, place_i: Array, error_i: Array, weight_i: Array, log_p_c: Array,
    score_c: Array, typical_c: Array, lower_c: Array, upper_c: Array, scored: Array,
) -> float:  # fmt: skip
    """Scores the members of a bucket, and says what they train as; returns their largest magnitude.

    An error counts sqrt(b / (b + YOUNG_SPREAD)) of itself less DOUBT, b the buckets before::

        score    trusted min(absolute(p), relative(magnitude / that of past events))

    the magnitude being |x - typical|, on the side asked for, and trusted less than 1 for two days.
    """
    scale, total, past = s[at + SCALE], s[at + MASS], past_event(s, at)
    typical, largest = law[TYPICAL], 0.0
    for i in range(start, stop):
        c = place_i[i]
        if value_i[i] != value_i[i]:
            log_p_c[c] = UNSCORED
            error_i[i] = 0.0
            weight_i[i] = 0.0
            continue
        x = clamped(value_i[i])
        x = completed(x, typical, completeness)
        e = scaled(x, scale) - law[FORECAST]
        sure = max(e - law[DOUBT], 0.0) if e > 0.0 else min(e + law[DOUBT], 0.0)
        above = log_beyond(law, UPPER, HALF - 0.5 + sure * law[STRETCH], total)
        below = log_beyond(law, LOWER, HALF - 0.5 - sure * law[STRETCH], total)
        error_i[i] = min(max(e, law[LOWEST]), law[HIGHEST])
        weight_i[i] = share_i[i] * training_weight(judged(above, below, 0.0), law[LEAST_WEIGHT])
        magnitude = abs(x - typical) if side == 0.0 else max(side * (x - typical), 0.0)
        largest = max(largest, magnitude)
        log_p = judged(above, below, side)
        log_p_c[c] = log_p
        scored[0] += 1
        if log_p <= CAUSE:
            score_c[c] = trusted * min(absolute_score(-log_p), relative_score(magnitude / past))
            typical_c[c] = typical
            lower_c[c] = law[LOWER_BOUND]
            upper_c[c] = law[UPPER_BOUND]
    return largest


@kernel(
    "i64(in i64[], in i64[], in i64[], in f64[], in f64[], in i64[], in i64[], in f64[], in f64[], i64, i64,"
    " i64, in f64[], out f64[], out f64[], out f64[], out f64[], out f64[], out f64[], out f64[], out f64[],"
    " out f64[], out f64[], out i64[])"
)
def score_members(
    attribute_g: Array,
    first_g: Array,
    bucket_i: Array,
    value_i: Array,
    share_i: Array,
    place_i: Array,
    day_knot_b: Array,
    day_weight_b: Array,
    completeness_b: Array,
    bucket_from: int,
    clock_offset: int,
    learn: int,
    settings: Array,
    state: Array,
    copy: Array,
    law: Array,
    error_i: Array,
    weight_i: Array,
    log_p_c: Array,
    score_c: Array,
    typical_c: Array,
    lower_c: Array,
    upper_c: Array,
    scored: Array,
) -> int:
    """Scores, and with ``learn`` then trains, attribute by attribute; returns how many values it scored.

    Group g has the values [first_g[g], first_g[g + 1]), bucket by bucket, of attribute_g[g]; NaN is none.
    ``share_i`` is how much a member counts. The result of value i goes to ``place_i[i]`` of the columns
    ending in _c: ln p (UNSCORED without), and up to CAUSE the others. ``error_i``, ``weight_i``,
    ``law`` and ``scored`` are work space; without ``learn`` the states stay, and ``copy`` is worked on.
    """
    pace = pace_of(settings[SPAN_MS])
    scored[0] = 0
    for g in range(len(attribute_g)):
        s, at = state, attribute_g[g] * STATE_SIZE
        if learn == 0:
            for k in range(STATE_SIZE):
                copy[k] = state[at + k]
            s, at = copy, 0
        i = first_g[g]
        while i < first_g[g + 1]:
            start, bucket = i, bucket_i[i]
            while i < first_g[g + 1] and bucket_i[i] == bucket:
                i += 1
            clock = float(bucket - clock_offset)
            gap = clock - s[at + LAST]
            if learn != 0:
                rebase(s, at, value_i, start, i)
            fade(s, at, clock, pace, settings[PRUNE_BUCKETS])
            if learn != 0 and s[at + ALIVE] == 0.0:
                begin(s, at, value_i, start, i, clock)
            knot, phase = day_knot_b[bucket - bucket_from], day_weight_b[bucket - bucket_from]
            use = use_of_day(s, at, clock, pace)
            carry = carried(s, at, max(gap, 1.0))
            forecast = s[at + LEVEL] + use * season(s, at, knot, phase) + carry
            largest = 0.0
            if is_known(s, at):
                build_law(s, at, law, forecast, clock, pace, settings[COUNTS])
                completeness = 1.0
                if learn == 0 and settings[GROWS] > 0.0:
                    completeness = min(completeness_b[bucket - bucket_from], filled(law, value_i, start, i))
                largest = score_bucket(
                    s, at, law, start, i, settings[SIDE],
                    completeness,
                    min((1.0 + (clock - s[at + FIRST]) * pace.days) * (1.0 / 3.0), 1.0),
                    value_i, share_i, place_i, error_i, weight_i, log_p_c, score_c, typical_c, lower_c,
                    upper_c, scored,
                )  # fmt: skip
            else:
                leave_unscored(
                    s, at, start, i, forecast, value_i, share_i, place_i, error_i, weight_i, log_p_c
                )
            if learn == 0 or s[at + ALIVE] == 0.0:
                continue
            mean, mass = train_law(s, at, start, i, error_i, weight_i)
            if mass > 0.0:
                rate = mass / (mass + LEVEL_MEMBERS)
                train_level(s, at, mean + carry, mean, rate, pace, knot, phase, use)
                remember_event(s, at, largest, clock, pace.days)
    n_scored: int = scored[0]
    return n_scored
