"""The way of the data through one job: buffer, gather, model, combine, results.

The engine does what it is told, in order, on one thread at a time; `Job` is its facade.
"""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .analysis import Finding, LaneCells
from .buckets import BucketScores, bucket_batch
from .categorize import Categorizer
from .cells import I32, I64, ClosedCells
from .config import Detector, EventCalendar, JobConfig
from .filters import FilterSet
from .forecast import Forecast, make_forecast
from .forecastrequest import Request
from .history import History
from .influencers import Influencers
from .kept import INSIDE, Keeper
from .keys import U64, Interner
from .keystream import KeyStream
from .lanes import Lane, LaneKey, key_of
from .model import Calendar, Run
from .modelplot import model_plot_batches
from .passes import Pass, Planner, Span
from .ranked import Ranked
from .records import record_batch
from .resultcolumns import Frame
from .results import Results
from .rows import Rows
from .schedule import Schedule, Stretch
from .shifts import TimeShifts
from .siblings import REFRESH_DAYS
from .sizes import ModelSizeStats
from .stock import Stock
from .streams import NO_SERIES, NO_VALUES, CellStream, Stream
from .texts import TextStore
from .threads import Threads
from .timeline import DAY_MS, MAX_FILLED_BUCKETS, Timeline
from .weights import WeightedStream

PASS_BUCKETS = 1 << 16
PASS_CELLS = 1 << 22
"""Buckets, and series times buckets, in one pass: large enough to be quick, small enough to bound
memory and the time until an interrupt is heard."""
PLOTTED_CELLS = 1 << 20
"""Series times buckets in one pass of a job with a model plot, where each of them may be a row."""
Stop = Callable[[], bool]
_Cells = dict[LaneKey, LaneCells]


class Engine(Keeper):
    """One job's buffer, open buckets, models, history and results."""

    KEPT: ClassVar = {
        "results": INSIDE,
        "timeline": Timeline,
        "_buffer": list[Rows],
        "history": INSIDE,
        "_shifts": INSIDE,
        "_events": INSIDE,
        "_lanes": INSIDE,
        "influencers": INSIDE,
        "stock": INSIDE,
    }

    def __init__(
        self,
        config: JobConfig,
        names: dict[str, Interner],
        texts: dict[str, TextStore],
        threads: int,
        results: Results,
    ) -> None:
        analysis = config.analysis_config
        span_ms = analysis.bucket_span_ms
        self.results = results
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
        self.schedule = Schedule((), span_ms)
        self._shifts = TimeShifts(span_ms)
        is_summarised = analysis.summary_count_field_name is not None
        self._events = (WeightedStream if is_summarised else CellStream)(self._span, valued=False)
        self._lanes: dict[LaneKey, Lane] = {}
        prune = max(analysis.model_prune_window_ms // span_ms, 1)
        for detector in analysis.detectors:
            key = key_of(detector)
            if key not in self._lanes:
                plot = config.model_plot_config
                self._lanes[key] = Lane(key, self._span, plot, names, texts, is_summarised=is_summarised)
            self._lanes[key].add(detector, prune)
        self.influencers = Influencers(
            analysis.influencers, self._lanes, names, span_ms, is_summarised=is_summarised
        )
        self.stock = Stock(self._lanes, names, self.influencers.log, self._span, config)

    def _resume(self) -> None:
        self.timeline.require_of(self._span.span, self._span.latency)
        opened = self.timeline.open_buckets
        self._events.require_open(1, *opened)
        for lane in self._lanes.values():
            lane.require_open(*opened)
        self._buffered, self._owned = sum(map(len, self._buffer)), len(self._buffer)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The detectors with what they have in common."""
        return tuple(self._lanes.values())

    @property
    def buffered(self) -> tuple[Rows, ...]:
        """What was posted and is not yet gathered."""
        return tuple(self._buffer)

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

    def sizes(self, categorizer: Categorizer | None) -> ModelSizeStats:
        """What the models take, with the categories of messages."""
        end = self.timeline.finalized_end
        latest = None if end is None or not self.results.final_buckets else end - self._span.span
        taken = self.stock.taken + self.influencers.log.nbytes + (categorizer.nbytes if categorizer else 0)
        taken += sum(lane.open_bytes for lane in self._lanes.values())
        taken += sum(texts.nbytes for texts in self._texts.values())
        return self.stock.stats(self._job_id, taken, latest, self.results.final_buckets, categorizer)

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
            self._pass(planner, rows)
        self.influencers.log.settle()
        self.add(rows.part(planner.row, len(rows)))

    def _pass(self, planner: Planner, rows: Rows) -> None:
        """One pass over the buffer; where memory runs short it ends where stock is to be taken."""
        start, line = planner.row, self.timeline
        if self.stock.is_idle:
            self.stock.loosen()
            if self._gather_next(planner, rows, self._pass_buckets):
                return
            planner.go_back(start)
        self.stock.tighten()
        self._reach(line.floor(int(rows.time[start])) - line.latency_ms)
        self.stock.tighten()
        assert line.finalized_end is not None
        due = (self.stock.next_after(line.finalized_end) - line.finalized_end) // line.span_ms - 1
        self._gather_next(planner, rows, min(due, self._pass_buckets), is_tight=True)

    def _reach(self, end: int) -> None:
        """Closes what the next row makes final, if stock is to be taken on the way."""
        finalized = self.timeline.finalized_end
        assert finalized is not None
        is_near = end - finalized <= MAX_FILLED_BUCKETS * self._span.span
        if is_near and end >= self.stock.next_after(finalized):
            self._close(end)

    def _gather_next(self, planner: Planner, rows: Rows, buckets: int, *, is_tight: bool = False) -> bool:
        """Gathers the next rows and closes what they make final.

        Unless it `is_tight` does nothing, and says so, when series that came would have to be refused.
        """
        start = planner.row
        assert self.timeline.finalized_end is not None
        part = planner.next(self.timeline.finalized_end, buckets, MAX_FILLED_BUCKETS)
        if part is None:
            self._pass_over(int(rows.time[start]))
            return True
        taken = rows.part(start, part.stop)
        series = self._assign(taken, is_tight)
        if series is None:
            return False
        self._see_earliest(taken.time)
        self._gather(taken, part, series)
        self._close(part.end)
        self.influencers.log.fold()
        return True

    def _assign(self, rows: Rows, is_tight: bool) -> dict[LaneKey, I32] | None:
        """The series of rows in every lane; None, and nothing changed, for too many new ones."""
        marks = [lane.room.mark() for lane in self._lanes.values()]
        series = {}
        for key, lane in self._lanes.items():
            series[key] = lane.assign(rows)
            if lane.room.is_shut and not is_tight:
                for other, mark in zip(self._lanes.values(), marks, strict=True):
                    other.room.go_back(mark)
                return None
        return series

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
        skipped = self.timeline.skipped_buckets
        for stretch in self.schedule.stretches(first, last):
            begin, end = stretch.first, stretch.last
            inside = {key: part.within(begin, end) for key, part in cells.items()}
            events = open_events.counts(begin, end)
            run = Run(
                Calendar.of(begin, end, self._span.span),
                skipped,
                learn=False,
                completeness_b=self.history.completeness(events),
            )
            self._score(inside, events, run, stretch, is_interim=True)
            skipped += end - begin if stretch.skips_model else 0

    def hashes(self, field: str) -> Iterator[U64]:
        """The hashes of a field whose texts the buffer and the open buckets need."""
        yield from (rows.hashes[field] for rows in self._buffer)
        for lane in self._lanes.values():
            stream = lane.streams.get(("info", field))
            if isinstance(stream, KeyStream):
                yield from stream.keys()

    def codes(self, field: str) -> Iterator[npt.NDArray[np.integer]]:
        """The codes of a field that the buffer, the models and the open buckets need."""
        yield from (rows.codes[field] for rows in self._buffer)
        yield from self.influencers.log.codes(field)
        for lane in self._lanes.values():
            yield from lane.codes(field)

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        self._buffer = [rows.with_codes(new_of) for rows in self._buffer]
        self.influencers.log.move_codes(new_of)
        for lane in self._lanes.values():
            lane.move_codes(new_of)

    def forecast(self, request: Request) -> Forecast:
        """What the series will be from the last finalised bucket on; changes nothing."""
        line = self.timeline
        end = 0 if line.finalized_end is None else line.finalized_end
        buckets = end // line.span_ms, line.skipped_buckets, line.span_ms
        return make_forecast(self._job_id, request, self._lanes.values(), self._names, buckets, self._pool)

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

    def _gather(self, rows: Rows, part: Pass, assigned: dict[LaneKey, I32]) -> None:
        """Adds the rows of a pass to the open buckets of every stream, on all threads at once."""
        threads = part.pieces(self._pool.size)
        series = {}
        if isinstance(self._events, WeightedStream):
            works = self._events.weigh(part, NO_SERIES, NO_VALUES, rows.weight)
        else:
            works = self._events.gather(part, NO_SERIES, NO_VALUES, 1)
        for key, lane in self._lanes.items():
            series[key], more = lane.gather(rows, part, assigned[key], threads)
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
        time that are meant for it, events begin and end, and stock is taken: whatever way the records came,
        the same buckets have passed then.
        """
        line = self.timeline
        assert line.finalized_end is not None
        while end > line.finalized_end:
            due = self._shifts.make(line.finalized_end // line.span_ms, self._lanes.values())
            asks_at = self._siblings_at(line.finalized_end)
            stretch = self.schedule.at(line.finalized_end // line.span_ms)
            stock_at = sys.maxsize if self.stock.is_idle else self.stock.next_after(line.finalized_end)
            self._close_part(min(end, asks_at, stock_at, min(stretch.last, due) * line.span_ms), stretch)
            if line.finalized_end == asks_at:
                for lane in self._lanes.values():
                    lane.ask_siblings(self._clock)
            if line.finalized_end == stock_at:
                assert line.first_whole is not None
                self.stock.take(stock_at, self._clock, stock_at - line.first_whole)

    @property
    def _clock(self) -> int:
        """The first bucket that is not final, of the job's own time."""
        line = self.timeline
        assert line.finalized_end is not None
        return line.finalized_end // line.span_ms - line.skipped_buckets

    def prune(self) -> None:
        """Lets go of what will be forgotten anyway; no result depends on it."""
        if self.timeline.finalized_end is not None:
            for lane in self._lanes.values():
                lane.forget_silent(self._clock)

    def set_calendars(self, calendars: Iterable[EventCalendar]) -> None:
        """Replaces the events of the job, from the first bucket on that is not final yet."""
        span, end = self._span.span, self.timeline.finalized_end
        self.schedule = Schedule((event for calendar in calendars for event in calendar.events), span)
        self._shifts.set_events(self.schedule.events, None if end is None else end // span)

    def set_rules(self, detectors: Iterable[Detector], filters: FilterSet) -> None:
        """Lets the detectors go by their rules and these filters, from the next bucket on."""
        rules = {detector.detector_index: detector.custom_rules for detector in detectors}
        for lane in self._lanes.values():
            lane.set_rules(rules, filters)
        self._shifts.set_rules(self._lanes.values())

    def update(self, config: JobConfig) -> None:
        """Goes on with other limits, another prune window and another model plot."""
        self._is_plotting = config.model_plot_config is not None and config.model_plot_config.enabled
        prune = max(config.analysis_config.model_prune_window_ms // self._span.span, 1)
        for lane in self._lanes.values():
            lane.update(config.model_plot_config, prune)
        self.stock.update(config)

    def _siblings_at(self, after: int) -> int:
        """The next time after this one at which the models ask the siblings; the end of a bucket."""
        first = self.timeline.first_whole
        assert first is not None
        times = (first + days * DAY_MS for days in REFRESH_DAYS)
        return next((at for at in map(self.timeline.floor, times) if at > after), sys.maxsize)

    def _close_part(self, end: int, stretch: Stretch) -> None:
        """Closes buckets on which the same events fall."""
        line = self.timeline
        assert line.finalized_end is not None
        assert line.first_whole is not None
        first_whole = line.first_whole
        cells, events = self._cells(lambda stream: stream.close(end, first_whole))
        first, last = max(line.finalized_end, line.first_whole) // line.span_ms, end // line.span_ms
        line.finalize(end)
        if first < last:
            calendar = Calendar.of(first, last, line.span_ms)
            run = Run(calendar, line.skipped_buckets, learn=not stretch.skips_model)
            events_b = events.counts(first, last)
            for key, lane in self._lanes.items():
                lane.see(cells[key], run.clock_offset)
            self.stock.see(first, events_b)
            self._score(cells, events_b, run, stretch, is_interim=False)
            line.skipped_buckets += last - first if stretch.skips_model else 0
        self.influencers.log.drop(end // line.span_ms)
        self.stock.settle(end // line.span_ms)

    def _score(self, cells: _Cells, events: I64, run: Run, stretch: Stretch, *, is_interim: bool) -> None:
        """Makes buckets, records and influencers of the cells of buckets on which the same events fall."""
        began = clock.perf_counter()
        frame = Frame(
            self._job_id, self._span.span, run.calendar.bucket_from, is_interim, stretch.descriptions
        )
        findings: list[Finding] = []
        if not stretch.is_skipped:
            lanes = self._lanes.items()
            findings = [f for key, lane in lanes for f in lane.findings(cells[key], run, self._pool)]
        ranked = Ranked([] if stretch.skips_result else findings)
        log_p_b, score_b, score_r = np.zeros(len(events)), np.zeros(len(events)), np.empty(0)
        scored = np.zeros(len(events), np.int64)
        if findings:
            scored = np.add.reduce([finding.scored.scored_b for finding in findings])
            least = np.minimum.reduce([finding.scored.min_log_p_b for finding in findings])
            if stretch.skips_result:  # as unremarkable as can be
                least = np.zeros_like(least)
            score_r, log_p_b, score_b = self.history.score(ranked, least, scored, events, run)
        else:
            self.history.pass_over(run)
        worst = ranked.least_probable()
        written, score_r = ranked.only(worst), score_r[worst]
        whole = BucketScores("bucket_time", log_p_b, score_b)
        blame = self.influencers.blame(written, score_r, whole, scored, run)
        records = record_batch(written, score_r, self._names, frame, blame.of_records)
        elapsed = 1000.0 * (clock.perf_counter() - began)
        buckets = bucket_batch(events, [whole, *blame.buckets], frame, elapsed)
        model_plot = model_plot_batches(findings, self._names, frame)
        influencers = self.influencers.batches(blame.values, frame)
        self.results.add(buckets, records, model_plot, influencers, interim=is_interim)
