"""Where a population lies: the level of all members and its day, and how the law is trained.

With D the profile of the day and g its gate (`profile.gate`)::

    F     LEVEL + g D(phase) + phi^gap CARRY

CARRY is the mean error of the last bucket beside LEVEL + g D: AR(1), for what lasts longer than a bucket.
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.crowd import (
    ALIVE,
    BUCKETS,
    CARRY,
    DAY,
    DAY_KNOTS,
    DRIFT,
    ERROR_DAY,
    ERROR_LEVEL,
    FIRST,
    LAST,
    LEVEL,
    LOG_COUNT,
    LOG_SUM,
    MASS,
    MOVE_NEXT,
    MOVE_SQUARE,
    SCALE,
    SIZE,
    VISITS,
    Pace,
    deposit,
    fit_width,
    scaled,
)
from tidegate_kernels.crowdlaw import is_known
from tidegate_kernels.elementary import exp, log
from tidegate_kernels.profile import after, gate
from tidegate_kernels.registry import device
from tidegate_kernels.state import HUGE, TINY

Array = Any

CARRY_MOST = 0.95
REBASE = 1.1  # ln of the factor by which SCALE may be off while there is no law
LEVEL_CLIP = 3.0  # mean sizes |e|
LEVEL_MEMBERS = 4.0  # weight of members at which a bucket says half of what it can of the level


@device
def clamped(x: float) -> float:
    """A value within what squares and products stay finite for."""
    return min(max(x, -HUGE), HUGE)


@device
def begin(s: Array, at: int, value_i: Array, start: int, stop: int, clock: float) -> None:
    """Makes an attribute of its first members: the scale is the geometric mean of what is not 0, else 1."""
    total, count = 0.0, 0.0
    for i in range(start, stop):
        x = min(abs(value_i[i]), HUGE)
        if x > TINY:
            total += log(x)
            count += 1.0
    s[at + LOG_SUM] = total
    s[at + LOG_COUNT] = count
    s[at + SCALE] = exp(total / count) if count > 0.0 else 1.0
    mean, members = 0.0, 0.0
    for i in range(start, stop):
        if value_i[i] == value_i[i]:
            mean += scaled(clamped(value_i[i]), s[at + SCALE])
            members += 1.0
    if members > 0.0:
        s[at + ALIVE] = 1.0
        s[at + FIRST] = clock
        s[at + LAST] = clock
        s[at + LEVEL] = mean / members


@device
def rebase(s: Array, at: int, value_i: Array, start: int, stop: int) -> None:
    """Before there is a law: follows the geometric mean; forgets all if SCALE is off by exp(REBASE).

    Then the attribute begins anew, on the scale of the members at hand.
    """
    if s[at + ALIVE] == 0.0 or is_known(s, at):
        return
    for i in range(start, stop):
        x = min(abs(value_i[i]), HUGE)
        if x > TINY:
            s[at + LOG_SUM] += log(x)
            s[at + LOG_COUNT] += 1.0
    if s[at + LOG_COUNT] > 0.0:
        off = s[at + LOG_SUM] / s[at + LOG_COUNT] - log(s[at + SCALE])
        if abs(off) > REBASE:
            s[at + ALIVE] = 0.0


@device
def season(s: Array, at: int, knot: int, weight: float) -> float:
    """The profile of the day at a phase."""
    day: float = (1.0 - weight) * s[at + DAY + knot] + weight * s[at + DAY + after(knot, DAY_KNOTS)]
    return day


@device
def use_of_day(s: Array, at: int, clock: float, pace: Pace) -> float:
    """How far the profile is used."""
    return gate(s[at + ERROR_LEVEL], s[at + ERROR_DAY], (clock - s[at + FIRST]) * pace.days)


@device
def carried(s: Array, at: int, gap: float) -> float:
    """What is left of the error of the last bucket: AR(1), phi^gap CARRY, phi up to CARRY_MOST."""
    square = s[at + MOVE_SQUARE]
    phi = min(max(s[at + MOVE_NEXT] / square, 0.0), CARRY_MOST) if square > 0.0 else 0.0
    part: float = exp(gap * log(phi)) * s[at + CARRY] if phi > 1e-3 else 0.0
    return part


@device
def train_season(s: Array, at: int, knot: int, weight: float, r1: float, gain: float) -> None:
    """The two knots of a phase, as `profile.train_profiles` has it; ``gain`` is the share of a visit."""
    inverse = 1.0 / (1.0 - 2.0 * weight * (1.0 - weight))
    for k in range(2):
        j = knot if k == 0 else after(knot, DAY_KNOTS)
        share = gain * (weight if k == 1 else 1.0 - weight)
        visits = min(s[at + VISITS + j] + share, 10.0)
        s[at + VISITS + j] = visits
        s[at + DAY + j] += share / (visits + 0.5) * inverse * r1


@device
def train_level(
    s: Array, at: int, r: float, mean: float, rate: float, pace: Pace, knot: int, weight: float, use: float
) -> None:
    """Moves level, day and carry by ``r``, the mean error of a bucket beside LEVEL + g D, after n others.

    ``mean`` is the error beside F, ``rate`` what the bucket says of both, g = ``use``. With gain
    max(1 / (n + 1), pace.level)::

        DRIFT         += gain (|mean| - DRIFT)
        MOVE_SQUARE   += gain (r^2 - MOVE_SQUARE),    MOVE_NEXT += gain (r CARRY - MOVE_NEXT)
        CARRY          = rate r
        LEVEL         += gain rate r
    """
    n = s[at + BUCKETS]
    day = season(s, at, knot, weight)
    r0 = r + use * day
    r1 = r0 - day
    evidence = pace.gate * rate
    s[at + ERROR_LEVEL] += evidence * (r0 * r0 - s[at + ERROR_LEVEL])
    s[at + ERROR_DAY] += evidence * (r1 * r1 - s[at + ERROR_DAY])
    if pace.day_share > 0.0 and n > 0.0:
        train_season(s, at, knot, weight, r1, pace.day_share * rate)
    gain = max(1.0 / (n + 1.0), pace.level)
    s[at + DRIFT] += gain * (abs(mean) - s[at + DRIFT])
    s[at + MOVE_SQUARE] += gain * (r * r - s[at + MOVE_SQUARE])
    s[at + MOVE_NEXT] += gain * (r * s[at + CARRY] - s[at + MOVE_NEXT])
    s[at + CARRY] = rate * r
    s[at + LEVEL] += gain * rate * r
    s[at + BUCKETS] = n + 1.0


@device
def train_law(
    s: Array, at: int, start: int, stop: int, error_i: Array, weight_i: Array
) -> tuple[float, float]:
    """Puts the errors of a bucket into the histogram; returns their mean and weight.

    For the mean each is clipped at LEVEL_CLIP mean |e| of the past. ``error_i`` and ``weight_i`` are what
    the values train as.
    """
    clip = LEVEL_CLIP * s[at + SIZE] / s[at + MASS] if s[at + MASS] > 0.0 else 0.0
    mass, size, mean = 0.0, 0.0, 0.0
    for i in range(start, stop):
        w, e = weight_i[i], error_i[i]
        mass += w
        size += w * abs(e)
        mean += w * min(max(e, -clip), clip)
    if mass > 0.0:
        s[at + MASS] += mass
        s[at + SIZE] += size
        fit_width(s, at)
        for i in range(start, stop):
            if weight_i[i] > 0.0:
                deposit(s, at, error_i[i], weight_i[i])
        mean /= mass
    return mean, mass
