"""Jobs in the database: their configurations, states and counters, and how far they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ExistsError, NotFoundError
from .session import Session, as_json

_COLUMNS = "job, config, state, created, finished, counters, snapshot_id, finalized_end, applied_sequence"
_CHANGEABLE = {
    "config": "config",
    "state": "state",
    "finished_ms": "finished",
    "counters": "counters",
    "snapshot_id": "snapshot_id",
    "finalized_end": "finalized_end",
    "applied_sequence": "applied_sequence",
}
_AS_JSON = ("config", "counters")


@dataclass(frozen=True, slots=True)
class StoredJob:
    """What the database knows of a job, its results apart."""

    job_id: str
    config: dict[str, Any]
    state: str
    created_ms: int
    finished_ms: int | None
    counters: dict[str, Any]
    snapshot_id: str | None
    """The snapshot that it starts from."""
    finalized_end: int | None
    """The end of the last finalised bucket in epoch milliseconds."""
    applied_sequence: int
    """The place in the log up to which its results are in the database."""


class JobsView(Session):
    """Jobs to read."""

    def job(self, job_id: str) -> StoredJob:
        """A job; NotFoundError if there is none of that id."""
        row = self._sql.execute(f"SELECT {_COLUMNS} FROM jobs WHERE job = ?", (job_id,)).fetchone()
        if row is None:
            raise unknown_job(job_id)
        return self._stored(row)

    def jobs(self) -> list[StoredJob]:
        """All jobs by id."""
        rows = self._sql.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY job").fetchall()
        return [self._stored(row) for row in rows]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The groups of every job, by id; see `expressions.expand`."""
        rows = self._sql.execute("SELECT job, job_groups FROM jobs ORDER BY job").fetchall()
        return {job_id: tuple(self._from_json(groups, "a list of groups")) for job_id, groups in rows}

    def require_job(self, job_id: str) -> None:
        """NotFoundError if there is no such job."""
        if self._sql.execute("SELECT 1 FROM jobs WHERE job = ?", (job_id,)).fetchone() is None:
            raise unknown_job(job_id)

    def _stored(self, row: tuple[Any, ...]) -> StoredJob:
        job_id, config, state, created, finished, counters, *places = row
        config, counters = (self._from_json(text, f"job '{job_id}'") for text in (config, counters))
        return StoredJob(job_id, config, state, created, finished, counters, *places)


class JobsEdit(JobsView):
    """Jobs to change."""

    def create_job(
        self, job_id: str, config: Mapping[str, Any], *, created_ms: int, state: str = "closed"
    ) -> None:
        """Adds a job; ExistsError if its id is taken."""
        try:
            self._sql.execute(
                "INSERT INTO jobs (job, config, job_groups, state, created, counters, applied_sequence)"
                " VALUES (?, ?, ?, ?, ?, '{}', 0)",
                (job_id, as_json(config), as_json(list(config.get("groups", ()))), state, created_ms),
            )
        except sqlite3.IntegrityError:
            raise ExistsError(
                f"The job cannot be created with the Id '{job_id}'. The Id is already used."
            ) from None

    def set_job(self, job_id: str, **changes: Any) -> None:
        """Changes what is named: any of the fields of `StoredJob` but the id and the time it was created."""
        if unknown := changes.keys() - _CHANGEABLE.keys():
            raise TypeError(f"set_job: {sorted(unknown)} cannot be changed; allowed: {sorted(_CHANGEABLE)}")
        columns = {
            _CHANGEABLE[name]: as_json(value) if name in _AS_JSON else value
            for name, value in changes.items()
        }
        if "config" in changes:
            columns["job_groups"] = as_json(list(changes["config"].get("groups", ())))
        if not columns:
            return self.require_job(job_id)
        assignments = ", ".join(f"{name} = ?" for name in columns)
        done = self._sql.execute(f"UPDATE jobs SET {assignments} WHERE job = ?", (*columns.values(), job_id))
        if done.rowcount == 0:
            raise unknown_job(job_id)
        return None

    def delete_job(self, job_id: str) -> None:
        """Removes a job and everything that is its own, and takes it out of calendars."""
        if self._sql.execute("DELETE FROM jobs WHERE job = ?", (job_id,)).rowcount == 0:
            raise unknown_job(job_id)
        calendars = "SELECT name, value FROM documents WHERE collection = 'calendars'"
        for name, text in self._sql.execute(calendars).fetchall():
            calendar = self._from_json(text, f"calendar '{name}'")
            if job_id in calendar.get("job_ids", ()):
                calendar["job_ids"] = [other for other in calendar["job_ids"] if other != job_id]
                self._sql.execute(
                    "UPDATE documents SET value = ? WHERE collection = 'calendars' AND name = ?",
                    (as_json(calendar), name),
                )


def unknown_job(job_id: str) -> NotFoundError:
    """What is raised for an id of which there is no job."""
    return NotFoundError(f"No known job with id '{job_id}'")
