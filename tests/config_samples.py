"""Configurations that the tests of the configuration share, right ones and what is wrong with others."""

from __future__ import annotations

import pytest

from tidegate.config import JobConfig
from tidegate.errors import ConfigError

AC = "analysis_config"
D0 = "analysis_config.detectors[0]"
MEAN = {"function": "mean", "field_name": "x"}


CONDITION = {"applies_to": "actual", "operator": "gt", "value": 1}
PRUNE = "model_prune_window"
CATEGORY = "categorization_field_name"
DAILY, RETENTION = "daily_model_snapshot_retention_after_days", "model_snapshot_retention_days"
XBY = {"function": "count", "by_field_name": "mlcategory"}


def job(*detectors, analysis=None, data=None, **top):
    """A valid configuration with the given detectors, parts of the analysis and top-level keys."""
    return {
        "job_id": "j",
        AC: {"bucket_span": "5m", "detectors": list(detectors or [MEAN]), **(analysis or {})},
        "data_description": {"time_field": "at", **(data or {})},
        **top,
    }


def problems_of(source, **options):
    """The problems of a configuration, as a dict of lists by path."""
    with pytest.raises(ConfigError) as caught:
        JobConfig.parse(source, **options)
    found = {}
    for path, message in caught.value.problems:
        found.setdefault(path, []).append(message)
    return found


def rule_job(rule, **detector):
    """A configuration with one custom rule on a detector."""
    return job({**MEAN, **detector, "custom_rules": [rule]})


FULL = job(
    {
        "function": "AVG".lower(),
        "field_name": "responsetime",
        "by_field_name": "airline",
        "over_field_name": "host",
        "partition_field_name": "site",
        "use_null": "true",
        "exclude_frequent": "ALL",
        "custom_rules": [
            {
                "actions": ["skip_result", "force_time_shift"],
                "params": {"force_time_shift": {"time_shift_amount": 3600}},
                "scope": {"airline": {"filter_id": "safe", "filter_type": "exclude"}},
                "conditions": [CONDITION, {"applies_to": "time", "operator": "LTE", "value": 2.5}],
            }
        ],
    },
    {
        "function": "rare",
        "by_field_name": "mlcategory",
        "partition_field_name": "site",
        "detector_description": "new messages",
    },
    {"function": "dc", "field_name": "user.name", "detector_rules": []},
    analysis={
        "bucket_span": 600,
        "latency": "15m",
        "influencers": ["airline", "user.name", ""],
        "summary_count_field_name": "n",
        CATEGORY: "message",
        "categorization_filters": ["a.*"],
        "per_partition_categorization": {"enabled": True},
        "multivariate_by_fields": True,
        "use_per_partition_normalization": False,
        PRUNE: "20m",
    },
    data={
        "format": "delimited",
        "field_delimiter": "\t",
        "quote_character": '"',
        "time_format": "yyyy-MM-dd",
    },
    groups=["g1", "g2"],
    description="all of it",
    analysis_limits={"model_memory_limit": "1.5gb", "categorization_examples_limit": "0"},
    model_plot_config={"enabled": True, "terms": "AAL,UAL"},
    renormalization_window_days="40",
    background_persist_interval="2h",
    results_retention_days=90.0,
    custom_settings={"any": ["thing", {"deep": None}]},
    results_index_name="mine",
    allow_lazy_open=True,
    datafeed_config={"indices": ["a"]},
    job_type="anomaly_detector",
    **{RETENTION: 5, DAILY: 2},
)
