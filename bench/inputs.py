"""Named inputs, the same for our engine and its peers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SPAN_MS = 300_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
START_MS = 1_700_006_400_000  # a multiple of the span, and midnight


@dataclass(frozen=True)
class Events:
    """Records of many series, in time order, with a daily season and some anomalies."""

    time: npt.NDArray[np.int64]
    series: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    n_series: int

    def __len__(self) -> int:
        return len(self.time)

    def table(self) -> pa.Table:
        """The records as an Arrow table: int64 epoch milliseconds, dictionary keys, float64."""
        keys = pa.DictionaryArray.from_arrays(pa.array(self.series), host_names(self.n_series))
        return pa.table({"time": self.time, "host": keys, "value": self.value})

    def head(self, rows: int) -> Events:
        """The first so many records."""
        return Events(self.time[:rows], self.series[:rows], self.value[:rows], self.n_series)


def host_names(n_series: int) -> pa.Array:
    """What the series are called."""
    return pa.array([f"host-{k:06d}" for k in range(n_series)])


@lru_cache(maxsize=1)
def events(rows: int, n_series: int) -> Events:
    """Uniformly random series and times over a week; one bucket in 2,000 is off by ten deviations."""
    random = np.random.default_rng(20240229)
    time = np.sort(random.integers(0, WEEK_MS, rows)) + START_MS
    series = random.integers(0, n_series, rows).astype(np.int32)
    return Events(time, series, _values(time, series, SPAN_MS, random), n_series)


def even(n_series: int, n_buckets: int, records: int, span_ms: int = SPAN_MS) -> Events:
    """Every series has `records` records in every bucket, evenly spread: rows are a product."""
    in_bucket = n_series * records
    within = np.arange(in_bucket) * span_ms // in_bucket
    start = START_MS // span_ms * span_ms
    time = (start + span_ms * np.arange(n_buckets)[:, None] + within).reshape(-1)
    series = np.tile(np.arange(n_series, dtype=np.int32), n_buckets * records)
    return Events(time, series, _values(time, series, span_ms, np.random.default_rng(7)), n_series)


def _values(
    time: npt.NDArray[np.int64], series: npt.NDArray[np.int32], span_ms: int, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    phase = 2 * np.pi * (time % DAY_MS) / DAY_MS
    value = 100.0 + 10.0 * np.sin(phase) + random.normal(0.0, 3.0, len(time))
    value[(time // span_ms * 7919 + series) % 2000 == 0] += 30.0
    return value


def config(function: str = "mean", span: str = "5m", latency: str | None = None) -> dict[str, Any]:
    """A job over the events: by host, in buckets of five minutes."""
    fields = {} if "count" in function else {"field_name": "value"}
    analysis: dict[str, Any] = {
        "bucket_span": span,
        "detectors": [{"function": function, **fields, "by_field_name": "host"}],
    }
    if latency:
        analysis["latency"] = latency
    return {
        "analysis_config": analysis,
        "analysis_limits": {"model_memory_limit": "8gb"},
        "data_description": {"time_field": "time"},
    }
