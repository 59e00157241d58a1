"""Results asked for by time, score and page, in the order asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..config.spans import parse_span
from ..errors import NotFoundError, RequestError
from ..overall import BucketSource, combined
from ..requesttime import parse_request_time, time_range
from .chunks import SCHEMAS, score_name
from .resultrows import ResultsView

MOST_RECORDS_OF_BUCKET = 10_000
_SLACK = 1 << 16
"""So many rows more than the page are held before what cannot be on it is let go of."""


@dataclass(frozen=True, slots=True)
class Order:
    """How results of a kind are sorted, if nothing else is asked for."""

    by: str
    descending: bool = False
    ties: tuple[str, ...] = ()
    """Columns that decide among equals, in the same direction; then interim rows are last."""


_BY_TIME = Order("timestamp", ties=("timestamp",))
ORDERS = {
    "buckets": _BY_TIME,
    "records": Order(
        "record_score",
        True,
        (
            "record_score",
            "over_field_value",
            "partition_field_value",
            "by_field_value",
            "field_name",
            "function",
        ),
    ),
    "influencers": Order("influencer_score", True),
    "model_plot": Order("timestamp"),
    "categories": Order("category_id"),
    "categorizer_stats": Order("partition_field_value"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the rows that match, and how many match."""

    table: pa.Table
    count: int


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for, checked: `Query.of`."""

    kind: str
    start_ms: int | None = None
    end_ms: int | None = None
    least: float = 0.0
    interim: bool | None = None
    """False: final rows only."""
    order: tuple[tuple[str, str], ...] = ()
    """Columns, and whether ``ascending`` or ``descending``."""
    begin: int = 0
    stop: int | None = None
    equal: tuple[tuple[str, Any], ...] = ()
    """Columns, and the values they must have."""

    @classmethod
    def of(
        cls,
        kind: str,
        *,
        start: Any = None,
        end: Any = None,
        min_score: float = 0.0,
        exclude_interim: bool = False,
        sort: str | None = None,
        desc: bool | None = None,
        from_: int = 0,
        size: int | None = None,
        limit: int | None = None,
    ) -> Query:
        """A query of the results of a kind; RequestError for an argument that is wrong.

        Rows from `start` to before `end` (times as in `Job.flush`) with at least `min_score`, sorted by a
        column, nulls last in either direction; of these `size` from `from_` on. With `limit` no page
        may reach farther.

        >>> Query.of("records", min_score=50, from_=-1)
        Traceback (most recent call last):
        tidegate.errors.RequestError: Parameter [from] cannot be < 0
        """
        if kind not in ORDERS:
            raise RequestError(f"'{kind}' is no kind of results; allowed: {', '.join(ORDERS)}")
        if score_name(kind) is None and min_score:
            raise RequestError(f"min_score: {kind} have no score")
        _require_flag("exclude_interim", exclude_interim)
        if isinstance(min_score, bool) or not isinstance(min_score, int | float) or min_score != min_score:
            raise RequestError(f"min_score: {min_score!r} is not a number")
        start_ms, end_ms = time_range(start, end, ("start", "end"))
        begin, stop = _page(from_, size, limit)
        interim = False if exclude_interim else None
        order = _order(kind, sort, desc)
        return cls(kind, start_ms, end_ms, float(min_score), interim, order, begin, stop)

    def matching(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that match."""
        tests: list[tuple[Any, str, Any]] = [(pc.equal, name, value) for name, value in self.equal]
        if self.start_ms is not None:
            tests.append((pc.greater_equal, "timestamp", self.start_ms))
        if self.end_ms is not None:
            tests.append((pc.less, "timestamp", self.end_ms))
        score = score_name(self.kind)
        if score is not None and self.least > 0.0:
            tests.append((pc.greater_equal, score, self.least))
        for holds, name, value in tests:
            batch = batch.filter(holds(batch.column(name), value))
        return batch

    def first(self, table: pa.Table, rows: int | None) -> pa.Table:
        """The first rows in the order asked for; equal ones stay in the order they have."""
        keys = list(self.order)
        chosen = pc.sort_indices(table.select([name for name, _ in keys]), keys)  # stable, nulls at the end
        if np.array_equal(chosen, np.arange(len(chosen))):
            return table.slice(0, rows)
        return table.take(chosen if rows is None else chosen[:rows])


class Queries(ResultsView):
    """Results to read, as people ask for them."""

    def results(self, job_id: str, kind: str, **options: Any) -> Page:
        """The results of a kind that match; the options are those of `Query.of`."""
        query = Query.of(kind, **options)
        self.require_job(job_id)
        return self.page(job_id, query)

    def page(self, job_id: str, query: Query) -> Page:
        """What a query finds; holds no more rows than are asked for, and those of one chunk."""
        held: list[pa.Table] = []
        count, rows = 0, 0
        for found in self._matching(job_id, query):
            count, rows = count + found.num_rows, rows + found.num_rows
            held.append(pa.Table.from_batches([found]))
            if query.stop is not None and rows > query.stop + _SLACK:
                held = [query.first(pa.concat_tables(held), query.stop)]
                rows = held[0].num_rows
        table = pa.concat_tables([SCHEMAS[query.kind].empty_table(), *held])
        return Page(query.first(table, query.stop).slice(query.begin), count)

    def bucket(self, job_id: str, timestamp: Any, *, exclude_interim: bool = False) -> pa.Table:
        """The bucket that starts at a time; NotFoundError if there is none."""
        _require_flag("exclude_interim", exclude_interim)
        at = parse_request_time(timestamp, "timestamp")
        self.require_job(job_id)
        query = Query("buckets", at, at + 1, order=_order("buckets", None, None))
        found = self.page(job_id, replace(query, interim=False if exclude_interim else None)).table
        if found.num_rows == 0:
            raise NotFoundError("Could not find requested buckets")
        return found

    def records_of_bucket(self, job_id: str, start_ms: int, *, exclude_interim: bool = False) -> pa.Table:
        """The records of the bucket that starts then, the least probable first, as `expand` shows them."""
        order = _order("records", "probability", False)
        query = Query("records", start_ms, start_ms + 1, order=order, stop=MOST_RECORDS_OF_BUCKET)
        return self.page(job_id, replace(query, interim=False if exclude_interim else None)).table

    def categories(
        self,
        job_id: str,
        category_id: int | None = None,
        *,
        partition_field_value: str | None = None,
        from_: int = 0,
        size: int | None = None,
        limit: int | None = None,
    ) -> Page:
        """The categories of messages by id, or one of them, or those of a partition."""
        query = Query.of("categories", from_=from_, size=size, limit=limit)
        self.require_job(job_id)
        given = (("category_id", category_id), ("partition_field_value", partition_field_value))
        equal = tuple((name, value) for name, value in given if value is not None)
        return self.page(job_id, replace(query, equal=equal))

    def overall_buckets(
        self, job_ids: Sequence[str], *, exclude_interim: bool = False, **options: Any
    ) -> pa.Table:
        """How unusual jobs were together; the other options are those of `tidegate.overall_buckets`."""
        _require_flag("exclude_interim", exclude_interim)
        interim = False if exclude_interim else None

        def source(job_id: str) -> BucketSource:
            span = parse_span(self.job(job_id).config["analysis_config"]["bucket_span"])
            return BucketSource(job_id, span, lambda first, last: self._scores(job_id, first, last, interim))

        return combined([source(job_id) for job_id in dict.fromkeys(job_ids)], **options)

    def _scores(self, job_id: str, first: int | None, last: int | None, interim: bool | None) -> pa.Table:
        """Times and scores of the buckets of a job, and whether they are interim."""
        names = ["timestamp", "anomaly_score", "is_interim"]
        query = Query("buckets", first, last, interim=interim)
        found = [batch.select(names) for batch in self._matching(job_id, query)]
        return pa.Table.from_batches(found, pa.schema([SCHEMAS["buckets"].field(name) for name in names]))

    def _matching(self, job_id: str, query: Query) -> Iterator[pa.RecordBatch]:
        for _, batch in self.chunks(
            job_id,
            query.kind,
            interim=query.interim,
            start_ms=query.start_ms,
            end_ms=query.end_ms,
            least=query.least,
        ):
            yield query.matching(batch)


def _order(kind: str, sort: str | None, desc: bool | None) -> tuple[tuple[str, str], ...]:
    """The sort keys: what is asked for, then what decides among equals."""
    usual = ORDERS[kind]
    allowed = [field.name for field in SCHEMAS[kind] if not pa.types.is_nested(field.type)]
    if sort is not None and sort not in allowed:
        raise RequestError(f"sort: {kind} cannot be sorted by {sort!r}; allowed: {', '.join(allowed)}")
    if desc is not None:
        _require_flag("desc", desc)
    direction = "descending" if (usual.descending if desc is None else desc) else "ascending"
    return tuple((name, direction) for name in dict.fromkeys((sort or usual.by, *usual.ties)))


def _page(from_: int, size: int | None, limit: int | None) -> tuple[int, int | None]:
    """From which row on, and before which to stop."""
    for name, value in (("from", from_), ("size", size)):
        if value is None and name == "size":
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise RequestError(f"{name}: {value!r} is not a whole number")
        if value < 0:
            raise RequestError(f"Parameter [{name}] cannot be < 0")
    stop = limit if size is None else from_ + size
    if limit is not None and max(from_, stop or 0) > limit:
        raise RequestError(
            f"The sum of parameters [from] and [size] cannot be higher than {limit}; "
            "please use filters to reduce the number of results"
        )
    return from_, stop


def _require_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise RequestError(f"{name}: {value!r} is not true or false")
