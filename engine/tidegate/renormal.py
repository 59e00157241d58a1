"""Scores of past results as they are by now; what they were at first stays beside them.

A record is lowered as far as later records of its series outgrew it, and to what its rank in the job's
history allows; a bucket to the largest score of its records, an influencer to that of those it influenced
and to its rank::

    record_score = min(initial_record_score min(3/2 x, 1/2 + x/2), ceiling by rank)

x is the record's share of the largest |actual - typical| since then, itself included; 1 for a record that
is more of its last buckets together than of its own (multi_bucket_impact above 0), or has no single value.

What is later and larger counts at once. The history by which results are ranked is that at the end of the
latest step of data time (`Marks`): every bucket moves every ceiling by a little, so with the history of the
moment all scores at their ceiling, 2% of a made-up window of a million, would be other ones after each
bucket. At the end of a step results older than the window leave: they are scored for the last time, with
the records and the history that there are then. So scores depend on the final results so far alone, not on
the calls in which they came nor on when somebody looked. Interim results are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate_kernels import renormal as kernels
from tidegate_kernels.score import BINS

from .cells import F64, I64
from .config import JobConfig
from .history import History
from .influencers import Influencers
from .keys import Interner
from .sliding import Sliding
from .timeline import DAY_MS

KINDS = ("records", "buckets", "influencers")
INITIAL = {
    "records": "initial_record_score",
    "buckets": "initial_anomaly_score",
    "influencers": "initial_influencer_score",
}
"""The column of first scores of each kind of results."""
CURRENT = {kind: name.removeprefix("initial_") for kind, name in INITIAL.items()}
"""The column of scores by now."""
Tables = Mapping[str, pa.RecordBatch | pa.Table]
Changes = dict[str, tuple[I64, F64]]
"""By kind: the numbers of rows, ascending, and their scores by now."""


def window_ms(config: JobConfig) -> int:
    """How long results are renormalised; 0: never.

    >>> from tidegate.config import JobConfig
    >>> detectors = {"detectors": [{"function": "count"}], "bucket_span": "1h"}
    >>> window_ms(JobConfig.parse({"analysis_config": detectors, "data_description": {}})) // 86_400_000
    30
    """
    days = config.renormalization_window_days
    return max(30 * DAY_MS, 100 * config.analysis_config.bucket_span_ms) if days is None else days * DAY_MS


class Renormalizer:
    """The final results of a job inside its window, and their scores by now.

    Results of a kind are numbered through from 0 in the order they came; a bucket comes with all its
    records and influencers. A record takes 49 bytes and 8 for every influencer, arrays being up to twice
    as long, and its series, once, some 60 bytes and the text of its keys.
    """

    def __init__(self, config: JobConfig) -> None:
        self._window_ms = window_ms(config)
        self._fields = tuple(dict.fromkeys(config.analysis_config.influencers))
        f, i = np.float64, np.int64
        self._records = Sliding(
            series=np.int32, size=f, largest=f, is_told=np.uint8, place=f, back=np.int32, initial=f, score=f
        )
        self._buckets = Sliding(time=i, initial=f, score=f, record_end=i, influencer_end=i)
        self._influencers = Sliding(field=np.int32, place=f, initial=f, score=f, link_end=i)
        self._links = Sliding(record=i)
        self._known = 0  # records before this number have been compared with those before them
        self._told = 0  # buckets before this number have been scored
        self._names = Interner()
        self._latest_s: I64 = np.empty(0, np.int64)
        self._peak_s: F64 = np.empty(0)

    @property
    def nbytes(self) -> int:
        """The memory of what is kept."""
        kept = (self._records, self._buckets, self._influencers, self._links, self._names)
        return sum(part.nbytes for part in kept) + self._latest_s.nbytes + self._peak_s.nbytes

    @property
    def first_rows(self) -> dict[str, int]:
        """By kind: the number of the first row that can still change."""
        return {kind: self._of(kind).first for kind in KINDS}

    def set_config(self, config: JobConfig) -> None:
        """Goes on with another window; what has left, stays as it is. To be called after `update`."""
        self._window_ms = window_ms(config)

    def add(self, tables: Tables) -> None:
        """Takes new final results, in the order of time; they count from the next `update` on."""
        self._append(tables, INITIAL)
        if self._window_ms == 0:
            self._drop(self._buckets.stop)

    def load(self, tables: Tables, first_rows: Mapping[str, int]) -> None:
        """Starts anew with stored results and their scores by now: to go on as if never closed.

        `tables` begin with the row numbers ``first_rows``, as the property of that name gave them after
        the last `update`; more is harmless but for results that have left the window by then.
        """
        for kind in KINDS:
            self._of(kind).restart(first_rows[kind])
        self._links.restart(0)
        self._latest_s[:] = -1
        self._known = first_rows["records"]
        self._append(tables, CURRENT)
        self._compare(self._records.stop)
        self._told = self._buckets.stop

    def update(self, history: History, influencers: Influencers) -> Changes:
        """The scores that are other ones than at the last call, or than at first of results since then.

        `history` and `influencers` have seen all results that were added, and no more. A bucket's score
        counts for its bucket influencers as well: theirs is ``min(initial_anomaly_score, that score)``.
        Costs as much as what is new and what it outgrew; at the end of a step as all of the window.
        """
        ends, marks = _taken(history, influencers)
        parts = [self._leave(int(ends[k]), marks[k]) for k in self._leavings(ends)]
        moved = self._compare(self._records.stop)
        mark = np.array([history.marks.latest, *(past.latest for past in influencers.marks)])
        if len(ends):
            parts.append(self._score(np.arange(len(self._buckets)), np.arange(len(self._records)), mark))
        elif self._told < self._buckets.stop:
            parts.append(self._score(*self._touched(moved), mark))
        self._told = self._buckets.stop
        return _joined(parts)

    def pass_over(self, history: History, influencers: Influencers) -> None:
        """Takes note of steps whose results were loaded: they are done."""
        _taken(history, influencers)

    def _of(self, kind: str) -> Sliding:
        return {"records": self._records, "buckets": self._buckets, "influencers": self._influencers}[kind]

    def _append(self, tables: Tables, scores: Mapping[str, str]) -> None:
        """Adds results, with the scores that they have in these columns."""
        records, buckets, influencers = (_table(tables[kind]) for kind in KINDS)
        time = buckets["timestamp"].to_numpy()
        record_end, influencer_end = (
            self._of(kind).stop + np.searchsorted(part["timestamp"].to_numpy(), time, side="right")
            for kind, part in (("records", records), ("influencers", influencers))
        )
        self._append_links(records, influencers, scores["influencers"])
        self._append_records(records, scores["records"])
        self._buckets.append(
            time=time,
            initial=buckets[INITIAL["buckets"]].to_numpy(),
            score=buckets[scores["buckets"]].to_numpy(),
            record_end=record_end,
            influencer_end=influencer_end,
        )

    def _append_records(self, table: pa.Table, score: str) -> None:
        if not table.num_rows:
            return
        size = np.abs(_single(table, "actual") - _single(table, "typical"))
        is_told = (table["multi_bucket_impact"].to_numpy() <= 0.0) & ~np.isnan(size)
        series = self._names.codes(_series(table))
        self._records.append(
            series=series,
            size=np.where(np.isnan(size), 0.0, size),
            is_told=is_told,
            place=_places(table),
            initial=table[INITIAL["records"]].to_numpy(),
            score=table[score].to_numpy(),
        )
        more = len(self._names) - len(self._latest_s)
        if more > 0:
            more += len(self._latest_s)  # room for as many again
            self._latest_s = np.append(self._latest_s, np.full(more, -1))
            self._peak_s = np.append(self._peak_s, np.zeros(more))

    def _append_links(self, records: pa.Table, table: pa.Table, score: str) -> None:
        """Adds influencers with the numbers of the records they influenced, which are about to be added."""
        n = table.num_rows
        if not n:
            return
        record, influencer = _links(records, table)
        self._influencers.append(
            field=pc.index_in(table["influencer_field_name"], pa.array(self._fields)).to_numpy(),
            place=_places(table),
            initial=table[INITIAL["influencers"]].to_numpy(),
            score=table[score].to_numpy(),
            link_end=self._links.stop + np.cumsum(np.bincount(influencer, minlength=n)),
        )
        self._links.append(record=self._records.stop + record)

    def _leavings(self, ends: I64) -> list[int]:
        """The steps at whose end records leave; and the last one, at which buckets may."""
        cuts = np.searchsorted(self._buckets["time"], ends - self._window_ms)
        record = np.append(self._records.first, self._buckets["record_end"])[cuts]
        leave = np.diff(record, prepend=self._records.first) > 0
        leave[-1:] = True
        return np.flatnonzero(leave).tolist()

    def _leave(self, end: int, mark: F64) -> Changes:
        """Scores what leaves at the end of a step for the last time, with what there is until then."""
        time = self._buckets["time"]
        seen, cut = np.searchsorted(time, [end, end - self._window_ms]).tolist()
        if seen:
            self._compare(int(self._buckets["record_end"][seen - 1]))
        left = int(self._buckets["record_end"][cut - 1]) - self._records.first if cut else 0
        changes = self._score(np.arange(cut), np.arange(left), mark)
        self._drop(self._buckets.first + cut)
        return changes

    def _drop(self, bucket: int) -> None:
        """Drops the buckets before that number, and all results of theirs."""
        at = bucket - self._buckets.first - 1
        if at < 0:
            return
        record, influencer = (int(self._buckets[name][at]) for name in ("record_end", "influencer_end"))
        of_influencer = influencer - self._influencers.first - 1
        if of_influencer >= 0:
            self._links.drop(int(self._influencers["link_end"][of_influencer]))
        self._influencers.drop(influencer)
        self._records.drop(record)
        self._buckets.drop(bucket)

    def _compare(self, stop: int) -> I64:
        """Compares records before that number with those before them; the places of those outgrown."""
        records = self._records
        known = max(self._known, records.first)
        self._known = max(stop, known)
        moved = np.empty(known - records.first, np.int64)
        if stop <= known:
            return moved[:0]
        bounds = records.first, known - records.first, stop - records.first
        of_series = self._latest_s, self._peak_s
        columns = records["series"], records["size"], *bounds, *of_series, records["back"], records["largest"]
        return moved[: kernels.outgrow(*columns, moved)]

    def _touched(self, moved: I64) -> tuple[I64, I64]:
        """The places of new buckets and of those of outgrown records; and of these and new records."""
        end = self._buckets["record_end"]
        told = max(self._told - self._buckets.first, 0)
        first = int(end[told - 1]) if told else self._records.first
        fresh = np.arange(first - self._records.first, len(self._records))
        of_moved = np.searchsorted(end, np.sort(moved) + self._records.first, side="right")
        buckets = np.append(of_moved[: np.searchsorted(of_moved, told)], np.arange(told, len(end)))
        return np.unique(buckets), np.append(moved, fresh)

    def _score(self, buckets: I64, rows: I64, mark: F64) -> Changes:
        """Scores records, and then the buckets and influencers of some buckets, all told by their places."""
        r, b, i = self._records, self._buckets, self._influencers
        changed = np.empty(len(rows), np.int64)
        facts = (r[name] for name in ("size", "largest", "is_told", "place", "initial"))
        n = kernels.lower_records(rows, *facts, mark[0], np.empty(BINS), r["score"], changed)
        changes = {"records": _change(r, changed[:n])}
        changed = np.empty(len(buckets), np.int64)
        of_records = r.first, r["score"]
        ends = b["record_end"]
        n = kernels.lower_buckets(buckets, ends, *of_records, b["initial"], b["score"], changed)
        changes["buckets"] = _change(b, changed[:n])
        changed = np.empty(len(i), np.int64)
        facts = (i[name] for name in ("field", "place", "link_end"))
        columns = b["influencer_end"], i.first, *facts, self._links.first, self._links["record"], *of_records
        past = mark[1:].ravel()
        n = kernels.lower_influencers(buckets, *columns, i["initial"], past, i["score"], changed)
        changes["influencers"] = _change(i, changed[:n])
        return changes


def _change(rows: Sliding, changed: I64) -> tuple[I64, F64]:
    return rows.first + changed, rows["score"][changed]


def _joined(parts: list[Changes]) -> Changes:
    """All changes, by row."""
    joined = {}
    for kind in KINDS:
        rows = np.concatenate([np.empty(0, np.int64), *(part[kind][0] for part in parts)])
        scores = np.concatenate([np.empty(0), *(part[kind][1] for part in parts)])
        order = np.argsort(rows)
        joined[kind] = rows[order], scores[order]
    return joined


def _taken(history: History, influencers: Influencers) -> tuple[I64, F64]:
    """The ends of the steps since the last time, and for each the marks of all histories.

    As many as all have: a job that failed in the middle may have marked some of them once more.
    """
    parts = [past.take() for past in (history.marks, *influencers.marks)]
    n = min(len(ends) for ends, _ in parts)
    return parts[0][0][:n], np.stack([marks[:n] for _, marks in parts], axis=1)


def _table(part: pa.RecordBatch | pa.Table) -> pa.Table:
    return pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part


def _places(table: pa.Table) -> F64:
    """Where in the bins of a history results lie."""
    places = np.empty(table.num_rows)
    kernels.bin_places(table["log_probability"].to_numpy(), places)
    return places


def _single(table: pa.Table, name: str) -> F64:
    """The first number of each list, NaN where there is none."""
    flat: F64 = pc.list_element(table[name], 0).to_numpy()
    return flat


def _named(number: pa.ChunkedArray, first: pa.ChunkedArray, second: pa.ChunkedArray) -> pa.Array:
    """A text for each row that no other number and texts have."""
    first, second = (column.fill_null("") for column in (first, second))
    parts = [number.cast(pa.string()), pc.binary_length(first).cast(pa.string()), first, second]
    return _whole(pc.binary_join_element_wise(*parts, " "))


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _series(table: pa.Table) -> pa.Array:
    """What tells the series of each record from others."""
    return _named(*(table[name] for name in ("detector_index", "by_field_value", "partition_field_value")))


def _links(records: pa.Table, influencers: pa.Table) -> tuple[I64, I64]:
    """The places of records and of the influencers that influenced them, by influencer."""
    lists = _whole(records["influencers"])
    fields = lists.flatten()
    values = fields.field("influencer_field_values")
    of_list = np.repeat(np.arange(len(lists)), pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
    of_field = np.repeat(np.arange(len(fields)), pc.list_value_length(values).to_numpy())
    of_record = of_list[of_field]
    theirs = _named(
        records["timestamp"].take(pa.array(of_record)),
        fields.field("influencer_field_name").take(pa.array(of_field)),
        values.flatten(),
    )
    names = ("timestamp", "influencer_field_name", "influencer_field_value")
    ours = _named(*(influencers[name] for name in names))
    codes = pc.dictionary_encode(pa.concat_arrays([ours, theirs])).indices.to_numpy()
    influencer_of_code = np.full(int(codes.max()) + 1, -1)
    influencer_of_code[codes[: len(ours)]] = np.arange(len(ours))
    influencer = influencer_of_code[codes[len(ours) :]]
    linked = np.flatnonzero(influencer >= 0)
    linked = linked[np.argsort(influencer[linked], kind="stable")]
    return of_record[linked], influencer[linked]
