"""Summarised data: rows that stand for many records, or for a number that nobody knows."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive_cells import summary_count
from tests.naive_scores import ScoredJob
from tests.strategies import cuts
from tests.test_laws import assert_identical, results
from tests.test_naive_scores import SPAN, START, close, job_config, seconds
from tests.test_twin import small_pieces

from tidegate import Job, JobConfig, NotSupportedError
from tidegate.weights import to_weights

SUMMED: tuple[dict[str, Any], ...] = (
    {"function": "count"},
    {"function": "low_count", "by_field_name": "k"},
    {"function": "mean", "field_name": "x", "by_field_name": "k"},
    {"function": "varp", "field_name": "x", "partition_field_name": "p"},
    {"function": "high_sum", "field_name": "x", "by_field_name": "k", "partition_field_name": "p"},
    {"function": "max", "field_name": "x", "by_field_name": "k"},
    {"function": "distinct_count", "field_name": "u", "partition_field_name": "p"},
    {"function": "high_non_zero_count", "by_field_name": "k"},
    {"function": "non_null_sum", "field_name": "x"},
    {"function": "min", "field_name": "x"},
)
COUNTS = (1, 2, 5, 5, 9, "3", 2.4, 2.5, 0.4, 0, -1, "x", None, "", "null", True, math.inf)


def config_of(indexes: Any, latency: int = 0) -> dict[str, Any]:
    """A job of summarised data with some of the detectors."""
    config = job_config([0], latency)
    config["analysis_config"]["detectors"] = [SUMMED[i] for i in indexes]
    config["analysis_config"]["summary_count_field_name"] = "n"
    return config


def stream(seed: int, buckets: int) -> list[dict[str, Any]]:
    """Records in time order; some keys are silent for long, or their count is not known."""
    rng, records = random.Random(seed), []
    for at in range(buckets):
        odd = at > 30 and rng.random() < 0.06
        for key in "abc":
            if key == "c" and at % 50 > 30:
                continue
            for time in sorted(rng.randrange(SPAN) for _ in range(rng.randint(1, 4))):
                records.append(
                    {
                        "t": START + at * SPAN + time,
                        "x": round(100 + rng.gauss(0, 3) + 90 * odd, 3) if rng.random() < 0.95 else None,
                        "k": key,
                        "p": rng.choice("pq"),
                        "u": str(rng.randint(0, 400 if odd else 5)),
                        "n": None if key == "b" and at % 40 > 30 else rng.choice((*COUNTS, 50 if odd else 4)),
                    }
                )
    return sorted(records, key=lambda record: record["t"])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from((0, 0, 2)), st.data())
def test_summarised_data_agree_with_the_naive_twin(seed: int, latency: int, data: st.DataObject) -> None:
    """Records, scores and event counts are those of the twin, interim ones too."""
    records = stream(seed, 110)
    indexes = data.draw(st.lists(st.integers(0, len(SUMMED) - 1), min_size=1, max_size=3, unique=True))
    config = config_of(indexes, latency)
    job, twin = Job(config, threads=1), ScoredJob(config)
    for begin, end in pairwise(data.draw(cuts(len(records), pieces=2))):
        job.post(records[begin:end])
        twin.post(records[begin:end])
        how = data.draw(st.sampled_from(({}, {"calc_interim": True})))
        assert job.flush(**seconds(how)).last_finalized_bucket_end == twin.flush(**how)
        columns = ["timestamp", "event_count", "is_interim"]
        assert job.buckets().select(columns).to_pylist() == twin.buckets
        ours, twins = job.records().to_pylist(), twin.records
        names = ("timestamp", "detector_index", "by_field_value", "partition_field_value")
        keys = [tuple(row[name] or ("" if name[0] != "d" else 0) for name in names) for row in ours]
        assert sorted(map(str, keys)) == sorted(str(tuple(row[name] for name in names)) for row in twins)
        by_key = {tuple(row[name] for name in names): row for row in twins}
        for key, row in zip(keys, ours, strict=True):
            assert close(row["actual"][0], by_key[key]["actual"])
            assert math.isclose(row["log_probability"], by_key[key]["log_probability"], rel_tol=1e-6)
    assert job.data_counts.invalid_summary_count == sum(summary_count(row["n"]) == 0.0 for row in records)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from((0, 2)), st.data())
def test_cuts_interim_results_and_threads_do_not_matter(seed: int, latency: int, data: st.DataObject) -> None:
    """Laws 1, 3 and 4 hold for summarised data."""
    records = stream(seed, 90)
    config = config_of(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)), latency)
    whole = Job(config, threads=1)
    whole.post(records)
    with small_pieces(piece=1):
        cut = Job(config, threads=3)
        for begin, end in pairwise(data.draw(cuts(len(records)))):
            cut.post(records[begin:end])
            cut.flush(calc_interim=data.draw(st.booleans()))
    whole.close()
    cut.close()
    assert_identical(results(cut), results(whole))
    assert cut.series_count == whole.series_count


def test_rows_that_count_are_as_many_records() -> None:
    """A row with a count of n is as n records, to everything that looks at counts, means and variances."""
    rng = random.Random(4)
    rows = [
        {"t": START + at * SPAN + j, "x": rng.gauss(100 + 50 * (at == 90), 5), "k": rng.choice("ab"), "n": n}
        for at in range(120)
        for j, n in enumerate(rng.choices((1, 2, 3, 7), k=6))
    ]
    indexes = (0, 1, 2, 7, 9)
    summed, plain = Job(config_of(indexes), threads=1), config_of(indexes)
    del plain["analysis_config"]["summary_count_field_name"]
    each = Job(plain, threads=1)
    summed.post(rows)
    each.post([row for row in rows for _ in range(row["n"])])
    summed.close()
    each.close()
    ours, others = results(summed), results(each)
    assert [row["event_count"] for row in ours["buckets"]] == [
        row["event_count"] for row in others["buckets"]
    ]
    assert len(ours["records"]) == len(others["records"]) > 3
    for one, other in zip(ours["records"], others["records"], strict=True):
        assert close(one["actual"][0], other["actual"][0])
        assert math.isclose(one["log_probability"], other["log_probability"], rel_tol=1e-6)


def test_what_is_not_known_is_no_zero() -> None:
    """A known series without a known count is left out; without a row it is zero; an unknown one stays so."""

    def at(hour: int, key: str, n: Any) -> dict[str, Any]:
        return {"t": START + hour * SPAN, "k": key, "n": n}

    steady = [at(hour, "a", 100) for hour in range(80)]
    other = [at(hour, "b", 5) for hour in range(83)]
    found = []
    for last in ([], [at(80, "a", None), at(81, "a", "null")]):
        job = Job(config_of([1]), threads=1)
        job.post(sorted([*steady, *other, *last], key=lambda row: row["t"]))
        job.close()
        found.append(job.records()["timestamp"].to_pylist())
        assert job.series_count == 2
    assert found[0][0] == START + 80 * SPAN
    assert found[1] == []
    job.open()
    job.post([at(84, "new", None), at(85, "new", "")])
    job.flush(advance_time=(START + 86 * SPAN) // 1000)
    assert job.series_count == 2
    assert job.data_counts.refused_series_record_count == 0


@given(st.lists(st.sampled_from(COUNTS) | st.floats() | st.integers(-3, 10**17), max_size=20))
def test_counts_are_read_as_in_the_twin(values: list[Any]) -> None:
    """Numbers, text and what is neither, one by one and as columns of one type."""
    for forms in (values, [str(value) for value in values if value is not None]):
        column = pa.array([None if v is None else str(v) if not isinstance(v, str) else v for v in forms])
        expected = [summary_count(text) for text in column.to_pylist()]
        weights, ignored = to_weights(column.cast(pa.string()), len(column))
        assert [None if w != w else w for w in weights.tolist()] == expected
        assert ignored == expected.count(0.0)
        again, _ = to_weights(column.cast(pa.string()).dictionary_encode(), len(column))
        np.testing.assert_array_equal(again, weights)
    assert np.isnan(to_weights(None, 3)[0]).all()


def test_a_median_of_summarised_data_is_refused() -> None:
    """It says so instead of counting rows as if each were one record."""
    config = config_of([0])
    config["analysis_config"]["detectors"].append({"function": "median", "field_name": "x"})
    with pytest.raises(NotSupportedError, match="function 'median' of data that is summarised already"):
        JobConfig.parse(config).require_supported()
