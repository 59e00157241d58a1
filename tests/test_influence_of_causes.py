"""Influencers of what has its own ways: populations with their causes, functions without a value."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from tidegate.analysis import Finding
from tidegate.causes import Causes
from tidegate.cells import I32
from tidegate.config import Detector, JobConfig
from tidegate.influencers import Influencers
from tidegate.intake import Rows
from tidegate.keys import Interner, Keys, KeySpace, MemberSpace
from tidegate.lanes import key_of
from tidegate.model import RESULT_COLUMNS, Scored
from tidegate.passes import Planner, Span
from tidegate.ranked import Ranked
from tidegate.threads import Threads

FIELDS = ("client", "page", "ip")
# (client, page, ip): client c visits page p from a, page q from b, and page r as usual from d.
VISITS = [
    *[("c", "p", "a")] * 20,
    *[("c", "q", "b")] * 30,
    *[("c", "p", "d")] * 2,
    *[("c", "r", "d")] * 9,
    *[("e", "p", "f")] * 40,
]


def scored(**columns: float) -> Scored:
    """A result with these columns, all others 0."""
    whole = ("bucket_r", "series_r", "feature_r")
    given = {
        name: np.array([columns.get(name, 0)], np.int64 if name in whole else float)
        for name in RESULT_COLUMNS
    }
    return Scored(**given, min_log_p_b=np.zeros(1), scored_b=np.ones(1, np.int64), bounds=np.empty(0))


def following(detector: Detector, keys: Keys) -> tuple[Influencers, I32]:
    """The influencers of a job of one detector that gathered the visits, and the series of each."""
    names = {field: Interner() for field in FIELDS}
    columns = zip(*VISITS, strict=True)
    codes = {f: names[f].codes(pa.array(column)) for f, column in zip(FIELDS, columns, strict=True)}
    analysis = SimpleNamespace(detector=detector, sources=(("count", None),))
    lane: Any = SimpleNamespace(keys=keys, analyses=[analysis])
    key = key_of(detector)
    influencers = Influencers(("ip", "page", "client"), {key: lane}, names, 1000)
    time = np.arange(len(VISITS)) + 5_000
    part = Planner(time, Span(1000, 0), Threads(1)).next(5_000, 100, 100)
    assert part is not None
    series = keys.series(codes, 100)
    influencers.log.add(part, Rows(time, codes, {}, {}), {key: series})
    return influencers, series


def named(influencers: Influencers, finding: Finding) -> dict[str, list[str]]:
    """What the only result of a finding is blamed on."""
    [lists] = influencers.of_records(influencers.of_results(Ranked([finding])), 1).to_pylist()
    return {part["influencer_field_name"]: part["influencer_field_values"] for part in lists}


def detector_of(**settings: str) -> Detector:
    """A detector with these settings."""
    return JobConfig.parse(
        {
            "analysis_config": {"bucket_span": "1s", "detectors": [settings]},
            "data_description": {"time_field": "t"},
        }
    ).analysis_config.detectors[0]


def test_a_member_is_blamed_for_all_its_causes() -> None:
    """Values behind any cause of a member are named, those of what is as usual and of others are not."""
    detector = detector_of(function="count", by_field_name="page", over_field_name="client")
    members = MemberSpace("page", "client", None, use_null=False)
    influencers, series = following(detector, members)
    result = scored(
        bucket_r=5,
        series_r=series[0],
        actual_r=22.0,
        typical_r=2.0,
        upper_r=6.0,
        log_p_r=-30.0,
        log_p_single_r=-20.0,
    )
    causes = Causes.single(
        np.zeros(2, np.int64),
        members.attribute_of(series[[0, 20]]),
        np.array([-20.0, -15.0]),
        np.array([22.0, 30.0]),
        np.array([2.0, 3.0]),
    )
    assert named(influencers, Finding(detector, members, result, causes=causes)) == {
        "ip": ["b", "a"],
        "page": ["p", "q"],
        "client": ["c"],
    }


def test_whatever_is_there_influences_what_is_rare() -> None:
    """Of a function without a value to compute anew, every value in the bucket has influence."""
    detector = detector_of(function="rare", by_field_name="page", partition_field_name="client")
    keys = KeySpace("page", "client", use_null=False)
    influencers, series = following(detector, keys)
    result = scored(bucket_r=5, series_r=series[0], actual_r=1.0, typical_r=1.0, log_p_r=-30.0)
    assert named(influencers, Finding(detector, keys, result)) == {
        "ip": ["a", "d"],
        "page": ["p"],
        "client": ["c"],
    }
