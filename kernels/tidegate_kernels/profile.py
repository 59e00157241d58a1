"""Season: the profiles of the day and the week, their gates and their training.

A profile is a ring of knots; between two knots it is linear. With h the weight of the next knot::

    D            (1 - h) D[k] + h D[k + 1],        W alike
    evidence     E0, E1, E2: discounted clipped squared errors of L, L + D, L + D + W
    gates        g1 by E0 / E1 and the days seen, g2 by E1 / E2 and the weeks seen after the first
    training     each knot by its share of the visit, D first, W on what D leaves; see train_profiles
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    DAY_KNOTS,
    DAY_MEAN,
    DAY_SHARE,
    ERROR_DAY,
    ERROR_LEVEL,
    ERROR_WEEK,
    RATE_GATE,
    WEEK_KNOTS,
    WEEK_MEAN,
    WEEK_SHARE,
)

Array = Any


class Phase(NamedTuple):
    """Where the middle of a bucket lies in the day and in the week."""

    day_knot: int
    day_weight: float  # of the next knot
    week_knot: int
    week_weight: float


class Season(NamedTuple):
    """What the profiles say at a phase; ``_at`` and ``_next`` are positions of knots in the state."""

    day: float
    week: float
    spread: float  # the phase's share of the variance
    day_at: int
    day_next: int
    day_weight: float
    week_at: int
    week_next: int
    week_weight: float


@device
def season_at(state: Array, base: int, phase: Phase) -> Season:
    """The profiles of a series, interpolated at a phase."""
    h, v = phase.day_weight, phase.week_weight
    d0 = base + DAY_MEAN + phase.day_knot
    d1 = base + DAY_MEAN + (phase.day_knot + 1 if phase.day_knot + 1 < DAY_KNOTS else 0)
    w0 = base + WEEK_MEAN + phase.week_knot
    w1 = base + WEEK_MEAN + (phase.week_knot + 1 if phase.week_knot + 1 < WEEK_KNOTS else 0)
    day = (1.0 - h) * state[d0] + h * state[d1]
    week = (1.0 - v) * state[w0] + v * state[w1]
    spread = (1.0 - h) * state[d0 + 2 * DAY_KNOTS] + h * state[d1 + 2 * DAY_KNOTS]
    return Season(day, week, spread, d0, d1, h, w0, w1, v)


@device
def gate(error_without: float, error_with: float, periods: float) -> float:
    """How far a profile is used: 0 to 1 by the errors saved and the periods they were seen.

    x / (1 + x) with x = 2 periods (E_without / max(E_with, 1e-6 E_without) - 1.02); 0 unless
    E_without > 1.02 E_with.
    """
    if not error_without > error_with * 1.02:
        return 0.0
    x = 2.0 * periods * (error_without / max(error_with, error_without * 1e-6) - 1.02)
    return x / (1.0 + x)


@device
def use_of_day(state: Array, base: int, work: Array, days: float) -> float:
    """g1: how far the day's profile is used; its periods are days."""
    if work[DAY_SHARE] > 0.0:
        return gate(state[base + ERROR_LEVEL], state[base + ERROR_DAY], days)
    return 0.0


@device
def use_of_week(state: Array, base: int, work: Array, days: float) -> float:
    """g2: how far the week's profile is used; its periods are weeks, the first does not count."""
    if work[WEEK_SHARE] > 0.0 and days > 7.0:
        return gate(state[base + ERROR_DAY], state[base + ERROR_WEEK], (days - 7.0) / 7.0)
    return 0.0


@device
def train_profiles(
    state: Array,
    base: int,
    work: Array,
    season: Season,
    weight: float,
    r0: float,
    z2: float,
    sd_r: float,
    days: float,
) -> None:
    """Evidence of the nested predictions, then their knots; shares of a visit so that spans are alike.

    ``r0`` is the value less the line, ``z2`` = z^2 min(1, spread share), D and W as predicted, w the
    training weight, h the weight of a knot, u = 1 / (h^2 + (1 - h)^2), so that the interpolated
    value moves by the whole gain::

        r1 = r0 - D,  r2 = r1 - W
        E0, E1, E2    += RATE_GATE w (min(|r0|, |r1|, |r2| each, 5 sd_r)^2 - E)
        day knots     a = DAY_SHARE w h;  visits <- min(visits + a, 10), then
                      mean += a / (visits + 0.5) u r1,  spread += a / (visits + 6) (min(z2, 16) - spread)
        week knots    mean += WEEK_SHARE w h / (1.5 + min(days / 7, 5)) u r2
    """
    r1 = r0 - season.day
    r2 = r1 - season.week
    rate = work[RATE_GATE] * weight
    train_error(state, base + ERROR_LEVEL, rate, min(abs(r0), 5.0 * sd_r))
    train_error(state, base + ERROR_DAY, rate, min(abs(r1), 5.0 * sd_r))
    train_error(state, base + ERROR_WEEK, rate, min(abs(r2), 5.0 * sd_r))
    share = work[DAY_SHARE] * weight
    if share > 0.0:
        h = season.day_weight
        inverse = 1.0 / (1.0 - 2.0 * h * (1.0 - h))
        train_knot(state, season.day_at, share * (1.0 - h), r1 * inverse, z2)
        train_knot(state, season.day_next, share * h, r1 * inverse, z2)
    share = work[WEEK_SHARE] * weight
    if share > 0.0:
        h = season.week_weight
        inverse = 1.0 / (1.0 - 2.0 * h * (1.0 - h))
        gain = share * inverse / (1.5 + min(days / 7.0, 5.0)) * r2
        state[season.week_at] += gain * (1.0 - h)
        state[season.week_next] += gain * h


@device
def train_error(state: Array, field: int, rate: float, error: float) -> None:
    """One discounted squared error."""
    state[field] += rate * (error * error - state[field])


@device
def train_knot(state: Array, k: int, share: float, error: float, z2: float) -> None:
    """One day knot: its mean, visits so far (at most 10 count) and share of variance."""
    visits = min(state[k + DAY_KNOTS] + share, 10.0)
    state[k + DAY_KNOTS] = visits
    gain = share / (visits + 0.5)
    state[k] += gain * error
    state[k + 2 * DAY_KNOTS] += share / (visits + 6.0) * (min(z2, 16.0) - state[k + 2 * DAY_KNOTS])
