"""Scores of a job, bucket by bucket: what the rank in the job's own history allows.

``model.update_series`` scores a result against its own series. This pass is sequential over
the buckets and adds the job: with q the share of past scores at least as unlikely::

    record   min(series score, 100 / (1 + q / RANK_HALF))
    bucket   p_b of all its series (`log_any`),  min(max record, absolute(p_b), rank of p_b)

q is taken at the lower end of its uncertainty, from a histogram of -ln p with
logarithmic bins that also counts the unremarkable results. A bucket enters the history
after it is scored.
"""

from __future__ import annotations

import math
from typing import Any

from tidegate_kernels.event import absolute_score
from tidegate_kernels.registry import device, kernel

Array = Any

BINS = 64
RECORD_BINS = 0  # past -ln p of records, decayed counts
RECORD_TOTAL = BINS  # of all scored (series, bucket), remarkable or not
BUCKET_BINS = BINS + 1
BUCKET_TOTAL = 2 * BINS + 1
DAY = 2 * BINS + 2  # day number up to which the counts are decayed
HISTORY_SIZE = 2 * BINS + 8
MARK_SIZE = BINS + 1  # what of a history past scores are ranked by: RECORD_BINS and RECORD_TOTAL

BINS_PER_E = 5.5  # bins per factor e of 1 + s: 64 reach s = 1e5
KEEP_PER_DAY = 0.9885  # counts halve in 60 days
RANK_HALF = 0.03  # what three in a hundred reach scores at most 50
DAY_MS = 86_400_000
SIGNIFICANT = 0.01  # results have p below
HARMONIC_LOCATION = 0.874  # of the Landau law of a harmonic mean p, beside ln n


@device
def log_any(log_sum: float, n: float) -> float:
    """Ln p of the harmonic mean of n values of p (Wilson, PNAS 2019): valid however they depend.

    ``log_sum`` is ln S, S the sum of 1 / p over the p below SIGNIFICANT, or 1 / p of the smallest if there
    are none. Under independence S / n has a heavy tail P(S / n > x) ~ 1 / (x - location)::

        p         1 / max(S / n - location, 1)
        location  max(ln(SIGNIFICANT n) + 0.874, 0)
    """
    mean = log_sum - math.log(n)
    if mean > 40.0:
        return -mean
    location = max(math.log(SIGNIFICANT * n) + HARMONIC_LOCATION, 0.0)
    return -math.log(max(math.exp(mean) - location, 1.0))


@device
def log_added(log_sum: float, s: float) -> float:
    """Ln(exp(log_sum) + exp(s))."""
    most, least = max(log_sum, s), min(log_sum, s)
    return most + math.log1p(math.exp(max(least - most, -700.0)))


@device
def bin_place(s: float) -> float:
    """Where in the bins of a history s lies: BINS_PER_E ln(1 + s)."""
    return BINS_PER_E * math.log(1.0 + s)


@device
def ceiling_at(history: Array, bins: int, total: float, x: float) -> float:
    """The most an s can score by its rank: 100 / (1 + q / RANK_HALF); 100 with fewer than one past s.

    With x its `bin_place` and k = min(floor(x), BINS - 1)::

        above    bins[k] max(k + 1 - x, 0) + bins[k + 1] + bins[k + 2] + ...
        q        max(above - 2 sqrt(above) - 1, 0) / total

    The lower end of q: two Poisson deviations and one count below, so that few past s lower nothing.
    """
    if total < 1.0:
        return 100.0
    k = min(int(x), BINS - 1)
    above: float = history[bins + k] * max(1.0 - (x - k), 0.0)
    for j in range(k + 1, BINS):
        above += history[bins + j]
    above -= 2.0 * math.sqrt(above) + 1.0
    share: float = max(above, 0.0) / total
    return 100.0 / (1.0 + share / RANK_HALF)


@device
def remember(history: Array, bins: int, s: float) -> None:
    """Counts s in its bin."""
    history[bins + min(int(bin_place(s)), BINS - 1)] += 1.0


@device
def age_history(history: Array, day: int) -> None:
    """Decays all counts by the days passed."""
    passed = day - history[DAY]
    if passed >= 1.0:
        keep = math.exp(min(passed, 10000.0) * math.log(KEEP_PER_DAY))
        for k in range(DAY):
            history[k] *= keep
        history[DAY] = day


@kernel(
    "i64(in i64[], in f64[], in f64[], in f64[], in i64[], i64, i64, i64, i64,"
    " i64, out f64[], out f64[], out f64[], out f64[], out f64[], out f64[])"
)
def score_buckets(
    bucket_r: Array,
    log_p_r: Array,
    series_score_r: Array,
    bucket_min_log_p: Array,
    bucket_count: Array,
    bucket_from: int,
    bucket_to: int,
    span_ms: int,
    learn: int,
    step: int,
    history: Array,
    scratch: Array,
    marks: Array,
    score_r: Array,
    bucket_log_p: Array,
    bucket_score: Array,
) -> int:
    """Scores of the records (sorted by bucket) and of the buckets [bucket_from, bucket_to).

    The results of a bucket are those of all its series with p below SIGNIFICANT. ``history`` is HISTORY_SIZE
    zeros for a new job. With ``learn`` 0 a copy in ``scratch`` (as
    long) is used. After every bucket whose number plus one is a multiple of ``step`` (0: after none) what
    MARK_SIZE says of ``history`` is put behind what ``marks`` have. Returns the number of records scored.
    """
    past = history
    if learn == 0:
        for k in range(HISTORY_SIZE):
            scratch[k] = history[k]
        past = scratch
    r, marked = 0, 0
    for at in range(bucket_to - bucket_from):
        bucket = bucket_from + at
        age_history(past, bucket * span_ms // DAY_MS)
        start = r
        largest, log_sum = 0.0, 0.0
        while r < len(bucket_r) and bucket_r[r] <= bucket:
            ceiling = ceiling_at(past, RECORD_BINS, past[RECORD_TOTAL], bin_place(-log_p_r[r]))
            score_r[r] = min(series_score_r[r], ceiling)
            largest = max(largest, score_r[r])
            log_sum = log_added(log_sum, -log_p_r[r]) if r > start else -log_p_r[r]
            r += 1
        scored = float(bucket_count[at])
        s = 0.0
        if scored > 0.0:
            s = -log_any(log_sum if r > start else -bucket_min_log_p[at], scored)
            ceiling = ceiling_at(past, BUCKET_BINS, past[BUCKET_TOTAL], bin_place(s))
            bucket_score[at] = min(min(absolute_score(s), ceiling), largest)
            past[BUCKET_TOTAL] += 1.0
            remember(past, BUCKET_BINS, s)
        else:
            bucket_score[at] = 0.0
        bucket_log_p[at] = -s
        past[RECORD_TOTAL] += scored
        for k in range(start, r):
            remember(past, RECORD_BINS, -log_p_r[k])
        if step > 0 and (bucket + 1) % step == 0:
            for k in range(MARK_SIZE):
                marks[marked + k] = history[k]
            marked += MARK_SIZE
    return r


@kernel("i64(in i64[], i64, out f64[])")
def track_events(events_b: Array, window: int, usual: Array) -> int:
    """Follows the usual number of records in a bucket: ``usual`` is (mean, buckets seen).

    u += (n - u) / min(seen, window). Returns the number of buckets.
    """
    for k in range(len(events_b)):
        usual[1] = min(usual[1] + 1.0, float(window))
        usual[0] += (events_b[k] - usual[0]) / usual[1]
    return len(events_b)
