"""Jobs with time_of_day, time_of_week and lat_long: results, their fields, and the laws of DESIGN.md."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from tests.strategies import BASE_MS, Stream, cuts
from tests.test_laws import assert_identical, in_one_go, results
from tests.test_twin import seconds

from tidegate import Job
from tidegate.columns import to_degrees

HOUR_MS = 3_600_000
START_MS = BASE_MS - BASE_MS % (24 * HOUR_MS)

_DETECTORS: tuple[dict[str, str], ...] = (
    {"function": "time_of_day"},
    {"function": "time_of_day", "by_field_name": "k"},
    {"function": "time_of_week", "partition_field_name": "p"},
    {"function": "time_of_day", "over_field_name": "k"},
    {"function": "time_of_week", "over_field_name": "k", "by_field_name": "p"},
    {"function": "lat_long", "field_name": "pos", "by_field_name": "k"},
    {"function": "lat_long", "field_name": "pos", "over_field_name": "k"},
    {"function": "lat_long", "field_name": "pos", "over_field_name": "k", "partition_field_name": "p"},
)


def _position(rng: random.Random, *, is_odd: bool) -> str | None:
    if rng.random() < 0.03:
        return rng.choice(("x", "91,0", "1,2,3", "", "nan,0"))
    if rng.random() < 0.03:
        return None
    centre = (-33.9, 151.2) if is_odd else rng.choice(((48.1, 11.5), (48.2, 11.7), (0.0, 179.99)))
    return f"{centre[0] + rng.gauss(0, 0.004):.5f},{centre[1] + rng.uniform(-0.01, 0.01):.5f}"


def _records(rng: random.Random) -> list[dict[str, Any]]:
    """Working hours of some days, and a few odd hours and places."""
    records = []
    keys = ["a", "b"][: rng.randint(1, 2)]
    for day in range(rng.randint(16, 24)):
        hours = [*range(9, 14), *([rng.randrange(24)] if day > 13 and rng.random() < 0.4 else [])]
        for hour in sorted(set(hours)):
            is_odd = hour not in range(9, 14)
            for _ in range(rng.randint(1, 2)):
                time = START_MS + day * 24 * HOUR_MS + hour * HOUR_MS + rng.randrange(HOUR_MS)
                pos = _position(rng, is_odd=is_odd or (day > 13 and rng.random() < 0.02))
                records.append({"t": time, "k": rng.choice(keys), "p": rng.choice("pq"), "pos": pos})
    return sorted(records, key=lambda record: record["t"])


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """A job of one to three detectors of times and positions, with its records."""
    seed = draw(st.integers(0, 2**32 - 1))
    chosen = draw(st.lists(st.sampled_from(range(len(_DETECTORS))), min_size=1, max_size=3, unique=True))
    latency = draw(st.sampled_from((0, 0, 2)))
    config = {
        "job_id": "law",
        "analysis_config": {
            "bucket_span": "1h",
            "latency": latency * 3600,
            "detectors": [_DETECTORS[i] for i in chosen],
        },
        "data_description": {"time_field": "t"},
    }
    return Stream(config, HOUR_MS, latency * HOUR_MS, _records(random.Random(seed)), seed)


@given(streams(), st.data())
def test_cuts_do_not_matter(stream: Stream, data: st.DataObject) -> None:
    """However a stream is cut into posts, flushes and interim results, final results are identical."""
    job = Job(stream.config, threads=1)
    for begin, end in pairwise(data.draw(cuts(len(stream.records)))):
        job.post(stream.records[begin:end])
        act = data.draw(st.sampled_from(("nothing", "flush", "interim", "reopen")))
        if act == "flush":
            job.flush()
        elif act == "interim":
            job.flush(**seconds({"calc_interim": True}))
        elif act == "reopen":
            job.close()
            job.open()
    job.close()
    whole = in_one_go(stream)
    event(f"records: {min(whole.records().num_rows, 3)}")
    assert_identical(results(job), results(whole))


@given(streams())
def test_threads_do_not_matter(stream: Stream) -> None:
    """One thread and three give identical results, with the work really split."""
    with mock.patch("tidegate.bymodel._PIECE", 1), mock.patch("tidegate.bymodel._FIRST_RESULTS", 1):
        one, three = in_one_go(stream, threads=1), in_one_go(stream, threads=3)
    assert_identical(results(three), results(one))
    assert_identical(results(in_one_go(stream)), results(one))


@given(streams(), st.integers(0, 2**32 - 1))
def test_order_within_a_bucket_does_not_matter(stream: Stream, seed: int) -> None:
    """Records of one bucket in any order give the same results to rounding."""
    rng = random.Random(seed)
    first = stream.records[0]
    shuffled = sorted(stream.records[1:], key=lambda r: (r["t"] // HOUR_MS, rng.random()))
    stream.config["analysis_config"]["latency"] = 3600
    one, other = Job(stream.config), Job(stream.config)
    one.post(stream.records)
    other.post([first, *shuffled])
    for job in (one, other):
        job.flush(advance_time=stream.records[-1]["t"] // 1000 + 7200)
    ours, theirs = (
        {(r["timestamp"], r["detector_index"], r["by_field_value"], r["over_field_value"]): r for r in rows}
        for rows in (results(one)["records"], results(other)["records"])
    )
    assert ours.keys() == theirs.keys()
    for key, record in ours.items():
        assert record["log_probability"] == pytest.approx(theirs[key]["log_probability"], abs=1e-6)
        assert record["actual"] == pytest.approx(theirs[key]["actual"], abs=1e-6)


def _job(detector: dict[str, Any], **more: Any) -> Job:
    return Job(
        {
            "analysis_config": {"bucket_span": "1h", "detectors": [detector]},
            "data_description": {"time_field": "t"},
            **more,
        }
    )


def _days(days: int, hours: range, **fields: Any) -> list[dict[str, Any]]:
    rng = random.Random(1)
    return [
        {"t": START_MS + (24 * day + hour) * HOUR_MS + rng.randrange(HOUR_MS), **fields}
        for day in range(days)
        for hour in hours
    ]


@pytest.mark.parametrize("role", ["by_field_name", "over_field_name"])
def test_a_login_in_the_night_is_the_top_record(role: str) -> None:
    """Its actual time is in seconds since midnight, its typical time the middle of the working day."""
    records = sorted(
        [*_days(30, range(9, 17), user="a"), *_days(30, range(9, 17), user="b")], key=lambda r: r["t"]
    )
    night = START_MS + (30 * 24 + 3) * HOUR_MS
    records += [{"t": night + 600_000, "user": "b"}, {"t": night + 9 * HOUR_MS, "user": "b"}]
    job = _job({"function": "time_of_day", role: "user"})
    job.post(records)
    job.close()
    [record] = job.records().to_pylist()
    assert record[role.replace("name", "value")] == "b"
    assert record["timestamp"] == night
    # What is unusual of a member of a population is told by its causes.
    told = record if role == "by_field_name" else record["causes"][0]
    assert told["actual"] == [3 * 3600.0 + 600.0]
    assert told["typical"] == [pytest.approx(13 * 3600.0, abs=900.0)]
    explanation = record["anomaly_score_explanation"]
    assert explanation["anomaly_type"] is None
    assert explanation["lower_confidence_bound"] == pytest.approx(9 * 3600.0, abs=7200.0)
    assert explanation["upper_confidence_bound"] == pytest.approx(17 * 3600.0, abs=7200.0)
    assert record["record_score"] > 60.0
    assert record["geo_results"] is None


def test_a_far_place_is_the_top_record() -> None:
    """Its actual and typical values are latitude and longitude, as numbers and as text."""
    records = _days(20, range(24), user="a", pos="48.1,11.5")
    records.append({"t": records[-1]["t"] + HOUR_MS, "user": "a", "pos": "-33.9,151.2"})
    job = _job({"function": "lat_long", "field_name": "pos", "by_field_name": "user"})
    job.post(records)
    job.flush(advance_time=records[-1]["t"] // 1000 + 3600)
    [record] = job.records(exclude_interim=True).to_pylist()
    assert record["actual"] == [-33.9, 151.2]
    assert record["typical"] == [48.1, 11.5]
    assert record["geo_results"] == {"actual_point": "-33.9,151.2", "typical_point": "48.1,11.5"}
    explanation = record["anomaly_score_explanation"]
    assert explanation["anomaly_type"] is None
    assert explanation["lower_confidence_bound"] is None


def test_the_mean_position_crosses_the_date_line() -> None:
    """Records on both sides of 180 degrees have their mean there, not on the other side of the earth."""
    records = [
        {"t": START_MS + k * HOUR_MS + side, "pos": f"10.0,{179.9 if side else -179.9}"}
        for k in range(200)
        for side in (0, 1)
    ]
    records.append({"t": records[-1]["t"] + HOUR_MS, "pos": "10.0,0.0"})
    job = _job({"function": "lat_long", "field_name": "pos"})
    job.post(records)
    job.flush(advance_time=records[-1]["t"] // 1000 + 3600)
    [record] = job.records(exclude_interim=True).to_pylist()
    latitude, longitude = record["typical"]
    assert latitude == pytest.approx(10.0, abs=0.01)
    assert abs(longitude) == pytest.approx(180.0, abs=1e-6)


def test_interim_results_show_an_odd_hour_at_once() -> None:
    """A bucket that has begun is scored by its mean time so far."""
    records = _days(30, range(9, 17))
    records.append({"t": START_MS + (30 * 24 + 3) * HOUR_MS, "k": "x"})
    job = _job({"function": "time_of_day"})
    job.post(records)
    job.flush(calc_interim=True)
    [record] = job.records().to_pylist()
    assert record["is_interim"]
    assert record["actual"] == [3 * 3600.0]


def test_a_person_has_one_record_with_its_causes_counted() -> None:
    """Over a population with a by field, p of a person is multiplied by its attributes in the bucket."""
    rng = random.Random(2)
    days = [(day, hour) for day in range(20) for hour in range(9, 17)]
    records = [
        {"t": START_MS + (24 * d + h) * HOUR_MS + rng.randrange(HOUR_MS), "u": f"u{rng.randrange(9)}", "k": k}
        for d, h in days
        for k in "ab"
        for _ in range(3)
    ]
    night = START_MS + (20 * 24 + 2) * HOUR_MS
    records += [{"t": night + n, "u": "u1", "k": "ab"[n % 2]} for n in range(4)]
    records.append({"t": night + 9 * HOUR_MS, "u": "u2", "k": "a"})
    job = _job({"function": "time_of_day", "over_field_name": "u", "by_field_name": "k"})
    job.post(sorted(records, key=lambda r: r["t"]))
    job.close()
    found = [r for r in job.records().to_pylist() if r["timestamp"] == night]
    assert [r["over_field_value"] for r in found] == ["u1"]
    alone = _job({"function": "time_of_day", "over_field_name": "u", "by_field_name": "k"})
    alone.post(
        sorted(
            [
                r
                for r in records
                if r["k"] == found[0]["causes"][0]["by_field_value"] or not night <= r["t"] < night + HOUR_MS
            ],
            key=lambda r: r["t"],
        )
    )
    alone.close()
    [same] = [r for r in alone.records().to_pylist() if r["timestamp"] == night]
    assert found[0]["log_probability"] == pytest.approx(same["log_probability"] + math.log(2.0))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_positions_are_read(kind: pa.DataType) -> None:
    """Two numbers with a comma in between; all else that is there is invalid, null is nothing."""
    texts = ["51.5,-0.1", " 51.5 , -0.1 ", "90,180", "-90,-180", "1e1,+2", None]
    wrong = ["", "1", "1,2,3", "a,b", "1,", "90.1,0", "0,180.5", "nan,0", "inf,0", "1;2", "1_0,2"]
    latitude, longitude, invalid = to_degrees(pa.array(texts + wrong, pa.string()).cast(kind))
    assert latitude[:5].tolist() == [51.5, 51.5, 90.0, -90.0, 10.0]
    assert longitude[:5].tolist() == [-0.1, -0.1, 180.0, -180.0, 2.0]
    assert np.isnan(latitude[5:]).all()
    assert np.isnan(longitude[5:]).all()
    assert invalid == len(wrong)


def test_numbers_are_no_positions() -> None:
    """A column of numbers has no positions; of nulls it has nothing invalid."""
    assert to_degrees(pa.array([1.5, None]))[2] == 1
    assert to_degrees(pa.nulls(3))[2] == 0


def test_invalid_positions_are_counted() -> None:
    """They are invalid values of records that are processed all the same."""
    job = _job({"function": "lat_long", "field_name": "pos"})
    counts = job.post([{"t": START_MS + k, "pos": text} for k, text in enumerate(("1,2", "91,0", None, "x"))])
    assert (counts.processed_record_count, counts.invalid_value_count) == (4, 2)
    assert job.post([{"t": START_MS + 9}]).processed_record_count == 1
    job.close()


def test_a_model_plot_has_no_rows_of_densities() -> None:
    """A job with a model plot runs with these functions too."""
    records = _days(5, range(9, 17), user="a")
    job = _job({"function": "time_of_day", "by_field_name": "user"}, model_plot_config={"enabled": True})
    job.post(records)
    job.close()
    assert job.model_plot().num_rows == 0
