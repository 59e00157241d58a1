"""``tidegate job list``, ``show``, ``stats`` and ``messages``: what is known of jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .place import found_in, opened, reply_all, store_options
from .text import size_text, time_text

_NONE = "No jobs."


@click.command("list")
@click.argument("expr", metavar="[EXPR]", default="_all")
@store_options
def list_jobs(expr: str, folder: Path, as_json: bool) -> None:
    """Lists jobs.

    EXPR is an id, a group, a comma list of them or a pattern with *; by default all.
    """
    with opened(folder) as store:
        found, states = store.jobs(expr), {one["job_id"]: one["state"] for one in store.job_stats(expr)}

    def shown(job: Mapping[str, Any]) -> dict[str, object]:
        analysis = job["analysis_config"]
        return {
            "job": job["job_id"],
            "state": states.get(job["job_id"]),
            "created": time_text(job.get("create_time")),
            "finished": time_text(job.get("finished_time")),
            "span": analysis["bucket_span"],
            "detectors": ", ".join(one["detector_description"] for one in analysis["detectors"]),
        }

    reply_all(as_json, found, shown, _NONE)


@click.command()
@click.argument("job_id", metavar="ID")
@store_options
def show(job_id: str, folder: Path, as_json: bool) -> None:
    """Prints the whole configuration of a job."""
    with opened(folder) as store:
        found = found_in(store.jobs(job_id), job_id)
    click.echo(json.dumps(found, ensure_ascii=False, indent=None if as_json else 2))


@click.command()
@click.argument("expr", metavar="[EXPR]", default="_all")
@store_options
def stats(expr: str, folder: Path, as_json: bool) -> None:
    """Counts records, buckets and memory of jobs."""
    with opened(folder) as store:
        found = store.job_stats(expr)
    reply_all(as_json, found, _statistics, _NONE)


def _statistics(job: Mapping[str, Any]) -> dict[str, object]:
    counts, sizes = job["data_counts"], job["model_size_stats"]
    processed = counts.get("processed_record_count", 0)
    return {
        "job": job["job_id"],
        "state": job["state"],
        "records": processed,
        "dropped": counts.get("input_record_count", processed) - processed,
        "latest record": time_text(counts.get("latest_record_timestamp")),
        "buckets": counts.get("bucket_count", 0),
        "forecasts": job["forecasts_stats"].get("total", 0),
        "model": size_text(sizes.get("model_bytes", 0)),
        "memory": sizes.get("memory_status", "ok"),
    }


@click.command()
@click.argument("job_id", metavar="ID")
@store_options
def messages(job_id: str, folder: Path, as_json: bool) -> None:
    """Tells what happened to a job."""
    with opened(folder) as store:
        found = store.messages(job_id)
    reply_all(as_json, found, _message, "No messages.")


def _message(message: Mapping[str, Any]) -> dict[str, object]:
    return {
        "time (UTC)": time_text(message["timestamp"]),
        "level": message["level"],
        "message": message["message"],
    }
