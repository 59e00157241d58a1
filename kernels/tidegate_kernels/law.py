"""The law of the errors: how unlikely an error of some size is.

Student's t, with the degrees of freedom that the errors of the series show, recalibrated
beyond TAIL_START by the rate and the mean excess of its own past::

    s = -ln P(|T| > size)
    s <- -ln(rate) + (s - TAIL_START) / excess     beyond TAIL_START
    s <- s (-ln rate) / TAIL_START                 below, for s > 1; see observe.judge
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.elementary import exp, log, log_normal_tail
from tidegate_kernels.intrinsics import root
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    COUNT,
    SIZE,
    SIZE_ABS,
    SIZE_SQUARE,
    TAIL_COUNT,
    TAIL_EXCESS,
    TAIL_EXCESSES,
    TAIL_RATE,
    Rates,
    put,
)

Array = Any

BODY = 1.6  # below, p > 0.1 and a quadratic replaces the tail
DEGREES = 8.0  # of the Student-t law of a mature series
LEAST_DEGREES, MOST_DEGREES = 4.0, 50.0  # the recalibration does the rest
LARGEST = 1e150  # size, so that its square stays finite
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
def training_weight(z: float, young: float) -> float:
    """sqrt(p / 1e-3) of the normal tail of |z|, at most 1, at least 0.01 + 0.49 young.

    Without a tail to compute 1 up to |z| = WEIGHT_BODY and the least from 5.33 on.
    """
    if z <= WEIGHT_BODY:
        return 1.0
    least = 0.01 + 0.49 * young
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
    """E|t| and E[t^2] with the gain max(1 / n, RATE_SPREAD), n the count before this value.

    Unweighted: the size is clipped at SIZE_CLIP instead, so that real tails are seen.
    """
    size = min(w[SIZE + lane], SIZE_CLIP)
    gain = max(1.0 / w[COUNT + lane], rates.spread)
    put(w, SIZE_ABS + lane, is_on, w[SIZE_ABS + lane] + gain * (size - w[SIZE_ABS + lane]))
    square = w[SIZE_SQUARE + lane]
    put(w, SIZE_SQUARE + lane, is_on, square + gain * (size * size - square))


@device
def recalibrated(w: Array, lane: int, s: float) -> float:
    """-ln p after the tail learned by this series: rate and mean excess beyond TAIL_START.

    ::

        rate      (TAIL_PRIOR exp(-TAIL_START) + n TAIL_RATE) / (TAIL_PRIOR + n)  within [0.01, 0.15]
        excess    (EXCESS_PRIOR + m TAIL_EXCESS) / (EXCESS_PRIOR + m)             within [0.4, 2.5]

    n = TAIL_COUNT counts all s, m = TAIL_EXCESSES those beyond TAIL_START.
    """
    n, m = w[TAIL_COUNT + lane], w[TAIL_EXCESSES + lane]
    rate = (TAIL_PRIOR * RATE_EXACT + n * w[TAIL_RATE + lane]) / (TAIL_PRIOR + n)
    start = -log(min(max(rate, RATE_LEAST), RATE_MOST))
    per_excess = (EXCESS_PRIOR + m) / (EXCESS_PRIOR + m * w[TAIL_EXCESS + lane])
    per_excess = min(max(per_excess, 1.0 / EXCESS_MOST), 1.0 / EXCESS_LEAST)
    beyond = start + (s - TAIL_START) * per_excess
    return s * start * (1.0 / TAIL_START) if s <= TAIL_START else beyond


@device
def learn_tail(w: Array, lane: int, is_on: bool, s: float) -> None:
    """Exceedance rate and clipped mean excess of s over TAIL_START, running means.

    Of the last TAIL_MEMORY s and EXCESS_MEMORY excesses, min(s - TAIL_START, TAIL_CLIP) / CLIPPED_MEAN.
    """
    n = min(w[TAIL_COUNT + lane] + 1.0, TAIL_MEMORY)
    is_beyond = s > TAIL_START
    rate = w[TAIL_RATE + lane]
    put(w, TAIL_COUNT + lane, is_on, n)
    put(w, TAIL_RATE + lane, is_on, rate + ((1.0 if is_beyond else 0.0) - rate) / n)
    m = min(w[TAIL_EXCESSES + lane] + 1.0, EXCESS_MEMORY)
    excess = min(s - TAIL_START, TAIL_CLIP) * (1.0 / CLIPPED_MEAN)
    mean = w[TAIL_EXCESS + lane]
    put(w, TAIL_EXCESSES + lane, is_on and is_beyond, m)
    put(w, TAIL_EXCESS + lane, is_on and is_beyond, mean + (excess - mean) / m)
