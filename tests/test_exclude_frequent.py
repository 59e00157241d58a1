"""Values that occur in more than a tenth of the buckets: what is left out, and when."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import cuts
from tests.test_laws import assert_identical, results
from tests.test_naive_scores import SPAN, START, job_config
from tests.test_twin import small_pieces

from tidegate import Job
from tidegate.analysis import LaneCells
from tidegate.cells import ClosedCells
from tidegate.config import Detector
from tidegate.frequent import Exclusion
from tidegate.keys import MemberSpace
from tidegate.model import Calendar, Run

Row = tuple[int, str, str, str]  # bucket, by, over and partition value


class NaiveFrequency:
    """In how many buckets each value of a partition was, bucket by bucket."""

    def __init__(self, roles: tuple[str, ...]) -> None:
        self.roles = roles
        self.buckets: dict[tuple[str, str, str], set[int]] = defaultdict(set)
        self.first: dict[str, int] = {}

    def excluded(self, bucket: int, rows: list[Row], skipped: int) -> list[bool]:
        """Takes the rows of a bucket; which of them are left out."""
        for _, by, over, partition in rows:
            self.first.setdefault(partition, bucket - skipped)
            self.buckets["by", by, partition].add(bucket)
            self.buckets["over", over, partition].add(bucket)
        return [self._is_out(bucket - skipped, row) for row in rows]

    def _is_out(self, clock: int, row: Row) -> bool:
        _, by, over, partition = row
        passed = clock - self.first[partition] + 1
        seen = [len(self.buckets[role, {"by": by, "over": over}[role], partition]) for role in self.roles]
        return any(k >= 3 and k > 0.1 * passed for k in seen)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from((("by",), ("over",), ("by", "over"))),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5), st.booleans()), min_size=1, max_size=5),
)
def test_what_is_left_out_is_what_the_twin_leaves_out(
    seed: int, roles: tuple[str, ...], parts: list[tuple[int, int, bool]]
) -> None:
    """By, over and partition values, in runs of any length, with skips and interim results between."""
    rng = random.Random(seed)
    keys = MemberSpace("b", "o", "p", use_null=True)
    choice = "all" if len(roles) == 2 else roles[0]
    detector = Detector("count", None, "b", "o", "p", exclude_frequent=choice)
    exclusion, twin = Exclusion(detector, keys), NaiveFrequency(roles)
    share = {f"{role}{k}": rng.choice((0.02, 0.08, 0.12, 0.6)) for role in "bop" for k in range(4)}
    bucket, skipped = 1000, 0
    for length, skip, is_interim in parts:
        rows: list[Row] = []
        for at in range(bucket, bucket + length):
            for _ in range(6):
                b, o, p = (f"{role}{rng.randrange(4)}" for role in "bop")
                if rng.random() < share[b] * 2 and rng.random() < share[o] * 2 and share[p] > 0.05:
                    rows.append((at, b, o, p))
        rows = sorted(set(rows))
        codes = {
            name: np.array([int(row[k][1]) + 1 for row in rows], np.int32)
            for k, name in enumerate("bop", start=1)
        }
        members = keys.series(codes, 1 << 20) if rows else np.empty(0, np.int32)
        closed = ClosedCells(np.array([row[0] for row in rows], np.int64), members, np.ones(len(rows)), 1)
        calendar = Calendar.of(bucket, bucket + length, SPAN)
        run = Run(calendar, skipped, learn=not is_interim)
        exclusion.see(closed, run)
        ours = exclusion.is_excluded(closed.bucket_c, closed.series_c).tolist()
        left = exclusion.without(LaneCells({("count", None): closed}, len(keys)), run)["count", None]
        assert len(left) == ours.count(False)
        if is_interim:
            continue
        exclusion.learn()
        expected = []
        for at in range(bucket, bucket + length):
            expected += twin.excluded(at, [row for row in rows if row[0] == at], skipped)
        assert ours == expected
        bucket, skipped = bucket + length + skip, skipped + skip


def stream(seed: int, buckets: int = 140) -> list[dict[str, Any]]:
    """Two keys that are always there, one that is now and then; all of them have bad hours."""
    rng, records = random.Random(seed), []
    for at in range(buckets):
        for key in "abc":
            if key == "c" and rng.random() > 0.08:
                continue
            odd = at > 40 and rng.random() < 0.04
            value = 100 + rng.gauss(0, 3) + 80 * odd
            records.append({"t": START + at * SPAN + rng.randrange(SPAN), "x": value, "k": key, "p": "p"})
    return sorted(records, key=lambda record: record["t"])


def config_of(choice: str, latency: int = 0) -> dict[str, Any]:
    """A job of two detectors, of which one leaves frequent values out."""
    config = job_config([0], latency)
    config["analysis_config"]["detectors"] = [
        {
            "function": "high_mean",
            "field_name": "x",
            "by_field_name": "k",
            "exclude_frequent": choice,
        },
        {"function": "count", "partition_field_name": "p"},
    ]
    return config


def test_frequent_values_have_no_results() -> None:
    """Of what is always there nothing is reported; without the setting it is."""
    found = {}
    for choice in ("none", "by", "over", "all"):
        job = Job(config_of(choice), threads=1)
        job.post(stream(3))
        job.close()
        found[choice] = [row for row in job.records().to_pylist() if row["detector_index"] == 0]
    assert {row["by_field_value"] for row in found["none"]} >= {"a", "b"}
    assert not {row["by_field_value"] for row in found["by"]} & {"a", "b"}
    assert list(map(repr, found["over"])) == list(map(repr, found["none"]))
    assert list(map(repr, found["all"])) == list(map(repr, found["by"]))


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from((0, 2)), st.data())
def test_cuts_interim_results_and_threads_do_not_matter(seed: int, latency: int, data: st.DataObject) -> None:
    """Laws 1, 3 and 4 hold where frequent values are left out."""
    records, config = stream(seed, 90), config_of("by", latency)
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
