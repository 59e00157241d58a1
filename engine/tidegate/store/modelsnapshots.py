"""Model snapshots of the jobs of a store: to look at, to go back to, to keep or to drop."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..errors import NotFoundError, RequestError, StateError
from ..forecasts import now_ms
from ..requesttime import time_range
from .database import Database, Transaction
from .expressions import expand
from .jobrows import StoredJob as JobRow
from .numbers import next_number
from .retention import forget_expired
from .snapshotfile import read_info
from .snapshotindex import StoredSnapshot

EMPTY = "empty"
"""The id of the model that has seen nothing."""
_SORTED_BY = ("timestamp", "snapshot_id", "latest_record_time_stamp", "latest_result_time_stamp", "nbytes")


class Snapshots:
    """The part of `Store` that has to do with model snapshots."""

    _database: Database

    def _alone(self, job_id: str, verb: str) -> AbstractContextManager[JobRow]:
        raise NotImplementedError

    def _folder(self, job_id: str) -> Path:
        raise NotImplementedError

    def model_snapshots(
        self,
        job_id: str,
        *,
        start: Any = None,
        end: Any = None,
        sort: str = "timestamp",
        desc: bool = True,
        from_: int = 0,
        size: int | None = None,
    ) -> list[dict[str, Any]]:
        """The snapshots of a job, the newest first, as the JSON API shows them."""
        if sort not in _SORTED_BY:
            raise RequestError(
                f"sort: snapshots cannot be sorted by {sort!r}; allowed: {', '.join(_SORTED_BY)}"
            )
        for name, value in (("from", from_), ("size", size or 0)):
            if value < 0:
                raise RequestError(f"Parameter [{name}] cannot be < 0")
        first, last = time_range(start, end, ("start", "end"))
        with self._database.reading() as view:
            view.require_job(job_id)
            found = view.snapshots(job_id)
        found = [
            one for one in found if (first or 0) <= one.timestamp and (last is None or one.timestamp < last)
        ]
        found.sort(key=lambda one: (getattr(one, sort) is not None, getattr(one, sort)), reverse=desc)
        stop = None if size is None else from_ + size
        return [shown(one) for one in found[from_:stop]]

    def revert(
        self, job_id: str, snapshot_id: str, *, delete_intervening_results: bool = False
    ) -> dict[str, Any]:
        """Takes a closed job back to a snapshot, or with ``empty`` to where it was created.

        What was posted since is forgotten and can be posted again. Results of later buckets are deleted:
        at once with `delete_intervening_results`, else when the job is opened. Raises NotFoundError,
        StateError for a job that is not closed, and SnapshotError for a damaged snapshot.
        """
        with self._alone(job_id, "revert") as row:
            if row.state not in ("closed", "opening", "failed"):
                raise StateError("Can only revert to a model snapshot when the job is closed.")
            with self._database.reading() as view:
                chosen = None if snapshot_id == EMPTY else _named(view.snapshots(job_id), job_id, snapshot_id)
            counters: dict[str, Any] = {}
            finalized_end = None
            if chosen is not None:
                info = read_info(self._folder(job_id) / "snapshots" / f"{snapshot_id}.arrow")
                finalized_end = info["finalized_end"]
                counters = {name: info[name] for name in ("data_counts", "model_size_stats")}
            with self._database.transaction(durable=True) as tx:
                if delete_intervening_results:
                    tx.drop_interim(job_id)
                    tx.drop_results(job_id, **({} if finalized_end is None else {"from_ms": finalized_end}))
                self._go_back(tx, job_id, chosen, counters, finalized_end)
            return shown(chosen) if chosen is not None else {"job_id": job_id, "snapshot_id": EMPTY}

    def _go_back(
        self,
        tx: Transaction,
        job_id: str,
        chosen: StoredSnapshot | None,
        counters: dict[str, Any],
        finalized_end: int | None,
    ) -> None:
        """Lets the job start from a snapshot, with a new log."""
        before = tx.job(job_id).counters
        tx.set_job(
            job_id,
            state="closed",
            snapshot_id=None if chosen is None else chosen.snapshot_id,
            finalized_end=finalized_end,
            applied_sequence=0,
            counters={
                **{name: value for name, value in before.items() if name in ("timing", "first_rows")},
                **counters,
                "generation": next_number(tx, "generation"),
            },
        )

    def update_snapshot(
        self, job_id: str, snapshot_id: str, *, description: str | None = None, retain: bool | None = None
    ) -> dict[str, Any]:
        """Describes a snapshot, or says whether it is to be kept for ever."""
        if description is not None and not isinstance(description, str):
            raise RequestError(f"description: {description!r} is not text")
        if retain is not None and not isinstance(retain, bool):
            raise RequestError(f"retain: {retain!r} is not true or false")
        with self._database.transaction() as tx:
            tx.require_job(job_id)
            one = _named(tx.snapshots(job_id), job_id, snapshot_id)
            one = replace(
                one,
                description=one.description if description is None else description,
                retain=one.retain if retain is None else retain,
            )
            tx.put_snapshot(one)
        return shown(one)

    def delete_expired(self, expr: str = "_all", *, allow_no_match: bool = True) -> dict[str, Any]:
        """Deletes results, snapshots and forecasts that have been kept as long as their jobs say.

        A job does so itself whenever it is persisted; this is for jobs that stay closed.
        """
        with self._database.transaction() as tx:
            chosen = expand(expr, tx.groups(), allow_no_match=allow_no_match)
            gone = {job_id: forget_expired(tx, tx.job(job_id)) for job_id in chosen}
            tx.expire_forecasts(now_ms())
        for job_id, snapshot_ids in gone.items():
            for snapshot_id in snapshot_ids:
                (self._folder(job_id) / "snapshots" / f"{snapshot_id}.arrow").unlink(missing_ok=True)
        return {"deleted": True}

    def delete_snapshot(self, job_id: str, snapshot_id: str) -> None:
        """Removes a snapshot, but not the one that the job starts from."""
        with self._database.transaction() as tx:
            if tx.job(job_id).snapshot_id == snapshot_id:
                raise RequestError(
                    f"Model snapshot '{snapshot_id}' is the active snapshot for job '{job_id}', "
                    "so cannot be deleted"
                )
            tx.delete_snapshot(job_id, snapshot_id)
        (self._folder(job_id) / "snapshots" / f"{snapshot_id}.arrow").unlink(missing_ok=True)


def _named(snapshots: list[StoredSnapshot], job_id: str, snapshot_id: str) -> StoredSnapshot:
    for one in snapshots:
        if one.snapshot_id == snapshot_id:
            return one
    raise NotFoundError(f"No model snapshot with id [{snapshot_id}] exists for job [{job_id}]")


def shown(snapshot: StoredSnapshot) -> dict[str, Any]:
    """A snapshot as the JSON API shows it."""
    values = {name: value for name, value in asdict(snapshot).items() if value is not None}
    del values["sequence"], values["checksum"]
    return {**values, "snapshot_doc_count": 1}
