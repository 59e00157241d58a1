"""Members of populations: how much each counts in the training, and what its attributes say together."""

from __future__ import annotations

from typing import Any

from tidegate_kernels.crowd import DAY_MS, fade_at_rest
from tidegate_kernels.elementary import exp
from tidegate_kernels.event import absolute_score
from tidegate_kernels.order import counting_sort
from tidegate_kernels.registry import device, kernel
from tidegate_kernels.score import log_added, log_any

Array = Any

# What is kept of an attribute to weigh its members by, all decayed:
CELLS = 0  # active buckets of all members
MEMBERS = 1  # the sum of exp(-rate age) over the members, age being that of their last active bucket
SEEN = 2  # clock up to which the two are decayed
CROWD_SIZE = 3
# and of a member:
ACTIVE = 0  # its active buckets
LAST = 1  # clock of the last one
MEMBER_SIZE = 2

SIGNIFICANT = -4.605170185988091  # ln 0.01: from there on every probability of a member is joined
CAUSE = -2.995732273553991  # ln 0.05, up to which an attribute is a cause
UNSCORED = 1.0  # as ln p


@kernel(
    "i64(in i64[], in i32[], in i64[], i64, i64, i64, i64, out i64[], out i64[], out i64[], out i64[],"
    " out i64[])"
)
def order_members(
    bucket_c: Array,
    member_c: Array,
    attribute_c: Array,
    bucket_from: int,
    n_buckets: int,
    n_members: int,
    n_attributes: int,
    count: Array,
    scratch: Array,
    sorted_i: Array,
    order: Array,
    place_i: Array,
) -> int:
    """Two orders of cells: by bucket and member, ``order``, and of that by attribute, ``place_i``.

    Cells come in no order that one may rely on: it depends on threads. ``count`` has room for the largest of
    the three numbers and 1 more. ``scratch`` and ``sorted_i`` are work space. Returns the number of cells.
    """
    n = len(bucket_c)
    for i in range(n):
        order[i] = i
    counting_sort(member_c, 0, n_members, n, order, count, scratch)
    counting_sort(bucket_c, bucket_from, n_buckets, n, scratch, count, order)
    for i in range(n):
        sorted_i[i] = attribute_c[order[i]]
        scratch[i] = i
    counting_sort(sorted_i, 0, n_attributes, n, scratch, count, place_i)
    return n


@kernel("i64(in i64[], in i64[], in i64[], in i32[], i64, f64, out f64[], out f64[], out f64[])")
def weigh_members(
    attribute_g: Array,
    first_g: Array,
    bucket_i: Array,
    member_i: Array,
    clock_offset: int,
    span_ms: float,
    crowd_a: Array,
    member_m: Array,
    share_i: Array,
) -> int:
    """How much each member of a bucket counts, after this bucket: as much as the mean one in all.

    With a its active buckets, A those of all members and M how many members there are, all decayed with
    the law's rate at rest, so that who stays away is forgotten::

        share   min(A / M / a, 1)

    A member that is always active does not own the law: it trains as much as the mean member does, the
    law is that of a bucket of a member taken at random. Returns the number of values.
    """
    rate = fade_at_rest(DAY_MS / span_ms)
    keep_one = exp(-rate)
    for g in range(len(attribute_g)):
        at = attribute_g[g] * CROWD_SIZE
        i = first_g[g]
        while i < first_g[g + 1]:
            start, bucket = i, bucket_i[i]
            clock = float(bucket - clock_offset)
            keep = exp(-rate * max(clock - crowd_a[at + SEEN], 0.0))
            cells, members = crowd_a[at + CELLS] * keep, crowd_a[at + MEMBERS] * keep
            while i < first_g[g + 1] and bucket_i[i] == bucket:
                m = member_i[i] * MEMBER_SIZE
                active, gap = member_m[m + ACTIVE], clock - member_m[m + LAST]
                keep = 0.0 if active == 0.0 else (keep_one if gap == 1.0 else exp(-rate * gap))
                cells += 1.0
                members += 1.0 - keep
                member_m[m + ACTIVE] = active * keep + 1.0
                member_m[m + LAST] = clock
                i += 1
            crowd_a[at + CELLS], crowd_a[at + MEMBERS], crowd_a[at + SEEN] = cells, members, clock
            mean = cells / members
            for k in range(start, i):
                share_i[k] = min(mean / member_m[member_i[k] * MEMBER_SIZE + ACTIVE], 1.0)
    return len(bucket_i)


@device
def joined(log_sum: float, least: float, count: float) -> float:
    """Ln p of a member: `score.log_any` of its attributes; with one it is that of the attribute."""
    if count == 1.0:
        return least
    return log_any(log_sum if least < SIGNIFICANT else -least, count)


@kernel(
    "i64(in i64[], in i32[], in f64[], in f64[], i64, f64, out i32[], out f64[], out f64[], out f64[],"
    " out i64[], out i64[], out i64[], out f64[], out f64[], out f64[], out i64[], out i64[], out i64[])"
)
def join_attributes(
    bucket_c: Array,
    person_c: Array,
    log_p_c: Array,
    score_c: Array,
    bucket_from: int,
    log_threshold: float,
    slot_p: Array,
    sum_k: Array,
    least_k: Array,
    count_k: Array,
    cell_k: Array,
    bucket_r: Array,
    cell_r: Array,
    log_p_r: Array,
    score_r: Array,
    min_log_p_b: Array,
    scored_b: Array,
    result_h: Array,
    cell_h: Array,
) -> int:
    """One result per bucket and person from the cells of its attributes; returns how many causes there are.

    Cells come bucket by bucket; ``person_c`` is empty where every cell is a person. ``slot_p`` is -1 for
    every person, and so it is left; arrays ending in _k have room for the cells of a bucket. A result
    below the threshold is put down at the end of the columns ending in _r, those are filled with
    bucket -1 behind the last one; its cell is that of the least probable attribute. Every cell of it with
    ln p <= CAUSE is a cause, one of the columns ending in _h. Its score is at most what its p allows.
    """
    keyed = len(person_c) > 0
    r = h = i = 0
    while i < len(bucket_c):
        start, bucket = i, bucket_c[i]
        while i < len(bucket_c) and bucket_c[i] == bucket:
            count_k[i - start] = 0.0
            i += 1
        used = 0
        for c in range(start, i):
            log_p = log_p_c[c]
            if log_p == UNSCORED:
                continue
            k = c - start
            if keyed:
                k = slot_p[person_c[c]]
                if k < 0:
                    k = used
                    slot_p[person_c[c]] = k
            used = max(used, k + 1)
            if count_k[k] == 0.0:
                sum_k[k], least_k[k], cell_k[k] = -log_p, log_p, c
            else:
                if log_p < SIGNIFICANT:
                    sum_k[k] = log_added(sum_k[k], -log_p) if least_k[k] < SIGNIFICANT else -log_p
                if log_p < least_k[k]:
                    least_k[k], cell_k[k] = log_p, c
            count_k[k] += 1.0
        first = r
        for k in range(used):
            if count_k[k] == 0.0:
                continue
            log_p = joined(sum_k[k], least_k[k], count_k[k])
            scored_b[bucket - bucket_from] += 1
            min_log_p_b[bucket - bucket_from] = min(min_log_p_b[bucket - bucket_from], log_p)
            sum_k[k] = -1.0
            if log_p < log_threshold:
                sum_k[k] = float(r)
                bucket_r[r], cell_r[r], log_p_r[r] = bucket, cell_k[k], log_p
                score_r[r] = min(score_c[cell_k[k]], absolute_score(-log_p))
                r += 1
        for c in range(start, i):
            if log_p_c[c] == UNSCORED:
                continue
            k = slot_p[person_c[c]] if keyed else c - start
            if r > first and log_p_c[c] <= CAUSE and sum_k[k] >= 0.0:
                result_h[h], cell_h[h] = int(sum_k[k]), c
                h += 1
        if keyed:
            for c in range(start, i):
                slot_p[person_c[c]] = -1
    for k in range(r, len(bucket_r)):
        bucket_r[k] = -1
    return h
