"""Posting a file to a job of a store. Imports the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..config import JobConfig
from ..counts import DataCounts
from ..errors import TidegateError
from ..ndjson import Tally
from ..readers import Batches
from .failures import Problems
from .interrupts import Interruptible
from .progress import Progress
from .source import Source, holds, key_fields, never_seen, require_readable
from .text import iso_time

if TYPE_CHECKING:
    from ..store import StoredJob

_REMEDY = "the job expects it so: time_format in its data_description"


@dataclass(frozen=True, slots=True)
class Range:
    """Which part of a file is posted, and which part of the open buckets is forgotten before."""

    skip: int = 0
    """How many records at the start are passed over."""
    reset_start: str | None = None
    reset_end: str | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a file."""

    counts: DataCounts
    """Of this upload."""
    notes: tuple[str, ...]
    """What the file lacks, a sentence each."""


def source_of(file: str, config: JobConfig) -> Source:
    """The file as a source of records of the job; Problems if the job cannot read it."""
    source = Source(file, key_fields(config))
    require_readable(source, config, _REMEDY)
    return source


def post_source(job: StoredJob, source: Source, part: Range, run: Interruptible) -> Posted:
    """Posts all records of the source, batch by batch.

    What an interrupt or an error leaves behind is whole batches; `run` then tells how many records
    they are, from what the job itself has counted.
    """
    time_field = job.config.data_description.time_field
    wanted = {*job.config.analysis_config.analysed_fields(), time_field}
    unseen = [] if source.columns_are_fixed else sorted(wanted)
    reader, batches = source.batches(wanted)
    counts, before, passed = DataCounts(job_id=job.job_id), job.data_counts.input_record_count, 0
    reset: dict[str, Any] = {"reset_start": part.reset_start, "reset_end": part.reset_end}
    try:
        with reader, Progress(total_bytes=source.size, total_rows=source.rows) as progress:
            for batch, tally in _tallied(reader, batches):
                rest, passed = _passed(batch, part.skip, passed)
                if rest.num_rows or tally.malformed:
                    counts = counts.plus(job.post(Batches(iter([rest]), tally), **reset))
                    reset = {}
                unseen = [name for name in unseen if not holds(batch, name)]
                run.reach(_kept(source, part.skip, job.data_counts, before))
                progress.update(passed + counts.input_record_count, reader.input_bytes)
    except TidegateError as error:
        raise Problems(f"{error}; {_kept(source, part.skip, job.data_counts, before)}") from None
    finally:  # a post that was interrupted may have been done
        run.reached = _kept(source, part.skip, job.data_counts, before)
    records = passed + counts.input_record_count
    if part.skip > passed:
        raise Problems(f"--skip: {source.label} has {passed:,} records; none were posted")
    return Posted(counts, tuple(never_seen(source, unseen, records)))


def _tallied(reader: Batches, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, Tally]]:
    """The batches, each with what the reader counted while it read it."""
    seen_bytes = seen_malformed = 0
    for batch in batches:
        tally = Tally()
        tally.input_bytes = reader.input_bytes - seen_bytes
        tally.malformed = reader.malformed - seen_malformed
        seen_bytes, seen_malformed = reader.input_bytes, reader.malformed
        yield batch, tally
    if reader.malformed > seen_malformed:  # after the last batch
        tally = Tally()
        tally.malformed = reader.malformed - seen_malformed
        yield batch.slice(batch.num_rows), tally


def _passed(batch: pa.RecordBatch, skip: int, passed: int) -> tuple[pa.RecordBatch, int]:
    """What of the batch is posted, and how many records have been passed over by now."""
    more = min(batch.num_rows, skip - passed)
    return batch.slice(more), passed + more


def _kept(source: Source, skip: int, totals: DataCounts, before: int) -> str:
    """What of the source is in the job by now, which had `before` records, and how to go on from there."""
    kept = totals.input_record_count - before
    if kept == 0:
        return f"no record of {source.label} is kept"
    latest = totals.latest_record_timestamp
    last = "" if latest is None else f", the last at {iso_time(latest)}"
    of = source.label if skip == 0 else f"{source.label} after the first {skip:,}"
    verb = "record of {} is kept" if kept == 1 else "records of {} are kept"
    return f"{kept:,} {verb.format(of)}{last}; post the rest with --skip {skip + kept}"
