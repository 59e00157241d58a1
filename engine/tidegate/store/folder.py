"""A store: a folder that is the durable home of jobs, with no server behind it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ..config import JobConfig, read_filters, updated
from ..config.source import Source
from ..errors import RequestError, StateError, StoreError
from ..sizes import require_room
from .answers import Answers
from .database import Database
from .durable import StoredJob
from .expressions import expand
from .home import DURABILITIES, Home
from .jobrows import StoredJob as JobRow
from .jobs import job_shown, job_stats, require_memory, require_names
from .lock import JobLock
from .modelsnapshots import Snapshots
from .numbers import next_number
from .settings import touch_settings
from .shared import Shared

_DATABASE = "store.db"
_OPEN = ("opened", "closing")
"""States of a job that somebody has opened and not closed; its process may have ended."""
_CLOSED = ("closed", "opening")
"""States of a job that nobody has opened; a process that was about to may have ended."""


class Store(Answers, Snapshots, Shared):
    """The jobs of a folder: their configurations, results, models, and what was posted to them.

    >>> import tempfile
    >>> from tidegate import Store
    >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
    ...     _ = store.put_job({
    ...         "job_id": "requests",
    ...         "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]},
    ...         "data_description": {"time_field": "t"},
    ...     })
    ...     with store.open_job("requests") as job:
    ...         _ = job.post([{"t": hour * 3_600_000} for hour in range(48)])
    ...     store.buckets("requests", start=3600, size=2)["event_count"].to_pylist()
    [1, 1]

    `durability` says what a returned call promises, whatever happens to the process or the machine then:

    ``"post"``   every post that returned is kept
    ``"flush"``  everything that was posted before a flush that returned is kept; until then what was posted
                 outlives the process, but not a loss of power
    ``"close"``  everything that was posted before a close that returned; there is no log

    A store may be used from many threads and processes at once; every job has one writer. Raises StoreError
    for a folder that cannot be used and VersionError for one that a newer tidegate wrote.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: str = "post",
        create: bool = True,
        threads: int | None = None,
    ) -> None:
        if durability not in DURABILITIES:
            raise RequestError(f"durability: {durability!r} is none of {', '.join(DURABILITIES)}")
        self.path = Path(path).absolute()
        self._durability = durability
        self._threads = threads
        self._open: dict[str, StoredJob] = {}
        self._mutex = threading.RLock()
        try:
            if create:
                (self.path / "jobs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path}: a store cannot be made here: {error.strerror}") from error
        if not create and not (self.path / _DATABASE).is_file():
            raise StoreError(f"{self.path}: there is no store here")
        super().__init__(Database(self.path / _DATABASE, create=create))

    def __repr__(self) -> str:
        jobs = len(self._jobs_known())
        return f"<tidegate.Store {str(self.path)!r}: {jobs} jobs, {len(self._open)} open here>"

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the jobs that are open here, and the files of the store."""
        for job in list(self._open.values()):
            job.close()
        self._database.close()

    # -- jobs -----------------------------------------------------------------------------------------------

    def put_job(self, config: JobConfig | Source) -> dict[str, Any]:
        """Adds a job, closed; returns its completed configuration.

        Raises ConfigError, NotSupportedError, and ExistsError for an id that is taken.
        """
        config = config if isinstance(config, JobConfig) else JobConfig.parse(config)
        config.require_supported()
        require_room(config)
        with self._database.transaction() as tx:
            config.require_filters(read_filters(list(tx.documents("filters").values())))
            require_names(config, tx.groups())
            tx.create_job(config.job_id, config.to_dict(), created_ms=int(time.time() * 1000))
            tx.set_job(config.job_id, counters={"generation": next_number(tx, "generation")})
            return job_shown(tx.job(config.job_id))

    def jobs(self, expr: str = "_all", *, allow_no_match: bool = True) -> list[dict[str, Any]]:
        """The configurations of jobs, by id; `expr` is an id, a group, a comma list, `*` or `_all`."""
        with self._database.reading() as view:
            return [
                job_shown(view.job(one)) for one in expand(expr, view.groups(), allow_no_match=allow_no_match)
            ]

    def job_stats(self, expr: str = "_all", *, allow_no_match: bool = True) -> list[dict[str, Any]]:
        """Counts, model sizes, state and timing of jobs, by id."""
        with self._database.reading() as view:
            rows = [view.job(one) for one in expand(expr, view.groups(), allow_no_match=allow_no_match)]
            forecasts = {row.job_id: view.forecasts(row.job_id) for row in rows}
        return [job_stats(row, self._open.get(row.job_id), forecasts[row.job_id]) for row in rows]

    def update_job(self, job_id: str, changes: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
        """Changes settings of a job; see `Job.update`. An open one goes by them from its next call on."""
        if any(mark in job_id for mark in "*,") or job_id == "_all":
            raise RequestError("Cannot update more than 1 job at a time")
        job = self._open.get(job_id)
        if job is not None:
            job.update(changes)
        else:
            with self._database.transaction() as tx:
                row = tx.job(job_id)
                config = updated(JobConfig.parse(row.config), changes, is_open=row.state in _OPEN)
                config.require_supported()
                config.require_filters(read_filters(list(tx.documents("filters").values())))
                require_memory(config, row)
                require_names(config, {k: v for k, v in tx.groups().items() if k != job_id})
                tx.set_job(job_id, config=config.to_dict())
                touch_settings(tx)
        return self.jobs(job_id)[0]

    def open_job(self, job_id: str, *, threads: int | None = None, fallback: bool = False) -> StoredJob:
        """Opens a job for writing: it goes on where it was, however its last process ended.

        Raises NotFoundError; StateError if it is open, here or in another process, or failed;
        SnapshotError if its newest snapshot is damaged, which says what there is instead (`fallback`: go on
        from the one before, and the log), LogError if its log is.
        """
        with self._mutex:
            lock = self._locked(job_id, "open")
            try:
                with self._database.reading() as view:
                    state = view.job(job_id).state
                if state == "failed":
                    raise StateError(f"Cannot open job [{job_id}] because it failed, use force close first")
                home = Home(self._database, self._folder(job_id), job_id, self._durability, lock)
                if state == "closed":
                    home.set_state("opening")
                try:
                    job = StoredJob.opened(home, threads or self._threads, fallback=fallback)
                except BaseException:
                    home.set_state(state)
                    raise
                home.set_state("opened")
            except BaseException:
                lock.release()
                raise
            job.when_left = self._forget
            self._open[job_id] = job
            return job

    def opened_job(self, job_id: str) -> StoredJob | None:
        """The job if it is open in this store object."""
        return self._open.get(job_id)

    def mark_open(self, job_id: str) -> None:
        """Says that a closed job is open, with nobody at work on it yet; see `attach`."""
        with self._alone(job_id, "open") as row, self._database.transaction() as tx:
            if row.state not in _CLOSED:
                raise StateError(f"Cannot open job [{job_id}] because it has already been opened")
            tx.set_job(job_id, state="opened", finished_ms=None)

    @contextmanager
    def attach(self, job_id: str, *, threads: int | None = None) -> Iterator[StoredJob]:
        """The job, which somebody has opened, for some calls; it stays open when they are done."""
        with self._database.reading() as view:
            if view.job(job_id).state not in _OPEN:
                raise StateError(f"Cannot perform requested action because job [{job_id}] is not open")
        job = self.open_job(job_id, threads=threads)
        try:
            yield job
        finally:
            job.detach()

    def close_job(self, expr: str, *, force: bool = False, allow_no_match: bool = True) -> None:
        """Closes jobs; a closed one stays as it is.

        What a process left open when it ended is opened and closed properly, unless `force`. Raises
        StateError for a job that is open in another process, or that failed, without `force`.
        """
        with self._database.reading() as view:
            chosen = expand(expr, view.groups(), allow_no_match=allow_no_match)
            failed = [one for one in chosen if view.job(one).state == "failed"]
        if failed and not force:
            several = "one or more jobs have state failed, use force close"
            single = f"cannot close job [{failed[0]}] because it failed, use force close"
            raise StateError(single if len(chosen) == 1 else several)
        for job_id in chosen:
            job = self._open.get(job_id)
            if job is not None:
                job.close(force=force)
                continue
            with self._database.reading() as view:
                state = view.job(job_id).state
            if state == "closed":
                continue
            if force or state not in _OPEN:
                with self._alone(job_id, "close"), self._database.transaction() as tx:
                    tx.set_job(job_id, state="closed", finished_ms=int(time.time() * 1000))
            else:
                self.open_job(job_id).close()

    def delete_job(self, job_id: str, *, force: bool = False) -> None:
        """Removes a job with everything that is its own; an open one only with `force`."""
        job = self._open.get(job_id)
        if job is not None and force:
            job.close(force=True)
        with self._alone(job_id, "delete") as row:
            if row.state not in _CLOSED and not force:
                raise StateError(f"Cannot delete job [{job_id}] because the job is {row.state}")
            with self._database.transaction(durable=True) as tx:
                tx.delete_job(job_id)
                touch_settings(tx)
            self._remove_files(job_id)

    def reset_job(self, job_id: str) -> None:
        """Takes a closed job back to where it was created: no data, no model, no results."""
        with self._alone(job_id, "reset") as row:
            if row.state not in (*_CLOSED, "failed"):
                raise StateError("Can only reset a job when it is closed.")
            with self._database.transaction(durable=True) as tx:
                tx.drop_results(job_id)
                tx.drop_interim(job_id)
                for one in tx.snapshots(job_id):
                    tx.delete_snapshot(job_id, one.snapshot_id)
                for forecast in tx.forecasts(job_id):
                    tx.delete_forecast(job_id, forecast.forecast_id)
                tx.set_job(
                    job_id,
                    state="closed",
                    finished_ms=None,
                    snapshot_id=None,
                    finalized_end=None,
                    applied_sequence=0,
                    counters={"generation": next_number(tx, "generation")},
                )
                tx.add_message(job_id, int(time.time() * 1000), "info", "Job has been reset")
            self._remove_files(job_id, but_lock=True)

    # -- files and locks ------------------------------------------------------------------------------------

    def _folder(self, job_id: str) -> Path:
        return self.path / "jobs" / job_id

    def _locked(self, job_id: str, verb: str) -> JobLock:
        """The lock of a job that exists."""
        with self._database.reading() as view:
            view.require_job(job_id)
        lock = JobLock(self._folder(job_id) / "lock", job_id)
        lock.acquire(verb)
        return lock

    @contextmanager
    def _alone(self, job_id: str, verb: str) -> Iterator[JobRow]:
        """A job that nobody else is at work on."""
        lock = self._locked(job_id, verb)
        try:
            with self._database.reading() as view:
                row = view.job(job_id)
            yield row
        finally:
            lock.release()

    def _remove_files(self, job_id: str, *, but_lock: bool = False) -> None:
        folder = self._folder(job_id)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        if not but_lock:
            shutil.rmtree(folder, ignore_errors=True)

    def _forget(self, job: StoredJob) -> None:
        self._open.pop(job.job_id, None)

    def _jobs_known(self) -> list[str]:
        with self._database.reading() as view:
            return sorted(view.groups())
