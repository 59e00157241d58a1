"""Results of rare categories: what is unusual of the activations that `rare` scored, and why."""

from __future__ import annotations

from typing import Any

from tidegate_kernels.event import absolute_score
from tidegate_kernels.rare import FIRST
from tidegate_kernels.registry import device, kernel
from tidegate_kernels.score import log_added, log_any

Array = Any

LOG_SIGNIFICANT = -4.605170185988091
LOG_CAUSE_RATIO, LOG_CAUSE_LEVEL = 0.09531017980432493, -2.995732273553991
MOST_CAUSES = 10
TRUSTED_DAYS = 3.0


@kernel(
    "i64(in i32[], in i64[], in i32[], in i32[], in i32[], in f64[], i64, i64, i64, i64, f64, i64, i64,"
    " in f64[], in f64[], in f64[], in f64[], in f64[], in f64[],"
    " out i64[], out i64[], out f64[], out f64[], out f64[], out f64[], out f64[],"
    " out i64[], out i64[], out f64[], out f64[], out f64[], out i64[], out f64[], out i64[])"
)
def collect_results(
    partition_c: Array,
    bucket_c: Array,
    person_c: Array,
    category_c: Array,
    member_c: Array,
    records_c: Array,
    start: int,
    stop: int,
    bucket_from: int,
    clock_offset: int,
    span_days: float,
    by_repeats: int,
    size: int,
    partition: Array,
    log_p_c: Array,
    typical_c: Array,
    log_own_c: Array,
    rarity_c: Array,
    first_c: Array,
    bucket_r: Array,
    series_r: Array,
    log_p_r: Array,
    typical_r: Array,
    score_r: Array,
    rarity_r: Array,
    first_r: Array,
    result_k: Array,
    attribute_k: Array,
    log_p_k: Array,
    actual_k: Array,
    typical_k: Array,
    scored_b: Array,
    min_log_p_b: Array,
    made: Array,
) -> int:
    """Results of the scored activations [start, stop): one each, of a population one per member and bucket.

    p of a member with one attribute is that of the attribute, else `log_any` of all that it has.
    Its series is the least probable one, whose numbers it has. The score is `absolute_score` of p, or of
    the share of chances in which this category itself was active, if that is larger: what is seen every
    tenth bucket is no surprise however rare among its like. It counts for a third in a
    partition just begun, in full after two days. Of a population up to MOST_CAUSES attributes with
    p <= max(1.1 least p, 0.05) become causes, the least probable first.

    Buckets get the number of results scored and the least ln p. ``made`` becomes how many results and
    causes there are, with room for as many as activations.
    """
    results, causes = 0, 0
    begin = start
    while begin < stop:
        end = begin + 1
        if len(person_c) > 0:
            while (
                end < stop
                and person_c[end] == person_c[begin]
                and bucket_c[end] == bucket_c[begin]
                and partition_c[end] == partition_c[begin]
            ):
                end += 1
        if log_p_c[begin] <= 0.0:
            least = least_probable(log_p_c, rarity_c, begin, end)
            log_p = member_log_p(log_p_c, begin, end, least)
            b = bucket_c[begin] - bucket_from
            scored_b[b] += 1
            min_log_p_b[b] = min(min_log_p_b[b], log_p)
            if log_p < LOG_SIGNIFICANT:
                bucket_r[results] = bucket_c[begin]
                series_r[results] = member_c[least] if len(person_c) > 0 else category_c[least]
                log_p_r[results] = log_p
                typical_r[results] = typical_c[least]
                rarity_r[results] = rarity_c[least]
                first_r[results] = first_c[least]
                began = partition[int(partition_c[begin]) * size + FIRST]
                days = (bucket_c[begin] - clock_offset + 1 - began) * span_days
                surprise = min(-log_p, -log_own_c[least])
                score_r[results] = min((1.0 + days) * (1.0 / TRUSTED_DAYS), 1.0) * absolute_score(surprise)
                if len(person_c) > 0:
                    causes = list_causes(
                        category_c, records_c, begin, end, by_repeats, log_p_c, typical_c, results, causes,
                        result_k, attribute_k, log_p_k, actual_k, typical_k,
                    )  # fmt: skip
                results += 1
        begin = end
    made[0] = results
    made[1] = causes
    return results


@device
def least_probable(log_p_c: Array, rarity_c: Array, begin: int, end: int) -> int:
    """The least probable of the activations [begin, end), of equal ones the rarest."""
    least = begin
    for i in range(begin + 1, end):
        is_tie = log_p_c[i] == log_p_c[least] and log_p_c[i] < LOG_CAUSE_LEVEL
        if log_p_c[i] < log_p_c[least] or (is_tie and rarity_c[i] > rarity_c[least]):
            least = i
    return least


@device
def member_log_p(log_p_c: Array, begin: int, end: int, least: int) -> float:
    """Ln p of the activations [begin, end) together."""
    if end - begin == 1:
        lone: float = log_p_c[least]
        return lone
    log_sum = -log_p_c[least]
    for i in range(begin, end):
        if i != least and log_p_c[i] < LOG_SIGNIFICANT:
            log_sum = log_added(log_sum, -log_p_c[i])
    return min(log_any(log_sum, float(end - begin)), 0.0)


@device
def list_causes(
    category_c: Array, records_c: Array, begin: int, end: int, by_repeats: int,
    log_p_c: Array, typical_c: Array, result: int, causes: int,
    result_k: Array, attribute_k: Array, log_p_k: Array, actual_k: Array, typical_k: Array,
) -> int:  # fmt: skip
    """Puts the least probable of the activations [begin, end) into the causes; returns where these end."""
    first = causes
    least = 0.0
    for i in range(begin, end):
        least = min(least, log_p_c[i])
    level = max(least + LOG_CAUSE_RATIO, LOG_CAUSE_LEVEL)
    for i in range(begin, end):
        if log_p_c[i] <= level and (causes < first + MOST_CAUSES or log_p_c[i] < log_p_k[causes - 1]):
            k = causes if causes < first + MOST_CAUSES else causes - 1
            causes = max(causes, k + 1)
            while k > first and log_p_c[i] < log_p_k[k - 1]:
                attribute_k[k] = attribute_k[k - 1]
                log_p_k[k] = log_p_k[k - 1]
                actual_k[k] = actual_k[k - 1]
                typical_k[k] = typical_k[k - 1]
                k -= 1
            attribute_k[k] = category_c[i]
            log_p_k[k] = log_p_c[i]
            actual_k[k] = records_c[i] if by_repeats != 0 else 1.0
            typical_k[k] = typical_c[i]
    for k in range(first, causes):
        result_k[k] = result
    return causes
