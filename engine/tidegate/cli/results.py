"""``tidegate results``: what the jobs of a store have found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..kinds import KINDS
from .failures import Problems
from .outputs import open_outputs
from .place import TIME, given, opened, reply, store_options

if TYPE_CHECKING:
    import pyarrow as pa

    from .. import Store

    Found = tuple[pa.Table, int]
    """Results, and how many there are on all pages."""

F = TypeVar("F", bound=Callable[..., Any])
_PAGE = 100


@click.group()
def results() -> None:
    """Shows results of jobs, also while another process is at work on them.

    Prints at most 100 of them as a table; with --json, or to a file with --output, all.

    \b
    tidegate results records web --min-score 50 --start 2024-05-01
    tidegate results buckets web --top 10
    tidegate results overall _all --bucket-span 1h --output overall.parquet
    """  # noqa: D301 - the mark must reach click as one character


def _times(command: F) -> F:
    command = click.option("--end", type=TIME, help="... and end before then.")(command)
    return click.option("--start", type=TIME, help="Results that begin at that time or later ...")(command)


def _scores(command: F) -> F:
    command = click.option("--exclude-interim", is_flag=True, help="Only what is final.")(command)
    least = click.FloatRange(0, 100)
    return click.option("--min-score", type=least, default=0, help="The least score.  [default: 0]")(command)


def _order(command: F) -> F:
    command = click.option("--desc/--asc", default=None, help="From the largest on, or from the smallest.")(
        command
    )
    return click.option("--sort", metavar="FIELD", help="The field to sort by.")(command)


def _top(command: F) -> F:
    return click.option("--top", type=click.IntRange(min=0), help="The so many with the highest scores.")(
        command
    )


def _paging(command: F) -> F:
    """Which of the results are shown, and where; with the options of every command over a store."""
    command = store_options(command)
    command = click.option(
        "--output",
        type=click.Path(path_type=Path),
        help="Write them to a file instead: .parquet, .arrow, .ndjson, .json or .csv.",
    )(command)
    command = click.option("--size", type=click.IntRange(min=0), help="... at most so many.")(command)
    return click.option(
        "--from", "first", type=click.IntRange(min=0), default=0, help="From this one on ..."
    )(command)


@results.command()
@click.argument("job_id", metavar="ID")
@_times
@_scores
@_order
@_top
@_paging
def buckets(job_id: str, **options: Any) -> None:
    """Shows buckets, by time."""
    _scored("buckets", job_id, options)


@results.command()
@click.argument("job_id", metavar="ID")
@_times
@_scores
@_order
@_top
@_paging
def records(job_id: str, **options: Any) -> None:
    """Shows anomaly records, the worst first."""
    _scored("records", job_id, options)


@results.command()
@click.argument("job_id", metavar="ID")
@_times
@_scores
@_order
@_top
@_paging
def influencers(job_id: str, **options: Any) -> None:
    """Shows what records are blamed on, the worst first."""
    _scored("influencers", job_id, options)


def _scored(kind: str, job_id: str, options: dict[str, Any]) -> None:
    """Results that have a score; with `top` those with the highest."""
    score = KINDS[kind].score
    top = options.pop("top")
    if top is not None:
        if clashing := [f"--{name}" for name in ("sort", "desc", "size") if options[name] is not None]:
            raise Problems(f"--top: stands for the order and the number; leave out {', '.join(clashing)}")
        options |= {"sort": score, "desc": True, "size": top}
    options[str(score)] = options.pop("min_score")
    _listed(kind, job_id, options)


@results.command("model-plot")
@click.argument("job_id", metavar="ID")
@_times
@_order
@_paging
def model_plot(job_id: str, **options: Any) -> None:
    """Shows what the plotted series were expected to be, by time."""
    _listed("model_plot", job_id, options)


@results.command()
@click.argument("job_id", metavar="ID")
@_paging
def categories(job_id: str, **options: Any) -> None:
    """Shows the categories of messages, by id."""
    _listed("categories", job_id, options)


@results.command()
@click.argument("job_id", metavar="ID")
@click.option("--forecast", "forecast_id", metavar="ID", help="Only of these forecasts (a comma list).")
@_paging
def forecasts(job_id: str, forecast_id: str | None, **page: Any) -> None:
    """Shows the points of the forecasts that are kept."""

    def read(store: Store, first: int, size: int | None) -> Found:
        kept = store.forecasts(job_id, forecast_id)
        return kept.slice(first, size), kept.num_rows

    _show("forecast", job_id, read, **page)


@results.command()
@click.argument("expr", metavar="[EXPR]", default="_all")
@_times
@_scores
@click.option("--top-n", type=click.IntRange(min=1), help="Of how many jobs the mean is taken.  [default: 1]")
@click.option("--bucket-span", metavar="SPAN", help="How long they are.  [default: the longest of the jobs]")
@_paging
def overall(
    expr: str,
    min_score: float,
    exclude_interim: bool,
    start: str | None,
    end: str | None,
    top_n: int | None,
    bucket_span: str | None,
    **page: Any,
) -> None:
    """Shows how unusual several jobs were together.

    EXPR is an id, a group, a comma list of them or a pattern with *; by default all.
    """
    asked = given(top_n=top_n, bucket_span=bucket_span, start=start, end=end)

    def read(store: Store, first: int, size: int | None) -> Found:
        found = store.overall_buckets(expr, limit=None, **asked)
        return found.slice(first, size), found.num_rows

    _show("overall_buckets", expr, read, **page)


def _listed(
    kind: str,
    job_id: str,
    options: dict[str, Any],
) -> None:
    """Shows results of a kind that the store sorts and counts."""
    page = {name: options.pop(name) for name in ("first", "size", "output", "folder", "as_json")}
    score, asked = KINDS[kind].score, given(**options)

    def read(store: Store, first: int, size: int | None) -> Found:
        table = getattr(store, KINDS[kind].reader)(job_id, from_=first, size=size, **asked)
        if size is None or table.num_rows < size:
            return table, first + table.num_rows
        least = {"min_score": asked[score]} if score is not None else {}
        others = {name: value for name, value in asked.items() if name != score}
        return table, store.count(job_id, kind, **least, **others)

    _show(kind, job_id, read, **page)


def _show(
    kind: str,
    expr: str,
    read: Callable[[Store, int, int | None], Found],
    *,
    first: int,
    size: int | None,
    output: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Reads results and writes them to the file that is asked for, or prints them."""
    is_table = output is None and not as_json
    with open_outputs("", {"--output": output}) as outputs, opened(folder) as store:
        rows = _PAGE if size is None and is_table else size
        found, count = read(store, first, rows)
        detectors = _detectors(store, expr) if is_table else []
        if outputs:
            from .printing import write_output

            write_output(kind, found, "--output", outputs["--output"])
    if output is not None:
        reply(as_json, {"file": str(output), "count": found.num_rows}, _written(kind, found, output))
    elif as_json:
        from .printing import print_json

        print_json(KINDS[kind], found)
    else:
        from .printing import print_table

        print_table(KINDS[kind], found, detectors)
        if size is None and found.num_rows < count - first:
            click.echo(f"\n{found.num_rows:,} of {count:,} are shown (see --from, --size, --json, --output)")


def _detectors(store: Store, expr: str) -> list[str]:
    """How the detectors of a job are described; of several jobs none is shown."""
    described = [one["analysis_config"]["detectors"] for one in store.jobs(expr)]
    return [detector["detector_description"] for detector in described[0]] if described else []


def _written(kind: str, table: pa.Table, output: Path) -> str:
    return f"{output}: {table.num_rows:,} {kind.replace('_', ' ')}"
