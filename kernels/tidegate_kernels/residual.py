"""What residuals tell over time: their variances, their moving mean, and a shift of the level.

With r the residual and e = r - phi r_previous::

    variances    E[r^2], E[e^2] and the lag product E[r r_previous], weighted running means;
                 the two also of the last days: a series that has calmed down is judged by them
    mean         M <- M + (z - M) / MULTI_WINDOW, z the clipped standardised residual
    shift        residuals on one side for SHIFT_BUCKETS: the mean of y - g1 D - g2 W is the new level
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.intrinsics import root
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    CARRY,
    COUNT,
    KEPT_MEAN,
    LAG_PRODUCT,
    LEVEL,
    MEAN_KEEP,
    MULTI,
    MULTI_COUNT,
    MULTI_NEXT,
    MULTI_VARIANCE,
    RECENT,
    RECENT_AR,
    SEASON,
    SHIFT_COUNT,
    SHIFT_DEBT,
    SHIFT_LEVEL,
    SHIFT_SIDE,
    SHIFT_START,
    SLOPE,
    VARIANCE,
    VARIANCE_AR,
    E,
    R,
    Rates,
    Y,
    Z,
    decay,
    put,
)

Array = Any

MULTI_WINDOW = 6.0
MULTI_CLIP = 8.0
SHIFT_OPENS = 3.0  # |z| above which a run of one-sided residuals begins
SHIFT_HOLDS = 1.5  # z on its side below which a bucket is contrary
SHIFT_VALUES = 6.0  # least number of values in a run that is accepted
MULTI_PRIOR = 20.0 / (2.0 * MULTI_WINDOW - 1.0)


@device
def train_spread(w: Array, lane: int, rates: Rates, is_on: bool, n: float, weight: float, gap: float) -> None:
    """Variances of r and e and the lag product, by weighted running means.

    x <- x + max(1 / n, RATE_SPREAD) w (target - x), targets r^2 and e^2 (at most 1e280) and, after a
    neighbour only, r CARRY; RECENT and RECENT_AR likewise with RATE_RECENT. ``n`` is the count with
    this value, w its weight.
    """
    r, e = w[R + lane], w[E + lane]
    gain = max(1.0 / n, rates.spread) * weight
    r2 = min(r * r, 1e280)
    e2 = min(e * e, 1e280)
    lag = r * w[CARRY + lane]
    put(w, VARIANCE + lane, is_on, w[VARIANCE + lane] + gain * (r2 - w[VARIANCE + lane]))
    put(w, VARIANCE_AR + lane, is_on, w[VARIANCE_AR + lane] + gain * (e2 - w[VARIANCE_AR + lane]))
    gain_recent = max(1.0 / n, rates.recent) * weight
    put(w, RECENT + lane, is_on, w[RECENT + lane] + gain_recent * (r2 - w[RECENT + lane]))
    put(w, RECENT_AR + lane, is_on, w[RECENT_AR + lane] + gain_recent * (e2 - w[RECENT_AR + lane]))
    next_lag = w[LAG_PRODUCT + lane] + gain * (lag - w[LAG_PRODUCT + lane])
    put(w, LAG_PRODUCT + lane, is_on and gap <= 1.0, next_lag)


@device
def autocorrelation(w: Array, lane: int) -> float:
    """Phi of AR(1): lag product / (VARIANCE (1 + 10 / n)), 0 to 0.98."""
    variance, lag, n = w[VARIANCE + lane], w[LAG_PRODUCT + lane], w[COUNT + lane]
    phi = min(lag * n / (variance * (n + 10.0)), 0.98)
    return phi if variance > 0.0 and lag > 0.0 else 0.0


@device
def moving_mean(w: Array, lane: int, gap: float) -> float:
    """M with this bucket's z, clipped at MULTI_CLIP: MEAN_KEEP^gap M + z / MULTI_WINDOW."""
    z = min(max(w[Z + lane], -MULTI_CLIP), MULTI_CLIP)
    mean: float = decay(w[KEPT_MEAN + lane], MEAN_KEEP, gap) * w[MULTI + lane] + z * (1.0 / MULTI_WINDOW)
    return mean


@device
def knows_mean(w: Array, lane: int) -> bool:
    """Whether enough moving means were seen to judge one: more than three windows."""
    known: bool = w[MULTI_COUNT + lane] > 3.0 * MULTI_WINDOW
    return known


@device
def mean_size(w: Array, lane: int) -> float:
    """|M| / sqrt((20 / (2 MULTI_WINDOW - 1) + k MULTI_VARIANCE) / (20 + k)), k = MULTI_COUNT.

    The prior is the variance of an EW mean of independent values of variance 1.
    """
    k = w[MULTI_COUNT + lane]
    precision = (20.0 + k) / (MULTI_PRIOR + k * w[MULTI_VARIANCE + lane])
    size: float = abs(w[MULTI_NEXT + lane]) * root(precision)
    return size


@device
def train_mean(w: Array, lane: int, is_on: bool) -> None:
    """The moving mean and its own variance, V <- V + (M^2 - V) / k with k at most 3000.

    Once the mean is known (with this one) M^2 is at most 9 max(V, 1 / (2 MULTI_WINDOW - 1)).
    """
    k = min(w[MULTI_COUNT + lane] + 1.0, 3000.0)
    variance = w[MULTI_VARIANCE + lane]
    m2 = w[MULTI_NEXT + lane] * w[MULTI_NEXT + lane]
    most = 9.0 * max(variance, 1.0 / (2.0 * MULTI_WINDOW - 1.0))
    m2 = min(m2, most) if k > 3.0 * MULTI_WINDOW else m2
    put(w, MULTI_COUNT + lane, is_on, k)
    put(w, MULTI + lane, is_on, w[MULTI_NEXT + lane])
    put(w, MULTI_VARIANCE + lane, is_on, variance + (m2 - variance) / k)


@device
def watch_shift(w: Array, lane: int, rates: Rates, is_on: bool, clock: float) -> None:
    """Accepts a level shift once residuals stayed on one side for SHIFT_BUCKETS.

    The level of a value is that less its gated season, y - g1 D - g2 W. A value with |z| > 3 opens a run
    on its side. In the run a value is contrary if its z, on that side, is below 1.5; when more than
    2 + 0.2 count were, the run ends. All others enter the count and the mean of the levels, and the
    first of them that is SHIFT_BUCKETS after the start, with a count of 6 or more, sets LEVEL to
    that mean (whatever it learned meanwhile), SLOPE, M and CARRY to 0, and ends the run.
    """
    z, level = w[Z + lane], w[Y + lane] - w[SEASON + lane]
    side, count, mean = w[SHIFT_SIDE + lane], w[SHIFT_COUNT + lane], w[SHIFT_LEVEL + lane]
    is_open = is_on and side != 0.0
    opens = is_on and side == 0.0 and abs(z) > SHIFT_OPENS
    is_contrary = is_open and z * side < SHIFT_HOLDS
    holds = is_open and not (z * side < SHIFT_HOLDS)
    debt = w[SHIFT_DEBT + lane] + 1.0
    longer = count + 1.0
    mean += (level - mean) / longer
    accepts = holds and clock - w[SHIFT_START + lane] >= rates.shift and longer >= SHIFT_VALUES
    ends = accepts or (is_contrary and debt > 2.0 + 0.2 * count)
    put(w, SHIFT_START + lane, opens, clock)
    put(w, SHIFT_LEVEL + lane, holds, mean)
    put(w, SHIFT_LEVEL + lane, opens, level)
    put(w, SHIFT_COUNT + lane, holds, longer)
    put(w, SHIFT_COUNT + lane, opens, 1.0)
    put(w, SHIFT_DEBT + lane, is_contrary, debt)
    put(w, SHIFT_DEBT + lane, opens, 0.0)
    put(w, SHIFT_SIDE + lane, opens, 1.0 if z > 0.0 else -1.0)
    put(w, SHIFT_SIDE + lane, ends, 0.0)
    put(w, LEVEL + lane, accepts, mean)
    put(w, SLOPE + lane, accepts, 0.0)
    put(w, MULTI + lane, accepts, 0.0)
    put(w, CARRY + lane, accepts, 0.0)
