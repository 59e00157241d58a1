"""Summarised data: rows that stand for many records, or for a number that nobody knows."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.influence_run import HOUR, burst, finished, folding, hourly, record_at, worst
from tests.influence_run import START as FIRST
from tests.influence_run import results as blamed_results
from tests.naive_cells import NaiveDetector, summary_count
from tests.naive_influence import all_influences
from tests.naive_scores import ScoredJob
from tests.strategies import cuts
from tests.test_influencers import hearing, same_influences
from tests.test_laws import assert_identical, results
from tests.test_naive_scores import SPAN, START, close, job_config, seconds
from tests.test_twin import small_pieces

from tidegate import Job, JobConfig, NotSupportedError
from tidegate.valuestats import fold_weighted
from tidegate.weights import to_weights
from tidegate_kernels.fold import MAX, MIN, RECORD_SIZE
from tidegate_kernels.influence import fold_pairs

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


# Influencers

BLAMED = ("p", "u", "k", "x")


def blaming(indexes: Any, latency: int = 0) -> dict[str, Any]:
    """A job of summarised data with influencers."""
    config = config_of(indexes, latency)
    config["analysis_config"]["influencers"] = list(BLAMED)
    return config


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True))
def test_influence_of_summarised_rows_agrees_with_the_naive_twin(seed: int, indexes: list[int]) -> None:
    """What a result is blamed on is what the twin finds in the rows of its bucket and their counts."""
    records, config = stream(seed, 110), blaming(indexes)
    detectors = [NaiveDetector.of(i, d) for i, d in enumerate(config["analysis_config"]["detectors"])]
    by_bucket = defaultdict(list)
    for record in records:
        by_bucket[record["t"] // SPAN].append(record)
    with hearing() as heard:
        job = Job(config, threads=1)
        job.post(records)
        job.flush(calc_interim=True)
    blamed = 0
    for one in heard:
        for result, found in zip(one.results, one.found, strict=True):
            for name in BLAMED:
                rows, detector = by_bucket[result.bucket], detectors[result.detector]
                same_influences(found[name], all_influences(result, detector, rows, name, "n"))
                blamed += len(found[name])
    event(f"blamed: {min(blamed, 3)}")


@settings(max_examples=20)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    st.sampled_from((0, 2)),
    st.sampled_from((0, 9, 1 << 22)),
    st.data(),
)
def test_cuts_and_folds_do_not_matter_to_influencers(
    seed: int, indexes: list[int], latency: int, fold_rows: int, data: st.DataObject
) -> None:
    """However summarised rows are cut, kept or folded, the same is blamed to the last bit (law 1)."""
    records, config = stream(seed, 90), blaming(indexes, latency)
    whole = Job(config, threads=1)
    whole.post(records)
    whole.close()
    with small_pieces(piece=1), folding(fold_rows):
        cut = Job(config, threads=3)
        for begin, end in pairwise(data.draw(cuts(len(records)))):
            cut.post(records[begin:end])
            cut.flush(calc_interim=data.draw(st.booleans()))
        cut.close()
    expected = blamed_results(whole)
    event(f"influencers: {min(len(expected['influencers']), 3)}")
    assert_identical(blamed_results(cut), expected)


@given(st.lists(st.tuples(st.integers(-1, 3), st.floats(), st.integers(1, 4)), max_size=30))
def test_a_value_of_weight_n_is_folded_as_n_values(rows: list[tuple[int, float, int]]) -> None:
    """Counts and extremes to the last bit, moments to rounding; what is no number is left out."""
    columns = np.array(rows, float).reshape(-1, 3).T.copy()
    pair, value, weight = columns[0].astype(np.int32), columns[1], columns[2].astype(int)
    value[np.abs(value) > 1e100] = np.nan
    records = np.zeros((2, 4 * RECORD_SIZE))
    records[:, MIN::RECORD_SIZE], records[:, MAX::RECORD_SIZE] = np.inf, -np.inf
    fold_weighted(pair, value, weight.astype(float), records[0])
    fold_pairs(pair.repeat(weight), value.repeat(weight), records[1])
    np.testing.assert_allclose(records[0], records[1], rtol=1e-12, atol=1e-200)
    ones = np.zeros((2, 4 * RECORD_SIZE))
    fold_weighted(pair, value, np.ones(len(pair)), ones[0])
    fold_pairs(pair, value, ones[1])
    np.testing.assert_array_equal(ones[0], ones[1])


def services(hours: int, **odd: Any) -> list[dict[str, Any]]:
    """Two rows an hour of each of six services, of about 100 records; `odd` is of those of s4 in hour 90."""
    rng = np.random.default_rng(5)
    rows = [
        {
            "t": FIRST + hour * HOUR + 60_000 * (6 * part + s),
            "service": f"s{s}",
            "host": f"h{rng.integers(0, 30)}",
            "doc_count": int(rng.poisson(100)),
            "x": float(rng.normal(50, 2)),
            **(odd if hour == 90 and s == 4 else {}),
        }
        for hour in range(hours)
        for part in range(2)
        for s in range(6)
    ]
    return sorted(rows, key=lambda row: row["t"])


def test_who_has_the_records_of_a_burst_is_blamed() -> None:
    """One service of six with as many rows as ever, but many times the records, is blamed for the count."""
    job = finished(
        {"function": "high_count"},
        services(100, doc_count=900),
        "service",
        summary_count_field_name="doc_count",
    )
    row = record_at(job, 90)
    assert row["actual"][0] > 2500
    assert row["influencers"] == {"service": ["s4"]}
    assert worst(job, 90) == {"service": "s4"}


def test_who_has_the_weight_of_a_high_mean_is_blamed() -> None:
    """Of two services with high values that of many records is blamed for the mean, the other is not."""
    rows = services(100, x=80.0, doc_count=800)
    rows += burst(90, 40, x=90.0, service="s0", host="h0", doc_count=1)
    found = finished(
        {"function": "high_mean", "field_name": "x"}, rows, "service", summary_count_field_name="doc_count"
    )
    row = record_at(found, 90)
    assert row["influencers"] == {"service": ["s4"]}
    plain = finished({"function": "high_mean", "field_name": "x"}, rows, "service")
    assert record_at(plain, 90)["influencers"] == {"service": ["s0"]}


def test_a_sum_and_a_mean_of_one_field_are_blamed_each_in_its_way() -> None:
    """Of rows the sum is that of forty, the weighted mean that of the one with all the records."""
    rows = services(100, x=80.0, doc_count=800)
    rows += burst(90, 40, x=90.0, service="s0", host="h0", doc_count=1)
    job = finished(
        {"function": "high_sum", "field_name": "x"},
        rows,
        "service",
        summary_count_field_name="doc_count",
        detectors=[
            {"function": "high_sum", "field_name": "x"},
            {"function": "high_mean", "field_name": "x"},
        ],
    )
    named = {
        row["detector_index"]: row["influencers"][0]["influencer_field_values"]
        for row in job.records().to_pylist()
        if row["timestamp"] == FIRST + 90 * HOUR
    }
    assert named == {0: ["s0"], 1: ["s4"]}


def test_rows_of_no_known_count_are_blamed_for_nothing() -> None:
    """A service without a count, or with one of zero, is not named, however many rows it has."""
    rows = services(100, doc_count=900)
    for n in (None, 0, "x"):
        rows += burst(90, 300, service="unknown", host="h0", doc_count=n)
    job = finished({"function": "high_count"}, rows, "service", summary_count_field_name="doc_count")
    assert record_at(job, 90)["influencers"] == {"service": ["s4"]}


def test_members_and_rare_values_of_summarised_data_have_influencers() -> None:
    """In a population the host of the many records is blamed; with rare, whoever is there with a count."""
    rows = hourly(100, 40, service=20, host=30)
    for row in rows:
        row["doc_count"] = 5
    many = burst(90, 3, service="service1", host="bad", doc_count=700)
    unknown = burst(90, 50, service="service1", host="unknown", doc_count=None)
    job = finished(
        {"function": "high_count", "over_field_name": "service"},
        rows + many + unknown,
        "host",
        "service",
        summary_count_field_name="doc_count",
    )
    row = record_at(job, 90)
    assert row["over_field_value"] == "service1"
    assert row["influencers"] == {"host": ["bad"], "service": ["service1"]}
    new = burst(90, 1, service="never", host="bad", doc_count=2)
    gone = burst(90, 1, service="never", host="unknown", doc_count=None)
    job = finished(
        {"function": "rare", "by_field_name": "service"},
        rows + new + gone,
        "host",
        summary_count_field_name="doc_count",
    )
    row = record_at(job, 90)
    assert (row["by_field_value"], row["influencers"]) == ("never", {"host": ["bad"]})


def test_a_category_is_blamed_where_it_is_no_key() -> None:
    """The influencer mlcategory works for detectors that do not split by it, of summarised data too."""
    rows = hourly(100, 60, host=10)
    texts = ("connection opened from outside", "usage report written", "user session closed normally")
    for at, row in enumerate(rows):
        row.update(message=texts[at % 3], doc_count=10)
    many = burst(90, 4, message=texts[1], host="host3", doc_count=900)
    job = finished(
        {},
        rows + many,
        "mlcategory",
        "host",
        detectors=[{"function": "high_count"}, {"function": "rare", "by_field_name": "mlcategory"}],
        categorization_field_name="message",
        summary_count_field_name="doc_count",
    )
    assert record_at(job, 90)["influencers"] == {"mlcategory": ["2"], "host": ["host3"]}
