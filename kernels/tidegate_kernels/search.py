"""The search for a period: the autocorrelation of a ring of RING values, its peaks and their multiples."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.elementary import floor
from tidegate_kernels.registry import device
from tidegate_kernels.state import LAG, LAGS, RING, SLOT

Array = Any

MOST_LAG = 21  # the ring holds six of the longest
NEAR_LAGS = 24  # computed in any case; the others only where a lag may be a period
PEAK = 0.36  # autocorrelation that a period has at least,
RISE = 0.22  # by how much it rises from the trough before,
REPEAT = 0.35  # and what of it is left at each multiple,
MEAN_REPEAT = 0.6  # and at all of them on average
MULTIPLES = 12  # that are looked at; up to the fifth each rises as the first
SURE = 0.2  # bucket by the largest multiple: how far a whole number may be


@device
def search(w: Array, span: float) -> float:
    """The period, in buckets, of the ring at SLOT, whose slots have ``span`` buckets; 0 if there is none.

    With c the autocorrelation, the peak at lag l, at p when refined over its multiples (`peak_near`)::

        p         sum(k at_k) / sum(k^2),  at_k the peak nearest to k p with the p so far
        PERIOD    p span; with slots of a bucket the next whole number within SURE / k, k the last multiple
    """
    centre(w)
    correlate(w, 0, NEAR_LAGS)
    lag = first_lag(w)
    if lag == 0:
        return 0.0
    correlate(w, NEAR_LAGS, LAGS)
    top = w[LAG + np.uint64(lag)]
    p, total, moments, seen, k = float(lag), 0.0, 0.0, 0.0, 1
    while k <= MULTIPLES and p * k + 0.5 < LAGS - 7:
        at = highest_near(w, int(p * k + 0.5))
        height = w[LAG + np.uint64(at)]
        rise = height - w[LAG + np.uint64(int(p * (k - 0.5) + 0.5))]
        if height < REPEAT * top or rise < (RISE if k <= 5 else 0.5 * RISE):
            return 0.0
        total += k * peak_near(w, at, p)
        moments += k * k
        seen += height
        p = total / moments
        k += 1
    if seen < MEAN_REPEAT * top * (k - 1):
        return 0.0
    period = p * span
    whole = floor(period + 0.5)
    is_whole = span == 1.0 and abs(period - whole) <= SURE / (k - 1)
    return max(whole if is_whole else period, 2.0)


@device
def centre(w: Array) -> None:
    """Takes the mean off the ring."""
    mean = 0.0
    for k in range(RING):
        mean += w[SLOT + np.uint64(k)]
    mean /= RING
    for k in range(RING):
        w[SLOT + np.uint64(k)] -= mean


@device
def correlate(w: Array, first: int, last: int) -> None:
    """Autocorrelations c_l = sum(x_i x_(i-l)) / sum(x_i^2) RING / (RING - l), first <= l < last.

    All 0 for a ring of zeros. ``last - first`` is a multiple of 4: four sums at once take the time of one.
    """
    whole = 0.0
    for i in range(RING):
        whole += w[SLOT + np.uint64(i)] * w[SLOT + np.uint64(i)]
    for lag in range(first, last, 4):
        a = b = c = d = 0.0
        for i in range(lag, RING):
            x = w[SLOT + np.uint64(i)]
            a += x * w[SLOT + np.uint64(i - lag)]
            b += x * w[SLOT + np.uint64(i - lag - 1)] if i > lag else 0.0
            c += x * w[SLOT + np.uint64(i - lag - 2)] if i > lag + 1 else 0.0
            d += x * w[SLOT + np.uint64(i - lag - 3)] if i > lag + 2 else 0.0
        totals = (a, b, c, d)
        for k in range(4):
            scale = RING / (whole * (RING - lag - k)) if whole > 1e-30 else 0.0
            w[LAG + np.uint64(lag + k)] = totals[k] * scale


@device
def first_lag(w: Array) -> int:
    """The shortest lag at a peak that is clear: a longer one counts only when it is clearer by far; or 0."""
    found, top, low = 0, PEAK, 1.0
    for lag in range(2, MOST_LAG + 1):
        before, here = w[LAG + np.uint64(lag - 1)], w[LAG + np.uint64(lag)]
        low = min(low, before)
        is_peak = here >= before and here > w[LAG + np.uint64(lag + 1)]
        if is_peak and here - low > RISE and here > top:
            found, top = lag, here / 0.85
    return found


@device
def highest_near(w: Array, at: int) -> int:
    """The lag of the largest autocorrelation among `at` and its neighbours."""
    best = at
    for lag in range(at - 1, at + 2):
        best = lag if w[LAG + np.uint64(lag)] > w[LAG + np.uint64(best)] else best
    return best


@device
def peak_near(w: Array, at: int, period: float) -> float:
    """Where the parabola through the autocorrelations at ``at`` and a sixth of a period around is highest."""
    reach = min(max(int(period / 6.0), 1), LAGS - 1 - at)
    before, after = w[LAG + np.uint64(at - reach)], w[LAG + np.uint64(at + reach)]
    bend = before - 2.0 * w[LAG + np.uint64(at)] + after
    offset = 0.5 * reach * (before - after) / bend if bend < 0.0 else 0.0
    return at + min(max(offset, -0.5 * reach), 0.5 * reach)
