"""The laws of DESIGN.md, "What must always hold": 1, 3, 4, 5 and 6, over long and lively streams."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from unittest import mock

import pyarrow as pa
from hypothesis import event, given
from hypothesis import strategies as st
from tests.naive import AGREE, NaiveJob
from tests.strategies import BASE_MS, Scenario, Stream, cuts, scenarios, streams
from tests.test_twin import seconds, small_pieces

from tidegate import Job

Rows = list[dict[str, Any]]


def results(job: Job) -> dict[str, Rows]:
    """The final buckets and records, every column but the one that measures the machine."""
    return {
        "buckets": job.buckets(exclude_interim=True).drop_columns(["processing_time_ms"]).to_pylist(),
        "records": job.records(exclude_interim=True).to_pylist(),
    }


def assert_identical(ours: dict[str, Rows], others: dict[str, Rows]) -> None:
    """Asserts that results are the same to the last bit; the text of a float has them all."""
    for kind, rows in ours.items():
        assert list(map(repr, rows)) == list(map(repr, others[kind])), kind


def in_one_go(stream: Stream, threads: int = 1) -> Job:
    """The job after one post and a close."""
    job = Job(stream.config, threads=threads)
    job.post(stream.records)
    job.close()
    return job


def _as_columns(records: Rows) -> Any:
    return pa.Table.from_pylist(records).to_batches()[0] if records else []


def _as_json(records: Rows) -> Any:
    return "\n".join(json.dumps(record) for record in records).encode()


FORMS: Sequence[Callable[[Rows], Any]] = (list, iter, _as_columns, _as_json)
ACTS = ("nothing", "flush", "reopen")


@given(streams(), st.data())
def test_cuts_do_not_matter(stream: Stream, data: st.DataObject) -> None:
    """However a stream is cut into posts, in whatever form, final results are bit-identical (law 1)."""
    places = data.draw(cuts(len(stream.records)))
    job = Job(stream.config, threads=1)
    for begin, end in pairwise(places):
        form, act = data.draw(st.sampled_from(FORMS)), data.draw(st.sampled_from(ACTS))
        job.post(form(stream.records[begin:end]))
        if act == "flush":
            job.flush()
        elif act == "reopen":
            job.close()
            job.open()
    job.close()
    whole = in_one_go(stream)
    event(f"records: {min(whole.records().num_rows, 3)}")
    assert_identical(results(job), results(whole))


@given(streams(), st.integers(1, 60), st.integers(1, 20))
def test_passes_do_not_matter(stream: Stream, rows: int, buckets: int) -> None:
    """How many rows and buckets a pass takes, and when the buffer is drained, changes nothing (law 1)."""
    with small_pieces(rows=rows, buckets=buckets):
        job = in_one_go(stream)
    assert_identical(results(job), results(in_one_go(stream)))


@given(scenarios(), st.data())
def test_cuts_do_not_matter_to_nasty_streams(scenario: Scenario, data: st.DataObject) -> None:
    """Cuts do not matter to disordered streams with strays and holes either (law 1)."""
    records = scenario.records
    places = data.draw(cuts(len(records)))
    whole, cut = Job(scenario.config, threads=1), Job(scenario.config, threads=1)
    whole.post(records)
    whole.close()
    for begin, end in pairwise(places):
        cut.post(records[begin:end])
        cut.flush()
    cut.close()
    assert_identical(results(cut), results(whole))
    assert cut.data_counts.input_record_count == whole.data_counts.input_record_count == len(records)


@given(streams())
def test_threads_do_not_matter(stream: Stream) -> None:
    """One thread and three give bit-identical results, with the work really split (law 3)."""
    with mock.patch("tidegate.model._PIECE", 1), mock.patch("tidegate.passes._PIECE_ROWS", 1):
        one, three = in_one_go(stream, threads=1), in_one_go(stream, threads=3)
    assert_identical(results(three), results(one))


@given(streams(), st.data())
def test_interim_results_change_nothing(stream: Stream, data: st.DataObject) -> None:
    """Flushes with interim results in between, of any range, leave final results as they were (law 4)."""
    places = data.draw(cuts(len(stream.records)))
    job = Job(stream.config, threads=1)
    for begin, end in pairwise(places):
        job.post(stream.records[begin:end])
        arguments: dict[str, Any] = {"calc_interim": True}
        if begin < end and data.draw(st.booleans()):
            now = stream.records[end - 1]["t"] // 1000 * 1000
            arguments["start"] = now - data.draw(st.integers(0, 4)) * stream.span
            arguments["end"] = now + data.draw(st.integers(0, 4)) * stream.span
        job.flush(**seconds(arguments))
    job.close()
    assert_identical(results(job), results(in_one_go(stream)))


def test_cuts_do_not_matter_to_ties_after_a_stray_first_record() -> None:
    """Records of equal probability come in the same order wherever the stream was cut (law 1)."""
    config = {
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [{"function": "mean", "field_name": "x", "by_field_name": "k"}],
        },
        "data_description": {"time_field": "t"},
    }
    hour, start = 3_600_000, BASE_MS - BASE_MS % 3_600_000
    stray = [{"t": start + 10**12, "k": "b", "x": 1}]
    records = [{"t": start + k, "k": "c", "x": 1} for k in range(AGREE)]
    records += [
        {"t": start + at * hour, "k": key, "x": 500 if at == 50 else 10 + at % 2}
        for at in range(1, 55)
        for key in "ab"
    ]
    one, two = Job(config, threads=1), Job(config, threads=1)
    one.post(stray + records)
    two.post(stray)
    two.flush()
    two.post(records)
    one.close()
    two.close()
    assert one.records().num_rows > 0
    assert_identical(results(one), results(two))


def _shuffled(stream: Stream, rng: random.Random) -> Rows:
    """The records with those late that may be: never by more than the latency, in any order in between."""
    buckets = stream.latency // stream.span

    def turn(record: dict[str, Any]) -> tuple[int, float]:
        return record["t"] // stream.span + rng.randint(0, buckets), rng.random()

    return sorted(stream.records, key=turn)


def _by_series(records: Rows) -> dict[tuple[Any, ...], dict[str, Any]]:
    names = ("timestamp", "detector_index", "by_field_value", "partition_field_value")
    return {tuple(record[name] for name in names): record for record in records}


def _same(a: Any, b: Any) -> bool:
    """Whether two results are the same to rounding."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) or (a != a and b != b)
    return bool(a == b)


@given(streams(), st.integers(0, 2**32 - 1))
def test_order_within_open_buckets_does_not_matter(stream: Stream, seed: int) -> None:
    """Records in any order that no bucket closes on give the same results to rounding (law 5)."""
    records = _shuffled(stream, random.Random(seed))
    job = Job(stream.config, threads=1)
    assert job.post(records).out_of_order_timestamp_count == 0
    job.flush(advance_time=max(r["t"] for r in records) // 1000 + 1)
    ordered = Job(stream.config, threads=1)
    ordered.post(stream.records)
    ordered.flush(advance_time=stream.records[-1]["t"] // 1000 + 1)
    ours, theirs = results(job), results(ordered)
    assert len(ours["buckets"]) == len(theirs["buckets"])
    for one, other in zip(ours["buckets"], theirs["buckets"], strict=True):
        assert _same(one, other)
    mine, others = _by_series(ours["records"]), _by_series(theirs["records"])
    assert mine.keys() == others.keys()
    for key, record in mine.items():
        assert _same(record, others[key]), key


@given(streams())
def test_every_record_of_a_clean_stream_is_in_a_bucket(stream: Stream) -> None:
    """Event counts of final and interim buckets and the first, partial bucket make up the stream (law 6)."""
    job = Job(stream.config, threads=1)
    counts = job.post(stream.records)
    job.flush(calc_interim=True)
    assert counts.processed_record_count == counts.input_record_count == len(stream.records)
    first = stream.records[0]["t"]
    whole = -(-first // stream.span) * stream.span
    partial = sum(record["t"] < whole for record in stream.records)
    assert sum(job.buckets()["event_count"].to_pylist()) + partial == len(stream.records)


@given(scenarios())
def test_every_record_is_accounted_for(scenario: Scenario) -> None:
    """A processed record is in a bucket, open, ignored, or of a bucket partly seen or skipped (law 6)."""
    job, twin = Job(scenario.config, threads=1), NaiveJob(scenario.config)
    posted = 0
    for act, what in scenario.acts:
        if act == "post":
            upload = job.post(what)
            assert upload.input_record_count == len(what)
            posted += len(what)
            twin.post(what)
        elif act == "flush":
            job.flush(**seconds(what))
            twin.flush(**what)
    job.flush()
    counts = job.data_counts
    assert counts.input_record_count == posted
    events = sum(job.buckets(exclude_interim=True)["event_count"].to_pylist())
    left_out = counts.ignored_record_count + counts.waiting_record_count + twin.discarded + twin.open_records
    assert events + left_out == counts.processed_record_count
