"""A job whose home is a store: what a returned call promised survives the end of the process.

Every call that changes the job is written to the log before it is done, and its results are committed to
the database after. The engine is deterministic, so that a snapshot and the calls logged since make the same
job again, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ..calls import Call, Flush, Piece, Settings
from ..config import EventCalendar, Filter, JobConfig
from ..errors import RequestError, StateError, StoreError, TidegateError
from ..job import Job
from ..renormal import Renormalizer
from ..results import Results
from .batchstreams import compacted
from .commit import Commit, Status
from .frames import Entry
from .home import Home, Restored
from .pending import Pending, Tables
from .persist import Persister, Saved

_PIECE_BYTES = 1 << 26


_OURS = "calendars and filters of a stored job belong to its store"


class StoredJob(Job):
    """An open job of a `Store`; posts, flushes and is read as `Job` is.

    A post is taken wholly or not at all, unless it is larger than 64 MiB: then piece by piece, and
    `data_counts` tells how much of it was.
    """

    _piece_bytes = _PIECE_BYTES

    def __init__(self, home: Home, settings: Settings, threads: int | None) -> None:
        self._home = home
        self._is_replaying = True
        self._is_made = False
        self._pending = Pending()
        self._told_records = -1
        self._unwritten: list[Commit] = []
        self._sequence = 0
        self._settings_version = -1
        super().__init__(
            settings.config, calendars=settings.calendars, filters=settings.filters, threads=threads
        )
        self._renormalizer = Renormalizer(self.config)
        self._persister = Persister(home)
        self.when_left: Callable[[StoredJob], None] | None = None
        """Called when this process has let go of the job."""
        self._is_made = True

    @classmethod
    def opened(cls, home: Home, threads: int | None, *, fallback: bool = False) -> StoredJob:
        """The job as it was when it was closed, or its process ended: a snapshot, and the log after it."""
        restored = home.restore(fallback=fallback)
        job = cls(home, restored.settings, threads)
        try:
            job._recover(restored)
        except BaseException:
            job._engine.rest()
            raise
        return job

    def _recover(self, restored: Restored) -> None:
        """Takes the state of a snapshot, and does again what was logged since."""
        if restored.state is not None:
            self._restore(restored.state)
        self._engine.results.acknowledge()
        self._forecasts.replace(self._home.forecasts())
        self._sequence, self._settings_version = restored.sequence, restored.settings_version
        self._home.forget_from(restored.watermark)
        self._load_scores()
        for entry, stage in restored.entries():
            self._repeat(entry, stage)
            self._commit_again(restored, entry.sequence)
        self._catch_up(restored)
        self._is_replaying = False
        self._engine.results.acknowledge()
        with self._guard():
            self._follow_settings()
            self._commit(always=True)

    def _catch_up(self, restored: Restored) -> None:
        """Comes as far as the results in the database are, or drops what was lost of a log with them.

        Closing and forecasting gather what is buffered, and are not in the log.
        """
        line, watermark = self._engine.timeline, restored.watermark
        if watermark is None or line.is_past(watermark):
            return
        self._engine.drain(lambda: False)
        self._commit_again(restored, restored.applied)
        if not line.is_past(watermark):
            self._home.forget_from(line.finalized_end or 0)
            self._load_scores()

    def _load_scores(self) -> None:
        """Lets renormalisation go on with the results that the database has."""
        self._renormalizer = Renormalizer(self.config)
        self._home.fill(self._renormalizer)

    def _repeat(self, entry: Entry, stage: Mapping[str, Any] | None) -> None:
        """Does what an entry of the log says; what was refused then is refused again."""
        self._sequence = entry.sequence
        op = entry.head["op"]
        try:
            if op == "post":
                self._take_piece(Piece.read(entry.head, tuple(entry.batches)))
            elif op == "flush" and stage is None:
                self._execute(Flush.read(entry.head))
            elif op == "flush" and stage is not None:
                self._execute(Flush.read(entry.head).as_far_as(stage["stage"]), stage["end"])
            elif op == "settings":
                self._settings_version = entry.head["version"]
                with self._settled("change the settings"):
                    super()._change(Settings.read(entry.head))
        except StoreError:
            raise
        except TidegateError:
            pass

    @contextmanager
    def _recorded(self, call: Call) -> Iterator[None]:
        """Writes a call down, lets it be done, then commits its results; Ctrl-C waits for that."""
        if self._is_replaying:
            yield
            return
        self._follow_settings()
        with self._guard():
            self._write(call)
            try:
                yield
            finally:
                if self._is_open:
                    self._commit(always=not isinstance(call, Piece))
        self._persister.persist_when_due(self._saved)

    def _prepared(self, piece: Piece) -> Piece:
        """A piece as the log has it, so that the tables of strings are the same when it is done again."""
        return replace(piece, batches=tuple(compacted(piece.batches)))

    def _write(self, call: Call) -> None:
        """Appends a call to the log, if there is one."""
        log = self._home.log
        if log is not None:
            head = call.head
            if isinstance(call, Settings):
                head["version"] = self._settings_version
            self._sequence = log.append(head, call.batches, sync=self._home.syncs(call))

    def _execute(self, flush: Flush, until: int | None = None) -> str | None:
        """Does what a flush asks for; if it was interrupted writes down how far it came."""
        stage = super()._execute(flush, until)
        log = self._home.log
        if stage is not None and not self._is_replaying and log is not None:
            cut = {"op": "cut", "stage": stage, "end": self._engine.timeline.finalized_end}
            self._sequence = log.append(cut, (), sync=True)
        return stage

    def _fail(self) -> None:
        """Takes the call that failed, which was not answered, out of the log: the job can be opened again."""
        if self._is_open and not self._is_replaying:
            self._home.fail(self._sequence)
            self._left()
        super()._fail()

    def _new_results(self) -> Results:
        """Where the results of the engine go; those of a second engine take the place of the first's."""
        self._pending = Pending(restarted=self._is_made)
        return self._pending

    def _commit(self, *, always: bool = False) -> None:
        """Commits all new results, and the counts of now; what cannot be written stays for the next time."""
        if self._pending:
            self._unwritten.append(self._made(since=None, interim=True))
        if self._unwritten or always:
            self._home.commit(self._unwritten, self._status())
            self._unwritten = []

    def _commit_again(self, restored: Restored, sequence: int) -> None:
        """Commits what an entry of the log led to, but for what the database has already."""
        if self._pending:
            made = self._made(since=restored.watermark, interim=sequence > restored.applied)
            if made:
                self._home.commit([made], self._status())
            else:
                self._renormalizer.pass_over(self._engine.history, self._engine.influencers)

    def _made(self, *, since: int | None, interim: bool) -> Commit:
        """The pending results as they are to be written, with the past scores that they change."""
        pending = self._pending
        if pending.restarted:
            self._renormalizer = Renormalizer(self.config)
        final = pending.final(since)
        changed = {}
        if final["buckets"].num_rows:
            self._renormalizer.add(final)
            changed = self._renormalizer.update(self._engine.history, self._engine.influencers)
        made = Commit.of(pending, final, changed, with_interim=interim)
        pending.written()
        return made

    def _status(self) -> Status:
        """What the database is to say of the job."""
        return Status(
            self._engine.timeline.finalized_end,
            self._sequence,
            self.data_counts.to_dict(),
            self.model_size_stats.to_dict(),
            self._renormalizer.first_rows,
            self._message_tables(),
        )

    def _message_tables(self) -> Tables:
        """What there is to tell of messages, if there are new ones."""
        counts = self._counts.processed_record_count
        if self._intake.categorizer is None or counts == self._told_records:
            return {}
        self._told_records = counts
        return {"categories": self.categories(), "categorizer_stats": self.categorizer_stats()}

    def _follow_config(self, config: JobConfig) -> None:
        """Lets past scores go by a changed configuration."""
        self._renormalizer.set_config(config)

    def _saved(self, *, copy: bool) -> Saved:
        """The whole job as it is, to be written as a snapshot."""
        end, counts = self._engine.timeline.finalized_end, self.data_counts
        span_ms = self.config.analysis_config.bucket_span_ms
        return Saved(
            self._capture(copy=copy),
            self.settings,
            self._settings_version,
            self._sequence,
            end,
            counts.latest_record_timestamp,
            end - span_ms if end is not None and self._pending.final_buckets else None,
            counts.to_dict(),
            self.model_size_stats.to_dict(),
            is_closing=not copy,
        )

    def _follow_settings(self) -> None:
        """Takes over what was changed in the store: settings, calendars, filters."""
        found = self._home.settings_since(self._settings_version)
        if found is not None:
            settings, is_new = found[0], self._settings_version < 0
            self._settings_version = found[1]
            if settings != self.settings or is_new:
                self._engine.drain(lambda: False)
                super()._change(settings)

    def _change(self, settings: Settings) -> None:
        """Changes the configuration: in the database, from which the job takes it over."""
        self._home.save_config(settings.config)
        settings, self._settings_version = self._home.settings()
        super()._change(settings)

    def _filters_at_hand(self) -> Sequence[Filter]:
        """All filters of the store."""
        return self._home.filters()

    def set_calendars(self, calendars: Sequence[EventCalendar | Mapping[str, Any]]) -> None:
        """Refused: the calendars of a stored job belong to its store."""
        raise RequestError(f"{_OURS}: Store.put_calendar, Store.add_events")

    def update_filter(self, filter_id: str, **changes: Any) -> Filter:
        """Refused: the filters of a stored job belong to its store."""
        raise RequestError(f"{_OURS}: Store.update_filter")

    def reset(self) -> None:
        """Refused while it is open; see `Store.reset_job`."""
        raise StateError("Can only reset a job when it is closed.")

    def open(self) -> None:
        """Refused: `Store.open_job` opens it."""
        raise StateError(f"Cannot open job [{self.job_id}]: it is opened by Store.open_job")

    def buckets(self, *, exclude_interim: bool = False) -> pa.Table:
        """The bucket results so far; `Store.buckets` knows more options."""
        return self._home.answers.in_order(self.job_id, "buckets", exclude_interim=exclude_interim)

    def records(self, *, exclude_interim: bool = False) -> pa.Table:
        """The anomaly records so far, bucket by bucket; `Store.records` knows more options."""
        return self._home.answers.in_order(self.job_id, "records", exclude_interim=exclude_interim)

    def influencers(self, *, exclude_interim: bool = False) -> pa.Table:
        """The values that records are blamed on so far; `Store.influencers` knows more options."""
        return self._home.answers.in_order(self.job_id, "influencers", exclude_interim=exclude_interim)

    def model_plot(self) -> pa.Table:
        """What the plotted series were expected to be; `Store.model_plot` knows more options."""
        return self._home.answers.in_order(self.job_id, "model_plot")

    def forecast(
        self,
        duration: str | int = "1d",
        expires_in: str | int = "14d",
        max_model_memory: str | int | None = None,
    ) -> pa.Table:
        """What all series will be from the end of the last finalised bucket on; see `Job.forecast`."""
        with self._lock, self._guard():
            points = super().forecast(duration, expires_in, max_model_memory)
            self._commit()
            self._home.save_forecasts(self._forecasts)
        return points

    def delete_forecast(self, forecast_id: str = "_all", *, allow_no_forecasts: bool = True) -> None:
        """Drops forecasts by a comma list of ids, or all; RequestError for one that does not exist."""
        with self._lock:
            super().delete_forecast(forecast_id, allow_no_forecasts=allow_no_forecasts)
            self._home.save_forecasts(self._forecasts)

    def close(self, *, force: bool = False) -> None:
        """Finalises what is complete, prunes, and persists the model; quick also with many series.

        With `force` nothing of that: the job is closed at once, and what was posted is still in the log, so
        that it goes on from there when it is opened again (with ``durability="close"`` it is lost).
        Raises StoreError when there is no room for the snapshot; the job is then still open.
        """
        with self._lock:
            if not self._is_open:
                return
            if not force:
                with self._calling("close"), self._guard() as guard:
                    self._engine.drain(guard.is_interrupted)
                    if guard.is_interrupted():
                        return
                    self._engine.prune()
                    self._commit(always=True)
                    if self._has_begun:
                        self._persister.persist_now(self._saved)
            self._let_go("closed")

    def persist(self) -> None:
        """Writes a snapshot now; a store does so by itself every few hours, and at the close."""
        with self._calling("persist"), self._guard():
            self._commit(always=True)
            self._persister.persist_now(self._saved)

    def detach(self) -> None:
        """Lets go of the job without closing it: another process may go on with it."""
        with self._lock:
            if self._is_open:
                with self._guard():
                    self._commit(always=True)
                    self._persister.persist_if_long(self._saved)
                    self._let_go("opened")

    def _let_go(self, state: str) -> None:
        """Ends the work of this process on the job."""
        self._persister.wait()
        self._engine.rest()
        self._home.leave(state)
        self._state = "closed"
        self._left()

    def _left(self) -> None:
        if self.when_left is not None:
            self.when_left(self)

    @property
    def opened_at(self) -> float:
        """When it was opened here; seconds of the epoch."""
        return self._home.opened_at

    @property
    def _has_begun(self) -> bool:
        """Whether there is anything to be kept: records, or a time."""
        counts = self._counts
        return self._engine.timeline.finalized_end is not None or counts.input_record_count > 0
