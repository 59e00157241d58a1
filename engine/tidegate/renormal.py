"""Scores of past results as they look by now; what they were at first stays beside them.

A record is lowered as far as later records of its series outgrew it, and to what its rank in the
job's history allows by now; a bucket to the largest score of its records. Interim results are left
as they are.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .cells import F64, I64
from .history import History

_SERIES = ("detector_index", "by_field_value", "partition_field_value")


def records(table: pa.Table, history: History) -> pa.Table:
    """The records with ``record_score`` as it is by now::

        record_score = min(initial_record_score min(3/2 x, 1/2 + x/2), ceiling by rank)

    x is the record's share of the largest |actual - typical| since then, itself included; 1 for a
    record that is more of its last buckets together than of its own (multi_bucket_impact above 0).
    """
    if table.num_rows == 0:
        return table
    share = _share_of_later(table)
    outgrown = np.minimum(1.5 * share, 0.5 + 0.5 * share)
    ceilings = history.record_ceilings(table["log_probability"].to_numpy())
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
    score = np.where(final, np.minimum(initial, largest), initial)
    influencers = table["bucket_influencers"].combine_chunks()
    flat = influencers.flatten()
    of_bucket = np.repeat(np.arange(table.num_rows), np.diff(influencers.offsets.to_numpy()))
    names = [field.name for field in flat.type]
    parts = [pa.array(score[of_bucket]) if name == "anomaly_score" else flat.field(name) for name in names]
    structs = pa.StructArray.from_arrays(parts, fields=list(flat.type))
    lists = pa.ListArray.from_arrays(influencers.offsets, structs)
    return _replaced(_replaced(table, "anomaly_score", score), "bucket_influencers", lists)


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
