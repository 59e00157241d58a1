"""The job configuration: completion, round trips, and what it keeps to."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import sys
from pathlib import Path

import pytest
from tests.config_samples import (
    AC,
    FULL,
    MEAN,
    PRUNE,
    RETENTION,
    job,
    problems_of,
)

import tidegate.config
from tidegate.config import FUNCTIONS, JobConfig
from tidegate.errors import RequestError


def test_a_minimal_job_is_completed():
    """What is not given has the defaults of the contract."""
    assert JobConfig.parse({AC: {"detectors": [MEAN]}, "data_description": {}}).to_dict() == {
        "job_id": "job",
        "job_type": "anomaly_detector",
        AC: {
            "bucket_span": "5m",
            "detectors": [
                {
                    "detector_description": "mean(x)",
                    "function": "mean",
                    "field_name": "x",
                    "detector_index": 0,
                }
            ],
            "influencers": [],
            "model_prune_window": "30d",
        },
        "analysis_limits": {"model_memory_limit": "1024mb", "categorization_examples_limit": 4},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"},
        "model_snapshot_retention_days": 10,
        "daily_model_snapshot_retention_after_days": 1,
        "results_index_name": "shared",
        "allow_lazy_open": False,
    }


def test_everything_is_read():
    """Every setting arrives, numbers and booleans written as text included."""
    config = JobConfig.parse(FULL)
    analysis, (first, second, third) = config.analysis_config, config.analysis_config.detectors
    assert first.detector_description == (
        "mean(responsetime) by airline over host usenull=true partitionfield=site excludefrequent=all"
    )
    assert (first.function, first.spec, first.use_null) == ("mean", FUNCTIONS["mean"], True)
    assert first.custom_rules[0].time_shift_s == 3600
    assert first.custom_rules[0].conditions[1].operator == "lte"
    assert second.detector_description == "new messages"
    assert (third.detector_index, third.detector_description) == (2, 'distinct_count("user.name")')
    assert (analysis.bucket_span_ms, analysis.latency_ms, analysis.latency_buckets) == (600_000, 900_000, 2)
    assert analysis.model_prune_window_ms == 1_200_000
    assert analysis.analysed_fields() == (
        *("responsetime", "airline", "host", "site", "user.name"),
        *("n", "message"),
    )
    assert config.analysis_limits.model_memory_limit_bytes == 3 << 29
    assert config.results_index_name == "custom-mine"
    assert config.model_plot_config.annotations_enabled
    assert config.renormalization_window_days == 40
    assert config.results_retention_days == 90


@pytest.mark.parametrize("source", [job(), FULL, job(analysis={"bucket_span": "17m"})])
def test_the_completed_configuration_parses_to_itself(source):
    """Parsing what `to_dict` shows, as a dict or as JSON, gives an equal configuration."""
    config = JobConfig.parse(source)
    assert JobConfig.parse(config.to_dict()) == config
    assert JobConfig.parse(json.dumps(config.to_dict())) == config
    assert JobConfig.parse(config.to_dict()).to_dict() == config.to_dict()
    assert hash(JobConfig.parse(source)) == hash(config)
    assert pickle.loads(pickle.dumps(config)) == config


def test_the_configuration_is_its_own():
    """Neither the source nor what `to_dict` returned is shared with the configuration."""
    source = copy.deepcopy(FULL)
    config = JobConfig.parse(source)
    source["custom_settings"]["any"].append(1)
    config.to_dict()["custom_settings"]["any"].append(2)
    assert config.custom_settings == FULL["custom_settings"]
    with pytest.raises(AttributeError):
        config.job_id = "other"


@pytest.mark.parametrize(
    ("span", "window"), [("5m", "30d"), ("1d", "30d"), ("2d", "40d"), ("7d", "140d"), ("17m", "43214m")]
)
def test_the_default_prune_window_is_30_days_or_20_buckets(span, window):
    """The default prune window is the larger of both, rounded up to whole buckets."""
    assert JobConfig.parse(job(analysis={"bucket_span": span})).to_dict()[AC][PRUNE] == window


def test_a_span_that_does_not_divide_a_day_warns():
    """Such a span is allowed, with the warning of the contract."""
    assert JobConfig.parse(job()).warnings == ()
    assert JobConfig.parse(job(analysis={"bucket_span": "17m"})).warnings == (
        "bucket_span 17m [1020s] is not an integral divisor of the number of seconds in 1d [86400s]. "
        "This is now deprecated.",
    )


def test_the_url_names_the_job():
    """The id of the call is taken when the body has none, and must not differ from one it has."""
    source = job()
    message = "Inconsistent job_id; 'j' specified in the body differs from 'k' specified as a URL argument"
    assert problems_of(source, job_id="k") == {"job_id": [message]}
    del source["job_id"]
    assert JobConfig.parse(source, job_id="k").job_id == "k"


def test_the_host_limits_memory():
    """The memory limit may not exceed what the host grants, and the default stays below it."""
    source = job(analysis_limits={"model_memory_limit": "10gb"})
    message = "model_memory_limit [10gb] must be less than the value of the "
    message += "xpack.ml.max_model_memory_limit setting [9gb]"
    assert problems_of(source, max_model_memory_limit="9gb") == {
        "analysis_limits.model_memory_limit": [message]
    }
    assert JobConfig.parse(job(), max_model_memory_limit="9gb").analysis_limits.model_memory_limit == "1024mb"
    assert JobConfig.parse(job(), max_model_memory_limit="64mb").analysis_limits.model_memory_limit == "64mb"
    with pytest.raises(RequestError, match="max_model_memory_limit"):
        JobConfig.parse(job(), max_model_memory_limit="lots")


def test_daily_retention_never_exceeds_retention_by_default():
    """Without snapshots to keep, the daily default follows."""
    assert JobConfig.parse(job(**{RETENTION: 0})).daily_model_snapshot_retention_after_days == 0


def test_reprs_are_short():
    """A configuration prints as one readable line."""
    config = JobConfig.parse(job({**MEAN, "by_field_name": "b"}))
    assert repr(config) == "JobConfig('j': mean(x) by b in buckets of 5m; time in 'at' as epoch_ms)"
    assert repr(config.analysis_config.detectors[0]) == "Detector(0, 'mean(x) by b')"


def test_the_package_imports_nothing_heavy():
    """The configuration imports the standard library and its own small modules, so it loads at once."""
    allowed = set(sys.stdlib_module_names)
    for path in Path(tidegate.config.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] in allowed, path
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                assert node.module in ("errors", "patterns", "requesttime", "timepattern"), path
