"""The law of the errors: how unlikely an error of some size is.

Student's t, with the degrees of freedom that the errors of the series show, recalibrated
beyond TAIL_START by the rate and the mean excess of its own past::

    s = -ln P(|T| > size)
    s <- -ln(rate) + (s - TAIL_START) / excess     beyond TAIL_START
    s <- s (-ln rate) / TAIL_START                 below, for s > 1; see observe.judge
"""

from __future__ import annotations

import math
from typing import Any

from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    RATE_SPREAD,
    SIZE_ABS,
    SIZE_SQUARE,
    TAIL_COUNT,
    TAIL_EXCESS,
    TAIL_EXCESSES,
    TAIL_RATE,
)

Array = Any

BODY = 1.6  # below, p > 0.1 and a quadratic replaces the tail
DEGREES = 8.0  # of the Student-t law of a mature series
HEAVIEST = 0.25  # at least 4 degrees: the recalibration does the rest
SIZE_CLIP = 6.0
SIZE_PRIOR = 60.0
TAIL_START = 3.0  # -ln p above which the tail is recalibrated
TAIL_CLIP = 4.0
TAIL_MEMORY = 4000.0
TAIL_PRIOR = 400.0
CLIPPED_MEAN = 0.9816843611112658  # 1 - exp(-TAIL_CLIP): the mean of a clipped exponential
RATE_EXACT = 0.049787068367863944  # exp(-TAIL_START): the rate if p is exact
RATE_LEAST, RATE_MOST = 0.01, 0.15
EXCESS_LEAST, EXCESS_MOST = 0.4, 2.5
EXCESS_MEMORY = 300.0
EXCESS_PRIOR = 20.0


@device
def log_tail(z: float, degrees: float) -> float:
    """Tail ln P(|T| > z) of Student's t scaled to unit variance, by Wallace's transform to a normal.

    ``degrees`` d > 2. Below BODY a quadratic of the normal tail. Past z = 1e6 it grows as ln z::

        z < BODY   -(0.8 z + 0.35 z^2)
        z > 1e6    z <- 1e6 (1 + ln(z / 1e6))
        else       ln P(|Z| > w),  w = (8 d + 1) / (8 d + 3) sqrt(d ln(1 + z^2 / (d - 2)))
    """
    if z < BODY:
        return -(0.8 * z + 0.35 * z * z)
    if z > 1e6:
        z = 1e6 * (1.0 + math.log(z * 1e-6))
    t2 = z * z / (degrees - 2.0)
    w2 = degrees * math.log(1.0 + t2)
    w2 *= (8.0 * degrees + 1.0) / (8.0 * degrees + 3.0) * ((8.0 * degrees + 1.0) / (8.0 * degrees + 3.0))
    return log_normal_tail(math.sqrt(w2))


@device
def log_normal_tail(w: float) -> float:
    """Tail ln P(|Z| > w) for w > 0 of the normal law: erfc, from w = 20 its series, exact to 1e-10.

    P ~ exp(-w^2 / 2) / (w sqrt(pi / 2)) (1 - 1 / w^2 + 3 / w^4 - 15 / w^6 + 105 / w^8)
    """
    if w < 20.0:
        return math.log(math.erfc(w * 0.7071067811865476))
    i = 1.0 / (w * w)
    series = 1.0 - i * (1.0 - 3.0 * i * (1.0 - 5.0 * i * (1.0 - 7.0 * i)))
    return -0.5 * w * w - math.log(w * 1.2533141373155003) + math.log(series)


@device
def training_weight(z: float, young: float) -> float:
    """sqrt(p / 1e-3) of the normal tail of |z|, at most 1, at least 0.01 + 0.49 young.

    Without a tail to compute 1 up to |z| = 3.29 and the least from 5.33 on.
    """
    if z <= 3.29:
        return 1.0
    least = 0.01 + 0.49 * young
    if z >= 5.33:
        return least
    return max(math.exp(0.5 * (log_normal_tail(z) + 6.907755278982137)), least)


@device
def inverse_degrees(mean_abs: float, mean_square: float, n: float) -> float:
    """1 / degrees of the Student law with this E|t| / sqrt(E[t^2]) (Geary's ratio; 0.798: normal).

    A rational fit within 10% for 3 to 30 degrees, shrunk towards 1 / DEGREES, and towards 1/2 for
    the young; within [0.02, HEAVIEST]. With d = max(0.7979 - E|t| / sqrt(E[t^2]), 0)::

        h = (n 4.4 d / (1 + 7 d) + SIZE_PRIOR / DEGREES) / (n + SIZE_PRIOR)    1 / DEGREES if E[t^2] is 0
        h <- h + (1/2 - h) 10 / (n + 30)
    """
    heavy = 1.0 / DEGREES
    if mean_square > 0.0:
        d = max(0.7979 - mean_abs / math.sqrt(mean_square), 0.0)
        heavy = (n * 4.4 * d / (1.0 + 7.0 * d) + SIZE_PRIOR * heavy) / (n + SIZE_PRIOR)
    heavy += (0.5 - heavy) * 10.0 / (n + 30.0)
    return min(max(heavy, 0.02), HEAVIEST)


@device
def train_size(state: Array, base: int, work: Array, n: float, size: float) -> None:
    """E|t| and E[t^2] with the gain max(1 / n, RATE_SPREAD), ``n`` the count before this value.

    Unweighted: the size is clipped at SIZE_CLIP instead, so that real tails are seen.
    """
    gain = max(1.0 / n, work[RATE_SPREAD])
    state[base + SIZE_ABS] += gain * (size - state[base + SIZE_ABS])
    state[base + SIZE_SQUARE] += gain * (size * size - state[base + SIZE_SQUARE])


@device
def recalibrated(state: Array, base: int, s: float) -> float:
    """-ln p after the tail learned by this series: rate and mean excess beyond TAIL_START.

    ::

        rate      (TAIL_PRIOR exp(-TAIL_START) + n TAIL_RATE) / (TAIL_PRIOR + n)  within [0.01, 0.15]
        excess    (EXCESS_PRIOR + m TAIL_EXCESS) / (EXCESS_PRIOR + m)             within [0.4, 2.5]

    n = TAIL_COUNT counts all s, m = TAIL_EXCESSES those beyond TAIL_START.
    """
    n = state[base + TAIL_COUNT]
    rate = (TAIL_PRIOR * RATE_EXACT + n * state[base + TAIL_RATE]) / (TAIL_PRIOR + n)
    rate = min(max(rate, RATE_LEAST), RATE_MOST)
    start = -math.log(rate)
    if s <= TAIL_START:
        return s * start / TAIL_START
    m = state[base + TAIL_EXCESSES]
    excess = (EXCESS_PRIOR + m * state[base + TAIL_EXCESS]) / (EXCESS_PRIOR + m)
    excess = min(max(excess, EXCESS_LEAST), EXCESS_MOST)
    beyond: float = start + (s - TAIL_START) / excess
    return beyond


@device
def learn_tail(state: Array, base: int, s: float) -> None:
    """Exceedance rate and clipped mean excess of s over TAIL_START, running means.

    Of the last TAIL_MEMORY s and EXCESS_MEMORY excesses, min(s - TAIL_START, TAIL_CLIP) / CLIPPED_MEAN.
    """
    n = min(state[base + TAIL_COUNT] + 1.0, TAIL_MEMORY)
    state[base + TAIL_COUNT] = n
    beyond = 1.0 if s > TAIL_START else 0.0
    state[base + TAIL_RATE] += (beyond - state[base + TAIL_RATE]) / n
    if s > TAIL_START:
        m = min(state[base + TAIL_EXCESSES] + 1.0, EXCESS_MEMORY)
        state[base + TAIL_EXCESSES] = m
        excess = min(s - TAIL_START, TAIL_CLIP) / CLIPPED_MEAN
        state[base + TAIL_EXCESS] += (excess - state[base + TAIL_EXCESS]) / m
