"""Running a job over a file, and telling what it found. Imports the engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import click
import pyarrow as pa

from .. import ConfigError, DataCounts, DataError, Job, RequestError
from ..config import JobConfig, ModelPlotConfig
from ..kinds import KINDS
from .choices import Analysis
from .failures import Problems
from .interrupts import Interruptible
from .outputs import Output
from .printing import print_json, print_table, write_output
from .progress import Progress
from .source import Source, holds, key_fields, never_seen, settle, unreadable_time
from .summary import notes, summary
from .table import chosen


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that has seen all records, and what it found."""

    config: JobConfig
    counts: DataCounts
    malformed: int
    tables: Mapping[str, pa.Table]
    """Records, buckets, and what else was asked for, by kind."""
    series: int
    open_from: int | None
    """The time from which on buckets are not complete; None if no record is in such a bucket."""

    @property
    def records(self) -> pa.Table:
        """The anomaly records."""
        return self.tables["records"]

    @property
    def model_plot(self) -> pa.Table:
        """The model plot, where it was asked for."""
        return self.tables["model_plot"]


@dataclass(frozen=True, slots=True)
class Printing:
    """What of the results is printed, and how."""

    top: int | None
    min_score: float
    as_json: bool
    kind: str = "records"


def run_job(
    file: str,
    analysis: Analysis,
    run: Interruptible,
    *,
    interim: bool,
    threads: int | None,
    plot: ModelPlotConfig | None = None,
    kinds: Collection[str] = (),
    forecast: str | None = None,
) -> Finished:
    """Posts all records of the file to a job, and finalises all that is complete.

    `kinds` are those of the results that are wanted beside records and buckets. The job has the model plot
    that is asked for here, whatever its configuration says; where ``model_plot`` is wanted and none is
    asked for, the configured one, or all series. `forecast` is how far ahead. Raises Problems for a file
    that cannot be read or lacks what the job reads.
    """
    try:
        source = Source(file, key_fields(analysis.job_config()))
        config = settle(analysis, source)
        if "model_plot" in kinds and plot is None:
            configured = config.model_plot_config
            plot = configured if configured is not None and configured.enabled else ModelPlotConfig(True)
        config = replace(config, model_plot_config=plot)
        job = Job(config, **analysis.beside(), threads=threads)
        malformed = _post_all(job, source, run)
    except ConfigError as error:
        raise Problems(f"{path}: {message}" for path, message in error.problems) from None
    except DataError as error:
        raise Problems(str(error)) from None
    counts = job.data_counts
    if counts.processed_record_count == 0 and counts.invalid_date_count > 0:
        raise Problems(unreadable_time(source, config, None))
    finalized = job.flush(calc_interim=interim).last_finalized_bucket_end
    latest = counts.latest_record_timestamp
    is_open = finalized is not None and latest is not None and latest >= finalized and not interim
    series = job.series_count
    if forecast is not None:
        try:
            job.forecast(forecast)
        except RequestError as error:
            raise Problems(f"--forecast: {error}") from None
    job.close()
    wanted = dict.fromkeys(("records", "buckets", *kinds, *(["model_plot"] if plot is not None else [])))
    tables = {name: getattr(job, KINDS[name].reader)() for name in wanted}
    return Finished(config, counts, malformed, tables, series, finalized if is_open else None)


def _post_all(job: Job, source: Source, run: Interruptible) -> int:
    """Posts all batches; returns how many malformed records were passed over."""
    analysed = job.config.analysis_config.analysed_fields()
    time_field = job.config.data_description.time_field
    unseen = [] if source.columns_are_fixed else [*analysed, time_field]
    reader, batches = source.batches({*analysed, time_field})
    rows = 0
    with (
        reader,
        Progress(total_bytes=source.size, total_rows=source.rows) as progress,
    ):
        for batch in batches:
            job.post(batch)
            rows += batch.num_rows
            unseen = [name for name in unseen if not holds(batch, name)]
            run.reach(f"{rows:,} records of {source.label} were read, no results were written")
            progress.update(rows, reader.input_bytes)
    if unseen:
        raise Problems(never_seen(source, unseen, rows))
    return reader.malformed


def write_results(
    finished: Finished, outputs: Mapping[str, Output], kinds: Mapping[str, str], run: Interruptible
) -> None:
    """Writes the outputs that are asked for; `kinds` says of each option which results it is for."""
    for option, output in outputs.items():
        write_output(kinds[option], finished.tables[kinds[option]], option, output)
        run.reach(f"{output.path} was written")


def print_results(finished: Finished, printing: Printing, run: Interruptible) -> None:
    """Prints the results, and a summary: on stderr where the results are JSON on stdout."""
    kind = KINDS[printing.kind]
    shown = chosen(finished.tables[kind.name], printing.top, printing.min_score, kind)
    if printing.as_json:
        print_json(kind, shown)
    else:
        print_table(kind, shown, [d.detector_description for d in finished.config.analysis_config.detectors])
        click.echo()
    closing = summary(
        finished.counts,
        buckets=finished.tables["buckets"].num_rows,
        series=finished.series,
        anomalies=finished.records.num_rows,
        shown=None if printing.as_json or kind.name != "records" else shown.num_rows,
        seconds=run.seconds,
    )
    for text in (*notes(finished.counts, finished.malformed, finished.open_from), closing):
        click.echo(text, err=printing.as_json)
