"""Jobs with influencers for the tests: hourly records, bursts, and what is said of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from tidegate import Job
from tidegate.rowlog import RowLog

Rows = list[dict[str, Any]]


@contextmanager
def folding(rows: int) -> Iterator[None]:
    """Makes the rows of open buckets be folded when there are more, whether it saves memory or not."""
    with (
        mock.patch("tidegate.rowlog.FOLD_ROWS", rows),
        mock.patch.object(RowLog, "_shrinks", return_value=True),
    ):
        yield


def results(job: Job) -> dict[str, Rows]:
    """All final results but the column that measures the machine."""
    return {
        "buckets": job.buckets(exclude_interim=True).drop_columns(["processing_time_ms"]).to_pylist(),
        "records": job.records(exclude_interim=True).to_pylist(),
        "influencers": job.influencers(exclude_interim=True).to_pylist(),
    }


HOUR = 3_600_000
START = 1_700_006_400_000


def hourly(hours: int, per_hour: int, seed: int = 3, **fields: int) -> Rows:
    """So many records an hour at random times; each field has as many values as it says."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, hours * HOUR, hours * per_hour)) + START
    columns = {name: rng.integers(0, n, len(time)) for name, n in fields.items()}
    value = rng.normal(100.0, 5.0, len(time))
    return [
        {"t": int(time[i]), "x": float(value[i]), **{f: f"{f}{c[i]}" for f, c in columns.items()}}
        for i in range(len(time))
    ]


def job_of(detector: dict[str, Any], *fields: str, **analysis: Any) -> Job:
    """A job of one detector and some influencers, in hourly buckets."""
    return Job(
        {
            "job_id": "blame",
            "analysis_config": {
                "bucket_span": "1h",
                "detectors": [detector],
                "influencers": list(fields),
                **analysis,
            },
            "data_description": {"time_field": "t"},
        }
    )


def finished(detector: dict[str, Any], records: Rows, *fields: str, **analysis: Any) -> Job:
    """The job after all records."""
    job = job_of(detector, *fields, **analysis)
    job.post(sorted(records, key=lambda record: record["t"]))
    job.flush(advance_time=(max(r["t"] for r in records) // HOUR + 2) * HOUR)
    return job


def worst(job: Job, hour: int) -> dict[str, str]:
    """The value of every field that ranks first in an hour."""
    rows = [row for row in job.influencers().to_pylist() if row["timestamp"] == START + hour * HOUR]
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["influencer_field_name"], row["influencer_field_value"])
    return first


def record_at(job: Job, hour: int) -> dict[str, Any]:
    """The least probable record of an hour, its influencers as a dict."""
    rows = [row for row in job.records().to_pylist() if row["timestamp"] == START + hour * HOUR]
    row = min(rows, key=lambda row: row["probability"])
    named = row["influencers"] or []
    return {
        **row,
        "influencers": {p["influencer_field_name"]: p["influencer_field_values"] for p in named},
    }


def burst(hour: int, size: int, seed: int = 9, **values: Any) -> Rows:
    """Records of one hour that share the values given."""
    rng = np.random.default_rng(seed)
    base = {"x": 100.0, **values}
    return [{"t": START + hour * HOUR + int(t), **base} for t in np.sort(rng.integers(0, HOUR, size))]
