"""Positions on the earth: how unusual they are for a series, by its hot spots.

The past of a series is at most SPOTS spots. Spot i has a weight n_i, a centre c_i (a unit vector), a sum
S_i of squared distances from it, halved, and a kernel of radius r_i::

    a new position  is a spot of its own; with one spot too many the pair merges whose merging adds least,
                    n_i n_j / (n_i + n_j) |c_i - c_j|^2 (Ward), or the lightest is given up if n_i FAR^2
                    is less, where the new one counts NEWCOMER
    fading          n, S <- keep n, keep S;  keep = max(exp(-gap / memory), 1 - 1 / least memory)
    density         f(x) = b / (4 pi) + (1 - b) sum n_i k(|x - c_i| / r_i) / r_i^2 / sum n_i
                    k is Student's law in two dimensions with 4 degrees of freedom
    something new   b = (NEW + novel + lost) / (n + lost + NEW + 2), novel the faded sum of b / (4 pi) / f(x)
                    at every x, lost that of the weight given up
    radius          r_i = REACH d, d the distance within which there is a weight of WINDOW n^0.6; see
                    `fit_radius`

A position is as unusual as all positions together that are not more usual (`levels`), unless it is where the
series was in its last bucket: to stay where one has come is not unusual again. With ln g the running mean of
ln(step^2 + least radius^2), of which no step adds more than STEP_CLIP::

    p <- max(p, P(step > |x - last|)),  P(step > d) = (1 + d^2 / (4 g))^-2

Distances are chords |x - y| of the unit sphere: in the order of the great circles, 0.4% shorter at 2,000
km, and good at the poles and across the date line. A position of NaN is passed over.
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
MEMORY = 0  # buckets
LEAST_MEMORY = 1  # values
STAYS = 2  # 1 where a series has a last position, 0 where it is a population
THRESHOLD = 3  # ln p
CELLS = 5  # rings of four points that stand for a kernel
RING = 4  # CELLS distances from its centre, in radii: tails 0.75, 0.35, 0.11, 0.022, 0.004
SHARE = RING + CELLS  # of the mass, for each of its points
SETTINGS = SHARE + CELLS

# State of a series
WEIGHT = 0  # sum of n_i
LAST = 1  # bucket of the latest position, on the clock of the model
USED = 2  # spots
SEEN = 3  # positions so far
DUE = 4  # SEEN at which radii and table are due
NOVEL = 5
TOP = 6  # ln f of the first row of the table
LAST_X, LAST_Y, LAST_Z = 7, 8, 9
LOG_STEP = 10  # mean of ln(step^2 + LEAST_RADIUS^2)
LOST = 11  # weight of the spots that were given up
LEAST_COST = 12  # no merging of two spots costs less
TABLE = 13
RATE = TABLE + LEVELS
SPOTS = 12
PLACES = SPOTS + 1
N = RATE + RATES  # n_i, then the coordinates of c_i, S_i and 1 / r_i^2
X, Y, Z = N + PLACES, N + 2 * PLACES, N + 3 * PLACES
S = N + 4 * PLACES
NARROW = N + 5 * PLACES
STATE = N + 6 * PLACES


EARTH = 6371.0088  # km, mean radius
NEW = 0.3
MOST_NEW = 0.9
WINDOW = 0.7
REACH = 0.5
SPREAD = 1.2  # r_i at least, in standard deviations of the spot
LEAST_RADIUS = 0.05 / EARTH  # 50 m
PRIOR_RADIUS = 25.0 / EARTH
PRIOR_WEIGHT = 4.0  # values that showed PRIOR_RADIUS
ROW = 1.25  # of the table, in ln f
FLAT = 0.07957747154594767  # 1 / (4 pi), the density of what is new
STUDENT = 0.15915494309189535  # k(0) = 1 / (2 pi)
CORNERS = 14  # points that stand for what is new: the poles, four on the equator, eight between
POINTS = 256  # room for them: CORNERS + 4 CELLS SPOTS = 254


@device
def square(value: float) -> float:
    """The square."""
    return value * value


@device
def chord(w: Array, at: int, i: int, x: float, y: float, z: float) -> float:
    """The squared distance from a spot."""
    return square(w[at + X + i] - x) + square(w[at + Y + i] - y) + square(w[at + Z + i] - z)


@device
def between(w: Array, at: int, i: int, j: int) -> float:
    """The squared distance of two spots."""
    return chord(w, at, i, w[at + X + j], w[at + Y + j], w[at + Z + j])


@device
def share_new(w: Array, at: int) -> float:
    """b: the probability of something new; spots that were given up are new again."""
    lost = w[at + LOST]
    share: float = min((NEW + w[at + NOVEL] + lost) / (w[at + WEIGHT] + lost + NEW + 2.0), MOST_NEW)
    return share


@device
def density(w: Array, at: int, x: float, y: float, z: float) -> float:
    """f, per steradian."""
    new, total = share_new(w, at), 0.0
    for i in range(int(w[at + USED])):
        narrow = w[at + NARROW + i]
        q = 1.0 + 0.25 * chord(w, at, i, x, y, z) * narrow
        total += w[at + N + i] * narrow / (q * q * q)
    f: float = new * FLAT + (1.0 - new) * STUDENT * total / w[at + WEIGHT]
    return f


@device
def largest_radius(w: Array, at: int) -> float:
    """The largest r_i^2 that few values may have: what all spots show, and PRIOR_RADIUS."""
    total = PRIOR_WEIGHT * square(PRIOR_RADIUS)
    for i in range(int(w[at + USED])):
        total += w[at + S + i]
    largest: float = total / (w[at + WEIGHT] + PRIOR_WEIGHT)
    return largest


@device
def fit_radius(w: Array, at: int, i: int, window: float, largest: float) -> float:
    """r_i^2: REACH times the distance to so much weight, squared; at least what the spot spreads.

    From the spot outwards, the nearest first; a spot that has the weight itself covers a part of its
    own spread. No further than `largest`, the square of a radius.
    """
    gathered = w[at + N + i]
    spread = w[at + S + i] / gathered
    reach = 2.0 * spread * min(window / gathered, 1.0)
    used, distance, latest = int(w[at + USED]), -1.0, -1
    while gathered < window:
        nearest, best = np.inf, -1
        for j in range(used):
            d = between(w, at, i, j)
            is_next = d > distance or (d == distance and j > latest)
            if j != i and is_next and d < nearest:
                nearest, best = d, j
        if best < 0:
            reach = np.inf
            break
        gathered += w[at + N + best]
        reach, distance, latest = nearest, nearest, best
    least = max(square(SPREAD) * spread, square(LEAST_RADIUS))
    radius: float = max(min(square(REACH) * reach, largest), least)
    return radius


@device
def fit_radii(w: Array, at: int) -> None:
    """Every r_i anew."""
    window = max(2.0, WINDOW * power(w[at + WEIGHT], 0.6))
    largest = largest_radius(w, at)
    for i in range(int(w[at + USED])):
        w[at + NARROW + i] = 1.0 / fit_radius(w, at, i, window, largest)


@device
def put_rings(w: Array, at: int, i: int, count: int, settings: Array, xs: Array, ys: Array, zs: Array) -> int:
    """The points that stand for a kernel: four on each of CELLS rings, every other ring turned by half."""
    x, y, z, r = w[at + X + i], w[at + Y + i], w[at + Z + i], root(1.0 / w[at + NARROW + i])
    # A tangent a of the centre, and b = c x a.
    flat = root(x * x + y * y)
    is_pole = flat < 0.01
    ax = 0.0 if is_pole else -y / flat
    ay = z / root(y * y + z * z) if is_pole else x / flat
    az = -y / root(y * y + z * z) if is_pole else 0.0
    bx, by, bz = y * az - z * ay, z * ax - x * az, x * ay - y * ax
    for k in range(CELLS):
        d = min(settings[RING + k] * r, 2.0)
        along, aside = 1.0 - 0.5 * d * d, d * root(1.0 - 0.25 * d * d)
        for turn in range(4):
            a = 0.0 if turn % 2 == 1 else (1.0 if turn == 0 else -1.0)
            b = 0.0 if turn % 2 == 0 else (1.0 if turn == 1 else -1.0)
            if k % 2 == 1:
                a, b = (a - b) * 0.7071067811865476, (a + b) * 0.7071067811865476
            xs[count] = x * along + (ax * a + bx * b) * aside
            ys[count] = y * along + (ay * a + by * b) * aside
            zs[count] = z * along + (az * a + bz * b) * aside
            count += 1
    return count


@device
def densities(w: Array, at: int, count: int, xs: Array, ys: Array, zs: Array, f: Array) -> None:
    """F at many points: spot by spot, which the compiler makes vector code of."""
    new = share_new(w, at)
    for p in range(count):
        f[p] = 0.0
    for i in range(int(w[at + USED])):
        x, y, z = w[at + X + i], w[at + Y + i], w[at + Z + i]
        narrow, part = w[at + NARROW + i], w[at + N + i] * w[at + NARROW + i]
        for p in range(count):
            dx, dy, dz = xs[p] - x, ys[p] - y, zs[p] - z
            q = 1.0 + 0.25 * (dx * dx + dy * dy + dz * dz) * narrow
            f[p] += part / (q * q * q)
    for p in range(count):
        f[p] = new * FLAT + (1.0 - new) * STUDENT * f[p] / w[at + WEIGHT]


@device
def put_corners(xs: Array, ys: Array, zs: Array) -> None:
    """Points that are evenly spread over the sphere."""
    third = 0.5773502691896258
    for k in range(6):
        sign = 1.0 if k % 2 == 0 else -1.0
        xs[k] = sign if k // 2 == 0 else 0.0
        ys[k] = sign if k // 2 == 1 else 0.0
        zs[k] = sign if k // 2 == 2 else 0.0
    for k in range(8):
        xs[6 + k] = third if k % 2 == 0 else -third
        ys[6 + k] = third if k // 2 % 2 == 0 else -third
        zs[6 + k] = third if k // 4 == 0 else -third


@device
def fit_levels(w: Array, at: int, settings: Array, xs: Array, ys: Array, zs: Array, f: Array) -> None:
    """The table anew: rings of points around every spot, and points everywhere for what is new."""
    used = int(w[at + USED])
    put_corners(xs, ys, zs)
    count = CORNERS
    for i in range(used):
        count = put_rings(w, at, i, count, settings, xs, ys, zs)
    densities(w, at, count, xs, ys, zs, f)
    most = 0.0
    for p in range(count):
        most = max(most, f[p])
    top, table, new = log(most), at + TABLE, share_new(w, at)
    w[at + TOP] = top
    clear_levels(w, table)
    for p in range(CORNERS):
        add_mass(w, table, top, ROW, log(f[p]), new / CORNERS)
    count = CORNERS
    for i in range(used):
        mass = (1.0 - new) * w[at + N + i] / w[at + WEIGHT]
        for k in range(4 * CELLS):
            add_mass(w, table, top, ROW, log(f[count]), mass * settings[SHARE + k // 4])
            count += 1
    close_levels(w, table, ROW)
