"""``tidegate snapshots``: the models of a job as they once were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .failures import Problems
from .place import TIME, given, opened, reply, reply_all, store_options
from .text import size_text, time_text


@click.group()
def snapshots() -> None:
    """Model snapshots of a job: to look at, to go back to, to keep or to drop.

    A job is persisted when it is closed, and every few hours while it is open.
    """


@snapshots.command("list")
@click.argument("job_id", metavar="ID")
@click.option("--start", type=TIME, help="Made at that time or later ...")
@click.option("--end", type=TIME, help="... and before then.")
@click.option("--sort", metavar="FIELD", help="The field to sort by.  [default: timestamp]")
@click.option("--desc/--asc", default=None, help="The newest first, or the oldest.  [default: desc]")
@click.option("--from", "from_", type=click.IntRange(min=0), help="From this one on ...")
@click.option("--size", type=click.IntRange(min=0), help="... at most so many.")
@store_options
def list_snapshots(job_id: str, folder: Path, as_json: bool, **asked: Any) -> None:
    """Lists the snapshots of a job, the newest first."""
    with opened(folder) as store:
        found = store.model_snapshots(job_id, **given(**asked))
    reply_all(as_json, found, _shown, "No snapshots.")


def _shown(snapshot: Mapping[str, Any]) -> dict[str, object]:
    return {
        "snapshot": snapshot["snapshot_id"],
        "made": time_text(snapshot["timestamp"]),
        "latest record": time_text(snapshot.get("latest_record_time_stamp")),
        "latest result": time_text(snapshot.get("latest_result_time_stamp")),
        "model": size_text(snapshot.get("model_size_stats", {}).get("model_bytes", 0)),
        "retain": "yes" if snapshot.get("retain") else "no",
        "description": snapshot.get("description"),
    }


@snapshots.command()
@click.argument("job_id", metavar="ID")
@click.argument("snapshot_id", metavar="SNAPSHOT")
@click.option(
    "--delete-intervening-results", is_flag=True, help="Delete the results of later buckets at once."
)
@store_options
def revert(
    job_id: str, snapshot_id: str, delete_intervening_results: bool, folder: Path, as_json: bool
) -> None:
    """Takes a closed job back to a snapshot; 'empty' is the model that has seen nothing.

    What was posted since is forgotten, and can be posted again.
    """
    with opened(folder) as store:
        model = store.revert(job_id, snapshot_id, delete_intervening_results=delete_intervening_results)
    reply(as_json, {"model": model}, f"Job {job_id} goes on from snapshot {snapshot_id}")


@snapshots.command()
@click.argument("job_id", metavar="ID")
@click.argument("snapshot_id", metavar="SNAPSHOT")
@click.option("--description", metavar="TEXT", help="What to know it by.")
@click.option("--retain/--no-retain", default=None, help="Keep it for ever, or as long as others.")
@store_options
def update(job_id: str, snapshot_id: str, folder: Path, as_json: bool, **changes: Any) -> None:
    """Describes a snapshot, or retains it."""
    if not given(**changes):
        raise Problems("nothing to change; give --description, --retain or --no-retain")
    with opened(folder) as store:
        model = store.update_snapshot(job_id, snapshot_id, **given(**changes))
    reply(as_json, {"acknowledged": True, "model": model}, f"Snapshot {snapshot_id} is updated")


@snapshots.command()
@click.argument("job_id", metavar="ID")
@click.argument("snapshot_id", metavar="SNAPSHOT")
@store_options
def delete(job_id: str, snapshot_id: str, folder: Path, as_json: bool) -> None:
    """Deletes a snapshot, unless the job starts from it."""
    with opened(folder) as store:
        store.delete_snapshot(job_id, snapshot_id)
    reply(as_json, {"acknowledged": True}, f"Snapshot {snapshot_id} is deleted")
