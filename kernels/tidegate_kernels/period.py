"""Any other period: found in the residuals of a series, learned like the week, dropped if it fails.

While none is known, the residuals fill a ring of RING slots, each the mean of z over A buckets, z the
clipped standardised residual of what day and week foretell, 0 for a bucket without a value::

    A = 1, 2, 4, ...     when the ring is full and no period is in it, its pairs are averaged and A doubles;
                         after LONGEST_SLOT buckets a slot it begins anew
    `search`             a lag at which the ring is like itself, and at all its multiples too

What is found takes the place of the ring in the page, rounded to float32 at every step::

    P            n knots, one a bucket for a whole period up to PERIOD_KNOTS; linear between them
    phase        (bucket - ORIGIN) mod PERIOD
    evidence     discounted clipped squared errors of all else without P and with it
    gate         g3 by both errors and the periods seen after the first
    review       once a period: PERIOD is tuned; from 8 periods and 2 RING buckets on it must have a
                 gate of LEAST_USE, or the search begins anew

Series of a block have periods and phases of their own: all this is done lane by lane, for those that
have one, and but for the sum of the slot it is rare for the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.elementary import floor
from tidegate_kernels.profile import gate
from tidegate_kernels.registry import device
from tidegate_kernels.search import search
from tidegate_kernels.state import (
    ALL_LANES,
    IS_LEARNED,
    IS_ON,
    LANES,
    PAGE_KNOTS,
    PAGE_LEAD,
    PAGE_PERIOD,
    PAGE_RING,
    PAGE_STEEP,
    PAGE_WITH,
    PAGE_WITHOUT,
    PERIOD,
    PERIOD_DUE,
    PERIOD_KNOTS,
    PERIOD_ORIGIN,
    PERIOD_PART,
    PERIOD_SINCE,
    RING,
    RING_SUM,
    SD_R,
    SEASONAL,
    SLOT,
    WEIGHT,
    ZERO_SHARE,
    R,
    Rates,
    Z,
    rounded,
)

Array = Any

RING_CLIP = 4.0  # of z
LONGEST_SLOT = 64.0  # buckets
LEAST_USE = 0.2
MOST_PERIODS = 20.0  # that count for the gain of a knot
LEAST_REVIEW = 16.0  # buckets
SLOW = 3.0  # memories of the level: it would follow a slower wave, and mistake its phase
NEAR = 0.03


@device
def place(page: int, row: int, lane: int) -> Any:
    """Where a lane has a row of a page."""
    return np.uint64(page + row * LANES) + lane


@device
def phase_of(w: Array, lane: int, bucket: int) -> float:
    """(bucket - ORIGIN) mod PERIOD: in buckets, 0 up to the period."""
    period, after = w[PERIOD + lane], bucket - w[PERIOD_ORIGIN + lane]
    phase: float = min(max(after - floor(after / period) * period, 0.0), period)
    return phase


@device
def read_period(
    w: Array, lane: int, book: Array, page: int, bucket: int
) -> tuple[int, int, float, float, float, float]:
    """Where the knots around the phase are, the weight h of the second, knots in a bucket, and both knots."""
    n = np.float64(book[place(page, PAGE_KNOTS, lane)])
    density = n / w[PERIOD + lane]
    at = phase_of(w, lane, bucket) * density
    knot = floor(at)
    first = int(knot) if knot < n else 0
    second = first + 1 if first + 1 < int(n) else 0
    first, second = place(page, PAGE_PERIOD + first, lane), place(page, PAGE_PERIOD + second, lane)
    return first, second, at - knot, density, np.float64(book[first]), np.float64(book[second])


@device
def use_of_period(w: Array, lane: int, book: Array, page: int, clock: float) -> float:
    """g3: how far the period is used; the first since it was found does not count."""
    periods = (clock - w[PERIOD_SINCE + lane]) / w[PERIOD + lane] - 1.0
    without = np.float64(book[place(page, PAGE_WITHOUT, lane)])
    use = gate(without, np.float64(book[place(page, PAGE_WITH, lane)]), periods)
    return use if periods > 0.0 else 0.0


@device
def foretell_periods(w: Array, book: Array, page: int, bucket: int, clock: float, is_plotted: bool) -> None:
    """PERIOD_PART = g3 P of the lanes that have a period and need it."""
    n_periods = 0
    for lane in range(ALL_LANES):
        n_periods += 1 if w[PERIOD + lane] > 0.0 else 0
    if n_periods > 0:
        for lane in range(ALL_LANES):
            if w[PERIOD + lane] > 0.0 and (w[IS_ON + lane] > 0.0 or is_plotted):
                _, _, h, _, before, after = read_period(w, lane, book, page, bucket)
                use = use_of_period(w, lane, book, page, clock)
                w[PERIOD_PART + lane] = use * ((1.0 - h) * before + h * after)


@device
def learns(w: Array, lane: int) -> bool:
    """Whether a lane learns its period from this bucket."""
    does: bool = w[IS_ON + lane] > 0.0 and w[IS_LEARNED + lane] > 0.0 and w[SEASONAL + lane] > 0.0
    return does


@device
def learn_periods(w: Array, book: Array, page: int, rates: Rates, bucket: int, clock: float) -> None:
    """After the training of everything else: what is due, then z into the slots, or the knots."""
    n_due = n_periods = 0
    # One loop, written out: shorter ones are unrolled before they are made vector code.
    for lane in range(ALL_LANES):
        is_on = w[IS_ON + lane] * w[IS_LEARNED + lane] * w[SEASONAL + lane] > 0.0
        is_due = is_on and clock >= w[PERIOD_DUE + lane]
        z = min(max(w[Z + lane], -RING_CLIP), RING_CLIP)
        w[RING_SUM + lane] += z if is_on and not is_due and w[PERIOD + lane] < 0.0 else 0.0
        n_due += 1 if is_due else 0
        n_periods += 1 if w[PERIOD + lane] > 0.0 else 0
    if n_due > 0:
        for lane in range(ALL_LANES):
            if learns(w, lane) and clock >= w[PERIOD_DUE + lane]:
                turn(w, lane, book, page, rates, bucket, clock)
                if w[PERIOD + lane] < 0.0:
                    w[RING_SUM + lane] += min(max(w[Z + lane], -RING_CLIP), RING_CLIP)
    if n_periods + n_due > 0:
        for lane in range(ALL_LANES):
            if w[PERIOD + lane] > 0.0 and learns(w, lane):
                train_period(w, lane, book, page, rates, bucket, clock)


@device
def train_period(
    w: Array, lane: int, book: Array, page: int, rates: Rates, bucket: int, clock: float
) -> None:
    """Evidence, then the knots, with what all else leaves, r0 = r + g3 P, and r1 = r0 - P::

    errors         += RATE_GATE w (min(|r0|, |r1| each, 5 sd_r)^2 - error)
    LEAD, STEEP    += w P' min(|r1|, 5 sd_r) sign(r1),  w P'^2
                      P' the slope beyond the second knot, which this visit has not moved yet
    knots          += min(n / PERIOD, 1) w h g u r1, g the gain (`period_gain`)
    """
    first, second, h, density, before, after = read_period(w, lane, book, page, bucket)
    weight = w[WEIGHT + lane] * w[ZERO_SHARE + lane]
    rest = w[R + lane] + w[PERIOD_PART + lane]
    error = rest - ((1.0 - h) * before + h * after)
    most, rate = 5.0 * w[SD_R + lane], rates.gate * weight
    move_error(book, place(page, PAGE_WITHOUT, lane), rate, min(abs(rest), most))
    move_error(book, place(page, PAGE_WITH, lane), rate, min(abs(error), most))
    steep = slope_beyond(book, page, lane, second, after) * density
    add(book, place(page, PAGE_LEAD, lane), weight * steep * min(max(error, -most), most))
    add(book, place(page, PAGE_STEEP, lane), weight * steep * steep)
    visit = min(density, 1.0) * weight * period_gain(w, lane, clock, density)
    gain = visit / (1.0 - 2.0 * h * (1.0 - h)) * error
    add(book, first, gain * (1.0 - h))
    add(book, second, gain * h)


@device
def slope_beyond(book: Array, page: int, lane: int, knot: int, value: float) -> float:
    """By how much the profile rises from a knot, whose value is given, to the next."""
    n = int(book[place(page, PAGE_KNOTS, lane)])
    following: Any = knot + np.uint64(LANES)
    is_last = following >= place(page, PAGE_PERIOD + n, lane)
    rise: float = np.float64(book[place(page, PAGE_PERIOD, lane) if is_last else following]) - value
    return rise


@device
def period_gain(w: Array, lane: int, clock: float, density: float) -> float:
    """Of a knot, for a whole visit: 1 / (1.5 + 0.4 min(periods, MOST_PERIODS min(n / PERIOD, 1))).

    A visit of many buckets knows more. The level follows a slow wave until the profile has it, so that
    this learns longer than a mean would.
    """
    periods = min((clock - w[PERIOD_SINCE + lane]) / w[PERIOD + lane], MOST_PERIODS * min(density, 1.0))
    gain: float = 1.0 / (1.5 + 0.4 * periods)
    return gain


@device
def add(book: Array, at: int, x: float) -> None:
    """Adds to a number of a page."""
    book[at] = rounded(np.float64(book[at]) + x)


@device
def move_error(book: Array, at: int, rate: float, error: float) -> None:
    """One discounted squared error of a page."""
    add(book, at, rate * (error * error - np.float64(book[at])))


@device
def turn(w: Array, lane: int, book: Array, page: int, rates: Rates, bucket: int, clock: float) -> None:
    """What is due: the search begins, a slot is full, or the period is put to the test."""
    period = w[PERIOD + lane]
    if period < 0.0:
        fill_slot(w, lane, book, page)
        next_slot(w, lane, book, page, rates, bucket, clock)
    elif period > 0.0 and (
        clock - w[PERIOD_SINCE + lane] < max(8.0 * period, 2.0 * RING)
        or use_of_period(w, lane, book, page, clock) >= LEAST_USE
    ):
        tune(w, lane, book, page, rates, bucket, clock)
        w[PERIOD_DUE + lane] = clock + max(period, LEAST_REVIEW)
    else:
        begin_ring(w, lane, book, page, clock)


@device
def tune(w: Array, lane: int, book: Array, page: int, rates: Rates, bucket: int, clock: float) -> None:
    """Corrects a period that is not whole, nor too slow for the level; the phase of this bucket stays.

    LEAD / STEEP is how many buckets the series is ahead of its profile, which keeps up with it by the gain g
    a period, so that it loses g times that every period::

        PERIOD    -= g / 2 LEAD / STEEP, at most 1% of it; not after the first period, which had no profile
    """
    period, n = w[PERIOD + lane], np.float64(book[place(page, PAGE_KNOTS, lane)])
    lead = np.float64(book[place(page, PAGE_LEAD, lane)])
    steep = np.float64(book[place(page, PAGE_STEEP, lane)])
    is_seen = clock - w[PERIOD_SINCE + lane] > 1.5 * period
    if period != n and period * rates.level < SLOW and is_seen and steep > 0.0:
        step = 0.5 * period_gain(w, lane, clock, n / period) * lead / steep
        tuned = period - min(max(step, -0.01 * period), 0.01 * period)
        phase = phase_of(w, lane, bucket)
        w[PERIOD + lane] = tuned
        w[PERIOD_ORIGIN + lane] = bucket - phase * (tuned / period)
    book[place(page, PAGE_LEAD, lane)] = 0.0
    book[place(page, PAGE_STEEP, lane)] = 0.0


@device
def begin_ring(w: Array, lane: int, book: Array, page: int, clock: float) -> None:
    """An empty ring with slots of one bucket."""
    for k in range(RING):
        book[place(page, PAGE_RING + k, lane)] = 0.0
    w[PERIOD + lane] = -1.0
    w[PERIOD_SINCE + lane] = clock
    w[PERIOD_DUE + lane] = clock + 1.0
    w[RING_SUM + lane] = 0.0


@device
def fill_slot(w: Array, lane: int, book: Array, page: int) -> None:
    """Puts the mean of the slot that is over into the ring."""
    span = -w[PERIOD + lane]
    slot = int((w[PERIOD_DUE + lane] - w[PERIOD_SINCE + lane]) / span) - 1
    book[place(page, PAGE_RING + slot, lane)] = rounded(w[RING_SUM + lane] / span)
    w[RING_SUM + lane] = 0.0


@device
def next_slot(w: Array, lane: int, book: Array, page: int, rates: Rates, bucket: int, clock: float) -> None:
    """Goes on with the slot of this bucket; where the ring is full, with what is found, or longer slots."""
    while clock >= w[PERIOD_SINCE + lane] - w[PERIOD + lane] * RING:
        span = -w[PERIOD + lane]
        for k in range(RING):
            w[SLOT + np.uint64(k)] = book[place(page, PAGE_RING + k, lane)]
        found = search(w, span)
        if found > 0.0 and not is_calendar(found, rates):
            begin_period(w, lane, book, page, found, bucket, clock)
            return
        if span >= LONGEST_SLOT:
            begin_ring(w, lane, book, page, clock)
            return
        halve(book, page, lane)
        w[PERIOD + lane] = -2.0 * span
    span, since = -w[PERIOD + lane], w[PERIOD_SINCE + lane]
    w[PERIOD_DUE + lane] = since + (floor((clock - since) / span) + 1.0) * span


@device
def halve(book: Array, page: int, lane: int) -> None:
    """Averages the pairs of the ring into its first half; the second is empty."""
    for k in range(RING // 2):
        first = np.float64(book[place(page, PAGE_RING + 2 * k, lane)])
        second = np.float64(book[place(page, PAGE_RING + 2 * k + 1, lane)])
        book[place(page, PAGE_RING + k, lane)] = rounded(0.5 * (first + second))
    for k in range(RING // 2, RING):
        book[place(page, PAGE_RING + k, lane)] = 0.0


@device
def is_calendar(period: float, rates: Rates) -> bool:
    """Whether a profile has the period already: within 3% a day, 1/2 to 1/4 of it, or a week."""
    days = period * rates.days
    daily = False
    for parts in range(1, 5):
        daily = daily or abs(days * parts - 1.0) < NEAR
    is_known: bool = (daily and rates.day_share > 0.0) or (
        abs(days - 7.0) < 7.0 * NEAR and rates.week_share > 0.0
    )
    return is_known


@device
def begin_period(
    w: Array, lane: int, book: Array, page: int, period: float, bucket: int, clock: float
) -> None:
    """A new period: nothing is known of its profile."""
    for k in range(PERIOD_KNOTS):
        book[place(page, PAGE_PERIOD + k, lane)] = 0.0
    for row in (PAGE_WITHOUT, PAGE_WITH, PAGE_LEAD, PAGE_STEEP):
        book[place(page, row, lane)] = 0.0
    book[place(page, PAGE_KNOTS, lane)] = min(max(floor(period + 0.5), 2.0), float(PERIOD_KNOTS))
    w[PERIOD + lane] = period
    w[PERIOD_SINCE + lane] = clock
    w[PERIOD_DUE + lane] = clock + max(period, LEAST_REVIEW)
    w[PERIOD_ORIGIN + lane] = bucket
