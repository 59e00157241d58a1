"""Scores of past results as they are by now: what is lowered when something larger, or more, came since.

Results lie in the order of time: the records of a bucket behind one another, and so its influencers. All
kernels are told the results to look at and write those whose score is another one than before.
"""

from __future__ import annotations

from typing import Any

from .registry import kernel
from .score import BINS, MARK_SIZE, bin_place, ceiling_at

Array = Any

_SURELY = 1.0 - 1e-9  # below this share of the least ceiling of its bin a score is lowered by none


@kernel("i64(in f64[], out f64[])")
def bin_places(log_p: Array, place: Array) -> int:
    """Where in the bins of a history log-probabilities lie; returns their number."""
    for r in range(len(log_p)):
        place[r] = bin_place(-log_p[r])
    return len(log_p)


@kernel("i64(in i32[], in f64[], i64, i64, i64, out i64[], out f64[], out i32[], out f64[], out i64[])")
def outgrow(
    series_r: Array,
    size_r: Array,
    row_from: int,
    known: int,
    stop: int,
    latest_s: Array,
    peak_s: Array,
    back_r: Array,
    largest_r: Array,
    moved: Array,
) -> int:
    """Takes in the records [known, stop): their largest sizes from each on, and of those before them.

    ``latest_s`` has the number of the latest record of every series, -1 for none; the records are numbered
    from ``row_from``. ``back_r`` is how many rows back the one before it of the series is, 0 for none;
    ``peak_s`` is zeros and stays so. Returns how many known records were outgrown, written to ``moved``.
    As the largest sizes never increase along a series, only those that change are looked at.
    """
    for r in range(known, stop):
        s = series_r[r]
        back_r[r] = row_from + r - latest_s[s] if latest_s[s] >= row_from else 0
        latest_s[s] = row_from + r
    for r in range(stop - 1, known - 1, -1):
        s = series_r[r]
        peak_s[s] = max(peak_s[s], size_r[r])
        largest_r[r] = peak_s[s]
    n = 0
    for r in range(known, stop):
        peak = peak_s[series_r[r]]
        at = r - back_r[r]
        # The first of its series among the new ones has the peak of them all.
        while back_r[r] > 0 and 0 <= at < known and largest_r[at] < peak:
            largest_r[at] = peak
            moved[n] = at
            n += 1
            if back_r[at] == 0:
                break
            at -= back_r[at]
    for r in range(known, stop):
        peak_s[series_r[r]] = 0.0
    return n


@kernel(
    "i64(in i64[], in f64[], in f64[], in u8[], in f64[], in f64[], in f64[],"
    " out f64[], out f64[], out i64[])"
)
def lower_records(
    rows: Array,
    size_r: Array,
    largest_r: Array,
    is_told_r: Array,
    place_r: Array,
    initial_r: Array,
    mark: Array,
    least_k: Array,
    score_r: Array,
    changed: Array,
) -> int:
    """Scores of records by now; returns how many are other ones than before, written to ``changed``.

    With x the share of a record in the largest from it on, 1 where ``is_told_r`` is not set::

        min(initial min(3/2 x, 1/2 + x/2), ceiling by rank in ``mark``)

    A ceiling costs up to BINS additions; ``least_k`` (BINS of scratch) has the least of every bin, which
    spares most of them.
    """
    total = mark[BINS]
    for k in range(BINS):
        least_k[k] = ceiling_at(mark, 0, total, float(k)) * _SURELY
    n = 0
    for i in range(len(rows)):
        r = rows[i]
        score = initial_r[r]
        if is_told_r[r] and largest_r[r] > 0.0:
            x = size_r[r] / largest_r[r]
            if x < 1.0:
                score *= min(1.5 * x, 0.5 + 0.5 * x)
        if score > least_k[min(int(place_r[r]), BINS - 1)]:
            score = min(score, ceiling_at(mark, 0, total, place_r[r]))
        if score != score_r[r]:
            score_r[r] = score
            changed[n] = r
            n += 1
    return n


@kernel("i64(in i64[], in i64[], i64, in f64[], in f64[], out f64[], out i64[])")
def lower_buckets(
    buckets: Array,
    record_end_b: Array,
    record_from: int,
    score_r: Array,
    initial_b: Array,
    score_b: Array,
    changed: Array,
) -> int:
    """Scores of buckets by now, at most that of their largest record; else as `lower_records`.

    The records of bucket b end before the number ``record_end_b[b]``; the first is ``record_from``.
    """
    n = 0
    for i in range(len(buckets)):
        b = buckets[i]
        start = record_end_b[b - 1] if b > 0 else record_from
        largest = 0.0
        for r in range(start - record_from, record_end_b[b] - record_from):
            largest = max(largest, score_r[r])
        score = min(initial_b[b], largest)
        if score != score_b[b]:
            score_b[b] = score
            changed[n] = b
            n += 1
    return n


@kernel(
    "i64(in i64[], in i64[], i64, in i32[], in f64[], in i64[], i64, in i64[], i64, in f64[], in f64[],"
    " in f64[], out f64[], out i64[])"
)
def lower_influencers(
    buckets: Array,
    end_b: Array,
    influencer_from: int,
    field_i: Array,
    place_i: Array,
    link_end_i: Array,
    link_from: int,
    record_l: Array,
    record_from: int,
    score_r: Array,
    initial_i: Array,
    mark_f: Array,
    score_i: Array,
    changed: Array,
) -> int:
    """Scores of the influencers of buckets by now; else as `lower_records`.

    At most that of the largest record they influenced, and what their rank among those of their field
    allows. The links of influencer i are the numbers of those records; ``mark_f`` has a history per field.
    """
    n = 0
    for k in range(len(buckets)):
        b = buckets[k]
        start = end_b[b - 1] if b > 0 else influencer_from
        for i in range(start - influencer_from, end_b[b] - influencer_from):
            link = link_end_i[i - 1] if i > 0 else link_from
            largest = 0.0
            for at in range(link - link_from, link_end_i[i] - link_from):
                largest = max(largest, score_r[record_l[at] - record_from])
            past = MARK_SIZE * field_i[i]
            score = min(initial_i[i], largest)
            score = min(score, ceiling_at(mark_f, past, mark_f[past + BINS], place_i[i]))
            if score != score_i[i]:
                score_i[i] = score
                changed[n] = i
                n += 1
    return n
