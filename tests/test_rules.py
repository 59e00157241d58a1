"""Custom rules: what is not reported, what is hardly learned, and the laws with rules."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.config_samples import D0, problems_of, rule_job
from tests.model_run import START as FIRST
from tests.model_run import ModelRun, seasonal
from tests.naive_rules import actions as naive_actions
from tests.naive_scores import ScoredJob
from tests.strategies import BASE_MS, Stream, cuts, streams
from tests.test_laws import assert_identical, results
from tests.test_naive_scores import DETECTORS, SPAN, START, job_config, same_results, seconds, stream
from tests.test_twin import small_pieces

from tidegate import ConfigError, Job, JobConfig, NotSupportedError
from tidegate.config import FUNCTIONS, CustomRule, RuleCondition
from tidegate.rules import SKIP_UPDATE, actions, rule_table, silenced
from tidegate_kernels import model

FILTERS = [
    {"filter_id": "ab", "items": ["a", "b"]},
    {"filter_id": "stars", "items": ["*", "p*"]},
    {"filter_id": "p", "items": ["p*"]},
    {"filter_id": "none", "items": []},
]
ITEMS = {one["filter_id"]: one["items"] for one in FILTERS}
_ROLES = ("by_field_name", "over_field_name", "partition_field_name")
ACTIONS = (["skip_result"], ["skip_model_update"], ["skip_result", "skip_model_update"])


@st.composite
def conditions(draw: st.DrawFn, *, values: bool, start: int, span: int) -> dict[str, Any]:
    """A condition on a value, if those are allowed, or on the time."""
    what = ("actual", "typical", "diff_from_typical") if values else ()
    applies_to = draw(st.sampled_from((*what, "time")))
    at = draw(st.integers(0, 120))
    value = (
        (start + at * span) / 1000 if applies_to == "time" else draw(st.sampled_from((3, 50, 90, 130, 300)))
    )
    operator = draw(st.sampled_from(("gt", "gte", "lt", "lte")))
    return {"applies_to": applies_to, "operator": operator, "value": value}


@st.composite
def rules(
    draw: st.DrawFn, detector: dict[str, Any], start: int = START, span: int = SPAN
) -> list[dict[str, Any]]:
    """One to three rules that a detector may have."""
    fields = [detector[role] for role in _ROLES if role in detector]
    values = FUNCTIONS[detector["function"]].value_conditions
    made = []
    for _ in range(draw(st.integers(1, 3))):
        rule: dict[str, Any] = {"actions": draw(st.sampled_from(ACTIONS))}
        if fields and draw(st.booleans()):
            rule["scope"] = {
                draw(st.sampled_from(fields)): {
                    "filter_id": draw(st.sampled_from(sorted(ITEMS))),
                    "filter_type": draw(st.sampled_from(("include", "exclude"))),
                }
            }
        given = conditions(values=values, start=start, span=span)
        least = 0 if "scope" in rule else 1
        rule["conditions"] = draw(st.lists(given, min_size=least, max_size=2))
        made.append(rule)
    return made


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from((0, 0, 2)), st.data())
def test_rules_agree_with_the_naive_twin(seed: int, latency: int, data: st.DataObject) -> None:
    """All records and scores, interim ones too, are those of the twin, whatever the rules."""
    records = stream(seed, 130)
    indexes = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True))
    config = job_config(indexes, latency)
    detectors = [{**DETECTORS[i], "custom_rules": data.draw(rules(DETECTORS[i]))} for i in indexes]
    config["analysis_config"]["detectors"] = detectors
    job, twin = Job(config, filters=FILTERS, threads=1), ScoredJob(config)
    twin.learned.filters = ITEMS
    for begin, end in pairwise(data.draw(cuts(len(records), pieces=2))):
        job.post(records[begin:end])
        twin.post(records[begin:end])
        how = data.draw(st.sampled_from(({}, {"calc_interim": True})))
        assert job.flush(**seconds(how)).last_finalized_bucket_end == twin.flush(**how)
        same_results(job, twin)


@settings(max_examples=20)
@given(streams(), st.data())
def test_cuts_interim_results_and_threads_do_not_matter_with_rules(
    stream: Stream, data: st.DataObject
) -> None:
    """Laws 1, 3 and 4 hold with rules: posts, passes, interim results and threads change nothing."""
    detectors = [dict(detector) for detector in stream.config["analysis_config"]["detectors"]]
    for detector in detectors:
        detector["custom_rules"] = data.draw(rules(detector, BASE_MS, stream.span))
        if data.draw(st.booleans()):
            at = {"applies_to": "time", "operator": "gte", "value": (BASE_MS + 30.5 * stream.span) / 1000}
            shift = {"force_time_shift": {"time_shift_amount": 5000}}
            detector["custom_rules"].append(
                {"actions": ["force_time_shift"], "params": shift, "conditions": [at]}
            )
    config = {
        **stream.config,
        "analysis_config": {**stream.config["analysis_config"], "detectors": detectors},
    }
    places = data.draw(cuts(len(stream.records)))
    whole = Job(config, filters=FILTERS, threads=1)
    whole.post(stream.records)
    with small_pieces(piece=1):
        cut = Job(config, filters=FILTERS, threads=3)
        for begin, end in pairwise(places):
            cut.post(stream.records[begin:end])
            cut.flush(calc_interim=data.draw(st.booleans()))
    whole.close()
    cut.close()
    assert_identical(results(cut), results(whole))


def final(rule: dict[str, Any] | None, index: int, records: list[dict[str, Any]]) -> Job:
    """A job of one detector with a rule, after the records."""
    config = job_config([index])
    if rule is not None:
        config["analysis_config"]["detectors"] = [{**DETECTORS[index], "custom_rules": [rule]}]
    job = Job(config, filters=FILTERS, threads=1)
    job.post(records)
    job.close()
    return job


def test_a_skipped_result_leaves_all_others() -> None:
    """Where a rule that skips results alone never holds everything is as without it."""
    records = stream(7, 200)
    never = {"applies_to": "actual", "operator": "gt", "value": 1e9}
    assert_identical(results(final({"conditions": [never]}, 2, records)), results(final(None, 2, records)))


def test_a_rule_for_everything_leaves_no_record() -> None:
    """With a rule that always holds there is no record, and no bucket has a score."""
    records = stream(7, 200)
    always = {"applies_to": "diff_from_typical", "operator": "gte", "value": 0}
    job = final({"conditions": [always]}, 2, records)
    assert final(None, 2, records).records().num_rows > 5
    assert job.records().num_rows == 0
    assert max(job.buckets()["anomaly_score"].to_pylist()) == 0.0


def test_what_is_not_to_be_learned_does_not_move_the_level() -> None:
    """A new level is learned in days; under a rule that forbids it hardly in weeks, yet in the end."""
    records = [
        {"t": START + at * SPAN, "x": (100 if at < 200 else 300) + at % 5, "k": "a"} for at in range(1500)
    ]
    above = {"applies_to": "actual", "operator": "gt", "value": 200}
    expected, reported = [], []
    for acts in (["skip_result"], ["skip_model_update"]):
        config = job_config([2])
        rule = {"actions": acts, "conditions": [above]}
        config["analysis_config"]["detectors"] = [{**DETECTORS[2], "custom_rules": [rule]}]
        job = Job({**config, "model_plot_config": {"enabled": True}}, threads=1)
        job.post(records)
        job.close()
        expected.append(job.model_plot()["model_median"][-1].as_py())
        reported.append(job.records().num_rows)
    assert abs(expected[0] - 302) < 10
    assert 100 < expected[1] < 290
    assert reported[0] == 0
    assert reported[1] > 500


def test_time_is_the_start_of_the_bucket() -> None:
    """A condition on the time holds for the buckets that begin in it."""
    records = stream(7, 200)
    found = final(None, 2, records).records()["timestamp"].to_pylist()
    at = found[len(found) // 2]
    only = [
        {"applies_to": "time", "operator": "gte", "value": at // 1000},
        {"applies_to": "time", "operator": "lt", "value": at // 1000 + 1},
    ]
    left = final({"conditions": only}, 2, records).records()["timestamp"].to_pylist()
    assert at not in left
    assert [t for t in found if t < at] == [t for t in left if t < at]


def test_time_is_shifted_by_a_rule_once_and_in_its_scope() -> None:
    """From the first bucket in which its time holds a rule shifts the series in its scope."""

    def value(at: int, key: str) -> float:
        hour = (at + (1 if at >= 600 and key == "a" else 0)) % 24
        return 500.0 if 9 <= hour < 17 else 20.0 + at % 3

    records = [{"t": START + at * SPAN, "x": value(at, k), "k": k} for at in range(720) for k in "ac"]
    later = {"applies_to": "time", "operator": "gte", "value": (START + 600 * SPAN) / 1000}
    rule = {
        "actions": ["force_time_shift"],
        "params": {"force_time_shift": {"time_shift_amount": 3600}},
        "conditions": [later],
        "scope": {"k": {"filter_id": "ab"}},
    }
    for one in (None, rule):
        shown = final(one, 2, records).records().to_pylist()
        score = max(
            (row["record_score"] for row in shown if row["timestamp"] >= START + 600 * SPAN), default=0
        )
        assert (score < 10) if one else (score > 40)


def test_a_rule_that_shifts_time_from_the_start_shifts_nothing() -> None:
    """Series that are new have no times of the day yet; it is no failure of the job."""
    rule = {
        "actions": ["force_time_shift"],
        "params": {"force_time_shift": {"time_shift_amount": 3600}},
        "conditions": [{"applies_to": "time", "operator": "gte", "value": 0.0}],
        "scope": {"k": {"filter_id": "ab"}},
    }
    records = [{"t": START + at * SPAN, "x": at % 7, "k": k} for at in range(50) for k in "ac"]
    shifted, plain = final(rule, 2, records), final(None, 2, records)
    assert shifted.buckets()["event_count"].equals(plain.buckets()["event_count"])
    assert shifted.records().equals(plain.records())


@pytest.mark.parametrize("few", [True, False])
def test_compiled_and_interpreted_rules_agree(few: bool) -> None:
    """Rules give the same bits either way, with few series that have a value and with many."""
    values = seasonal(20, 40)
    values[:, 30] *= 3
    if few:
        values[2:, 25:] = np.nan
    runs = [ModelRun(20, zero_fill=1), ModelRun(20, model.update_blocks.interpret, zero_fill=1)]
    for run in runs:
        run.rules = rule_table(
            [
                CustomRule(("skip_result",), conditions=(RuleCondition("actual", "gt", 200.0),)),
                CustomRule(
                    ("skip_model_update",), conditions=(RuleCondition("diff_from_typical", "gte", 30.0),)
                ),
                CustomRule(("skip_result", "skip_model_update"), conditions=()),
            ]
        )
        run.rule_s = np.array([k % 8 for k in range(32)], np.uint64)
        run.feed(values, FIRST, sparse=True)
    assert runs[0].rows == runs[1].rows
    assert runs[0].minimum == runs[1].minimum
    np.testing.assert_array_equal(runs[0].state, runs[1].state)


def test_a_rule_that_does_not_act_changes_no_bit() -> None:
    """Lanes of a block with rules go another way through the kernel, to the same results."""
    values = seasonal(20, 300)
    values[3:, 200:] = np.nan
    plain, ruled = ModelRun(20), ModelRun(20)
    ruled.rules = rule_table([CustomRule(conditions=(RuleCondition("actual", "gt", 1e9),))])
    ruled.rule_s = np.ones(32, np.uint64)
    for run in (plain, ruled):
        run.feed(values, FIRST, sparse=True)
    assert plain.rows == ruled.rows
    np.testing.assert_array_equal(plain.state, ruled.state)


_ANY = st.floats(-100, 100) | st.just(math.nan)


@given(st.data(), st.lists(st.tuples(_ANY, _ANY, st.integers(0, 3)), min_size=1, max_size=20))
def test_rules_after_the_fact_agree_with_the_twin(
    data: st.DataObject, values: list[tuple[float, float, int]]
) -> None:
    """For analyses that do not obey rules themselves the same rules are found to hold."""
    given_rules = data.draw(rules({"function": "mean"}, start=0, span=1000))
    config = JobConfig.parse(
        {
            "analysis_config": {
                "detectors": [{"function": "mean", "field_name": "x", "custom_rules": given_rules}]
            },
            "data_description": {"time_field": "t"},
        }
    )
    table = rule_table(config.analysis_config.detectors[0].custom_rules)
    n = len(values)
    masks = np.full(n, 2 ** len(given_rules) - 1, np.uint64)
    actual, typical = (np.array([row[k] for row in values]) for k in (0, 1))
    time = np.array([float(row[2]) for row in values])
    twins = [naive_actions(given_rules, {}, {}, row) for row in zip(actual, typical, time, strict=True)]
    ours = actions(table, masks, time, actual, typical)
    assert silenced(table, masks, time, actual, typical).tolist() == ["skip_result" in one for one in twins]
    assert ((ours & SKIP_UPDATE) != 0).tolist() == ["skip_model_update" in one for one in twins]
    assert not actions(table, np.zeros(n, np.uint64), time, actual, typical).any()


def test_wrong_rules_are_refused() -> None:
    """A shift needs an amount, sixty-four rules are enough, and a shift is not made value by value."""
    condition = {"applies_to": "actual", "operator": "gt", "value": 1}
    time = {**condition, "applies_to": "time"}
    shift = {"actions": ["force_time_shift"], "conditions": [time]}
    assert problems_of(rule_job(shift)) == {
        f"{D0}.custom_rules[0].params": [
            "force_time_shift requires params.force_time_shift.time_shift_amount"
        ]
    }
    many = rule_job(shift)
    many["analysis_config"]["detectors"][0]["custom_rules"] = [{"conditions": [condition]}] * 65
    assert problems_of(many) == {f"{D0}.custom_rules": ["custom_rules has 65 rules; at most 64 are allowed"]}
    amount = {"params": {"force_time_shift": {"time_shift_amount": 60}}}
    JobConfig.parse(rule_job({**shift, **amount})).require_supported()
    with pytest.raises(NotSupportedError, match="conditions on values"):
        JobConfig.parse(rule_job({**shift, **amount, "conditions": [condition]})).require_supported()


def test_an_unknown_filter_is_a_wrong_configuration() -> None:
    """A rule may only name filters that the job is given."""
    config = rule_job({"scope": {"k": {"filter_id": "x"}}}, by_field_name="k")
    with pytest.raises(ConfigError) as caught:
        Job(config)
    assert caught.value.problems == (
        (f"{D0}.custom_rules[0].scope.k.filter_id", "No filter with id [x] exists"),
    )
    assert Job(config, filters=[{"filter_id": "x", "items": ["a"]}]).filters[0].items == ("a",)
