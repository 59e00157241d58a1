"""The timeline: a small state machine over boundaries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import TimeError
from tidegate.timeline import DAY_MS, MAX_ADVANCE_BUCKETS, Timeline, jump_limit_ms

SPAN = 300_000


def begun(time: int = 10 * SPAN + 1, latency: int = 0) -> Timeline:
    """A timeline that has seen one record."""
    line = Timeline(SPAN, latency)
    line.begin(time)
    return line


def test_nothing_before_the_first_record():
    """Before any record, advance or skip there is no boundary and nothing is open."""
    line = Timeline(SPAN)
    assert line.finalized_end is None
    assert line.open_end is None
    assert line.interim_range(None, None) is None
    assert line.end_after_advance(5 * SPAN) is None


def test_first_record_sets_the_boundary():
    """The boundary is the floor of the first record's bucket, less the latency."""
    assert begun().finalized_end == 10 * SPAN
    assert begun(latency=2 * SPAN).finalized_end == 8 * SPAN


def test_first_whole_bucket():
    """The bucket that the first record falls into was seen whole only if that record is at its start."""
    assert begun(10 * SPAN).first_whole == 10 * SPAN
    assert begun(10 * SPAN + 1).first_whole == 11 * SPAN
    line = begun(10 * SPAN + 1)
    line.saw(10 * SPAN)
    assert line.first_whole == 10 * SPAN


@given(st.integers(0, 100 * SPAN), st.integers(0, 3))
def test_advance_closes_what_ends_by_it(time, buckets):
    """An advance leads to the floor of its time less the latency, and never backwards."""
    line = begun(latency=buckets * SPAN)
    end = line.end_after_advance(time)
    wanted = time // SPAN * SPAN - buckets * SPAN
    assert end == (wanted if wanted > line.finalized_end else None)


@given(st.integers(0, 100 * SPAN))
def test_skip_rounds_up(time):
    """A skip leads to the ceiling of its time, counts the buckets it passes, and never goes back."""
    line = begun()
    before = line.finalized_end
    line.skip(time)
    assert line.finalized_end == max(before, -(-time // SPAN) * SPAN)
    assert line.skipped_buckets == (line.finalized_end - before) // SPAN


def test_skip_on_an_empty_job_counts_nothing():
    """A skip before any record sets the boundary and passes no bucket."""
    line = Timeline(SPAN)
    line.skip(7 * SPAN - 1)
    assert (line.finalized_end, line.first_whole, line.skipped_buckets) == (7 * SPAN, 7 * SPAN, 0)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (10, 13)),
        (0, None, None),
        (0, 11 * SPAN, (10, 11)),
        (11 * SPAN + 5, None, (11, 12)),
        (11 * SPAN, 11 * SPAN + 1, (11, 12)),
        (11 * SPAN, 99 * SPAN, (11, 13)),
        (13 * SPAN, None, None),
    ],
)
def test_interim_range(start, end, expected):
    """Interim results are made for open buckets only; a range is widened to buckets, then clamped."""
    line = Timeline(SPAN, 2 * SPAN, finalized_end=10 * SPAN, first_whole=0)
    got = line.interim_range(start, end)
    assert got == (None if expected is None else (expected[0] * SPAN, expected[1] * SPAN))


def test_no_interim_results_for_a_bucket_seen_in_part():
    """The bucket that a job begins in has no results, interim ones neither."""
    assert begun(10 * SPAN + 1).interim_range(None, None) is None
    assert begun(10 * SPAN).interim_range(None, None) == (10 * SPAN, 11 * SPAN)


def test_an_advance_is_bounded():
    """An advance over too many buckets is refused with the numbers."""
    line = begun()
    with pytest.raises(TimeError, match=r"advance_time: \d+ would finalise 10000001 buckets"):
        line.check_advance(line.finalized_end + (MAX_ADVANCE_BUCKETS + 1) * SPAN, None)
    line.check_advance(line.finalized_end + MAX_ADVANCE_BUCKETS * SPAN, None)
    far = 10 * MAX_ADVANCE_BUCKETS * SPAN
    line.check_advance(far + 5 * SPAN, far)


@pytest.mark.parametrize(
    ("span_s", "limit_ms"),
    [
        (1, DAY_MS),
        (60, 2_000 * 60_000),
        (3600, 2_000 * 3_600_000),
        (86_400, 100 * DAY_MS),
        (30 * 86_400, 300 * DAY_MS),
    ],
)
def test_jump_limit(span_s, limit_ms):
    """The jump limit is 2,000 buckets, at least a day, at most 100 days, at least 10 buckets."""
    assert jump_limit_ms(span_s * 1000) == limit_ms


def test_an_advance_begins_with_whole_buckets():
    """After an advance on a job without data every open bucket counts as seen whole."""
    line = Timeline(SPAN, 2 * SPAN)
    line.begin_at(10 * SPAN + 7)
    assert (line.finalized_end, line.first_whole) == (8 * SPAN, 8 * SPAN)
    assert line.interim_range(None, None) == (8 * SPAN, 11 * SPAN)
