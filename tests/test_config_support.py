"""What a configuration may ask for that the engine does not do yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.config_samples import (
    AC,
    CATEGORY,
    CONDITION,
    D0,
    DAILY,
    PRUNE,
    RETENTION,
    XBY,
    job,
    rule_job,
)

from tidegate.config import JobConfig
from tidegate.errors import NotSupportedError

JOBS = Path(__file__).parent / "data" / "jobs"

# What the engine does not execute: the change to a valid job, the path, and what the message names.
UNSUPPORTED = [
    (
        rule_job(
            {
                "actions": ["force_time_shift"],
                "params": {"force_time_shift": {"time_shift_amount": 60}},
                "conditions": [CONDITION],
            }
        ),
        f"{D0}.custom_rules[0]",
        "force_time_shift in a rule with conditions on values",
    ),
    (
        job({"function": "low_median", "field_name": "x"}, analysis={"summary_count_field_name": "n"}),
        f"{D0}.function",
        "function 'low_median' of data that is summarised already",
    ),
    (
        job(analysis={"multivariate_by_fields": True}),
        f"{AC}.multivariate_by_fields",
        "multivariate_by_fields 'true' (a common model of correlated by values: every value has a model "
        "of its own here; leave it out, and where a relation matters post the ratio or the difference of "
        "the two as a field of its own)",
    ),
    (
        job(analysis={"use_per_partition_normalization": "true"}),
        f"{AC}.use_per_partition_normalization",
        "use_per_partition_normalization 'true'",
    ),
]


@pytest.mark.parametrize(("source", "path", "what"), UNSUPPORTED, ids=[row[1] for row in UNSUPPORTED])
def test_what_is_not_executed_is_named(source, path, what):
    """A setting that is not executed parses, is listed with its value, and can be refused."""
    config = JobConfig.parse(source)
    assert config.unsupported() == ((path, f"{what} is not supported yet"),)
    with pytest.raises(NotSupportedError) as caught:
        config.require_supported()
    assert caught.value.problems == config.unsupported()


def test_harmless_settings_are_supported():
    """What is executed, stored, or switched off is not refused."""
    config = JobConfig.parse(
        job(
            *(
                {"function": name, "field_name": "x"}
                for name in ("mean", "low_sum", "high_varp", "metric", "dc")
            ),
            {"function": "rare", "by_field_name": "b", "partition_field_name": "p"},
            {"function": "count", "partition_field_name": "p", "use_null": True, "exclude_frequent": "NONE"},
            {"function": "metric", "field_name": "x", "by_field_name": "b", "over_field_name": "o"},
            {**XBY, "partition_field_name": "p"},
            analysis={
                "latency": "10m",
                PRUNE: "1h",
                "multivariate_by_fields": False,
                CATEGORY: "m",
                "categorization_filters": [r"\d+"],
                "per_partition_categorization": {"enabled": True, "stop_on_warn": True},
            },
            groups=["g"],
            custom_settings={},
            analysis_limits={"model_memory_limit": "64mb", "categorization_examples_limit": 5},
            model_plot_config={"enabled": True, "terms": "a", "annotations_enabled": True},
            renormalization_window_days=7,
            allow_lazy_open=True,
            results_index_name="mine",
            results_retention_days=30,
            background_persist_interval="2h",
            **{RETENTION: 9, DAILY: 2},
        )
    )
    config.require_supported()


def test_a_datafeed_is_kept_with_a_warning():
    """A job that elsewhere had its records fetched runs; that it has to be sent them is said."""
    config = JobConfig.parse(job(datafeed_config={"indices": ["logs"]}))
    config.require_supported()
    assert config.to_dict()["datafeed_config"] == {"indices": ["logs"]}
    assert config.warnings == (
        "datafeed_config is kept, but no data is fetched: post the records to the job",
    )


def test_a_completed_configuration_is_supported():
    """The defaults that a completed configuration shows are not refused when it is read again."""
    JobConfig.parse(JobConfig.parse(job()).to_dict()).require_supported()


REAL = {
    "Anomaly_Detection__decreased_throughput_nodejs": set(),
    "dns_data_exfiltration__job": set(),
    "security_linux__v2_rare_process_by_host_linux_ecs": set(),
    "service_response_change__job": set(),
    "siem_winlogbeat__windows_anomalous_script": set(),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_configurations_parse(name):
    """Published configurations parse, come back from their completed form, and say what is missing."""
    config = JobConfig.parse(JOBS / f"{name}.json")
    assert JobConfig.parse(config.to_dict()) == config
    assert {path for path, _ in config.unsupported()} == REAL[name]
