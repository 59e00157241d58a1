"""Events and scores: how an error compares with the largest past events of its series.

A history keeps the magnitudes of the EVENT_SLOTS largest past events; a series has two, of the
error of a bucket and of its moving mean over EVENT_WINDOW buckets, both in the values' own
unit. With x the magnitude in means of the history::

    score        min(absolute(p), 100 x^2 / (EVENT_HALF + x^2))
"""

from __future__ import annotations

import math
from typing import Any

from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    DAYS,
    EVENT_MAX,
    EVENT_MEAN,
    EVENT_SINGLE,
    EVENT_SLOT,
    EVENT_SLOTS,
    EVENT_START,
    EVENT_SUM,
    LOG_P,
    MEAN_ERROR,
    SCORE,
    TINY,
    Moment,
    decay_power,
)

Array = Any

EVENT_WINDOW = 6.0  # of the moving mean that events are measured by
EVENT_KEEPS_MEAN = 1.0 - 1.0 / EVENT_WINDOW
EVENT_OPENS = 0.7  # a magnitude above this share of the reference opens an event
EVENT_REPEAT = 1.2  # within an event only 20% more than its maximum scores in full,
EVENT_ECHO = 0.3  # all else at this share
EVENT_MEAN_SHARE = 0.85  # the moving mean counts for less than a single bucket
EVENT_HALF = 3.0  # squared magnitude, in references, that may score 50
REFRACTORY = 60.0  # buckets an event lasts at most
EVENT_KEEP = 0.995  # slots keep this per day: half in 140 days
EVENT_FADES = 7.0  # days without an event after which the slots are decayed all the same


@device
def absolute_score(s: float) -> float:
    """The most a p = exp(-s) can score: 0.01 30, 0.001 63, 1e-4 90, then slowly towards 100."""
    if s <= 2.995732273553991:
        return 5.0 * s / 2.995732273553991
    if s <= 9.210340371976182:
        return 5.0 + 85.0 * (s - 2.995732273553991) / 6.214608098422191
    return 100.0 - 92.10340371976182 / s


@device
def relative_score(ratio: float) -> float:
    """The most an event of this size, in means of the worst past events, can score."""
    square = min(ratio, 1e100)
    square *= square
    return 100.0 * square / (EVENT_HALF + square)


@device
def weigh_event(state: Array, history: int, work: Array, clock: float, x: float) -> float:
    """The share of x that counts for the score; then x enters the history.

    An event opens when x passes EVENT_OPENS of the mean of the past events and lasts REFRACTORY
    buckets; only its maximum is remembered, in the smallest slot if larger, at the first x after
    that. Within it all that does not exceed the maximum before it by 20% is an echo and counts for
    EVENT_ECHO. The slots fade, by EVENT_KEEP per day since EVENT_START, when an event opens, and by
    themselves at the first x that is EVENT_FADES days after it; EVENT_START is moved on both times.
    """
    largest = state[history + EVENT_MAX]
    if largest > 0.0 and clock - state[history + EVENT_START] > REFRACTORY:
        close_event(state, history, largest)
        largest = 0.0
    if largest > 0.0:
        if x > largest:
            state[history + EVENT_MAX] = x
        return x if x >= EVENT_REPEAT * largest else x * EVENT_ECHO
    days = (clock - state[history + EVENT_START]) * work[DAYS]
    if days >= EVENT_FADES:
        fade_events(state, history, days)
        state[history + EVENT_START] = clock
    if x * EVENT_SLOTS > EVENT_OPENS * state[history + EVENT_SUM]:
        fade_events(state, history, (clock - state[history + EVENT_START]) * work[DAYS])
        state[history + EVENT_START] = clock
        state[history + EVENT_MAX] = x
    return x


@device
def fade_events(state: Array, history: int, days: float) -> None:
    """Decays all slots by the days since EVENT_START, which the caller then moves on."""
    keep = math.exp(min(days, 3650.0) * math.log(EVENT_KEEP))
    for k in range(history + EVENT_SLOT, history + EVENT_SLOT + EVENT_SLOTS):
        state[k] *= keep
    state[history + EVENT_SUM] *= keep


@device
def close_event(state: Array, history: int, largest: float) -> None:
    """Puts a finished event into the smallest slot if it is larger."""
    least = history + EVENT_SLOT
    for k in range(history + EVENT_SLOT, history + EVENT_SLOT + EVENT_SLOTS):
        if state[k] < state[least]:
            least = k
    if largest > state[least]:
        state[least] = largest
    total = 0.0
    for k in range(history + EVENT_SLOT, history + EVENT_SLOT + EVENT_SLOTS):
        total += state[k]
    state[history + EVENT_SUM] = total
    state[history + EVENT_MAX] = 0.0


@device
def score_events(state: Array, base: int, work: Array, now: Moment, error: float, side: float) -> None:
    """The score: the smaller of what p allows and what the past events of the series allow.

    ``error`` is the value less the typical one, in the unit of the values. Both sizes, |error| and
    |mean| or the part on the side asked for, are weighed (`weigh_event`), then divided by the mean
    of the slots of their history as it is then (at least TINY / EVENT_SLOTS)::

        mean <- EVENT_KEEPS_MEAN^gap mean + error / EVENT_WINDOW
        x     = max(single, EVENT_MEAN_SHARE mean)
    """
    mean = decay_power(EVENT_KEEPS_MEAN, now.gap) * state[base + MEAN_ERROR] + error / EVENT_WINDOW
    state[base + MEAN_ERROR] = mean
    single = abs(error) if side == 0.0 else max(side * error, 0.0)
    mean = abs(mean) if side == 0.0 else max(side * mean, 0.0)
    single = weigh_event(state, base + EVENT_SINGLE, work, now.clock, single)
    mean = weigh_event(state, base + EVENT_MEAN, work, now.clock, mean)
    # For every bucket: to leave out the unremarkable ones gained less than 2% (2026-11-23).
    score = absolute_score(-work[LOG_P])
    single *= EVENT_SLOTS / max(state[base + EVENT_SINGLE + EVENT_SUM], TINY)
    mean *= EVENT_SLOTS / max(state[base + EVENT_MEAN + EVENT_SUM], TINY)
    relative = max(single, EVENT_MEAN_SHARE * mean)
    score = min(score, relative_score(relative))
    work[SCORE] = score
