"""Law 2: to capture all that a job knows and to go on in another job, at any point, changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.influence_run import folding
from tests.state_law import Act, assert_law, known
from tests.strategies import Scenario, Stream, cuts, scenarios, streams
from tests.test_battery import BUCKETS, CASES, SPAN, START, configured, pieces, records
from tests.test_categories_job import logs
from tests.test_rules import FILTERS
from tests.test_summary_count import config_of as summarised
from tests.test_summary_count import stream as summarised_rows
from tests.test_twin import seconds

from tidegate import Job

Case = tuple[Job, list[Act]]


@pytest.mark.parametrize(("name", "split"), CASES, ids=["-".join((name, *split)) for name, split in CASES])
def test_state_of_every_function(name: str, split: tuple[str, ...]) -> None:
    """Every function in every split goes on from captured state, mid-bucket and after interim results."""
    acts: list[Act] = [("flush", {"advance_time": START // 1000})]
    parts = pieces(2)
    for k in range(0, len(parts), 2):
        acts.append(("post", [row for part in parts[k : k + 2] for row in part]))
        if k > 0:
            acts.append(("flush", {"calc_interim": k % 4 == 2}))
    job = assert_law(Job(configured(name, split), threads=1), acts)
    assert job._engine.results.final_buckets > 60


@given(streams(), st.data())
def test_state_of_lively_streams(stream: Stream, data: st.DataObject) -> None:
    """Streams of any detectors and latency, cut and handed over anywhere."""
    acts: list[Act] = []
    for begin, end in pairwise(data.draw(cuts(len(stream.records), pieces=3))):
        acts.append(("post", stream.records[begin:end]))
        acts.append(("flush", {"calc_interim": data.draw(st.booleans())}))
    assert_law(Job(stream.config, threads=1), acts)


@given(scenarios())
def test_state_of_nasty_streams(scenario: Scenario) -> None:
    """Disordered streams with strays that wait, restarts, skips, advances and reopenings."""
    acts = [(verb, seconds(what) if verb == "flush" else what) for verb, what in scenario.acts]
    assert_law(Job(scenario.config, threads=1), acts)


# What only some jobs have


def made_of(config: dict[str, Any], rows: Any, cuts: int = 5, **options: Any) -> Case:
    """A job that is posted some rows in pieces; every other piece is followed by interim results."""
    acts: list[Act] = []
    for k in range(cuts):
        acts.append(("post", rows[len(rows) * k // cuts : len(rows) * (k + 1) // cuts]))
        if k % 2:
            acts.append(("flush", {"calc_interim": True}))
    return Job(config, threads=1, **options), [*acts, ("flush", {})]


def job_config(*detectors: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A configuration over the records of the battery, or those of `hourly`."""
    analysis = {"bucket_span": "1h", "detectors": list(detectors), **parts.pop("analysis", {})}
    return {"analysis_config": analysis, "data_description": {"time_field": "t"}, **parts}


def hourly(days: int) -> list[dict[str, Any]]:
    """Series with a day, a period of nine hours, or neither; some fall silent, some begin late."""
    rng = random.Random(5)
    made = []
    for at in range(24 * days):
        for key in "abcdefghijkl":
            is_silent = (key == "b" and 100 < at < 180) or (key == "l" and at < 24 * days // 2)
            if is_silent or rng.random() < 0.02:
                continue
            level = {"c": 10.0 + 30.0 * (at % 9 == 0), "d": 50.0}.get(key, 10.0 + 20.0 * (9 <= at % 24 < 17))
            level += 300.0 if at == 24 * days - 30 else 0.0
            made.append({"t": START + at * SPAN + rng.randrange(SPAN), "x": level + rng.random(), "b": key})
    return sorted(made, key=lambda row: row["t"])


MEAN = {"function": "mean", "field_name": "x", "by_field_name": "b"}


def seasons() -> Case:
    """Pages of profiles, periods and siblings; and a forecast."""
    job, acts = made_of(job_config(MEAN, {"function": "count", "by_field_name": "b"}), hourly(20), 4)
    return job, [*acts[:-1], ("forecast", {"duration": "1d"}), *acts[-1:], ("flush", {})]


def pruned() -> Case:
    """Series that are silent for longer than the prune window."""
    config = job_config(MEAN, {"function": "metric", "field_name": "x", "over_field_name": "b"})
    config["analysis_config"]["model_prune_window"] = "2d"
    return made_of(config, hourly(16), 4)


def plotted() -> Case:
    """A model plot of some series."""
    return made_of(job_config(MEAN, model_plot_config={"enabled": True, "terms": "a,c"}), hourly(6), 4)


def in_summary() -> Case:
    """Summarised data, in cells of their own."""
    config = summarised(range(10), latency=1)
    config["analysis_config"]["influencers"] = ["p", "q"]
    return made_of(config, summarised_rows(4, 60), 4)


def messages() -> Case:
    """Categories of each partition, which stop where they are of no use."""
    table = logs(30)
    config = {
        "analysis_config": {
            "bucket_span": "30m",
            "categorization_field_name": "message",
            "detectors": [
                {"function": name, "by_field_name": "mlcategory", "partition_field_name": "site"}
                for name in ("count", "rare")
            ],
            "per_partition_categorization": {"enabled": True, "stop_on_warn": True},
        },
        "data_description": {"time_field": "time"},
    }
    return made_of(config, table, 3)


def eventful() -> Case:
    """Events that skip results, forbid to learn, and shift the time; more of them are added on the way."""
    events = [
        {"description": "shift", "start_time": START + 200 * SPAN, "end_time": START + 201 * SPAN}
        | {"skip_result": False, "skip_model_update": False, "force_time_shift": 3600},
        {"description": "night", "start_time": START + 90 * SPAN, "end_time": START + 99 * SPAN},
        {"description": "party", "start_time": START + 150 * SPAN, "end_time": START + 153 * SPAN}
        | {"skip_model_update": False},
    ]
    calendars = [{"calendar_id": "c", "events": events}]
    job, acts = made_of(job_config(MEAN), hourly(12), 5, calendars=calendars)
    late = {"description": "late", "start_time": START + 250 * SPAN, "end_time": START + 260 * SPAN}
    return job, [*acts[:5], ("add_events", [late]), *acts[5:]]


def ruled() -> Case:
    """Rules with filters that silence, forbid to learn, and shift the time of some series."""
    later = {"applies_to": "time", "operator": "gte", "value": (START + 100 * SPAN) / 1000}
    large = {"applies_to": "actual", "operator": "gt", "value": 200}
    rules = [
        {"actions": ["skip_result"], "conditions": [large], "scope": {"b": {"filter_id": "ab"}}},
        {"actions": ["skip_model_update"], "conditions": [large]},
        {"actions": ["force_time_shift"], "conditions": [later], "scope": {"b": {"filter_id": "ab"}}}
        | {"params": {"force_time_shift": {"time_shift_amount": 3600}}},
    ]
    time = {"function": "time_of_day", "by_field_name": "b", "custom_rules": [rules[0] | {"conditions": []}]}
    config = job_config({**MEAN, "custom_rules": rules}, time)
    return made_of(config, hourly(9), 4, filters=FILTERS)


def frequent() -> Case:
    """Values that occur all the time are left out."""
    detectors = [
        {"function": "rare", "by_field_name": "b", "partition_field_name": "p", "exclude_frequent": "by"},
        {"function": "mean", "field_name": "x", "over_field_name": "o", "exclude_frequent": "all"},
    ]
    seldom = [
        {**records()[0], "t": START + at * SPAN, "o": "seldom", "x": x}
        for at, x in ((10, 9), (30, 9), (66, 99))
    ]
    rows = sorted([*records(), *seldom], key=lambda row: row["t"])
    return made_of(job_config(*detectors), rows, 4)


def restless() -> Case:
    """So many anomalies that the history of the job lowers their scores."""
    rng = random.Random(11)
    rows = [{**row, "x": row["x"] + 900.0 * (rng.random() < 0.02)} for row in hourly(12)]
    return made_of(job_config(MEAN, analysis={"influencers": ["b"]}), rows, 4)


def mixed() -> Case:
    """Many detectors of all kinds in one job, with a latency; what is sent twice is reset."""
    detectors = [
        {"function": "info_content", "field_name": "text", "partition_field_name": "p"},
        {"function": "distinct_count", "field_name": "who"},
        {"function": "median", "field_name": "x", "over_field_name": "o", "by_field_name": "b"},
        {"function": "lat_long", "field_name": "place", "over_field_name": "o"},
        {"function": "freq_rare", "by_field_name": "b", "over_field_name": "o"},
        {"function": "time_of_week", "by_field_name": "b"},
        {"function": "varp", "field_name": "x", "by_field_name": "b", "use_null": True},
    ]
    config = job_config(*detectors, analysis={"latency": "3h", "influencers": ["who", "o"]})
    job, acts = made_of(config, list(records()), 6)
    moves: list[Act] = [
        ("flush", {"skip_time": (START + (BUCKETS + 9) * SPAN) // 1000}),
        ("flush", {"advance_time": (START + (BUCKETS + 12) * SPAN) // 1000, "calc_interim": True}),
        ("reopen", None),
    ]
    return job, [*acts, *moves, ("update", {"model_prune_window": "9d"}), ("flush", {})]


def crowded() -> Case:
    """Open buckets with more distinct values than sets and bins keep."""
    rng = np.random.default_rng(3)
    n = 30_000
    table = pa.table(
        {
            "t": START + np.sort(rng.integers(0, 5 * SPAN, n)),
            "x": rng.normal(size=n),
            "u": pa.array([f"user {k}" for k in rng.integers(0, 1 << 40, n)]),
            "b": pa.array(["a", "b"]).take(pa.array(rng.integers(0, 2, n))),
        }
    )
    detectors = [
        {"function": "median", "field_name": "x", "by_field_name": "b"},
        {"function": "distinct_count", "field_name": "u"},
        {"function": "info_content", "field_name": "u"},
    ]
    return made_of(job_config(*detectors, analysis={"latency": "2h"}), table, 6)


FEATURES = (
    seasons,
    pruned,
    plotted,
    in_summary,
    messages,
    eventful,
    ruled,
    frequent,
    restless,
    mixed,
    crowded,
)


@pytest.mark.parametrize("make", FEATURES, ids=lambda make: make.__name__)
def test_state_of_what_only_some_jobs_have(make: Callable[[], Case]) -> None:
    """Jobs that use all there is go on from captured state."""
    assert assert_law(*make())._engine.results.final_buckets > 0


def test_state_of_rows_that_were_folded() -> None:
    """Rows of open buckets that influencers keep as statistics of every pair are state too."""
    detectors = [MEAN, {"function": "distinct_count", "field_name": "text", "partition_field_name": "p"}]
    config = job_config(*detectors, analysis={"latency": "2h", "influencers": ["who", "o"]})
    with folding(20):
        job, acts = made_of(config, list(records()), 5)
        assert_law(job, acts)
    assert job._engine.influencers.log._folded


def test_state_of_texts_that_were_swept() -> None:
    """Texts that nobody needs any more leave their store as if it had never been captured."""
    config = job_config({"function": "info_content", "field_name": "text", "by_field_name": "b"})
    with mock.patch("tidegate.texts._LEAST_SWEPT", 1):
        job, acts = made_of(config, [{**row, "text": f"{row['t']}"} for row in records()], 6)
        assert_law(job, acts)
    [store] = job._intake.texts.values()
    assert store._swept > 0


def test_records_posted_and_not_gathered_are_state() -> None:
    """What lies in the buffer, and the first records of a job that has no bucket yet, are not lost."""
    job = Job(configured("mean", ("by",)), threads=1)
    job.post(list(records()[:50]))
    assert job._engine.buffered_rows == 50
    assert_law(job, [("post", list(records()[50:])), ("flush", {"calc_interim": True})])


@settings(max_examples=5)
@given(st.integers(2, 4))
def test_state_does_not_depend_on_threads(threads: int) -> None:
    """One thread and several come to the same state, wherever in memory pages were put."""
    with mock.patch("tidegate.model._PIECE", 1), mock.patch("tidegate.passes._PIECE_ROWS", 1):
        one, many = (Job(job_config(MEAN), threads=n) for n in (1, threads))
        for job in (one, many):
            job.post([{**row, "b": f"{row['b']}{k}"} for row in hourly(8) for k in range(3)])
            job.flush()
    assert known(one) == known(many)
