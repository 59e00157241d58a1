"""Times of the day or the week: scored by the density of `circle`, which then learns them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.circle import (
    DUE,
    FIRST,
    GROUPS,
    LAST,
    LEAST_MEMORY,
    MEMORY,
    NOVEL,
    PERIOD,
    RATE,
    ROW,
    SEEN,
    SLOTS,
    SPAN,
    TABLE,
    THRESHOLD,
    TOP,
    USED,
    WEIGHT,
    WINDOW,
    apart,
    density,
    fit_levels,
    fit_width,
    fit_widths,
    share_new,
    state_size,
)
from tidegate_kernels.elementary import (
    exp,
    log,
    power,
)
from tidegate_kernels.event import (
    absolute_score,
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

Array = Any

# Resume
DONE = 0
MADE = 1
RESUME = 2

WARM = 20.0  # times before the series says what s is worth
REFIT = 0.25  # share of new times after which widths and table are due
FADED = 0.02  # weight at which a group is dropped
USUAL = -2.995732273553991  # ln 0.05: the typical region is what has 95% of the mass
NEW_AGE = 3.0  # periods after which newness is over


@device
def move_group(w: Array, at: int, slots: int, source: int, target: int) -> None:
    """Copies the numbers of a group to another place."""
    for k in range(4):
        first = at + GROUPS + k * (slots + 1)
        w[first + target] = w[first + source]


@device
def insert_time(w: Array, at: int, x: float, settings: Array) -> None:
    """A group of weight 1 for a time, in the order of times; in the group of a time that is the same."""
    period, slots, used = settings[PERIOD], int(settings[SLOTS]), int(w[at + USED])
    n = at + GROUPS
    m, s, ih = n + slots + 1, n + 2 * (slots + 1), n + 3 * (slots + 1)
    place = used
    while place > 0 and w[m + place - 1] > x:
        place -= 1
    if place > 0 and w[m + place - 1] == x:
        w[n + place - 1] += 1.0
        return
    for k in range(used - place):
        move_group(w, at, slots, used - 1 - k, used - k)
    w[n + place], w[m + place], w[s + place] = 1.0, x, 0.0
    w[at + USED] = used + 1.0
    beside = place - 1 if place > 0 else used
    if used > 0 and apart(x, w[m + beside], period) * w[ih + beside] < 1.0:
        w[ih + place] = w[ih + beside]
    else:
        window = max(2.0, WINDOW * power(w[at + WEIGHT], 0.6))
        w[ih + place] = 1.0 / fit_width(w, at, place, window, settings)


@device
def remove_group(w: Array, at: int, slots: int, i: int) -> None:
    """Closes the gap that a group leaves."""
    used = int(w[at + USED])
    for k in range(i, used - 1):
        move_group(w, at, slots, k + 1, k)
    w[at + USED] = used - 1.0


@device
def merge_nearest(w: Array, at: int, settings: Array, costs: Array) -> None:
    """Merges the two neighbours for which that adds least to the squares; the first of several."""
    period, slots, used = settings[PERIOD], int(settings[SLOTS]), int(w[at + USED])
    n = at + GROUPS
    m, s, ih = n + slots + 1, n + 2 * (slots + 1), n + 3 * (slots + 1)
    for i in range(used - 1):
        a, b, d = w[n + i], w[n + i + 1], w[m + i + 1] - w[m + i]
        costs[i] = a * b / (a + b) * d * d
    best, least = 0, np.inf
    for i in range(used - 1):
        if costs[i] < least:
            best, least = i, costs[i]
    a, b, d = w[n + used - 1], w[n], w[m] + period - w[m + used - 1]
    cost = a * b / (a + b) * d * d
    if cost < least:
        best, least = used - 1, cost
    other = best + 1 if best + 1 < used else 0
    a, b = w[n + best], w[n + other]
    d = w[m + other] - w[m + best]
    d = d if d >= 0.0 else d + period
    mean = w[m + best] + d * (b / (a + b))
    ih_new = min(w[ih + best], w[ih + other])
    squares = w[s + best] + w[s + other] + least
    # Around midnight the merged group is the last of the day, or the first of the next.
    keep, leave = (other, best) if mean >= period else (best, other)
    w[n + keep], w[s + keep], w[ih + keep] = a + b, squares, ih_new
    w[m + keep] = mean - period if mean >= period else mean
    remove_group(w, at, slots, leave)


@device
def fade(w: Array, at: int, clock: float, settings: Array) -> None:
    """Fades weights and squares by the time since the last; drops groups of which nothing is left."""
    gap = (clock - w[at + LAST]) * settings[SPAN]
    if w[at + SEEN] == 0.0 or gap <= 0.0:
        return
    keep = max(exp(-gap / settings[MEMORY]), 1.0 - 1.0 / settings[LEAST_MEMORY])
    slots = int(settings[SLOTS])
    n = at + GROUPS
    s = n + 2 * (slots + 1)
    used = int(w[at + USED])
    w[at + NOVEL] *= keep
    total, least = 0.0, np.inf
    for i in range(used):
        w[n + i] *= keep
        w[s + i] *= keep
        total += w[n + i]
        least = min(least, w[n + i])
    if least < FADED:
        i = 0
        while i < int(w[at + USED]):
            if w[n + i] < FADED and w[at + USED] > 1.0:
                total -= w[n + i]
                remove_group(w, at, slots, i)
            else:
                i += 1
    w[at + WEIGHT] = total


@device
def learn_time(w: Array, at: int, x: float, is_known: bool, settings: Array, points: Array) -> None:
    """Adds a time to its groups; what was new to a series that is known counts for what will be."""
    slots = int(settings[SLOTS])
    if is_known:
        f = density(w, at, x, settings[PERIOD], slots)
        w[at + NOVEL] += share_new(w, at) / (settings[PERIOD] * f)
        s = level_of(w, at + TABLE, w[at + TOP], ROW, log(f))
        if w[at + SEEN] >= WARM:
            learn_level(w, at + RATE, s)
        if s > 4.6:
            w[at + DUE] = 0.0
    w[at + WEIGHT] += 1.0
    w[at + SEEN] += 1.0
    insert_time(w, at, x, settings)
    if int(w[at + USED]) > slots:
        merge_nearest(w, at, settings, points)


@device
def log_probability(w: Array, at: int, x: float, clock: float, settings: Array) -> float:
    """Ln p of a time, recalibrated and blended with the newness of the series."""
    f = density(w, at, x, settings[PERIOD], int(settings[SLOTS]))
    s = recalibrated(w, at + RATE, level_of(w, at + TABLE, w[at + TOP], ROW, log(f)))
    age = (clock - w[at + FIRST]) * settings[SPAN] / settings[PERIOD]
    if age < NEW_AGE:
        new = exp(-(age * age) * (age * age))
        return log(new + exp(-s) * (1.0 - new))
    return -s


@device
def is_usual(w: Array, at: int, i: int, level: float, settings: Array) -> bool:
    """Whether a group lies in the region of the usual times."""
    slots = int(settings[SLOTS])
    x = w[at + GROUPS + slots + 1 + i]
    return log(density(w, at, x, settings[PERIOD], slots)) >= level


@device
def are_joined(w: Array, at: int, i: int, j: int, level: float, settings: Array) -> bool:
    """Whether the next group, j, lies in one region of usual times with i: half way it is usual too."""
    period, slots = settings[PERIOD], int(settings[SLOTS])
    m = at + GROUPS + slots + 1
    if not is_usual(w, at, j, level, settings):
        return False
    d = w[m + j] - w[m + i]
    middle = w[m + i] + 0.5 * (d if d >= 0.0 else d + period)
    middle -= period if middle >= period else 0.0
    return log(density(w, at, middle, period, slots)) >= level


@device
def explain(w: Array, at: int, x: float, settings: Array, out: Array) -> None:
    """The region of usual times nearest to x: its mean time, and where it begins and ends.

    What begins before midnight and ends after has a larger begin than end.
    """
    period, slots, used = settings[PERIOD], int(settings[SLOTS]), int(w[at + USED])
    n = at + GROUPS
    m, ih = n + slots + 1, n + 3 * (slots + 1)
    level = density_at(w, at + TABLE, w[at + TOP], ROW, USUAL)
    nearest, best = np.inf, 0
    for i in range(used):
        d = apart(x, w[m + i], period)
        if d < nearest and is_usual(w, at, i, level, settings):
            nearest, best = d, i
    total, moment, ahead, behind = w[n + best], 0.0, 0.0, 0.0
    first, last = best, best
    for _ in range(used - 1):
        j = last + 1 if last + 1 < used else 0
        if j == first or not are_joined(w, at, last, j, level, settings):
            break
        d = w[m + j] - w[m + last]
        ahead += d if d >= 0.0 else d + period
        total += w[n + j]
        moment += w[n + j] * ahead
        last = j
    for _ in range(used - 1):
        j = first - 1 if first > 0 else used - 1
        if j == last or not are_joined(w, at, j, first, level, settings):
            break
        d = w[m + first] - w[m + j]
        behind += d if d >= 0.0 else d + period
        total += w[n + j]
        moment -= w[n + j] * behind
        first = j
    out[0] = w[m + best] + moment / total
    out[1] = w[m + best] - behind - 2.0 / w[ih + first]
    out[2] = w[m + best] + ahead + 2.0 / w[ih + last]
    for k in range(3):
        out[k] -= period * np.floor(out[k] / period)


@kernel(
    "i64(in i64[], in i64[], in f64[], i64, i64, i64, i64, i64, in f64[], out f64[], out f64[],"
    " out f64[], out f64[], out i64[], out i64[], out f64[], out f64[], out f64[], out f64[], out f64[],"
    " out i64[])"
)
def judge_times(
    model_c: Array,
    bucket_c: Array,
    time_c: Array,
    begin: int,
    end: int,
    bucket_from: int,
    clock_offset: int,
    learn: int,
    settings: Array,
    state: Array,
    points: Array,
    densities_p: Array,
    min_log_p_b: Array,
    scored_b: Array,
    cell_r: Array,
    log_p_r: Array,
    typical_r: Array,
    lower_r: Array,
    upper_r: Array,
    score_r: Array,
    resume: Array,
) -> int:
    """Scores the times of the cells [begin, end), and with ``learn`` then trains; returns the next cell.

    The cells are sorted by model, then by bucket, then by time; those of one model and bucket are scored
    before any of them is learned from. ``points`` and ``densities_p`` have room for POINTS numbers. Stops
    early when there may not be room for the results of the next cells; ``resume[MADE]`` is their number.
    """
    size = state_size(int(settings[SLOTS]))
    made, cell = 0, begin
    resume[DONE] = 0
    while cell < end:
        model, bucket = model_c[cell], bucket_c[cell]
        after = cell + 1
        while after < end and model_c[after] == model and bucket_c[after] == bucket:
            after += 1
        if made + after - cell > len(cell_r):
            break
        at, clock = model * size, float(bucket - clock_offset)
        if state[at + SEEN] > 0.0:
            for c in range(cell, after):
                x = time_c[c]
                if x != x:
                    continue
                log_p = min(log_probability(state, at, x, clock, settings), 0.0)
                b = bucket - bucket_from
                min_log_p_b[b] = min(min_log_p_b[b], log_p)
                scored_b[b] += 1
                if log_p < settings[THRESHOLD]:
                    explain(state, at, x, settings, points)
                    cell_r[made], log_p_r[made] = c, log_p
                    typical_r[made], lower_r[made], upper_r[made] = points[0], points[1], points[2]
                    score_r[made] = absolute_score(-log_p)
                    made += 1
        if learn != 0:
            learn_times(state, at, time_c, cell, after, clock, settings, points, densities_p)
        cell = after
    resume[MADE] = made
    resume[DONE] = 1 if cell == end else 0
    return cell


@device
def learn_times(
    w: Array,
    at: int,
    time_c: Array,
    begin: int,
    end: int,
    clock: float,
    settings: Array,
    points: Array,
    f: Array,
) -> None:
    """Trains a model with the times of one bucket."""
    is_known = w[at + SEEN] > 0.0
    fade(w, at, clock, settings)
    for c in range(begin, end):
        x = time_c[c]
        if x != x:
            continue
        if w[at + SEEN] == 0.0:
            w[at + FIRST] = clock
        learn_time(w, at, x, is_known, settings, points)
        w[at + LAST] = clock
    if w[at + SEEN] > 0.0 and w[at + SEEN] >= w[at + DUE]:
        fit_widths(w, at, settings)
        fit_levels(w, at, settings, points, f)
        w[at + DUE] = w[at + SEEN] + max(1.0, REFIT * min(w[at + SEEN], w[at + WEIGHT]))
