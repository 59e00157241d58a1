"""Named inputs, the same for our engine and its peers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SPAN_MS = 300_000
WEEK_MS = 7 * 86_400_000
START_MS = 1_700_006_400_000  # a multiple of the span


@dataclass(frozen=True)
class Events:
    """A week of records of many series, in time order, with a daily season and some anomalies."""

    time: npt.NDArray[np.int64]
    series: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    n_series: int

    def table(self) -> pa.Table:
        """The records as an Arrow table: int64 epoch milliseconds, dictionary keys, float64."""
        names = pa.array([f"host-{k:06d}" for k in range(self.n_series)])
        keys = pa.DictionaryArray.from_arrays(pa.array(self.series), names)
        return pa.table({"time": self.time, "host": keys, "value": self.value})


@cache
def events(rows: int, n_series: int) -> Events:
    """Uniformly random series and times over a week; one bucket in 2,000 is off by ten deviations."""
    random = np.random.default_rng(20240229)
    time = np.sort(random.integers(0, WEEK_MS, rows)) + START_MS
    series = random.integers(0, n_series, rows).astype(np.int32)
    phase = 2 * np.pi * (time % 86_400_000) / 86_400_000
    value = 100.0 + 10.0 * np.sin(phase) + random.normal(0.0, 3.0, rows)
    value[(time // SPAN_MS * 7919 + series) % 2000 == 0] += 30.0
    return Events(time, series, value, n_series)


def config(function: str = "mean", **detector: Any) -> dict[str, Any]:
    """A job over the events: by host, in buckets of five minutes."""
    fields = {} if "count" in function else {"field_name": "value"}
    return {
        "analysis_config": {
            "bucket_span": "5m",
            "detectors": [{"function": function, **fields, "by_field_name": "host", **detector}],
        },
        "data_description": {"time_field": "time"},
    }
