"""Changing a job: what can be changed and when, what it does, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.config_samples import FULL
from tests.test_laws import assert_identical, results
from tests.test_naive_scores import SPAN, START, job_config, stream

from tidegate import ConfigError, Job, JobConfig, StateError
from tidegate.config import updated

HALF = START + 100 * SPAN


def half_and_half(changes: dict[str, Any], *indexes: int, **top: Any) -> Job:
    """A job that is changed after half of its records, all of them posted and not flushed."""
    records = stream(11, 200)
    job = Job({**job_config(indexes), **top}, threads=1)
    job.post([record for record in records if record["t"] < HALF])
    if changes:
        job.update(changes)
    job.post([record for record in records if record["t"] >= HALF])
    job.close()
    return job


def test_an_empty_change_changes_nothing() -> None:
    """Nothing given, or null, leaves configuration and results as they were."""
    plain, changed = half_and_half({}, 0, 2), half_and_half({"description": None, "detectors": []}, 0, 2)
    assert changed.config == plain.config
    assert_identical(results(changed), results(plain))


def test_rules_hold_from_the_change_on() -> None:
    """New rules silence what is not final yet, and leave what is."""
    rule = {"conditions": [{"applies_to": "diff_from_typical", "operator": "gte", "value": 0}]}
    plain = half_and_half({}, 2)
    changed = half_and_half({"detectors": [{"detector_index": 0, "custom_rules": [rule]}]}, 2)
    before = [row for row in results(plain)["records"] if row["timestamp"] < HALF - SPAN]
    assert len(before) < len(results(plain)["records"])
    assert results(changed)["records"] == before
    changed.open()
    changed.update({"detectors": [{"detector_index": 0, "custom_rules": []}]})
    assert changed.config.analysis_config.detectors[0].custom_rules == ()


def test_a_model_plot_begins_and_ends() -> None:
    """The model plot has the buckets that became final while it was enabled."""
    plot = {"model_plot_config": {"enabled": True}}
    begun = half_and_half(plot, 0).model_plot()["timestamp"].to_pylist()
    ended = (
        half_and_half({"model_plot_config": {"enabled": False}}, 0, **plot)
        .model_plot()["timestamp"]
        .to_pylist()
    )
    assert min(begun) == max(ended) + SPAN == HALF - SPAN


def test_a_prune_window_is_taken_over() -> None:
    """With another window a silent series is forgotten sooner, as if it had been so from the start."""
    records = [{"t": START + at * SPAN, "k": "a"} for at in (*range(20), 30, *range(31, 60))]
    config = {**job_config([1])}
    jobs = [Job(config, threads=1) for _ in range(2)]
    for job, window in zip(jobs, ("3d", "5h"), strict=True):
        job.post(records[:20])
        job.update({"model_prune_window": window})
        job.post(records[20:])
        job.close()
    kept, forgotten = (
        job._engine._lanes[("k", None, None, False)].analyses[0].models[0].state[16]  # type: ignore[attr-defined]
        for job in jobs
    )
    assert kept == START // SPAN
    assert forgotten == START // SPAN + 30


def test_what_describes_a_job_changes() -> None:
    """All settings that can be changed are, and the whole configuration comes back."""
    job = Job(job_config([0, 2]), threads=1)
    changes = {
        "description": "new",
        "groups": ["a", "b"],
        "custom_settings": {"x": [1]},
        "allow_lazy_open": True,
        "detectors": [{"detector_index": 1, "description": "means"}],
        "per_partition_categorization": {"enabled": False, "stop_on_warn": True},
    }
    config = job.update(changes)
    assert job.config is config
    shown = config.to_dict()
    assert {key: shown[key] for key in ("description", "groups", "custom_settings", "allow_lazy_open")} == {
        key: changes[key] for key in ("description", "groups", "custom_settings", "allow_lazy_open")
    }
    assert config.analysis_config.detectors[1].detector_description == "means"
    assert config.analysis_config.detectors[0].detector_description == "count"
    assert JobConfig.parse(shown) == config


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        {"detectors": [{"detector_index": 2, "description": "x"}]},
        "detectors[0].detector_index",
        "Supplied detector_index [2] is >= the number of detectors [2]",
    ),
    ({"detectors": [{"description": "x"}]}, "detectors[0].detector_index", "Required [detector_index]"),
    ({"detectors": [{"detector_index": 0, "function": "sum"}]}, "detectors[0].function", "unknown field"),
    (
        {"analysis_config": {"bucket_span": "1d"}},
        "analysis_config",
        "cannot be changed once there is the job",
    ),
    ({"job_id": "other"}, "job_id", "cannot be changed once there is the job"),
    ({"descripton": "x"}, "descripton", "did you mean 'description'?"),
    (
        {"model_prune_window": "150m"},
        "analysis_config.model_prune_window",
        "must be a multiple of bucket_span",
    ),
    (
        {"detectors": [{"detector_index": 0, "custom_rules": [{}]}]},
        "analysis_config.detectors[0].custom_rules[0]",
        "at least scope or a condition is required",
    ),
    (
        {"detectors": [{"detector_index": 1, "custom_rules": [{"scope": {"k": {"filter_id": "f"}}}]}]},
        "analysis_config.detectors[1].custom_rules[0].scope.k.filter_id",
        "No filter with id [f] exists",
    ),
    ({"results_retention_days": -3}, "results_retention_days", "cannot be less than 0"),
]


@pytest.mark.parametrize(("changes", "path", "message"), WRONG, ids=[row[1] for row in WRONG])
def test_wrong_changes_are_refused(changes: dict[str, Any], path: str, message: str) -> None:
    """What is wrong, or cannot be changed, is said where it is, and the job stays as it was."""
    job = Job(job_config([0, 2]), threads=1)
    before = job.config
    with pytest.raises(ConfigError) as caught:
        job.update(changes)
    [(where, what)] = caught.value.problems
    assert where == path
    assert message in what
    assert job.config is before
    assert job.state == "opened"


def test_limits_change_while_the_job_is_closed() -> None:
    """The memory limit can be changed when the job is closed, and not to less than the models take."""
    job = Job(job_config([2]), threads=1)
    job.post([{"t": START + at, "x": 1, "k": f"k{at}"} for at in range(4000)])
    job.post([{"t": START + SPAN, "x": 1, "k": "a"}])
    job.flush()
    with pytest.raises(StateError, match="Cannot update analysis_limits while the job is open"):
        job.update({"analysis_limits": {"model_memory_limit": "2gb"}})
    job.close()
    job.update({"analysis_limits": {"model_memory_limit": "2gb"}})
    assert job.config.analysis_limits.model_memory_limit == "2048mb"
    assert job.model_size_stats.model_bytes_memory_limit == 2 << 30
    usage = job.model_size_stats.model_bytes
    assert usage > 1 << 20
    with pytest.raises(ConfigError, match="cannot be decreased below current usage; current usage") as caught:
        job.update({"analysis_limits": {"model_memory_limit": "1mb"}})
    assert "update had [1mb]" in str(caught.value)


def test_a_change_of_a_whole_configuration_keeps_the_rest() -> None:
    """Whatever a configuration has stays when something else is changed."""
    config = JobConfig.parse(FULL)
    changed = updated(config, {"description": "other"}, is_open=False)
    assert changed.to_dict() == {**config.to_dict(), "description": "other"}
