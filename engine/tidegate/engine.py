"""The way of the data through one job: buffer, gather, model, combine, results.

The engine does what it is told, in order, on one thread at a time; `Job` is its facade.
"""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Callable, Iterator

import numpy as np

from tidegate_kernels.fold import RECORD_SIZE

from .analysis import LaneCells
from .cells import I64, ClosedCells
from .combine import BucketScores, Frame, Ranked, bucket_batch, record_batch
from .config import JobConfig
from .errors import ConfigError
from .history import History
from .influencers import Influencers
from .keys import U64, Interner
from .keystream import KeyStream
from .lanes import Lane, LaneKey, key_of
from .model import Calendar, Run
from .modelplot import model_plot_batches
from .passes import Pass, Planner, Span
from .results import Results
from .rows import Rows
from .siblings import REFRESH_DAYS
from .sizes import ModelSizeStats, size_stats
from .streams import NO_SERIES, NO_VALUES, CellStream, Stream
from .texts import TextStore
from .threads import Threads
from .timeline import DAY_MS, MAX_FILLED_BUCKETS, Timeline

PASS_BUCKETS = 1 << 16
PASS_CELLS = 1 << 22
"""Buckets, and series times buckets, in one pass: large enough to be quick, small enough to bound
memory and the time until an interrupt is heard."""
PLOTTED_CELLS = 1 << 20
"""Series times buckets in one pass of a job with a model plot, where each of them may be a row."""
_LEAST_SERIES = 64  # that a latency must leave memory for
Stop = Callable[[], bool]
_Cells = dict[LaneKey, LaneCells]


def require_room(config: JobConfig) -> None:
    """Raises ConfigError for a latency whose open buckets alone exceed the memory limit."""
    analysis = config.analysis_config
    rows = analysis.latency_buckets + 1
    keys = {key_of(detector)[:3] for detector in analysis.detectors}
    needed = 8 * RECORD_SIZE * _LEAST_SERIES * rows * len(keys)
    limit = config.analysis_limits.model_memory_limit_bytes
    if needed > limit:
        message = (
            f"latency keeps {rows} buckets open, which takes at least {needed >> 20} MiB; "
            f"model_memory_limit allows {limit >> 20} MiB"
        )
        raise ConfigError([("analysis_config.latency", message)])


class Engine:
    """One job's buffer, open buckets, models, history and results."""

    def __init__(
        self, config: JobConfig, names: dict[str, Interner], texts: dict[str, TextStore], threads: int
    ) -> None:
        analysis = config.analysis_config
        span_ms = analysis.bucket_span_ms
        self.results = Results()
        self.timeline = Timeline(span_ms, analysis.latency_buckets * span_ms)
        self._job_id = config.job_id
        self._is_plotting = config.model_plot_config is not None and config.model_plot_config.enabled
        self._names = names
        self._texts = texts
        self._buffer: list[Rows] = []
        self._buffered = 0
        self._owned = 0  # leading pieces of the buffer that share no memory with anybody
        self._pool = Threads(threads)
        self._span = Span(span_ms, self.timeline.latency_ms)
        self.history = History(span_ms)
        self._events = CellStream(self._span, valued=False)
        self._lanes: dict[LaneKey, Lane] = {}
        prune = max(analysis.model_prune_window_ms // span_ms, 1)
        for detector in analysis.detectors:
            key = key_of(detector)
            if key not in self._lanes:
                self._lanes[key] = Lane(key, self._span, config.model_plot_config, names, texts)
            self._lanes[key].add(detector, prune)
        self.influencers = Influencers(analysis.influencers, self._lanes, names, span_ms)
        self._memory_limit = config.analysis_limits.model_memory_limit_bytes
        share = self._memory_limit // len(self._lanes)
        self._series_limit = {key: lane.series_limit(share) for key, lane in self._lanes.items()}

    @property
    def buffered_rows(self) -> int:
        """Rows posted and not yet gathered."""
        return self._buffered

    @property
    def refused(self) -> int:
        """Records left out of a detector so far because their series was one too many."""
        return sum(lane.keys.refused for lane in self._lanes.values())

    @property
    def series(self) -> int:
        """How many series all detectors have."""
        return sum(len(lane.keys) for lane in self._lanes.values())

    def sizes(self) -> ModelSizeStats:
        """What the models take."""
        end = self.timeline.finalized_end
        latest = None if end is None or not self.results.final_buckets else end - self._span.span
        return size_stats(
            self._job_id,
            self._lanes.values(),
            [*self._names.values(), *self._texts.values(), self.influencers.log],
            self._memory_limit,
            latest,
        )

    @property
    def _pass_buckets(self) -> int:
        """How many buckets one pass may close: every series may have a result in each."""
        cells = PLOTTED_CELLS if self._is_plotting else PASS_CELLS
        return max(16, min(PASS_BUCKETS, cells // max(self.series, 1)))

    def add(self, rows: Rows) -> None:
        """Puts admitted rows into the buffer."""
        if len(rows):
            self._buffer.append(rows)
            self._buffered += len(rows)

    def own_buffer(self) -> None:
        """Copies what the buffer shares with the caller, who may change it after the call."""
        shared = self._buffer[self._owned :]
        self._buffer[self._owned :] = [rows.owned() for rows in shared]
        self._owned = len(self._buffer)

    def _empty_buffer(self) -> None:
        self._buffer, self._buffered, self._owned = [], 0, 0

    def rest(self) -> None:
        """Ends the threads; they start again when there is work for them."""
        self._pool.rest()

    def drain(self, stop: Stop) -> None:
        """Forces what is buffered through the job: complete buckets become results.

        When `stop` says so between two passes, what is left stays in the buffer.
        """
        if not self._buffer:
            return
        rows = self._buffer[0] if len(self._buffer) == 1 else Rows.joined(self._buffer)
        self._empty_buffer()
        line = self.timeline
        if line.finalized_end is None:
            line.begin(int(rows.time[0]))
        planner = Planner(rows.time, self._span, self._pool)
        while planner.row < len(rows) and not stop():
            assert line.finalized_end is not None
            start = planner.row
            part = planner.next(line.finalized_end, self._pass_buckets, MAX_FILLED_BUCKETS)
            if part is None:
                self._pass_over(int(rows.time[start]))
                continue
            self._see_earliest(rows.time[start : part.stop])
            self._gather(rows.part(start, part.stop), part)
            self._close(part.end)
            self.influencers.log.fold()
        self.influencers.log.settle()
        self.add(rows.part(planner.row, len(rows)))

    def advance(self, time_ms: int, stop: Stop) -> None:
        """Closes every bucket that ends at or before the time, less the latency, until `stop`."""
        if self.timeline.finalized_end is None:
            self.timeline.begin_at(time_ms)
            return
        end = self.timeline.end_after_advance(time_ms)
        while end is not None and self.timeline.finalized_end < end and not stop():
            self._close(min(end, self.timeline.finalized_end + self._pass_buckets * self._span.span))

    def skip(self, time_ms: int) -> None:
        """Drops what is open before the time, rounded up, and goes on from there."""
        self.timeline.skip(time_ms)
        end = self.timeline.finalized_end
        assert end is not None
        self._cells(lambda stream: stream.close(end, end))
        self.influencers.log.drop(end // self._span.span)

    def reset(self, start: int, end: int | None) -> None:
        """Forgets what the open buckets from `start` to `end` hold, so that it can be sent again."""
        span = self.timeline.open_range(start, end)
        if span is not None:
            first, last = span[0] // self._span.span, span[1] // self._span.span
            for stream in self._streams():
                stream.reset(first, last)
            self.influencers.log.reset(first, last)

    def interim(self, start: int | None, end: int | None) -> None:
        """Adds interim results for the open buckets in a range; changes no model."""
        span = self.timeline.interim_range(start, end)
        if span is None:
            return
        first, last = span[0] // self._span.span, span[1] // self._span.span
        cells, open_events = self._cells(lambda stream: stream.peek(span[0]))
        events = _per_bucket(open_events, first, last)
        run = Run(
            Calendar.of(first, last, self._span.span),
            self.timeline.skipped_buckets,
            learn=False,
            completeness_b=self.history.completeness(events),
        )
        self._score(cells, events, run)

    def hashes(self, field: str) -> Iterator[U64]:
        """The hashes of a field whose texts the buffer and the open buckets need."""
        yield from (rows.hashes[field] for rows in self._buffer)
        for lane in self._lanes.values():
            stream = lane.streams.get(("info", field))
            if isinstance(stream, KeyStream):
                yield from stream.keys()

    def _streams(self) -> list[Stream]:
        return [self._events, *(stream for lane in self._lanes.values() for stream in lane.streams.values())]

    def _see_earliest(self, time: I64) -> None:
        """Keeps the first whole bucket right while the first bucket is open."""
        line = self.timeline
        if (
            line.first_whole is not None
            and line.finalized_end is not None
            and line.first_whole > line.finalized_end
        ):
            line.saw(int(time.min()))

    def _pass_over(self, time_ms: int) -> None:
        """Closes the open buckets and passes over a gap too wide to fill with empty ones."""
        assert self.timeline.open_end is not None
        self._close(self.timeline.open_end)
        self.skip(self.timeline.floor(time_ms) - self.timeline.latency_ms)

    def _gather(self, rows: Rows, part: Pass) -> None:
        """Adds the rows of a pass to the open buckets of every stream, on all threads at once."""
        threads = part.pieces(self._pool.size)
        works = self._events.gather(part, NO_SERIES, NO_VALUES, 1)
        series = {}
        for key, lane in self._lanes.items():
            series[key], more = lane.gather(rows, part, self._series_limit[key], threads)
            works += more
        self.influencers.log.add(part, rows, series)
        if threads > 1:
            self._pool.run(works)
        else:
            for work in works:
                work()

    def _cells(self, read: Callable[[Stream], ClosedCells]) -> tuple[_Cells, ClosedCells]:
        """What every stream gives, and the stream of event counts."""
        return {key: lane.cells(read) for key, lane in self._lanes.items()}, read(self._events)

    def _close(self, end: int) -> None:
        """Closes every bucket that ends by `end`, and makes results of them.

        On the way the models look at what their series have in common, on the days of the job's own
        time that are meant for it: whatever way the records came, the same buckets have passed then.
        """
        line = self.timeline
        assert line.finalized_end is not None
        while end > line.finalized_end:
            asks_at = self._siblings_at(line.finalized_end)
            self._close_part(min(end, asks_at))
            if end >= asks_at:
                for lane in self._lanes.values():
                    lane.ask_siblings()

    def _siblings_at(self, after: int) -> int:
        """The next time after this one at which the models ask the siblings; the end of a bucket."""
        first = self.timeline.first_whole
        assert first is not None
        times = (first + days * DAY_MS for days in REFRESH_DAYS)
        return next((at for at in map(self.timeline.floor, times) if at > after), sys.maxsize)

    def _close_part(self, end: int) -> None:
        line = self.timeline
        assert line.finalized_end is not None
        assert line.first_whole is not None
        first_whole = line.first_whole
        cells, events = self._cells(lambda stream: stream.close(end, first_whole))
        first, last = max(line.finalized_end, line.first_whole) // line.span_ms, end // line.span_ms
        line.finalize(end)
        if first < last:
            run = Run(Calendar.of(first, last, line.span_ms), line.skipped_buckets, learn=True)
            self._score(cells, _per_bucket(events, first, last), run)
        self.influencers.log.drop(end // line.span_ms)

    def _score(
        self,
        cells: _Cells,
        events: I64,
        run: Run,
    ) -> None:
        """Makes buckets, records and influencers of the cells of a pass."""
        began = clock.perf_counter()
        findings = [
            f for key, lane in self._lanes.items() for f in lane.findings(cells[key], run, self._pool)
        ]
        ranked = Ranked(findings)
        min_log_p = np.minimum.reduce([finding.scored.min_log_p_b for finding in findings])
        scored = np.add.reduce([finding.scored.scored_b for finding in findings])
        score_r, log_p_b, score_b = self.history.score(ranked, min_log_p, scored, events, run)
        worst = ranked.least_probable()
        written, score_r = ranked.only(worst), score_r[worst]
        whole = BucketScores("bucket_time", log_p_b, score_b)
        influence = self.influencers.of_results(written)
        blamed, of_fields = self.influencers.score(influence, written, score_r, whole, scored, run)
        frame = Frame(self._job_id, self._span.span, run.calendar.bucket_from, is_interim=not run.learn)
        blames = self.influencers.of_records(influence, len(written))
        records = record_batch(written, score_r, self._names, frame, blames)
        elapsed = 1000.0 * (clock.perf_counter() - began)
        buckets = bucket_batch(events, [whole, *of_fields], frame, elapsed)
        model_plot = model_plot_batches(findings, self._names, frame)
        influencers = self.influencers.batches(blamed, frame)
        self.results.add(buckets, records, model_plot, influencers, interim=not run.learn)


def _per_bucket(cells: ClosedCells, first: int, last: int) -> I64:
    """Event counts of the buckets from `first` to before `last`."""
    events = np.zeros(last - first, np.int64)
    inside = (cells.bucket_c >= first) & (cells.bucket_c < last)
    events[cells.bucket_c[inside] - first] = cells.record_c[inside].astype(np.int64)
    return events
