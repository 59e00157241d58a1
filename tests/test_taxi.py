"""The main job: New York taxi demand, one untuned detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tidegate

FILE = Path(__file__).parent / "data" / "nab" / "nyc_taxi.csv"
WINDOWS = {
    "marathon": ("2014-10-30T15:30", "2014-11-03T22:30"),
    "Thanksgiving": ("2014-11-25T12:00", "2014-11-29T19:00"),
    "Christmas": ("2014-12-23T11:30", "2014-12-27T18:30"),
    "New Year": ("2014-12-29T21:30", "2015-01-03T04:30"),
    "blizzard": ("2015-01-24T20:30", "2015-01-29T03:30"),
}
"""The windows that the benchmark labels as anomalous."""


@pytest.fixture(scope="module")
def job():
    """The job of the README's first command."""
    config = {
        "analysis_config": {"bucket_span": "30m", "detectors": [{"function": "mean", "field_name": "value"}]},
        "data_description": {"time_field": "timestamp"},
    }
    with tidegate.Job(config) as job:
        for batch in tidegate.read(FILE):
            job.post(batch)
    return job


@pytest.mark.parametrize("table", ["records", "buckets"])
@pytest.mark.parametrize("event", WINDOWS)
def test_every_labelled_event_is_among_the_twenty_highest(job, event, table):
    """Each labelled window has a bucket among the 20 highest of the file, by record and by bucket score."""
    results = getattr(job, table)()
    score = results["initial_record_score" if table == "records" else "initial_anomaly_score"].to_numpy()
    highest = results["timestamp"].to_numpy()[np.argsort(-score, kind="stable")[:20]]
    start, end = (np.datetime64(text, "ms").astype(np.int64) for text in WINDOWS[event])
    assert ((highest >= start) & (highest <= end)).any()


def test_scores_resolve_the_tail(job):
    """Scores are between 0 and 100, and no two of the highest are the same."""
    score = job.records()["record_score"].to_numpy()
    assert score.min() >= 0.0
    assert score.max() < 100.0
    highest = np.sort(score)[-20:]
    assert len(set(highest.tolist())) == 20


def test_every_bucket_is_there(job):
    """Every half hour but the last, which is still open, has a bucket with its one record."""
    buckets = job.buckets()
    assert buckets.num_rows == 10_319
    assert set(np.diff(buckets["timestamp"].to_numpy())) == {1_800_000}
    assert set(buckets["event_count"].to_pylist()) == {1}
