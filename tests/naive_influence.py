"""The naive twin of influencers: which values a result is blamed on, from all rows of its bucket.

Written from the definitions in reference/engine.md 3.12 and in `tidegate.influence`, one value at a time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.naive_cells import (
    OF_TEXTS,
    NaiveDetector,
    key_text,
    number,
    statistic,
    summary_count,
    weighted_statistic,
)
from tests.naive_laws import absolute_score
from tests.naive_scores import NaiveHistory

Row = Mapping[str, Any]
CUTOFF = 0.4
MOST_VALUES = 10


@dataclass(frozen=True)
class Result:
    """A result as the model gives it."""

    bucket: int
    detector: int
    feature: str
    by: str
    partition: str
    actual: float
    typical: float
    lower: float
    upper: float
    log_p: float
    log_p_single: float
    score: float


def rows_of(
    detector: NaiveDetector, result: Result, rows: Sequence[Row], summary: str | None = None
) -> list[Row]:
    """The rows of the series of a result that count; ``summary`` is the field of their count, if any."""

    def is_of(row: Row) -> bool:
        by = key_text(row.get(detector.by)) if detector.by is not None else ""
        partition = key_text(row.get(detector.partition)) if detector.partition is not None else ""
        if detector.by is not None and by == "" and not detector.use_null:
            return False
        counts = summary is None or bool(summary_count(row.get(summary)))
        return counts and (by, partition) == (result.by, result.partition)

    return [row for row in rows if is_of(row)]


def value_of(feature: str, name: str | None, rows: Sequence[Row], summary: str | None = None) -> float | None:
    """The feature of some rows; None without a value."""
    if summary is not None:
        return _weighted_value(feature, name, rows, summary)
    if feature == "count":
        return float(len(rows))
    if feature == "distinct_count":
        return float(len({key_text(row.get(name)) for row in rows} - {""}))
    samples = [x for x in (number(row.get(name)) for row in rows) if x is not None]
    if feature == "sum":
        return math.fsum(samples)
    return statistic(feature, samples) if samples else None


def _weighted_value(feature: str, name: str | None, rows: Sequence[Row], summary: str) -> float | None:
    """The same of rows that all stand for a known number of records."""
    samples = []
    for row in rows:
        value = row.get(name) if name is not None else None
        sample: Any = 1
        if feature != "count":
            sample = key_text(value) or None if feature == "distinct_count" else number(value)
        if sample is not None:
            samples.append((sample, summary_count(row.get(summary)) or 0.0))
    if not samples:
        return 0.0 if feature in ("count", "sum", "distinct_count") else None
    return weighted_statistic(feature, samples)


def influence(
    result: Result,
    detector: NaiveDetector,
    rows: Sequence[Row],
    name: str,
    value: str,
    summary: str | None = None,
) -> float:
    """The influence of one value of one field on a result."""
    mine = rows_of(detector, result, rows, summary)
    feature, x, t = result.feature, result.actual, result.typical
    if x == t or (feature in OF_TEXTS and x < t):
        return 0.0
    bound = result.upper if x > t else result.lower
    away = abs(x - t) / abs(bound - t) if bound != t else math.inf
    k = 1.0
    if 1.25 < away < math.inf and result.log_p_single < 0.0:
        k = min(max(math.log(result.log_p_single / math.log(0.05)) / math.log(away), 0.5), 2.0)
    weight = min(away, 1.0)
    # The information of distinct values is taken to be the same for each of them.
    is_info, unit = feature == "info_content", 1.0
    if is_info:
        unit = x / (value_of("distinct_count", detector.value, mine, summary) or math.inf)

    def left(rows: Sequence[Row]) -> float | None:
        changed = value_of("distinct_count" if is_info else feature, detector.value, rows, summary)
        if is_info and changed is not None:
            changed *= unit
        return None if changed is None else max((changed - t) / (x - t), 0.0) ** k

    with_value = [row for row in mine if key_text(row.get(name)) == value]
    without = [row for row in mine if key_text(row.get(name)) != value]
    alone, rest = left(with_value), left(without)
    if feature in ("min", "max"):
        return min(alone or 0.0, 1.0) * weight
    gone = 1.0 if rest is None else max(1.0 - rest, 0.0)
    if feature in OF_TEXTS:
        assert alone is not None
        gone = max(gone, min(alone * alone, 1.0))
    return gone * weight


def all_influences(
    result: Result, detector: NaiveDetector, rows: Sequence[Row], name: str, summary: str | None = None
) -> dict[str, tuple[float, float]]:
    """Every value of a field with its influence on a result and its number of records."""
    if name == detector.by:
        return {result.by: (1.0, 0)} if result.by else {}
    if name == detector.partition:
        return {result.partition: (1.0, 0)} if result.partition else {}
    counts: dict[str, float] = defaultdict(float)
    for row in rows_of(detector, result, rows, summary):
        counts[key_text(row.get(name))] += 1.0 if summary is None else summary_count(row.get(summary)) or 0.0
    return {v: (influence(result, detector, rows, name, v, summary), n) for v, n in counts.items() if v}


def ordered(found: Mapping[str, tuple[float, float]]) -> list[str]:
    """The values to name: by influence, then rows, then text."""
    kept = [(-w, -n, value) for value, (w, n) in found.items() if w >= CUTOFF]
    return [value for _, _, value in sorted(kept)[:MOST_VALUES]]


@dataclass
class NaiveInfluencers:
    """Scores of the values of one field, bucket by bucket."""

    values: NaiveHistory = field(default_factory=NaiveHistory)
    buckets: NaiveHistory = field(default_factory=NaiveHistory)

    def score(
        self,
        day: int,
        blamed: Sequence[tuple[Result, Mapping[str, float]]],
        whole: tuple[float, float],
        scored: int,
    ) -> tuple[list[tuple[str, float, float]], tuple[float, float]]:
        """(value, log p, score) of one bucket, then log p and score of the field in it.

        `blamed` are the results, the least probable first, with the influence of their values; `whole` is
        log p and score of the bucket.
        """
        terms: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for result, values in blamed:
            for value, w in values.items():
                terms[value].append((w * result.log_p, result.score))
        found = []
        for value, parts in terms.items():
            least = min(log_p for log_p, _ in parts)
            log_p = least - math.log(math.fsum(math.exp(least - p) for p, _ in parts))
            if log_p < math.log(0.035):
                found.append((log_p, value, min(absolute_score(-log_p), max(s for _, s in parts))))
        found.sort()
        scores, _, _ = self.values.score(day, [(log_p, s) for log_p, _, s in found], 0.0, scored)
        written = [(value, log_p, s) for (log_p, value, _), s in zip(found, scores, strict=True) if s > 0.0][
            :100
        ]
        results = [(r.log_p * max(values.values()), r.score) for r, values in blamed if values]
        _, log_p, score = self.buckets.score(day, results, 0.0, scored)
        return written, (max(log_p, whole[0]), min(score, whole[1]))
