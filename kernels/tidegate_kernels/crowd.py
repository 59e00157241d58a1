"""The state of a population: a histogram of what the members of one attribute do, whatever their law.

Values are taken on a scale where a factor is a distance, beside a forecast F for the whole population
(`crowdlevel`)::

    t(x)     sign(x) ln(1 + |x| / SCALE),   SCALE the geometric mean of the first values
    e        t(x) - F

The errors e of all members make one histogram of BINS bins of one WIDTH around 0; what lies beyond
them is kept as a mass and its distances. All masses are decayed. `crowdlaw` reads probabilities from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tidegate_kernels.elementary import exp, log
from tidegate_kernels.registry import device
from tidegate_kernels.state import HUGE, TINY

Array = Any

BINS = 257
HALF = 128.5
MIDDLE = 128  # the bin around 0, so that members that are all alike lie in one bin whatever the rounding
INNER = 64  # half of the bins on a side: what all cover becomes what these cover, or the other way round
DAY_KNOTS = 24
SLOTS = 4

# The state of an attribute.
ALIVE = 0  # 1 from its first bucket on
FIRST = 1  # clock of that
LAST = 2  # clock up to which masses are decayed
BUCKETS = 3  # trained buckets
MASS = 4  # weight of all errors, decayed like all masses
SIZE = 5  # sum of |e|
SCALE = 6
LOG_SUM = 7  # of ln |x| of values that are not 0, while young
LOG_COUNT = 8
LEVEL = 9
WIDTH = 10
BELOW = 11  # mass and sum of the distances beyond the first
BELOW_SUM = 12
ABOVE = 13  # and the last bin
ABOVE_SUM = 14
ERROR_LEVEL = 15
ERROR_DAY = 16
CARRY = 17  # mean error of the last bucket beside LEVEL + g D
MOVE_SQUARE = 18  # running means of the square of that
MOVE_NEXT = 19  # and of its product with the one before
DRIFT = 20  # running mean of |mean e| of a bucket
EVENT_MAX = 21  # magnitude of the window at hand
EVENT_START = 22
SLOT = 23  # the SLOTS largest magnitudes of past windows
DAY = SLOT + SLOTS
VISITS = DAY + DAY_KNOTS
BIN = VISITS + DAY_KNOTS
STATE_SIZE = BIN + BINS

COVER_LEAST, COVER_MOST = 6.0, 24.0  # mean sizes |e| that half the bins cover
COVER_START = 10.3  # no whole number: an error is n / 2 times the mean |e| where one of n members differs
OUTSIDE = 0.0003  # share of the mass beyond the bins that widens them
NARROW = 0.0001  # and beyond half of them that keeps them from being narrowed
LEAST_WIDTH = 1e-5
HALF_LIFE = 29.0  # days
DAY_MS = 86_400_000.0
FADE_YOUNG, FADE_START = 1.5, 6.0  # in ages, and buckets
LARGEST = 1e300


class Pace(NamedTuple):
    """Times as gains per bucket."""

    days: float  # in a bucket
    level: float
    gate: float
    day_share: float  # of a visit to a knot
    fade: float  # rate at which masses decay, at rest
    young: float  # buckets during which what is unlikely trains more


@device
def fade_at_rest(day: float) -> float:
    """The rate at which masses decay per bucket, with so many buckets in a day; half in HALF_LIFE days."""
    return 0.6931471805599453 / max(HALF_LIFE * day, 200.0)


@device
def pace_of(span_ms: float) -> Pace:
    """Gains per bucket; day is the buckets in a day, [a, b] clips.

    ::

        level  1 / day[12, 288]          gate   1 / 7 day[100, 2000]
        fade   ln 2 / max(29 day, 200)   young  max(21 day, 100)
        share of a visit to a knot       min(24 / day, 1) from 1.9 buckets a day on, else no profile
    """
    day = DAY_MS / span_ms
    return Pace(
        1.0 / day,
        1.0 / min(max(day, 12.0), 288.0),
        1.0 / min(max(7.0 * day, 100.0), 2000.0),
        min(24.0 / day, 1.0) if day >= 1.9 else 0.0,
        fade_at_rest(day),
        max(21.0 * day, 100.0),
    )


@device
def scaled(x: float, scale: float) -> float:
    """Signed ln(1 + |x| / scale)."""
    t = log(1.0 + min(abs(x) / scale, LARGEST))
    return t if x >= 0.0 else -t


@device
def unscaled(t: float, scale: float) -> float:
    """The value whose `scaled` is t, within +-HUGE."""
    x = min(scale * (exp(abs(t)) - 1.0), HUGE)
    return x if t >= 0.0 else -x


@device
def fade(s: Array, at: int, clock: float, pace: Pace, prune: float) -> None:
    """Decays all masses by the buckets since LAST: exp(-rate gap); forgets all after `prune`.

    rate is pace.fade, or FADE_YOUNG / age while that is more: of a young law the older part, from before
    level and day were known, counts less.
    """
    gap = clock - s[at + LAST]
    if s[at + ALIVE] == 0.0 or (prune > 0.0 and gap > prune):
        for k in range(STATE_SIZE):
            s[at + k] = 0.0
        return
    s[at + LAST] = clock
    rate = max(FADE_YOUNG / (clock - s[at + FIRST] + FADE_START), pace.fade)
    keep = exp(-rate * gap)
    s[at + MASS] *= keep
    s[at + SIZE] *= keep
    for k in range(BELOW, ABOVE_SUM + 1):
        s[at + k] *= keep
    for k in range(BIN, STATE_SIZE):
        s[at + k] *= keep


@device
def deposit(s: Array, at: int, e: float, mass: float) -> None:
    """Puts a mass into the histogram."""
    u = e / s[at + WIDTH] + HALF
    if u < 0.0:
        s[at + BELOW] += mass
        s[at + BELOW_SUM] -= mass * u * s[at + WIDTH]
    elif u >= 2.0 * HALF:
        s[at + ABOVE] += mass
        s[at + ABOVE_SUM] += mass * (u - 2.0 * HALF) * s[at + WIDTH]
    else:
        s[at + BIN + int(u)] += mass


@device
def fit_width(s: Array, at: int) -> None:
    """Widens or narrows the bins by factors of 2, so that half of them cover COVER_LEAST to COVER_MOST |e|.

    They are widened as well when more than OUTSIDE of the mass is beyond them, and not narrowed while more
    than NARROW would come to be. New ones cover COVER_START.
    """
    size = s[at + SIZE] / s[at + MASS]
    if s[at + WIDTH] == 0.0:
        s[at + WIDTH] = max(COVER_START * size / HALF, LEAST_WIDTH)
        return
    if s[at + BELOW] + s[at + ABOVE] > OUTSIDE * s[at + MASS] + 1.0:
        widen(s, at)
    while HALF * s[at + WIDTH] < COVER_LEAST * size:
        widen(s, at)
    while HALF * s[at + WIDTH] > COVER_MOST * size and s[at + WIDTH] >= 2.0 * LEAST_WIDTH:
        outside = s[at + BELOW] + s[at + ABOVE]
        for k in range(INNER + 1, MIDDLE + 1):
            outside += s[at + BIN + MIDDLE + k] + s[at + BIN + MIDDLE - k]
        if outside > NARROW * s[at + MASS]:
            return
        narrow(s, at)


@device
def widen(s: Array, at: int) -> None:
    """Doubles the width: bin k is what was in 2 k and half of what was beside it.

    What lay beyond all bins is spread over those that cover it now.
    """
    b = at + BIN + MIDDLE
    s[b] += 0.5 * (s[b - 1] + s[b + 1])
    for k in range(1, INNER):
        s[b + k] = 0.5 * s[b + 2 * k - 1] + s[b + 2 * k] + 0.5 * s[b + 2 * k + 1]
        s[b - k] = 0.5 * s[b - 2 * k + 1] + s[b - 2 * k] + 0.5 * s[b - 2 * k - 1]
    s[b + INNER] = 0.5 * s[b + MIDDLE - 1] + s[b + MIDDLE]
    s[b - INNER] = 0.5 * s[b - MIDDLE + 1] + s[b - MIDDLE]
    for k in range(INNER + 1, MIDDLE + 1):
        s[b + k] = 0.0
        s[b - k] = 0.0
    s[at + WIDTH] *= 2.0
    spread_beyond(s, at, BELOW, -1)
    spread_beyond(s, at, ABOVE, 1)


@device
def spread_beyond(s: Array, at: int, over: int, step: int) -> None:
    """Spreads what lay beyond the bins, which is from a quarter of bin INNER on, as an exponential law.

    ``over`` is BELOW or ABOVE, ``step`` the direction. The law's mean is the mean distance; what it has
    beyond the last bin stays beyond.
    """
    mass, total = s[at + over], s[at + over + 1]
    if mass <= 0.0:
        return
    rate = s[at + WIDTH] * mass / max(total, TINY)
    left = mass * exp(-0.25 * rate)
    s[at + BIN + MIDDLE + step * INNER] += mass - left
    keep = exp(-rate)
    for k in range(INNER + 1, MIDDLE + 1):
        s[at + BIN + MIDDLE + step * k] = left * (1.0 - keep)
        left *= keep
    s[at + over] = left
    s[at + over + 1] = left * (total / mass)


@device
def narrow(s: Array, at: int) -> None:
    """Halves the width: bin 2 k has half of what was in k, the two beside it a quarter each.

    What is beyond the bins then is kept by its distance.
    """
    b, width = at + BIN + MIDDLE, s[at + WIDTH]
    for step in range(-1, 2, 2):
        over = ABOVE if step > 0 else BELOW
        part = 0.25 * s[b + step * INNER]
        mass, total = s[at + over] + part, s[at + over + 1] + 0.5 * HALF * width * s[at + over]
        total += 0.125 * width * part
        for k in range(INNER + 1, MIDDLE + 1):
            mass += s[b + step * k]
            total += s[b + step * k] * (k - 0.5 * HALF) * width
        s[at + over], s[at + over + 1] = mass, total
        s[b + step * MIDDLE] = 0.5 * s[b + step * INNER]
        for back in range(1, INNER):
            k = INNER - back
            s[b + step * (2 * k + 1)] = 0.25 * (s[b + step * k] + s[b + step * (k + 1)])
            s[b + step * 2 * k] = 0.5 * s[b + step * k]
    for step in range(-1, 2, 2):
        s[b + step] = 0.25 * (s[b] + s[b + step])
    s[b] *= 0.5
    s[at + WIDTH] = 0.5 * width
