"""The laws of ``rare`` and ``freq_rare``, alone and in whole jobs; what jobs find of them."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rare_run import KINDS, Kind, RareRun, passes, stream
from tests.strategies import BASE_MS
from tests.test_laws import assert_identical, results

from tidegate import Job


@pytest.mark.parametrize("name", KINDS)
def test_cuts_threads_and_order_do_not_matter(name: str) -> None:
    """However buckets are cut into runs, on however many threads: the same to the last bit (laws 1, 3)."""
    kind, rng = KINDS[name], random.Random(8)
    rows = stream(rng, kind, 150)
    first, last = rows[0].bucket, rows[-1].bucket + 1
    whole = RareRun(kind).run(rows, first, last).scored
    with mock.patch("tidegate.rare._PIECE", 1):
        run = RareRun(kind, threads=3)
        # In order of appearance, which keys are numbered by; within a bucket the cells come in any order.
        run.keys.series(
            {
                role: np.array([getattr(row, of) + 1 for row in rows], np.int32)
                for role, of in zip("bop", ("by", "over", "partition"), strict=True)
            },
            1 << 30,
        )
        parts = [run.run(part, *where).scored for *where, part in passes(rng, rows, 6)]
    for column in ("bucket_r", "series_r", "log_p_r", "typical_r", "score_r", "rarity_r"):
        order = [np.lexsort((s.series_r, s.bucket_r)) for s in parts]
        joined = np.concatenate([getattr(s, column)[o] for s, o in zip(parts, order, strict=True)])
        expected = getattr(whole, column)[np.lexsort((whole.series_r, whole.bucket_r))]
        assert joined.tolist() == expected.tolist(), column
    assert np.concatenate([s.scored_b for s in parts]).tolist() == whole.scored_b.tolist()


def test_interim_results_change_nothing() -> None:
    """What is open is scored by what was learned, itself not among it, and leaves everything as it was."""
    kind, rng = KINDS["frequencies, a year"], random.Random(9)
    rows = stream(rng, kind, 150)
    first, last = rows[0].bucket, rows[-1].bucket + 1
    middle = rows[len(rows) // 2].bucket
    before, after = [r for r in rows if r.bucket < middle], [r for r in rows if r.bucket >= middle]
    run, other = RareRun(kind), RareRun(kind)
    run.run(before, first, middle)
    other.run(before, first, middle)
    opened = [row for row in after if row.bucket < middle + 3]
    one = run.run(opened, middle, middle + 3, learn=False).scored
    two = run.run(opened, middle, middle + 3, learn=False).scored
    assert one.min_log_p_b.tolist() == two.min_log_p_b.tolist()
    assert one.min_log_p_b.min() < 0.0
    ours, theirs = run.run(after, middle, last).scored, other.run(after, middle, last).scored
    assert len(ours) > 0
    assert ours.log_p_r.tolist() == theirs.log_p_r.tolist()
    assert ours.typical_r.tolist() == theirs.typical_r.tolist()


def test_skipped_buckets_do_not_age() -> None:
    """After a skip the ages are as if the skipped buckets had not been."""
    rng = random.Random(10)
    rows = stream(rng, Kind(), 120)
    middle = rows[len(rows) // 2].bucket
    before = [r for r in rows if r.bucket < middle]
    after = [r for r in rows if r.bucket >= middle]
    plain, skipping = RareRun(Kind()), RareRun(Kind())
    last = rows[-1].bucket + 1
    for run in (plain, skipping):
        run.run(before, rows[0].bucket, middle)
    ours = plain.run(after, middle, last).scored
    moved = [row._replace(bucket=row.bucket + 5000) for row in after]
    theirs = skipping.run(moved, middle + 5000, last + 5000, skipped=5000).scored
    assert len(ours) > 0
    assert ours.log_p_r.tolist() == theirs.log_p_r.tolist()
    assert ours.score_r.tolist() == theirs.score_r.tolist()


# Jobs


def hosts_with_processes(seed: int, buckets: int = 300) -> list[dict[str, Any]]:
    """Records of twenty hosts with six of seventeen processes each."""
    rng = random.Random(seed)
    span = 900_000
    start = BASE_MS - BASE_MS % span
    records = [
        {
            "t": start + bucket * span + rng.randrange(span),
            "host": f"h{host}",
            "process": f"p{k * (host + 3) % 17}",
        }
        for bucket in range(buckets)
        for host in range(20)
        for k in range(6)
        if rng.random() < 0.9
    ]
    records.append({"t": start + (buckets - 20) * span + 7, "host": "h7", "process": "planted"})
    return sorted(records, key=lambda record: record["t"])


def test_a_process_never_seen_comes_out_on_top() -> None:
    """A process that no host ever ran is the only record, and is said to be a first occurrence."""
    job = Job(
        {
            "analysis_config": {
                "bucket_span": "15m",
                "detectors": [
                    {"function": "rare", "by_field_name": "process", "partition_field_name": "host"}
                ],
            },
            "data_description": {"time_field": "t"},
            "model_plot_config": {"enabled": True},
        },
        threads=1,
    )
    job.post(hosts_with_processes(1))
    job.close()
    (record,) = job.records().to_pylist()
    assert (record["partition_field_value"], record["by_field_value"]) == ("h7", "planted")
    assert record["record_score"] > 60.0
    assert (record["actual"], record["typical"]) == ([1.0], [0.0])
    told = record["anomaly_score_explanation"]
    assert told["by_field_first_occurrence"] is True
    assert told["by_field_relative_rarity"] > 100.0
    scores = {bucket["timestamp"]: bucket["anomaly_score"] for bucket in job.buckets().to_pylist()}
    assert {at for at, score in scores.items() if score > 0.0} == {record["timestamp"]}


@pytest.mark.parametrize("function", ["rare", "freq_rare"])
def test_a_member_with_a_new_attribute_comes_out_on_top(function: str) -> None:
    """A host that alone has some process is the only unusual member of the population."""
    job = Job(
        {
            "analysis_config": {
                "bucket_span": "15m",
                "detectors": [{"function": function, "by_field_name": "process", "over_field_name": "host"}],
            },
            "data_description": {"time_field": "t"},
        },
        threads=1,
    )
    job.post(hosts_with_processes(2))
    job.close()
    (record,) = job.records().to_pylist()
    assert record["over_field_value"] == "h7"
    assert record["record_score"] > 60.0


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from(("rare", "freq_rare")), st.booleans())
def test_jobs_of_populations_are_repeatable(seed: int, function: str, is_partitioned: bool) -> None:
    """Posts, flushes with interim results and threads leave a population's results as they are."""
    rng = random.Random(seed)
    detector = {"function": function, "by_field_name": "process", "over_field_name": "host"}
    if is_partitioned:
        detector["partition_field_name"] = "site"
    config = {
        "analysis_config": {"bucket_span": "15m", "latency": "15m", "detectors": [detector]},
        "data_description": {"time_field": "t"},
    }
    records = hosts_with_processes(seed, 40)
    for record in records:
        record["site"] = rng.choice("ab")
        if rng.random() < 0.01:
            record["process"] = f"odd {rng.randrange(5)}"
    whole = Job(config, threads=1)
    whole.post(records)
    whole.close()
    with mock.patch("tidegate.rare._PIECE", 1):
        cut = Job(config, threads=3)
        places = sorted(rng.randrange(len(records)) for _ in range(4))
        for begin, end in pairwise([0, *places, len(records)]):
            cut.post(records[begin:end])
            cut.flush(calc_interim=rng.random() < 0.7)
        cut.close()
    assert_identical(results(cut), results(whole))
