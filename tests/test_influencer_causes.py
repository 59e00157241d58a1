"""Influencers: planted causes are found, and what else results say of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.influence_run import (
    HOUR,
    START,
    burst,
    finished,
    folding,
    hourly,
    job_of,
    record_at,
    results,
    worst,
)
from tests.test_laws import assert_identical


@pytest.mark.parametrize("latency", ["0s", "3h"])
@pytest.mark.parametrize("fold_rows", [0, 1 << 22])
def test_a_burst_of_one_user(latency: str, fold_rows: int) -> None:
    """Records of one user beyond what is usual are blamed on that user alone."""
    records = hourly(72, 60, user=50, host=30)
    rng = np.random.default_rng(4)
    more = burst(60, 80, user="mallory")
    for record in more:
        record["host"] = f"host{rng.integers(0, 30)}"
    with folding(fold_rows):
        job = finished({"function": "high_count"}, records + more, "user", "host", latency=latency)
    assert record_at(job, 60)["influencers"] == {"user": ["mallory"]}
    assert worst(job, 60) == {"user": "mallory"}


def test_a_slow_page() -> None:
    """A mean that one page raises is blamed on it; two values that always go together are blamed alike."""
    records = hourly(72, 60, page=20, client=40)
    for record in records:
        if record["page"] == "page7" and record["t"] // HOUR == START // HOUR + 60:
            record["x"] += 200.0
        record["team"] = "slow" if record["page"] == "page7" else "fast"
    job = finished({"function": "mean", "field_name": "x"}, records, "page", "client", "team")
    assert record_at(job, 60)["influencers"] == {"page": ["page7"], "team": ["slow"]}
    assert worst(job, 60) == {"page": "page7", "team": "slow"}


@pytest.mark.parametrize("function", ["max", "varp", "high_sum", "metric"])
def test_one_large_value(function: str) -> None:
    """One value that is far off is blamed on who sent it, whatever the function looks at."""
    records = [*hourly(72, 60, user=30), *burst(60, 1, user="user3", x=9000.0)]
    job = finished({"function": function, "field_name": "x"}, records, "user")
    assert record_at(job, 60)["influencers"] == {"user": ["user3"]}


def test_a_small_value() -> None:
    """The smallest of all is blamed on who sent it."""
    records = [*hourly(72, 60, user=30), *burst(60, 1, user="user3", x=-900.0)]
    job = finished({"function": "min", "field_name": "x"}, records, "user")
    assert record_at(job, 60)["influencers"] == {"user": ["user3"]}


def test_a_median_is_blamed_on_who_moves_it() -> None:
    """Without the values of the one that sends most of them the median is as usual."""
    records = [*hourly(72, 60, user=30), *burst(60, 100, user="mallory", x=180.0)]
    job = finished({"function": "median", "field_name": "x"}, records, "user")
    assert record_at(job, 60)["influencers"] == {"user": ["mallory"]}


def test_a_scan_of_ports() -> None:
    """Distinct values beyond the usual number are blamed on the address that brought them."""
    records = hourly(72, 60, ip=20, port=8)
    scan = burst(60, 60, ip="10.6.6.6")
    for k, record in enumerate(scan):
        record["port"] = f"port{1000 + k}"
    job = finished({"function": "distinct_count", "field_name": "port"}, records + scan, "ip")
    assert record_at(job, 60)["influencers"] == {"ip": ["10.6.6.6"]}
    assert worst(job, 60) == {"ip": "10.6.6.6"}


def test_a_scan_of_the_same_ports_by_two() -> None:
    """Two addresses that bring the same distinct values are both blamed, though each hides the other."""
    records = hourly(72, 60, ip=20, port=8)
    for ip in ("10.6.6.6", "10.6.6.7"):
        scan = burst(60, 60, ip=ip)
        for k, record in enumerate(scan):
            record["port"] = f"port{1000 + k}"
        records += scan
    job = finished({"function": "distinct_count", "field_name": "port"}, records, "ip")
    assert sorted(record_at(job, 60)["influencers"]["ip"]) == ["10.6.6.6", "10.6.6.7"]


def test_a_silent_host_influences_its_own_result() -> None:
    """A partition without records has none to blame but the partition itself."""
    records = [
        record
        for record in hourly(72, 120, host=3, user=10)
        if not (record["host"] == "host1" and record["t"] // HOUR == START // HOUR + 60)
    ]
    job = finished({"function": "low_count", "partition_field_name": "host"}, records, "user", "host")
    assert record_at(job, 60)["influencers"] == {"host": ["host1"]}
    assert worst(job, 60) == {"host": "host1"}


def test_one_host_behind_several_series_ranks_above_each() -> None:
    """What several results are blamed on is less probable than each of them."""
    records = hourly(96, 120, host=10, disk=5)
    for record in records:
        if record["host"] == "host4" and record["t"] // HOUR == START // HOUR + 80:
            record["x"] += 40.0
    job = finished({"function": "max", "field_name": "x", "by_field_name": "disk"}, records, "host")
    of_hour = [row for row in job.records().to_pylist() if row["timestamp"] == START + 80 * HOUR]
    assert len(of_hour) >= 3
    [row] = [row for row in job.influencers().to_pylist() if row["timestamp"] == START + 80 * HOUR]
    assert row["influencer_field_value"] == "host4"
    assert row["log_probability"] < min(r["log_probability"] for r in of_hour)
    assert row["influencer_score"] <= max(r["record_score"] for r in of_hour)
    assert row["influencer_score"] > np.median([r["record_score"] for r in of_hour])


def test_many_values_are_cut_to_the_most_influential() -> None:
    """A record names at most ten values of a field; of equal ones those with more records, then by name."""
    records = hourly(72, 60, user=10)
    at_once = [record for k in range(40) for record in burst(60, 1, user=f"v{k:02d}", x=5000.0, seed=k)]
    at_once += burst(60, 2, user="v30", x=4000.0)
    job = finished({"function": "max", "field_name": "x"}, records + at_once, "user")
    assert record_at(job, 60)["influencers"] == {"user": ["v30", *(f"v{k:02d}" for k in range(9))]}


def test_influencer_results_follow_the_contract() -> None:
    """Every influencer result has what the contract gives it, by time and then by score."""
    records = [*hourly(72, 60, user=50, host=5), *burst(60, 80, user="mallory", host="host1")]
    job = finished({"function": "count"}, records, "user", "host")
    rows = job.influencers().to_pylist()
    assert [(row["timestamp"], -row["influencer_score"]) for row in rows] == sorted(
        (row["timestamp"], -row["influencer_score"]) for row in rows
    )
    for row in rows:
        assert (row["job_id"], row["result_type"]) == ("blame", "influencer")
        assert (row["bucket_span"], row["is_interim"]) == (3600, False)
        assert 0.0 < row["influencer_score"] <= row["initial_influencer_score"] <= 100.0
        assert row["probability"] == pytest.approx(math.exp(row["log_probability"]))
        assert row["probability"] < 0.035
    [bucket] = [row for row in job.buckets().to_pylist() if row["timestamp"] == START + 60 * HOUR]
    parts = bucket["bucket_influencers"]
    assert [part["influencer_field_name"] for part in parts] == ["bucket_time", "user", "host"]
    assert bucket["anomaly_score"] == max(part["anomaly_score"] for part in parts)
    assert len({part["timestamp"] for part in parts}) == 1


def test_influencers_change_no_other_result() -> None:
    """Records and buckets are the same without influencers, but for what they say of them."""
    records = [*hourly(72, 60, user=50, host=5), *burst(60, 80, user="mallory", host="host1")]
    detector = {"function": "mean", "field_name": "x", "by_field_name": "host"}
    one, other = finished(detector, records, "user", "host"), finished(detector, records)
    assert one.records().drop_columns(["influencers"]) == other.records().drop_columns(["influencers"])
    assert one.buckets()["anomaly_score"] == other.buckets()["anomaly_score"]
    assert other.influencers().num_rows == 0
    assert other.records()["influencers"].null_count == other.records().num_rows


def test_a_later_and_larger_event_lowers_an_influencer() -> None:
    """An influencer scores by now at most what its records do; its initial score stays."""
    records = hourly(240, 60, user=50)
    records += [*burst(120, 60, user="mallory"), *burst(200, 600, user="oscar")]
    job = finished({"function": "high_count"}, records, "user")
    rows = {(r["timestamp"], r["influencer_field_value"]): r for r in job.influencers().to_pylist()}
    first, second = rows[START + 120 * HOUR, "mallory"], rows[START + 200 * HOUR, "oscar"]
    assert first["influencer_score"] <= record_at(job, 120)["record_score"]
    assert first["influencer_score"] < 0.7 * first["initial_influencer_score"]
    assert second["influencer_score"] == second["initial_influencer_score"]


def test_interim_results_are_blamed_too_and_go() -> None:
    """An open bucket has interim influencers, which the next bucket sweeps, and which change nothing."""
    records = [*hourly(72, 60, user=50), *burst(72, 200, user="mallory")]
    after = [{**r, "t": r["t"] + 73 * HOUR} for r in hourly(20, 60, user=50)]
    jobs = [job_of({"function": "high_count"}, "user") for _ in range(2)]
    for job in jobs:
        job.post(records)
    jobs[0].flush(calc_interim=True)
    interim = [row for row in jobs[0].influencers().to_pylist() if row["is_interim"]]
    assert [row["influencer_field_value"] for row in interim] == ["mallory"]
    assert jobs[0].influencers().num_rows > jobs[0].influencers(exclude_interim=True).num_rows
    for job in jobs:
        job.post(after)
        job.close()
    assert_identical(results(jobs[0]), results(jobs[1]))
    assert not any(jobs[0].influencers()["is_interim"].to_pylist())
