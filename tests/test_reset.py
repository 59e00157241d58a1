"""Resetting open buckets: what was sent wrongly can be sent again while its bucket is open."""

from __future__ import annotations

import numpy as np
import pytest

import tidegate

HOUR = 3_600_000
START = 1_700_006_400_000
DETECTORS = [
    {"function": "count", "by_field_name": "host"},
    {"function": "mean", "field_name": "value"},
    {"function": "median", "field_name": "value", "by_field_name": "host"},
]


def job() -> tidegate.Job:
    """A job that keeps two full buckets open behind the newest."""
    return tidegate.Job(
        {
            "analysis_config": {"bucket_span": "1h", "latency": "2h", "detectors": DETECTORS},
            "data_description": {"time_field": "time"},
        }
    )


def records(first: int, last: int, value: float) -> dict[str, list]:
    """Six records an hour of two hosts."""
    time = np.arange(first * 6, last * 6) * (HOUR // 6) + START
    return {
        "time": time.tolist(),
        "value": [value + k % 5 for k in range(len(time))],
        "host": ["a" if k % 3 else "b" for k in range(len(time))],
    }


def results(target: tidegate.Job) -> tuple:
    """Final buckets and records, once everything is closed."""
    target.flush(advance_time=START + 100 * HOUR)
    return target.buckets().drop_columns(["processing_time_ms"]), target.records()


@pytest.mark.parametrize("end", [START + 51 * HOUR, START + 50 * HOUR + 1000, "", None])
def test_a_reset_bucket_can_be_sent_again(end):
    """Wrong records of an open bucket, reset and sent again rightly, leave no trace in the results."""
    right, wrong = job(), job()
    right.post(records(0, 50, 10.0))
    right.post(records(50, 51, 10.0))
    wrong.post(records(0, 50, 10.0))
    wrong.post(records(50, 51, 900.0))
    counts = wrong.post(records(50, 51, 10.0), reset_start=START + 50 * HOUR, reset_end=end)
    assert counts.processed_record_count == 6
    expected, got = results(right), results(wrong)
    assert got[0].equals(expected[0])
    assert got[1].equals(expected[1])


def test_finalised_buckets_cannot_be_reset():
    """A reset reaches the open buckets only: what is final stays."""
    right, wrong = job(), job()
    for target in (right, wrong):
        target.post(records(0, 50, 10.0))
    wrong.post([], reset_start=START, reset_end=START + 40 * HOUR)
    assert results(wrong)[0].equals(results(right)[0])


def test_wrong_reset_range():
    """A reset that ends before it begins is refused."""
    with pytest.raises(tidegate.RequestError, match="Invalid time range"):
        job().post([], reset_start=START, reset_end=START - HOUR)
