"""A small job, its records, and comparisons, for tests of stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import tidegate

SPAN_MS = 300_000
START_S = 1_700_000_100
KINDS = ("buckets", "records", "influencers", "model_plot")


def config(job_id: str = "web", **changes: Any) -> dict[str, Any]:
    """A job over hosts, with influencers and a model plot."""
    return {
        "job_id": job_id,
        "analysis_config": {
            "bucket_span": "5m",
            "detectors": [
                {"function": "mean", "field_name": "value", "by_field_name": "host"},
                {"function": "count"},
            ],
            "influencers": ["host"],
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "model_plot_config": {"enabled": True, "terms": "h1"},
        **changes,
    }


def table(part: int, rows: int = 120, seconds: int = 1200) -> pa.Table:
    """The records of a part of the stream; one part in four has something unusual in it."""
    rng = np.random.default_rng(part)
    host = rng.integers(0, 5, rows)
    value = rng.normal(10.0 + host, 1.0)
    if part % 4 == 3:
        value[: rows // 10] *= 9.0
    time = START_S + part * seconds + np.sort(rng.integers(0, seconds, rows))
    names = np.array([f"h{k}" for k in range(5)])
    return pa.table({"time": time, "host": names[host], "value": value, "unread": rng.random(rows)})


def results(job: Any) -> dict[str, pa.Table]:
    """All results of a job but for the time that they took."""
    tables = {kind: getattr(job, kind)() for kind in KINDS}
    return {
        kind: found.drop_columns([name for name in ("processing_time_ms",) if name in found.column_names])
        for kind, found in tables.items()
    }


def counts(job: Any) -> dict[str, Any]:
    """The counts of a job but for the wall clock's."""
    return {name: value for name, value in job.data_counts.to_dict().items() if name != "last_data_time"}


def in_memory(parts: range, **changes: Any) -> tidegate.Job:
    """The job that was never stored."""
    job = tidegate.Job(config(**changes))
    for part in parts:
        job.post(table(part))
    job.close()
    return job


def assert_same(found: Any, expected: Any) -> None:
    """Two jobs have the same results and counts, bit for bit."""
    theirs = results(expected)
    for kind, mine in results(found).items():
        assert mine.equals(theirs[kind]), f"{kind} differ:\n{mine}\n{theirs[kind]}"
    assert counts(found) == counts(expected)


def new_store(folder: Path, **options: Any) -> tidegate.Store:
    """A store with the job in it."""
    store = tidegate.Store(folder, **options)
    store.put_job(config())
    return store
