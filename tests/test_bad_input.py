"""Bad input ends in one clear error or in a count; never in a traceback from inside or a lost buffer."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

import tidegate

HOUR = 3_600_000
START = 1_700_006_400_000


def job(function: str = "mean", span: str = "1h", limit: str | None = None, **detector: str) -> tidegate.Job:
    """A job over `value` with the time in `time`."""
    fields = {} if "count" in function else {"field_name": "value"}
    config = {
        "analysis_config": {"bucket_span": span, "detectors": [{"function": function, **fields, **detector}]},
        "data_description": {"time_field": "time"},
    }
    if limit:
        config["analysis_limits"] = {"model_memory_limit": limit}
    return tidegate.Job(config)


def hours(n: int, start: int = START) -> list[dict[str, float]]:
    """One good record an hour."""
    return [{"time": start + k * HOUR, "value": 10.0 + k % 3} for k in range(n)]


def event_counts(job: tidegate.Job) -> list[int]:
    """The event counts of the final buckets."""
    return job.buckets(exclude_interim=True)["event_count"].to_pylist()


def test_missing_time_field():
    """Records without the time field are counted as invalid dates, and the job goes on."""
    target = job()
    counts = target.post(pa.table({"when": [1, 2], "value": [1.0, 2.0]}))
    assert (counts.invalid_date_count, counts.processed_record_count, counts.input_record_count) == (2, 0, 2)
    assert target.flush().last_finalized_bucket_end is None
    assert target.post(hours(3)).processed_record_count == 3
    target.flush()
    assert event_counts(target) == [1, 1]


@pytest.mark.parametrize(
    "bad", ["yesterday", "", None, math.nan, -5, "1700006400000x", "2023-02-30T00:00:00Z"]
)
def test_unparsable_time(bad):
    """A record whose time cannot be parsed is counted and dropped; its neighbours are not."""
    target = job()
    records = hours(3)
    counts = target.post([records[0], {"time": bad, "value": 1.0}, *records[1:]])
    assert (counts.invalid_date_count, counts.processed_record_count) == (1, 3)
    target.flush()
    assert event_counts(target) == [1, 1]


@pytest.mark.parametrize("bad", ["n/a", "", "1,5", True])
def test_text_in_a_numeric_field(bad):
    """Text in a numeric field is counted; the record itself counts as an event."""
    target = job()
    records = hours(3)
    records[1]["value"] = bad
    counts = target.post(records)
    assert (counts.invalid_value_count, counts.processed_record_count) == (1, 3)
    target.flush()
    assert event_counts(target) == [1, 1]


def test_numbers_as_text_are_numbers():
    """A numeric field that comes as text gives the same records as numbers do."""
    tables = []
    for as_text in (False, True):
        values = [10.0 + k % 3 for k in range(100)] + [900.0, 10.0]
        time = np.arange(len(values)) * HOUR + START
        column = pa.array([str(v) for v in values]) if as_text else pa.array(values)
        target = job()
        assert target.post(pa.table({"time": time, "value": column})).invalid_value_count == 0
        target.flush()
        tables.append(target.records())
    assert tables[0].num_rows > 0
    assert tables[0].equals(tables[1])


def test_nan_and_infinity():
    """NaN and infinity are no sample: the results are those without their values."""
    clean, dirty = job(), job()
    records = hours(100)
    dirt = [
        {"time": r["time"] + k, "value": v}
        for r in records
        for k, v in enumerate((math.nan, math.inf, -math.inf), 1)
    ]
    clean.post(records)
    counts = dirty.post(sorted([*records, *dirt], key=lambda r: r["time"]))
    assert counts.invalid_value_count == len(dirt)
    clean.flush()
    dirty.flush()
    assert dirty.records().equals(clean.records())
    assert event_counts(dirty) == [4] * 99


def test_null_keys():
    """A null partition is the empty one; a null by value leaves the record out unless use_null."""
    records = [{"time": START + k * HOUR, "value": 1.0, "host": None} for k in range(3)]
    for detector, series in (({"partition_field_name": "host"}, 1), ({"by_field_name": "host"}, 0)):
        target = job(**detector)
        counts = target.post(records)
        target.flush()
        assert (counts.missing_field_count, counts.processed_record_count) == (3, 3)
        assert event_counts(target) == [1, 1]
        assert f"{series} series" in repr(target)


def test_empty_batches():
    """An empty batch, a batch without rows and a batch without columns are taken and change nothing."""
    target = job()
    target.post(hours(2))
    before = target.data_counts
    schema = pa.schema([("time", pa.int64()), ("value", pa.float64())])
    for nothing in (
        schema.empty_table(),
        pa.table({}),
        [],
        {},
        b"",
        b"[]",
        pa.table({"time": [], "value": []}),
    ):
        assert target.post(nothing).input_record_count == 0
    assert target.data_counts.processed_record_count == before.processed_record_count
    target.post(hours(1, START + 2 * HOUR))
    target.flush()
    assert event_counts(target) == [1, 1]


def test_changing_schemas():
    """Every post may have its own column types and order; the results do not depend on them."""
    time = np.arange(100) * HOUR + START
    value = [500 if k == 90 else 10 + k % 3 for k in range(100)]
    host = ["7" if k % 2 else "8" for k in range(100)]
    whole, pieces = (job(by_field_name="host") for _ in range(2))
    whole.post(pa.table({"time": time, "value": value, "host": host}))
    as_types = [
        lambda t, v, h: pa.table({"host": pa.array(h).dictionary_encode(), "time": t, "value": v}),
        lambda t, v, h: pa.table(
            {
                "value": pa.array(v, pa.float32()),
                "host": [int(x) for x in h],
                "time": pa.array(t, pa.timestamp("ms", "UTC")),
            }
        ),
        lambda t, v, h: pa.table(
            {
                "time": [str(x) for x in t],
                "extra": v,
                "value": [str(x) for x in v],
                "host": pa.array(h, pa.large_string()),
            }
        ),
        lambda t, v, h: {"time": t, "value": np.array(v, np.int16), "host": h},
        lambda t, v, h: [{"time": int(a), "value": b, "host": c} for a, b, c in zip(t, v, h, strict=True)],
    ]
    for k in range(0, 100, 10):
        part = slice(k, k + 10)
        pieces.post(as_types[k // 10 % len(as_types)](time[part], value[part], host[part]))
    whole.flush()
    pieces.flush()
    assert whole.records().num_rows > 0
    assert pieces.records().equals(whole.records())


def test_a_million_distinct_keys():
    """A million distinct keys are handled; those beyond the memory limit are refused and counted."""
    n = 1_000_000
    target = job("count", by_field_name="user", limit="64mb")
    counts = target.post(
        pa.table({"time": np.arange(n) // 100_000 * HOUR + START, "user": [f"u{k}" for k in range(n)]})
    )
    assert counts.processed_record_count == n
    target.flush()
    assert event_counts(target) == [100_000] * 9
    refused = target.data_counts.refused_series_record_count
    assert 0 < refused < n
    assert f"{n - refused} series" in repr(target)


@pytest.mark.parametrize("years", [0.25, 1, 10, 1000])
def test_a_far_future_record(years):
    """One record far in the future is counted and shuts nothing out, wherever it stands."""
    stray = {"time": START + int(years * 365) * 24 * HOUR, "value": 1.0}
    records = hours(50)
    expected = job()
    expected.post(records)
    expected.flush()
    for at in (1, 25, 49):
        target = job()
        counts = target.post([*records[:at], stray, *records[at:]])
        target.flush()
        assert (counts.far_future_record_count, counts.ignored_record_count) == (1, 1)
        assert counts.processed_record_count == 51
        assert target.buckets()["timestamp"].equals(expected.buckets()["timestamp"])
    target = job()
    assert target.post([*records, stray]).far_future_record_count == 0  # it still waits for others
    target.flush()
    assert target.buckets()["timestamp"].equals(expected.buckets()["timestamp"])


def test_a_near_stray_does_what_the_contract_says():
    """A stray within the jump limit closes the buckets before it; what it shuts out is counted."""
    target = job()
    records = hours(50)
    counts = target.post([*records[:25], {"time": START + 40 * 24 * HOUR, "value": 1.0}, *records[25:]])
    assert (counts.processed_record_count, counts.out_of_order_timestamp_count) == (26, 25)


@pytest.mark.parametrize("strays", [[1000], [1000, 1001], [400, 1000, 2000]])
def test_far_future_first_records(strays):
    """Stray first records are given up once ten records in a row lie far before them."""
    target = job()
    records = hours(50)
    first = [{"time": START + days * 24 * HOUR, "value": 1.0} for days in strays]
    counts = target.post([*first, *records])
    target.flush()
    assert counts.input_record_count == counts.processed_record_count == 50 + len(strays)
    assert counts.ignored_record_count == len(strays)
    assert target.buckets()["timestamp"].to_pylist() == [r["time"] for r in records[:-1]]


@pytest.mark.parametrize("years", [1, 1000])
def test_a_jump_that_is_meant(years):
    """Ten records in a row make a jump believed; none is lost, and a gap too wide is not filled."""
    target = job()
    target.post(hours(50))
    counts = target.post(hours(50, START + years * 365 * 24 * HOUR))
    target.flush()
    assert (counts.far_future_record_count, counts.processed_record_count) == (0, 50)
    filled = [e for e in event_counts(target) if e]
    assert filled == [1] * 99
    assert (len(event_counts(target)) > 8000) == (years == 1)


def test_sparse_records_are_never_lost():
    """A job of one-second buckets with a record every 30 hours uses them all, ten at a time."""
    target = job("count", span="1s")
    times = [START + k * 30 * HOUR for k in range(41)]
    for time in times:
        target.post([{"time": time}])
    counts = target.data_counts
    assert (counts.processed_record_count, counts.ignored_record_count) == (41, 0)


def test_a_latency_beyond_the_memory_limit():
    """A latency whose open buckets cannot be held is refused before anything is allocated."""
    config = {
        "analysis_config": {"bucket_span": "1s", "latency": "3650d", "detectors": [{"function": "count"}]},
        "data_description": {},
    }
    with pytest.raises(tidegate.ConfigError, match=r"latency keeps \d+ buckets open, .* allows 1024 MiB"):
        tidegate.Job(config)


def test_an_advance_into_the_far_future():
    """An advance over more buckets than anybody means is refused, and the job is as it was."""
    target = job(span="1s")
    target.post(hours(2))
    with pytest.raises(tidegate.TimeError, match=r"would finalise \d+ buckets; at most 10000000 are allowed"):
        target.flush(advance_time="9000-01-01")
    assert target.state == "opened"
    assert target.flush(advance_time=START // 1000 + 3700).last_finalized_bucket_end == START + 3_700_000


def test_unknown_configuration_keys():
    """An unknown key is an error that names its path and what may have been meant."""
    with pytest.raises(
        tidegate.ConfigError, match=r"analysis_config.bucket_spam: unknown field .*bucket_span"
    ):
        tidegate.Job(
            {
                "analysis_config": {"bucket_spam": "5m", "detectors": [{"function": "count"}]},
                "data_description": {},
            }
        )


@pytest.mark.parametrize(
    "data", [42, None, object(), {"time": [1, 2], "value": [1.0]}, pa.array([1, 2]), [1, 2, 3]]
)
def test_unreadable_data(data):
    """What cannot be read as records is one clear error, and the job goes on."""
    target = job()
    target.post(hours(2))
    with pytest.raises(tidegate.DataError):
        target.post(data)
    assert target.state == "opened"
    target.post(hours(1, START + 2 * HOUR))
    target.flush()
    assert event_counts(target) == [1, 1]


def test_an_upload_that_breaks_off():
    """What came before the place where an upload breaks off stays posted and is counted."""
    good = pa.record_batch({"time": [START, START + HOUR], "value": [1.0, 2.0]})

    def batches():
        yield good
        raise OSError("the disk is gone")

    target = job()
    with pytest.raises((OSError, tidegate.DataError)):
        target.post(pa.RecordBatchReader.from_batches(good.schema, batches()))
    assert target.state == "opened"
    assert target.data_counts.processed_record_count == 2
    target.flush()
    assert event_counts(target) == [1]


def test_the_callers_arrays_stay_the_callers():
    """An array that is changed after it was posted changes nothing in the job."""
    time = np.arange(10) * HOUR + START
    value = np.full(10, 5.0)
    target = job("sum")
    target.post({"time": time, "value": value})
    time[:] = 0
    value[:] = 1e9
    target.flush()
    assert event_counts(target) == [1] * 9
    assert target.flush(calc_interim=True).last_finalized_bucket_end == START + 9 * HOUR


def test_closed_jobs_refuse():
    """A closed job refuses posts and flushes with the message that clients know."""
    target = job()
    target.close()
    for call in (lambda: target.post([]), target.flush):
        with pytest.raises(tidegate.StateError, match=r"because job \[job\] is not open"):
            call()
    target.open()
    with pytest.raises(tidegate.StateError, match="has already been opened"):
        target.open()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": 1}, "Invalid flush parameters: unexpected 'start'."),
        ({"end": 1}, "Invalid flush parameters: unexpected 'end'."),
        ({"calc_interim": True, "end": 1}, "Invalid flush parameters: 'start' has not been specified."),
        (
            {"calc_interim": True, "start": "9", "end": "3"},
            "Invalid time range: end time '3' is earlier than start time '9'.",
        ),
        ({"advance_time": "5", "skip_time": "9"}, r"advance_time \[5\] must be later than skip_time \[9\]"),
        ({"advance_time": "soon"}, r"Query param \[advance_time\] with value \[soon\] cannot be parsed"),
        ({"skip_time": -1}, r"Query param \[skip_time\] with value \[-1\] cannot be parsed"),
    ],
)
def test_wrong_flush_arguments(arguments, message):
    """A wrong combination of flush arguments is refused with the message of the contract."""
    target = job()
    target.post(hours(2))
    with pytest.raises(tidegate.RequestError, match=message):
        target.flush(**arguments)
    assert target.flush().last_finalized_bucket_end == START + HOUR
