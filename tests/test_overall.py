"""Overall buckets: scenario, twin, and every message."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import Job, RequestError, TimeError, overall_buckets
from tidegate.config.spans import parse_span
from tidegate.results import BUCKETS, OVERALL_BUCKETS

HOUR = 3_600_000
START = 1_400_000_400_000 // (24 * HOUR) * 24 * HOUR


def counting(job_id: str, hours: int = 3000) -> Job:
    """A job that counts one record an hour, and three more in every thousandth."""
    job = Job(
        {
            "job_id": job_id,
            "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]},
            "data_description": {"time_field": "t"},
        }
    )
    at = [START + HOUR * h + k for h in range(hours) for k in range(4 if h % 1000 == 0 else 1)]
    job.post(pa.table({"t": at}))
    job.flush(advance_time=START + HOUR * hours)
    job.close()
    return job


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    return [counting("b"), counting("a")]


def test_e8_two_jobs_of_three_thousand_hours(jobs: list[Job]) -> None:
    """Every hour is an overall bucket, every two hours half as many; two score, the bursts."""
    table = overall_buckets(jobs)
    assert table.schema == OVERALL_BUCKETS
    assert table.num_rows == 3000
    assert table["timestamp"].to_pylist() == [START + HOUR * h for h in range(3000)]
    assert overall_buckets(jobs, bucket_span="2h").num_rows == 1500
    worst = overall_buckets(jobs, overall_score=0.1)
    assert worst.num_rows == 2
    assert worst["timestamp"].to_pylist() == [START + HOUR * h for h in (1000, 2000)]
    assert all(score > 50.0 for score in worst["overall_score"].to_pylist())
    [first] = worst.slice(0, 1).to_pylist()
    assert [part["job_id"] for part in first["jobs"]] == ["a", "b"]
    assert all(part["max_anomaly_score"] == first["overall_score"] for part in first["jobs"])


def test_one_job_is_its_buckets(jobs: list[Job]) -> None:
    """The overall buckets of one job are its buckets, whatever `top_n` is."""
    [job] = jobs[:1]
    wanted = job.buckets()["anomaly_score"].to_pylist()
    for top_n in (1, 5):
        table = job.overall_buckets(top_n=top_n)
        assert table["overall_score"].to_pylist() == wanted
        assert table.equals(overall_buckets([job, job], top_n=top_n))


def test_limits_are_whole_intervals(jobs: list[Job]) -> None:
    """`start` is rounded up and `end` down to intervals; the second belongs to the next range."""
    table = overall_buckets(jobs, bucket_span="2h", start=str(START + 1000), end=str(START + 7 * HOUR))
    assert table["timestamp"].to_pylist() == [START + 2 * HOUR, START + 4 * HOUR]
    assert set(table["bucket_span"].to_pylist()) == {7200}
    assert overall_buckets(jobs, start=str(START + HOUR), end=str(START + HOUR)).num_rows == 0


Row = tuple[int, float, bool]


class Posed:
    """What overall buckets need of a job."""

    def __init__(self, job_id: str, span: str, rows: list[Row]) -> None:
        self.job_id, self.rows = job_id, rows
        self.span = parse_span(span)
        self.config = SimpleNamespace(analysis_config=SimpleNamespace(bucket_span=self.span))

    def buckets(self, *, exclude_interim: bool = False) -> pa.Table:
        kept = [row for row in self.rows if not (exclude_interim and row[2])]
        rows = [{"timestamp": t, "anomaly_score": score, "is_interim": interim} for t, score, interim in kept]
        return pa.Table.from_pylist(rows, BUCKETS)


def naive(jobs: list[Posed], top_n: int, span_ms: int, least: float) -> list[tuple[Any, ...]]:
    """By the definition: base intervals, the best bucket of every job, the mean of the best jobs."""
    base = max(job.span.ms for job in jobs)
    step = span_ms if top_n == 1 or len(jobs) == 1 else base
    best: dict[int, dict[str, float]] = defaultdict(dict)
    interim: dict[int, bool] = defaultdict(bool)
    for job in jobs:
        for t, score, is_interim in job.rows:
            at = t // step * step
            best[at][job.job_id] = max(score, best[at].get(job.job_id, 0.0))
            interim[at] |= is_interim
    n = min(top_n, len(jobs))
    made: dict[int, tuple[float, dict[str, float], bool]] = {}
    for at in sorted(best):
        overall = sum(sorted(best[at].values(), reverse=True)[:n]) / n
        wide = at // span_ms * span_ms
        before, of_job, was = made.get(wide, (0.0, {}, False))
        for name, score in best[at].items():
            of_job[name] = max(score, of_job.get(name, 0.0))
        made[wide] = (max(before, overall), of_job, was or interim[at])
    return [(at, *made[at]) for at in made if made[at][0] >= least]


@given(
    seed=st.integers(0, 10**6),
    n_jobs=st.integers(1, 4),
    top_n=st.integers(1, 5),
    wide=st.sampled_from([1, 2, 3]),
    least=st.sampled_from([0.0, 20.0]),
)
def test_overall_buckets_are_those_of_the_definition(
    seed: int, n_jobs: int, top_n: int, wide: int, least: float
) -> None:
    """Any jobs of any spans, with gaps and interim buckets, give what the definition says."""
    rng = random.Random(seed)
    jobs = []
    for k in range(n_jobs):
        span = rng.choice((20, 30, 60))
        times = [m * 60_000 for m in range(0, 600, span) if rng.random() < 0.7]
        rows = [(t, rng.choice((0.0, rng.uniform(0, 100))), rng.random() < 0.1) for t in times]
        jobs.append(Posed(f"job-{n_jobs - k}", f"{span}m", rows))
    span_ms = max(job.span.ms for job in jobs) * wide
    table = overall_buckets(jobs, top_n, f"{span_ms // 1000}s", least)  # type: ignore[arg-type]
    wanted = naive(jobs, top_n, span_ms, least)
    found = table.to_pylist()
    assert [row["timestamp"] for row in found] == [row[0] for row in wanted]
    for ours, (_, score, of_job, interim) in zip(found, wanted, strict=True):
        assert math.isclose(ours["overall_score"], score, abs_tol=1e-9)
        assert {part["job_id"]: part["max_anomaly_score"] for part in ours["jobs"]} == of_job
        assert [part["job_id"] for part in ours["jobs"]] == sorted(of_job)
        assert ours["is_interim"] == interim


def test_interim_buckets_may_be_left_out() -> None:
    """Without interim buckets neither their scores nor their intervals are there."""
    job = Posed("a", "1h", [(0, 5.0, False), (HOUR, 90.0, True)])
    assert overall_buckets([job], exclude_interim=True)["timestamp"].to_pylist() == [0]  # type: ignore[list-item]
    assert overall_buckets([job])["is_interim"].to_pylist() == [False, True]  # type: ignore[list-item]


def test_no_jobs_have_no_buckets() -> None:
    """Without jobs, and for jobs without buckets, the table is empty."""
    assert overall_buckets([]).equals(OVERALL_BUCKETS.empty_table())
    assert overall_buckets([Posed("a", "1h", [])]).num_rows == 0  # type: ignore[list-item]


MESSAGES = [
    ({"bucket_span": "59m"}, "Param [bucket_span] must be greater or equal to the max bucket_span [1h]"),
    ({"top_n": 0}, "[topN] parameter must be positive, found [0]"),
    ({"top_n": -2}, "[topN] parameter must be positive, found [-2]"),
    ({"top_n": 1.5}, "top_n: 1.5 is not a whole number"),
    ({"overall_score": "high"}, "overall_score: 'high' is not a number"),
    ({"bucket_span": "long"}, "Param [bucket_span] must be a whole number with one of the units"),
]


@pytest.mark.parametrize(("options", "message"), MESSAGES)
def test_wrong_arguments(jobs: list[Job], options: dict[str, Any], message: str) -> None:
    """Each wrong argument is refused in the words of the API."""
    with pytest.raises(RequestError) as caught:
        overall_buckets(jobs, **options)
    assert str(caught.value).startswith(message)


def test_wrong_times(jobs: list[Job]) -> None:
    """Times are checked like those of every request."""
    with pytest.raises(TimeError):
        overall_buckets(jobs, start="some day")
    with pytest.raises(RequestError, match="end time '1' is earlier than start time '2'"):
        overall_buckets(jobs, start="2", end="1")


def test_too_many_are_refused() -> None:
    """More than 10,000 results are an error, which a range of time helps; one job by itself has no limit."""
    job = Posed("a", "1h", [(h * HOUR, 0.0, False) for h in range(10_001)])
    with pytest.raises(RequestError) as caught:
        overall_buckets([job])  # type: ignore[list-item]
    assert str(caught.value) == (
        "Unable to return more than [10000] results; please use parameters [start] and [end] to limit the "
        "time range"
    )
    assert overall_buckets([job], start=3600).num_rows == 10_000  # type: ignore[list-item]
    assert overall_buckets([job], limit=None).num_rows == 10_001  # type: ignore[list-item]
