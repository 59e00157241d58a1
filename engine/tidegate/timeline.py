"""Where a job is in time: the one place that knows buckets.

A timeline holds the end of the last finalised bucket and answers what a record, an advance
or a skip closes, and what is open for interim results. It is pure: integers (epoch
milliseconds) in, integers out. Buckets begin at multiples of the span.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import TimeError
from .kept import require

DAY_MS = 86_400_000
_LAST_MS = 1 << 53  # beyond all times there are
MAX_FILLED_BUCKETS = 100_000
"""A believed gap of more buckets is passed over as a skip does, not filled with empty ones."""
MAX_ADVANCE_BUCKETS = 10_000_000


def jump_limit_ms(span_ms: int) -> int:
    """How far ahead of the newest record another may lie and be believed at once.

    2,000 buckets, but at least a day, and at most 100 days unless those are fewer than 10
    buckets. Records further ahead wait until ten in a row agree: one stray record neither
    closes years of buckets nor shuts out what comes after it.

    >>> [jump_limit_ms(s * 1000) // DAY_MS for s in (1, 300, 3600, 86400)]
    [1, 6, 83, 100]
    """
    return max(10 * span_ms, min(max(2_000 * span_ms, DAY_MS), 100 * DAY_MS))


@dataclass(slots=True)
class Timeline:
    """The time of one job.

    >>> line = Timeline(span_ms=300_000)
    >>> line.begin(1_000_000)
    >>> line.finalized_end, line.first_whole
    (900000, 1200000)
    >>> line.end_after_advance(1_900_000)
    1800000
    """

    span_ms: int
    latency_ms: int = 0
    """A multiple of the span: how long a bucket stays open behind the newest one."""
    finalized_end: int | None = None
    """End of the last finalised bucket; None before the first record, advance or skip."""
    first_whole: int | None = None
    """Start of the first bucket that the job can have seen whole; earlier ones give no results."""
    skipped_buckets: int = 0
    """Buckets passed over by skips, and by events: the model's clock does not count them."""

    def require_of(self, span_ms: int, latency_ms: int) -> None:
        """Sees that a restored timeline is of this span and latency, and its times boundaries of buckets."""
        is_of_job = (self.span_ms, self.latency_ms) == (span_ms, latency_ms)
        require(is_of_job, f"its bucket span and latency are not {span_ms} and {latency_ms} ms")
        ends = self.finalized_end, self.first_whole
        require((ends[0] is None) == (ends[1] is None), "it has begun and not begun")
        fits = all(end is None or (end % span_ms == 0 and 0 <= end <= _LAST_MS) for end in ends)
        require(fits and self.skipped_buckets >= 0, f"{ends} are no ends of buckets")

    @property
    def open_buckets(self) -> tuple[int, int]:
        """Numbers of the first open bucket, and of the one after the last."""
        return (self.finalized_end or 0) // self.span_ms, (self.open_end or 0) // self.span_ms

    def floor(self, time_ms: int) -> int:
        """Start of the bucket that holds the time."""
        return time_ms - time_ms % self.span_ms

    def ceil(self, time_ms: int) -> int:
        """The bucket boundary at or after the time."""
        return -self.floor(-time_ms)

    @property
    def open_end(self) -> int | None:
        """End of the newest open bucket."""
        if self.finalized_end is None:
            return None
        return self.finalized_end + self.latency_ms + self.span_ms

    def begin(self, time_ms: int) -> None:
        """Sets the boundary at the first record, not before 1970."""
        self.finalized_end = max(self.floor(time_ms) - self.latency_ms, 0)
        self.saw(time_ms)

    def begin_at(self, time_ms: int) -> None:
        """Sets the boundary at the first advance: the job has seen all there is from there on."""
        self.begin(time_ms)
        self.first_whole = self.finalized_end

    def saw(self, earliest_ms: int) -> None:
        """Takes note of the earliest record: the bucket it falls into may be seen in part only."""
        whole = self.ceil(earliest_ms)
        if self.first_whole is None or whole < self.first_whole:
            self.first_whole = whole

    def end_after_advance(self, time_ms: int) -> int | None:
        """The finalised end that an advance to the time leads to; None: it goes nowhere."""
        if self.finalized_end is None:
            return None
        end = self.floor(time_ms) - self.latency_ms
        return end if end > self.finalized_end else None

    def check_advance(self, time_ms: int, skip_ms: int | None) -> None:
        """Refuses an advance, after a skip if there is one, over more buckets than anybody means."""
        start = self.finalized_end
        if skip_ms is not None:
            start = max(self.ceil(skip_ms), start or 0)
        buckets = 0 if start is None else (self.floor(time_ms) - self.latency_ms - start) // self.span_ms
        if buckets > MAX_ADVANCE_BUCKETS:
            raise TimeError(
                f"advance_time: {time_ms} would finalise {buckets} buckets; at most {MAX_ADVANCE_BUCKETS} "
                "are allowed in one advance; use skip_time to pass over a gap"
            )

    def is_past(self, end: int) -> bool:
        """Whether the boundary has come to a time."""
        return self.finalized_end is not None and self.finalized_end >= end

    def finalize(self, end: int) -> None:
        """Moves the boundary on to the end of the last bucket closed."""
        self.finalized_end = end

    def skip(self, time_ms: int) -> None:
        """Moves the boundary up to the first bucket that begins at or after the time."""
        end = self.ceil(time_ms)
        if self.finalized_end is not None:
            if end <= self.finalized_end:
                return
            self.skipped_buckets += (end - self.finalized_end) // self.span_ms
        self.finalized_end = end
        self.first_whole = end if self.first_whole is None else min(self.first_whole, end)

    def interim_range(self, start: int | None, end: int | None) -> tuple[int, int] | None:
        """The open buckets that interim results are asked for, and that were seen whole so far."""
        span = self.open_range(start, end)
        if span is None or self.first_whole is None:
            return None
        first = max(span[0], self.first_whole)
        return (first, span[1]) if first < span[1] else None

    def open_range(self, start: int | None, end: int | None) -> tuple[int, int] | None:
        """Start and end of the open buckets in a range; None: there is no such bucket.

        Without a range, all open ones; `start` is rounded down, `end` up, and both are kept
        within the open buckets, the only ones that can hold records. An `end` that is missing
        or equal to `start` is a second after it.
        """
        if self.finalized_end is None or self.open_end is None:
            return None
        first, last = self.finalized_end, self.open_end
        if start is not None:
            first = max(first, self.floor(start))
            last = min(last, self.ceil(end if end is not None and end > start else start + 1000))
        return (first, last) if first < last else None
