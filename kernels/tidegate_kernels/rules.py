"""Custom rules: what is not to be reported, and of what hardly anything is to be learned.

A table holds the rules one after the other, for each its actions, the number of its conditions, and
for every condition what it applies to, the operator and the value. A rule acts on a series in its
scope (a bit of the series' mask) in a bucket in which all its conditions hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.counts import train_count
from tidegate_kernels.profile import train_profiles
from tidegate_kernels.registry import device
from tidegate_kernels.residual import train_spread
from tidegate_kernels.state import (
    CARRY,
    COUNT,
    FIRST,
    FORECAST,
    IS_DATA,
    IS_LEARNED,
    IS_ON,
    IS_SCORED,
    LANES,
    LAST,
    LAST_DATA,
    LEVEL,
    LINE,
    LOG_P,
    NON_NEGATIVE,
    RULED,
    SD_R,
    SLOPE,
    VALUE,
    ZERO_SHARE,
    Now,
    R,
    Rates,
    gap_of,
    put,
    unroot,
)

Array = Any

RULE_HEAD = 2  # numbers of a rule before its conditions: actions, number of conditions
CONDITION_SIZE = 3  # what it applies to, operator, value
SKIP_RESULT, SKIP_UPDATE, HIDDEN, FAINT = 1, 2, 4, 8  # actions, and what they came to in a bucket
ACTUAL, TYPICAL, DIFFERENCE, TIME = range(4)
GT, GTE, LT, LTE = range(4)
FAINT_WEIGHT = 0.005  # a rule that always holds still lets the model learn, in time
SLOPE_CLIP = 3.0  # sd_r, as in `observe.train`


@device
def holds(operator: int, x: float, value: float) -> bool:
    """Whether a number compares so with the value of a condition; a NaN does not."""
    if operator == GT:
        return x > value
    if operator == GTE:
        return x >= value
    if operator == LT:
        return x < value
    return x <= value


@device
def actions_of(rules: Array, mask: Any, actual: float, typical: float, seconds: float) -> int:
    """What the rules in whose scope a series is, bit k of ``mask`` for rule k, do with a bucket."""
    actions = 0
    at = 0
    scope: Any = mask
    while at < len(rules):
        acts = scope & np.uint64(1) != np.uint64(0)
        n = int(rules[at + 1])
        for k in range(n):
            condition = at + RULE_HEAD + k * CONDITION_SIZE
            what = int(rules[condition])
            x = actual
            if what == TYPICAL:
                x = typical
            elif what == DIFFERENCE:
                x = abs(actual - typical)
            elif what == TIME:
                x = seconds
            acts = acts and holds(int(rules[condition + 1]), x, rules[condition + 2])
        if acts:
            actions |= int(rules[at])
        at += RULE_HEAD + n * CONDITION_SIZE
        scope = scope >> np.uint64(1)
    return actions


@device
def obey(w: Array, rules: Array, rule_s: Array, block: int, seconds: float) -> None:
    """RULED of the lanes that have a value; called when it is known what was expected.

    Where nothing is to be learned IS_LEARNED is 0, and RULED says FAINT where something would have been.
    """
    for lane in range(LANES):
        at: Any = np.uint64(lane)
        actions = 0
        if w[IS_ON + at] > 0.0:
            typical = w[FORECAST + at]
            typical = unroot(typical) if w[NON_NEGATIVE + at] > 0.0 else typical
            actions = actions_of(rules, rule_s[block * LANES + lane], w[VALUE + at], typical, seconds)
        if actions & SKIP_UPDATE != 0 and w[IS_LEARNED + at] > 0.0:
            w[IS_LEARNED + at] = 0.0
            actions |= FAINT
        w[RULED + at] = actions


@device
def hide(w: Array) -> None:
    """The probability of what is not to be reported is 1, and no event of the series."""
    for lane in range(LANES):
        at: Any = np.uint64(lane)
        actions = int(w[RULED + at])
        if actions & SKIP_RESULT != 0 and w[IS_SCORED + at] > 0.0:
            w[LOG_P + at] = 0.0
            w[IS_SCORED + at] = 0.0  # until the events of the series have been weighed
            w[RULED + at] = actions | HIDDEN


@device
def finish_rules(w: Array, rates: Rates, now: Now) -> None:
    """After everything else was trained: a faint training, and what is hidden was scored all the same."""
    for lane in range(LANES):
        at: Any = np.uint64(lane)
        actions = int(w[RULED + at])
        if actions & HIDDEN != 0:
            w[IS_SCORED + at] = 1.0
        if actions & FAINT != 0:
            train_faintly(w, at, rates, now)


@device
def train_faintly(w: Array, lane: int, rates: Rates, now: Now) -> None:
    """What `observe.train` does to level, slope, variances and profiles, with FAINT_WEIGHT.

    Sizes, habit, tail, moving mean and shifts of the level do not know weights: they learn nothing.
    """
    gap = gap_of(w, lane, now.clock)
    age = now.clock - w[FIRST + lane]
    young = max(1.0 - age / rates.young, 0.0)
    weight = FAINT_WEIGHT * w[ZERO_SHARE + lane]
    r = w[R + lane]
    n = w[COUNT + lane] + weight
    w[COUNT + lane] = min(n, 1.0 / rates.spread)
    train_spread(w, lane, rates, True, n, weight, gap)
    if rates.counts:
        train_count(w, lane, rates, True, n, weight)
    most = SLOPE_CLIP * w[SD_R + lane]
    w[SLOPE + lane] += rates.slope * weight * min(max(r, -most), most) * (1.0 - young)
    w[LEVEL + lane] = w[LINE + lane] + max(1.0 / n, rates.level) * weight * r
    train_profiles(w, lane, rates, now, True, weight, age * rates.days)
    w[CARRY + lane] = r * weight
    put(w, LAST_DATA + lane, w[IS_DATA + lane] > 0.0, now.clock)
    w[LAST + lane] = now.clock
