"""``tidegate job``: the jobs of a store, and what can be done to them as a whole."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import ConfigError
from .interrupts import Interruptible
from .jobviews import list_jobs, messages, show, stats
from .jsonfile import FILE, load, problems
from .place import opened, reply, store_options
from .posting import flush, forecast, post, run_file
from .progress import busy


@click.group()
def job() -> None:
    """Jobs that are kept in a store: a folder with all they are and found.

    \b
    export TIDEGATE_STORE=./anomalies
    tidegate job put job.json
    tidegate job run web access.ndjson
    tidegate results records web --top 10
    """  # noqa: D301 - the mark must reach click as one character


@click.command()
@click.argument("file", metavar="FILE", type=FILE)
@click.option("--id", "job_id", metavar="ID", help="The id of the job.  [default: as the configuration says]")
@store_options
def put(file: Path, job_id: str | None, folder: Path, as_json: bool) -> None:
    """Adds a job, closed, and makes the store if need be.

    FILE has its configuration (JSON, '-': standard input), or "job" beside "filters" and
    "calendars", which the store then has too.
    """
    from .putting import put_bundle, with_id

    bundle = with_id(file, job_id)
    with opened(folder, create=True) as store:
        made = put_bundle(store, bundle)
    reply(as_json, made, f"Job {made['job_id']} is in {folder}")


@click.command("open")
@click.argument("job_id", metavar="ID")
@click.option("--fallback", is_flag=True, help="Go on from an older model snapshot if the newest is damaged.")
@store_options
def open_job(job_id: str, fallback: bool, folder: Path, as_json: bool) -> None:
    """Opens a job.

    It can be posted to, flushed and forecast until it is closed, by any process.
    """
    with opened(folder) as store:
        if fallback:
            with busy(f"opening {job_id}"):
                opened_job = store.open_job(job_id, fallback=True)
                opened_job.persist()
                opened_job.detach()
        else:
            store.mark_open(job_id)
    reply(as_json, {"opened": True}, f"Job {job_id} is open")


@click.command("close")
@click.argument("expr", metavar="EXPR")
@click.option("--force", is_flag=True, help="At once, without finalising or persisting; a failed job too.")
@store_options
def close_job(expr: str, force: bool, folder: Path, as_json: bool) -> None:
    """Closes jobs.

    EXPR is an id, a group, a comma list of them, a pattern with * or _all.
    """
    with opened(folder) as store, Interruptible(f"some of {expr} may be open") as running:
        with busy(f"closing {expr}"):
            store.close_job(expr, force=force)
        closed = ", ".join(one["job_id"] for one in store.jobs(expr))
        running.reach(f"{closed} closed")
    reply(as_json, {"closed": True}, f"Closed: {closed or 'there is no such job'}")


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("file", metavar="FILE", type=FILE)
@store_options
def update(job_id: str, file: Path, folder: Path, as_json: bool) -> None:
    """Changes settings of a job.

    FILE has those that change (JSON, '-': standard input). The job may be open.
    """
    changes = load(file, dict, "a JSON object with the settings that change")
    with opened(folder) as store:
        try:
            changed = store.update_job(job_id, changes)
        except ConfigError as error:
            raise problems(file, error) from None
    reply(as_json, changed, f"Job {job_id} is updated: {', '.join(changes) or 'nothing'}")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--force", is_flag=True, help="Although it is open.")
@store_options
def delete(job_id: str, force: bool, folder: Path, as_json: bool) -> None:
    """Deletes a job with all that is its own.

    Its results, snapshots and records are gone; there is no way back.
    """
    with opened(folder) as store:
        store.delete_job(job_id, force=force)
    reply(as_json, {"acknowledged": True}, f"Job {job_id} is deleted")


@click.command()
@click.argument("job_id", metavar="ID")
@store_options
def reset(job_id: str, folder: Path, as_json: bool) -> None:
    """Takes a closed job back to its beginning.

    It is as it was created: without data, models and results.
    """
    with opened(folder) as store:
        store.reset_job(job_id)
    reply(as_json, {"acknowledged": True}, f"Job {job_id} is as it was created")


@click.command("delete-expired")
@click.argument("expr", metavar="[EXPR]", default="_all")
@store_options
def delete_expired(expr: str, folder: Path, as_json: bool) -> None:
    """Deletes what has been kept long enough.

    That are results, snapshots and forecasts, as the configurations of their jobs say.
    """
    with opened(folder) as store:
        deleted = store.delete_expired(expr)
    reply(as_json, deleted, "What has expired is deleted")


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    multiple=True,
    help="Which results; repeatable.  [default: all in a folder, records in a file]",
)
@click.option("--ending", default=".parquet", show_default=True, help="What the files of a folder are.")
@store_options
def export(job_id: str, path: Path, kinds: tuple[str, ...], ending: str, folder: Path, as_json: bool) -> None:
    """Writes all results of a job to files.

    PATH is a file for one kind, or a folder with a file for each. Files are .parquet, .arrow,
    .ndjson, .json or .csv, the last three also with .gz or .zst.
    """
    with opened(folder) as store, Interruptible(f"{path} may not be complete") as running:
        with busy(f"writing {path}"):
            written = store.export(job_id, path, kinds or None, ending=ending)
        running.reach(f"{path} was written")
    files = [str(file) for file in written]
    reply(as_json, {"files": files}, (f"{file} was written" for file in files))


for command in (
    put,
    list_jobs,
    show,
    stats,
    messages,
    open_job,
    post,
    run_file,
    flush,
    forecast,
    close_job,
    update,
    export,
    reset,
    delete,
    delete_expired,
):
    job.add_command(command)
