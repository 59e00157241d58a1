"""Scores by now: lowered by what came later, and the initial ones never touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidegate import Job

HOUR = 3600
START = 1_700_000_400 // HOUR * HOUR


def job_of(values: dict[str, Any], cut: int | None = None) -> Job:
    """A job that was given hourly values of some series, flushed once more at the cut."""
    job = Job(
        {
            "analysis_config": {
                "bucket_span": "1h",
                "detectors": [{"function": "mean", "field_name": "v", "by_field_name": "k"}],
            },
            "data_description": {"time_field": "t", "time_format": "epoch"},
        }
    )
    n = len(next(iter(values.values())))
    table = pa.table(
        {
            "t": np.repeat(START + HOUR * np.arange(n), len(values)),
            "k": list(values) * n,
            "v": np.stack(list(values.values()), axis=1).ravel(),
        }
    )
    for part in (table,) if cut is None else (table[:cut], table[cut:]):
        job.post(part)
        job.flush()
    return job


def noise(seed: int, spikes: dict[int, float]) -> Any:
    """Sixty days of noise of deviation 1 around 100, with spikes."""
    values = 100.0 + np.random.default_rng(seed).normal(size=1440)
    for at, size in spikes.items():
        values[at] += size
    return values


def scores(job: Job, key: str, hour: int) -> tuple[float, float]:
    """Initial score and score by now of a record."""
    for row in job.records().to_pylist():
        if row["by_field_value"] == key and row["timestamp"] == 1000 * (START + HOUR * hour):
            return row["initial_record_score"], row["record_score"]
    raise AssertionError(f"{key} has no record at {hour}")


def test_a_later_and_larger_event_lowers_what_came_before() -> None:
    """An event a fifth of a later one keeps some 0.3 of its score; the larger one and other series all."""
    job = job_of({"a": noise(1, {600: 10.0, 1200: 50.0}), "b": noise(2, {610: 10.0})})
    initial, now = scores(job, "a", 600)
    assert initial > 50.0
    assert now == pytest.approx(0.3 * initial, rel=0.15)
    for key, hour in (("a", 1200), ("b", 610)):
        initial, now = scores(job, key, hour)
        assert now == initial > 50.0


def test_an_earlier_and_larger_event_lowers_nothing() -> None:
    """What comes after has no larger one after it."""
    initial, now = scores(job_of({"a": noise(1, {600: 50.0, 1200: 20.0})}), "a", 1200)
    assert now == initial


def test_a_bucket_scores_no_more_than_its_records_by_now() -> None:
    """Buckets and their influencers follow their records; initial scores are what they were."""
    job = job_of({"a": noise(1, {600: 10.0, 1200: 50.0})})
    of_bucket = {row["timestamp"]: row["record_score"] for row in job.records().to_pylist()}
    lowered = 0
    for row in job.buckets().to_pylist():
        assert row["anomaly_score"] <= row["initial_anomaly_score"]
        assert row["anomaly_score"] <= of_bucket.get(row["timestamp"], 0.0)
        for part in row["bucket_influencers"]:
            assert part["anomaly_score"] == row["anomaly_score"]
            assert part["initial_anomaly_score"] == row["initial_anomaly_score"]
        lowered += row["anomaly_score"] < row["initial_anomaly_score"]
    assert lowered


def test_scores_by_now_do_not_depend_on_how_records_came() -> None:
    """Cut into two flushes, the scores by now are the same to the last bit."""
    values = {"a": noise(1, {600: 10.0, 1200: 50.0}), "b": noise(2, {610: 10.0})}
    whole, cut = job_of(values), job_of(values, cut=1411)
    assert whole.records().equals(cut.records())
    assert whole.buckets().drop(["processing_time_ms"]).equals(cut.buckets().drop(["processing_time_ms"]))


def test_interim_results_keep_their_scores() -> None:
    """What may still change has no score but the one it was given."""
    job = job_of({"a": noise(1, {600: 10.0, 1439: 50.0})})
    job.flush(calc_interim=True)
    rows = [row for row in job.records().to_pylist() if row["is_interim"]]
    assert rows
    assert all(row["record_score"] == row["initial_record_score"] for row in rows)
