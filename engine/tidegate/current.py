"""The final results of a job in memory, with their scores by now."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .cells import F64
from .config import JobConfig
from .history import History
from .influencers import Influencers
from .renormal import CURRENT, INITIAL, KINDS, Changes, Renormalizer
from .results import Results
from .sliding import Sliding


class CurrentScores:
    """The scores by now of all final results of a job, brought up to date when somebody looks."""

    def __init__(
        self, config: JobConfig, results: Results, history: History, influencers: Influencers
    ) -> None:
        self._results = results
        self._past = history, influencers
        self._renormalizer = Renormalizer(config)
        self._scores = {kind: Sliding(score=np.float64) for kind in KINDS}

    def set_config(self, config: JobConfig) -> None:
        """Goes on with another window; results so far are renormalised with the old one."""
        self._update()
        self._renormalizer.set_config(config)

    def table(self, kind: str, *, exclude_interim: bool) -> pa.Table:
        """All results of a kind, interim ones last; `Outcome` says in which order."""
        self._update()
        table = self._results.table(kind, exclude_interim=exclude_interim)
        final = self._scores[kind]["score"]
        first = table[CURRENT[kind]].to_numpy()
        score = np.concatenate([final, first[len(final) :]])
        table = with_column(table, CURRENT[kind], pa.array(score))
        if kind == "buckets":
            return with_lowered_influencers(table, score)
        return by_score(table, score, len(final)) if kind == "influencers" else table

    def _update(self) -> None:
        """Takes in the results that came since the last time."""
        fresh = {}
        for kind, scores in self._scores.items():
            table = self._results.table(kind, exclude_interim=True).slice(scores.stop)
            scores.append(score=table[INITIAL[kind]].to_numpy())
            fresh[kind] = table
        if fresh["buckets"].num_rows:
            self._renormalizer.add(fresh)
            self._apply(self._renormalizer.update(*self._past))

    def _apply(self, changes: Changes) -> None:
        for kind, (rows, scores) in changes.items():
            self._scores[kind]["score"][rows] = scores


def with_lowered_influencers(buckets: pa.Table, score: F64) -> pa.Table:
    """The buckets, each with the scores of its bucket influencers at most its own score by now."""
    column = buckets["bucket_influencers"].combine_chunks()
    flat = column.flatten()
    of_bucket = np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
    lowered = np.minimum(flat.field("initial_anomaly_score").to_numpy(), score[of_bucket])
    names = [field.name for field in flat.type]
    parts = [pa.array(lowered) if name == "anomaly_score" else flat.field(name) for name in names]
    structs = pa.StructArray.from_arrays(parts, fields=list(flat.type))
    return with_column(buckets, "bucket_influencers", pa.ListArray.from_arrays(column.offsets, structs))


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """The table with other values in a column."""
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def by_score(table: pa.Table, score: F64, final: int) -> pa.Table:
    """The results by time, then by score, the largest first; the final ones before the others."""
    time = table["timestamp"].to_numpy()
    order = np.lexsort((-score, time, np.arange(len(score)) >= final))
    return table if (np.diff(order) > 0).all() else table.take(pa.array(order))
