"""Population analysis through a job: against the naive twin, the laws of DESIGN.md, and what records tell."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Any
from unittest import mock

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from tests.naive_population import NaivePopulation, Settings
from tests.strategies import BASE_MS, cuts
from tests.test_laws import assert_identical, results
from tests.test_twin import same_value, small_pieces

from tidegate import Job

HOUR = 3_600_000
START = BASE_MS - BASE_MS % HOUR
Rows = list[dict[str, Any]]

DETECTORS: tuple[dict[str, Any], ...] = (
    {"function": "count", "over_field_name": "user"},
    {"function": "high_sum", "field_name": "x", "over_field_name": "user"},
    {"function": "metric", "field_name": "x", "by_field_name": "k", "over_field_name": "user"},
    {"function": "mean", "field_name": "x", "over_field_name": "user", "partition_field_name": "p"},
    {"function": "low_median", "field_name": "x", "over_field_name": "user"},
    {"function": "distinct_count", "field_name": "k", "over_field_name": "user", "use_null": True},
    {
        "function": "high_count",
        "by_field_name": "k",
        "over_field_name": "user",
        "partition_field_name": "p",
        "use_null": True,
    },
    {"function": "max", "field_name": "x", "by_field_name": "k", "over_field_name": "user"},
    {"function": "varp", "field_name": "x", "over_field_name": "user", "partition_field_name": "p"},
)


def config(*detectors: dict[str, Any], latency: int = 0, **more: Any) -> dict[str, Any]:
    """An hourly job over a population."""
    return {
        "job_id": "crowd",
        "analysis_config": {"bucket_span": "1h", "latency": f"{latency}h", "detectors": list(detectors)},
        "data_description": {"time_field": "t"},
        **more,
    }


@dataclass
class Crowd:
    """A job over a population and its records, in time order from the start of a bucket."""

    config: dict[str, Any]
    records: Rows
    seed: int

    def __repr__(self) -> str:
        return f"Crowd(seed={self.seed}, {len(self.records)} records, {self.config})"


@st.composite
def crowds(draw: st.DrawFn, latencies: tuple[int, ...] = (0, 0, 2)) -> Crowd:
    """Some dozen users over two or three days; a few do much more or otherwise than the others."""
    seed = draw(st.integers(0, 2**32 - 1))
    chosen = draw(st.lists(st.sampled_from(range(len(DETECTORS))), min_size=1, max_size=3, unique=True))
    made = config(*(DETECTORS[i] for i in chosen), latency=draw(st.sampled_from(latencies)))
    return Crowd(made, crowd_records(random.Random(seed)), seed)


def crowd_records(rng: random.Random, n_users: int = 10) -> Rows:
    """Records of users of whom most are active now and then, one always."""
    records: Rows = []
    activity = {f"u{k}": rng.choice((0.2, 0.5, 0.9)) for k in range(n_users)} | {"u0": 1.0}
    bucket = START // HOUR
    for at in range(rng.randint(36, 60)):
        bucket += 1 if rng.random() < 0.98 else rng.randint(2, 12)
        made: Rows = [_record(rng, "u0", 1.0)] if at == 0 else []
        for user in (user for user, share in activity.items() if rng.random() < share):
            is_odd = at > 20 and rng.random() < 0.01
            size = rng.randint(1, 3) * (rng.choice((1, 12)) if is_odd else 1)
            made += [_record(rng, user, 50.0 if is_odd else 1.0) for _ in range(size)]
        times = sorted(rng.randrange(HOUR) for _ in made)
        rng.shuffle(made)
        for time, record in zip([0, *times[1:]] if at == 0 else times, made, strict=True):
            records.append({"t": bucket * HOUR + time, **record})
    return records


def _record(rng: random.Random, user: str, factor: float) -> dict[str, Any]:
    return {
        "user": user if rng.random() < 0.98 else None,
        "x": round(factor * rng.lognormvariate(3.0, 0.5), 3) if rng.random() < 0.97 else None,
        "k": rng.choice(("a", "b", "c", None)),
        "p": rng.choice(("p", "q")),
    }


def in_one_go(crowd: Crowd, threads: int = 1) -> Job:
    """The job after one post and a close of its last bucket."""
    job = Job(crowd.config, threads=threads)
    job.post(crowd.records)
    job.flush(advance_time=crowd.records[-1]["t"] // 1000 + 10 * 3600)
    return job


# Against the twin

_FEATURES: dict[str, Callable[[list[Any]], float | None]] = {
    "count": len,
    "sum": math.fsum,
    "mean": fmean,
    "min": min,
    "max": max,
    "median": median,
    "varp": lambda xs: fmean((x - fmean(xs)) ** 2 for x in xs) if len(xs) > 2 else None,
    "distinct_count": lambda xs: len(set(xs)),
}


def _family(detector: dict[str, Any]) -> str:
    name: str = detector["function"]
    return name.removeprefix("low_").removeprefix("high_")


def _features(detector: dict[str, Any]) -> tuple[str, ...]:
    return ("mean", "min", "max") if _family(detector) == "metric" else (_family(detector),)


def _settings(detector: dict[str, Any]) -> list[Settings]:
    """What the crowds of every feature are told."""
    function = detector["function"]
    side = -1 if function.startswith("low_") else 1 if function.startswith("high_") else 0
    sides = {"min": -1, "max": 1}
    return [
        Settings(HOUR, sides.get(feature, side), feature in ("count", "distinct_count"), 720)
        for feature in _features(detector)
    ]


def _cells(detector: dict[str, Any], records: Rows) -> dict[tuple[str, str, str], list[float | None]]:
    """The values of every member: by, over and partition value."""
    values: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for record in records:
        key = tuple(
            (record[detector[f"{role}_field_name"]] or "") if f"{role}_field_name" in detector else ""
            for role in ("by", "over", "partition")
        )
        is_missing = not key[1] or ("by_field_name" in detector and not key[0])
        value = record[detector["field_name"]] if "field_name" in detector else 1
        if value is not None and (detector.get("use_null") or not is_missing):
            values[key].append(value)
    return {key: [_FEATURES[name](xs) for name in _features(detector)] for key, xs in values.items()}


def _expected(crowd: Crowd) -> tuple[list[dict[str, Any]], list[int], list[float]]:
    """Records of the twin, and how many it scored and the least ln p of each bucket and detector."""
    by_bucket: dict[int, Rows] = defaultdict(list)
    for record in crowd.records:
        by_bucket[record["t"] // HOUR].append(record)
    made, scored, least = [], [], []
    for index, detector in enumerate(crowd.config["analysis_config"]["detectors"]):
        twin = NaivePopulation(_settings(detector))
        for bucket in sorted(by_bucket):
            found, n, log_p = twin.observe(bucket, bucket, _cells(detector, by_bucket[bucket]))
            scored.append(n)
            least.append(log_p)
            made += [{"bucket": bucket * HOUR, "detector": index, "found": one} for one in found]
    return made, scored, least


@given(crowds())
def test_records_are_those_of_the_naive_twin(crowd: Crowd) -> None:
    """The same members are unusual in the same buckets, with the same probabilities and causes."""
    job = in_one_go(crowd)
    ours = {
        (r["timestamp"], r["detector_index"], r["over_field_value"], r["partition_field_value"] or ""): r
        for r in job.records().to_pylist()
    }
    expected, _, _ = _expected(crowd)
    event(f"records: {min(len(expected), 3)}")
    twins = {(made["bucket"], made["detector"], *made["found"].person): made["found"] for made in expected}
    assert ours.keys() == twins.keys()
    for key, found in twins.items():
        record = ours[key]
        assert math.isclose(record["log_probability"], found.log_p, rel_tol=1e-6)
        assert record["record_score"] <= found.score + 1e-6
        mine = {cause["by_field_value"] or "": cause for cause in record["causes"]}
        assert mine.keys() == {cause.attribute[0] for cause in found.causes}
        for cause in found.causes:
            [actual], [typical] = (mine[cause.attribute[0]][name] for name in ("actual", "typical"))
            assert same_value(actual, cause.judged.actual, exact=False)
            assert math.isclose(typical, cause.judged.typical, rel_tol=1e-6)
            assert math.isclose(
                mine[cause.attribute[0]]["probability"], math.exp(cause.judged.log_p), rel_tol=1e-5
            )


# The laws


@given(crowds(), st.data())
def test_cuts_do_not_matter(crowd: Crowd, data: st.DataObject) -> None:
    """However a stream is cut into posts and flushes, the results are bit-identical (law 1)."""
    job = Job(crowd.config, threads=1)
    for begin, end in pairwise(data.draw(cuts(len(crowd.records)))):
        job.post(crowd.records[begin:end])
        if data.draw(st.booleans()):
            job.flush()
        if data.draw(st.booleans()):
            job.close()
            job.open()
    job.flush(advance_time=crowd.records[-1]["t"] // 1000 + 10 * 3600)
    whole = in_one_go(crowd)
    event(f"records: {min(whole.records().num_rows, 3)}")
    assert_identical(results(job), results(whole))


@given(crowds(), st.integers(1, 60), st.integers(1, 20), st.integers(1, 40))
def test_passes_do_not_matter(crowd: Crowd, rows: int, buckets: int, chunk: int) -> None:
    """How many rows, buckets and cells are worked on at once changes nothing (law 1)."""
    with small_pieces(rows=rows, buckets=buckets), mock.patch("tidegate.crowds._CHUNK", chunk):
        job = in_one_go(crowd)
    assert_identical(results(job), results(in_one_go(crowd)))


@given(crowds())
def test_threads_do_not_matter(crowd: Crowd) -> None:
    """One thread and three give bit-identical results, with the work really split (law 3)."""
    with mock.patch("tidegate.crowds._PIECE", 1), mock.patch("tidegate.passes._PIECE_ROWS", 1):
        one, three = in_one_go(crowd, threads=1), in_one_go(crowd, threads=3)
    assert_identical(results(three), results(one))


@given(crowds(), st.data())
def test_interim_results_change_nothing(crowd: Crowd, data: st.DataObject) -> None:
    """Flushes with interim results in between leave final results as they were (law 4)."""
    job = Job(crowd.config, threads=1)
    for begin, end in pairwise(data.draw(cuts(len(crowd.records)))):
        job.post(crowd.records[begin:end])
        job.flush(calc_interim=True)
    job.flush(advance_time=crowd.records[-1]["t"] // 1000 + 10 * 3600)
    assert_identical(results(job), results(in_one_go(crowd)))


@given(crowds(), st.integers(0, 2**32 - 1))
def test_order_within_open_buckets_does_not_matter(crowd: Crowd, seed: int) -> None:
    """Records in any order that no bucket closes on give the same results to rounding (law 5)."""
    rng = random.Random(seed)
    latency = int(crowd.config["analysis_config"]["latency"][:-1])
    late = {id(r): (r["t"] // HOUR + rng.randint(0, latency), rng.random()) for r in crowd.records}
    shuffled = Crowd(crowd.config, sorted(crowd.records, key=lambda r: late[id(r)]), crowd.seed)
    shuffled_job = Job(crowd.config, threads=1)
    assert shuffled_job.post(shuffled.records).out_of_order_timestamp_count == 0
    shuffled_job.flush(advance_time=crowd.records[-1]["t"] // 1000 + 10 * 3600)
    names = ("timestamp", "detector_index", "over_field_value", "partition_field_value")
    mine, others = (
        {tuple(r[name] for name in names): r for r in job.records().to_pylist()}
        for job in (shuffled_job, in_one_go(crowd))
    )
    assert mine.keys() == others.keys()
    for key, record in mine.items():
        other = others[key]
        assert math.isclose(record["log_probability"], other["log_probability"], rel_tol=1e-6), key
        assert math.isclose(record["record_score"], other["record_score"], rel_tol=1e-6, abs_tol=1e-9)
        assert len(record["causes"]) == len(other["causes"])


# What records tell


def _steady(n_users: int = 30, hours: int = 72) -> Rows:
    """Every user has four records an hour; half of them of one host, half of the other."""
    rng = random.Random(3)
    return [
        {
            "t": START + hour * HOUR + k * 1000,
            "user": f"u{k % n_users}",
            "x": rng.lognormvariate(5.0, 0.3),
            "k": "ab"[k % 2],
            "p": "pq"[k % 4 // 2],
        }
        for hour in range(hours)
        for k in range(4 * n_users)
    ]


def _with(records: Rows, extra: Rows) -> Rows:
    return sorted([*records, *extra], key=lambda record: record["t"])


def _best(job: Job) -> dict[str, Any]:
    best: dict[str, Any] = max(job.records().to_pylist(), key=lambda record: record["record_score"])
    return best


def test_a_record_of_a_population_tells_its_causes() -> None:
    """Names and values of the member are those of the record; what is unusual is said by the causes."""
    at = START + 60 * HOUR
    burst = [{"t": at + k, "user": "u7", "x": 150.0, "k": "b", "p": "q"} for k in range(300)]
    detector = {
        "function": "high_count",
        "by_field_name": "k",
        "over_field_name": "user",
        "partition_field_name": "p",
    }
    job = in_one_go(Crowd(config(detector), _with(_steady(), burst), 0))
    record = _best(job)
    assert (record["timestamp"], record["over_field_value"], record["partition_field_value"]) == (
        at,
        "u7",
        "q",
    )
    assert (record["over_field_name"], record["by_field_name"]) == ("user", "k")
    assert (record["by_field_value"], record["typical"], record["actual"]) == (None, None, None)
    assert record["probability"] < 1e-4
    [cause] = record["causes"]
    assert cause["by_field_value"] == "b"
    assert cause["actual"][0] >= 300.0
    assert cause["typical"][0] == pytest.approx(2.0, abs=0.5)
    assert (cause["function"], cause["function_description"]) == ("high_count", "count")
    assert (cause["over_field_value"], cause["partition_field_value"]) == ("u7", "q")
    assert cause["probability"] <= record["probability"]
    assert record["anomaly_score_explanation"]["anomaly_type"] == "spike"


def test_a_member_has_ten_causes_at_most() -> None:
    """A member that is unusual in twelve attributes has one record, with the ten least probable of them."""
    rng = random.Random(4)
    keys = [f"k{k}" for k in range(12)]
    records = [
        {"t": START + hour * HOUR + i, "user": f"u{i % 20}", "k": key, "x": rng.gauss(100.0, 5.0)}
        for hour in range(72)
        for i, key in enumerate(key for key in keys for _ in range(20))
    ]
    for record in records:
        if record["t"] // HOUR == START // HOUR + 60 and record["user"] == "u3":
            record["x"] *= 2.0 + int(record["k"][1:])
    detector = {"function": "mean", "field_name": "x", "by_field_name": "k", "over_field_name": "user"}
    record = _best(in_one_go(Crowd(config(detector), records, 0)))
    assert record["over_field_value"] == "u3"
    p = [cause["probability"] for cause in record["causes"]]
    assert len(p) == 10
    assert p == sorted(p)
    assert {"k0", "k1"}.isdisjoint(cause["by_field_value"] for cause in record["causes"])


@pytest.mark.parametrize("function", ["high_count", "high_sum"])
def test_a_slow_trickle_to_one_host(function: str) -> None:
    """Many small transfers of one member are unusual in their number, or in their sum if that is much."""
    small = 1.0 if function == "high_count" else 60.0
    trickle = [
        {"t": START + hour * HOUR + 20_000 * k, "user": "u5", "x": small, "k": "a", "p": "p"}
        for hour in range(60, 66)
        for k in range(150)
    ]
    detector = {"function": function, "over_field_name": "user"}
    if function == "high_sum":
        detector["field_name"] = "x"
    job = in_one_go(Crowd(config(detector), _with(_steady(), trickle), 0))
    strong = [record for record in job.records().to_pylist() if record["record_score"] > 50.0]
    assert {record["over_field_value"] for record in strong} == {"u5"}
    assert all(record["timestamp"] >= START + 60 * HOUR for record in strong)
    of_user = [record for record in job.records().to_pylist() if record["over_field_value"] == "u5"]
    assert {record["timestamp"] for record in of_user} >= {START + hour * HOUR for hour in range(60, 66)}


def test_a_member_is_not_compared_with_its_own_past() -> None:
    """A member that always did much more than all others is unusual still."""
    busy = [
        {"t": START + hour * HOUR + 20_000 * k, "user": "busy", "x": 1.0, "k": "a", "p": "p"}
        for hour in range(72)
        for k in range(150)
    ]
    records = _with(_steady(n_users=200), busy)
    job = in_one_go(Crowd(config({"function": "count", "over_field_name": "user"}), records, 0))
    late = [r for r in job.records().to_pylist() if r["timestamp"] >= START + 60 * HOUR]
    assert {record["over_field_value"] for record in late} == {"busy"}
    assert len({record["timestamp"] for record in late}) >= 10


def test_one_series_of_results_beside_others() -> None:
    """Individual and population detectors of one job have records of their own kind."""
    records = _steady()
    for record in records:
        if record["t"] // HOUR == START // HOUR + 60 and record["user"] == "u3":
            record["x"] *= 40.0
    detectors = (
        {"function": "mean", "field_name": "x", "by_field_name": "user"},
        {"function": "mean", "field_name": "x", "over_field_name": "user"},
    )
    job = in_one_go(Crowd(config(*detectors), records, 0))
    found = {r["detector_index"]: r for r in job.records().to_pylist() if r["record_score"] > 50.0}
    assert (found[0]["by_field_value"], found[0]["over_field_value"]) == ("u3", None)
    assert found[0]["causes"] is None
    assert found[0]["actual"] == found[1]["causes"][0]["actual"]
    assert (found[1]["over_field_value"], found[1]["actual"]) == ("u3", None)


def test_metric_tells_which_of_its_features_is_unusual() -> None:
    """One value that is much too large is unusual as a maximum, and told as such."""
    records = _steady()
    high = next(r for r in records if r["t"] // HOUR == START // HOUR + 60 and r["user"] == "u3")
    high["x"] *= 100.0
    job = in_one_go(
        Crowd(config({"function": "metric", "field_name": "x", "over_field_name": "user"}), records, 0)
    )
    record = _best(job)
    assert record["over_field_value"] == "u3"
    assert record["function_description"] in ("max", "mean")
    assert record["causes"][0]["actual"][0] > 1000.0


def test_interim_results_of_a_population() -> None:
    """An open bucket has records for who is unusual so far, and none for members that have begun slowly."""
    records = _steady()
    now = START + 72 * HOUR
    begun = [{**record, "t": record["t"] + 72 * HOUR} for record in records[:31]]
    begun += [{"t": now + 100 + k, "user": "u9", "x": 150.0, "k": "a", "p": "p"} for k in range(200)]
    for function in ("count", "high_count", "low_count"):
        job = Job(config({"function": function, "over_field_name": "user"}), threads=1)
        job.post(_with(records, begun))
        job.flush(calc_interim=True)
        interim = [record for record in job.records().to_pylist() if record["is_interim"]]
        assert [r["over_field_value"] for r in interim] == ([] if function == "low_count" else ["u9"])


def test_records_without_an_over_value_belong_to_nobody() -> None:
    """They are in the count of events, but make no member; with use_null they are one of the members."""
    records = _steady()
    for record in records:
        if record["user"] == "u3":
            record["user"] = None
        if record["t"] // HOUR == START // HOUR + 60 and record["user"] is None:
            record["x"] *= 100.0
    for use_null in (False, True):
        detector = {"function": "mean", "field_name": "x", "over_field_name": "user", "use_null": use_null}
        job = in_one_go(Crowd(config(detector), records, 0))
        assert sum(job.buckets()["event_count"].to_pylist()) == len(records)
        strong = [r["over_field_value"] for r in job.records().to_pylist() if r["record_score"] > 50.0]
        assert strong == ([""] if use_null else [])


def test_the_memory_limit_refuses_members() -> None:
    """What a member too many has in records is counted; those there are go on."""
    limits = {"analysis_limits": {"model_memory_limit": "1mb"}}
    records = [
        {"t": START + hour * HOUR + k, "user": f"u{k}", "x": 1.0, "k": f"k{k % 2}", "p": "p"}
        for hour in range(3)
        for k in range(6000)
    ]
    detector = {"function": "high_count", "over_field_name": "user", "by_field_name": "k"}
    job = Job(config(detector, **limits), threads=1)
    job.post(records)
    job.flush()
    [lane] = job._engine._lanes.values()
    assert 0 < len(lane.keys) < 6000
    assert 3 * (6000 - len(lane.keys)) <= job._engine.refused < 2 * 6000  # some come in later
    assert job._engine.stock.taken <= 1 << 20


def test_the_memory_limit_refuses_attributes() -> None:
    """Attributes take more than members: there are fewer of them, and what is refused is counted."""
    limits = {"analysis_limits": {"model_memory_limit": "1mb"}}
    records = [
        {"t": START + hour * HOUR + k, "user": "u", "x": 1.0, "k": f"k{k}", "p": "p"}
        for hour in range(3)
        for k in range(1000)
    ]
    detector = {"function": "high_count", "over_field_name": "user", "by_field_name": "k"}
    job = Job(config(detector, **limits), threads=1)
    job.post(records)
    job.flush()
    [lane] = job._engine._lanes.values()
    assert 0 < len(lane.keys) < 400
    assert 3 * (1000 - len(lane.keys)) <= job._engine.refused < 2.5 * 1000  # some come in later
    assert job._engine.stock.taken <= 1 << 20


def test_results_of_a_population_are_json() -> None:
    """Records with causes can be written as JSON lines and read again."""
    job = in_one_go(Crowd(config(*DETECTORS), crowd_records(random.Random(8)), 8))
    rows = job.records().to_pylist()
    assert rows
    assert json.loads(json.dumps(rows)) == rows
