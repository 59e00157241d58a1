"""What residuals tell over time: their variances, their moving mean, and a shift of the level.

With r the residual and e = r - phi r_previous::

    variances    E[r^2], E[e^2] and the lag product E[r r_previous], weighted running means
    mean         M <- M + (z - M) / MULTI_WINDOW, z the clipped standardised residual
    shift        residuals on one side for SHIFT_BUCKETS: their mean becomes part of the level
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
    SHIFT_SIDE,
    SHIFT_START,
    SHIFT_SUM,
    SLOPE,
    VARIANCE,
    VARIANCE_AR,
    decay_power,
)

Array = Any

MULTI_WINDOW = 6.0
MULTI_CLIP = 8.0


@device
def train_spread(
    state: Array, base: int, work: Array, n: float, weight: float, r: float, e: float, gap: float
) -> None:
    """Variances of r and e and the lag product, by weighted running means."""
    gain = max(1.0 / n, work[RATE_SPREAD]) * weight
    r2 = min(r * r, 1e280)
    e2 = min(e * e, 1e280)
    state[base + VARIANCE] += gain * (r2 - state[base + VARIANCE])
    state[base + VARIANCE_AR] += gain * (e2 - state[base + VARIANCE_AR])
    if gap <= 1.0:
        state[base + LAG_PRODUCT] += gain * (r * state[base + CARRY] - state[base + LAG_PRODUCT])


@device
def autocorrelation(state: Array, base: int, n: float) -> float:
    """Phi of AR(1): 0 to 0.98, shrunk by ten values."""
    variance = state[base + VARIANCE]
    phi = 0.0
    if variance > 0.0 and state[base + LAG_PRODUCT] > 0.0:
        phi = min(state[base + LAG_PRODUCT] / (variance * (1.0 + 10.0 / n)), 0.98)
    return phi


@device
def moving_mean(state: Array, base: int, z: float, gap: float) -> float:
    """M with this residual; empty buckets count as residuals of zero."""
    multi: float = state[base + MULTI]
    if gap > 1.0:
        multi *= decay_power(1.0 / MULTI_WINDOW, gap - 1.0)
    return multi + (min(max(z, -MULTI_CLIP), MULTI_CLIP) - multi) / MULTI_WINDOW


@device
def knows_mean(state: Array, base: int) -> bool:
    """Whether enough moving means were seen to judge one."""
    known: bool = state[base + MULTI_COUNT] > 3.0 * MULTI_WINDOW
    return known


@device
def mean_size(state: Array, base: int, multi: float) -> float:
    """|M| in its standard deviations.

    The prior is the law of an EW mean of independent values, 1 / (2 window - 1), with the weight of 20.
    """
    k = state[base + MULTI_COUNT]
    variance = (20.0 / (2.0 * MULTI_WINDOW - 1.0) + k * state[base + MULTI_VARIANCE]) / (20.0 + k)
    return abs(multi) / math.sqrt(variance)


@device
def train_mean(state: Array, base: int, multi: float) -> None:
    """The moving mean and its own variance; large means are clipped at 3 deviations."""
    k = min(state[base + MULTI_COUNT] + 1.0, 3000.0)
    state[base + MULTI_COUNT] = k
    state[base + MULTI] = multi
    m2 = multi * multi
    if k > 3.0 * MULTI_WINDOW:
        m2 = min(m2, 9.0 * max(state[base + MULTI_VARIANCE], 1.0 / (2.0 * MULTI_WINDOW - 1.0)))
    state[base + MULTI_VARIANCE] += (m2 - state[base + MULTI_VARIANCE]) / k


@device
def watch_shift(state: Array, base: int, work: Array, clock: float, r: float, z: float) -> None:
    """Accepts a level shift once residuals stayed on one side for SHIFT_BUCKETS."""
    side = state[base + SHIFT_SIDE]
    if side == 0.0:
        if abs(z) > 3.0:
            state[base + SHIFT_SIDE] = 1.0 if z > 0.0 else -1.0
            state[base + SHIFT_START] = clock
            state[base + SHIFT_SUM] = r
            state[base + SHIFT_COUNT] = 1.0
            state[base + SHIFT_DEBT] = 0.0
        return
    if z * side < 1.5:
        state[base + SHIFT_DEBT] += 1.0
        if state[base + SHIFT_DEBT] > 2.0 + 0.2 * state[base + SHIFT_COUNT]:
            state[base + SHIFT_SIDE] = 0.0
        return
    state[base + SHIFT_SUM] = min(max(state[base + SHIFT_SUM] + r, -1e290), 1e290)
    state[base + SHIFT_COUNT] += 1.0
    count = state[base + SHIFT_COUNT]
    if clock - state[base + SHIFT_START] >= work[SHIFT_BUCKETS] and count >= 6.0:
        state[base + LEVEL] += state[base + SHIFT_SUM] / count
        state[base + SLOPE] = 0.0
        state[base + SHIFT_SIDE] = 0.0
        state[base + MULTI] = 0.0
        state[base + CARRY] = 0.0
