"""Which model snapshots and results have been kept long enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..config import JobConfig
from ..timeline import DAY_MS

if TYPE_CHECKING:
    from .database import Transaction
    from .jobrows import StoredJob as JobRow


class Dated(Protocol):
    """A snapshot, as far as its retention goes."""

    @property
    def snapshot_id(self) -> str: ...

    @property
    def timestamp(self) -> int: ...

    @property
    def retain(self) -> bool: ...


T = TypeVar("T", bound=Dated)


def expired_snapshots(snapshots: Sequence[T], config: JobConfig, current: str | None) -> list[T]:
    """The snapshots that are to go, of all of a job.

    Measured from the newest one: those of more than ``model_snapshot_retention_days``; of those older
    than ``daily_model_snapshot_retention_after_days`` all but the first of each day. Those that are to
    be retained stay, and the two newest and the current one, whatever their age.
    """
    ordered = sorted(snapshots, key=lambda one: one.timestamp)
    if not ordered:
        return []
    newest = ordered[-1].timestamp
    oldest_kept = newest - config.model_snapshot_retention_days * DAY_MS
    all_kept = newest - config.daily_model_snapshot_retention_after_days * DAY_MS
    gone, days = [], set()
    for one in ordered[:-2]:
        day = one.timestamp // DAY_MS
        is_daily = day not in days
        if one.timestamp >= oldest_kept:
            days.add(day)
        is_old = one.timestamp < oldest_kept or (one.timestamp < all_kept and not is_daily)
        if is_old and not one.retain and one.snapshot_id != current:
            gone.append(one)
    return gone


def oldest_result(config: JobConfig, newest_ms: int | None) -> int | None:
    """The time before which results have been kept long enough; None: they are kept for ever."""
    if newest_ms is None or config.results_retention_days is None:
        return None
    return newest_ms - config.results_retention_days * DAY_MS


def forget_expired(tx: Transaction, row: JobRow) -> list[str]:
    """Deletes what has been kept long enough of a job; the ids of snapshots whose files may go."""
    config = JobConfig.parse(row.config)
    gone = expired_snapshots(tx.snapshots(row.job_id), config, row.snapshot_id)
    for one in gone:
        tx.delete_snapshot(row.job_id, one.snapshot_id)
    oldest = oldest_result(config, row.finalized_end)
    if oldest is not None:
        tx.drop_results(row.job_id, before_ms=oldest)
    return [one.snapshot_id for one in gone]
