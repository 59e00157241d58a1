"""A job: post records, flush, read results, close. The facade over the engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, ClassVar

import pyarrow as pa

from .calls import ADVANCED, DRAINED, SKIPPED, Call, Flush, Piece, pieces
from .changes import Changes
from .config import EventCalendar, Filter, JobConfig, read_calendars, read_filters
from .counts import DataCounts
from .current import CurrentScores
from .engine import Engine, Stop
from .errors import RequestError, StateError, StoreError
from .filters import FilterSet
from .forecastrequest import Request, require_forecastable
from .forecasts import Forecasts
from .guard import Guard
from .intake import Intake
from .kept import INSIDE, Keeper, State, capture, restore
from .layout import beheaded, head
from .outcome import Outcome
from .overall import overall_buckets
from .readers import to_batches
from .requesttime import interim_range, parse_request_time, time_range
from .results import Results
from .sizes import ModelSizeStats, require_room
from .threads import Threads

_BUFFER_ROWS = 1 << 18


@dataclass(frozen=True, slots=True)
class FlushAcknowledgement:
    """What a flush answers."""

    last_finalized_bucket_end: int | None
    """Epoch milliseconds; None as long as there is no bucket boundary."""
    flushed: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The answer as the JSON API gives it: without a boundary the key is absent."""
        if self.last_finalized_bucket_end is None:
            return {"flushed": self.flushed}
        return {"flushed": self.flushed, "last_finalized_bucket_end": self.last_finalized_bucket_end}


class Job(Changes, Outcome, Keeper):
    """An anomaly detection job in this process: open from the start, until it is closed.

    >>> job = Job({
    ...     "analysis_config": {
    ...         "bucket_span": "1h",
    ...         "detectors": [{"function": "mean", "field_name": "value"}],
    ...     },
    ...     "data_description": {"time_field": "time", "time_format": "epoch"},
    ... })
    >>> counts = job.post([{"time": 3600 * hour, "value": hour % 7} for hour in range(48)])
    >>> counts.processed_record_count
    48
    >>> job.flush().last_finalized_bucket_end == 47 * 3600 * 1000
    True
    >>> job.buckets().num_rows
    47

    `config` is a dict, JSON text, the path of a JSON file, or a `JobConfig`; `calendars` have the
    events that are known beforehand, `filters` the lists of values that custom rules refer to;
    `threads` is how many threads work on it (all cores by default; results do not depend on it).

    Raises ConfigError for a wrong configuration and NotSupportedError for one that asks for
    something not built yet. The methods may be called from any thread, one at a time.
    """

    KEPT: ClassVar = {"_counts": DataCounts, "_forecasts": INSIDE, "_intake": INSIDE, "_engine": INSIDE}

    _piece_bytes = 1
    """A post is taken batch by batch."""

    def __init__(
        self,
        config: JobConfig | Mapping[str, Any] | str | bytes | os.PathLike[str],
        *,
        calendars: Sequence[EventCalendar | Mapping[str, Any]] = (),
        filters: Sequence[Filter | Mapping[str, Any]] = (),
        threads: int | None = None,
    ) -> None:
        self.config = config if isinstance(config, JobConfig) else JobConfig.parse(config)
        self.config.require_supported()
        require_room(self.config)
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise RequestError(f"threads: {threads!r} is not a number of threads; it is at least 1")
        self._calendars = read_calendars(calendars)
        self._filters = read_filters(filters)
        self.config.require_filters(self._filters)
        self._intake = Intake(self.config)
        self._threads = threads or len(os.sched_getaffinity(0))
        self._engine = self._new_engine()
        self._is_busy = False
        self._counts = DataCounts(job_id=self.config.job_id)
        self._forecasts = Forecasts(self.config.job_id)
        self._lock = threading.RLock()
        self._state = "opened"

    def __repr__(self) -> str:
        counts = self._counts
        return (
            f"<tidegate.Job {self.config.job_id!r} {self._state}: {counts.processed_record_count} records, "
            f"{self._engine.results.final_buckets} buckets, {self._engine.series} series>"
        )

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.config.job_id

    @property
    def state(self) -> str:
        """``opened``, ``closed``, or ``failed`` after an error inside the engine."""
        return self._state

    @property
    def series_count(self) -> int:
        """How many series all detectors have."""
        return self._engine.series

    @property
    def data_counts(self) -> DataCounts:
        """Running totals of what became of all records."""
        with self._lock:
            return replace(
                self._counts,
                waiting_record_count=self._intake.waiting,
                refused_series_record_count=self._engine.refused,
            )

    @property
    def model_size_stats(self) -> ModelSizeStats:
        """What the models take, how many values the key fields have, and whether a limit was reached."""
        with self._lock:
            categorizer = self._intake.categorizer
            return self._engine.sizes(categorizer)

    def post(self, data: Any, *, reset_start: Any = None, reset_end: Any = None) -> DataCounts:
        """Puts records into the job's buffer; returns the counts of this upload.

        `data` is anything with an Arrow stream or array (pyarrow, polars, pandas, DuckDB), a
        dict of arrays, a list or iterator of dicts, NDJSON or a JSON array as text or bytes.
        With `reset_start` what the open buckets from then to `reset_end` hold is forgotten
        first, so that it can be sent again; with latency there are such buckets.

        Raises DataError when the data cannot be read at all (what came before the unreadable
        place stays posted) and StateError when the job is not open.
        """
        start, end = time_range(reset_start, reset_end, ("reset_start", "reset_end"))
        reset = None if start is None else (start, end)
        with self._calling("process data"):
            batches = to_batches(data, keys=self._intake.fields.texts)
            upload, is_ended = DataCounts(job_id=self.job_id), False
            try:
                for piece in map(self._prepared, pieces(batches, self._intake, reset, self._piece_bytes)):
                    with self._recorded(piece):
                        is_ended = piece.is_last
                        upload = upload.plus(self._take_piece(piece))
            except StoreError:
                self._engine.own_buffer()
                raise
            except BaseException:
                if not is_ended:
                    with self._recorded(Piece()):
                        self._take_piece(Piece())
                raise
            return upload

    def _prepared(self, piece: Piece) -> Piece:
        """A piece as it is to be taken."""
        return piece

    def _take_piece(self, piece: Piece) -> DataCounts:
        """Puts a piece of a post into the buffer; returns its counts."""
        if piece.reset is not None:
            with self._guard() as guard:
                self._engine.drain(guard.is_interrupted)
                self._engine.reset(*piece.reset)
        before = self._intake.snapshot()
        taken: list[DataCounts] = []
        try:
            for batch in piece.batches:
                self._take(batch, taken)
        finally:
            with self._guard():
                if piece.is_last:
                    self._engine.own_buffer()
                upload = self._intake.finish(before, is_last=piece.is_last)
                for counts in taken:
                    upload = upload.plus(counts)
                upload = replace(
                    upload,
                    input_bytes=piece.input_bytes,
                    input_field_count=upload.input_field_count + piece.other_fields,
                    malformed_record_count=piece.malformed,
                    last_data_time=piece.data_time or None,
                )
                self._counts = self._counts.plus(upload)
        return upload

    def _take(self, batch: pa.RecordBatch, taken: list[DataCounts]) -> None:
        """Puts one batch into the buffer, and gathers it when it is full; adds to what was taken."""
        with self._guard() as guard:
            rows, counts, restarted = self._intake.take(batch)
            taken.append(counts)
            if restarted:
                self._engine.rest()
                self._engine = self._new_engine()
            self._engine.add(rows)
            if self._engine.buffered_rows >= _BUFFER_ROWS:
                self._engine.drain(guard.is_interrupted)
            self._intake.forget_texts(self._engine.hashes)
            if new_of := self._intake.forget_names(self._engine.codes):
                self._engine.move_codes(new_of)

    def flush(
        self,
        calc_interim: bool = False,
        start: Any = None,
        end: Any = None,
        advance_time: Any = None,
        skip_time: Any = None,
    ) -> FlushAcknowledgement:
        """Forces what is buffered through the job; the job stays open.

        In this order: complete buckets are finalised; with `skip_time` everything before it
        is dropped and passed over; with `advance_time` buckets that end by it are finalised;
        with `calc_interim` interim results are made for the open buckets, or those from
        `start` to `end`. Results can be read as soon as this returns.

        Times are epoch seconds (up to ten digits) or milliseconds, ISO-8601 text, `now`, or
        a datetime; they are truncated to whole seconds.

        Raises TimeError, RequestError or StateError; the job is then as it was before. Ctrl-C is
        heard between two passes; what is not done by then stays in the buffer.
        """
        span = interim_range(calc_interim, start, end)
        advance = None if advance_time is None else parse_request_time(advance_time, "advance_time")
        skip = None if skip_time is None else parse_request_time(skip_time, "skip_time")
        if advance is not None and skip is not None and advance <= skip:
            raise RequestError(f"advance_time [{advance_time}] must be later than skip_time [{skip_time}]")
        flush = Flush(calc_interim, *span, advance, skip)
        with self._calling("flush"), self._recorded(flush):
            self._execute(flush)
            return FlushAcknowledgement(self._engine.timeline.finalized_end)

    def _execute(self, flush: Flush, until: int | None = None) -> str | None:
        """Does what a flush asks for; returns how far it came if it was interrupted.

        With `until` an advance goes only so far as it came when it was interrupted.
        """
        with self._guard() as guard:
            stage = self._move(flush, guard.is_interrupted, until)
            is_cut = guard.is_interrupted()
            if flush.calc_interim and not is_cut:
                self._engine.interim(flush.start, flush.end)
            self._engine.results.acknowledge()
        return stage if is_cut else None

    def _move(self, flush: Flush, stop: Stop, until: int | None) -> str:
        """Gathers what is buffered, then skips and advances, as long as nothing interrupts."""
        engine, stage = self._engine, DRAINED
        engine.drain(stop)
        if flush.advance is not None:
            engine.timeline.check_advance(flush.advance, flush.skip)
        if flush.skip is not None and not stop():
            engine.skip(flush.skip)
            self._moved(flush.skip, stop)
            stage = SKIPPED
        if flush.advance is not None and not stop():
            latency = engine.timeline.latency_ms
            engine.advance(flush.advance if until is None else min(flush.advance, until + latency), stop)
            self._moved(flush.advance, stop)
            stage = ADVANCED
        return stage

    def _moved(self, time_ms: int, stop: Stop) -> None:
        """Tells the intake where time is now, and gathers what it has held back until then."""
        before = self._intake.snapshot()
        for rows in self._intake.moved(time_ms, self._engine.timeline.finalized_end):
            self._counts = self._counts.plus(self._intake.finish(before))
            self._engine.add(rows)
            self._engine.drain(stop)

    def overall_buckets(self, **options: Any) -> pa.Table:
        """The overall buckets of this job alone, however many: see `tidegate.overall_buckets`."""
        return overall_buckets([self], **{"limit": None, **options})

    def forecast(
        self,
        duration: str | int = "1d",
        expires_in: str | int = "14d",
        max_model_memory: str | int | None = None,
    ) -> pa.Table:
        """What all series will be from the end of the last finalised bucket on; `results.FORECAST`.

        What is buffered is forced through the job first. The forecast is kept until it expires, by the
        wall clock (`expires_in` 0: never); nothing else of the job changes. Spans are text such as
        ``"1d"`` or a number of seconds. `max_model_memory` is accepted as the API has it: the models are
        not copied, so that a forecast needs none. Population analysis, rare and info_content functions,
        those of time and position have no forecast.

        Raises RequestError for a wrong argument, before any bucket is modelled, if no detector can be
        forecast, and for more than 10 million points; StateError when the job is not open.
        """
        request = Request.of(self.config.analysis_config.bucket_span, duration, expires_in, max_model_memory)
        require_forecastable(self.config)
        with self._calling("forecast"), self._guard() as guard:
            self._engine.drain(guard.is_interrupted)
            made = self._engine.forecast(request)
            self._forecasts.add(made)
            return made.points

    def close(self) -> None:
        """Finalises what is complete and closes the job; its results stay readable.

        The last, partly filled bucket stays open and goes on when the job is opened again.
        Closing a closed job does nothing.
        """
        with self._lock:
            if self._state == "opened":
                with self._calling("close"), self._guard() as guard:
                    self._engine.drain(guard.is_interrupted)
                    if not guard.is_interrupted():
                        self._engine.prune()
                        self._engine.rest()
                        self._state = "closed"

    def open(self) -> None:
        """Opens the closed job again: it goes on as if nothing had happened."""
        with self._lock:
            if self._state == "opened":
                raise StateError(f"Cannot open job [{self.job_id}] because it has already been opened")
            self._require(self._state == "closed", "open")
            self._engine.results.acknowledge()
            self._state = "opened"

    def reset(self) -> None:
        """Takes the closed, or failed, job back to where it was created: no data, no model, no results.

        It stays closed. Raises StateError when it is open.
        """
        with self._lock:
            if self._state == "opened":
                raise StateError("Can only reset a job when it is closed.")
            self._engine.rest()
            self._intake = Intake(self.config)
            self._engine = self._new_engine()
            self._counts = DataCounts(job_id=self.job_id)
            self._forecasts = Forecasts(self.job_id)
            self._state = "closed"

    def _capture(self, copy: bool) -> State:
        """All that the job knows but its results; with `copy` nothing is shared, and the job may go on."""
        threads = Threads(self._threads)
        with self._lock:
            try:
                return {**head(), "job": capture(self, copy=copy, threads=threads)}
            finally:
                threads.rest()

    def _restore(self, state: State) -> None:
        """Takes over captured state; the job is as new, of the same configuration, calendars and filters.

        Arrays that can be written are used as they are. Raises VersionError for state of another layout and
        SnapshotError for state that is damaged or of another job; this one has failed then.
        """
        with self._lock:
            self._state = "failed"
            restore(self, beheaded(state)["job"], "job")
            self._state = "opened"

    def _resume(self) -> None:
        self._intake.require_rows(self._engine.buffered)

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _calling(self, verb: str) -> Iterator[None]:
        """One call at a time, on an open job; a call from within a call is refused."""
        with self._lock:
            self._require(self._state == "opened", verb)
            if self._is_busy:
                raise StateError(
                    f"Cannot {verb} because job [{self.job_id}] is in the middle of another call"
                )
            self._is_busy = True
            try:
                yield
            finally:
                self._is_busy = False

    @property
    def _is_open(self) -> bool:
        return self._state == "opened"

    @contextmanager
    def _recorded(self, call: Call) -> Iterator[None]:
        """What surrounds every call that changes something: a stored job writes it down first."""
        yield

    @contextmanager
    def _settled(self, verb: str) -> Iterator[None]:
        """A call that changes the job, open or closed, for what comes after all that is buffered."""
        with self._lock:
            if self._state == "closed":
                yield
                return
            with self._calling(verb), self._guard():
                self._engine.drain(lambda: False)
                yield

    def _guard(self) -> Guard:
        return Guard(self._fail)

    def _fail(self) -> None:
        self._state = "failed"

    def _new_engine(self) -> Engine:
        texts, results = self._intake.texts, self._new_results()
        engine = Engine(self.config, self._intake.names, texts, self._threads, results)
        engine.set_calendars(self._calendars)
        engine.set_rules(self.config.analysis_config.detectors, FilterSet(self._filters))
        self._current = CurrentScores(self.config, results, engine.history, engine.influencers)
        return engine

    def _follow_config(self, config: JobConfig) -> None:
        """Lets past scores go by a changed configuration."""
        self._current.set_config(config)

    def _new_results(self) -> Results:
        """Where the results of the engine go."""
        return Results()

    def _require(self, is_right: bool, verb: str) -> None:
        if self._state == "failed":
            raise StateError(
                f"Cannot {verb} because job [{self.job_id}] failed; its results can still be read"
            )
        if not is_right:
            raise StateError(f"Cannot perform requested action because job [{self.job_id}] is not open")


__all__ = ["FlushAcknowledgement", "Job"]
