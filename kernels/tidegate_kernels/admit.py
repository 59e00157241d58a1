"""Which records a job takes: a pass over the times of a batch, before anything else."""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import device, kernel

Array = Any

_1, _32 = np.uint64(1), np.uint64(32)

INVALID = -(1 << 63)
"""Stands for "no time": an unparsable time in, an unset time in the clock."""
AGREE = 10
"""Records in a row that make a jump believed; a job is young until it has used as many."""

# The clock of a job: one flat array of 64-bit integers.
NEWEST = 0  # newest time used, or INVALID
FIRST = 1  # time of the first record used, or INVALID
MOVED = 2  # latest time given to advance or skip, or INVALID
BARRIER = 3  # finalised end that an advance or a skip set: older records are counted, not used
USED = 4  # records used, while the job is young
RUN = 5  # held records that agree on a jump, ahead (+) or back (-)
CARRIED = 6  # what became of the records held when this batch came: one of the next four
NOTHING = 0
PENDING = 1
BELIEVED = 2
GIVEN_UP = 3
RESTARTED = 7  # 1 when this batch made the job begin anew
# Running counters.
ADMITTED = 8
OUT_OF_ORDER = 9
BAD_DATE = 10
IGNORED = 11  # of ADMITTED: before BARRIER, given up, or before a restart
FAR = 12  # of IGNORED: too far from everything else to be believed
# The diagnostics window: a ring of record counts per bucket.
WINDOW_FIRST = 13  # oldest bucket in the window, or INVALID
WINDOW_LAST = 14  # newest bucket in the window
BUCKETS = 15
EMPTY = 16
SPARSE = 17
LATEST_EMPTY = 18  # start of the latest empty bucket, or INVALID
LATEST_SPARSE = 19
HELD = 20  # times of the held records
RING = HELD + AGREE  # counts, one per bucket of the window
CLOCK_SIZE = RING  # and the ring behind it

# What becomes of a record.
DROPPED = 0  # counted and goes no further
KEPT = 1
PASSED_OVER = 2  # processed by the count, but not used
WAITING = 3  # held until others agree
AHEAD = 4  # (while a record is judged) too far ahead to be believed alone
BACK = 5  # (likewise) so far back that all the others may be wrong

_BLOCK = 64
_STRAIGHT = 16  # records in a row of the newest bucket from which on a block is tried


@device
def judge_bucket(clock: Array, bucket: int, span: int, width: int) -> None:
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
            judge_bucket(clock, clock[WINDOW_FIRST], span, width)
            clock[RING + clock[WINDOW_FIRST] % width] = 0
            clock[WINDOW_FIRST] += 1
    clock[WINDOW_LAST] = max(clock[WINDOW_LAST], last)


@device
def settle(clock: Array, records: int, newest: int, span: int, width: int) -> None:
    """Takes note of records processed in one bucket, that of the time `newest`."""
    bucket = newest // span
    clock[NEWEST] = max(clock[NEWEST], newest)
    if clock[WINDOW_FIRST] == INVALID:
        clock[WINDOW_FIRST] = bucket
        clock[WINDOW_LAST] = bucket
    elif bucket > clock[WINDOW_LAST]:
        slide(clock, bucket, bucket - width + 1, span, width)
    if bucket >= clock[WINDOW_FIRST]:
        clock[RING + bucket % width] += records


@device
def judge_record(clock: Array, t: int, span: int, latency: int, max_gap: int) -> int:
    """What becomes of one record, looked at by itself."""
    if t == INVALID:
        clock[BAD_DATE] += 1
        return DROPPED
    newest = clock[NEWEST]
    reference = max(newest, clock[MOVED])
    if reference != INVALID and t > reference + max_gap:
        return AHEAD
    if newest != INVALID and t < newest - newest % span - latency:
        if clock[USED] < AGREE and clock[MOVED] == INVALID and t < newest - max_gap:
            return BACK
        clock[OUT_OF_ORDER] += 1
        return DROPPED
    return KEPT if t >= clock[BARRIER] else PASSED_OVER


@device
def give_up(clock: Array, keep: Array, first: int, last: int) -> None:
    """Gives up the held records: those of this batch are in rows [first, last)."""
    held = abs(clock[RUN])
    clock[IGNORED] += held
    clock[FAR] += held
    clock[RUN] = 0
    if clock[CARRIED] == PENDING:
        clock[CARRIED] = GIVEN_UP
    for j in range(first, last):
        if keep[j] == WAITING:
            keep[j] = PASSED_OVER


@device
def hold(clock: Array, t: int, direction: int, span: int, latency: int) -> int:
    """Holds a record of a jump; DROPPED when it comes too late even for the jump."""
    for k in range(abs(clock[RUN])):
        held = clock[HELD + k]
        if t < held - held % span - latency:
            clock[OUT_OF_ORDER] += 1
            return DROPPED
    clock[HELD + abs(clock[RUN])] = t
    clock[RUN] += direction
    clock[ADMITTED] += 1
    return WAITING


@device
def believe(clock: Array, keep: Array, first: int, last: int, span: int, width: int) -> None:
    """Uses the held records, those in rows [first, last) too; a jump back restarts the job."""
    if clock[RUN] < 0:
        for j in range(first):
            if keep[j] == KEPT:
                keep[j] = PASSED_OVER
        clock[IGNORED] = clock[ADMITTED] - AGREE
        clock[NEWEST] = INVALID
        clock[FIRST] = INVALID
        clock[WINDOW_FIRST] = INVALID
        for k in range(width):
            clock[RING + k] = 0
        clock[USED] = 0
        clock[RESTARTED] = 1
    for j in range(first, last):
        if keep[j] == WAITING:
            keep[j] = KEPT
    if clock[FIRST] == INVALID:
        clock[FIRST] = clock[HELD]
    for k in range(AGREE):
        settle(clock, 1, clock[HELD + k], span, width)
    clock[USED] += AGREE
    clock[RUN] = 0
    if clock[CARRIED] == PENDING:
        clock[CARRIED] = BELIEVED


@device
def pass_blocks(time: Array, start: int, low: int, high: int, newest: int, keep: Array) -> tuple[int, int]:
    """Keeps blocks of records from `start` on as long as all are in [low, high).

    Returns the record after them, and the newest time. No branch within a block: vector code.
    """
    i = start
    while i + _BLOCK <= len(time):
        outside = 0
        top = newest
        for k in range(_BLOCK):
            t = time[np.uint64(i + k)]
            outside += int(t < low) | int(t >= high)
            top = max(top, t)
        if outside != 0:
            break
        for k in range(_BLOCK):
            keep[np.uint64(i + k)] = KEPT
        newest = top
        i += _BLOCK
    return i, newest


@device
def keep_bucket(time: Array, first: int, low: int, span: int, keep: Array) -> tuple[Any, Any]:
    """Keeps the rows from `first` on whose times are in [low, low + span): (their end, the latest time).

    Thirty-two rows at a time are looked at without a branch, which is three times as fast.
    """
    n = np.uint64(len(time))
    width = np.uint64(span)
    at, newest = np.uint64(first), np.int64(low)
    while at + _32 <= n:
        outside, latest = np.int64(0), newest
        for k in range(_32):
            t = time[at + np.uint64(k)]
            outside += np.uint64(np.int64(t - low)) >= width
            latest = max(latest, t)
        if outside > 0:
            break
        for k in range(_32):
            keep[at + np.uint64(k)] = KEPT
        newest = latest
        at += _32
    while at < n and low <= time[at] < low + span:
        keep[at] = KEPT
        newest = max(newest, time[at])
        at += _1
    return np.int64(at), newest


@kernel("i64(in i64[], i64, i64, i64, i64, out u8[], out i64[])")
def admit(time: Array, span: int, latency: int, max_gap: int, width: int, keep: Array, clock: Array) -> int:
    """Marks what becomes of every record of a batch; returns how many are processed.

    ``keep[i]`` becomes DROPPED for a record without a time or older than the start of the
    bucket of the newest record minus `latency`, PASSED_OVER for one before BARRIER, else KEPT.
    A record more than `max_gap` ms ahead of the newest is WAITING: ten of them in a row, with
    none but dropped ones in between, are believed and become KEPT; a nearer one gives them up.
    While a job is young, records more than `max_gap` before the newest wait likewise; ten in a
    row restart the job with them: what came before were strays. ``clock[CARRIED]`` tells what
    became of records that were waiting before this batch.

    Times, `span` and `latency` are milliseconds, `width` the buckets in the diagnostics window.
    """
    n = len(time)
    before = clock[ADMITTED]
    clock[CARRIED] = PENDING if clock[RUN] != 0 else NOTHING
    clock[RESTARTED] = 0
    run_row = i = 0  # where the records held in this batch begin, and the next record
    while i < n:
        t = time[i]
        what = judge_record(clock, t, span, latency, max_gap)
        if what >= AHEAD:
            direction = 1 if what == AHEAD else -1
            if clock[RUN] * direction < 0:
                give_up(clock, keep, run_row, i)
            if clock[RUN] == 0:
                run_row = i
            keep[i] = hold(clock, t, direction, span, latency)
            if abs(clock[RUN]) == AGREE:
                believe(clock, keep, run_row, i + 1, span, width)
            i += 1
            continue
        keep[i] = what
        i += 1
        if what == DROPPED:
            continue
        if clock[RUN] != 0:
            give_up(clock, keep, run_row, i - 1)
        if clock[FIRST] == INVALID:
            clock[FIRST] = t
        clock[ADMITTED] += 1
        if what == KEPT:
            clock[USED] += 1
        else:
            clock[IGNORED] += 1
        settle(clock, 1, t, span, width)
        if what == KEPT and t >= clock[NEWEST] - clock[NEWEST] % span:
            # The rest of the newest bucket needs no second look.
            end, newest = keep_bucket(time, i, t - t % span, span, keep)
            if end > i:
                clock[ADMITTED] += end - i
                clock[USED] += end - i
                settle(clock, end - i, newest, span, width)
                i = end
    return int(clock[ADMITTED] - before)


@kernel("i64(i64, i64, out i64[])")
def drain_window(span: int, width: int, clock: Array) -> int:
    """Judges every bucket before the newest one, as the end of an upload does."""
    if clock[WINDOW_FIRST] != INVALID:
        slide(clock, clock[WINDOW_LAST], clock[WINDOW_LAST], span, width)
    return int(clock[BUCKETS])


@kernel("i64(i64, i64, i64, out u8[], out i64[])")
def release(span: int, width: int, max_gap: int, keep: Array, clock: Array) -> int:
    """Uses the held records when an advance or a skip has come near them; how many, or 0.

    ``keep[k]`` becomes KEPT, or PASSED_OVER for a record before BARRIER. As long as one of them
    is more than `max_gap` ahead of what time was moved to, all go on waiting.
    """
    held = clock[RUN]
    for k in range(max(held, 0)):
        if clock[HELD + k] > clock[MOVED] + max_gap:
            return 0
    for k in range(max(held, 0)):
        keep[k] = KEPT if clock[HELD + k] >= clock[BARRIER] else PASSED_OVER
        if keep[k] == KEPT:
            clock[USED] += 1
        else:
            clock[IGNORED] += 1
        if clock[FIRST] == INVALID:
            clock[FIRST] = clock[HELD]
        settle(clock, 1, clock[HELD + k], span, width)
    if held > 0:
        clock[RUN] = 0
    return int(max(held, 0))
