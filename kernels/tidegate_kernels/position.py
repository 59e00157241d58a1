"""Positions on the earth: how unusual they are for a series, by its hot spots.

The past of a series is at most SPOTS spots. Spot i has a weight n_i, a centre c_i (a unit vector), a sum S_i of
squared distances from it, halved, and a kernel of radius r_i::

    a new position  is a spot of its own; with one spot too many the pair merges whose merging adds least,
                    n_i n_j / (n_i + n_j) |c_i - c_j|^2 (Ward), or the lightest is given up if n_i FAR^2 is less
    fading          n, S <- keep n, keep S;  keep = max(exp(-gap / memory), 1 - 1 / least memory)
    density         f(x) = b / (4 pi) + (1 - b) sum n_i k(|x - c_i| / r_i) / r_i^2 / sum n_i
                    k is Student's law in two dimensions with 4 degrees of freedom
    something new   b = (NEW + novel + lost) / (n + lost + NEW + 2), novel the faded sum of b / (4 pi) / f(x)
                    at every x, lost that of the weight given up
    radius          r_i = REACH d, d the distance within which there is a weight of WINDOW n^0.6; see `fit_radius`

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

from tidegate_kernels.elementary import exp, log, power
from tidegate_kernels.event import absolute_score
from tidegate_kernels.intrinsics import root
from tidegate_kernels.levels import (
    LEVELS,
    RATES,
    add_mass,
    clear_levels,
    close_levels,
    density_at,
    learn_level,
    level_of,
    recalibrated,
)
from tidegate_kernels.registry import device, kernel
from tidegate_kernels.trigonometry import arc_tangent, cosine, sine

Array = Any

# Settings
MEMORY = 0  # buckets
LEAST_MEMORY = 1  # values
STAYS = 2  # 1 where a series has a last position, 0 where it is a population
THRESHOLD = 3  # ln p
SETTINGS = 4

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

# Resume
DONE = 0
MADE = 1
RESUME = 2

EARTH = 6371.0088  # km, mean radius
NEW = 0.3
MOST_NEW = 0.9
WINDOW = 0.7
REACH = 0.5
SPREAD = 1.2  # r_i at least, in standard deviations of the spot
LEAST_RADIUS = 0.05 / EARTH  # 50 m
PRIOR_RADIUS = 25.0 / EARTH
PRIOR_WEIGHT = 4.0  # values that showed PRIOR_RADIUS
FAR = 2000.0 / EARTH
ROW = 1.25  # of the table, in ln f
FLAT = 0.07957747154594767  # 1 / (4 pi), the density of what is new
STUDENT = 0.15915494309189535  # k(0) = 1 / (2 pi)
WARM = 20.0  # positions before the series says what s is worth
REFIT = 0.125  # share of new positions after which radii and table are due
FADED = 0.02  # weight at which a spot is dropped
STEP_GAIN = 0.02
STEP_CLIP = 1.0  # journeys, up to every other step, leave what it is to stay as it was
CORNERS = 14  # points that stand for what is new: the poles, four on the equator, eight between
CELLS = 5  # rings of points that stand for a kernel: tails 0.75, 0.35, 0.11, 0.022, 0.004
AT = (0.7866397863806571, 1.6616961328197561, 2.8390938313325513, 4.767192485230949, 7.697113303269453)
SHARE = (0.125, 0.075, 0.0375, 0.01, 0.0025)  # of each of four points
POINTS = 256  # room for them: CORNERS + 4 CELLS SPOTS = 254
USUAL = -2.995732273553991  # ln 0.05: spots in what has 95% of the mass are typical


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
    return min((NEW + w[at + NOVEL] + lost) / (w[at + WEIGHT] + lost + NEW + 2.0), MOST_NEW)


@device
def density(w: Array, at: int, x: float, y: float, z: float) -> float:
    """f, per steradian."""
    new, total = share_new(w, at), 0.0
    for i in range(int(w[at + USED])):
        narrow = w[at + NARROW + i]
        q = 1.0 + 0.25 * chord(w, at, i, x, y, z) * narrow
        total += w[at + N + i] * narrow / (q * q * q)
    return new * FLAT + (1.0 - new) * STUDENT * total / w[at + WEIGHT]


@device
def largest_radius(w: Array, at: int) -> float:
    """The largest r_i^2 that few values may have: what all spots show, and PRIOR_RADIUS."""
    total = PRIOR_WEIGHT * square(PRIOR_RADIUS)
    for i in range(int(w[at + USED])):
        total += w[at + S + i]
    return total / (w[at + WEIGHT] + PRIOR_WEIGHT)


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
    return max(min(square(REACH) * reach, largest), least)


@device
def fit_radii(w: Array, at: int) -> None:
    """Every r_i anew."""
    window = max(2.0, WINDOW * power(w[at + WEIGHT], 0.6))
    largest = largest_radius(w, at)
    for i in range(int(w[at + USED])):
        w[at + NARROW + i] = 1.0 / fit_radius(w, at, i, window, largest)


@device
def put_ring(w: Array, at: int, i: int, count: int, xs: Array, ys: Array, zs: Array) -> int:
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
        d = min(AT[k] * r, 2.0)
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
def fit_levels(w: Array, at: int, xs: Array, ys: Array, zs: Array, f: Array) -> None:
    """The table anew: rings of points around every spot, and points everywhere for what is new."""
    used = int(w[at + USED])
    put_corners(xs, ys, zs)
    count = CORNERS
    for i in range(used):
        count = put_ring(w, at, i, count, xs, ys, zs)
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
            add_mass(w, table, top, ROW, log(f[count]), mass * SHARE[k // 4])
            count += 1
    close_levels(w, table, ROW)


@device
def move_spot(w: Array, at: int, source: int, target: int) -> None:
    """Copies the numbers of a spot to another place."""
    for k in range(6):
        first = at + N + k * PLACES
        w[first + target] = w[first + source]


@device
def remove_spot(w: Array, at: int, i: int) -> None:
    """Takes a spot away; those after it keep their order."""
    used = int(w[at + USED])
    for k in range(i, used - 1):
        move_spot(w, at, k + 1, k)
    w[at + USED] = used - 1.0


@device
def insert_position(w: Array, at: int, x: float, y: float, z: float, costs: Array) -> None:
    """A spot of weight 1 for a position, after all others; then there is one less if there are too many.

    Where its merging costs no more than any other, with the nearest spot in the sense of the cost, it is
    merged at once, which comes to the same.
    """
    used, nearest, best, least, cheapest = int(w[at + USED]), np.inf, 0, np.inf, 0
    for i in range(used):
        d = chord(w, at, i, x, y, z)
        cost = w[at + N + i] / (w[at + N + i] + 1.0) * d
        if d < nearest:
            nearest, best = d, i
        if cost < least:
            least, cheapest = cost, i
    if least == 0.0:
        w[at + N + cheapest] += 1.0
        return
    w[at + N + used], w[at + S + used] = 1.0, 0.0
    w[at + X + used], w[at + Y + used], w[at + Z + used] = x, y, z
    if used == SPOTS and least <= w[at + LEAST_COST]:
        join_spots(w, at, cheapest, used, least)
        for i in range(used):
            if i != cheapest:
                w[at + LEAST_COST] = min(w[at + LEAST_COST], merging_cost(w, at, cheapest, i))
        return
    w[at + USED] = used + 1.0
    if used > 0 and nearest * w[at + NARROW + best] < 1.0:
        w[at + NARROW + used] = w[at + NARROW + best]
    else:
        window = max(2.0, WINDOW * power(w[at + WEIGHT], 0.6))
        w[at + NARROW + used] = 1.0 / fit_radius(w, at, used, window, largest_radius(w, at))
    if used == SPOTS:
        merge_nearest(w, at, costs)
        w[at + LEAST_COST] = least_cost(w, at)
    else:
        w[at + LEAST_COST] = 0.0


@device
def merging_cost(w: Array, at: int, i: int, j: int) -> float:
    """What the merging of two spots adds to the squares, doubled; at most what it costs to lose one."""
    a, b = w[at + N + i], w[at + N + j]
    return min(a * b / (a + b) * between(w, at, i, j), min(a, b) * square(FAR))


@device
def least_cost(w: Array, at: int) -> float:
    """The cost of the next merging."""
    least = np.inf
    for i in range(1, int(w[at + USED])):
        for j in range(i):
            least = min(least, merging_cost(w, at, i, j))
    return least


@device
def merge_nearest(w: Array, at: int, costs: Array) -> None:
    """Merges the pair for which that adds least to the squares, or gives up the lightest spot."""
    used = int(w[at + USED])
    least, first, second = np.inf, 0, 0
    for i in range(used):
        light = w[at + N + i] * square(FAR)
        if light < least:
            least, first, second = light, i, i
    for i in range(1, used):
        a, x, y, z = w[at + N + i], w[at + X + i], w[at + Y + i], w[at + Z + i]
        for j in range(i):
            b, dx, dy, dz = w[at + N + j], w[at + X + j] - x, w[at + Y + j] - y, w[at + Z + j] - z
            costs[j] = a * b / (a + b) * (dx * dx + dy * dy + dz * dz)
        for j in range(i):
            if costs[j] < least:
                least, first, second = costs[j], j, i
    if first == second:
        w[at + LOST] += w[at + N + first]
        w[at + WEIGHT] -= w[at + N + first]
    else:
        join_spots(w, at, first, second, least)
    remove_spot(w, at, second)


@device
def join_spots(w: Array, at: int, i: int, j: int, cost: float) -> None:
    """Makes spot i of spots i and j, with the cost of the merging."""
    a, b = w[at + N + i], w[at + N + j]
    x = a * w[at + X + i] + b * w[at + X + j]
    y = a * w[at + Y + i] + b * w[at + Y + j]
    z = a * w[at + Z + i] + b * w[at + Z + j]
    scale = 1.0 / root(x * x + y * y + z * z)
    w[at + X + i], w[at + Y + i], w[at + Z + i] = x * scale, y * scale, z * scale
    w[at + N + i] = a + b
    w[at + S + i] += w[at + S + j] + 0.5 * cost
    if j < int(w[at + USED]):
        w[at + NARROW + i] = min(w[at + NARROW + i], w[at + NARROW + j])


@device
def fade(w: Array, at: int, clock: float, settings: Array) -> None:
    """Fades weights and squares by the buckets since the last; drops spots of which nothing is left."""
    gap = clock - w[at + LAST]
    if w[at + SEEN] == 0.0 or gap <= 0.0:
        return
    keep = max(exp(-gap / settings[MEMORY]), 1.0 - 1.0 / settings[LEAST_MEMORY])
    w[at + NOVEL] *= keep
    w[at + LOST] *= keep
    w[at + LEAST_COST] *= keep
    total, i = 0.0, 0
    while i < int(w[at + USED]):
        w[at + N + i] *= keep
        w[at + S + i] *= keep
        if w[at + N + i] < FADED and w[at + USED] > 1.0:
            remove_spot(w, at, i)
        else:
            total += w[at + N + i]
            i += 1
    w[at + WEIGHT] = total


@device
def stay(w: Array, at: int, x: float, y: float, z: float) -> float:
    """-ln P(step > |x - last|): 2 ln(1 + d^2 / (4 g)), g no larger than what spots may spread."""
    d = square(w[at + LAST_X] - x) + square(w[at + LAST_Y] - y) + square(w[at + LAST_Z] - z)
    g = min(exp(w[at + LOG_STEP]), largest_radius(w, at))
    return 2.0 * log(1.0 + 0.25 * d / max(g, square(LEAST_RADIUS)))


@device
def log_probability(w: Array, at: int, x: float, y: float, z: float, settings: Array) -> float:
    """Ln p of a position, recalibrated."""
    s = level_of(w, at + TABLE, w[at + TOP], ROW, log(density(w, at, x, y, z)))
    s = recalibrated(w, at + RATE, s)
    if settings[STAYS] != 0.0 and s > 2.0:
        s = min(s, stay(w, at, x, y, z))
    return -s


@device
def learn_position(w: Array, at: int, x: float, y: float, z: float, settings: Array, costs: Array) -> None:
    """Adds a position to the spots; what was new counts for what will be."""
    if w[at + SEEN] > 0.0:
        f = density(w, at, x, y, z)
        s = level_of(w, at + TABLE, w[at + TOP], ROW, log(f))
        if s > 4.6:
            w[at + DUE] = 0.0
        stays = settings[STAYS] != 0.0 and s > 2.0 and stay(w, at, x, y, z) < 2.0
        if not stays:
            w[at + NOVEL] += share_new(w, at) * FLAT / f
        if w[at + SEEN] >= WARM and not stays:
            learn_level(w, at + RATE, s)
        d = square(w[at + LAST_X] - x) + square(w[at + LAST_Y] - y) + square(w[at + LAST_Z] - z)
        gain = max(1.0 / w[at + SEEN], STEP_GAIN)
        change = log(d + square(LEAST_RADIUS)) - w[at + LOG_STEP]
        w[at + LOG_STEP] += gain * min(change, STEP_CLIP)
    w[at + LAST_X], w[at + LAST_Y], w[at + LAST_Z] = x, y, z
    w[at + WEIGHT] += 1.0
    w[at + SEEN] += 1.0
    insert_position(w, at, x, y, z, costs)


@device
def explain(w: Array, at: int, x: float, y: float, z: float, out: Array) -> None:
    """The typical position: the nearest usual spot, with the spots that it overlaps; a vector, any length."""
    level = density_at(w, at + TABLE, w[at + TOP], ROW, USUAL)
    nearest, best = np.inf, 0
    for i in range(int(w[at + USED])):
        d = chord(w, at, i, x, y, z)
        f = density(w, at, w[at + X + i], w[at + Y + i], w[at + Z + i])
        if d < nearest and log(f) >= level:
            nearest, best = d, i
    out[0], out[1], out[2] = 0.0, 0.0, 0.0
    for i in range(int(w[at + USED])):
        if 0.0625 * between(w, at, best, i) * min(w[at + NARROW + best], w[at + NARROW + i]) <= 1.0:
            n = w[at + N + i]
            out[0] += n * w[at + X + i]
            out[1] += n * w[at + Y + i]
            out[2] += n * w[at + Z + i]


@device
def learn_positions(
    w: Array,
    at: int,
    x_c: Array,
    y_c: Array,
    z_c: Array,
    begin: int,
    end: int,
    clock: float,
    settings: Array,
    xs: Array,
    ys: Array,
    zs: Array,
    f: Array,
) -> None:
    """Trains a model with the positions of one bucket."""
    fade(w, at, clock, settings)
    for c in range(begin, end):
        if x_c[c] == x_c[c]:
            learn_position(w, at, x_c[c], y_c[c], z_c[c], settings, f)
            w[at + LAST] = clock
    if w[at + SEEN] > 0.0 and w[at + SEEN] >= w[at + DUE]:
        fit_radii(w, at)
        fit_levels(w, at, xs, ys, zs, f)
        w[at + DUE] = w[at + SEEN] + max(1.0, REFIT * min(w[at + SEEN], w[at + WEIGHT]))


@kernel(
    "i64(in i64[], in i64[], in f64[], in f64[], in f64[], i64, i64, i64, i64, i64, in f64[], out f64[],"
    " out f64[], out f64[], out f64[], out f64[], out f64[], out i64[], out i64[], out f64[], out f64[],"
    " out f64[], out f64[], out f64[], out i64[])"
)
def judge_positions(
    model_c: Array,
    bucket_c: Array,
    x_c: Array,
    y_c: Array,
    z_c: Array,
    begin: int,
    end: int,
    bucket_from: int,
    clock_offset: int,
    learn: int,
    settings: Array,
    state: Array,
    xs: Array,
    ys: Array,
    zs: Array,
    f: Array,
    min_log_p_b: Array,
    scored_b: Array,
    cell_r: Array,
    log_p_r: Array,
    x_r: Array,
    y_r: Array,
    z_r: Array,
    score_r: Array,
    resume: Array,
) -> int:
    """Scores the positions of the cells [begin, end), and with ``learn`` then trains; returns the next cell.

    Positions are unit vectors, or NaN for none. The cells are sorted by model, then by bucket, then by
    position; those of one model and bucket are scored before any of them is learned from. ``xs, ys, zs, f``
    have room for POINTS numbers. ``x_r, y_r, z_r`` is the typical position, a vector of any length. Stops
    early when there may not be room for the results of the next cells; ``resume[MADE]`` is their number.
    """
    made, cell = 0, begin
    resume[DONE] = 0
    while cell < end:
        model, bucket = model_c[cell], bucket_c[cell]
        after = cell + 1
        while after < end and model_c[after] == model and bucket_c[after] == bucket:
            after += 1
        if made + after - cell > len(cell_r):
            break
        at, clock = model * STATE, float(bucket - clock_offset)
        if state[at + SEEN] > 0.0:
            for c in range(cell, after):
                x, y, z = x_c[c], y_c[c], z_c[c]
                if x != x:
                    continue
                log_p = min(log_probability(state, at, x, y, z, settings), 0.0)
                b = bucket - bucket_from
                min_log_p_b[b] = min(min_log_p_b[b], log_p)
                scored_b[b] += 1
                if log_p < settings[THRESHOLD]:
                    explain(state, at, x, y, z, f)
                    cell_r[made], log_p_r[made] = c, log_p
                    x_r[made], y_r[made], z_r[made] = f[0], f[1], f[2]
                    score_r[made] = absolute_score(-log_p)
                    made += 1
        if learn != 0:
            learn_positions(state, at, x_c, y_c, z_c, cell, after, clock, settings, xs, ys, zs, f)
        cell = after
    resume[MADE] = made
    resume[DONE] = 1 if cell == end else 0
    return cell


@kernel("i64(in f64[], in f64[], out f64[], out f64[], out f64[])")
def to_vectors(latitude: Array, longitude: Array, x: Array, y: Array, z: Array) -> int:
    """Unit vectors of positions in degrees: x to (0, 0), y to (0, 90), z to the north pole; NaN of NaN.

    A latitude beyond 90 or a longitude beyond 180 is no position either. Returns how many there are.
    """
    valid = 0
    for i in range(len(latitude)):
        lat, lon = latitude[i], longitude[i]
        if abs(lat) <= 90.0 and abs(lon) <= 180.0:
            flat = cosine(lat)
            x[i], y[i], z[i] = flat * cosine(lon), flat * sine(lon), sine(lat)
            valid += 1
        else:
            x[i], y[i], z[i] = np.nan, np.nan, np.nan
    return valid


@kernel("i64(in f64[], in f64[], in f64[], out f64[], out f64[])")
def to_degrees(x: Array, y: Array, z: Array, latitude: Array, longitude: Array) -> int:
    """Latitude and longitude of vectors of any length but 0; returns their number."""
    for i in range(len(x)):
        latitude[i] = arc_tangent(z[i], root(x[i] * x[i] + y[i] * y[i]))
        longitude[i] = arc_tangent(y[i], x[i])
    return len(x)


@kernel("i64(out f64[], out f64[], out f64[])")
def to_unit(x: Array, y: Array, z: Array) -> int:
    """Makes vectors as long as 1, in place; NaN of those shorter than 1e-9, which point nowhere.

    Returns how many point somewhere.
    """
    valid = 0
    for i in range(len(x)):
        length = root(x[i] * x[i] + y[i] * y[i] + z[i] * z[i])
        if length >= 1e-9:
            x[i], y[i], z[i] = x[i] / length, y[i] / length, z[i] / length
            valid += 1
        else:
            x[i], y[i], z[i] = np.nan, np.nan, np.nan
    return valid
