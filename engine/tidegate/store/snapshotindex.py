"""What the database knows of model snapshots; the snapshots are files beside it."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

from ..errors import NotFoundError
from .session import Session, as_json


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot: the whole state of a job at one place of its log."""

    job_id: str
    snapshot_id: str
    timestamp: int
    """When it was made: epoch milliseconds of the wall clock."""
    description: str
    retain: bool
    latest_record_time_stamp: int | None
    latest_result_time_stamp: int | None
    model_size_stats: dict[str, Any]
    min_version: str
    sequence: int
    """The last entry of the log that is in it."""
    nbytes: int
    checksum: int
    """Of its file: 64 bits, unsigned."""


_NAMES = [field.name for field in fields(StoredSnapshot)]
_COLUMNS = ", ".join("job" if name == "job_id" else name for name in _NAMES)


class SnapshotsView(Session):
    """Snapshots to read."""

    def snapshots(self, job_id: str) -> list[StoredSnapshot]:
        """The snapshots of a job, the newest first."""
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM snapshots WHERE job = ?"
            " ORDER BY timestamp DESC, sequence DESC, snapshot_id",
            (job_id,),
        ).fetchall()
        return [self._snapshot_of(dict(zip(_NAMES, row, strict=True))) for row in rows]

    def _snapshot_of(self, row: dict[str, Any]) -> StoredSnapshot:
        what = f"snapshot '{row['snapshot_id']}'"
        row["retain"] = bool(row["retain"])
        row["model_size_stats"] = self._from_json(row["model_size_stats"], what)
        try:
            row["checksum"] = int(row["checksum"], 16)
        except ValueError:
            raise self._damaged(what) from None
        return StoredSnapshot(**row)


class SnapshotsEdit(SnapshotsView):
    """Snapshots to change."""

    def put_snapshot(self, snapshot: StoredSnapshot) -> None:
        """Adds or replaces one."""
        row = dict(zip(_NAMES, astuple(snapshot), strict=True))
        row["model_size_stats"] = as_json(snapshot.model_size_stats)
        row["checksum"] = f"{snapshot.checksum:016x}"
        marks = ", ".join("?" * len(row))
        self._sql.execute(
            f"INSERT OR REPLACE INTO snapshots ({_COLUMNS}) VALUES ({marks})", list(row.values())
        )

    def delete_snapshot(self, job_id: str, snapshot_id: str) -> None:
        """Removes one; NotFoundError if it is not there."""
        where = "job = ? AND snapshot_id = ?"
        if self._sql.execute(f"DELETE FROM snapshots WHERE {where}", (job_id, snapshot_id)).rowcount == 0:
            raise NotFoundError(f"No model snapshot with id [{snapshot_id}] exists for job [{job_id}]")
