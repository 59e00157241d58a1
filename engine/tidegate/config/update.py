"""Changes of a job's configuration: what can be changed, and the whole that comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import StateError
from .detector import Detector
from .job import JobConfig
from .section import Problems, Section
from .source import Source, load_object

__all__ = ["updated"]

_AT_THE_TOP = (
    "groups",
    "description",
    "analysis_limits",
    "model_plot_config",
    "renormalization_window_days",
    "background_persist_interval",
    "model_snapshot_retention_days",
    "daily_model_snapshot_retention_after_days",
    "results_retention_days",
    "custom_settings",
    "allow_lazy_open",
)
_IN_THE_ANALYSIS = ("categorization_filters", "per_partition_categorization", "model_prune_window")
_FOR_EVER = (
    "job_id",
    "job_type",
    "analysis_config",
    "data_description",
    "results_index_name",
    "datafeed_config",
)
_OF_A_DETECTOR = ("description", "custom_rules")


def updated(config: JobConfig, changes: Source, *, is_open: bool) -> JobConfig:
    """The configuration with some settings changed; null changes nothing.

    Raises ConfigError with all problems, StateError for what an open job does not let change.

    >>> from tidegate.config import JobConfig
    >>> config = JobConfig.parse({
    ...     "analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {},
    ... })
    >>> updated(config, {"description": "all of it"}, is_open=True).description
    'all of it'
    """
    problems = Problems()
    given = Section(load_object(changes), "", problems)
    given.ignore(*_FOR_EVER)
    for key in _FOR_EVER:
        if given.values.get(key) is not None:
            can = ", ".join((*_AT_THE_TOP, "detectors", *_IN_THE_ANALYSIS))
            problems.add(key, f"{key} cannot be changed once there is the job; what can be is {can}")
    whole = config.to_dict()
    for keys, into in ((_AT_THE_TOP, whole), (_IN_THE_ANALYSIS, whole["analysis_config"])):
        for key in keys:
            value = given.json_value(key)
            if value is not None:
                into[key] = value
    _change_detectors(given, config.analysis_config.detectors, whole["analysis_config"]["detectors"])
    given.finish()
    problems.raise_if_any()
    if is_open and given.values.get("analysis_limits") is not None:
        raise StateError("Cannot update analysis_limits while the job is open")
    limits = whole["analysis_limits"]
    if isinstance(limits, Mapping):
        whole["analysis_limits"] = {**config.analysis_limits.to_dict(), **limits}
    return JobConfig.parse(whole)


def _change_detectors(given: Section, known: tuple[Detector, ...], shown: list[dict[str, Any]]) -> None:
    """Puts descriptions and rules into the detectors that they are meant for."""
    for part in given.sections("detectors"):
        if part is None:
            continue
        part.require("detector_index")
        index = part.integer("detector_index", minimum=0)
        changes = {key: part.json_value(key) for key in _OF_A_DETECTOR}
        part.finish()
        if index is not None and index >= len(known):
            part.problem(
                "detector_index",
                f"Supplied detector_index [{index}] is >= the number of detectors [{len(known)}]",
            )
        elif index is not None:
            names = {"description": "detector_description", "custom_rules": "custom_rules"}
            shown[index].update({names[key]: value for key, value in changes.items() if value is not None})
