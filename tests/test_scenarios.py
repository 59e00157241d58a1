"""The contract's end-to-end scenarios (section 1.8) and its table of flush answers (1.6)."""

from __future__ import annotations

import json
import random
from typing import Any

import pyarrow as pa
import pytest

from tidegate import Job
from tidegate.errors import TimeError

HOUR = 3_600_000
FAREQUOTE_MS = 1_403_481_600_000


def job_of(
    detector: dict[str, Any], span: str | int = "1h", time_format: str = "epoch", **analysis: Any
) -> Job:
    """A job of one detector."""
    return Job(
        {
            "job_id": "scenario",
            "analysis_config": {"bucket_span": span, "detectors": [detector], **analysis},
            "data_description": {"time_field": "time", "time_format": time_format},
        },
        threads=1,
    )


def rows(table: pa.Table, *names: str) -> list[Any]:
    """The rows of some columns as tuples, of one column as values."""
    columns = [table[name].to_pylist() for name in names]
    return columns[0] if len(names) == 1 else list(zip(*columns, strict=True))


def end_of(job: Job, **arguments: Any) -> int | None:
    """The last finalised bucket end that a flush answers."""
    return job.flush(**arguments).last_finalized_bucket_end


def farequote(span: str = "1h") -> Job:
    """The job of the farequote scenarios."""
    return job_of({"function": "metric", "field_name": "responsetime", "by_field_name": "airline"}, span)


def farequote_lines(*times: int) -> bytes:
    """Records of the farequote data as NDJSON, every value text, every line 88 bytes long."""
    lines = [
        json.dumps(
            {"airline": airline, "responsetime": value, "sourcetype": "farequote", "time": str(time)},
            separators=(",", ":"),
        )
        for time, airline, value in zip(
            times, ("AAL", "JZA", "JBU", "KLM", "NKS"), _RESPONSE_TIMES, strict=False
        )
    ]
    return "\n".join(lines).encode()


_RESPONSE_TIMES = ("132.2046", "990.4628", "877.5927", "135.2417", "999.4636")


# Interim results


def test_e1_interim_results_give_way_when_the_bucket_completes() -> None:
    """An unusual open bucket has two interim records; completed after a reopening it has one, final."""
    job = job_of({"function": "mean", "field_name": "value", "by_field_name": "by_field"})
    start = 1_491_004_800

    def post(hour: int, **values: float) -> None:
        job.post(
            [{"time": start + 3600 * hour, "value": value, "by_field": by} for by, value in values.items()]
        )

    for hour in range(48):
        post(hour, foo=1000, bar=1000)
    post(48, foo=1, bar=1)
    job.flush(calc_interim=True)
    job.close()
    bucket = (start + 48 * 3600) * 1000
    assert sorted(rows(job.records(), "timestamp", "by_field_value", "is_interim")) == [
        (bucket, "bar", True),
        (bucket, "foo", True),
    ]
    assert rows(job.buckets(), "timestamp", "is_interim")[-1] == (bucket, True)

    job.open()
    post(48, foo=2000)
    post(49, foo=1000, bar=1000)
    job.close()
    assert rows(job.records(), "timestamp", "by_field_value", "is_interim") == [(bucket, "bar", False)]
    assert not any(rows(job.buckets(), "is_interim"))
    assert job.buckets().num_rows == 49


def test_e2_interim_results_replace_one_another_and_expand_into_final_ones() -> None:
    """An open bucket has one interim result, however often it is made, and a final one in the end."""
    job = job_of({"function": "max", "field_name": "value"}, "1000s")
    rng = random.Random(2)
    time = 1_400_000_000

    def normal(points: int) -> None:
        nonlocal time
        job.post([{"time": time + 500 * k, "value": rng.choice((1, 2, 3))} for k in range(points)])
        time += 500 * points

    normal(50)
    job.flush()
    normal(30)
    job.flush()
    assert not any(rows(job.buckets(), "is_interim"))
    assert time == 1_400_040_000

    job.post([{"time": time + late, "value": value} for late, value in ((0, 14), (500, 12), (510, 16))])
    job.flush(calc_interim=True)
    interim = [(1_400_040_000_000, [16.0], True)]

    def interim_records() -> list[Any]:
        return [row for row in rows(job.records(), "timestamp", "actual", "is_interim") if row[2]]

    def interim_buckets() -> list[Any]:
        return [start for start, is_interim in rows(job.buckets(), "timestamp", "is_interim") if is_interim]

    assert interim_buckets() == [1_400_040_000_000]
    assert interim_records() == interim
    job.post([{"time": time + 520, "value": 15}])
    job.flush(calc_interim=True)
    assert interim_buckets() == [1_400_040_000_000]
    assert interim_records() == interim

    time += 1000
    normal(30)
    job.close()
    assert interim_buckets() == []
    records = rows(job.records(), "timestamp", "actual", "is_interim")
    assert (1_400_040_000_000, [16.0], False) in records


def test_e3_an_empty_open_bucket_has_no_interim_records() -> None:
    """After an advance the open bucket, just begun, is one interim bucket without records."""
    job = job_of({"function": "count"})
    start = 1_400_000_400
    job.post([{"time": start + 1800 * k} for k in range(50)])
    end = end_of(job)
    assert end is not None
    assert end_of(job, advance_time=end + HOUR, calc_interim=True) == end + HOUR
    interim = [row for row in rows(job.buckets(), "timestamp", "event_count", "is_interim") if row[2]]
    assert interim == [(end + HOUR, 0, True)]
    assert job.records().num_rows == 0


def test_a_plain_flush_leaves_interim_results() -> None:
    """Interim results stay over plain flushes and a close, and go with the first bucket after them."""
    job = job_of({"function": "count"})
    job.post([{"time": 3600 * k} for k in range(5)])
    job.flush(calc_interim=True)
    job.flush()
    job.close()
    assert rows(job.buckets(), "timestamp", "is_interim")[-1] == (4 * HOUR, True)
    job.open()
    assert rows(job.buckets(), "is_interim")[-1] is True
    job.post([{"time": 3600 * 5}])
    job.close()
    assert rows(job.buckets(), "timestamp", "is_interim")[-1] == (4 * HOUR, False)


# Skip


def test_e5_a_skip_discards_the_open_bucket() -> None:
    """Records before the skip's end are ignored; the buckets before and behind it have results."""
    job = farequote()

    def post(*times: int) -> None:
        job.post([{"time": time, "airline": "AAL", "responsetime": 132.2} for time in times])

    post(1_403_481_600, 1_403_485_200)
    assert end_of(job, skip_time="1403488700") == 1_403_488_800_000
    post(1_403_488_600, 1_403_488_700, 1_403_488_900, 1_403_492_400)
    job.close()
    expected = [(1_403_481_600_000, 1, False), (1_403_488_800_000, 1, False)]
    assert rows(job.buckets(), "timestamp", "event_count", "is_interim") == expected
    counts = job.data_counts
    assert (counts.processed_record_count, counts.ignored_record_count) == (6, 2)


# Data counts


def test_e6_counts_of_two_farequote_records() -> None:
    """Two records of text: what is processed, read and input, and the open bucket's start."""
    job = farequote()
    body = farequote_lines(1_403_481_600, 1_403_481_700)
    assert len(body) == 177
    counts = job.post(body)
    assert (counts.processed_record_count, counts.processed_field_count) == (2, 4)
    assert (counts.input_record_count, counts.input_field_count) == (2, 6)
    assert (counts.bucket_count, counts.invalid_date_count, counts.missing_field_count) == (0, 0, 0)
    assert counts.earliest_record_timestamp == FAREQUOTE_MS
    assert counts.latest_record_timestamp == FAREQUOTE_MS + 100_000
    assert end_of(job) == FAREQUOTE_MS
    assert counts.input_bytes == 177


def test_e7_counts_go_on_after_a_reopening() -> None:
    """The second upload counts 1000 buckets and has no earliest record; the totals hold both."""
    job = farequote()
    job.post(farequote_lines(*range(1_403_481_600, 1_403_482_001, 100)))
    job.close()
    job.open()
    counts = job.post(farequote_lines(*range(1_407_082_000, 1_407_082_401, 100)))
    assert counts.bucket_count == 1000
    assert counts.earliest_record_timestamp is None
    totals = job.data_counts
    assert (totals.processed_record_count, totals.processed_field_count) == (10, 20)
    assert (totals.input_record_count, totals.input_field_count) == (10, 30)
    assert totals.earliest_record_timestamp == FAREQUOTE_MS
    assert totals.latest_record_timestamp == 1_407_082_400_000
    assert totals.input_bytes == 888


def test_ten_empty_buckets_are_ten_empties() -> None:
    """A gap of ten buckets gives ten empty ones."""
    job = job_of({"function": "count"})
    counts = job.post([{"time": 0}, {"time": 11 * 3600}])
    assert (counts.bucket_count, counts.empty_bucket_count) == (11, 10)
    assert counts.latest_empty_bucket_timestamp == 10 * HOUR


# Buckets


def test_e10_every_bucket_of_six_days() -> None:
    """Six days of half hours are 288 buckets, the last one open, each with all its events."""
    job = job_of({"function": "count"}, "30m", "epoch_ms")
    start, half = 1_514_764_800_000, HOUR // 2
    rng = random.Random(10)
    sizes = [rng.randint(100, 200) for _ in range(6 * 48)]
    for bucket, size in enumerate(sizes):
        times = sorted(start + bucket * half + rng.randrange(half) for _ in range(size))
        if bucket == 0:
            times[0] = start
        job.post({"time": times})
    assert end_of(job, calc_interim=True) == start + 287 * half
    found = rows(job.buckets(), "timestamp", "event_count", "is_interim", "bucket_span")
    assert found == [(start + k * half, size, k == 287, 1800) for k, size in enumerate(sizes)]
    assert end_of(job, advance_time=start + 288 * half) == start + 288 * half
    assert rows(job.buckets(), "timestamp", "event_count", "is_interim", "bucket_span") == [
        (start + k * half, size, False, 1800) for k, size in enumerate(sizes)
    ]


def test_the_bucket_in_which_a_job_starts_midway_has_no_result() -> None:
    """A first bucket is whole only if its first record lies on its start."""
    for first, buckets in ((7200, [7200, 10800]), (7201, [10800])):
        job = job_of({"function": "count"})
        job.post([{"time": time} for time in (first, 7300, 10800, 14400)])
        job.close()
        assert rows(job.buckets(), "timestamp") == [1000 * start for start in buckets]


# The answers of flush


def test_without_data_and_time_there_is_no_boundary() -> None:
    """A job that never saw data or a time has no last finalised bucket end; the key is absent."""
    job = farequote()
    assert job.flush().to_dict() == {"flushed": True}
    assert job.flush(calc_interim=True).to_dict() == {"flushed": True}


def test_records_inside_one_bucket_set_the_boundary_to_its_start() -> None:
    """Two records inside one bucket: the start of the open bucket."""
    job = farequote()
    job.post([{"time": FAREQUOTE_MS // 1000 + 5}, {"time": FAREQUOTE_MS // 1000 + 100}])
    assert job.flush().to_dict() == {"flushed": True, "last_finalized_bucket_end": FAREQUOTE_MS}
    assert job.buckets().num_rows == 0


@pytest.mark.parametrize("has_data", [False, True])
def test_a_skip_rounds_up(has_data: bool) -> None:
    """A skip answers the bucket boundary at or after its time, with data and without."""
    job = farequote()
    if has_data:
        job.post([{"time": FAREQUOTE_MS // 1000}])
    assert end_of(job, skip_time=1_403_488_700) == 1_403_488_800_000
    assert end_of(job, skip_time=1_403_488_800) == 1_403_488_800_000
    assert end_of(job, skip_time=1_403_400_000) == 1_403_488_800_000


@pytest.mark.parametrize("has_data", [False, True])
def test_an_advance_to_an_edge_answers_that_edge(has_data: bool) -> None:
    """An advance to a bucket's edge answers that edge, on a job without data too."""
    job = farequote()
    if has_data:
        job.post([{"time": 1_514_804_400 - 7200}])
    assert end_of(job, advance_time="1514804400") == 1_514_804_400_000
    assert job.buckets().num_rows == (2 if has_data else 0)


@pytest.mark.parametrize(("latency", "behind"), [(0, 0), (1800, HOUR), (7200, 2 * HOUR)])
def test_an_advance_into_a_bucket_answers_the_edge_below_less_the_latency(latency: int, behind: int) -> None:
    """An advance into a bucket answers its start, minus the latency in whole buckets."""
    job = job_of({"function": "count"}, latency=latency)
    assert end_of(job, advance_time=FAREQUOTE_MS // 1000 + 1800) == FAREQUOTE_MS - behind
    assert end_of(job, advance_time=FAREQUOTE_MS // 1000 - 7200) == FAREQUOTE_MS - behind, "never backwards"


def test_a_reopened_job_answers_its_boundary() -> None:
    """Closing and opening leave the boundary where it was."""
    job = farequote()
    job.post([{"time": FAREQUOTE_MS // 1000 + 3600 * hour} for hour in range(3)])
    end = end_of(job)
    job.close()
    job.open()
    assert end_of(job) == end == FAREQUOTE_MS + 2 * HOUR


def test_the_default_span_is_five_minutes() -> None:
    """The boundary of the seed's first example is a multiple of five minutes but not of ten."""
    job = Job({"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}}, threads=1)
    job.post([{"time": 1_455_234_912_345}])
    assert end_of(job) == 1_455_234_900_000


def test_skip_and_advance_in_one_flush() -> None:
    """Skip comes first: empty buckets from its end to the advance have results, those before have none."""
    job = job_of({"function": "count"})
    job.post([{"time": 0}, {"time": 100}])
    assert end_of(job, skip_time=3 * 3600 - 1, advance_time=5 * 3600) == 5 * HOUR
    expected = [(3 * HOUR, 0), (4 * HOUR, 0)]
    assert rows(job.buckets(), "timestamp", "event_count") == expected


def test_a_refused_flush_changes_nothing() -> None:
    """A flush that would finalise too many buckets leaves the job as it was, its skip too."""
    job = job_of({"function": "count"}, "1s")
    job.post([{"time": 100}, {"time": 101}])
    before = end_of(job)
    with pytest.raises(TimeError):
        job.flush(skip_time=200, advance_time=100_000_000)
    assert end_of(job) == before
