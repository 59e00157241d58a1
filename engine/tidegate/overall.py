"""Overall buckets: how unusual several jobs were at a time, taken together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .cells import F64, I64
from .config.spans import Span, parse_span
from .errors import RequestError
from .requesttime import time_range
from .results import OVERALL_BUCKETS

if TYPE_CHECKING:
    from .job import Job

MOST_BUCKETS = 10_000
_ABSENT = -1.0


def overall_buckets(
    jobs: Iterable[Job],
    top_n: int = 1,
    bucket_span: str | int | None = None,
    overall_score: float = 0.0,
    start: Any = None,
    end: Any = None,
    exclude_interim: bool = False,
    *,
    limit: int | None = MOST_BUCKETS,
) -> pa.Table:
    """How unusual several jobs were together, interval by interval; schema `results.OVERALL_BUCKETS`.

    An interval is as long as the longest bucket span of the jobs. Of every job its best bucket in
    it counts, 0 if there is none; the overall score is the mean of the best `top_n` (at most the
    number of jobs). With a longer `bucket_span` the intervals are that long: for one job, or a
    `top_n` of 1, likewise; else with the largest of the overall scores of the shorter intervals.
    Intervals in which no job has a bucket are left out, and those with less than `overall_score`.

    `start` is rounded up to the next interval and `end` down; times are as in `Job.flush`. Raises
    RequestError for a wrong argument, and for more than `limit` intervals.

    >>> from tidegate import Job
    >>> def counting(name):
    ...     job = Job({
    ...         "job_id": name,
    ...         "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]},
    ...         "data_description": {"time_field": "t"},
    ...     })
    ...     _ = job.post([{"t": hour * 3_600_000} for hour in range(49)])
    ...     job.close()
    ...     return job
    >>> overall_buckets([counting("a"), counting("b")], bucket_span="2h").num_rows
    24
    """

    def source(job: Job) -> BucketSource:
        span = job.config.analysis_config.bucket_span
        return BucketSource(job.job_id, span, lambda *_: job.buckets(exclude_interim=exclude_interim))

    sources = [source(job) for job in dict.fromkeys(jobs)]
    return combined(sources, top_n, bucket_span, overall_score, start, end, limit=limit)


@dataclass(frozen=True, slots=True)
class BucketSource:
    """The buckets of one job, wherever they are."""

    job_id: str
    span: Span
    read: Callable[[int | None, int | None], pa.Table]
    """Those from one time, if any, to before another; more do no harm. A table with at least timestamp,
    anomaly_score and is_interim."""


def combined(
    sources: Iterable[BucketSource],
    top_n: int = 1,
    bucket_span: str | int | None = None,
    overall_score: float = 0.0,
    start: Any = None,
    end: Any = None,
    *,
    limit: int | None = MOST_BUCKETS,
) -> pa.Table:
    """The same of buckets from anywhere: see `overall_buckets`."""
    chosen = sorted(sources, key=lambda source: source.job_id)
    _check(top_n, overall_score)
    if not chosen:
        return OVERALL_BUCKETS.empty_table()
    base = max((source.span for source in chosen), key=lambda span: span.nanos)
    span_ms = _span_ms(bucket_span, base)
    first, last = _limits(start, end, span_ms)
    is_direct = top_n == 1 or len(chosen) == 1
    tables = [source.read(first, last) for source in chosen]
    grid = _Grid.of(tables, span_ms if is_direct else base.ms, first, last)
    score = grid.mean_of_best(min(top_n, len(chosen)))
    if not is_direct:
        grid, score = grid.widened(span_ms, score)
    if limit is not None and len(grid.time) > limit:
        raise RequestError(
            f"Unable to return more than [{limit}] results; please use parameters [start] and [end] "
            "to limit the time range"
        )
    return _table(grid, score, span_ms, [source.job_id for source in chosen], overall_score)


def _check(top_n: int, overall_score: float) -> None:
    if isinstance(top_n, bool) or not isinstance(top_n, int):
        raise RequestError(f"top_n: {top_n!r} is not a whole number")
    if top_n <= 0:
        raise RequestError(f"[topN] parameter must be positive, found [{top_n}]")
    if isinstance(overall_score, bool) or not isinstance(overall_score, int | float):
        raise RequestError(f"overall_score: {overall_score!r} is not a number")


def _span_ms(bucket_span: str | int | None, base: Span) -> int:
    """The length of an interval: that asked for, or the longest bucket span of a job."""
    if bucket_span is None:
        return base.ms
    try:
        span = parse_span(bucket_span)
    except ValueError as error:
        raise RequestError(f"Param [bucket_span] {error}: [{bucket_span}]") from None
    if span.nanos < base.nanos:
        raise RequestError(
            f"Param [bucket_span] must be greater or equal to the max bucket_span [{base.text}]"
        )
    return span.ms


def _limits(start: Any, end: Any, span_ms: int) -> tuple[int | None, int | None]:
    """The first interval, and the one before which to stop: whole intervals within the times."""
    first, last = time_range(start, end, ("start", "end"))
    return (
        None if first is None else -(-first // span_ms) * span_ms,
        None if last is None else last // span_ms * span_ms,
    )


class _Grid:
    """The best score of every job in every interval that has a bucket."""

    def __init__(self, time: I64, best: F64, is_interim: npt.NDArray[np.bool_]) -> None:
        self.time = time
        self.best = best
        """Of (interval, job); _ABSENT where the job has no bucket."""
        self.is_interim = is_interim

    @classmethod
    def of(cls, tables: Sequence[pa.Table], span_ms: int, first: int | None, last: int | None) -> _Grid:
        """The buckets of jobs in intervals of a length, from `first` to before `last`."""
        time = np.concatenate([table["timestamp"].to_numpy() for table in tables])
        score = np.concatenate([table["anomaly_score"].to_numpy() for table in tables])
        is_interim = np.concatenate([table["is_interim"].to_numpy() for table in tables])
        job = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
        time = time // span_ms * span_ms
        inside = np.ones(len(time), bool)
        inside &= (time >= first) if first is not None else True
        inside &= (time < last) if last is not None else True
        times, row = np.unique(time[inside], return_inverse=True)
        best, interim = np.full((len(times), len(tables)), _ABSENT), np.zeros(len(times), bool)
        np.maximum.at(best, (row, job[inside]), score[inside])
        np.logical_or.at(interim, row, is_interim[inside])
        return cls(times, best, interim)

    def mean_of_best(self, n: int) -> F64:
        """The mean of the best n scores of every interval; an absent one counts 0."""
        ordered = np.sort(np.maximum(self.best, 0.0), axis=1)
        mean: F64 = ordered[:, ordered.shape[1] - n :].mean(axis=1)
        return mean

    def widened(self, span_ms: int, score: F64) -> tuple[_Grid, F64]:
        """Longer intervals, each with the largest of everything in it; and the scores."""
        times, row = np.unique(self.time // span_ms * span_ms, return_inverse=True)
        best = np.full((len(times), self.best.shape[1]), _ABSENT)
        largest, interim = np.zeros(len(times)), np.zeros(len(times), bool)
        np.maximum.at(best, row, self.best)
        np.maximum.at(largest, row, score)
        np.logical_or.at(interim, row, self.is_interim)
        return _Grid(times, best, interim), largest


def _table(grid: _Grid, score: F64, span_ms: int, job_ids: list[str], least: float) -> pa.Table:
    """The intervals with a score of at least `least`, in time order."""
    kept = score >= least
    best, n = grid.best[kept], int(kept.sum())
    present = best > _ABSENT
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
    _, job = np.nonzero(present)
    jobs = pa.StructArray.from_arrays(
        [pa.array(job_ids, pa.string()).take(pa.array(job)), pa.array(best[present])],
        fields=list(OVERALL_BUCKETS.field("jobs").type.value_type),
    )
    columns = {
        "result_type": pa.repeat("overall_bucket", n),
        "timestamp": pa.array(grid.time[kept]),
        "bucket_span": pa.repeat(pa.scalar(span_ms // 1000, pa.int64()), n),
        "overall_score": pa.array(score[kept]),
        "jobs": pa.ListArray.from_arrays(pa.array(offsets), jobs),
        "is_interim": pa.array(grid.is_interim[kept]),
    }
    return pa.table([columns[field.name] for field in OVERALL_BUCKETS], schema=OVERALL_BUCKETS)
