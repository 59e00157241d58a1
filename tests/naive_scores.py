"""The naive twin of a job's scores: its history, its records and buckets, one bucket at a time."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.naive import NaiveJob, SeriesKey
from tests.naive_cells import span_ms
from tests.naive_feature import NaiveFeature
from tests.naive_laws import DAY_MS, Settings, absolute_score, clip
from tests.naive_model import Result, Ruling
from tests.naive_rules import actions
from tests.naive_siblings import REFRESH_DAYS

SIGNIFICANT = math.log(0.01)
MAX_RECORDS = 100
BINS = 64
GROWING = ("count", "distinct_count", "info_content", "sum")
"""Features of an open bucket that still grow."""
_ZERO_FILLED = ("count", "sum")
_COUNTING = ("count", "distinct_count")
_BY_RECORDS = ("mean", "median", "min", "max", "varp")

Record = Mapping[str, Any]


@dataclass
class Ranks:
    """How many past s there were, in bins of ln(1 + s) a 5.5th of a factor e wide."""

    bins: list[float] = field(default_factory=lambda: [0.0] * BINS)
    total: float = 0.0

    def ceiling(self, s: float) -> float:
        """The most that s can score: 50 if three in a hundred surely (by two deviations) reached it."""
        if self.total < 1.0:
            return 100.0
        at = 5.5 * math.log1p(s)
        k = min(int(at), BINS - 1)
        reached = max(k + 1 - at, 0.0) * self.bins[k] + sum(self.bins[k + 1 :])
        surely = max(reached - 2.0 * math.sqrt(reached) - 1.0, 0.0)
        return 100.0 / (1.0 + surely / (0.03 * self.total))

    def remember(self, s: float) -> None:
        """Counts s."""
        self.bins[min(int(5.5 * math.log1p(s)), BINS - 1)] += 1.0

    def age(self, days: int) -> None:
        """Forgets half in 60 days."""
        keep = 0.9885 ** min(days, 10_000)
        self.bins = [keep * n for n in self.bins]
        self.total *= keep


@dataclass
class NaiveHistory:
    """The past of a job, by which records and buckets are ranked."""

    day: int = 0
    records: Ranks = field(default_factory=Ranks)
    buckets: Ranks = field(default_factory=Ranks)

    def score(
        self, day: int, found: Sequence[tuple[float, float]], min_log_p: float, scored: int
    ) -> tuple[list[float], float, float]:
        """Scores of (log p, score of the series), then log p and score of their bucket; then learns them."""
        if day > self.day:
            self.records.age(day - self.day)
            self.buckets.age(day - self.day)
            self.day = day
        scores = [min(score, self.records.ceiling(-log_p)) for log_p, score in found]
        s = bucket_score = 0.0
        if scored:
            s = -log_any([log_p for log_p, _ in found] or [min_log_p], scored)
            bucket_score = min(absolute_score(s), self.buckets.ceiling(s), max(scores, default=0.0))
            self.buckets.total += 1.0
            self.buckets.remember(s)
        self.records.total += scored
        for log_p, _ in found:
            self.records.remember(-log_p)
        return scores, -s, bucket_score


def log_any(log_p: Sequence[float], n: int) -> float:
    """Ln of the p of n together, by the harmonic mean of the p below 0.01 and where it usually lies."""
    least = min(log_p)
    log_mean = -least + math.log(math.fsum(math.exp(least - x) for x in log_p)) - math.log(n)
    usual = max(math.log(0.01 * n) + 0.874, 0.0)
    if log_mean > 300.0:
        return -log_mean
    return -math.log(max(math.exp(log_mean) - usual, 1.0))


def multi_bucket_impact(single: float, multi: float) -> float:
    """From -5 (single only) to 5 (multi only): 5 x strong / weak x difference in powers of 1000, clipped."""
    strong, weak = min(single, multi), min(max(single, multi), -0.001)
    return clip(5.0 * strong / weak * (single - multi) / math.log(1000.0), -5.0, 5.0)


@dataclass
class Usual:
    """How many records a bucket usually has, by about a day of buckets."""

    window: float
    mean: float = 0.0
    seen: float = 0.0

    def completeness(self, records: int) -> float:
        """The share of them that a bucket has, at most 1."""
        return 1.0 if self.mean <= 0.0 else min(records / self.mean, 1.0)

    def learn(self, records: int) -> None:
        """Takes a whole bucket."""
        self.seen = min(self.seen + 1.0, self.window)
        self.mean += (records - self.mean) / self.seen


def settings_of(detector: Record, feature: str, span: int, prune: int) -> Settings:
    """What the function of a detector asks of the models of a feature."""
    function = detector["function"]
    family = function.removeprefix("low_").removeprefix("high_")
    side = -1 if function.startswith("low_") else 1 if function.startswith("high_") else 0
    if function in ("min", "max", "metric"):
        side = {"min": -1, "max": 1}.get(feature, 0)
    return Settings(span, side, family in _ZERO_FILLED, prune, feature in _COUNTING, feature in _BY_RECORDS)


class NaiveModel:
    """All models and scores of a job; cells are kept until their bucket is complete."""

    def __init__(self, config: Record) -> None:
        self.config = config
        analysis = config["analysis_config"]
        self.span = span_ms(analysis.get("bucket_span", "5m"))
        default = f"{max(-(-30 * DAY_MS // self.span), 20) * self.span // 1000}"
        self.prune = max(span_ms(analysis.get("model_prune_window", default)) // self.span, 1)
        self.features: dict[tuple[int, str], NaiveFeature] = {}
        self.first: int | None = None
        """The first bucket that was ended."""
        self.history = NaiveHistory()
        self.usual = Usual(clip(DAY_MS // self.span, 12, 1000))
        self.cells: dict[tuple[int, str], dict[Hashable, tuple[float, float]]] = defaultdict(dict)
        self.events = 0
        """Records of the bucket that comes, set before its cells."""
        self.filters: dict[str, list[str]] = {}
        """The items of the filters that custom rules refer to."""
        self.is_silent = False
        """Whether what is found is to be taken for nothing."""
        self.bucket_scores: dict[tuple[int, bool], tuple[float, float]] = {}
        """Log p and score by (timestamp, is_interim)."""

    def interim(self) -> NaiveModel:
        """A copy for one series of interim results."""
        twin = copy.copy(self)
        twin.features = {key: feature.interim() for key, feature in self.features.items()}
        twin.history = copy.deepcopy(self.history)
        return twin

    def observe(self, key: SeriesKey, bucket: int, value: float | None, records: int, learn: bool) -> None:
        """Keeps a cell."""
        number = math.nan if value is None else value
        self.cells[key.detector, key.feature][key.by, key.partition] = (number, records)

    def end_bucket(self, bucket: int, skipped: int, learn: bool) -> list[dict[str, Any]]:
        """The records of the bucket, the least probable first."""
        found, min_log_p, scored = [], 0.0, 0
        for index, detector in enumerate(self.config["analysis_config"]["detectors"]):
            parts = self._features(index, detector, bucket, skipped, learn)
            penalty = math.log(len(parts))
            best: dict[Hashable, Result] = {}
            for results in parts:
                for key, result in results.items():
                    if key not in best or result.log_p < best[key].log_p:
                        best[key] = result
            scored += max(map(len, parts))
            for key, result in best.items():
                log_p = min(result.log_p + penalty, 0.0)
                min_log_p = min(min_log_p, log_p)
                if log_p < SIGNIFICANT:
                    found.append((log_p, index, key, result))
        found.sort(key=lambda row: row[0])
        if self.is_silent:
            found, min_log_p = [], 0.0
        day = bucket * self.span // DAY_MS
        pairs = [(log_p, result.score) for log_p, _, _, result in found]
        scores, *of_bucket = self.history.score(day, pairs, min_log_p, scored)
        self.bucket_scores[bucket * self.span, not learn] = (of_bucket[0], of_bucket[1])
        if learn:
            self.usual.learn(self.events)
            self.ask_siblings(bucket)
        records = [self._record(bucket, *row, score) for row, score in zip(found, scores, strict=True)]
        return records[:MAX_RECORDS]

    def ask_siblings(self, bucket: int) -> None:
        """After some of the first days the series learn what they have in common."""
        self.first = bucket if self.first is None else min(self.first, bucket)
        ends = [(self.first * self.span + days * DAY_MS) // self.span for days in REFRESH_DAYS]
        if bucket + 1 in ends:
            for feature in self.features.values():
                feature.ask_siblings()

    def _features(
        self, index: int, detector: Record, bucket: int, skipped: int, learn: bool
    ) -> list[dict[Hashable, Result]]:
        """What each feature of a detector found."""
        family = detector["function"].removeprefix("low_").removeprefix("high_")
        of_family = {"metric": ("mean", "min", "max"), "non_null_sum": ("sum",), "non_zero_count": ("count",)}
        parts = []
        for feature in of_family.get(family, (family,)):
            key = (index, feature)
            if key not in self.features:
                self.features[key] = NaiveFeature(settings_of(detector, feature, self.span, self.prune))
                if "custom_rules" in detector:
                    self.features[key].ruling_of = partial(self._ruling, detector)
            growing = feature in GROWING and not learn
            completeness = self.usual.completeness(self.events) if growing else 1.0
            cells = self.cells.pop(key, {})
            parts.append(self.features[key].observe(bucket, bucket - skipped, cells, completeness))
        return parts

    def _ruling(self, detector: Record, key: Hashable) -> Ruling:
        """What the custom rules of a detector do with the values of a series."""
        assert isinstance(key, tuple)
        fields = {detector.get("by_field_name"): key[0], detector.get("partition_field_name"): key[1]}
        rules = detector["custom_rules"]

        def ruling(bucket: int, actual: float, typical: float) -> frozenset[str]:
            return actions(rules, self.filters, fields, (actual, typical, bucket * self.span / 1000))

        return ruling

    def _record(
        self, bucket: int, log_p: float, index: int, key: Hashable, result: Result, score: float
    ) -> dict[str, Any]:
        """One record, by the names of the results where they have one."""
        assert isinstance(key, tuple)
        return {
            "timestamp": bucket * self.span,
            "detector_index": index,
            "by_field_value": key[0],
            "partition_field_value": key[1],
            "log_probability": log_p,
            "probability": max(math.exp(max(log_p, -800.0)), 2.2250738585072014e-308),
            "actual": result.actual,
            "typical": result.typical,
            "lower": result.lower,
            "upper": result.upper,
            "impact": multi_bucket_impact(result.log_p_single, result.log_p_multi),
            "record_score": score,
        }


class ScoredJob(NaiveJob):
    """The naive job with the naive model in it."""

    def __init__(self, config: Record) -> None:
        self.learned = NaiveModel(config)
        self._passing: NaiveModel | None = None
        super().__init__(config, self.learned)

    def flush(self, *args: Any, **kwargs: Any) -> int | None:
        """Every flush begins its interim results from what was learned."""
        self._passing = None
        return super().flush(*args, **kwargs)

    def _result(self, bucket: int, records: Sequence[Record], *, is_interim: bool) -> None:
        if is_interim and self._passing is None:
            self._passing = self.learned.interim()
        self.model = self._passing if is_interim else self.learned
        self.model.events = self.event_count(records)
        super()._result(bucket, records, is_interim=is_interim)
