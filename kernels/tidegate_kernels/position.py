"""Positions on the earth: scored by the density of `spots`, which then learns them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.elementary import (
    exp,
    log,
    power,
)
from tidegate_kernels.event import (
    absolute_score,
)
from tidegate_kernels.intrinsics import (
    root,
)
from tidegate_kernels.levels import (
    density_at,
    learn_level,
    level_of,
    recalibrated,
)
from tidegate_kernels.registry import (
    device,
    kernel,
)
from tidegate_kernels.spots import (
    DUE,
    EARTH,
    FLAT,
    LAST,
    LAST_X,
    LAST_Y,
    LAST_Z,
    LEAST_COST,
    LEAST_MEMORY,
    LEAST_RADIUS,
    LOG_STEP,
    LOST,
    MEMORY,
    NARROW,
    NOVEL,
    PLACES,
    RATE,
    ROW,
    SEEN,
    SPOTS,
    STATE,
    STAYS,
    TABLE,
    THRESHOLD,
    TOP,
    USED,
    WEIGHT,
    WINDOW,
    N,
    S,
    X,
    Y,
    Z,
    between,
    chord,
    density,
    fit_levels,
    fit_radii,
    fit_radius,
    largest_radius,
    share_new,
    square,
)

Array = Any

# Resume
DONE = 0
MADE = 1
RESUME = 2

FAR = 2000.0 / EARTH
NEWCOMER = 3.0  # weight that a new position has when it comes to giving up a spot
WARM = 20.0  # positions before the series says what s is worth
REFIT = 0.25  # share of new positions after which radii and table are due
FADED = 0.02  # weight at which a spot is dropped
STEP_GAIN = 0.02
STEP_CLIP = 1.0  # journeys, up to every other step, leave what it is to stay as it was
USUAL = -2.995732273553991  # ln 0.05: spots in what has 95% of the mass are typical


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
    if used == SPOTS and least <= min(w[at + LEAST_COST], NEWCOMER * square(FAR)):
        join_spots(w, at, cheapest, used, least, used)
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
    cost: float = min(a * b / (a + b) * between(w, at, i, j), min(a, b) * square(FAR))
    return cost


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
    """Merges the pair for which that adds least to the squares, or gives up the lightest spot.

    The last spot is the newcomer.
    """
    used = int(w[at + USED])
    least, first, second = np.inf, 0, 0
    for i in range(used):
        light = (w[at + N + i] if i < used - 1 else NEWCOMER) * square(FAR)
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
        join_spots(w, at, first, second, least, used - 1)
    remove_spot(w, at, second)


@device
def join_spots(w: Array, at: int, i: int, j: int, cost: float, newcomer: int) -> None:
    """Makes spot i of spots i and j, with the cost of the merging; a newcomer does not change the radius."""
    a, b = w[at + N + i], w[at + N + j]
    x = a * w[at + X + i] + b * w[at + X + j]
    y = a * w[at + Y + i] + b * w[at + Y + j]
    z = a * w[at + Z + i] + b * w[at + Z + j]
    scale = 1.0 / root(x * x + y * y + z * z)
    w[at + X + i], w[at + Y + i], w[at + Z + i] = x * scale, y * scale, z * scale
    w[at + N + i] = a + b
    w[at + S + i] += w[at + S + j] + 0.5 * cost
    if j != newcomer:
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
def learn_position(
    w: Array, at: int, x: float, y: float, z: float, is_known: bool, settings: Array, costs: Array
) -> None:
    """Adds a position to the spots; what was new to a series that is known counts for what will be."""
    if is_known:
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
    is_known = w[at + SEEN] > 0.0
    fade(w, at, clock, settings)
    for c in range(begin, end):
        if x_c[c] == x_c[c]:
            learn_position(w, at, x_c[c], y_c[c], z_c[c], is_known, settings, f)
            w[at + LAST] = clock
    if w[at + SEEN] > 0.0 and w[at + SEEN] >= w[at + DUE]:
        fit_radii(w, at)
        fit_levels(w, at, settings, xs, ys, zs, f)
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
