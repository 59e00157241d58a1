"""What residuals tell over time: their variances, their moving mean, and a shift of the level.

With r the residual and e = r - phi r_previous::

    variances    E[r^2], E[e^2] and the lag product E[r r_previous], weighted running means
    mean         M <- M + (z - M) / MULTI_WINDOW, z the clipped standardised residual
    shift        residuals on one side for SHIFT_BUCKETS: the mean of y - g1 D - g2 W is the new level
"""

from __future__ import annotations

import math
from typing import Any

from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    CARRY,
    LAG_PRODUCT,
    LEVEL,
    MULTI,
    MULTI_COUNT,
    MULTI_VARIANCE,
    RATE_SPREAD,
    SHIFT_BUCKETS,
    SHIFT_COUNT,
    SHIFT_DEBT,
    SHIFT_LEVEL,
    SHIFT_SIDE,
    SHIFT_START,
    SLOPE,
    VARIANCE,
    VARIANCE_AR,
    decay_power,
)

Array = Any

MULTI_WINDOW = 6.0
MULTI_CLIP = 8.0
MULTI_KEEP = 1.0 - 1.0 / MULTI_WINDOW
SHIFT_OPENS = 3.0  # |z| above which a run of one-sided residuals begins
SHIFT_HOLDS = 1.5  # z on its side below which a bucket is contrary
SHIFT_VALUES = 6.0  # least number of values in a run that is accepted


@device
def train_spread(
    state: Array, base: int, work: Array, n: float, weight: float, r: float, e: float, gap: float
) -> None:
    """Variances of r and e and the lag product, by weighted running means.

    x <- x + max(1 / n, RATE_SPREAD) w (target - x), targets r^2 and e^2 (at most 1e280) and, after a
    neighbour only, r CARRY. ``n`` is the count with this value, w its weight.
    """
    gain = max(1.0 / n, work[RATE_SPREAD]) * weight
    r2 = min(r * r, 1e280)
    e2 = min(e * e, 1e280)
    state[base + VARIANCE] += gain * (r2 - state[base + VARIANCE])
    state[base + VARIANCE_AR] += gain * (e2 - state[base + VARIANCE_AR])
    if gap <= 1.0:
        state[base + LAG_PRODUCT] += gain * (r * state[base + CARRY] - state[base + LAG_PRODUCT])


@device
def autocorrelation(state: Array, base: int, n: float) -> float:
    """Phi of AR(1): lag product / (VARIANCE (1 + 10 / n)), 0 to 0.98."""
    variance = state[base + VARIANCE]
    phi = 0.0
    if variance > 0.0 and state[base + LAG_PRODUCT] > 0.0:
        phi = min(state[base + LAG_PRODUCT] / (variance * (1.0 + 10.0 / n)), 0.98)
    return phi


@device
def moving_mean(state: Array, base: int, z: float, gap: float) -> float:
    """M with this residual, MULTI_KEEP^gap M + z / MULTI_WINDOW; z clipped, buckets left out count as 0."""
    multi: float = decay_power(MULTI_KEEP, gap) * state[base + MULTI]
    return multi + min(max(z, -MULTI_CLIP), MULTI_CLIP) / MULTI_WINDOW


@device
def knows_mean(state: Array, base: int) -> bool:
    """Whether enough moving means were seen to judge one: more than three windows."""
    known: bool = state[base + MULTI_COUNT] > 3.0 * MULTI_WINDOW
    return known


@device
def mean_size(state: Array, base: int, multi: float) -> float:
    """|M| / sqrt((20 / (2 MULTI_WINDOW - 1) + k MULTI_VARIANCE) / (20 + k)), k = MULTI_COUNT.

    The prior is the variance of an EW mean of independent values of variance 1.
    """
    k = state[base + MULTI_COUNT]
    variance = (20.0 / (2.0 * MULTI_WINDOW - 1.0) + k * state[base + MULTI_VARIANCE]) / (20.0 + k)
    return abs(multi) / math.sqrt(variance)


@device
def train_mean(state: Array, base: int, multi: float) -> None:
    """The moving mean and its own variance, V <- V + (M^2 - V) / k with k at most 3000.

    Once the mean is known (with this one) M^2 is at most 9 max(V, 1 / (2 MULTI_WINDOW - 1)).
    """
    k = min(state[base + MULTI_COUNT] + 1.0, 3000.0)
    state[base + MULTI_COUNT] = k
    state[base + MULTI] = multi
    m2 = multi * multi
    if k > 3.0 * MULTI_WINDOW:
        m2 = min(m2, 9.0 * max(state[base + MULTI_VARIANCE], 1.0 / (2.0 * MULTI_WINDOW - 1.0)))
    state[base + MULTI_VARIANCE] += (m2 - state[base + MULTI_VARIANCE]) / k


@device
def watch_shift(state: Array, base: int, work: Array, clock: float, level: float, z: float) -> None:
    """Accepts a level shift once residuals stayed on one side for SHIFT_BUCKETS.

    ``level`` is the value less its gated season, y - g1 D - g2 W. A value with |z| > 3 opens a run
    on its side. In the run a value is contrary if its z, on that side, is below 1.5; when more than
    2 + 0.2 count were, the run ends. All others enter the count and the mean of the levels, and the
    first of them that is SHIFT_BUCKETS after the start, with a count of 6 or more, sets LEVEL to
    that mean (whatever it learned meanwhile), SLOPE, M and CARRY to 0, and ends the run.
    """
    side = state[base + SHIFT_SIDE]
    if side == 0.0:
        if abs(z) > SHIFT_OPENS:
            state[base + SHIFT_SIDE] = 1.0 if z > 0.0 else -1.0
            state[base + SHIFT_START] = clock
            state[base + SHIFT_LEVEL] = level
            state[base + SHIFT_COUNT] = 1.0
            state[base + SHIFT_DEBT] = 0.0
        return
    if z * side < SHIFT_HOLDS:
        state[base + SHIFT_DEBT] += 1.0
        if state[base + SHIFT_DEBT] > 2.0 + 0.2 * state[base + SHIFT_COUNT]:
            state[base + SHIFT_SIDE] = 0.0
        return
    count = state[base + SHIFT_COUNT] + 1.0
    state[base + SHIFT_COUNT] = count
    state[base + SHIFT_LEVEL] += (level - state[base + SHIFT_LEVEL]) / count
    if clock - state[base + SHIFT_START] >= work[SHIFT_BUCKETS] and count >= SHIFT_VALUES:
        state[base + LEVEL] = state[base + SHIFT_LEVEL]
        state[base + SLOPE] = 0.0
        state[base + SHIFT_SIDE] = 0.0
        state[base + MULTI] = 0.0
        state[base + CARRY] = 0.0
