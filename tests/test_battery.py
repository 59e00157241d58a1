"""One battery of laws for every function of the table, split in every way that the table allows."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest

from tidegate import Job
from tidegate.config import FUNCTIONS, Function

SPAN = 3_600_000
START = 1_700_006_400_000
BUCKETS = 72
Rows = list[dict[str, Any]]
FIELDS = {"by": "b", "over": "o", "partition": "p"}
SPLITS = tuple(FIELDS)


def allowed(function: Function) -> Iterator[tuple[str, ...]]:
    """The combinations of split fields that a function may have."""
    for chosen in range(8):
        split = tuple(role for k, role in enumerate(SPLITS) if chosen >> k & 1)
        presence = {"by": function.by_field_name, "over": function.over_field_name, "partition": "optional"}
        if all(
            (what == "required") <= (role in split) and (what == "refused") <= (role not in split)
            for role, what in presence.items()
        ):
            yield split


CASES = [(name, split) for name, function in FUNCTIONS.items() for split in allowed(function)]


def field_of(function: Function) -> dict[str, str]:
    """The field that suits a function."""
    if function.field_name == "refused":
        return {}
    return {"field_name": {"info_content": "text", "lat_long": "place"}.get(function.family, "x")}


@cache
def configured(name: str, split: tuple[str, ...]) -> dict[str, Any]:
    """A job of one detector, with influencers that are fields of their own and one that is a split field."""
    function = FUNCTIONS[name]
    detector = {
        "function": name,
        **field_of(function),
        **{f"{role}_field_name": FIELDS[role] for role in split},
    }
    return {
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [detector],
            "influencers": ["who", "o", "b"],
        },
        "data_description": {"time_field": "t"},
    }


@cache
def records() -> tuple[dict[str, Any], ...]:
    """Three lively days: late starters, nulls, and a few hours in which much is odd, or very little is."""
    rng = random.Random(7)
    made: Rows = []
    for bucket in range(BUCKETS):
        is_odd, is_quiet = bucket in (50, 51, 66), bucket in (58, 59)
        for _ in range(4 if is_quiet else rng.randint(18, 26) * (3 if is_odd else 1)):
            member = rng.choice("mnopqrstuvwxyz" if bucket > 5 else "mnop")
            far = rng.random() * 20.0 if is_odd and member in "mn" else 0.0
            made.append(
                {
                    "t": START + bucket * SPAN + rng.randrange(SPAN),
                    "x": -30.0 if is_quiet else None if rng.random() < 0.03 else rng.gauss(10.0, 2.0) + far,
                    "text": rng.choice(("GET /", "GET /index", "POST /login")) + "?" * int(far),
                    "place": f"{48.0 + rng.gauss(0.0, 0.1) + far:.4f},{11.0 + rng.gauss(0.0, 0.1):.4f}",
                    "b": "rare" if is_odd and rng.random() < 0.03 else rng.choice(("a", "b", None)),
                    "o": member,
                    "p": rng.choice("PQ"),
                    "who": rng.choice(("ann", "bob", "cy", "")),
                }
            )
    return tuple(sorted(made, key=lambda record: record["t"]))


def run(
    name: str, split: tuple[str, ...], parts: list[Rows], *, threads: int = 1, interim: bool = False
) -> Job:
    """The job after posting the parts, from the start of the first bucket to the end of the last."""
    job = Job(configured(name, split), threads=threads)
    job.flush(advance_time=START // 1000)
    for part in parts:
        job.post(part)
        if len(parts) > 1:
            job.flush(calc_interim=interim)
    job.flush(advance_time=(START + BUCKETS * SPAN) // 1000)
    return job


def results(job: Job) -> dict[str, Rows]:
    """All final results, but for the column that measures the machine."""
    return {
        "buckets": job.buckets(exclude_interim=True).drop_columns(["processing_time_ms"]).to_pylist(),
        "records": job.records(exclude_interim=True).to_pylist(),
        "influencers": job.influencers(exclude_interim=True).to_pylist(),
    }


@cache
def whole(name: str, split: tuple[str, ...]) -> dict[str, Rows]:
    """What a job finds in all records at once, on one thread."""
    return results(run(name, split, [list(records())]))


def pieces(seed: int) -> list[Rows]:
    """The records cut at random places."""
    made = list(records())
    rng = random.Random(seed)
    places = sorted({0, len(made), *(rng.randrange(len(made)) for _ in range(9))})
    return [made[begin:end] for begin, end in pairwise(places)]


def assert_identical(ours: dict[str, Rows], others: dict[str, Rows]) -> None:
    """Asserts that results are the same to the last bit; the text of a float has them all."""
    for kind, rows in ours.items():
        assert list(map(repr, rows)) == list(map(repr, others[kind])), kind


every_case = pytest.mark.parametrize(
    ("name", "split"), CASES, ids=["-".join((name, *split)) for name, split in CASES]
)


@every_case
def test_cuts_and_interim_results_do_not_matter(name: str, split: tuple[str, ...]) -> None:
    """Posts and flushes with interim results anywhere leave final results bit-identical (laws 1 and 4)."""
    assert_identical(results(run(name, split, pieces(1), interim=True)), whole(name, split))


@every_case
def test_threads_do_not_matter(name: str, split: tuple[str, ...]) -> None:
    """One thread and three give bit-identical results, with the work really split (law 3)."""
    with mock.patch("tidegate.model._PIECE", 1), mock.patch("tidegate.passes._PIECE_ROWS", 1):
        three = run(name, split, [list(records())], threads=3)
    assert_identical(results(three), whole(name, split))


@every_case
def test_order_within_buckets_does_not_matter(name: str, split: tuple[str, ...]) -> None:
    """Records of a bucket in any order give the same results to rounding (law 5)."""
    rng = random.Random(3)
    shuffled = sorted(records(), key=lambda record: (record["t"] // SPAN, rng.random()))
    ours, others = results(run(name, split, [shuffled])), whole(name, split)
    assert len(ours["buckets"]) == len(others["buckets"]) == BUCKETS
    for one, other in zip(ours["buckets"], others["buckets"], strict=True):
        assert one["event_count"] == other["event_count"]
        assert math.isclose(one["anomaly_score"], other["anomaly_score"], rel_tol=1e-6, abs_tol=1e-6)
    mine, theirs = by_identity(ours["records"]), by_identity(others["records"])
    assert mine.keys() == theirs.keys()
    for key, record in mine.items():
        assert math.isclose(record["log_probability"], theirs[key]["log_probability"], rel_tol=1e-6), key


def by_identity(found: Rows) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Records by bucket and series."""
    names = ("timestamp", "by_field_value", "over_field_value", "partition_field_value")
    return {tuple(record[name] for name in names): record for record in found}


@every_case
def test_results_are_sound(name: str, split: tuple[str, ...]) -> None:
    """Probabilities and scores are in their range, results name their series, and every record counts."""
    found = whole(name, split)
    assert sum(bucket["event_count"] for bucket in found["buckets"]) == len(records())
    for record in found["records"]:
        assert 0.0 < record["probability"] < 0.01
        assert 0.0 <= record["record_score"] <= record["initial_record_score"] <= 100.0
        assert record["function"] == name
        for role in SPLITS:
            assert (record[f"{role}_field_name"] is None) == (role not in split), role
        for value in (record["over_field_value"], record["partition_field_value"]):
            assert value is None or isinstance(value, str)
        assert bool(record["causes"]) == ("over" in split)
    for influencer in found["influencers"]:
        assert 0.0 <= influencer["influencer_score"] <= influencer["initial_influencer_score"] <= 100.0
        assert influencer["influencer_field_value"]


def test_most_functions_find_something() -> None:
    """The battery would be worth little if nothing were found: most cases have records."""
    found = [bool(whole(name, split)["records"]) for name, split in CASES]
    assert sum(found) > len(found) // 2
