"""Events and scores: how an error compares with the largest past events of its series.

A history keeps the magnitudes of the EVENT_SLOTS largest past events; a series has two, of the
error of a bucket and of its moving mean over EVENT_WINDOW buckets, both in the values' own
unit. With x the magnitude in means of the history::

    score        min(absolute(p), 100 x^2 / (EVENT_HALF + x^2)), less for a series younger than two days
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.elementary import exp
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    EVENT_MAX,
    EVENT_MEAN,
    EVENT_SINGLE,
    EVENT_SLOT,
    EVENT_SLOTS,
    EVENT_START,
    EVENT_SUM,
    FIRST,
    KEPT_MEAN,
    LANES,
    LOG_P,
    MEAN_ERROR,
    MEAN_EVENT,
    MEAN_KEEP,
    SCORE,
    SINGLE_EVENT,
    TINY,
    Rates,
    decay,
    put,
)

Array = Any

EVENT_WINDOW = 6.0  # of the moving mean that events are measured by
EVENT_OPENS = 0.7  # a magnitude above this share of the reference opens an event
EVENT_REPEAT = 1.1  # within an event only 10% more than its maximum scores in full,
EVENT_ECHO = 0.05  # all else at this share, and beside the event itself
EVENT_MEAN_SHARE = 0.95  # the moving mean counts for less than a single bucket
EVENT_HALF = 3.0  # squared magnitude, in references, that may score 50
ABSOLUTE_HALF = 20.0  # squared -ln p that may score 50
REFRACTORY = 40.0  # buckets an event lasts at most
LOG_KEEP = -0.005012541823544286  # ln of what slots keep per day, 0.995: half in 140 days
EVENT_FADES = 7.0  # days without an event after which the slots are decayed all the same


@device
def absolute_score(s: float) -> float:
    """The most a p = exp(-s) can score, 100 s^2 / (20 + s^2): 0.01 51, 0.001 70, 1e-4 81, 1e-10 96."""
    square = min(s, 1e100)
    square *= square
    return 100.0 * square / (ABSOLUTE_HALF + square)


@device
def relative_score(ratio: float) -> float:
    """The most an event of this size, in means of the worst past events, can score."""
    square = min(ratio, 1e100)
    square *= square
    return 100.0 * square / (EVENT_HALF + square)


@device
def measure_event(w: Array, lane: int, rates: Rates, is_on: bool, gap: float, error: float) -> None:
    """The magnitudes of this bucket: of its error, and of the moving mean of errors.

    Both |error| and |mean|, or the part on the side asked for::

        mean <- MEAN_KEEP^gap mean + error / EVENT_WINDOW
    """
    mean = decay(w[KEPT_MEAN + lane], MEAN_KEEP, gap) * w[MEAN_ERROR + lane] + error * (1.0 / EVENT_WINDOW)
    put(w, MEAN_ERROR + lane, is_on, mean)
    w[SINGLE_EVENT + lane] = abs(error) if rates.side == 0.0 else max(rates.side * error, 0.0)
    w[MEAN_EVENT + lane] = abs(mean) if rates.side == 0.0 else max(rates.side * mean, 0.0)


@device
def weigh_usual(
    w: Array, lane: int, history: int, size: int, rates: Rates, is_on: bool, clock: float
) -> bool:
    """What `weigh_event` does where no event opens or ends and nothing fades; True where one does."""
    x, largest = w[size + lane], w[history + EVENT_MAX + lane]
    since = clock - w[history + EVENT_START + lane]
    is_open = largest > 0.0
    opens = x * EVENT_SLOTS > EVENT_OPENS * w[history + EVENT_SUM + lane]
    is_rare = since > REFRACTORY if is_open else opens or since * rates.days >= EVENT_FADES
    counts = x * (EVENT_ECHO if is_open and x < EVENT_REPEAT * largest else 1.0)
    put(w, history + EVENT_MAX + lane, is_on and is_open and not is_rare and x > largest, x)
    put(w, size + lane, is_on and not is_rare, counts)
    return is_on and is_rare


@device
def weigh_event(w: Array, lane: int, history: int, size: int, rates: Rates, clock: float) -> None:
    """The share of the magnitude that counts for the score; then the magnitude enters the history.

    An event opens when x passes EVENT_OPENS of the mean of the past events and lasts REFRACTORY
    buckets; only its maximum is remembered, in the smallest slot if larger, at the first x after
    that. Within it all that does not exceed the maximum before it by 10% is an echo and counts for
    EVENT_ECHO, in means of the history or in maxima of the event, whichever are larger. The slots
    fade, by 0.5% per day since EVENT_START, when an event opens, and by themselves at the first x
    that is EVENT_FADES days after it; EVENT_START is moved on both times.
    """
    x, largest = w[size + lane], w[history + EVENT_MAX + lane]
    if largest > 0.0 and clock - w[history + EVENT_START + lane] > REFRACTORY:
        close_event(w, lane, history, largest)
        largest = 0.0
    if largest > 0.0:
        if x > largest:
            w[history + EVENT_MAX + lane] = x
        if x < EVENT_REPEAT * largest:
            w[size + lane] = x * EVENT_ECHO
        return
    days = (clock - w[history + EVENT_START + lane]) * rates.days
    if days >= EVENT_FADES:
        fade_events(w, lane, history, days)
        w[history + EVENT_START + lane] = clock
    if x * EVENT_SLOTS > EVENT_OPENS * w[history + EVENT_SUM + lane]:
        fade_events(w, lane, history, (clock - w[history + EVENT_START + lane]) * rates.days)
        w[history + EVENT_START + lane] = clock
        w[history + EVENT_MAX + lane] = x


@device
def fade_events(w: Array, lane: int, history: int, days: float) -> None:
    """Decays all slots by the days since EVENT_START, which the caller then moves on."""
    keep = exp(min(days, 3650.0) * LOG_KEEP)
    for k in range(EVENT_SLOTS):
        w[history + EVENT_SLOT + np.uint64(k * LANES) + lane] *= keep
    w[history + EVENT_SUM + lane] *= keep


@device
def close_event(w: Array, lane: int, history: int, largest: float) -> None:
    """Puts a finished event into the smallest slot if it is larger."""
    first = history + EVENT_SLOT + lane
    least = first
    for k in range(EVENT_SLOTS):
        if w[first + np.uint64(k * LANES)] < w[least]:
            least = first + np.uint64(k * LANES)
    if largest > w[least]:
        w[least] = largest
    total = 0.0
    for k in range(EVENT_SLOTS):
        total += w[first + np.uint64(k * LANES)]
    w[history + EVENT_SUM + lane] = total
    w[history + EVENT_MAX + lane] = 0.0


@device
def share_of_past(w: Array, lane: int, history: int, size: int) -> float:
    """A magnitude, as far as it counts, in means of the slots of its history; an echo in its event at least.

    An echo is what is below half of an open event's maximum: EVENT_ECHO sees to that.
    """
    x, largest = w[size + lane], w[history + EVENT_MAX + lane]
    past = w[history + EVENT_SUM + lane]
    if x < 0.5 * largest:
        past = max(past, EVENT_SLOTS * largest)
    share: float = x * EVENT_SLOTS / max(past, TINY)
    return share


@device
def set_score(w: Array, lane: int, rates: Rates, clock: float) -> None:
    """The score: the smaller of what p allows and what the past events of the series allow.

    Of the magnitudes as far as they count, `share_of_past`, x = max(single, EVENT_MEAN_SHARE mean). Of a
    series that has not yet seen two days, and so no season, the score counts for a third, and more by the
    hour.
    """
    single = share_of_past(w, lane, EVENT_SINGLE, SINGLE_EVENT)
    mean = share_of_past(w, lane, EVENT_MEAN, MEAN_EVENT)
    relative = relative_score(max(single, EVENT_MEAN_SHARE * mean))
    trusted = min((1.0 + (clock - w[FIRST + lane]) * rates.days) * (1.0 / 3.0), 1.0)
    w[SCORE + lane] = trusted * min(absolute_score(-w[LOG_P + lane]), relative)
