"""The law of the errors: how unlikely an error of some size is.

Student's t, with the degrees of freedom that the errors of the series show, recalibrated by how
often the series came to such an s before::

    s = -ln P(|T| > size)
    s <- v(s), broken at the TAIL_LEVELS: there -ln of the rate at which past s lay beyond
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.elementary import exp, log, log_normal_tail
from tidegate_kernels.intrinsics import root
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    ALL_LANES,
    COUNT,
    HABIT,
    SHARP,
    SIZE,
    SIZE_ABS,
    SIZE_SQUARE,
    TAIL_COUNT,
    TAIL_RATE,
    TAIL_RUN,
    TAIL_SHARE,
    Rates,
    put,
)

Array = Any
TWICE, THRICE, FOURFOLD = 2 * ALL_LANES, 3 * ALL_LANES, 4 * ALL_LANES

BODY = 1.6  # below, p > 0.1 and a quadratic replaces the tail
DEGREES = 8.0  # of the Student-t law of a mature series
LEAST_DEGREES, MOST_DEGREES = 4.0, 50.0  # the recalibration does the rest
LOG_TWO = 0.6931471805599453
LARGEST = 1e150  # size, so that its square stays finite
SIZE_CLIP = 6.0
SIZE_PRIOR = 60.0
TAIL_LEVELS = (3.0, 5.0, 8.0, 13.0, 21.0)  # -ln p where the tail is recalibrated
TAIL_START = TAIL_LEVELS[0]
TAIL_PRIOR = 300.0  # values that had exact p
TAIL_PRIORS = (
    TAIL_PRIOR * 0.049787068367863944,
    TAIL_PRIOR * 0.006737946999085467,
    TAIL_PRIOR * 0.00033546262790251185,
    TAIL_PRIOR * 2.2603294069810542e-06,
    TAIL_PRIOR * 7.582560427911907e-10,
)
START_LEAST, START_MOST = 1.9, 4.6  # -ln of the rate beyond TAIL_START
STEP_LEAST = 0.02  # by which recalibrated s rises with s at least; at most by 1,
STEP_SECOND = 1.2  # and by this between the first two levels, where there is much to learn from
RUN_KEEP = 0.7
HABITUAL = 0.1  # share of odd values up to which they are kept out of the training
HABIT_YIELD = 10.0
HABIT_MEMORY = 1000.0
WEIGHT_BODY = 3.29  # |z| up to which a value trains in full


@device
def log_tail(z: float, degrees: float) -> float:
    """Tail ln P(|T| > z) of Student's t scaled to unit variance, by Wallace's transform to a normal.

    ``degrees`` d > 2. Below BODY a quadratic of the normal tail::

        z < BODY   -(0.8 z + 0.35 z^2)
        else       ln P(|Z| > w),  w = (8 d + 1) / (8 d + 3) sqrt(d ln(1 + z^2 / (d - 2)))
    """
    body = -(0.8 * z + 0.35 * z * z)
    far = min(z, LARGEST)
    # One division for two: they are what this costs.
    both = 1.0 / ((degrees - 2.0) * (8.0 * degrees + 3.0))
    stretch = (8.0 * degrees + 1.0) * (degrees - 2.0) * both
    w = stretch * root(degrees * log(1.0 + far * far * ((8.0 * degrees + 3.0) * both)))
    tail = log_normal_tail(w)
    return body if z < BODY else tail


@device
def training_weight(z: float, young: float, habit: float) -> float:
    """sqrt(p / 1e-3) of the normal tail of |z|, at most 1, at least the least.

    The least is 0.01 + 0.49 young + HABIT_YIELD max(habit - HABITUAL, 0), at most 1: what comes more often
    than once in ten values is no incident. Without a tail to compute 1 up to |z| = WEIGHT_BODY and
    the least from 5.33 on.
    """
    if z <= WEIGHT_BODY:
        return 1.0
    least = min(0.01 + 0.49 * young + HABIT_YIELD * max(habit - HABITUAL, 0.0), 1.0)
    if z >= 5.33:
        return least
    return max(exp(0.5 * (log_normal_tail(z) + 6.907755278982137)), least)


@device
def degrees_of(w: Array, lane: int) -> float:
    """Degrees of the Student law with this E|t| / sqrt(E[t^2]) (Geary's ratio; 0.798: normal).

    A rational fit within 10% for 3 to 30 degrees, shrunk towards DEGREES, and towards 2 for the
    young; 1 / h within [LEAST_DEGREES, MOST_DEGREES]. With d = max(0.7979 - E|t| / sqrt(E[t^2]), 0)::

        h = (n 4.4 d / (1 + 7 d) + SIZE_PRIOR / DEGREES) / (n + SIZE_PRIOR)    1 / DEGREES if E[t^2] is 0
        h <- h + (1/2 - h) 10 / (n + 30)
    """
    n, mean_abs, mean_square = w[COUNT + lane], w[SIZE_ABS + lane], w[SIZE_SQUARE + lane]
    d = max(0.7979 - mean_abs / root(mean_square), 0.0)
    # h = a / b, then h <- (h (n + 20) + 5) / (n + 30), as one division.
    a = n * 4.4 * d + SIZE_PRIOR / DEGREES * (1.0 + 7.0 * d)
    b = (1.0 + 7.0 * d) * (n + SIZE_PRIOR)
    a = a if mean_square > 0.0 else 1.0
    b = b if mean_square > 0.0 else DEGREES
    degrees: float = b * (n + 30.0) / (a * (n + 20.0) + 5.0 * b)
    return min(max(degrees, LEAST_DEGREES), MOST_DEGREES)


@device
def train_size(w: Array, lane: int, rates: Rates, is_on: bool) -> None:
    """E|t| and E[t^2] with the gain TAIL_SHARE max(1 / n, RATE_SPREAD), n the count before this value.

    The size is clipped at SIZE_CLIP instead of weighed, so that real tails are seen; a run counts as
    it does in `learn_tail`.
    """
    size = min(w[SIZE + lane], SIZE_CLIP)
    gain = w[TAIL_SHARE + lane] * max(1.0 / w[COUNT + lane], rates.spread)
    put(w, SIZE_ABS + lane, is_on, w[SIZE_ABS + lane] + gain * (size - w[SIZE_ABS + lane]))
    square = w[SIZE_SQUARE + lane]
    put(w, SIZE_SQUARE + lane, is_on, square + gain * (size * size - square))


@device
def between(s: float, v: float, low: float, start: float, high: float, end: float) -> float:
    """v, or from the level ``start`` on the line from (start, low) to (end, high)."""
    line = low + (s - start) * ((high - low) / (end - start))
    return line if s > start else v


@device
def recalibrated(w: Array, lane: int, s: float) -> float:
    """-ln p after what this series showed: v(s), linear between (0, 0) and the (TAIL_LEVELS, v_k).

    v_k is -ln of the rate at which past s lay beyond the level, shrunk to that of exact p::

        rate_k    (TAIL_PRIOR exp(-level_k) + n TAIL_RATE_k) / (TAIL_PRIOR + n),    n = TAIL_COUNT
        v_1       within [START_LEAST, START_MOST]
        v_k       above v_(k-1) by STEP_LEAST to 1 (v_2: STEP_SECOND) times what the level is; after
                  the last 1

    So a far tail may be heavier than that of the law, never lighter: what never came proves nothing.
    """
    n = w[TAIL_COUNT + lane]
    whole = log(TAIL_PRIOR + n)
    v1 = whole - log(TAIL_PRIORS[0] + n * w[TAIL_RATE + lane])
    v2 = whole - log(TAIL_PRIORS[1] + n * w[TAIL_RATE + ALL_LANES + lane])
    v3 = whole - log(TAIL_PRIORS[2] + n * w[TAIL_RATE + TWICE + lane])
    v4 = whole - log(TAIL_PRIORS[3] + n * w[TAIL_RATE + THRICE + lane])
    v5 = whole - log(TAIL_PRIORS[4] + n * w[TAIL_RATE + FOURFOLD + lane])
    v1 = min(max(v1, START_LEAST), START_MOST)
    v2 = min(max(v2, v1 + 2.0 * STEP_LEAST), v1 + 2.0 * STEP_SECOND)
    v3 = min(max(v3, v2 + 3.0 * STEP_LEAST), v2 + 3.0)
    v4 = min(max(v4, v3 + 5.0 * STEP_LEAST), v3 + 5.0)
    v5 = min(max(v5, v4 + 8.0 * STEP_LEAST), v4 + 8.0)
    v = s * (v1 * (1.0 / TAIL_START))
    v = between(s, v, v1, 3.0, v2, 5.0)
    v = between(s, v, v2, 5.0, v3, 8.0)
    v = between(s, v, v3, 8.0, v4, 13.0)
    v = between(s, v, v4, 13.0, v5, 21.0)
    return v5 + (s - 21.0) if s > 21.0 else v


@device
def learn_tail(w: Array, lane: int, rates: Rates, is_on: bool, s: float) -> None:
    """How often s lies beyond each level: running means over the last so many values.

    A run of s beyond the first level is one event: its k-th s counts RUN_KEEP^(k - 1), so that a long
    incident does not make the series blind to the next. TAIL_SHARE says how much this one did.
    """
    n = min(w[TAIL_COUNT + lane] + 1.0, rates.tail)
    is_beyond = s > TAIL_START
    share = w[TAIL_RUN + lane] if is_beyond else 1.0
    gain = share / n
    put(w, TAIL_COUNT + lane, is_on, n)
    put(w, TAIL_RUN + lane, is_on, share * RUN_KEEP if is_beyond else 1.0)
    w[TAIL_SHARE + lane] = share if is_on else 1.0
    learn_rate(w, TAIL_RATE + lane, is_on, gain, s > 3.0)
    learn_rate(w, TAIL_RATE + ALL_LANES + lane, is_on, gain, s > 5.0)
    learn_rate(w, TAIL_RATE + TWICE + lane, is_on, gain, s > 8.0)
    learn_rate(w, TAIL_RATE + THRICE + lane, is_on, gain, s > 13.0)
    learn_rate(w, TAIL_RATE + FOURFOLD + lane, is_on, gain, s > 21.0)


@device
def learn_rate(w: Array, at: int, is_on: bool, gain: float, is_beyond: bool) -> None:
    """A running mean of what is 1 or 0."""
    put(w, at, is_on, w[at] + gain * ((1.0 if is_beyond else 0.0) - w[at]))


@device
def train_habit(w: Array, lane: int, is_on: bool) -> None:
    """HABIT <- HABIT + (1 if SHARP > WEIGHT_BODY - HABIT) / min(n + 10, HABIT_MEMORY), n the count before."""
    gain = 1.0 / min(w[COUNT + lane] + 10.0, HABIT_MEMORY)
    learn_rate(w, HABIT + lane, is_on, gain, w[SHARP + lane] > WEIGHT_BODY)
