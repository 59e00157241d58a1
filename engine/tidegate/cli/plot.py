"""``tidegate plot``: a picture of one series of a file, with its bounds and anomalies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import JobConfig, ModelPlotConfig
from ..errors import RequestError, TimeError
from .choices import Analysis
from .failures import Problems
from .interrupts import Interruptible
from .options import analysis_options, take_analysis
from .outputs import PICTURE, Output, open_outputs

if TYPE_CHECKING:
    from ..curve import Curve
    from .run import Finished


@click.command()
@click.argument("file", metavar="FILE")
@analysis_options
@click.option(
    "--series",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Which series, by a by or partition value; may be repeated.  [default: the worst anomaly's]",
)
@click.option("--from", "start", metavar="TIME", help="The first time to show: 2014-11-01, epoch ...")
@click.option("--to", "end", metavar="TIME", help="The time to show it up to.")
@click.option(
    "--min-score", type=click.FloatRange(0, 100), default=0, help="The least score to mark.  [default: 0]"
)
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="The picture to write: .png or .svg."
)
@click.option("--threads", type=click.IntRange(min=1), help="How many threads to use.  [default: all cores]")
def plot(file: str, output: Path, threads: int | None, **given: Any) -> None:
    """Draws one series of FILE: its values, what was expected of them, and the anomalies.

    The whole of FILE is analysed, as 'tidegate detect' does it, whatever time is shown. A series
    is told by its fields (host=web), by their roles (by=web, partition=eu), and by detector=N
    where several detectors watch it. Needs matplotlib: pip install 'tidegate[plot]'.

    \b
    tidegate plot taxi.csv --bucket-span 30m --function mean --field value --output taxi.png
    tidegate plot web.csv --function count --by host --series host=web --from 2024-05-01 --output web.svg
    """  # noqa: D301 - the mark must reach click as one character
    analysis = take_analysis(given)
    choice = Choice.of(analysis.job_config(), **given)
    _require_matplotlib()
    with (
        open_outputs(file, {"--output": output}, PICTURE) as outputs,
        Interruptible(f"nothing of {file} was read") as run,
    ):
        _plot(file, analysis, choice, outputs["--output"], threads, run)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be seen: which series, from when to when, and which anomalies."""

    series: dict[str, str]
    start: int | None
    end: int | None
    min_score: float

    @property
    def values(self) -> list[str]:
        """The key values that are asked for."""
        return [value for name, value in self.series.items() if name != "detector"]

    @classmethod
    def of(
        cls, config: JobConfig, series: Iterable[str], start: str | None, end: str | None, min_score: float
    ) -> Choice:
        """What the options say; Problems, one for each that is wrong."""
        problems: list[str] = []
        wanted = {}
        for text in series:
            try:
                name, value = _series(config, text)
                if name in wanted:
                    raise ValueError(f"'{name}' is given twice")
                wanted[name] = value
            except ValueError as error:
                problems.append(f"--series '{text}': {error}")
        first, last = _time("--from", start, problems), _time("--to", end, problems)
        if first is not None and last is not None and first >= last:
            problems.append(f"--to: '{end}' is not after --from '{start}'")
        if problems:
            raise Problems(problems)
        return cls(wanted, first, last, min_score)


def _series(config: JobConfig, text: str) -> tuple[str, str]:
    """A field or a role and the value asked for."""
    detectors = config.analysis_config.detectors
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("expected FIELD=VALUE, as in 'host=web'")
    if name == "detector":
        if not (value.isascii() and value.isdigit() and int(value) < len(detectors)):
            raise ValueError(
                f"'{value}' is not the number of a detector; they go from 0 to {len(detectors) - 1}"
            )
        return name, str(int(value))
    roles = {
        "by": {d.by_field_name for d in detectors},
        "partition": {d.partition_field_name for d in detectors},
    }
    known = sorted(field for fields in roles.values() for field in fields - {None} if field is not None)
    if not known:
        raise ValueError("the job has no by or partition field, so it has one series")
    if name not in known and not roles.get(name, set()) - {None}:
        raise ValueError(f"no detector has a by or partition field '{name}'; there is {', '.join(known)}")
    return name, value


def _time(option: str, text: str | None, problems: list[str]) -> int | None:
    from ..requesttime import parse_request_time

    try:
        return None if text is None else parse_request_time(text, option)
    except TimeError:
        problems.append(
            f"{option}: '{text}' is not a time; give '2014-11-01', '2014-11-01T12:30:00Z' or epoch"
        )
        return None


def _require_matplotlib() -> None:
    from ..plot import require_matplotlib

    try:
        require_matplotlib()
    except ImportError as error:
        raise Problems(str(error)) from None


def _plot(
    file: str, analysis: Analysis, choice: Choice, output: Output, threads: int | None, run: Interruptible
) -> None:
    from ..curve import curve_of
    from ..plot import save

    run.reach(run.reached)
    finished = _finished(file, analysis, choice, threads, run)
    try:
        curve = curve_of(
            finished.model_plot,
            finished.records,
            finished.config,
            choice.series,
            start=choice.start,
            end=choice.end,
            min_score=choice.min_score,
        )
    except RequestError as error:
        raise Problems(f"{file}: {error}") from None
    try:
        save(curve, output.partial, output.format)
        os.replace(output.partial, output.path)
    except OSError as error:
        raise Problems(f"--output: {output.path}: {error.strerror or error}") from None
    run.reach(f"{output.path} was written")
    for text in _closing(curve, finished, choice, output, run):
        click.echo(text)


def _finished(
    file: str, analysis: Analysis, choice: Choice, threads: int | None, run: Interruptible
) -> Finished:
    """The job with the model plot of the series that is drawn.

    Where none is named, a file is analysed once more before, to learn which it is: the plot of all of
    them may be many times as large as the file. A pipe can be read but once.
    """
    from ..curve import worst_record
    from .run import run_job

    def analysed(plot: ModelPlotConfig | None) -> Finished:
        return run_job(file, analysis, run, interim=False, threads=threads, plot=plot)

    values = choice.values
    is_file = os.path.isfile(file)
    if is_file and not values and _has_keys(analysis.job_config()):
        worst = worst_record(analysed(None).records, choice.series) or {}
        values = [worst[name] for name in ("by_field_value", "partition_field_value") if worst.get(name)]
    # What a list of terms cannot say is left to the choice from all series.
    terms = [value for value in values if value and "," not in value and value == value.strip()]
    if not terms:
        return analysed(ModelPlotConfig(True))
    finished = analysed(ModelPlotConfig(True, terms[0]))
    if finished.model_plot.num_rows or not is_file:
        return finished
    return analysed(ModelPlotConfig(True))  # to tell which series there are


def _has_keys(config: JobConfig) -> bool:
    """Whether there may be more than one series."""
    return any(d.by_field_name or d.partition_field_name for d in config.analysis_config.detectors)


def _closing(
    curve: Curve, finished: Finished, choice: Choice, output: Output, run: Interruptible
) -> Iterable[str]:
    """What was drawn; and which of several series, where none was named."""
    from .summary import notes
    from .text import iso_time, visible

    yield from notes(finished.counts, finished.malformed, finished.open_from)
    if finished.series > 1 and not choice.values:
        why = ", which has the worst anomaly" if finished.records.num_rows else ""
        shown = visible(curve.label or curve.title)
        yield f"Note: of {finished.series:,} series {shown} is shown{why} (see --series)"
    anomalies = f"{len(curve.time_a):,} anomal{'y' if len(curve.time_a) == 1 else 'ies'}"
    yield (
        f"{output.path}: {len(curve):,} buckets from {iso_time(int(curve.time_t[0]))} to "
        f"{iso_time(int(curve.time_t[-1]))}, {anomalies}, {run.seconds:.2f} s"
    )
