"""Season: the profiles of the day and the week, their gates and their training.

A profile is a ring of knots; between two knots it is linear. With h the weight of the next knot::

    D            (1 - h) D[k] + h D[k + 1],        W alike
    evidence     E0, E1, E2: discounted clipped squared errors of L, L + D, L + D + W
    gates        g1 by E0 / E1 and the days seen, g2 by E1 / E2 and the weeks seen after the first
    training     each knot by its share of the visit, D first, W on what D leaves; see train_profiles

All series of a block are at the same phase: the rows of its knots are brought to the work space
and taken back (`bring_knots`, `keep_knots`), so that profiles are vectors like everything else.
A page keeps float32: knots are rounded whenever they move, so that a way to the page and back changes
nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    AGREEMENT,
    COUNT,
    DAY,
    DAY_KNOTS,
    DAY_MEAN_0,
    DAY_MEAN_1,
    DAY_SPREAD_0,
    DAY_SPREAD_1,
    DAY_VISITS_0,
    DAY_VISITS_1,
    ERROR_DAY,
    ERROR_LEVEL,
    ERROR_WEEK,
    LANES,
    LEVEL,
    LINE,
    NON_NEGATIVE,
    PAGE_MEAN,
    PAGE_SPREAD,
    PAGE_VISITS,
    PAGE_WEEK,
    PRIOR_SPREAD,
    SD_R,
    SEASONAL,
    SHAPE,
    SPREAD,
    WEEK,
    WEEK_0,
    WEEK_1,
    WEEK_KNOTS,
    Now,
    Rates,
    Y,
    Z,
    put,
    rounded,
)

Array = Any

KNOTS_AT = int(DAY_MEAN_0)
BORROWED = 3.0  # visits that the siblings' shape counts for
SEASON_VALUES = 12.0  # count of training values from which on a series may have profiles


@device
def after(knot: int, knots: int) -> int:
    """The next knot of a ring."""
    return knot + 1 if knot + 1 < knots else 0


@device
def copy_row(source: Array, source_at: int, target: Array, target_at: int) -> None:
    """Copies a row of LANES."""
    for lane in range(LANES):
        target[np.uint64(target_at + lane)] = source[np.uint64(source_at + lane)]


@device
def bring_row(w: Array, k: int, pages: Array, page: int, row: int) -> None:
    """Copies a row of the page to the k-th row of the knots at hand."""
    copy_row(pages, page + row * LANES, w, KNOTS_AT + k * LANES)


@device
def keep_row(w: Array, k: int, pages: Array, page: int, row: int) -> None:
    """Copies the k-th row of the knots at hand back to the page."""
    copy_row(w, KNOTS_AT + k * LANES, pages, page + row * LANES)


@device
def bring_knots(w: Array, pages: Array, page: int, day_knot: int, week_knot: int) -> None:
    """Copies the knots at a phase to the work space, in the order that it has them."""
    day_next, week_next = after(day_knot, DAY_KNOTS), after(week_knot, WEEK_KNOTS)
    bring_row(w, 0, pages, page, PAGE_MEAN + day_knot)
    bring_row(w, 1, pages, page, PAGE_MEAN + day_next)
    bring_row(w, 2, pages, page, PAGE_VISITS + day_knot)
    bring_row(w, 3, pages, page, PAGE_VISITS + day_next)
    bring_row(w, 4, pages, page, PAGE_SPREAD + day_knot)
    bring_row(w, 5, pages, page, PAGE_SPREAD + day_next)
    bring_row(w, 6, pages, page, PAGE_WEEK + week_knot)
    bring_row(w, 7, pages, page, PAGE_WEEK + week_next)


@device
def keep_knots(w: Array, pages: Array, page: int, day_knot: int, week_knot: int) -> None:
    """Copies the knots at a phase back to the page."""
    day_next, week_next = after(day_knot, DAY_KNOTS), after(week_knot, WEEK_KNOTS)
    keep_row(w, 0, pages, page, PAGE_MEAN + day_knot)
    keep_row(w, 1, pages, page, PAGE_MEAN + day_next)
    keep_row(w, 2, pages, page, PAGE_VISITS + day_knot)
    keep_row(w, 3, pages, page, PAGE_VISITS + day_next)
    keep_row(w, 4, pages, page, PAGE_SPREAD + day_knot)
    keep_row(w, 5, pages, page, PAGE_SPREAD + day_next)
    keep_row(w, 6, pages, page, PAGE_WEEK + week_knot)
    keep_row(w, 7, pages, page, PAGE_WEEK + week_next)


@device
def gate(error_without: float, error_with: float, periods: float) -> float:
    """How far a profile is used: 0 to 1 by the errors saved and the periods they were seen.

    x / (1 + x) with x = 2 periods (E_without / max(E_with, 1e-6 E_without) - 1.02); 0 unless
    E_without > 1.02 E_with. As one division: n / (n + E), n = 2 periods (E_without - 1.02 E).
    """
    least = max(error_with, error_without * 1e-6)
    gain = 2.0 * periods * (error_without - 1.02 * least)
    return gain / (gain + least) if error_without > error_with * 1.02 else 0.0


@device
def use_of_day(w: Array, lane: int, rates: Rates, days: float) -> float:
    """g1: how far the day's profile is used; its periods are days, or visits where those are more."""
    days = max(days, min(w[DAY_VISITS_0 + lane], w[DAY_VISITS_1 + lane]))
    use = gate(w[ERROR_LEVEL + lane], w[ERROR_DAY + lane], days)
    return use if rates.day_share > 0.0 else 0.0


@device
def use_of_week(w: Array, lane: int, rates: Rates, days: float) -> float:
    """g2: how far the week's profile is used; its periods are weeks, the first does not count."""
    use = gate(w[ERROR_DAY + lane], w[ERROR_WEEK + lane], (days - 7.0) * (1.0 / 7.0))
    return use if rates.week_share > 0.0 and days > 7.0 else 0.0


@device
def read_season(w: Array, lane: int, now: Now) -> None:
    """The profiles interpolated at the phase: D, W and the phase's share of the variance."""
    h, v = now.day_weight, now.week_weight
    w[DAY + lane] = (1.0 - h) * w[DAY_MEAN_0 + lane] + h * w[DAY_MEAN_1 + lane]
    w[WEEK + lane] = (1.0 - v) * w[WEEK_0 + lane] + v * w[WEEK_1 + lane]
    w[SPREAD + lane] = 1.0 + (1.0 - h) * w[DAY_SPREAD_0 + lane] + h * w[DAY_SPREAD_1 + lane]


@device
def train_profiles(
    w: Array, lane: int, rates: Rates, now: Now, is_on: bool, weight: float, days: float
) -> None:
    """Evidence of the nested predictions, then their knots; shares of a visit so that spans are alike.

    ``r0`` is the value less the line, z2 = z^2 min(1, spread share), D and W as predicted, w the
    training weight, h the weight of a knot, u = 1 / (h^2 + (1 - h)^2), so that the interpolated
    value moves by the whole gain::

        r1 = r0 - D,  r2 = r1 - W
        E0, E1, E2    += RATE_GATE w (min(|r0|, |r1|, |r2| each, 5 sd_r)^2 - E)
        day knots     a = DAY_SHARE w h;  visits <- min(visits + a, 10), then
                      mean += a / (visits + 0.5) u r1,  spread += a / (visits + 6) (min(z2, 16) - spread)
        week knots    mean += WEEK_SHARE w h / (1.5 + min(days / 7, 5)) u r2

    A series has knots to train once it is SEASONAL: from a count of SEASON_VALUES on, if the level
    alone ever was wrong.
    """
    r0 = w[Y + lane] - w[LINE + lane]
    r1 = r0 - w[DAY + lane]
    r2 = r1 - w[WEEK + lane]
    rate = rates.gate * weight
    most = 5.0 * w[SD_R + lane]
    train_error(w, ERROR_LEVEL + lane, is_on, rate, min(abs(r0), most))
    train_error(w, ERROR_DAY + lane, is_on, rate, min(abs(r1), most))
    train_error(w, ERROR_WEEK + lane, is_on, rate, min(abs(r2), most))
    h = now.day_weight
    inverse = 1.0 / (1.0 - 2.0 * h * (1.0 - h))
    is_seasonal = is_on and w[SEASONAL + lane] > 0.0
    share = rates.day_share * weight
    z2 = min(w[Z + lane] * w[Z + lane] * min(1.0, w[SPREAD + lane]), 16.0) - 1.0
    is_daily = is_seasonal and rates.day_share > 0.0
    train_knot(w, DAY_MEAN_0, DAY_VISITS_0, DAY_SPREAD_0, lane, is_daily, share * (1.0 - h), r1 * inverse, z2)
    train_knot(w, DAY_MEAN_1, DAY_VISITS_1, DAY_SPREAD_1, lane, is_daily, share * h, r1 * inverse, z2)
    v = now.week_weight
    inverse = 1.0 / (1.0 - 2.0 * v * (1.0 - v))
    gain = rates.week_share * weight * inverse / (1.5 + min(days * (1.0 / 7.0), 5.0)) * r2
    is_weekly = is_seasonal and rates.week_share > 0.0
    put(w, WEEK_0 + lane, is_weekly, rounded(w[WEEK_0 + lane] + gain * (1.0 - v)))
    put(w, WEEK_1 + lane, is_weekly, rounded(w[WEEK_1 + lane] + gain * v))


@device
def train_error(w: Array, at: int, is_on: bool, rate: float, error: float) -> None:
    """One discounted squared error."""
    put(w, at, is_on, w[at] + rate * (error * error - w[at]))


@device
def train_knot(
    w: Array,
    mean: int,
    visits: int,
    spread: int,
    lane: int,
    is_on: bool,
    share: float,
    error: float,
    z2: float,
) -> None:
    """One day knot: its mean, visits so far (at most 10 count) and share of variance, less 1."""
    seen = min(w[visits + lane] + share, 10.0)
    share /= (seen + 0.5) * (seen + 6.0)
    put(w, visits + lane, is_on, rounded(seen))
    put(w, mean + lane, is_on, rounded(w[mean + lane] + share * (seen + 6.0) * error))
    put(w, spread + lane, is_on, rounded(w[spread + lane] + share * (seen + 0.5) * (z2 - w[spread + lane])))


@device
def begin_shape(
    w: Array, lane: int, pages: Array, page: int, settings: Array, knot: int, weight: float
) -> None:
    """A new series begins with the day of its siblings, if its values are roots.

    With s the shape, y the first value, S^2 the mean of the squared s and a = PRIOR_SPREAD level / 2::

        level    y / (1 + s(phase)),  unless 1 + s(phase) < 0.1: then the series begins without
        D        s level, each knot visited BORROWED times
        E0, E1   (level S)^2 + a^2,  (1 - AGREEMENT) (level S)^2 + a^2
    """
    following = settings[SHAPE + after(knot, DAY_KNOTS)]
    factor = 1.0 + (1.0 - weight) * settings[SHAPE + knot] + weight * following
    if factor < 0.1 or w[NON_NEGATIVE + lane] == 0.0:
        return
    level = w[LEVEL + lane] / factor
    square = 0.0
    for k in range(DAY_KNOTS):
        square += settings[SHAPE + k] * settings[SHAPE + k]
        pages[np.uint64(page + (PAGE_MEAN + k) * LANES) + lane] = settings[SHAPE + k] * level
        pages[np.uint64(page + (PAGE_VISITS + k) * LANES) + lane] = BORROWED
    square *= level * level / DAY_KNOTS
    noise = 0.5 * settings[PRIOR_SPREAD] * level
    w[LEVEL + lane] = level
    w[SEASONAL + lane] = 1.0
    w[ERROR_LEVEL + lane] = square + noise * noise
    w[ERROR_DAY + lane] = (1.0 - settings[AGREEMENT]) * square + noise * noise
    w[ERROR_WEEK + lane] = w[ERROR_DAY + lane]


@device
def wants_profiles(w: Array, lane: int) -> bool:
    """Whether a plain series has become one with profiles."""
    wants: bool = (
        w[SEASONAL + lane] == 0.0 and w[COUNT + lane] >= SEASON_VALUES and w[ERROR_LEVEL + lane] > 0.0
    )
    return wants
