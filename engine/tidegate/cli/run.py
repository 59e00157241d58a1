"""Running a job over a file, and telling what it found. Imports the engine."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import click
import pyarrow as pa

from .. import ConfigError, DataCounts, DataError, Job
from ..config import JobConfig, ModelPlotConfig
from .choices import Analysis
from .export import json_lines, write_table
from .failures import Problems
from .interrupts import Interruptible
from .outputs import Output
from .progress import Progress
from .source import Source, key_fields, never_seen, settle, unreadable_time
from .summary import notes, summary
from .table import chosen, lines


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that has seen all records, and what it found."""

    config: JobConfig
    counts: DataCounts
    malformed: int
    records: pa.Table
    buckets: pa.Table
    model_plot: pa.Table
    series: int
    open_from: int | None
    """The time from which on buckets are not complete; None if no record is in such a bucket."""


@dataclass(frozen=True, slots=True)
class Printing:
    """What of the results is printed, and how."""

    top: int | None
    min_score: float
    as_json: bool


def run_job(
    file: str,
    analysis: Analysis,
    run: Interruptible,
    *,
    interim: bool,
    threads: int | None,
    plot: ModelPlotConfig | None = None,
) -> Finished:
    """Posts all records of the file to a job, and finalises all that is complete.

    The job has the model plot that is asked for here, whatever its configuration says. Raises
    Problems for a file that cannot be read or lacks what the job reads.
    """
    try:
        source = Source(file, key_fields(analysis.job_config()))
        config = replace(settle(analysis, source), model_plot_config=plot)
        job = Job(config, threads=threads)
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
    job.close()
    tables = job.records(), job.buckets(), job.model_plot()
    return Finished(config, counts, malformed, *tables, series, finalized if is_open else None)


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
            unseen = [name for name in unseen if not _holds(batch, name)]
            run.reach(f"{rows:,} records of {source.label} were read, no results were written")
            progress.update(rows, reader.input_bytes)
    if unseen:
        raise Problems(never_seen(source, unseen, rows))
    return reader.malformed


def _holds(batch: pa.RecordBatch, name: str) -> bool:
    """Whether the batch has a value of the field."""
    return name in batch.schema.names and batch.column(name).null_count < batch.num_rows


def write_results(finished: Finished, outputs: Mapping[str, Output], run: Interruptible) -> None:
    """Writes the outputs that are asked for."""
    tables = {"--output": finished.records, "--buckets-output": finished.buckets}
    for option, output in outputs.items():
        try:
            write_table(tables[option], output)
        except OSError as error:
            raise Problems(f"{option}: {output.path}: {error.strerror or error}") from None
        run.reach(f"{output.path} was written")


def print_results(finished: Finished, printing: Printing, run: Interruptible) -> None:
    """Prints the anomalies, and a summary: on stderr where the records are JSON on stdout."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    shown = chosen(finished.records, printing.top, printing.min_score)
    if printing.as_json:
        out = sys.stdout.buffer
        for line in json_lines(shown):
            out.write(line + b"\n")
        out.flush()
    else:
        for text in lines(shown, finished.config):
            click.echo(text)
        if finished.records.num_rows == 0:
            click.echo("No anomalies.")
        click.echo()
    closing = summary(
        finished.counts,
        buckets=finished.buckets.num_rows,
        series=finished.series,
        anomalies=finished.records.num_rows,
        shown=None if printing.as_json else shown.num_rows,
        seconds=run.seconds,
    )
    for text in (*notes(finished.counts, finished.malformed, finished.open_from), closing):
        click.echo(text, err=printing.as_json)
