"""``tidegate detect``: the anomalies of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..config.spans import Span
from ..errors import RequestError
from ..forecastrequest import Request
from ..kinds import KINDS
from .choices import Analysis
from .failures import Problems
from .interrupts import Interruptible
from .options import analysis_options, take_analysis
from .outputs import Output, open_outputs

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", metavar="FILE")
@analysis_options
@click.option("--interim/--no-interim", default=False, help="Score the last buckets too, complete or not.")
@click.option(
    "--top", type=click.IntRange(min=0), default=20, show_default=True, help="How many results to print."
)
@click.option(
    "--min-score", type=click.FloatRange(0, 100), default=0, help="The least score to print.  [default: 0]"
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the results as NDJSON, all of them without --top."
)
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    help="Which results to print.  [default: records; forecast with --forecast]",
)
@click.option("--forecast", metavar="SPAN", help="Forecast all series so far ahead: 1d, 12h ...")
@click.option(
    "--output", type=_FILE, help="Write all results of that kind: .parquet, .arrow, .ndjson, .json or .csv."
)
@click.option("--buckets-output", type=_FILE, help="Write all buckets, likewise.")
@click.option(
    "--write",
    metavar="KIND=FILE",
    multiple=True,
    help="Write all results of another kind, likewise; may be repeated.",
)
@click.option("--threads", type=click.IntRange(min=1), help="How many threads to use.  [default: all cores]")
@click.pass_context
def detect(
    context: click.Context,
    /,
    file: str,
    output: Path | None,
    buckets_output: Path | None,
    **given: Any,
) -> None:
    """Finds the anomalies in FILE and prints the worst ones.

    FILE is NDJSON, JSON, CSV or TSV (plain, .gz or .zst), Parquet or Arrow IPC; '-' is the
    standard input. The last buckets are scored when they are complete, or with --interim.

    \b
    tidegate detect taxi.csv --bucket-span 30m --function mean --field value
    tidegate detect web.ndjson.gz --bucket-span 5m --detector 'high_count by host'
    tidegate detect taxi.csv --config job.json --forecast 7d --write model_plot=plot.parquet
    """  # noqa: D301 - the mark must reach click as one character
    analysis = take_analysis(given)
    if given["as_json"] and context.get_parameter_source("top") == ParameterSource.DEFAULT:
        given["top"] = None
    wanted = Wanted.of(given.pop("kind"), given.pop("forecast"), given.pop("write"), output, buckets_output)
    if given["min_score"] and KINDS[wanted.kind].score is None:
        raise Problems(f"--min-score: results of the kind '{wanted.kind}' have no score")
    config = analysis.job_config()
    wanted.check(config.analysis_config.bucket_span)
    with (
        open_outputs(file, wanted.files) as outputs,
        Interruptible(f"nothing of {file} was read") as run,
    ):
        _detect(file, analysis, wanted, outputs, run, given)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results are wanted: the kind that is printed, and the files and their kinds by option."""

    kind: str
    forecast: str | None
    files: dict[str, Path]
    kinds: dict[str, str]

    @classmethod
    def of(
        cls,
        kind: str | None,
        forecast: str | None,
        write: tuple[str, ...],
        output: Path | None,
        buckets_output: Path | None,
    ) -> Wanted:
        """What the options say; Problems, one for each that is wrong."""
        pairs, problems = [], []
        for text in write:
            name, equals, path = text.partition("=")
            if not equals or not path:
                problems.append(f"--write '{text}': expected KIND=FILE, as in 'buckets=buckets.parquet'")
            elif name not in KINDS:
                problems.append(
                    f"--write '{text}': '{name}' is no kind of results; there is {', '.join(KINDS)}"
                )
            else:
                pairs.append((f"--write '{text}'", name, Path(path)))
        if problems:
            raise Problems(problems)
        is_forecast_written = any(name == "forecast" for _, name, _ in pairs)
        kind = kind or ("records" if forecast is None or is_forecast_written else "forecast")
        given = [("--output", kind, output), ("--buckets-output", "buckets", buckets_output), *pairs]
        files = {option: path for option, _, path in given if path is not None}
        kinds = {option: name for option, name, path in given if path is not None}
        if forecast is None and "forecast" in (kind, *kinds.values()):
            forecast = "1d"
        return cls(kind, forecast, files, kinds)

    def check(self, bucket_span: Span) -> None:
        """Raises Problems for a duration that cannot be forecast, before anything is read."""
        try:
            if self.forecast is not None:
                Request.of(bucket_span, self.forecast, 0)
        except RequestError as error:
            raise Problems(f"--forecast: {error}") from None


def _detect(
    file: str,
    analysis: Analysis,
    wanted: Wanted,
    outputs: dict[str, Output],
    run: Interruptible,
    given: dict[str, Any],
) -> None:
    from .run import Printing, print_results, run_job, write_results

    run.reach(run.reached)
    interim, threads = given.pop("interim"), given.pop("threads")
    kinds = (wanted.kind, *wanted.kinds.values())
    finished = run_job(
        file, analysis, run, interim=interim, threads=threads, kinds=kinds, forecast=wanted.forecast
    )
    write_results(finished, outputs, wanted.kinds, run)
    print_results(finished, Printing(**given, kind=wanted.kind), run)
