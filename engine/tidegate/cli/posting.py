"""``tidegate job post``, ``run``, ``flush`` and ``forecast``: what a job does with records and time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import JobConfig
from ..config.job import GENERATED
from .failures import Problems
from .interrupts import Interruptible
from .place import TIME, found_in, given, opened, reply, store_options
from .progress import busy
from .summary import notes, upload
from .text import iso_time

if TYPE_CHECKING:
    from .. import Store
    from ..store import StoredJob
    from .feed import Posted

_DURABILITY = click.option(
    "--durability",
    type=click.Choice(["post", "flush", "close"]),
    default="post",
    show_default=True,
    help="When records are safe from a loss of power: at once, with the next flush, or in the end.",
)
_SKIP = click.option(
    "--skip",
    type=click.IntRange(min=0),
    default=0,
    help="Pass over so many records at the start of FILE.",
)
_THREADS = click.option(
    "--threads", type=click.IntRange(min=1), help="How many threads to use.  [default: all cores]"
)


@click.command()
@click.argument("job_id", metavar="ID")
@click.argument("file", metavar="FILE")
@click.option("--reset-start", type=TIME, help="Forget first what the open buckets hold from then on ...")
@click.option("--reset-end", type=TIME, help="... until then.")
@_SKIP
@_DURABILITY
@_THREADS
@store_options
def post(
    job_id: str,
    file: str,
    reset_start: str | None,
    reset_end: str | None,
    skip: int,
    folder: Path,
    as_json: bool,
    **how: Any,
) -> None:
    """Posts the records of FILE to an open job.

    FILE is whatever 'tidegate detect' reads; '-' is the standard input. What was posted when
    something goes wrong stays posted; Ctrl-C tells how much that is, and --skip goes on from there.
    """
    with (
        Interruptible(f"nothing of {file} was read") as running,
        opened(folder, **how) as store,
    ):
        config = _ready(store, job_id)
        from .feed import Range, post_source, source_of

        source = source_of(file, config)
        running.reach(running.reached)
        with _at_work(store, job_id) as job:
            posted = post_source(job, source, Range(skip, reset_start, reset_end), running)
    _tell(posted, running, as_json)


@click.command("run")
@click.argument("job_id", metavar="ID")
@click.argument("file", metavar="FILE")
@click.option("--interim/--no-interim", default=False, help="Score the open buckets too.")
@_SKIP
@_DURABILITY
@_THREADS
@store_options
def run_file(
    job_id: str, file: str, interim: bool, skip: int, folder: Path, as_json: bool, **how: Any
) -> None:
    """Posts FILE to a job and flushes it.

    A closed job is opened before and closed after. 'tidegate results' shows what it found.
    """
    with (
        Interruptible(f"nothing of {file} was read") as running,
        opened(folder, **how) as store,
    ):
        config = _ready(store, job_id, opens=True)
        from .feed import Range, post_source, source_of

        source = source_of(file, config)
        running.reach(running.reached)
        with _at_work(store, job_id, opens=True) as job:
            posted = post_source(job, source, Range(skip), running)
            with busy(f"flushing {job_id}"):
                end = job.flush(calc_interim=interim).last_finalized_bucket_end
    _tell(posted, running, as_json, final=_final(end))


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--calc-interim", is_flag=True, help="Make interim results for the open buckets ...")
@click.option("--start", type=TIME, help="... from then on ...")
@click.option("--end", type=TIME, help="... until then.")
@click.option("--advance-time", type=TIME, help="Finalise the buckets that end by then.")
@click.option("--skip-time", type=TIME, help="Pass over everything before then.")
@store_options
def flush(job_id: str, folder: Path, as_json: bool, **request: Any) -> None:
    """Forces what was posted into results."""
    with (
        Interruptible(f"job {job_id} was not flushed") as running,
        opened(folder) as store,
        _at_work(store, job_id) as job,
        busy(f"flushing {job_id}"),
    ):
        done = job.flush(**request)
        running.reach(f"job {job_id} was flushed")
    reply(as_json, done.to_dict(), _final(done.last_finalized_bucket_end))


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--duration", metavar="SPAN", default="1d", show_default=True, help="How far: 12h, 7d ...")
@click.option("--expires-in", metavar="SPAN", default="14d", show_default=True, help="How long it is kept.")
@store_options
def forecast(job_id: str, duration: str, expires_in: str, folder: Path, as_json: bool) -> None:
    """Forecasts all series of an open job.

    'tidegate results forecasts' shows them.
    """
    with (
        Interruptible(f"job {job_id} has no new forecast") as running,
        opened(folder) as store,
        _at_work(store, job_id) as job,
        busy(f"forecasting {job_id}"),
    ):
        points = job.forecast(duration, expires_in)
        running.reach(f"job {job_id} has a new forecast")
    made = points["forecast_id"][0].as_py() if points.num_rows else None
    text = f"Forecast {made}: {points.num_rows:,} points" if made else "There is no series to be forecast yet"
    reply(as_json, {"acknowledged": True, **given(forecast_id=made)}, text)


def _ready(store: Store, job_id: str, *, opens: bool = False) -> JobConfig:
    """The configuration of a job; Problems if it is closed, unless it is to be opened."""
    shown = found_in(store.jobs(job_id), job_id)
    config = JobConfig.parse({name: value for name, value in shown.items() if name not in GENERATED})
    if not opens and _is_closed(store, job_id):
        raise Problems(
            f"Cannot perform requested action because job [{job_id}] is not open; "
            f"see 'tidegate job open' and 'tidegate job run'"
        )
    return config


def _is_closed(store: Store, job_id: str) -> bool:
    return bool(found_in(store.job_stats(job_id), job_id)["state"] in ("closed", "failed"))


@contextmanager
def _at_work(store: Store, job_id: str, *, opens: bool = False) -> Iterator[StoredJob]:
    """The job for some calls, which stays open; with `opens` a closed one is opened, and closed again."""
    _ready(store, job_id, opens=opens)
    with ExitStack() as ending:
        with busy(f"opening {job_id}"):
            is_closed = _is_closed(store, job_id)
            working = closing(store.open_job(job_id)) if is_closed else store.attach(job_id)
            job = ending.enter_context(working)
        yield job
        with busy(f"persisting {job_id}"):
            ending.close()


def _tell(posted: Posted, running: Interruptible, as_json: bool, final: str | None = None) -> None:
    """What became of the records, with what was not used of them."""
    told = [f"Note: {note}" for note in posted.notes]
    told += notes(posted.counts, posted.counts.malformed_record_count, None)
    for line in told:
        click.echo(line, err=as_json)
    lines = [upload(posted.counts, running.seconds), *([] if final is None else [final])]
    reply(as_json, posted.counts.to_dict(), lines)


def _final(end: int | None) -> str:
    """How far the results go."""
    return "No bucket is final yet" if end is None else f"Buckets are final up to {iso_time(end)}"
