"""Which records a job takes: a pass over the times of a batch, before anything else."""

from __future__ import annotations

from typing import Any

from .registry import device, kernel

Array = Any

INVALID = -(1 << 63)
"""Stands for "no time": an unparsable time in, an unset time in the clock."""

# The clock of a job: one flat array of 64-bit integers.
NEWEST = 0  # newest admitted time, or INVALID
EARLIEST = 1  # earliest admitted time, or INVALID
ANCHOR = 2  # start of the only bucket seen so far, or INVALID once there is more than one
MOVED = 3  # latest time given to advance or skip, or INVALID
FAR_RUN = 4  # how many records in a row agreed on a jump, forwards (+) or backwards (-)
FAR_LAST = 5  # the latest of them
BARRIER = 6  # finalised end that an advance or a skip set: older records are counted, not used
# Running counters.
ADMITTED = 7
OUT_OF_ORDER = 8
BAD_DATE = 9
FAR = 10  # of BAD_DATE: too far ahead to be believed
IGNORED = 11  # of ADMITTED: before BARRIER
# The diagnostics window: a ring of record counts per bucket.
WINDOW_FIRST = 12  # oldest bucket in the window, or INVALID
WINDOW_LAST = 13  # newest bucket in the window
BUCKETS = 14
EMPTY = 15
SPARSE = 16
LATEST_EMPTY = 17  # start of the latest empty bucket, or INVALID
LATEST_SPARSE = 18
RING = 19  # counts, one per bucket of the window
CLOCK_SIZE = RING  # and the ring behind it

# What becomes of a record.
DROPPED = 0
KEPT = 1
STRAY = 3  # the tenth record in a row long before all others, which are stray ones
PASSED_OVER = 2  # processed by the count, but older than what an advance or a skip closed

AGREE = 10  # records in a row that make a jump believed


@device
def judge(clock: Array, bucket: int, span: int, width: int) -> None:
    """Counts a bucket that leaves the window as full, empty or sparse."""
    clock[BUCKETS] += 1
    count = clock[RING + bucket % width]
    if count == 0:
        clock[EMPTY] += 1
        clock[LATEST_EMPTY] = bucket * span
        return
    total = 0
    for b in range(bucket, min(clock[WINDOW_LAST], bucket + width - 1) + 1):
        total += clock[RING + b % width]
    seen = min(clock[WINDOW_LAST] - bucket + 1, width)
    # ln(average) - ln(count) > 2, without logarithms: e^2 = 7.389056098930650
    if total > 7.38905609893065 * count * seen:
        clock[SPARSE] += 1
        clock[LATEST_SPARSE] = bucket * span


@device
def slide(clock: Array, last: int, first: int, span: int, width: int) -> None:
    """Moves the window so that it ends at bucket `last` and begins no earlier than `first`."""
    while clock[WINDOW_FIRST] < first:
        if clock[WINDOW_FIRST] > clock[WINDOW_LAST]:
            # Everything left before `first` is empty: one step, however wide the gap.
            gap = first - clock[WINDOW_FIRST]
            clock[BUCKETS] += gap
            clock[EMPTY] += gap
            clock[LATEST_EMPTY] = (first - 1) * span
            clock[WINDOW_FIRST] = first
        else:
            judge(clock, clock[WINDOW_FIRST], span, width)
            clock[RING + clock[WINDOW_FIRST] % width] = 0
            clock[WINDOW_FIRST] += 1
    clock[WINDOW_LAST] = max(clock[WINDOW_LAST], last)


@device
def agrees(clock: Array, t: int, direction: int, max_gap: int) -> bool:
    """Lengthens the run of records that agree on a jump; True when the run is believed."""
    if clock[FAR_RUN] * direction > 0 and abs(t - clock[FAR_LAST]) <= max_gap:
        clock[FAR_RUN] += direction
    else:
        clock[FAR_RUN] = direction
    clock[FAR_LAST] = t
    return bool(clock[FAR_RUN] * direction >= AGREE)


@device
def settle(clock: Array, records: int, newest: int, bucket: int, span: int, width: int) -> None:
    """Counts records admitted to one bucket."""
    clock[ADMITTED] += records
    clock[NEWEST] = max(clock[NEWEST], newest)
    clock[FAR_RUN] = 0
    if clock[WINDOW_FIRST] == INVALID:
        clock[WINDOW_FIRST] = bucket
        clock[WINDOW_LAST] = bucket
    elif bucket > clock[WINDOW_LAST]:
        slide(clock, bucket, bucket - width + 1, span, width)
    if bucket >= clock[WINDOW_FIRST]:
        clock[RING + bucket % width] += records


@device
def judge_record(clock: Array, t: int, span: int, latency: int, max_gap: int) -> int:
    """What becomes of one record; STRAY when all records before it prove to be stray ones."""
    if t == INVALID:
        clock[BAD_DATE] += 1
        return DROPPED
    newest = clock[NEWEST]
    reference = max(newest, clock[MOVED])
    if reference != INVALID and t > reference + max_gap and not agrees(clock, t, 1, max_gap):
        clock[BAD_DATE] += 1
        clock[FAR] += 1
        return DROPPED
    if newest != INVALID and t < newest - newest % span - latency:
        if newest - newest % span == clock[ANCHOR] and t < newest - max_gap:
            if agrees(clock, t, -1, max_gap):
                clock[FAR_RUN] = 0
                return STRAY
        else:
            clock[FAR_RUN] = 0
        clock[OUT_OF_ORDER] += 1
        return DROPPED
    if newest == INVALID:
        clock[ANCHOR] = t - t % span if clock[MOVED] == INVALID else INVALID
    elif t - t % span > newest - newest % span:
        clock[ANCHOR] = INVALID
    if t < clock[BARRIER]:
        clock[IGNORED] += 1
        return PASSED_OVER
    return KEPT


@kernel("i64(in i64[], i64, i64, i64, i64, i64, out u8[], out i64[])")
def admit(
    time: Array, start: int, span: int, latency: int, max_gap: int, width: int, keep: Array, clock: Array
) -> int:
    """Marks the records from row `start` on that the job takes; returns the row it stopped at.

    ``keep[i]`` becomes KEPT, or DROPPED for a record that is counted and goes no further: no
    time; older than the start of the bucket of the newest record minus `latency`; more than
    `max_gap` ms ahead, unless it is the tenth record in a row to say so. Times, `span`
    and `latency` are milliseconds, `width` is the number of buckets in the diagnostics window.

    Stops before the end only when the very first bucket of the job proves to be a stray one
    in the future: ten records in a row lie more than `max_gap` before it and it is all there
    is. The caller then forgets that bucket and calls again from the returned row.
    """
    n = len(time)
    low = high = 0  # the newest bucket, as long as nothing but its records come
    newest = 0
    since = start  # first row since then
    for i in range(start, n + 1):
        t = time[i] if i < n else INVALID
        if low <= t < high:
            keep[i] = KEPT
            newest = max(newest, t)
            continue
        if since < i and high > 0:
            settle(clock, i - since, newest, low // span, span, width)
        since = i + 1
        if i == n:
            break
        low = high = 0
        keep[i] = judge_record(clock, t, span, latency, max_gap)
        if keep[i] == STRAY:
            keep[i] = DROPPED
            return i
        if keep[i] == DROPPED:
            continue
        settle(clock, 1, t, t // span, span, width)
        if clock[EARLIEST] == INVALID or t < clock[EARLIEST]:
            clock[EARLIEST] = t
        if keep[i] == KEPT and t >= clock[NEWEST] - clock[NEWEST] % span:
            # The rest of its bucket needs no second look, unless it is the job's earliest.
            low = t - t % span
            high = low + span
            low = max(low, clock[EARLIEST])
            newest = t
    return n


@kernel("i64(i64, i64, out i64[])")
def drain_window(span: int, width: int, clock: Array) -> int:
    """Judges every bucket before the newest one, as the end of an upload does."""
    if clock[WINDOW_FIRST] != INVALID:
        slide(clock, clock[WINDOW_LAST], clock[WINDOW_LAST], span, width)
    return int(clock[BUCKETS])
