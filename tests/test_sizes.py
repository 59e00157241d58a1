"""Whole jobs, reset and at their memory limit (sections 1.8 and 4.5 of the contract)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegate import DataCounts, Job, StateError

START = 1_514_764_800_000


def configured(detector: dict[str, Any], span: str) -> dict[str, Any]:
    """The configuration of a job of one detector."""
    return {
        "analysis_config": {"bucket_span": span, "detectors": [detector]},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"},
    }


def test_e15_a_reset_job_is_as_new() -> None:
    """After 101 buckets, close and reset there are no buckets and no counts; then the job runs again."""
    config = configured({"function": "count"}, "30m")
    records = [{"time": START + 1_800_000 * bucket} for bucket in range(101)]
    job = Job(config)
    with pytest.raises(StateError, match=r"Can only reset a job when it is closed\."):
        job.reset()
    job.post(records)
    job.close()
    assert job.buckets().num_rows == 100
    first = job.buckets().select(["timestamp", "anomaly_score", "event_count"])
    job.reset()
    assert job.state == "closed"
    assert job.buckets().num_rows == 0
    assert job.data_counts == DataCounts(job_id=job.job_id)
    job.open()
    job.post(records)
    job.close()
    assert job.buckets().select(["timestamp", "anomaly_score", "event_count"]).equals(first)


@pytest.mark.parametrize("role", ["by_field_name", "partition_field_name"])
def test_e17_a_job_at_its_memory_limit_goes_on(role: str) -> None:
    """With 30 MB and more series than fit, further ones are refused and counted, the others go on.

    The established engine is full with some 11,000 series; ours are smaller.
    """
    config = configured({"function": "mean", "field_name": "value", role: "key"}, "1h")
    config["analysis_limits"] = {"model_memory_limit": "30mb"}
    names = pa.array([f"series {k}" for k in range(24_000)])
    job = Job(config)
    for hour in range(40):
        time = np.full(len(names), START + 3_600_000 * hour)
        value = np.sin(np.arange(len(names)) + 0.26 * hour) + 2.0
        job.post(pa.table({"time": time, "value": value, "key": names}))
    job.flush()
    sizes = job.model_size_stats
    assert sizes.memory_status == "hard_limit"
    assert 24 << 20 < sizes.model_bytes <= 30 << 20
    assert sizes.refused_series_record_count == job.data_counts.refused_series_record_count > 0
    known = job.series_count
    assert known < len(names)
    assert job.buckets().num_rows == 39
    job.post([{"time": START + 3_600_000 * 40, "value": 1e6, "key": "series 0"}])
    job.flush(advance_time=START + 3_600_000 * 41)
    assert job.series_count == known
    [worst] = job.records().filter(pc.greater(job.records()["record_score"], 75)).to_pylist()
    assert worst[role.replace("name", "value")] == "series 0"


def test_a_small_job_is_far_from_its_limit() -> None:
    """What ten series take is a few hundred KB, most of it room in the tables."""
    job = Job(configured({"function": "count", "by_field_name": "key", "partition_field_name": "site"}, "1h"))
    job.post([{"time": START, "key": f"k{k % 5}", "site": f"s{k % 2}"} for k in range(10)])
    job.flush(advance_time=START + 3_600_000)
    sizes = job.model_size_stats
    assert (sizes.memory_status, sizes.total_by_field_count, sizes.total_partition_field_count) == (
        "ok",
        5,
        2,
    )
    assert sizes.model_bytes < 1 << 20
    assert sizes.to_dict()["result_type"] == "model_size_stats"
