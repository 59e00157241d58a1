"""``tidegate detect``: the anomalies of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .choices import Analysis
from .interrupts import Interruptible
from .options import analysis_options, take_analysis
from .outputs import Output, open_outputs

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", metavar="FILE")
@analysis_options
@click.option("--interim/--no-interim", default=False, help="Score the last buckets too, complete or not.")
@click.option(
    "--top", type=click.IntRange(min=0), default=20, show_default=True, help="How many anomalies to print."
)
@click.option(
    "--min-score", type=click.FloatRange(0, 100), default=0, help="The least score to print.  [default: 0]"
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the records as NDJSON, all of them without --top."
)
@click.option("--output", type=_FILE, help="Write all records: .parquet, .arrow, .ndjson, .json or .csv.")
@click.option("--buckets-output", type=_FILE, help="Write all buckets, likewise.")
@click.option("--threads", type=click.IntRange(min=1), help="How many threads to use.  [default: all cores]")
@click.pass_context
def detect(
    context: click.Context, /, file: str, output: Path | None, buckets_output: Path | None, **given: Any
) -> None:
    """Finds the anomalies in FILE and prints the worst ones.

    FILE is NDJSON, JSON, CSV or TSV (plain, .gz or .zst), Parquet or Arrow IPC; '-' is the
    standard input. The last buckets are scored when they are complete, or with --interim.

    \b
    tidegate detect taxi.csv --bucket-span 30m --function mean --field value
    tidegate detect web.ndjson.gz --bucket-span 5m --detector 'high_count by host'
    """  # noqa: D301 - the mark must reach click as one character
    analysis = take_analysis(given)
    if given["as_json"] and context.get_parameter_source("top") == ParameterSource.DEFAULT:
        given["top"] = None
    analysis.job_config()
    with (
        open_outputs(file, {"--output": output, "--buckets-output": buckets_output}) as outputs,
        Interruptible(f"nothing of {file} was read") as run,
    ):
        _detect(file, analysis, outputs, run, given)


def _detect(
    file: str, analysis: Analysis, outputs: dict[str, Output], run: Interruptible, given: dict[str, Any]
) -> None:
    from .run import Printing, print_results, run_job, write_results

    run.reach(run.reached)
    interim, threads = given.pop("interim"), given.pop("threads")
    finished = run_job(file, analysis, run, interim=interim, threads=threads)
    write_results(finished, outputs, run)
    print_results(finished, Printing(**given), run)
