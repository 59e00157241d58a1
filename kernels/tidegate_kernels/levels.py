"""How unusual a density is: the mass of all that is not denser, and how often that came before.

A model that is a density f over some space (times of the day, places on the earth) calls a value x as
unlikely as all values together that are not more likely, a tail of the highest-density regions (Hyndman,
The American Statistician 1996)::

    s(x) = -ln P(f(X) <= f(x))

P is kept as a table over levels of ln f, `fill` and `close_levels`, made of points that stand for shares
of the mass, and read by `level_of`. What s is worth, `Recalibration`, the series itself showed::

    s <- v(s), linear between (0, 0) and the (STEPS_k, v_k), v_k = -ln of the rate of past s beyond STEPS_k
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.elementary import log
from tidegate_kernels.registry import device

Array = Any

LEVELS = 32  # rows of the table
RATES = 5  # numbers of the recalibration: a count and four rates
STEPS = (2.302585092994046, 4.605170185988092, 6.907755278982137, 9.210340371976184)  # p 0.1 to 1e-4
PRIORS = (0.1, 0.01, 0.001, 0.0001)
PRIOR = 100.0  # values that had exact p
MEMORY = 2000.0  # values
FIRST_LEAST, FIRST_MOST = 0.7, 4.0  # -ln of the rate beyond the first step: smoothing is cautious
SLOPE_LEAST, SLOPE_MOST = 0.01, 1.2
STEP = 2.302585092994046


@device
def clear_levels(w: Array, table: int) -> None:
    """Forgets the masses."""
    for k in range(LEVELS):
        w[table + k] = 0.0


@device
def add_mass(w: Array, table: int, top: float, step: float, log_f: float, mass: float) -> None:
    """Counts a share of the mass in its row: row k has ``top - (k + 1) step < ln f <= top - k step``."""
    k = int(min(max((top - log_f) / step, 0.0), LEVELS - 1.0))
    w[table + k] += mass


@device
def close_levels(w: Array, table: int, step: float) -> None:
    """Makes row k the logarithm of the mass at or below ``top - k step``.

    Below the last mass it falls as the density does.
    """
    below = 0.0
    for j in range(LEVELS):
        k = LEVELS - 1 - j
        below += w[table + k]
        w[table + k] = below
    whole = below
    last = 0.0
    for k in range(LEVELS):
        share = w[table + k] / whole
        last = log(share) if share > 1e-12 else last - step
        w[table + k] = last


@device
def level_of(w: Array, table: int, top: float, step: float, log_f: float) -> float:
    """S of a density: -ln of the mass that is not denser; linear between the rows, and on beyond them."""
    at = (top - log_f) / step
    if at <= 0.0:
        return 0.0
    if at >= LEVELS - 1.0:
        return (at - (LEVELS - 1.0)) * step - w[table + LEVELS - 1]
    k = int(at)
    share = at - k
    return -(w[table + k] * (1.0 - share) + w[table + k + 1] * share)


@device
def density_at(w: Array, table: int, top: float, step: float, log_mass: float) -> float:
    """Ln f where the table has a mass: the inverse of `level_of`, to one row."""
    k = 0
    while k < LEVELS - 1 and w[table + k + 1] >= log_mass:
        k += 1
    return top - k * step


@device
def step_value(w: Array, rates: int, k: int) -> float:
    """-ln of the rate of s beyond a step, shrunk to that of exact p: (PRIOR p_k + n rate_k) / (PRIOR + n)."""
    n = w[rates]
    return log((PRIOR + n) / (PRIOR * PRIORS[k] + n * w[rates + 1 + k]))


@device
def recalibrated(w: Array, rates: int, s: float) -> float:
    """v(s): what an s came to mean in this series.

    v_1 is within [FIRST_LEAST, FIRST_MOST]; from one to the next v rises by SLOPE_LEAST to SLOPE_MOST times
    what s does, and beyond the last as s: what never came proves nothing.
    """
    v = min(max(step_value(w, rates, 0), FIRST_LEAST), FIRST_MOST)
    if s <= STEPS[0]:
        return s * (v / STEP)
    for k in range(1, 4):
        following = step_value(w, rates, k)
        following = min(max(following, v + SLOPE_LEAST * STEP), v + SLOPE_MOST * STEP)
        left = s - STEP * k
        if left <= STEP:
            return v + (following - v) * (left / STEP)
        v = following
    return v + (s - STEP * 4.0)


@device
def learn_level(w: Array, rates: int, s: float) -> None:
    """Moves the rates of s beyond each step by 1 / n, n the count of values up to MEMORY."""
    n = min(w[rates] + 1.0, MEMORY)
    w[rates] = n
    for k in range(4):
        is_beyond = 1.0 if s > STEP * (k + 1) else 0.0
        w[rates + 1 + k] += (is_beyond - w[rates + 1 + k]) / n
