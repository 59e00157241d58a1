"""What the naive twin makes of one record and of one bucket: parsing, cells, diagnostics."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.naive_deflate import deflated_size

LATEST_MS = 253_402_300_799_999
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FEATURES = {
    "count": ("count",),
    "non_zero_count": ("count",),
    "sum": ("sum",),
    "non_null_sum": ("sum",),
    "metric": ("mean", "min", "max"),
}
OF_TEXTS = ("distinct_count", "info_content")
"""Features of the texts of a field, which need not be numbers."""

Record = Mapping[str, Any]


class Cell(NamedTuple):
    """What a model sees of one series in one bucket; `value` None is no sample, but a sign of life."""

    bucket: int
    by: str
    partition: str
    value: float | None
    records: int


class NaiveDetector(NamedTuple):
    """A detector by its features; the names are those of the fields."""

    index: int
    features: tuple[str, ...]
    value: str | None
    by: str | None
    partition: str | None
    use_null: bool

    @classmethod
    def of(cls, index: int, config: Record) -> NaiveDetector:
        """The detector that a part of a job configuration describes."""
        function = config.get("function", "metric").removeprefix("low_").removeprefix("high_")
        return cls(
            index,
            _FEATURES.get(function, (function,)),
            config.get("field_name"),
            config.get("by_field_name"),
            config.get("partition_field_name"),
            config.get("use_null", False),
        )

    def cells(
        self, feature: str, bucket: int, records: Sequence[Record], summary: str | None = None
    ) -> Iterator[Cell]:
        """The cells that the records of a bucket come to; ``summary`` is the field of their count, if any."""
        if summary is not None:
            yield from self._weighted_cells(feature, bucket, records, summary)
            return
        groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for record in records:
            by = key_text(record.get(self.by)) if self.by is not None else ""
            partition = key_text(record.get(self.partition)) if self.partition is not None else ""
            if self.by is not None and by == "" and not self.use_null:
                continue
            if feature == "count":
                groups[by, partition].append(1)
                continue
            value = record.get(self.value)
            sample = key_text(value) or None if feature in OF_TEXTS else number(value)
            if sample is not None:
                groups[by, partition].append(sample)
        for (by, partition), samples in sorted(groups.items()):
            yield Cell(bucket, by, partition, statistic(feature, samples), len(samples))

    def _weighted_cells(
        self, feature: str, bucket: int, records: Sequence[Record], summary: str
    ) -> Iterator[Cell]:
        """The same of summarised records; a series of which nothing is known has a cell without a sample."""
        groups: dict[tuple[str, str], list[tuple[Any, float]]] = defaultdict(list)
        for record in records:
            count = summary_count(record.get(summary))
            by = key_text(record.get(self.by)) if self.by is not None else ""
            partition = key_text(record.get(self.partition)) if self.partition is not None else ""
            if (self.by is not None and by == "" and not self.use_null) or count == 0.0:
                continue
            if count is None:
                if feature in ("count", "sum"):
                    groups[by, partition] += []
                continue
            value = record.get(self.value) if self.value is not None else None
            sample: Any = 1
            if feature != "count":
                sample = key_text(value) or None if feature == "distinct_count" else number(value)
            if sample is not None:
                groups[by, partition].append((sample, count))
        for (by, partition), samples in sorted(groups.items()):
            counts_once = feature in ("sum", "distinct_count")
            records_of = len(samples) if counts_once else int(sum(w for _, w in samples))
            yield Cell(
                bucket, by, partition, weighted_statistic(feature, samples) if samples else None, records_of
            )


def summary_count(value: Any) -> float | None:
    """How many records a summarised one stands for: None is not known, 0 ignored."""
    if value is None or value in ("", "null"):
        return None
    known = number(value)
    count = 0.0 if known is None else math.floor(known + 0.5)
    return count if 1 <= count <= 2.0**53 else 0.0


def weighted_statistic(feature: str, samples: Sequence[tuple[Any, float]]) -> float | None:
    """The feature of the samples, each with how often it counts."""
    values, total = [x for x, _ in samples], sum(w for _, w in samples)
    if feature == "count":
        return total
    if feature not in ("mean", "varp"):
        return statistic(feature, values)
    mean = math.fsum(x * (w / total) for x, w in samples)
    if feature == "mean":
        return _finite(mean)
    return _finite(sum(w * (x - mean) ** 2 for x, w in samples) / total) if total >= 3 else None


def statistic(feature: str, samples: Sequence[Any]) -> float | None:
    """The feature of the samples of one series in one bucket; None if it is not a finite number."""
    n = len(samples)
    if feature == "count":
        return float(n)
    if feature == "distinct_count":
        return float(len(set(samples)))
    if feature == "info_content":
        return float(deflated_size(b"".join(sorted({text.encode() for text in samples}))))
    if feature == "min":
        return min(samples)
    if feature == "max":
        return max(samples)
    if feature == "median":
        ordered = sorted(samples)
        low, high = ordered[(n - 1) // 2], ordered[n // 2]
        return low if low == high else low / 2 + high / 2
    total = 0.0
    for sample in samples:
        total += sample
    if feature == "sum":
        return _finite(total)
    if feature == "mean":
        return _finite(total / n)
    assert feature == "varp"
    if n < 3:
        return None
    mean = math.fsum(sample / n for sample in samples)
    return _finite(sum((sample - mean) ** 2 for sample in samples) / n)


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def number(value: Any) -> float | None:
    """The finite number that a value is or, as text, stands for."""
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value.strip()) else None
    if value is None or isinstance(value, bool):
        return None
    return _finite(float(value))


def key_text(value: Any) -> str:
    """The text of a key or distinct value: numbers and booleans as in JSON, empty for none.

    JSON has no infinity: that is "inf".
    """
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value)


def parse_time(value: Any, time_format: str) -> int | None:
    """Epoch milliseconds by ``epoch`` or ``epoch_ms``, as a number, its text, or ISO-8601 text."""
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            value = float(value)
        else:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return None
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            milliseconds = int(aware.timestamp()) * 1000 + moment.microsecond // 1000
            return milliseconds if 0 <= milliseconds <= LATEST_MS else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not math.isfinite(value) or value < 0:
        return None
    time = math.floor(value) * (1000 if time_format == "epoch" else 1)
    return time if time <= LATEST_MS else None


def span_ms(value: str | int) -> int:
    """Milliseconds of a span such as 5m; a number counts seconds."""
    text = str(value)
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text) * 1000


@dataclass
class Diagnostics:
    """The sliding window over record counts per bucket; buckets are judged as they leave it."""

    span: int
    width: int
    counts: Counter[int] = field(default_factory=Counter)
    first: int | None = None
    last: int = 0
    judged: int = 0
    empty: int = 0
    sparse: int = 0
    latest_empty: int | None = None
    latest_sparse: int | None = None

    def see(self, time: int) -> None:
        """Counts a record; one older than the window was judged without it."""
        bucket = time // self.span
        if self.first is None:
            self.first = self.last = bucket
        if bucket > self.last:
            self.leave(bucket - self.width + 1)
            self.last = bucket
        if bucket >= self.first:
            self.counts[bucket] += 1

    def leave(self, until: int) -> None:
        """Judges every bucket before `until`."""
        assert self.first is not None
        while self.first < until and self.first <= self.last:
            self._judge(self.first)
            self.first += 1
        if self.first < until:
            self.judged += until - self.first
            self.empty += until - self.first
            self.latest_empty = (until - 1) * self.span
            self.first = until

    def _judge(self, bucket: int) -> None:
        self.judged += 1
        seen = [self.counts[b] for b in range(bucket, min(self.last, bucket + self.width - 1) + 1)]
        if seen[0] == 0:
            self.empty += 1
            self.latest_empty = bucket * self.span
        elif math.log(sum(seen) / len(seen)) - math.log(seen[0]) > 2:
            self.sparse += 1
            self.latest_sparse = bucket * self.span

    def drain(self) -> None:
        """Ends an upload: everything before the newest bucket is judged."""
        if self.first is not None:
            self.leave(self.last)

    def forget(self) -> None:
        """Starts again; what was judged stays counted."""
        self.first = None
        self.counts.clear()
