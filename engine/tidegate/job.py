"""A job: post records, flush, read results, close. The facade over the engine."""

from __future__ import annotations

import os
import threading
import time as clock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import pyarrow as pa

from . import renormal
from .config import JobConfig
from .counts import DataCounts
from .engine import Engine, Stop, require_room
from .errors import RequestError, StateError
from .guard import Guard
from .intake import Intake
from .readers import to_batches
from .requesttime import parse_request_time
from .sizes import ModelSizeStats

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


class Job:
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

    `config` is a dict, JSON text, the path of a JSON file, or a `JobConfig`; `threads` is how
    many threads work on it (all cores by default; results do not depend on it).

    Raises ConfigError for a wrong configuration and NotSupportedError for one that asks for
    something not built yet. The methods may be called from any thread, one at a time.
    """

    def __init__(
        self,
        config: JobConfig | Mapping[str, Any] | str | bytes | os.PathLike[str],
        *,
        threads: int | None = None,
    ) -> None:
        self.config = config if isinstance(config, JobConfig) else JobConfig.parse(config)
        self.config.require_supported()
        require_room(self.config)
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise RequestError(f"threads: {threads!r} is not a number of threads; it is at least 1")
        self._intake = Intake(self.config)
        self._threads = threads or len(os.sched_getaffinity(0))
        self._engine = self._new_engine()
        self._is_busy = False
        self._counts = DataCounts(job_id=self.config.job_id)
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
            return self._engine.sizes()

    def post(self, data: Any, *, reset_start: Any = None, reset_end: Any = None) -> DataCounts:
        """Puts records into the job's buffer; returns the counts of this upload.

        `data` is anything with an Arrow stream or array (pyarrow, polars, pandas, DuckDB), a
        dict of arrays, a list or iterator of dicts, NDJSON or a JSON array as text or bytes.
        With `reset_start` what the open buckets from then to `reset_end` hold is forgotten
        first, so that it can be sent again; with latency there are such buckets.

        Raises DataError when the data cannot be read at all (what came before the unreadable
        place stays posted) and StateError when the job is not open.
        """
        start, end = _time_range(reset_start, reset_end, ("reset_start", "reset_end"))
        with self._calling("process data"):
            batches = to_batches(data, keys=self._intake.fields.texts)
            if start is not None:
                with self._guard() as guard:
                    self._engine.drain(guard.is_interrupted)
                    self._engine.reset(start, end)
            before = self._intake.snapshot()
            taken: list[DataCounts] = []
            try:
                for batch in batches:
                    self._take(batch, taken)
            finally:
                with self._guard():
                    self._engine.own_buffer()
                    upload = self._intake.finish(before)
                    for counts in taken:
                        upload = upload.plus(counts)
                    upload = replace(
                        upload,
                        input_bytes=batches.input_bytes,
                        malformed_record_count=batches.malformed,
                        last_data_time=int(clock.time() * 1000),
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
        span = _interim_range(calc_interim, start, end)
        advance = None if advance_time is None else parse_request_time(advance_time, "advance_time")
        skip = None if skip_time is None else parse_request_time(skip_time, "skip_time")
        if advance is not None and skip is not None and advance <= skip:
            raise RequestError(f"advance_time [{advance_time}] must be later than skip_time [{skip_time}]")
        with self._calling("flush"), self._guard() as guard:
            self._move(advance, skip, guard.is_interrupted)
            if calc_interim and not guard.is_interrupted():
                self._engine.interim(*span)
            self._engine.results.acknowledge()
            return FlushAcknowledgement(self._engine.timeline.finalized_end)

    def _move(self, advance: int | None, skip: int | None, stop: Stop) -> None:
        """Gathers what is buffered, then skips and advances, as long as nothing interrupts."""
        engine = self._engine
        engine.drain(stop)
        if advance is not None:
            engine.timeline.check_advance(advance, skip)
        if skip is not None and not stop():
            engine.skip(skip)
            self._moved(skip, stop)
        if advance is not None and not stop():
            engine.advance(advance, stop)
            self._moved(advance, stop)

    def _moved(self, time_ms: int, stop: Stop) -> None:
        """Tells the intake where time is now, and gathers what it has held back until then."""
        before = self._intake.snapshot()
        for rows in self._intake.moved(time_ms, self._engine.timeline.finalized_end):
            self._counts = self._counts.plus(self._intake.finish(before))
            self._engine.add(rows)
            self._engine.drain(stop)

    def buckets(self, *, exclude_interim: bool = False) -> pa.Table:
        """The bucket results so far, in time order, interim ones last; schema `results.BUCKETS`."""
        with self._lock:
            table = self._engine.results.table("buckets", exclude_interim=exclude_interim)
            return renormal.buckets(table, self._records(exclude_interim=True))

    def records(self, *, exclude_interim: bool = False) -> pa.Table:
        """The anomaly records so far, bucket by bucket; schema `results.RECORDS`."""
        with self._lock:
            return self._records(exclude_interim=exclude_interim)

    def _records(self, *, exclude_interim: bool) -> pa.Table:
        table = self._engine.results.table("records", exclude_interim=exclude_interim)
        return renormal.records(table, self._engine.history)

    def influencers(self, *, exclude_interim: bool = False) -> pa.Table:
        """The values that records are blamed on so far, by time, then by score; `results.INFLUENCERS`.

        Empty unless ``analysis_config`` of the job names `influencers`.
        """
        with self._lock:
            table = self._engine.results.table("influencers", exclude_interim=exclude_interim)
            return renormal.influencers(table, self._records(exclude_interim=True), self._engine.influencers)

    def model_plot(self) -> pa.Table:
        """What the plotted series were expected to be, final bucket by final bucket; `results.MODEL_PLOT`.

        Empty unless ``model_plot_config`` of the job is enabled; its ``terms`` choose the series.
        """
        with self._lock:
            return self._engine.results.table("model_plot", exclude_interim=True)

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
            self._state = "closed"

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

    def _guard(self) -> Guard:
        return Guard(self._fail)

    def _fail(self) -> None:
        self._state = "failed"

    def _new_engine(self) -> Engine:
        return Engine(self.config, self._intake.names, self._intake.texts, self._threads)

    def _require(self, is_right: bool, verb: str) -> None:
        if self._state == "failed":
            raise StateError(
                f"Cannot {verb} because job [{self.job_id}] failed; its results can still be read"
            )
        if not is_right:
            raise StateError(f"Cannot perform requested action because job [{self.job_id}] is not open")


def _time_range(start: Any, end: Any, names: tuple[str, str]) -> tuple[int | None, int | None]:
    """Two request times, the second not before the first; an empty `end` is none."""
    first = None if start is None else parse_request_time(start, names[0])
    last = None if end is None or end == "" else parse_request_time(end, names[1])
    if first is not None and last is not None and last < first:
        raise RequestError(f"Invalid time range: end time '{end}' is earlier than start time '{start}'.")
    return first, last


def _interim_range(calc_interim: bool, start: Any, end: Any) -> tuple[int | None, int | None]:
    """Start and end of the interim results asked for, in the order the API checks them."""
    first, last = _time_range(start, end, ("start", "end"))
    if not isinstance(calc_interim, bool):
        raise RequestError(f"calc_interim: {calc_interim!r} is not true or false")
    if not calc_interim and first is not None:
        raise RequestError("Invalid flush parameters: unexpected 'start'.")
    if not calc_interim and last is not None:
        raise RequestError("Invalid flush parameters: unexpected 'end'.")
    if calc_interim and last is not None and first is None:
        raise RequestError("Invalid flush parameters: 'start' has not been specified.")
    return first, last


__all__ = ["FlushAcknowledgement", "Job"]
