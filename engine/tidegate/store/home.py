"""What a stored job has outside of the process: its rows in the database, its snapshots and its log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..calls import Call, Piece, Settings
from ..config import Filter, JobConfig, read_filters
from ..errors import SnapshotError, StoreError
from ..forecast import Forecast
from ..forecasts import Forecasts, info_of
from ..renormal import KINDS
from ..results import SCHEMAS
from .answers import Answers
from .commit import Commit, Status
from .database import Database
from .forecastrows import StoredForecast
from .frames import Entry
from .lock import JobLock
from .log import Log
from .numbers import next_number
from .persist import Saved
from .retention import forget_expired
from .settings import read_settings, settings_version, touch_settings
from .snapshotfile import read, write
from .snapshotindex import StoredSnapshot
from .timing import Timing
from .wholefile import sweep

if TYPE_CHECKING:
    from ..kept import State
    from ..renormal import Renormalizer

DURABILITIES = ("post", "flush", "close")
MIN_VERSION = "0.1.0"
"""Of tidegate, that can read the snapshots of this one."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a job is made of when it is opened."""

    settings: Settings
    settings_version: int
    state: State | None
    """None: the job has not been persisted yet."""
    sequence: int
    """The last entry of the log that the state has done."""
    watermark: int | None
    """End of the last bucket whose results are in the database."""
    applied: int
    """The last entry of the log whose results are."""
    log: Log | None

    def entries(self) -> Iterator[tuple[Entry, Mapping[str, Any] | None]]:
        """What was logged since; with a flush that was interrupted how far it came."""
        waiting: Entry | None = None
        for entry in self.log.entries(self.sequence) if self.log is not None else ():
            if waiting is not None and entry.head["op"] == "cut":
                yield replace(waiting, sequence=entry.sequence), entry.head
                waiting = None
                continue
            if waiting is not None:
                yield waiting, None
            waiting = entry
        if waiting is not None:
            yield waiting, None


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot that is on the disk and not in the database yet."""

    row: StoredSnapshot
    saved: Saved


class Home:
    """The place of one job in a store; only who holds the job's lock changes it."""

    def __init__(self, database: Database, folder: Path, job_id: str, durability: str, lock: JobLock) -> None:
        self.job_id = job_id
        self.opened_at = time.time()
        self._database = database
        self._folder = folder
        self._durability = durability
        self._lock = lock
        self._log: Log | None = None
        with database.reading() as view:
            row = view.job(job_id)
        self.config = JobConfig.parse(row.config)
        self._counters = row.counters
        self._timing = Timing(**row.counters.get("timing", {}))

    @property
    def answers(self) -> Answers:
        """The results of the job, and of others."""
        return Answers(self._database)

    @property
    def log(self) -> Log | None:
        """The log, if what is posted is logged."""
        return None if self._durability == "close" else self._log

    def syncs(self, call: Call) -> bool:
        """Whether a call must be on the disk before it returns."""
        return self._durability == "post" or not isinstance(call, Piece)

    # -- opening --------------------------------------------------------------------------------------------

    def restore(self, *, fallback: bool) -> Restored:
        """The newest snapshot, and the log that is to be done again after it.

        With `fallback` an older snapshot is taken if the newest is damaged; the log goes back to the one
        before the newest, so that nothing is lost. Else SnapshotError, which says what there is.
        """
        with self._database.reading() as view:
            row, snapshots = view.job(self.job_id), view.snapshots(self.job_id)
            settings, version = read_settings(view, self.job_id), settings_version(view)
        self._clear({one.snapshot_id for one in snapshots})
        sequence = int(row.counters.get("log_after", 0))
        state = None
        if row.snapshot_id is not None:
            state, info = self._read_snapshot(row.snapshot_id, snapshots, fallback=fallback)
            settings, version = Settings.read(info["settings"]), int(info["settings_version"])
            if info["snapshot_id"] != row.snapshot_id:
                sequence = int(info["sequence"])
        self._log = Log.open(self._log_folder, self.job_id, after=sequence)
        return Restored(
            settings,
            version if state is not None else -1,
            state,
            sequence,
            row.finalized_end,
            row.applied_sequence,
            self._log,
        )

    def _read_snapshot(
        self, snapshot_id: str, snapshots: Sequence[StoredSnapshot], *, fallback: bool
    ) -> tuple[State, dict[str, Any]]:
        """The state of a snapshot; with `fallback` of the newest before it that is whole."""
        known = [one.snapshot_id for one in snapshots]
        candidates = known[known.index(snapshot_id) :] if snapshot_id in known else [snapshot_id]
        damage: SnapshotError | None = None
        for candidate in candidates:
            try:
                state, info = read(self.snapshot_path(candidate))
            except SnapshotError as error:
                damage = damage or error
                if fallback:
                    continue
                break
            is_of_this_log = info["generation"] == self._generation or candidate == snapshot_id
            if is_of_this_log:
                return state, info
        rest = candidates[1:]
        offer = (
            f"the one before it is '{rest[0]}': open the job with fallback=True, which goes on from there "
            f"and loses nothing that is in the log, or revert to it"
            if rest
            else "there is none before it: revert to 'empty' to begin anew"
        )
        raise SnapshotError(
            f"model snapshot '{snapshot_id}' of job '{self.job_id}' cannot be used: {damage}; {offer}"
        )

    def _clear(self, known: set[str]) -> None:
        """Removes what a crash left behind: partial snapshots, and logs of before a reset or revert."""
        folder = self._folder / "snapshots"
        if folder.is_dir():
            sweep(folder)
            for path in folder.glob("*.arrow"):
                if path.stem not in known:
                    path.unlink(missing_ok=True)
        for path in (self._folder / "log").glob("*"):
            if path.name != str(self._generation):
                shutil.rmtree(path, ignore_errors=True)

    @property
    def _generation(self) -> int:
        """The number of the log; a reset or a revert begins another one."""
        return int(self._counters.get("generation", 0))

    @property
    def _log_folder(self) -> Path:
        return self._folder / "log" / str(self._generation)

    def snapshot_path(self, snapshot_id: str) -> Path:
        """The file of a snapshot."""
        return self._folder / "snapshots" / f"{snapshot_id}.arrow"

    def forget_from(self, time_ms: int | None) -> bool:
        """Drops results of buckets that are not final for the job; whether there were any."""
        if time_ms is None:
            return False
        with self._database.reading() as view:
            later = view.chunks(self.job_id, "buckets", start_ms=time_ms)
            if next(later, None) is None:
                return False
        with self._database.transaction() as tx:
            tx.drop_results(self.job_id, from_ms=time_ms)
        return True

    def fill(self, renormalizer: Renormalizer) -> None:
        """Lets a renormalizer have the results that are there, with their scores of now."""
        with self._database.reading() as view:
            following = view.next_rows(self.job_id)
            known = self._counters.get("first_rows", {})
            first = {kind: min(int(known.get(kind, 0)), following[kind]) for kind in KINDS}
            tables = {}
            for kind in KINDS:
                batches = [
                    batch.slice(max(first[kind] - at, 0))
                    for at, batch in view.chunks(self.job_id, kind)
                    if at + batch.num_rows > first[kind]
                ]
                tables[kind] = pa.Table.from_batches(batches, SCHEMAS[kind])
                first[kind] = max(first[kind], following[kind] - tables[kind].num_rows)
        renormalizer.load(tables, first)

    # -- what calls lead to ---------------------------------------------------------------------------------

    def commit(self, commits: Sequence[Commit], status: Status) -> None:
        """Writes the results of some calls: all of it is there at once, or nothing."""
        timing = self._timing
        for one in commits:
            timing = timing.after(one.final["buckets"]["processing_time_ms"].to_numpy())
        counters = {
            **self._counters,
            "data_counts": dict(status.data_counts),
            "model_size_stats": dict(status.model_size_stats),
            "timing": timing.kept(),
            "first_rows": dict(status.first_rows),
        }
        with self._database.transaction() as tx:
            for one in commits:
                if one.restarts:
                    tx.drop_results(self.job_id)
                if one.sweeps:
                    tx.drop_interim(self.job_id)
                for kind, table in one.final.items():
                    tx.add_results(self.job_id, kind, table)
                for kind, table in (one.interim or {}).items():
                    tx.add_results(self.job_id, kind, table, interim=True)
                for kind, (rows, scores) in one.changed.items():
                    tx.rescore(self.job_id, kind, rows, scores)
            for kind, table in status.tables.items():
                tx.replace_table(self.job_id, kind, table)
            tx.set_job(
                self.job_id,
                finalized_end=status.finalized_end,
                applied_sequence=status.applied,
                counters=counters,
            )
        self._counters, self._timing = counters, timing

    def settings_since(self, version: int) -> tuple[Settings, int] | None:
        """The settings of now, if any have changed since a version of them."""
        with self._database.reading() as view:
            now = settings_version(view)
            return None if now == version else (read_settings(view, self.job_id), now)

    def settings(self) -> tuple[Settings, int]:
        """The settings of now, and their version."""
        with self._database.reading() as view:
            return read_settings(view, self.job_id), settings_version(view)

    def filters(self) -> tuple[Filter, ...]:
        """All filters of the store."""
        with self._database.reading() as view:
            return read_filters(list(view.documents("filters").values()))

    def save_config(self, config: JobConfig) -> None:
        """Changes the configuration."""
        with self._database.transaction() as tx:
            tx.set_job(self.job_id, config=config.to_dict())
            touch_settings(tx)
        self.config = config

    def forecasts(self) -> list[Forecast]:
        """The forecasts that there are."""
        with self._database.reading() as view:
            return [
                Forecast(
                    one.forecast_id,
                    one.created_ms,
                    one.expires_ms,
                    view.forecast_points(self.job_id, one.forecast_id),
                    int(one.info["processing_time_ms"]),
                )
                for one in view.forecasts(self.job_id)
            ]

    def save_forecasts(self, forecasts: Forecasts) -> None:
        """Writes which forecasts there are."""
        present = {one.forecast_id: one for one in forecasts.chosen(None)}
        with self._database.transaction() as tx:
            known = {one.forecast_id for one in tx.forecasts(self.job_id)}
            for gone in known - present.keys():
                tx.delete_forecast(self.job_id, gone)
            for name, one in present.items():
                if name not in known:
                    row = StoredForecast(name, one.create_ms, one.expiry_ms, info_of(one))
                    tx.add_forecast(self.job_id, row, one.points)

    def note(self, level: str, text: str) -> None:
        """Adds a message about the job."""
        with self._database.transaction() as tx:
            tx.add_message(self.job_id, int(time.time() * 1000), level, text)

    # -- snapshots ------------------------------------------------------------------------------------------

    def roll(self) -> None:
        """Lets the log begin a new file, so that the ones before it can go one day."""
        if self.log is not None and self.log.is_usable:
            self.log.roll()

    def write_snapshot(self, saved: Saved) -> Written:
        """Writes a snapshot, which nobody knows of until it is registered; may be called from any thread."""
        now_ms = int(time.time() * 1000)
        snapshot_id = str(now_ms // 1000)
        while self.snapshot_path(snapshot_id).exists():
            snapshot_id = str(int(snapshot_id) + 1)
        info = {
            "job_id": self.job_id,
            "snapshot_id": snapshot_id,
            "generation": self._generation,
            "sequence": saved.sequence,
            "settings": saved.settings.to_dict(),
            "settings_version": saved.settings_version,
            "finalized_end": saved.finalized_end,
            "data_counts": dict(saved.data_counts),
            "model_size_stats": dict(saved.model_size_stats),
        }
        path = self.snapshot_path(snapshot_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
        done = write(path, saved.state, info)
        row = StoredSnapshot(
            self.job_id,
            snapshot_id,
            now_ms,
            "State persisted at job close" if saved.is_closing else "Periodic background persist",
            False,
            saved.latest_record_ms,
            saved.latest_result_ms,
            dict(saved.model_size_stats),
            MIN_VERSION,
            saved.sequence,
            done.nbytes,
            done.checksum,
        )
        return Written(row, saved)

    def register(self, written: Written) -> None:
        """Makes a snapshot the one that the job starts from; what it covers of the log may go.

        The log stays as far back as the snapshot before it, in case that this one is damaged one day.
        """
        before = int(self._counters.get("log_after", 0))
        counters = {**self._counters, "log_after": written.saved.sequence}
        applied = {}
        with self._database.transaction(durable=True) as tx:
            if self._log is not None and not self._log.is_usable:  # nobody knows what it will look like
                counters |= {"generation": next_number(tx, "generation"), "log_after": 0}
                applied = {"applied_sequence": 0}
            tx.put_snapshot(written.row)
            tx.set_job(self.job_id, snapshot_id=written.row.snapshot_id, counters=counters, **applied)
            gone = forget_expired(tx, tx.job(self.job_id))
        self._counters = counters
        for snapshot_id in gone:
            self.snapshot_path(snapshot_id).unlink(missing_ok=True)
        if self._log is not None and self._log.is_usable:
            self._log.drop(before)

    # -- the end --------------------------------------------------------------------------------------------

    def set_state(self, state: str) -> None:
        """Says which state the job is in."""
        finished = int(time.time() * 1000) if state == "closed" else None
        with self._database.transaction(durable=state == "closed") as tx:
            tx.set_job(self.job_id, state=state, finished_ms=finished)

    def leave(self, state: str) -> None:
        """Ends the work of this process on the job."""
        try:
            if self._log is not None:
                if self._log.is_usable:
                    with suppress(StoreError):
                        self._log.sync()
                self._log.close()
            self.set_state(state)
        finally:
            self._lock.release()

    def fail(self, sequence: int) -> None:
        """Takes the last call out of the log and leaves the job as failed."""
        try:
            if self.log is not None:
                self.log.retract(sequence)
        finally:
            self.leave("failed")
