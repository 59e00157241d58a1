"""The law of counts: negative binomial, beside Student's, whichever foretold the series better.

A count has the mean and the dispersion of its series::

    mean         mu = F^2 + sd_e^2,    F the forecast of the root: the mean of a square
    dispersion   phi = max((n (1 + DISPERSION) + 10) / (n + 10), 1): variance over mean
    size         k = mu / max(phi - 1, 1e-4),    Poisson for phi = 1

Its tails are those of Peizer and Pratt (1968, "A normal approximation for binomial, F, beta and other
common, related tail probabilities", eq. 1.3): ln p within 0.05 + 2% for a size of 2 or more; below a size
of 1/2, bursts between long silences, they are rough (tests/test_counts.py). Counts come in steps, so
that the probability of a value itself is split between the tails: mid-p, as uniform as p of a
discrete law can be.
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.elementary import exp, log, log_normal_tail
from tidegate_kernels.intrinsics import root
from tidegate_kernels.law import BODY, LOG_TWO
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    COUNT,
    COUNT_ODDS,
    DEGREES,
    DISPERSION,
    FORECAST,
    IS_LEARNED,
    IS_SCORED,
    LOG_P_SINGLE,
    SD_E,
    SHARP,
    SIZE,
    WHOLE_VALUE,
    Rates,
    put,
    unroot,
)

Array = Any

LEAST_MEAN = 0.02
DISPERSION_COUNT = 10.0
DISPERSION_CLIP = 16.0
ODDS_KEEP = 1.0 - 1.0 / 300.0
ODDS_CLIP = 5.0  # of one value
ODDS_MOST = 5.0  # bursts are rare: the zeros between them must not make the law certain of itself
DENSEST = -0.7  # ln of the most that Student's law may give to one count, less ln sqrt(2 pi)
FAR = 40.0  # deviations that stand for a probability of 0


@device
def mean_count(w: Array, lane: int) -> float:
    """Mu, at least LEAST_MEAN."""
    mean: float = max(unroot(w[FORECAST + lane]) + w[SD_E + lane] * w[SD_E + lane], LEAST_MEAN)
    return mean


@device
def peizer_pratt_g(a: float) -> float:
    """(1 - a^2 + 2 a ln a) / (1 - a)^2; near 1 by its series; 1 for a = 0."""
    d = a - 1.0
    is_near = abs(d) < 0.03
    off = 1.0 if is_near else d
    exact = (1.0 - a * a + 2.0 * a * log(max(a, 1e-300))) / (off * off)
    series = 1.0 / 15.0 - d * (1.0 / 21.0 - d * (1.0 / 28.0 - d * (1.0 / 36.0)))
    series = d * (-1.0 / 3.0 + d * (1.0 / 6.0 - d * (0.1 - d * series)))
    return series if is_near else exact


@device
def count_deviation(x: float, mean: float, size: float) -> float:
    """The z with P(X <= x) = Phi(z) for the negative binomial law, -FAR for x < 0.

    With n = x + k trials of success q = mu / (k + mu), p = 1 - q, S = x + 1/2, T = k - 1/2::

        z = d sqrt((1 + p g(S / (n q)) + q g(T / (n p))) / ((n + 1/6) p q))
        d = x + 2/3 - (n + 1/3) q + 0.02 (q / (x + 1) - p / k + (q - 1/2) / (n + 1))
    """
    n = x + size
    p, q = size / (size + mean), mean / (size + mean)
    d = p * (x - mean) + 2.0 / 3.0 - q * (1.0 / 3.0)  # x - n q = p (x - mean)
    d += 0.02 * (q / (max(x, 0.0) + 1.0) - p / size + (q - 0.5) / (n + 1.0))
    g = p * peizer_pratt_g(max(x + 0.5, 0.0) / (n * q)) + q * peizer_pratt_g(max(size - 0.5, 0.0) / (n * p))
    z = d * root(max(1.0 + g, 0.0) / ((n + 1.0 / 6.0) * p * q))
    return z if x >= 0.0 else -FAR


@device
def log_two_sided(z: float) -> float:
    """Ln P(|Z| > z), 0 for z below 0; a quadratic below BODY."""
    near = -(0.8 * z + 0.35 * z * z)
    return (0.0 if z <= 0.0 else near) if z < BODY else log_normal_tail(max(z, BODY))


@device
def judge_count(w: Array, lane: int, rates: Rates) -> None:
    """The mixture p of a count, and how sharply it is odd; COUNT_ODDS then learn from it.

    With z, z' the deviations of P(X <= x) and P(X <= x - 1), z'' = max(z', z - 5/2)::

        p_count    |z''| mid-p: the mean of the two-sided p of z and z'
        ln f       -(z + z'')^2 / 8 + ln(z - z'')             what this law gave to the value
        ln f_t     -w^2 / 2 - ln(2 sd_e sqrt(x + 1/4)),       what Student's did (w: see `law.log_tail`)
                   at most DENSEST: no density is certain of a whole number
        p          p_count / (1 + exp(-odds)) + p_t / (1 + exp(odds))
        odds       <- ODDS_KEEP odds + clip(ln f - ln f_t)
    """
    x, odds = max(w[WHOLE_VALUE + lane], 0.0), w[COUNT_ODDS + lane]
    n, mean = w[COUNT + lane], mean_count(w, lane)
    dispersion = (n * (1.0 + w[DISPERSION + lane]) + DISPERSION_COUNT) / (n + DISPERSION_COUNT)
    size = mean / max(dispersion - 1.0, 1e-4)
    z, below = count_deviation(x, mean, size), count_deviation(x - 1.0, mean, size)
    is_high = z + max(below, z - 2.5) > 0.0
    near, far = log_two_sided(below if is_high else -z), log_two_sided(z if is_high else -below)
    p_count = near + log(0.5 * (1.0 + exp(far - near)))
    below = max(below, z - 2.5)
    against = exp(-odds)
    share = 1.0 / (1.0 + against)
    p_student = w[LOG_P_SINGLE + lane]
    most = max(p_count, p_student)
    p = most + log(share * exp(p_count - most) + against * share * exp(p_student - most))
    d, t = w[DEGREES + lane], min(w[SIZE + lane], 1e75)
    stretch = (8.0 * d + 1.0) / (8.0 * d + 3.0)
    student = -0.5 * stretch * stretch * d * log(1.0 + t * t / (d - 2.0))
    student -= log(w[SD_E + lane]) + LOG_TWO + 0.5 * log(x + 0.25)
    own = -0.125 * (z + below) * (z + below) + log(max(z - below, 1e-9))
    gained = min(max(own - min(student, DENSEST), -ODDS_CLIP), ODDS_CLIP)
    is_on = w[IS_SCORED + lane] > 0.0 and w[IS_LEARNED + lane] > 0.0
    put(w, COUNT_ODDS + lane, is_on, min(max(odds * ODDS_KEEP + gained, -ODDS_MOST), ODDS_MOST))
    w[LOG_P_SINGLE + lane] = min(p, 0.0)
    w[SHARP + lane] = min(w[SHARP + lane], 0.5 * abs(z + below))


@device
def train_count(w: Array, lane: int, rates: Rates, is_on: bool, n: float, weight: float) -> None:
    """DISPERSION, a running mean like the variances: of (x - mu)^2 / mu - 1, clipped.

    The square is at most DISPERSION_CLIP times what is usual.
    """
    mean = mean_count(w, lane)
    off = w[WHOLE_VALUE + lane] - mean
    known = w[DISPERSION + lane]
    square = min(off / mean * off, DISPERSION_CLIP * max(1.0 + known, 1.0))
    gain = max(1.0 / n, rates.spread) * weight
    put(w, DISPERSION + lane, is_on, known + gain * (square - 1.0 - known))
