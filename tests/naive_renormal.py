"""The scores of past results by now, computed anew of all results; and step by step with a window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.cells import F64, I64

Tables = dict[str, pa.Table]
Scores = dict[str, F64]
CURRENT: Mapping[str, Any] = {
    "records": "record_score",
    "buckets": "anomaly_score",
    "influencers": "influencer_score",
}
_SERIES = ("detector_index", "by_field_value", "partition_field_value")


def records(table: pa.Table, mark: F64) -> pa.Table:
    """The records with ``record_score`` as it is by now::

        record_score = min(initial_record_score min(3/2 x, 1/2 + x/2), ceiling by rank)

    x is the record's share of the largest |actual - typical| since then, itself included; 1 for a
    record that is more of its last buckets together than of its own (multi_bucket_impact above 0).
    """
    if table.num_rows == 0:
        return table
    share = _share_of_later(table)
    outgrown = np.minimum(1.5 * share, 0.5 + 0.5 * share)
    ceilings = ceilings_of(mark, table["log_probability"].to_numpy())
    score = table["initial_record_score"].to_numpy()
    lowered = np.minimum(np.where(share < 1.0, outgrown, 1.0) * score, ceilings)
    return _replaced(table, "record_score", np.where(_is_final(table), lowered, score))


def buckets(table: pa.Table, scored: pa.Table) -> pa.Table:
    """The buckets with ``anomaly_score``, theirs and that of their influencers, at most that of a record.

    ``scored`` are the records, all of them, with their scores by now.
    """
    if scored.num_rows == 0:
        return table
    start = table["timestamp"].to_numpy()
    largest = np.zeros(table.num_rows)
    final = _is_final(table)
    order = np.flatnonzero(final)
    of_record = scored.filter(pc.invert(scored["is_interim"]))
    at = order[np.searchsorted(start[order], of_record["timestamp"].to_numpy())]
    np.maximum.at(largest, at, of_record["record_score"].to_numpy())
    initial = table["initial_anomaly_score"].to_numpy()
    largest = np.where(final, largest, np.inf)
    score = np.minimum(initial, largest)
    influencers = table["bucket_influencers"].combine_chunks()
    flat = influencers.flatten()
    of_bucket = np.repeat(np.arange(table.num_rows), np.diff(influencers.offsets.to_numpy()))
    names = [field.name for field in flat.type]
    lowered = np.minimum(flat.field("initial_anomaly_score").to_numpy(), largest[of_bucket])
    parts = [pa.array(lowered) if name == "anomaly_score" else flat.field(name) for name in names]
    structs = pa.StructArray.from_arrays(parts, fields=list(flat.type))
    lists = pa.ListArray.from_arrays(influencers.offsets, structs)
    return _replaced(_replaced(table, "anomaly_score", score), "bucket_influencers", lists)


def influencers(table: pa.Table, scored: pa.Table, marks: Mapping[str, F64]) -> pa.Table:
    """The influencers with ``influencer_score`` as it is by now, by time, then by that score.

    ``scored`` are the final records, all of them, with their scores by now.
    """
    if table.num_rows == 0:
        return table
    score = table["initial_influencer_score"].to_numpy()
    lowered = np.minimum(score, _largest_influenced(table, scored))
    field = table["influencer_field_name"].to_numpy(zero_copy_only=False)
    log_p = table["log_probability"].to_numpy()
    for name, mark in marks.items():
        rows = np.flatnonzero(field == name)
        lowered[rows] = np.minimum(lowered[rows], ceilings_of(mark, log_p[rows]))
    final = _is_final(table)
    return _replaced(table, "influencer_score", np.where(final, lowered, score))


def by_score(table: pa.Table) -> pa.Table:
    """The influencers by time, then by score by now."""
    score, final = table["influencer_score"].to_numpy(), _is_final(table)
    return table.take(pa.array(np.lexsort((-score, table["timestamp"].to_numpy(), ~final))))


def ceilings_of(mark: F64, log_p: F64) -> F64:
    """The most that log-probabilities can score by their rank in a history."""
    past = mark.tolist()
    return np.array([_ceiling(past, -x) for x in log_p.tolist()])


def _ceiling(mark: list[float], s: float) -> float:
    *bins, total = mark
    if total < 1.0:
        return 100.0
    x = 5.5 * math.log(1.0 + s)
    k = min(int(x), len(bins) - 1)
    above = bins[k] * max(1.0 - (x - k), 0.0)
    for count in bins[k + 1 :]:
        above += count
    above -= 2.0 * math.sqrt(above) + 1.0
    return 100.0 / (1.0 + max(above, 0.0) / total / 0.03)


class NaiveRenormal:
    """All results so far, computed anew at the end of every step and whenever asked."""

    def __init__(self, fields: tuple[str, ...], window_ms: int) -> None:
        self.fields = fields
        self.window_ms = window_ms
        self.tables: Tables = {}
        self.scores: Scores = {kind: np.empty(0) for kind in CURRENT}
        self.left = -math.inf
        self.marks = np.zeros((1 + len(fields), 65))

    def add(self, tables: Tables) -> None:
        """Takes the results of a bucket or more, none of them on both sides of a step."""
        for kind, table in tables.items():
            self.tables[kind] = pa.concat_tables([self.tables.get(kind, table.slice(0, 0)), table])
        for kind, name in CURRENT.items():
            new = tables[kind][f"initial_{name}"].to_numpy()
            self.scores[kind] = np.append(self.scores[kind], new)
        if self.window_ms == 0:
            self.left = math.inf

    def end_step(self, end: int, marks: F64) -> None:
        """Ranks by other histories, and lets the results before the window keep the scores they have then."""
        self.marks = marks
        self.settle()
        self.left = max(self.left, end - self.window_ms)

    def settle(self) -> None:
        """Computes the scores by now of all that has not left."""
        past = dict(zip(self.fields, self.marks[1:], strict=True))
        scored = records(self.tables["records"], self.marks[0])
        told = self._kept("records", scored)
        made = {
            "records": scored,
            "buckets": buckets(self.tables["buckets"], told),
            "influencers": influencers(self.tables["influencers"], told, past),
        }
        for kind, table in made.items():
            self.scores[kind] = self._kept(kind, table)[CURRENT[kind]].to_numpy()

    def _kept(self, kind: str, table: pa.Table) -> pa.Table:
        """The table with the scores that were kept where results have left."""
        name = CURRENT[kind]
        has_left = table["timestamp"].to_numpy() < self.left
        return _replaced(table, name, np.where(has_left, self.scores[kind], table[name].to_numpy()))


def _largest_influenced(table: pa.Table, scored: pa.Table) -> F64:
    """The largest score of the records that each influencer influenced."""
    lists = scored["influencers"].combine_chunks()
    fields = lists.flatten()
    values = fields.field("influencer_field_values")
    of_record = np.repeat(np.arange(len(lists)), pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
    of_field = np.repeat(np.arange(len(fields)), pc.list_value_length(values).to_numpy())
    named = [
        scored["timestamp"].take(pa.array(of_record[of_field])),
        fields.field("influencer_field_name").take(pa.array(of_field)),
        values.flatten(),
    ]
    ours = ("timestamp", "influencer_field_name", "influencer_field_value")
    both = [_numbered(table[name], part) for name, part in zip(ours, named, strict=True)]
    key = np.zeros(table.num_rows + len(of_field), np.int64)
    for codes in both:
        key = np.unique(key * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    largest = np.zeros(int(key.max()) + 1)
    score = scored["record_score"].to_numpy()[of_record[of_field]]
    np.maximum.at(largest, key[table.num_rows :], score)
    return largest[key[: table.num_rows]]


def _numbered(one: pa.ChunkedArray, other: pa.Array | pa.ChunkedArray) -> I64:
    """The same number for the same value in two columns, one after the other."""
    chunks = [chunk for column in (one, other) for chunk in getattr(column, "chunks", [column])]
    codes: I64 = pc.dictionary_encode(pa.chunked_array(chunks, one.type)).combine_chunks().indices.to_numpy()
    return codes.astype(np.int64)


def _share_of_later(table: pa.Table) -> F64:
    """The size of each record over the largest of its series from it on; 1 where sizes do not tell."""
    size = np.abs(_single(table, "actual") - _single(table, "typical"))
    series = _series(table)
    # Backwards in time, series by series; ranks, so that a running maximum cannot reach over to the next.
    order = np.lexsort((-np.arange(len(size)), series))
    rank = np.empty(len(size), np.int64)
    rank[np.argsort(size, kind="stable")] = np.arange(len(size))
    running = np.maximum.accumulate(series[order] * len(size) + rank[order]) % len(size)
    largest = np.empty_like(size)
    largest[order] = np.sort(size)[running]
    told = (table["multi_bucket_impact"].to_numpy() <= 0.0) & (largest > 0.0)
    return np.divide(size, largest, out=np.ones_like(size), where=told)


def _series(table: pa.Table) -> I64:
    """A number for the series of each record."""
    number = np.zeros(table.num_rows, np.int64)
    for name in _SERIES:
        codes = pc.dictionary_encode(table[name].combine_chunks(), null_encoding="encode").indices
        wide = codes.to_numpy().astype(np.int64)
        number = np.unique(number * (int(wide.max()) + 1) + wide, return_inverse=True)[1]
    return number


def _single(table: pa.Table, name: str) -> F64:
    """The only number of each list."""
    flat: F64 = pc.list_element(table[name], 0).to_numpy()
    return flat


def _is_final(table: pa.Table) -> np.ndarray:
    is_final: np.ndarray = pc.invert(table["is_interim"]).to_numpy()
    return is_final


def _replaced(table: pa.Table, name: str, values: F64 | pa.Array) -> pa.Table:
    """The table with other values in a column."""
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values))
