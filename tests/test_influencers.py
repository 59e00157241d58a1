"""Influencers: what results are blamed on, against the naive twin, the laws, and planted causes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from tests.naive_cells import NaiveDetector
from tests.naive_influence import CUTOFF, MOST_VALUES, NaiveInfluencers, Result, all_influences, ordered
from tests.strategies import Stream, cuts, streams
from tests.test_laws import assert_identical
from tests.test_twin import small_pieces

from tidegate import Job
from tidegate.influence import Influences
from tidegate.influencers import Influencers

FIELDS = ("p", "u", "k", "missing", "x")
DAY_MS = 86_400_000
Rows = list[dict[str, Any]]


class Heard:
    """What the influencers of a job were told in one pass, and what they found."""

    def __init__(self, job: Influencers, found: Influences, written: Any, rest: tuple[Any, ...]) -> None:
        score_r, whole, scored_b, run = rest
        self.buckets = range(run.calendar.bucket_from, run.calendar.bucket_to)
        self.learn = run.learn
        self.whole = list(zip(whole.log_p_b.tolist(), whole.score_b.tolist(), strict=True))
        self.scored = scored_b.tolist()
        self.results = _results(job, written, score_r)
        self.found: list[dict[str, dict[str, float]]] = [defaultdict(dict) for _ in self.results]
        columns = (found.result_i, found.field_i, found.value_i, found.influence_i)
        for r, field, value, w in zip(*(column.tolist() for column in columns), strict=True):
            name = job.fields[field]
            self.found[r][name][job._names[name].texts()[value].as_py()] = w


def _results(job: Influencers, written: Any, score_r: Any) -> list[Result]:
    """The written results as the twin sees them."""
    names = ("actual_r", "typical_r", "lower_r", "upper_r", "log_p_r", "log_p_single_r")
    columns = [written.column(name).tolist() for name in names]
    made = []
    for r, numbers in enumerate(zip(*columns, strict=True)):
        finding = written.findings[written.finding_r[r]]
        series = written.column("series_r")[r : r + 1]
        keys = [
            job._names[field].texts()[int(codes(series)[0])].as_py() if field is not None else ""
            for field, codes in (
                (finding.keys.by, finding.keys.by_codes),
                (finding.keys.partition, finding.keys.partition_codes),
            )
        ]
        feature = finding.detector.spec.features[written.column("feature_r")[r]]
        index = finding.detector.detector_index
        made.append(
            Result(
                int(written.column("bucket_r")[r]), index, feature, *keys, *numbers, score=float(score_r[r])
            )
        )
    return made


@contextmanager
def hearing() -> Iterator[list[Heard]]:
    """Wraps `Influencers.score` to note what it is told."""
    heard: list[Heard] = []
    score = Influencers.score

    def noted(self: Influencers, found: Influences, written: Any, *rest: Any) -> Any:
        heard.append(Heard(self, found, written, rest))
        return score(self, found, written, *rest)

    with mock.patch.object(Influencers, "score", noted):
        yield heard


def with_influencers(stream: Stream, *fields: str) -> dict[str, Any]:
    """The configuration of a stream with influencers."""
    analysis = {**stream.config["analysis_config"], "influencers": list(fields)}
    return {**stream.config, "analysis_config": analysis}


def results(job: Job) -> dict[str, Rows]:
    """All final results but the column that measures the machine."""
    return {
        "buckets": job.buckets(exclude_interim=True).drop_columns(["processing_time_ms"]).to_pylist(),
        "records": job.records(exclude_interim=True).to_pylist(),
        "influencers": job.influencers(exclude_interim=True).to_pylist(),
    }


def same_influences(ours: dict[str, float], twins: dict[str, tuple[float, int]]) -> None:
    """Asserts that values and influences are the same, but for what rounding decides."""
    expected = ordered(twins)
    kept = {value: w for value, (w, _) in twins.items() if w >= CUTOFF - 1e-6}
    least = min((twins[value][0] for value in expected), default=0.0) if len(expected) >= MOST_VALUES else 0.0
    for value, w in ours.items():
        assert math.isclose(w, kept[value], rel_tol=1e-6, abs_tol=1e-6)
    for value in expected:
        sure = twins[value][0] > max(CUTOFF, least) + 1e-6
        assert value in ours or not sure, (value, twins[value], ours)
    assert list(ours.values()) == sorted(ours.values(), reverse=True)


@given(streams())
def test_influencers_agree_with_the_naive_twin(stream: Stream) -> None:
    """What every written result is blamed on is what the twin finds in the rows of its bucket."""
    config = with_influencers(stream, *FIELDS)
    detectors = [NaiveDetector.of(i, d) for i, d in enumerate(config["analysis_config"]["detectors"])]
    by_bucket = defaultdict(list)
    for record in stream.records:
        by_bucket[record["t"] // stream.span].append(record)
    with hearing() as heard:
        job = Job(config, threads=1)
        job.post(stream.records)
        job.flush(calc_interim=True)
    blamed = 0
    for one in heard:
        for result, found in zip(one.results, one.found, strict=True):
            rows, detector = by_bucket[result.bucket], detectors[result.detector]
            for name in FIELDS:
                twins = all_influences(result, detector, rows, name)
                same_influences(found[name], twins)
                blamed += len(found[name])
            assert not found["missing"]
    event(f"blamed: {min(blamed, 3)}")


@given(streams())
def test_scores_agree_with_the_naive_twin(stream: Stream) -> None:
    """Probabilities and scores of influencers and of buckets by field are those of the twin, in its order."""
    with hearing() as heard:
        job = Job(with_influencers(stream, "p", "u"), threads=1)
        job.post(stream.records)
        job.flush()
    table = job._engine.results.table("influencers", exclude_interim=True).to_pylist()
    parts = {
        (part["timestamp"], part["influencer_field_name"]): part
        for bucket in job._engine.results.table("buckets", exclude_interim=True).to_pylist()
        for part in bucket["bucket_influencers"]
    }
    ours = {(r["timestamp"], r["influencer_field_name"], r["influencer_field_value"]): r for r in table}
    twins = {"p": NaiveInfluencers(), "u": NaiveInfluencers()}
    seen = 0
    for one in heard:
        for at, bucket in enumerate(one.buckets):
            for name, twin in twins.items():
                blamed = [
                    (result, found[name])
                    for result, found in zip(one.results, one.found, strict=True)
                    if result.bucket == bucket
                ]
                time = bucket * stream.span
                written, (log_p, score) = twin.score(time // DAY_MS, blamed, one.whole[at], one.scored[at])
                for value, value_log_p, value_score in written:
                    row = ours[time, name, value]
                    seen += 1
                    assert math.isclose(row["log_probability"], value_log_p, rel_tol=1e-6)
                    assert math.isclose(row["influencer_score"], value_score, rel_tol=1e-6)
                part = parts.get((time, name))
                assert (part is not None) == (score > 0.0)
                if part is not None:
                    assert math.isclose(part["anomaly_score"], score, rel_tol=1e-6)
                    assert math.isclose(part["raw_anomaly_score"], -log_p, rel_tol=1e-6, abs_tol=1e-9)
    assert seen == len(table)


# Laws


def whole(config: dict[str, Any], records: Rows, threads: int = 1) -> Job:
    """The job after one post and a close."""
    job = Job(config, threads=threads)
    job.post(records)
    job.close()
    return job


@given(streams(), st.data(), st.integers(0, 60))
def test_cuts_and_folds_do_not_matter(stream: Stream, data: st.DataObject, fold_rows: int) -> None:
    """However a stream is cut, and however many rows are kept, results are bit-identical (law 1)."""
    config = with_influencers(stream, *FIELDS)
    expected = results(whole(config, stream.records))
    with mock.patch("tidegate.rowlog.FOLD_ROWS", fold_rows):
        job = Job(config, threads=1)
        for begin, end in pairwise(data.draw(cuts(len(stream.records)))):
            job.post(stream.records[begin:end])
            act = data.draw(st.sampled_from(("nothing", "flush", "interim", "reopen")))
            if act in ("flush", "interim"):
                job.flush(calc_interim=act == "interim")
            elif act == "reopen":
                job.close()
                job.open()
        job.close()
    event(f"influencers: {min(len(expected['influencers']), 3)}")
    assert_identical(results(job), expected)


@given(streams(), st.integers(1, 60), st.integers(1, 20), st.sampled_from((0, 20, 1 << 22)))
def test_passes_and_threads_do_not_matter(stream: Stream, rows: int, buckets: int, fold_rows: int) -> None:
    """How much a pass takes, and how many threads there are, changes nothing (laws 1 and 2)."""
    config = with_influencers(stream, *FIELDS)
    with small_pieces(rows=rows, buckets=buckets), mock.patch("tidegate.rowlog.FOLD_ROWS", fold_rows):
        job = whole(config, stream.records, threads=3)
    assert_identical(results(job), results(whole(config, stream.records)))


@given(streams(), st.integers(0, 2**32 - 1))
def test_order_within_open_buckets_does_not_matter(stream: Stream, seed: int) -> None:
    """Records in any order within the latency are blamed on the same values (law 4)."""
    rng = np.random.default_rng(seed)
    late = stream.latency // stream.span
    turn = [(r["t"] // stream.span + rng.integers(0, late + 1), rng.random()) for r in stream.records]
    records = [stream.records[i] for i in sorted(range(len(turn)), key=turn.__getitem__)]
    config = with_influencers(stream, "p", "u")
    jobs = []
    for given_in in (records, stream.records):
        jobs.append(Job(config, threads=1))
        jobs[-1].post(given_in)
        jobs[-1].flush(advance_time=max(r["t"] for r in records) // 1000 + 1)
    names = ("timestamp", "influencer_field_name", "influencer_field_value")
    mine, others = (
        {tuple(row[name] for name in names): row["probability"] for row in job.influencers().to_pylist()}
        for job in jobs
    )
    for key in mine.keys() | others.keys():  # what rounding keeps out is of the least influence
        if key in mine and key in others:
            assert math.isclose(mine[key], others[key], rel_tol=1e-5, abs_tol=1e-12)
        else:
            assert (mine.get(key) or others[key]) > 1e-5


# What users see

HOUR = 3_600_000
START = 1_700_006_400_000


def hourly(hours: int, per_hour: int, seed: int = 3, **fields: int) -> Rows:
    """So many records an hour at random times; each field has as many values as it says."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, hours * HOUR, hours * per_hour)) + START
    columns = {name: rng.integers(0, n, len(time)) for name, n in fields.items()}
    value = rng.normal(100.0, 5.0, len(time))
    return [
        {"t": int(time[i]), "x": float(value[i]), **{f: f"{f}{c[i]}" for f, c in columns.items()}}
        for i in range(len(time))
    ]


def job_of(detector: dict[str, Any], *fields: str, **analysis: Any) -> Job:
    """A job of one detector and some influencers, in hourly buckets."""
    return Job(
        {
            "job_id": "blame",
            "analysis_config": {
                "bucket_span": "1h",
                "detectors": [detector],
                "influencers": list(fields),
                **analysis,
            },
            "data_description": {"time_field": "t"},
        }
    )


def finished(detector: dict[str, Any], records: Rows, *fields: str, **analysis: Any) -> Job:
    """The job after all records."""
    job = job_of(detector, *fields, **analysis)
    job.post(sorted(records, key=lambda record: record["t"]))
    job.flush(advance_time=(max(r["t"] for r in records) // HOUR + 2) * HOUR)
    return job


def worst(job: Job, hour: int) -> dict[str, str]:
    """The value of every field that ranks first in an hour."""
    rows = [row for row in job.influencers().to_pylist() if row["timestamp"] == START + hour * HOUR]
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["influencer_field_name"], row["influencer_field_value"])
    return first


def record_at(job: Job, hour: int) -> dict[str, Any]:
    """The least probable record of an hour, its influencers as a dict."""
    rows = [row for row in job.records().to_pylist() if row["timestamp"] == START + hour * HOUR]
    row = min(rows, key=lambda row: row["probability"])
    named = row["influencers"] or []
    return {
        **row,
        "influencers": {p["influencer_field_name"]: p["influencer_field_values"] for p in named},
    }


def burst(hour: int, size: int, seed: int = 9, **values: Any) -> Rows:
    """Records of one hour that share the values given."""
    rng = np.random.default_rng(seed)
    base = {"x": 100.0, **values}
    return [{"t": START + hour * HOUR + int(t), **base} for t in np.sort(rng.integers(0, HOUR, size))]


@pytest.mark.parametrize("latency", ["0s", "3h"])
@pytest.mark.parametrize("fold_rows", [0, 1 << 22])
def test_a_burst_of_one_user(latency: str, fold_rows: int) -> None:
    """Records of one user beyond what is usual are blamed on that user alone."""
    records = hourly(72, 60, user=50, host=30)
    rng = np.random.default_rng(4)
    more = burst(60, 80, user="mallory")
    for record in more:
        record["host"] = f"host{rng.integers(0, 30)}"
    with mock.patch("tidegate.rowlog.FOLD_ROWS", fold_rows):
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


# What is forgotten, and what is kept


@pytest.mark.parametrize("fold_rows", [0, 1 << 22])
def test_a_reset_bucket_blames_nobody_of_before(fold_rows: int) -> None:
    """Rows of a bucket that was reset are forgotten, folded or not."""
    with mock.patch("tidegate.rowlog.FOLD_ROWS", fold_rows):
        job = job_of({"function": "high_count"}, "user", latency="2h")
    job.post(hourly(60, 60, user=50))
    job.post(burst(60, 200, user="wrong"))
    job.post(burst(60, 200, user="right"), reset_start=START + 60 * HOUR)
    job.flush(advance_time=START + 70 * HOUR)
    assert record_at(job, 60)["influencers"] == {"user": ["right"]}


def test_skipped_rows_are_forgotten() -> None:
    """What a skip drops is blamed for nothing, and keeps no memory."""
    job = job_of({"function": "high_count"}, "user", latency="2h")
    job.post(hourly(60, 60, user=50))
    job.flush()
    assert job._engine.influencers.log.nbytes > 0
    job.flush(skip_time=START + 100 * HOUR)
    assert job._engine.influencers.log.nbytes == 0


@pytest.mark.parametrize("latency", ["0s", "4h"])
def test_only_rows_of_open_buckets_are_kept(latency: str) -> None:
    """Between calls the log has the rows of open buckets only, however many came before."""
    job = job_of({"function": "mean", "field_name": "x"}, "user", latency=latency)
    records = hourly(300, 60, user=50)
    sizes = []
    for start in range(0, len(records), 500):
        job.post(records[start : start + 500])
        job.flush()
        sizes.append(job._engine.influencers.log.nbytes)
    open_rows = 60 * (5 if latency == "4h" else 1)
    assert max(sizes) <= 3 * open_rows * (4 + 8)


def test_folded_buckets_take_as_much_as_they_have_pairs() -> None:
    """However many rows a bucket has, what is kept depends on its distinct values."""
    rng = np.random.default_rng(1)
    with mock.patch("tidegate.rowlog.FOLD_ROWS", 1000):
        job = job_of({"function": "mean", "field_name": "x"}, "user")
    sizes = []
    for _ in range(20):
        n = 20_000
        job.post(
            {
                "t": np.full(n, START + HOUR),
                "x": rng.normal(size=n),
                "user": [f"u{k}" for k in rng.integers(0, 100, n)],
            }
        )
        job.flush()
        sizes.append(job._engine.influencers.log.nbytes)
    assert sizes[-1] == sizes[5] < 300_000


def test_what_the_caller_changes_later_does_not_matter() -> None:
    """Numbers that share memory with the caller are copied before a call returns."""
    records = hourly(61, 600, user=50)
    time, x = np.array([r["t"] for r in records]), np.array([r["x"] for r in records])
    user = [r["user"] for r in records]
    for i, record in enumerate(records):
        if record["user"] == "user7" and record["t"] >= START + 60 * HOUR:
            x[i] += 300.0
    job = job_of({"function": "mean", "field_name": "x"}, "user")
    with mock.patch("tidegate.job._BUFFER_ROWS", 1):
        job.post({"t": time, "x": x, "user": user})
    x[:] = 1e6
    job.flush(advance_time=START + 61 * HOUR)
    assert record_at(job, 60)["influencers"] == {"user": ["user7"]}


def test_a_restarted_job_blames_no_stray() -> None:
    """When the first records prove to be strays, their rows are forgotten with them."""
    stray = burst(40_000, 5, user="stray")
    job = finished({"function": "high_count"}, hourly(72, 60, user=50) + burst(60, 90, user="m"), "user")
    other = job_of({"function": "high_count"}, "user")
    other.post(stray)
    other.flush()
    other.post(sorted(hourly(72, 60, user=50) + burst(60, 90, user="m"), key=lambda r: r["t"]))
    other.flush(advance_time=START + 73 * HOUR)
    assert record_at(other, 60)["influencers"] == {"user": ["m"]}
    assert_identical(results(other), results(job))


# Odd fields


def test_missing_and_empty_values_influence_nothing() -> None:
    """Null, empty text and a field that is nowhere are no influencers."""
    records = hourly(72, 60, user=50)
    records += [*burst(60, 100, user=None), *burst(60, 100, user="")]
    job = finished({"function": "high_count"}, records, "user", "nowhere")
    assert record_at(job, 60)["influencers"] == {}
    assert worst(job, 60) == {}


@pytest.mark.parametrize("value", [7, 7.5, True])
def test_values_that_are_no_text(value: Any) -> None:
    """Numbers and booleans influence as the text that JSON has for them."""
    records = [*hourly(72, 60), *burst(60, 100, n=value)]
    job = finished({"function": "high_count"}, records, "n")
    assert record_at(job, 60)["influencers"] == {"n": [str(value).lower()]}


def test_dictionary_columns() -> None:
    """Dictionary-encoded columns, nulls among them, blame the same values as text does."""
    import pyarrow as pa

    records = [*hourly(72, 60, user=50), *burst(60, 100, user="mallory"), *burst(61, 5, user=None)]
    table = pa.Table.from_pylist(sorted(records, key=lambda r: r["t"]))
    encoded = table.set_column(2, "user", table["user"].dictionary_encode())
    assert table.schema.names[2] == "user"
    jobs = [job_of({"function": "high_count"}, "user") for _ in range(2)]
    for job, form in zip(jobs, (table, encoded), strict=True):
        job.post(form)
        job.flush()
    assert record_at(jobs[1], 60)["influencers"] == {"user": ["mallory"]}
    assert_identical(results(jobs[0]), results(jobs[1]))


def test_an_analysed_field_may_be_an_influencer() -> None:
    """The field that is analysed, or counted, can be blamed as well."""
    records = [*hourly(72, 60, port=8), *burst(60, 1, x=9000.0, port="port1")]
    job = finished({"function": "max", "field_name": "x"}, records, "x", "port")
    assert record_at(job, 60)["influencers"] == {"x": ["9000.0"], "port": ["port1"]}


def test_an_influencer_given_twice_counts_once() -> None:
    """A field that is named twice is one influencer."""
    records = [*hourly(72, 60, user=50), *burst(60, 100, user="mallory")]
    job = finished({"function": "high_count"}, records, "user", "user")
    assert record_at(job, 60)["influencers"] == {"user": ["mallory"]}
    assert worst(job, 60) == {"user": "mallory"}
