"""Times of the day or the week: how unusual they are for a series, by a density on a circle.

The past of a series is at most `slots` groups of neighbouring times (after Ben-Haim and Tom-Tov, A
streaming parallel decision tree algorithm, JMLR 2010; by Ward's cost instead of the gap). Group i has a
weight n_i, a mean m_i, a sum of squares S_i about it and a kernel of half-width h_i::

    a new time      is a group of its own; with one group too many the two neighbours merge whose
                    merging adds least to the squares, n_i n_j / (n_i + n_j) (m_i - m_j)^2
    fading          n, S <- keep n, keep S;  keep = max(exp(-gap / memory), 1 - 1 / least memory)
    density         f(x) = b / P + (1 - b) sum n_i k((x - m_i) / h_i) / h_i / sum n_i
                    k is Student's law with 3 degrees of freedom, P the period
    something new   b = (NEW + novel) / (n + NEW + 2), novel the faded sum of b / P / f(x) at every x
    width           h_i = REACH d, d the distance within which there is a weight of WINDOW n^0.6, and so that
                    a group covers itself and neighbours no farther than the bridge meet; see `fit_width`

A time is as unusual as all times together that are not more usual (`levels`). A series younger than a period
or two knows too little: with a = age / P, p <- e + p (1 - e), e = exp(-a^4).

Units: seconds; times lie in [0, P). A time of NaN is passed over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.elementary import (
    log,
    power,
)
from tidegate_kernels.intrinsics import (
    root,
)
from tidegate_kernels.levels import (
    LEVELS,
    RATES,
    add_mass,
    clear_levels,
    close_levels,
)
from tidegate_kernels.registry import (
    device,
)

Array = Any

# Settings
PERIOD = 0  # s
SLOTS = 1
LEAST_WIDTH = 2  # s
MOST_WIDTH = 3  # s
BRIDGE = 4  # s
MEMORY = 5  # s
LEAST_MEMORY = 6  # values
SPAN = 7  # s
THRESHOLD = 8  # ln p
CELLS = 5  # points on either side that stand for a kernel
POINT = 9  # CELLS distances from its middle, in half-widths: two-sided tails 0.75, 0.35, 0.11, 0.022, 0.004
SHARE = POINT + CELLS  # of the mass, for each of them
SETTINGS = SHARE + CELLS

# State of a series
WEIGHT = 0  # sum of n_i
FIRST = 1  # bucket of the first time, on the clock of the model
LAST = 2  # bucket of the latest time
USED = 3  # groups
SEEN = 4  # times so far
DUE = 5  # SEEN at which widths and table are due
NOVEL = 6
TOP = 7  # ln f of the first row of the table
TABLE = 8
RATE = TABLE + LEVELS
GROUPS = RATE + RATES  # n_i, then m_i, S_i and 1 / h_i, of slots + 1 each


NEW = 0.3
WINDOW = 0.7
REACH = 0.5
EQUAL = 0.1  # share of a group's weight that others must have to be bridged
SPREAD = 1.2  # h_i at least, in standard deviations of the group
ROW = 0.75  # of the table, in ln f
STUDENT = 0.36755259694786135  # k(0) = 2 / (pi sqrt 3)
POINTS = 400  # room for them: EVEN + 2 CELLS slots
EVEN = 24  # points that stand for what is new


@device
def state_size(slots: int) -> int:
    """Numbers of the state of one series."""
    return GROUPS + 4 * (slots + 1)


@device
def apart(x: float, y: float, period: float) -> float:
    """The distance on the circle."""
    d = abs(x - y)
    return min(d, period - d)


@device
def share_new(w: Array, at: int) -> float:
    """b: the probability of something new."""
    share: float = (NEW + w[at + NOVEL]) / (w[at + WEIGHT] + NEW + 2.0)
    return share


@device
def density(w: Array, at: int, x: float, period: float, slots: int) -> float:
    """f(x)."""
    new = share_new(w, at)
    n = at + GROUPS
    m, ih = n + slots + 1, n + 3 * (slots + 1)
    total = 0.0
    for i in range(int(w[at + USED])):
        d = abs(x - w[m + i])
        u = min(d, period - d) * w[ih + i]
        q = 1.0 + u * u * (1.0 / 3.0)
        total += w[n + i] * w[ih + i] / (q * q)
    f: float = new / period + (1.0 - new) * STUDENT * total / w[at + WEIGHT]
    return f


@device
def fit_width(w: Array, at: int, i: int, window: float, settings: Array) -> float:
    """h_i: REACH times the distance to so much weight, at least what the group and the bridge ask for.

    From the group outwards, to the nearer neighbour first; a group that has the weight itself covers a
    part of its own spread. Groups no farther apart than the bridge, a bucket and a half, meet half way:
    between the mean times of full buckets there is nothing to be missed.
    """
    period, slots, used = settings[PERIOD], int(settings[SLOTS]), int(w[at + USED])
    n = at + GROUPS
    m, s = n + slots + 1, n + 2 * (slots + 1)
    gathered = w[n + i]
    spread = root(max(w[s + i], 0.0) / gathered)
    reach = 1.7320508075688772 * spread * min(window / gathered, 1.0)
    near = 0.0
    for j in range(used):
        d = apart(w[m + i], w[m + j], period)
        if d <= settings[BRIDGE] and w[n + j] >= EQUAL * w[n + i]:
            near = max(near, d)
    before, after = i, i
    for _ in range(used - 1):
        if gathered >= window:
            break
        low = before - 1 if before > 0 else used - 1
        high = after + 1 if after + 1 < used else 0
        to_low, to_high = apart(w[m + i], w[m + low], period), apart(w[m + i], w[m + high], period)
        if to_low < to_high:
            before = low
            reach = max(reach, to_low)
            gathered += w[n + low]
        else:
            after = high
            reach = max(reach, to_high)
            gathered += w[n + high]
    if gathered < window:
        reach = period
    least = max(max(SPREAD * spread, 0.5 * near), settings[LEAST_WIDTH])
    width: float = max(min(REACH * reach, settings[MOST_WIDTH]), least)
    return width


@device
def fit_widths(w: Array, at: int, settings: Array) -> None:
    """Every h_i anew."""
    window = max(2.0, WINDOW * power(w[at + WEIGHT], 0.6))
    slots = int(settings[SLOTS])
    for i in range(int(w[at + USED])):
        w[at + GROUPS + 3 * (slots + 1) + i] = 1.0 / fit_width(w, at, i, window, settings)


@device
def densities(w: Array, at: int, count: int, settings: Array, points: Array, f: Array) -> None:
    """f(x) at many points: group by group, which the compiler makes vector code of."""
    period, slots = settings[PERIOD], int(settings[SLOTS])
    new = share_new(w, at)
    n = at + GROUPS
    m, ih = n + slots + 1, n + 3 * (slots + 1)
    for p in range(count):
        f[p] = 0.0
    for i in range(int(w[at + USED])):
        mean, narrow, part = w[m + i], w[ih + i], w[n + i] * w[ih + i]
        for p in range(count):
            d = abs(points[p] - mean)
            u = min(d, period - d) * narrow
            q = 1.0 + u * u * (1.0 / 3.0)
            f[p] += part / (q * q)
    for p in range(count):
        f[p] = new / period + (1.0 - new) * STUDENT * f[p] / w[at + WEIGHT]


@device
def fit_levels(w: Array, at: int, settings: Array, points: Array, f: Array) -> None:
    """The table anew: points on both sides of every group, and points all around for what is new."""
    period, slots, used = settings[PERIOD], int(settings[SLOTS]), int(w[at + USED])
    n = at + GROUPS
    m, ih = n + slots + 1, n + 3 * (slots + 1)
    for k in range(EVEN):
        points[k] = period * (k + 0.5) / EVEN
    count = EVEN
    for i in range(used):
        h = 1.0 / w[ih + i]
        for k in range(2 * CELLS):
            step = settings[POINT + k // 2] * h
            x = w[m + i] + (step if k % 2 == 0 else -step)
            points[count] = x - period * np.floor(x / period)
            count += 1
    densities(w, at, count, settings, points, f)
    most = 0.0
    for p in range(count):
        most = max(most, f[p])
    top, table = log(most), at + TABLE
    w[at + TOP] = top
    clear_levels(w, table)
    new = share_new(w, at)
    for k in range(EVEN):
        add_mass(w, table, top, ROW, log(f[k]), new / EVEN)
    count = EVEN
    for i in range(used):
        mass = (1.0 - new) * w[n + i] / w[at + WEIGHT]
        for k in range(2 * CELLS):
            add_mass(w, table, top, ROW, log(f[count]), mass * settings[SHARE + k // 2])
            count += 1
    close_levels(w, table, ROW)
