"""Grids of hourly buckets and series through jobs of one series each, and alarms counted in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import tidegate

from .inputs import START_MS

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SPAN_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Judged:
    """What jobs say of a grid; both arrays are (buckets, series)."""

    log_p: F64
    """Natural logarithm of the probability; 0 where it is 0.01 or more, or there is no record."""
    score: F64
    """`initial_record_score`, 0 where there is no record."""


def judge(values: F64, function: str) -> Judged:
    """Runs one job a series over values (buckets, series); NaN is a bucket without a record.

    With `count` a value is a number of records, which are posted one by one: a count by way of
    `sum` would be modelled as any other number. One job a series, since scores are also relative
    to the job's own past, which series of other kinds should not be part of.
    """
    log_p, score = np.zeros(values.shape), np.zeros(values.shape)
    for s in range(values.shape[1]):
        records = _records(values[:, s], function)
        at = (records["timestamp"].to_numpy() - START_MS) // SPAN_MS
        log_p[at, s] = records["log_probability"].to_numpy()
        score[at, s] = records["initial_record_score"].to_numpy()
    return Judged(log_p, score)


def _records(value: F64, function: str) -> pa.Table:
    """The records of one series, whose job begins before its first bucket and ends with its last."""
    time_ms = times(len(value))
    if function == "count":
        data = pa.table({"time": np.repeat(time_ms, value.astype(np.int64))})
        detector: dict[str, Any] = {"function": function}
    else:
        has_record = ~np.isnan(value)
        data = pa.table({"time": time_ms[has_record], "value": value[has_record]})
        detector = {"function": function, "field_name": "value"}
    config = {
        "analysis_config": {"bucket_span": f"{SPAN_MS // 1000}s", "detectors": [detector]},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"},
    }
    with tidegate.Job(config, threads=1) as job:
        job.flush(advance_time=START_MS)
        job.post(data)
        job.flush(advance_time=START_MS + len(value) * SPAN_MS)
        return job.records()


def times(buckets: int) -> I64:
    """Starts of the buckets of a grid in epoch milliseconds; the first is a midnight."""
    return START_MS + SPAN_MS * np.arange(buckets)


def runs(alarm: Flags) -> int:
    """How many runs of consecutive alarms there are, from bucket (axis 0) to bucket of a series.

    >>> runs(np.array([[True, False], [True, True], [False, True], [True, False]]))
    3
    """
    return int(alarm[0].sum() + (alarm[1:] & ~alarm[:-1]).sum()) if len(alarm) else 0
