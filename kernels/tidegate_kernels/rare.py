"""Rare categories: how probable it is that something as rare as this is active.

An activation is a category (a by value; of a population: that of one member) in one bucket. A partition
knows what it saw, and how much of it fell on categories of every weight. An activation is scored by
how often the past ones fell on a category as rare, itself one of them: Good and Turing's estimate (Good,
Biometrika 1953), a weighted conformal prediction (Vovk, Gammerman, Shafer 2005; Barber et al. 2023)::

    p        M(w + d) / M (1 - l) + l,    l = c / (W + c)
    w, d     weight of the category before this bucket, and what this bucket adds to it
    M(x)     mass of past activations that fell on categories of weight up to x; M: of all
    W, c     weight of all past activations; d, at least 1

So p of a category never seen is the share of those seen once: large where there is always
something new, 1 / (W + 1) where there never is. Of activations drawn alike p < alpha are alpha at most. All
of a bucket is scored before any of it is learned. Of a population, what several members do at once
adds up in d, and what two of as many members as a bucket usually has, drawn at random, both have anew is at
least as probable as that: a roll-out is not rare.

Forgetting: weights halve in HALF_LIFE. Masses fade faster while a partition is young, so that what its first
days brought does not stand for the novelty to come: what was active at age t counts exp(g(t) - g(T)) at
age T, in days since the first activation::

    g(T)     FADE ln(1 + T / FADE_FROM), from where its slope is that of the weights on a line

A category keeps its mass for its weight, and both as of its last activation: nothing idle is touched.
Masses are histograms over ln weight, BINS_PER_E bins per factor e, of fixed places as weights decay;
weights of up to one activation of today share the lowest bin, since no w + d is less.
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.elementary import exp, floor, log
from tidegate_kernels.registry import device, kernel

Array = Any

FADE = 2.0  # what is half as old as the partition counts a quarter
FADE_FROM = 1.0  # days
HALF_LIFE = 90.0  # days
LN_KEEP = -0.6931471805599453 / HALF_LIFE  # of weights, a day
BINS_PER_E = 4.0
BINS = 72  # a factor of e^18 above one activation
HEAVIEST = 39824784.39757622  # e^17.5, the most a category weighs
REPEAT_BINS_PER_E = 2.0
REPEAT_BINS = 24  # of records in an activation: up to e^12
RARE = 0.1
RARE_PRIOR = 20.0  # activations that all are taken for, beside the rare ones
LEAST_WEIGHT = 99.0  # below, no p is below SIGNIFICANT
NOT_SCORED = 1.0  # in the place of a logarithm of p

# A partition: its first bucket (less those skipped) plus one, 0 before; its age in days, g and the number of
# the lowest bin at its last activation; weight of all activations; mass of all; chances to be active: its
# active buckets, or those of its members; its active buckets; mass that came with p up to RARE; mass by
# weight; where it is asked for, mass by records.
FIRST, AGE, CLOCK, LOWEST, WEIGHT, TOTAL, CHANCES, BUCKETS, RARE_TOTAL, MASS = range(10)
REPEATS = MASS + BINS
PARTITION_SIZE = REPEATS
RARE_REPEATS = REPEATS + REPEAT_BINS  # the same of what came with p up to RARE
PARTITION_SIZE_WITH_REPEATS = RARE_REPEATS + REPEAT_BINS


@device
def fade_clock(days: float) -> float:
    """The g of the age of a partition in days: what is then active weighs exp(g)."""
    line_from = FADE / -LN_KEEP - FADE_FROM
    bent = FADE * log(1.0 + min(days, line_from) * (1.0 / FADE_FROM))
    return bent - max(days - line_from, 0.0) * LN_KEEP


@device
def bin_number(days: float, weight: float) -> float:
    """The number of the bin of a weight as of an age, counted from weight 1 at the beginning."""
    return floor(max(BINS_PER_E * (log(weight) - days * LN_KEEP), 0.0))


@device
def place_of(partition: Array, at: int, number: float) -> int:
    """Where the bin of this number is in the state; below the lowest there is none."""
    return at + MASS + int(min(max(number - partition[at + LOWEST], 0.0), BINS - 1.0))


@device
def advance_partition(partition: Array, at: int, size: int, days: float) -> None:
    """Fades all masses to an age in days, and puts together what now weighs no more than one activation."""
    partition[at + WEIGHT] *= exp((days - partition[at + AGE]) * LN_KEEP)
    clock = fade_clock(days)
    keep = exp(partition[at + CLOCK] - clock)
    partition[at + AGE] = days
    partition[at + CLOCK] = clock
    for k in range(TOTAL, size):
        partition[at + k] *= keep
    lowest = floor(-BINS_PER_E * LN_KEEP * days)
    steps = int(min(lowest - partition[at + LOWEST], BINS * 1.0))
    partition[at + LOWEST] = lowest
    if steps > 0:
        first = at + MASS
        for k in range(1, min(steps, BINS - 1) + 1):
            partition[first] += partition[first + k]
        for k in range(1, BINS):
            partition[first + k] = partition[first + k + steps] if k + steps < BINS else 0.0


@device
def accumulate(partition: Array, at: int, cumulative: Array) -> None:
    """M, bin by bin from the lowest."""
    total = 0.0
    for k in range(BINS):
        total += partition[at + MASS + k]
        cumulative[k] = total


@device
def repeat_bin(records: float) -> int:
    """The bin of a number of records."""
    return int(min(floor(REPEAT_BINS_PER_E * log(max(records, 1.0))), REPEAT_BINS - 1.0))


@device
def log_often(state: Array, at: int, p: float, records: float) -> float:
    """Ln p of a category as rare as p being hit as often as this, or anything as unlikely together.

    With f_j the share of rare activations with as many records as bin j, q_j that of as many or more,
    and q that of these records, for p up to RARE::

        x = q p / RARE,    P = RARE times the sum over j of f_j min(x / q_j, 1)

    the distribution of the product of two independent probabilities, one uniform and one discrete.
    f_j is that of what came with p up to RARE, with RARE_PRIOR from all activations, and with this one.
    How often something common is hit does not matter: beyond RARE P is p.
    """
    if p > RARE:
        return log(p)
    here = repeat_bin(records)
    tail = 0.0
    for k in range(here, REPEAT_BINS):
        tail += repeat_share(state, at, k, here)
    x = p * (1.0 / RARE) * min(tail, 1.0)
    chance, tail = 0.0, 0.0
    for k in range(REPEAT_BINS):
        share = repeat_share(state, at, REPEAT_BINS - 1 - k, here)
        tail += share
        if share > 0.0:
            chance += share * min(x / tail, 1.0)
    return log(RARE * min(max(chance, 1e-300), 1.0))


@device
def repeat_share(state: Array, at: int, k: int, here: int) -> float:
    """The share of rare activations with as many records as bin k, one in bin ``here`` counted in."""
    prior = RARE_PRIOR * state[at + REPEATS + k] / state[at + TOTAL]
    rare = state[at + RARE_REPEATS + k] + prior + (1.0 if k == here else 0.0)
    share: float = rare / (state[at + RARE_TOTAL] + RARE_PRIOR + 1.0)
    return share


@device
def median_weight(cumulative: Array, lowest: float, days: float) -> float:
    """The weight of the category that the median activation fell on, to a bin."""
    k = 0
    while k < BINS - 1 and cumulative[k] < 0.5 * cumulative[BINS - 1]:
        k += 1
    return exp((lowest + k + 0.5) * (1.0 / BINS_PER_E) + days * LN_KEEP)


@kernel(
    "i64(in i32[], in i64[], in i32[], in i32[], in i32[], in f64[], i64, i64, i64, f64, i64, i64, i64,"
    " out f64[], out f64[], out f64[], out f64[], out f64[], out f64[], out f64[], out f64[],"
    " out f64[], out f64[], out f64[], out f64[], out f64[], out f64[])"
)
def score_activations(
    partition_c: Array,
    bucket_c: Array,
    person_c: Array,
    category_c: Array,
    member_c: Array,
    records_c: Array,
    start: int,
    stop: int,
    clock_offset: int,
    span_days: float,
    by_repeats: int,
    size: int,
    learn: int,
    partition: Array,
    weight_s: Array,
    mass_s: Array,
    days_s: Array,
    pending_s: Array,
    count_m: Array,
    days_m: Array,
    scratch: Array,
    log_p_c: Array,
    typical_c: Array,
    log_own_c: Array,
    rarity_c: Array,
    first_c: Array,
    lone_p_c: Array,
) -> int:
    """Scores, and with ``learn`` then learns, the activations [start, stop).

    They are sorted by partition, bucket and person. Without a population ``person_c``, ``member_c`` and what
    is kept of members are empty and an activation adds 1 to its category; with one, that of a member which
    weighs c in it adds 1 / (1 + c): a category is as common as it has members, much more than by what one
    of them does. ``pending_s`` is 0 before and after. ``scratch`` has room for a partition and BINS.

    Writes ln p (`NOT_SCORED` where the partition saw too little), and where p, repeats apart, is up to RARE:
    the expected share of chances in which the category is active, ln of the same with this one counted in,
    how many times the median activation's category weighs this one's, and whether it is the first of it.
    Returns how many are scored.
    """
    scored = 0
    begin = start
    while begin < stop:
        end = begin + 1
        while end < stop and bucket_c[end] == bucket_c[begin] and partition_c[end] == partition_c[begin]:
            end += 1
        at = int(partition_c[begin]) * size
        now = bucket_c[begin] - clock_offset + 1
        if partition[at + FIRST] == 0.0 and learn != 0:
            partition[at + FIRST] = now
        state = partition
        if learn == 0:
            for k in range(size):
                scratch[BINS + k] = partition[at + k]
            state, at = scratch, BINS
        days = (now - state[at + FIRST]) * span_days if state[at + FIRST] > 0.0 else 0.0
        advance_partition(state, at, size, days)
        if state[at + WEIGHT] < LEAST_WEIGHT:
            for i in range(begin, end):
                log_p_c[i] = NOT_SCORED
                lone_p_c[i] = 1.0
        else:
            score_group(
                person_c, category_c, member_c, records_c, begin, end, by_repeats, state, at, days,
                weight_s, mass_s, days_s, pending_s, count_m, days_m, scratch,
                log_p_c, typical_c, log_own_c, rarity_c, first_c, lone_p_c,
            )  # fmt: skip
            scored += end - begin
        if learn != 0:
            learn_group(
                category_c, member_c, records_c, begin, end, by_repeats, state, at, days,
                weight_s, mass_s, days_s, count_m, days_m, lone_p_c,
            )  # fmt: skip
            state[at + CHANCES] += float(persons(person_c, begin, end))
            state[at + BUCKETS] += 1.0
        begin = end
    return scored


@device
def persons(person_c: Array, begin: int, end: int) -> int:
    """How many members the activations [begin, end) are of; one where there is no population."""
    n = 1
    if len(person_c) > 0:
        for i in range(begin + 1, end):
            n += int(person_c[i] != person_c[i - 1])
    return n


@device
def added_weight(member_c: Array, i: int, days: float, count_m: Array, days_m: Array) -> float:
    """What an activation adds to the weight of its category."""
    if len(member_c) == 0:
        return 1.0
    m = member_c[i]
    added: float = 1.0 / (1.0 + count_m[m] * exp((days - days_m[m]) * LN_KEEP))
    return added


@device
def score_group(
    person_c: Array, category_c: Array, member_c: Array, records_c: Array,
    begin: int, end: int, by_repeats: int, state: Array, at: int, days: float,
    weight_s: Array, mass_s: Array, days_s: Array, pending_s: Array, count_m: Array, days_m: Array,
    cumulative: Array,
    log_p_c: Array, typical_c: Array, log_own_c: Array, rarity_c: Array, first_c: Array, lone_p_c: Array,
) -> None:  # fmt: skip
    """Scores the activations of one partition in one bucket by what came before."""
    accumulate(state, at, cumulative)
    total, chances, clock = state[at + TOTAL], state[at + CHANCES], state[at + CLOCK]
    median = median_weight(cumulative, state[at + LOWEST], days)
    present = max(float(persons(person_c, begin, end)), chances / state[at + BUCKETS])
    pairs = max(present * (present - 1.0), 1.0)
    for i in range(begin, end):
        pending_s[category_c[i]] += added_weight(member_c, i, days, count_m, days_m)
    for i in range(begin, end):
        s = category_c[i]
        fresh = pending_s[s]
        weight = min(weight_s[s] * exp((days - days_s[s]) * LN_KEEP) + fresh, HEAVIEST)
        place = place_of(state, at, bin_number(days, weight)) - at - MASS
        least = max(fresh, 1.0) / (state[at + WEIGHT] + max(fresh, 1.0))
        p = cumulative[place] / total * (1.0 - least) + least
        p = min(max(p, fresh * (fresh - 1.0) / pairs), 1.0)
        log_p_c[i] = log_often(state, at, p, records_c[i]) if by_repeats != 0 else log(p)
        lone_p_c[i] = p
        if p <= RARE:
            mass = mass_s[s] * exp(fade_clock(days_s[s]) - clock)
            typical_c[i] = min(mass / chances, 1.0)
            new = 1.0 / (chances * state[at + WEIGHT] / total + 1.0)
            log_own_c[i] = log(min(mass / chances * (1.0 - new) + new, 1.0))
            rarity_c[i] = median / weight
            first_c[i] = 1.0 if weight_s[s] == 0.0 else 0.0
    for i in range(begin, end):
        pending_s[category_c[i]] = 0.0


@device
def learn_group(
    category_c: Array, member_c: Array, records_c: Array, begin: int, end: int, by_repeats: int,
    state: Array, at: int, days: float, weight_s: Array, mass_s: Array, days_s: Array,
    count_m: Array, days_m: Array, lone_p_c: Array,
) -> None:  # fmt: skip
    """Adds the activations of one partition in one bucket to what it knows."""
    clock = state[at + CLOCK]
    for i in range(begin, end):
        s = category_c[i]
        mass = mass_s[s] * exp(fade_clock(days_s[s]) - clock)
        if weight_s[s] > 0.0:
            old = place_of(state, at, bin_number(days_s[s], weight_s[s]))
            state[old] = max(state[old] - mass, 0.0)
        weight = weight_s[s] * exp((days - days_s[s]) * LN_KEEP)
        weight_s[s] = min(weight + added_weight(member_c, i, days, count_m, days_m), HEAVIEST)
        mass_s[s] = mass + 1.0
        days_s[s] = days
        state[place_of(state, at, bin_number(days, weight_s[s]))] += mass_s[s]
        state[at + TOTAL] += 1.0
        state[at + WEIGHT] += 1.0
        if by_repeats != 0:
            k = repeat_bin(records_c[i])
            state[at + REPEATS + k] += 1.0
            if lone_p_c[i] <= RARE:
                state[at + RARE_REPEATS + k] += 1.0
                state[at + RARE_TOTAL] += 1.0
    if len(member_c) > 0:
        for i in range(begin, end):
            m = member_c[i]
            count_m[m] = count_m[m] * exp((days - days_m[m]) * LN_KEEP) + 1.0
            days_m[m] = days
