"""Whole jobs against the naive twin: all records, their order and scores, and the scores of buckets."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from tests.naive_scores import NaiveHistory, ScoredJob, Usual

from tidegate import Job
from tidegate.history import History
from tidegate.model import Calendar, Run

DETECTORS: tuple[dict[str, Any], ...] = (
    {"function": "count"},
    {"function": "low_count", "by_field_name": "k"},
    {"function": "mean", "field_name": "x", "by_field_name": "k"},
    {"function": "metric", "field_name": "x", "partition_field_name": "p"},
    {"function": "high_sum", "field_name": "x", "by_field_name": "k", "partition_field_name": "p"},
    {"function": "max", "field_name": "x"},
    {"function": "distinct_count", "field_name": "u", "partition_field_name": "p"},
    {"function": "high_non_zero_count", "by_field_name": "k"},
)
DAY_MS = 86_400_000
SPAN = 3_600_000
START = 1_500_000_000_000 // SPAN * SPAN


def job_config(indexes: Sequence[int], latency: int = 0) -> dict[str, Any]:
    """A job of some of the detectors, with a latency in buckets."""
    return {
        "job_id": "twin",
        "analysis_config": {
            "bucket_span": "1h",
            "latency": f"{latency}h",
            "model_prune_window": "3d",
            "detectors": [DETECTORS[i] for i in indexes],
        },
        "data_description": {"time_field": "t"},
    }


def close(ours: float, twins: float) -> bool:
    """Whether two numbers are the same but for rounding."""
    return math.isclose(ours, twins, rel_tol=1e-9, abs_tol=1e-12)


def stream(seed: int, buckets: int) -> list[dict[str, Any]]:
    """Records in time order, a few per bucket, with unusual buckets and silent keys."""
    rng, records = random.Random(seed), []
    for at in range(buckets):
        odd = at > 30 and rng.random() < 0.06
        keys = [key for key in "abc" if key != "c" or at % 120 < 30]
        level = 100.0 + 30.0 * math.sin(math.pi * at / 12.0) + (rng.choice((-90.0, 200.0)) if odd else 0.0)
        size = rng.choice((0, 30)) if odd else rng.randint(6, 9)
        for time in sorted(rng.randrange(SPAN) for _ in range(size)):
            records.append(
                {
                    "t": START + at * SPAN + time,
                    "x": round(level + rng.gauss(0.0, 3.0), 3),
                    "k": rng.choice(keys),
                    "p": rng.choice("pq"),
                    "u": str(rng.randint(0, 400 if odd else 5)),
                }
            )
    return records


def same_results(job: Job, twin: ScoredJob) -> int:
    """Asserts that all records and scores of buckets are the same; how many records there are."""
    rows, twins = job.records().to_pylist(), twin.records
    keys = ("timestamp", "detector_index", "by_field_value", "partition_field_value")
    ours = [tuple(row[name] or 0 if name[0] == "d" else row[name] or "" for name in keys) for row in rows]
    assert ours == [tuple(row[name] for name in keys) for row in twins]
    for row, expected in zip(rows, twins, strict=True):
        why = row["anomaly_score_explanation"]
        [actual], [typical] = row["actual"], row["typical"]
        numbers = {"actual": actual, "typical": typical}
        numbers |= {name: row[name] for name in ("log_probability", "probability")}
        numbers["record_score"] = row["initial_record_score"]
        numbers |= {"lower": why["lower_confidence_bound"], "upper": why["upper_confidence_bound"]}
        assert {
            name: (x, expected[name]) for name, x in numbers.items() if not close(x, expected[name])
        } == {}
        assert abs(row["multi_bucket_impact"] - expected["impact"]) < 0.005 + 1e-9
    for bucket in job.buckets().to_pylist():
        log_p, score = twin.learned.bucket_scores[bucket["timestamp"], bucket["is_interim"]]
        assert close(bucket["initial_anomaly_score"], score), bucket
        for part in bucket["bucket_influencers"]:
            assert close(part["raw_anomaly_score"], -log_p), bucket
    return len(rows)


def seconds(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a flush with times for the job."""
    return {k: v if v is True else datetime.fromtimestamp(v // 1000, UTC) for k, v in arguments.items()}


class Found:
    """Results of a pass, sorted by bucket, as a history takes them."""

    def __init__(self, rows: Sequence[tuple[int, float, float]]) -> None:
        bucket_r, *reals = zip(*rows, strict=True) if rows else ((), (), ())
        self._columns = {"bucket_r": np.array(bucket_r, np.int64)}
        self._columns |= dict(zip(("log_p_r", "score_r"), map(np.array, reals), strict=True))

    def __len__(self) -> int:
        return len(self._columns["bucket_r"])

    def column(self, name: str) -> Any:
        """One column."""
        return self._columns[name].astype(np.int64 if name == "bucket_r" else np.float64)


@pytest.mark.parametrize("minutes", [1, 60, 1440, 20160])
def test_histories_agree(minutes: int) -> None:
    """Ranks of records and buckets in the past of a job are the twin's, pass by pass, interim or not."""
    rng, span = random.Random(minutes), minutes * 60_000
    history, twin, usual = History(span), NaiveHistory(), Usual(min(max(DAY_MS // span, 12), 1000))
    at = START // span
    for _ in range(60):
        size, learn, rows, expected = rng.randint(1, 40), rng.random() < 0.8, list[Any](), list[Any]()
        past = twin if learn else copy.deepcopy(twin)
        scored = np.array([rng.choice((0, 5, 300, 100_000)) for _ in range(size)])
        least = np.array([-(10.0 ** rng.uniform(-14.0, 1.0)) for _ in range(size)])
        events = np.array([rng.randint(0, 50) for _ in range(size)])
        for k in range(size):
            unusual = rng.choice((0, 0, 1, 3)) if scored[k] else 0
            sizes = [10.0 ** rng.uniform(0.7, 5.0) for _ in range(unusual)]
            least[k] = min(least[k], *(-s for s in sizes), 0.0)
            found = sorted((-s, rng.choice((100.0, 60.0, 20.0))) for s in sizes)
            rows += [(at + k, *row) for row in found]
            expected.append(past.score((at + k) * span // DAY_MS, found, least[k], int(scored[k])))
            if learn:
                usual.learn(int(events[k]))
        run = Run(Calendar.of(at, at + size, span), 0, learn=learn)
        scores, log_p, bucket_scores = history.score(Found(rows), least, scored, events, run)
        assert scores.tolist() == pytest.approx([x for row in expected for x in row[0]], rel=1e-9)
        assert log_p.tolist() == pytest.approx([row[1] for row in expected], rel=1e-9, abs=1e-12)
        assert bucket_scores.tolist() == pytest.approx([row[2] for row in expected], rel=1e-9)
        shares = [usual.completeness(int(n)) for n in events]
        assert history.completeness(events).tolist() == pytest.approx(shares, rel=1e-9)
        at += size if learn else 0
    assert twin.buckets.total > 1.0


@pytest.mark.parametrize("seed", range(6))
def test_whole_jobs_agree(seed: int) -> None:
    """Records, their order and scores, and scores of buckets are the twin's, interim ones too."""
    rng = random.Random(seed)
    config = job_config(rng.sample(range(len(DETECTORS)), 4), latency=seed % 3)
    records = stream(seed, 180)
    job, twin, found = Job(config, threads=2), ScoredJob(config), 0
    begin = 0
    while begin < len(records):
        end = begin + rng.randint(1, 400)
        part = records[begin:end]
        begin = end
        job.post(part)
        twin.post(part)
        head, flush = part[-1]["t"] // 1000 * 1000, dict[str, Any]()
        if rng.random() < 0.7:
            flush["calc_interim"] = True
        if rng.random() < 0.3:
            flush["advance_time"] = head + rng.choice((0, 1, 3)) * SPAN
        elif rng.random() < 0.2:
            flush["skip_time"] = head + rng.choice((0, 5)) * SPAN
        job.flush(**seconds(flush))
        twin.flush(**flush)
        found = same_results(job, twin)
    assert found > 10, found


def test_a_bucket_keeps_its_hundred_least_probable_records() -> None:
    """With 130 unusual series in a bucket, both keep the same hundred, and rank all of them."""
    rng = random.Random(1)
    config = job_config((2,))
    records = [
        {"t": START + at * SPAN + series, "k": f"k{series}", "x": rng.gauss(50.0 if at != 38 else 150.0, 1.0)}
        for at in range(40)
        for series in range(130)
    ]
    job, twin = Job(config, threads=1), ScoredJob(config)
    job.post(records)
    twin.post(records)
    job.flush()
    twin.flush()
    same_results(job, twin)
    assert sum(row["timestamp"] == START + 38 * SPAN for row in twin.records) == 100
