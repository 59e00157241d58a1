"""Results as tables: their pieces, their schemas, and what records say of their detector."""

from __future__ import annotations

import math
import random
from typing import Any

import pyarrow as pa
import pytest

from tidegate import Job
from tidegate import results as tables
from tidegate.keys import Interner
from tidegate.results import BUCKETS, RECORDS, Results

HOUR = 3_600_000
START = 1_500_000_000_000 // HOUR * HOUR
ODD = {"min": 60, "max": 70, "mean": 80}
"""The bucket of `metric_records` in which only this feature of the field is unusual."""


def config(*detectors: dict[str, Any]) -> dict[str, Any]:
    """A job of these detectors, with times in `t`."""
    return {
        "job_id": "results",
        "analysis_config": {"bucket_span": "1h", "detectors": list(detectors)},
        "data_description": {"time_field": "t"},
    }


def metric_records() -> list[dict[str, Any]]:
    """A hundred hours of a hundred records, from 90 to 110 and 100 on average but for the `ODD` hours."""
    rng, records = random.Random(7), []
    for hour in range(100):
        low = -400.0 if hour == ODD["min"] else 90.0 + rng.random()
        high = 600.0 if hour == ODD["max"] else 110.0 - rng.random()
        # The others make up for what low and high do to the mean, within the usual range.
        middle = (10_000.0 - low - high) / 98 + (8.0 if hour == ODD["mean"] else 0.0)
        values = [low, high, *(middle + rng.uniform(-1.0, 1.0) for _ in range(98))]
        records += [{"t": START + hour * HOUR + 30_000 * i, "x": x} for i, x in enumerate(values)]
    return records


def spiky_records(hours: int) -> list[dict[str, Any]]:
    """Eight records of two keys an hour, some hours far off."""
    rng, records = random.Random(3), []
    for hour in range(hours):
        level = 100.0 if hour < 30 or rng.random() > 0.05 else 500.0
        for i in range(8):
            value = {"t": START + hour * HOUR + i, "x": rng.gauss(level, 2.0), "k": "ab"[i % 2], "p": "p"}
            records.append(value)
    return records


def lines(kind: str, start: int, rows: int, *, is_interim: bool = False) -> pa.RecordBatch:
    """Result rows numbered by their time."""
    schema = BUCKETS if kind == "buckets" else RECORDS
    row = {"job_id": "j", "is_interim": is_interim}
    return pa.RecordBatch.from_pylist([{**row, "timestamp": start + i} for i in range(rows)], schema)


def test_results_of_many_flushes_are_those_of_one() -> None:
    """Flushing after every bucket gives the tables of one flush, in about as many pieces as log2(n)."""
    detectors = ({"function": "mean", "field_name": "x", "by_field_name": "k"}, {"function": "count"})
    hours = 3000
    whole, often = Job(config(*detectors)), Job(config(*detectors))
    records = pa.Table.from_pylist(spiky_records(hours))
    whole.post(records)
    whole.flush()
    for hour in range(hours):
        often.post(records.slice(8 * hour, 8))
        often.flush()
    assert whole.records().num_rows > 20
    assert often.records().equals(whole.records())
    drop = ["processing_time_ms"]
    assert often.buckets().drop_columns(drop).equals(whole.buckets().drop_columns(drop))
    for table in (often.buckets(), often.records()):
        assert table["timestamp"].num_chunks <= math.log2(table.num_rows) + 1


def test_pieces_of_any_size_stay_few_and_in_order() -> None:
    """Rows come back in the order they were added, however many were added at a time."""
    rng, results, at = random.Random(5), Results(), 0
    for _ in range(600):
        rows = rng.choice((0, 1, 1, 2, 7, 60))
        results.add(lines("buckets", at, rows), lines("records", at, rows // 2), interim=False)
        at += rows
        assert results.final_buckets == at
    table = results.table("buckets", exclude_interim=True)
    assert table["timestamp"].to_pylist() == list(range(at))
    assert table["timestamp"].num_chunks <= math.log2(at) + 1


def test_full_pieces_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that is full stays as it is, and what comes after it begins a new one."""
    monkeypatch.setattr(tables, "_FULL_BYTES", lines("buckets", 0, 50).nbytes)
    results, none = Results(), lines("records", 0, 0)
    for start, rows in ((0, 3), (3, 60), (63, 50), (113, 10), (123, 10)):
        results.add(lines("buckets", start, rows), none, interim=False)
    table = results.table("buckets", exclude_interim=True)
    assert [len(chunk) for chunk in table["timestamp"].chunks] == [3, 60, 50, 20]
    assert table["timestamp"].to_pylist() == list(range(133))


def test_interim_results_go_with_the_next_bucket_after_a_flush() -> None:
    """Interim results come last, are not counted, and go when there is a bucket after a flush."""
    results, none = Results(), lines("records", 0, 0)
    results.add(lines("buckets", 0, 2), none, interim=False)
    results.add(lines("buckets", 2, 1, is_interim=True), none, interim=True)
    assert results.table("buckets", exclude_interim=False)["timestamp"].to_pylist() == [0, 1, 2]
    assert results.table("buckets", exclude_interim=True)["timestamp"].to_pylist() == [0, 1]
    results.acknowledge()
    results.add(lines("buckets", 2, 0), none, interim=False)
    assert results.table("buckets", exclude_interim=False).num_rows == 3
    results.add(lines("buckets", 2, 1), none, interim=False)
    assert results.table("buckets", exclude_interim=False)["is_interim"].to_pylist() == [False] * 3
    assert results.final_buckets == 3


def test_metric_records_name_the_unusual_feature() -> None:
    """The function of a metric record is metric; its description is the feature that is unusual."""
    job = Job(config({"function": "count"}, {"function": "metric", "field_name": "x"}))
    job.post(metric_records())
    job.flush()
    rows = {row["timestamp"]: row for row in job.records().to_pylist()}
    for feature, hour in ODD.items():
        row = rows[START + hour * HOUR]
        assert (row["function"], row["function_description"]) == ("metric", feature)
        kind = row["anomaly_score_explanation"]["anomaly_type"]
        assert kind == ("dip" if feature == "min" else "spike")


def test_functions_are_described_by_their_family() -> None:
    """Next to metric, every other function is described by its name without a side."""
    x = {"field_name": "x"}
    names = ("high_mean", "metric", "max", "high_sum")
    job = Job(config(*({"function": name, **x} for name in names)))
    job.post(spiky_records(200))
    job.flush()
    pairs = {(row["function"], row["function_description"]) for row in job.records().to_pylist()}
    assert {pair for pair in pairs if pair[0] != "metric"} == {
        ("high_mean", "mean"),
        ("max", "max"),
        ("high_sum", "sum"),
    }
    assert {description for name, description in pairs if name == "metric"} <= {"mean", "min", "max"}


def test_key_values_are_those_of_their_detector() -> None:
    """Records of detectors with different key fields, in one pass, have their own keys or null."""
    x = {"function": "mean", "field_name": "x"}
    keys = ({}, {"by_field_name": "k"}, {"partition_field_name": "p"})
    both = {"by_field_name": "p", "partition_field_name": "k"}
    job = Job(config(*({**x, **key} for key in (*keys, both))))
    job.post(spiky_records(200))
    job.flush()
    rows = job.records().to_pylist()
    pairs = [
        {(r["by_field_value"], r["partition_field_value"]) for r in rows if r["detector_index"] == i}
        for i in range(4)
    ]
    assert pairs == [{(None, None)}, {("a", None), ("b", None)}, {(None, "p")}, {("p", "a"), ("p", "b")}]


def test_schemas_have_every_field_of_the_contract() -> None:
    """The fields are those of sections 4.2 and 4.3 of the contract, in its order."""
    explanation = [field.name for field in RECORDS.field("anomaly_score_explanation").type]
    assert explanation == [
        "anomaly_type",
        "anomaly_length",
        "single_bucket_impact",
        "multi_bucket_impact",
        "anomaly_characteristics_impact",
        "lower_confidence_bound",
        "typical_value",
        "upper_confidence_bound",
        "high_variance_penalty",
        "incomplete_bucket_penalty",
        "by_field_first_occurrence",
        "by_field_relative_rarity",
    ]
    after_keys = RECORDS.names[RECORDS.names.index("partition_field_value") + 1 :]
    assert after_keys == [
        "correlated_by_field_value",
        "typical",
        "actual",
        "causes",
        "influencers",
        "geo_results",
        "anomaly_score_explanation",
    ]
    assert {"probability", "over_field_value", "typical", "geo_results"} <= {
        field.name for field in RECORDS.field("causes").type.value_type
    }
    assert BUCKETS.names[-1] == "scheduled_events"


def test_bucket_influencers_are_results_of_their_bucket() -> None:
    """A bucket influencer repeats job, time, span and whether it is interim."""
    job = Job(config({"function": "mean", "field_name": "x"}))
    job.post(spiky_records(200))
    job.flush(calc_interim=True)
    found = 0
    for bucket in job.buckets().to_pylist():
        for part in bucket["bucket_influencers"]:
            found += 1
            assert (part["result_type"], part["influencer_field_name"]) == (
                "bucket_influencer",
                "bucket_time",
            )
            for name in ("job_id", "timestamp", "bucket_span", "is_interim", "anomaly_score"):
                assert part[name] == bucket[name]
    assert found > 3


def test_texts_are_a_view_that_stays_right() -> None:
    """The texts of a table share its memory, and stay as they were when it grows."""
    names = Interner()
    names.codes(pa.array(["b", "a"]))
    before = names.texts()
    assert before.buffers()[1].address == names.texts().buffers()[1].address
    words = [f"word {i}" for i in range(5000)]
    assert names.codes(pa.array(words)).tolist() == list(range(3, 5003))
    assert before.to_pylist() == ["", "b", "a"]
    assert names.texts().to_pylist() == ["", "b", "a", *words]
