"""Individual analysis: every series is compared with its own past, feature by feature."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .analysis import Analysis, Finding, LaneCells
from .cells import I64
from .config import Detector
from .kept import INSIDE
from .keys import Keys, Sizes
from .model import NO_RULES, RESULT_COLUMNS, SIGNIFICANT, STATE_BYTES, U8, FeatureModel, Run, Scored
from .rows import Source
from .threads import Threads

_SOURCES = {"count": "count", "median": "value", "distinct_count": "distinct", "info_content": "info"}


def source_of(detector: Detector, feature: str) -> Source:
    """What is gathered for a feature of a detector."""
    kind = _SOURCES.get(feature, "number")
    return kind, None if kind == "count" else detector.field_name


class Individual(Analysis):
    """The models of a detector without an over field: one for every series and feature."""

    obeys_rules = True
    KEPT: ClassVar = {"models": INSIDE}

    def __init__(self, detector: Detector, span_ms: int, prune_buckets: int) -> None:
        self.detector = detector
        self.models = [
            FeatureModel(detector, feature, span_ms, prune_buckets) for feature in detector.spec.features
        ]
        self.sources = tuple(source_of(detector, feature) for feature in detector.spec.features)

    @property
    def series_bytes(self) -> int:
        """The memory that one more series takes."""
        return len(self.models) * STATE_BYTES

    def taken(self, sizes: Sizes) -> int:
        """The memory that the states of so many series and their profiles take."""
        return sum(model.taken(sizes[0]) for model in self.models)

    def promised(self, n_series: int) -> int:
        """The memory that the profiles of so many series take beside those that there are."""
        return sum(model.promised(n_series) for model in self.models)

    def limit_growth(self, n_series: int, most_bytes: int) -> int:
        """Lets no more series become seasonal than fit; returns the bytes that they may take."""
        granted = 0
        for model in self.models:
            granted += model.limit_pages(n_series, most_bytes - granted)
        return granted

    def keep(self, keys: Keys, series: I64, attributes: I64) -> None:
        """Forgets all series but these, ascending, which move down."""
        for model in self.models:
            model.keep(series, len(keys))

    def forget_silent(self, clock: int, spared_s: U8) -> None:
        """Lets go of what the prune window will forget anyway; not of series that are 1 in `spared_s`."""
        for model in self.models:
            model.forget_silent(clock, spared_s)

    def ask_siblings(self, clock: int) -> None:
        """Lets series that are yet to come begin with what the present ones, at a time, have in common."""
        for model in self.models:
            model.ask_siblings(clock)

    def set_prune(self, buckets: int) -> None:
        """Forgets series that are silent for longer than so many buckets."""
        for model in self.models:
            model.set_prune(buckets)

    def shift_time(self, seconds: int, chosen_s: npt.NDArray[np.bool_] | None = None) -> None:
        """Expects of the chosen series, or all, at any time what was expected so many seconds later."""
        for model in self.models:
            model.shift_time(seconds, chosen_s)

    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores every series with its cells, and with ``run.learn`` then trains."""
        rules = NO_RULES if self.rules is None else (self.rules.table, self.rules.masks)
        scored = [
            model.run(cells.by_block(source), run, threads, plot_s, rules)
            for source, model in zip(self.sources, self.models, strict=True)
        ]
        bounds = tuple(part.bounds for part in scored)
        return Finding(self.detector, keys, merged_features(scored), bounds)


def merged_features(parts: list[Scored]) -> Scored:
    """One result per series and bucket from the features of a detector: the least probable.

    Its probability is multiplied by the number of features, which is valid however they
    depend on one another, and kept if still below `SIGNIFICANT`. Of a bucket, ``min_log_p_b`` is
    the least of all features, so penalised, at most 0; ``scored_b`` is the largest of the features'
    numbers, not their sum: a series counts once.
    """
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in RESULT_COLUMNS}
    order = np.lexsort((columns["log_p_r"], columns["series_r"], columns["bucket_r"]))
    bucket, series = columns["bucket_r"][order], columns["series_r"][order]
    first = np.ones(len(order), bool)
    first[1:] = (bucket[1:] != bucket[:-1]) | (series[1:] != series[:-1])
    penalty = math.log(len(parts))
    first &= columns["log_p_r"][order] + penalty < math.log(SIGNIFICANT)
    chosen = order[first]
    columns = {name: column[chosen] for name, column in columns.items()}
    columns["log_p_r"] = columns["log_p_r"] + penalty
    return Scored(
        **columns,
        min_log_p_b=np.minimum(np.minimum.reduce([part.min_log_p_b for part in parts]) + penalty, 0.0),
        scored_b=np.maximum.reduce([part.scored_b for part in parts]),
        bounds=np.empty(0),
    )
