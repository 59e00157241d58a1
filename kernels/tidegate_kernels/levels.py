"""How unusual a density is: the mass of all that is not denser, and how often that came before.

A model that is a density f over some space (times of the day, places on the earth) calls a value x as
unlikely as all values together that are not more likely, a tail of the highest-density regions (Hyndman,
The American Statistician 1996)::

    s(x) = -ln P(f(X) <= f(x))

P is kept as a table over levels of ln f, `fill` and `close_levels`, made of points that stand for shares
of the mass, and read by `level_of`. What s is worth, `recalibrated`, the series itself showed::

    s <- v(s), linear between (0, 0) and the (k STEP, v_k), k = 1 to 4
    v_k = -ln of the rate of past s beyond k STEP
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.elementary import log
from tidegate_kernels.registry import device

Array = Any

LEVELS = 32  # rows of the table
RATES = 5  # numbers of the recalibration: a count and four rates
PRIOR = 100.0  # values that had exact p
MEMORY = 2000.0  # values
FIRST_LEAST, FIRST_MOST = 0.7, 4.0  # -ln of the rate beyond the first step: smoothing is cautious
SLOPE_LEAST, SLOPE_MOST = 0.01, 1.2
STEP = 2.302585092994046  # ln 10: steps at p 0.1, 0.01, 0.001 and 0.0001


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

    The last mass lies somewhere in its row: up to the end of that it counts in full. Further down it falls
    as the density does.
    """
    below = 0.0
    for j in range(LEVELS):
        k = LEVELS - 1 - j
        below += w[table + k]
        w[table + k] = below
    whole = below
    last, is_past = 0.0, False
    for k in range(LEVELS):
        share = w[table + k] / whole
        if share > 1e-12:
            last = log(share)
        else:
            last -= step if is_past else 0.0
            is_past = True
        w[table + k] = last


@device
def level_of(w: Array, table: int, top: float, step: float, log_f: float) -> float:
    """The s of a density: -ln of the mass that is not denser; linear between the rows, and on beyond them."""
    at = (top - log_f) / step
    if at <= 0.0:
        return 0.0
    k = min(int(at), LEVELS - 2)
    share = min(at - k, 1.0)
    s: float = max(at - (LEVELS - 1.0), 0.0) * step
    s -= w[table + k] * (1.0 - share) + w[table + k + 1] * share
    return s


@device
def density_at(w: Array, table: int, top: float, step: float, log_mass: float) -> float:
    """Ln f where the table has a mass: the inverse of `level_of`, to one row."""
    k = 0
    while k < LEVELS - 1 and w[table + k + 1] >= log_mass:
        k += 1
    return top - k * step


@device
def step_value(w: Array, rates: int, k: int, p: float) -> float:
    """-ln of the rate of s beyond a step, shrunk to that of exact p: (PRIOR p + n rate_k) / (PRIOR + n)."""
    n = w[rates]
    return log((PRIOR + n) / (PRIOR * p + n * w[rates + 1 + k]))


@device
def recalibrated(w: Array, rates: int, s: float) -> float:
    """v(s): what an s came to mean in this series.

    v_1 is within [FIRST_LEAST, FIRST_MOST]; from one to the next v rises by SLOPE_LEAST to SLOPE_MOST times
    what s does, and beyond the last as s: what never came proves nothing.
    """
    v = min(max(step_value(w, rates, 0, 0.1), FIRST_LEAST), FIRST_MOST)
    if s <= STEP:
        return s * (v / STEP)
    p = 0.1
    for k in range(1, 4):
        p *= 0.1
        following = step_value(w, rates, k, p)
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
