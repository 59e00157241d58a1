"""Rules that forbid to learn, in populations, rare functions, and those of time and position."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import cuts
from tests.test_density_jobs import streams
from tests.test_laws import assert_identical, results
from tests.test_population import HOUR, START, _steady, crowd_records, crowds
from tests.test_population import config as crowd_config
from tests.test_rare_laws import hosts_with_processes
from tests.test_rules import FILTERS, rules

from tidegate import Job

Rows = list[dict[str, Any]]
FORBID = {"actions": ["skip_model_update"]}


def ruled(config: dict[str, Any], *made: dict[str, Any]) -> dict[str, Any]:
    """The job with these rules for all detectors."""
    analysis = config["analysis_config"]
    detectors = [{**detector, "custom_rules": list(made)} for detector in analysis["detectors"]]
    return {**config, "analysis_config": {**analysis, "detectors": detectors}}


def between(start: int, end: int) -> list[dict[str, Any]]:
    """The conditions of the buckets that begin in ``start <= t < end``, milliseconds."""
    return [
        {"applies_to": "time", "operator": operator, "value": time / 1000}
        for operator, time in (("gte", start), ("lt", end))
    ]


def run(config: dict[str, Any], records: Rows) -> Job:
    """The job after all records."""
    job = Job(config, filters=FILTERS, threads=1)
    job.post(records)
    job.close()
    return job


def found(job: Job) -> dict[Any, Any]:
    """What was found, but for scores, which depend on all that a job has found."""
    columns = ("timestamp", "detector_index", "by_field_value", "over_field_value", "partition_field_value")
    told = ("log_probability", "actual", "typical", "causes")
    return {
        tuple(row[name] for name in columns): [row[name] for name in told]
        for row in job.records().to_pylist()
    }


def draw_rules(data: st.DataObject, config: dict[str, Any], start: int) -> dict[str, Any]:
    """The job with any rules for each of its detectors."""
    analysis = config["analysis_config"]
    detectors = [
        {**detector, "custom_rules": data.draw(rules(detector, start, HOUR))}
        for detector in analysis["detectors"]
    ]
    return {**config, "analysis_config": {**analysis, "detectors": detectors}}


@settings(max_examples=25)
@given(st.data())
def test_cuts_interim_results_and_threads_do_not_matter(data: st.DataObject) -> None:
    """Laws 1, 2 and 3 hold for analyses that do not obey rules themselves."""
    stream = data.draw(st.one_of(streams(), crowds()))
    config = draw_rules(data, stream.config, stream.records[0]["t"])
    records = stream.records
    whole = run(config, records)
    with mock.patch("tidegate.bymodel._PIECE", 1), mock.patch("tidegate.crowds._PIECE", 1):
        cut = Job(config, filters=FILTERS, threads=3)
        for begin, end in pairwise(data.draw(cuts(len(records), pieces=4))):
            cut.post(records[begin:end])
            cut.flush(calc_interim=data.draw(st.booleans()))
        cut.close()
    assert_identical(results(cut), results(whole))


def _place(rng: random.Random) -> str:
    latitude = 48.0 if rng.random() < 0.99 else rng.uniform(-60.0, 60.0)
    return f"{latitude + rng.gauss(0.0, 0.01)},{rng.gauss(11.0, 0.01)}"


def _jobs() -> dict[str, tuple[dict[str, Any], Rows]]:
    """A job of each kind and its records."""
    rare = hosts_with_processes(3, 240)
    people = crowd_records(random.Random(4), 14)
    rng = random.Random(5)
    around = [
        {"t": START + hour * HOUR + minute * 60_000, "k": key, "pos": _place(rng)}
        for hour in range(24 * 60)
        for key in "ab"
        for minute in (3, 40)
        if hour % 24 in range(9, 15) or rng.random() < 0.004
    ]
    process = {"by_field_name": "process"}
    kinds: tuple[tuple[str, dict[str, Any], Rows], ...] = (
        ("rare", {**process, "function": "rare", "partition_field_name": "host"}, rare),
        ("repeats", {**process, "function": "freq_rare", "over_field_name": "host"}, rare),
        ("crowd", {"function": "mean", "field_name": "x", "over_field_name": "user"}, people),
        ("metric", {"function": "metric", "field_name": "x", "over_field_name": "user"}, people),
        ("times", {"function": "time_of_day", "by_field_name": "k"}, around),
        ("times of a crowd", {"function": "time_of_day", "over_field_name": "k"}, around),
        ("places", {"function": "lat_long", "field_name": "pos", "by_field_name": "k"}, around),
    )
    return {
        name: (crowd_config(detector), sorted(rows, key=lambda row: row["t"]))
        for name, detector, rows in kinds
    }


JOBS = _jobs()


@pytest.mark.parametrize("name", JOBS)
def test_what_is_forbidden_leaves_no_trace(name: str) -> None:
    """After the hours of a rule all is as if they had had no records; before all is as without it."""
    config, records = JOBS[name]
    hours = [row["t"] // HOUR for row in records]
    first, last = hours[len(hours) // 2], hours[len(hours) * 3 // 4]
    forbidden = run(ruled(config, {**FORBID, "conditions": between(first * HOUR, last * HOUR)}), records)
    plain = run(config, records)
    absent = run(config, [row for row in records if not first <= row["t"] // HOUR < last])
    ours, without, never = found(forbidden), found(plain), found(absent)
    for row, there in ((without, range(first + 1)), (never, range(last, hours[-1] + 1))):
        expected = {key: value for key, value in row.items() if key[0] // HOUR in there}
        assert {key: value for key, value in ours.items() if key[0] // HOUR in there} == expected
    counts = [job.buckets()["event_count"].to_pylist() for job in (forbidden, plain)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["times", "places", "rare"])
def test_what_is_in_scope_alone_is_forbidden(name: str) -> None:
    """Series out of the scope are as without a rule; what is in it and never learned has no result."""
    config, records = JOBS[name]
    field, value = ("host", "h7") if name == "rare" else ("k", "a")
    filters = [{"filter_id": "one", "items": [value]}]
    rule = {**FORBID, "scope": {field: {"filter_id": "one"}}}
    job = Job(ruled(config, rule), filters=filters, threads=1)
    job.post(records)
    job.close()
    plain = found(run(config, records))
    assert any(value in key for key in plain)
    assert found(job) == {key: values for key, values in plain.items() if value not in key}


def test_a_value_that_is_forbidden_does_not_become_usual() -> None:
    """What a member of a population does above a limit stays unusual, however long it goes on."""
    records = _steady(n_users=30, hours=60)
    start = records[0]["t"] - records[0]["t"] % HOUR
    extra = [
        {**records[0], "t": start + hour * HOUR + 1800_000 + k, "user": f"loud{k}"}
        for hour in range(30, 60)
        for k in range(6)
        for _ in range(60)
    ]
    records = sorted([*records, *extra], key=lambda row: row["t"])
    config = crowd_config({"function": "high_count", "over_field_name": "user"})
    limit = {"applies_to": "actual", "operator": "gt", "value": 30}
    late = {}
    for is_ruled in (False, True):
        rule = {**FORBID, "conditions": [limit]}
        rows = run(ruled(config, rule) if is_ruled else config, records).records().to_pylist()
        late[is_ruled] = [row for row in rows if row["timestamp"] >= start + 50 * HOUR]
    assert len(late[True]) == 6 * 9
    assert len(late[False]) < len(late[True])


def test_interim_results_of_what_is_forbidden() -> None:
    """An open bucket shows the same with a rule that forbids to learn it."""
    config, records = JOBS["crowd"]
    rule = {**FORBID, "conditions": between(records[-1]["t"] // HOUR * HOUR, records[-1]["t"] + HOUR)}
    shown = []
    for made in (config, ruled(config, rule)):
        job = Job(made, threads=1)
        job.post(records)
        job.flush(calc_interim=True)
        shown.append(results(job))
    assert_identical(*shown)
