"""Day of the month and season of the year: profiles of long histories, for all series of a block at once.

M is a knot for each day of the month in UTC; Y is a ring of knots over the tropical year, linear between
them. Each is learned from what all else leaves, with what is used of it (MONTH_PART, YEAR_PART) put back::

    r0           r + g M,   r1 = r0 - M,    Y alike, both within MOST deviations
    evidence     E without and with it, from the second period on: += gain (r0^2 or r1^2 - E)
    gates        g4 from two months on by the months after the first, g5 alike by the years after the first
    knots        += min(visit / (0.25 + periods), 0.7) r1, visit the share of a bucket in a knot

What comes once a month is too rare for the training weights of the model: here they are 1, and what
is far off is clipped. Knots and errors are rounded to float32, as those of `profile`.
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.profile import after, copy_row, gate
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    ALL_LANES,
    FIRST,
    IS_LEARNED,
    IS_ON,
    LANES,
    MONTH,
    MONTH_PART,
    MONTH_WITH,
    MONTH_WITHOUT,
    PAGE_LONG_ERRORS,
    PAGE_MONTH,
    PAGE_YEAR,
    SD_R,
    SEASONAL,
    YEAR_0,
    YEAR_1,
    YEAR_KNOTS,
    YEAR_PART,
    YEAR_WITH,
    YEAR_WITHOUT,
    ZERO_SHARE,
    Now,
    R,
    Rates,
    put,
    rounded,
)

Array = Any

ALMANAC_AT = int(MONTH)
MONTH_DAYS, YEAR_DAYS = 30.436875, 365.2421990740741
KNOT_DAYS = YEAR_DAYS / YEAR_KNOTS
MOST = 20.0  # sd_r
MEMORY = 3.0  # months, or years, of the evidence
MOST_MONTHS, MOST_YEARS = 5.0, 3.0  # that count for the gain of a knot


@device
def bring_almanac(w: Array, pages: Array, page: int, month_knot: int, year_knot: int) -> None:
    """Copies the knots at a date, and the evidence, to the work space, in the order that it has them."""
    year = page + PAGE_YEAR * LANES
    copy_row(pages, page + (PAGE_MONTH + month_knot) * LANES, w, ALMANAC_AT)
    copy_row(pages, year + year_knot * LANES, w, ALMANAC_AT + LANES)
    copy_row(pages, year + after(year_knot, YEAR_KNOTS) * LANES, w, ALMANAC_AT + 2 * LANES)
    for k in range(4):
        copy_row(pages, page + (PAGE_LONG_ERRORS + k) * LANES, w, ALMANAC_AT + (3 + k) * LANES)


@device
def keep_almanac(w: Array, pages: Array, page: int, month_knot: int, year_knot: int) -> None:
    """Copies the knots at a date, and the evidence, back to the page."""
    year = page + PAGE_YEAR * LANES
    copy_row(w, ALMANAC_AT, pages, page + (PAGE_MONTH + month_knot) * LANES)
    copy_row(w, ALMANAC_AT + LANES, pages, year + year_knot * LANES)
    copy_row(w, ALMANAC_AT + 2 * LANES, pages, year + after(year_knot, YEAR_KNOTS) * LANES)
    for k in range(4):
        copy_row(w, ALMANAC_AT + (3 + k) * LANES, pages, page + (PAGE_LONG_ERRORS + k) * LANES)


@device
def year_of(w: Array, lane: int, now: Now) -> float:
    """Y between two knots."""
    v = now.year_weight
    value: float = (1.0 - v) * w[YEAR_0 + lane] + v * w[YEAR_1 + lane]
    return value


@device
def foretell_almanac(w: Array, rates: Rates, now: Now) -> None:
    """MONTH_PART = g4 M and YEAR_PART = g5 Y."""
    for lane in range(ALL_LANES):
        days = (now.clock - w[FIRST + lane]) * rates.days
        months, years = days * (1.0 / MONTH_DAYS), days * (1.0 / YEAR_DAYS)
        use = gate(w[MONTH_WITHOUT + lane], w[MONTH_WITH + lane], months - 1.0)
        w[MONTH_PART + lane] = use * w[MONTH + lane] if months >= 2.0 else 0.0
        use = gate(w[YEAR_WITHOUT + lane], w[YEAR_WITH + lane], years - 1.0)
        w[YEAR_PART + lane] = use * year_of(w, lane, now) if years >= 1.0 else 0.0


@device
def learn_almanac(w: Array, rates: Rates, now: Now) -> None:
    """Evidence, then the knots, after the training of everything else."""
    v = now.year_weight
    inverse = 1.0 / (1.0 - 2.0 * v * (1.0 - v))
    daily = min(rates.days, 1.0)
    yearly = min(rates.days * (1.0 / KNOT_DAYS), 1.0)
    month_rate = min(rates.days * (1.0 / (MEMORY * MONTH_DAYS)), 0.5)
    year_rate = min(rates.days * (1.0 / (MEMORY * YEAR_DAYS)), 0.5)
    for lane in range(ALL_LANES):
        is_on = w[IS_ON + lane] > 0.0 and w[IS_LEARNED + lane] > 0.0 and w[SEASONAL + lane] > 0.0
        days = (now.clock - w[FIRST + lane]) * rates.days
        months, years = days * (1.0 / MONTH_DAYS), days * (1.0 / YEAR_DAYS)
        share, most = w[ZERO_SHARE + lane], MOST * w[SD_R + lane]
        rest = w[R + lane] + w[MONTH_PART + lane]
        error = rest - w[MONTH + lane]
        is_seen = is_on and months >= 1.0
        move_error(w, MONTH_WITHOUT + lane, is_seen, share * month_rate, min(abs(rest), most))
        move_error(w, MONTH_WITH + lane, is_seen, share * month_rate, min(abs(error), most))
        gain = share * min(daily / (0.25 + min(months, MOST_MONTHS)), 0.7)
        step = gain * min(max(error, -most), most)
        put(w, MONTH + lane, is_on, rounded(w[MONTH + lane] + step))
        rest = w[R + lane] + w[YEAR_PART + lane]
        error = rest - year_of(w, lane, now)
        is_seen = is_on and years >= 1.0
        move_error(w, YEAR_WITHOUT + lane, is_seen, share * year_rate, min(abs(rest), most))
        move_error(w, YEAR_WITH + lane, is_seen, share * year_rate, min(abs(error), most))
        gain = share * min(yearly / (0.25 + min(years, MOST_YEARS)), 0.7) * inverse
        step = gain * min(max(error, -most), most)
        put(w, YEAR_0 + lane, is_on, rounded(w[YEAR_0 + lane] + step * (1.0 - v)))
        put(w, YEAR_1 + lane, is_on, rounded(w[YEAR_1 + lane] + step * v))


@device
def move_error(w: Array, at: int, is_on: bool, rate: float, error: float) -> None:
    """One discounted squared error of a page."""
    put(w, at, is_on, rounded(w[at] + rate * (error * error - w[at])))
