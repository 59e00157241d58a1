"""Scores by now of whole jobs: they depend on the final results alone, not on who looked when."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import naive_renormal as naive
from tests.strategies import Stream, cuts, streams

from tidegate import Job

HOUR = 3_600_000
START = 1_700_006_400_000 // (24 * HOUR) * 24 * HOUR
DAYS = 12


def table() -> pa.Table:
    """Twelve days of hourly values of three series, with spikes that grow and shrink."""
    rng = np.random.default_rng(3)
    n = 24 * DAYS
    values = 100.0 + rng.normal(size=(n, 3))
    for at in range(30, n, 17):
        values[at, rng.integers(3)] += 40.0 * rng.random() * rng.random() + 8.0
    return pa.table(
        {
            "t": START + HOUR * np.repeat(np.arange(n), 3),
            "k": ["a", "b", None] * n,
            "who": rng.choice(["ann", "bob", "cy"], 3 * n),
            "x": values.ravel(),
        }
    )


def job_of(days: int | None, **more: Any) -> Job:
    """An open job with influencers."""
    detector = {"function": "mean", "field_name": "x", "partition_field_name": "k"}
    analysis = {"bucket_span": "1h", "detectors": [detector], "influencers": ["k", "who"]}
    window = {} if days is None else {"renormalization_window_days": days}
    description = {"time_field": "t"}
    return Job({"analysis_config": analysis, "data_description": description, **window, **more}, threads=1)


def results(job: Job) -> dict[str, pa.Table]:
    """The final results, but for the column that measures the machine."""
    return {
        "records": job.records(exclude_interim=True),
        "buckets": job.buckets(exclude_interim=True).drop_columns(["processing_time_ms"]),
        "influencers": job.influencers(exclude_interim=True),
    }


def in_pieces(days: int | None, places: list[int]) -> tuple[Job, list[dict[str, pa.Table]]]:
    """A job that is looked at after every piece, and what was seen."""
    job, seen = job_of(days), []
    records = table()
    for begin, end in pairwise((0, *places, len(records))):
        job.post(records[begin:end])
        job.flush(calc_interim=begin % 2 == 1)
        seen.append(results(job))
    return job, seen


def lowered(job: Job) -> int:
    """How many records have a lower score than at first."""
    found = job.records(exclude_interim=True)
    return int((found["record_score"].to_numpy() < found["initial_record_score"].to_numpy()).sum())


@pytest.mark.parametrize("days", [None, 0, 1, 3])
def test_looking_changes_nothing(days: int | None) -> None:
    """Read after every piece or only once, scores by now are the same to the last bit, with any window."""
    often, seen = in_pieces(days, [100, 301, 302, 500, 700])
    once, _ = in_pieces(days, [])
    for kind, found in results(once).items():
        assert found.equals(seen[-1][kind]), kind
        assert found.equals(results(often)[kind]), kind
    assert (lowered(once) > 0) == (days != 0)


def test_a_shorter_window_lowers_less() -> None:
    """What has left the window is not lowered any more."""
    counts = [lowered(in_pieces(days, [])[0]) for days in (0, 1, 30)]
    assert counts[0] == 0 < counts[1] < counts[2]


def test_scores_are_those_of_all_computed_anew() -> None:
    """At any time, without anything out of the window, they are those computed of all results anew."""
    job, seen = in_pieces(None, [150, 151, 400])
    engine = job._engine
    past = {field: mark.latest for field, mark in zip(("k", "who"), engine.influencers.marks, strict=True)}
    raw = {kind: engine.results.table(kind, exclude_interim=True) for kind in results(job)}
    records = naive.records(raw["records"], engine.history.marks.latest)
    assert engine.history.marks.latest.any()
    buckets = naive.buckets(raw["buckets"], records).drop_columns(["processing_time_ms"])
    influencers = naive.by_score(naive.influencers(raw["influencers"], records, past))
    for kind, found in (("records", records), ("buckets", buckets), ("influencers", influencers)):
        assert found.num_rows
        assert found.equals(seen[-1][kind]), kind


def test_interim_results_keep_their_scores_beside_lowered_ones() -> None:
    """Interim rows come last and have the scores that they were given."""
    job, _ = in_pieces(None, [])
    job.post([{"t": START + HOUR * 24 * DAYS, "k": "a", "who": "ann", "x": 900.0}])
    job.flush(calc_interim=True)
    for found, name in ((job.records(), "record"), (job.influencers(), "influencer")):
        is_interim = found["is_interim"].to_pylist()
        assert any(is_interim)
        assert is_interim == sorted(is_interim)
        tail = found.filter(found["is_interim"])
        assert tail[f"{name}_score"].equals(tail[f"initial_{name}_score"])


def test_another_window_counts_from_then_on() -> None:
    """What was lowered stays lowered when renormalisation is switched off, and nothing else follows."""
    job = job_of(30)
    records = table()
    job.post(records[:450])
    job.update({"renormalization_window_days": 0})
    job.flush()
    before = job.records()
    assert lowered(job) > 0
    job.post(records[450:])
    job.flush()
    after = job.records()
    assert after.num_rows > before.num_rows
    assert after[: before.num_rows].equals(before)
    fresh = after[before.num_rows :]
    assert fresh["record_score"].equals(fresh["initial_record_score"])


@given(streams(), st.sampled_from((1, 2, 5)), st.data())
def test_cuts_and_looks_do_not_matter(stream: Stream, days: int, data: st.DataObject) -> None:
    """However a stream is cut, and read in between, scores by now are bit-identical (law 1)."""
    config = {**stream.config, "renormalization_window_days": days}
    whole, cut = Job(config, threads=1), Job(config, threads=1)
    whole.post(stream.records)
    whole.close()
    for begin, end in pairwise(data.draw(cuts(len(stream.records)))):
        cut.post(stream.records[begin:end])
        cut.flush()
        if data.draw(st.booleans()):
            cut.records()
    cut.close()
    for kind, found in results(whole).items():
        assert repr(found.to_pylist()) == repr(results(cut)[kind].to_pylist()), kind
