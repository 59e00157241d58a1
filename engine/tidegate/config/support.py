"""What a valid configuration asks for that the engine does not do yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .analysis import AnalysisConfig
from .detector import Detector

if TYPE_CHECKING:
    from .job import JobConfig

__all__ = ["unsupported_settings"]


def unsupported_settings(config: JobConfig) -> Iterator[tuple[str, str]]:
    """Yields (path, message) for every setting that is not executed; each message names its value."""
    for path, what in _settings(config):
        yield path, f"{what} is not supported yet"


def _settings(config: JobConfig) -> Iterator[tuple[str, str]]:
    for detector in config.analysis_config.detectors:
        path = f"analysis_config.detectors[{detector.detector_index}]"
        yield from ((f"{path}.{key}", what) for key, what in _of_detector(detector))
    for key, what in _of_analysis(config.analysis_config):
        yield f"analysis_config.{key}", what
    if config.results_retention_days is not None:
        yield "results_retention_days", f"results_retention_days {config.results_retention_days}"
    yield from _of_storage(config)


def _of_storage(config: JobConfig) -> Iterator[tuple[str, str]]:
    """What is kept, where and for how long, set to something else than the default."""
    # allow_lazy_open lets a job wait for a node to run on; here there is always one, so it is harmless.
    default: dict[str, Any] = {field.name: field.default for field in fields(config)}
    retention, daily = "model_snapshot_retention_days", "daily_model_snapshot_retention_after_days"
    default[daily] = min(default[daily], getattr(config, retention))
    for key in ("background_persist_interval", retention, daily, "results_index_name"):
        value = getattr(config, key)
        if value != default[key]:
            yield key, f"{key} {value}" if isinstance(value, int) else f"{key} '{value}'"


def _of_detector(detector: Detector) -> Iterator[tuple[str, str]]:
    for k, rule in enumerate(detector.custom_rules):
        if rule.shifts_time and rule.compares_values:
            yield f"custom_rules[{k}]", "force_time_shift in a rule with conditions on values"


def _of_analysis(analysis: AnalysisConfig) -> Iterator[tuple[str, str]]:
    if analysis.summary_count_field_name is not None:
        for detector in analysis.detectors:
            if detector.spec.family == "median":
                what = f"function '{detector.function}' of data that is summarised already"
                yield f"detectors[{detector.detector_index}].function", what
    if analysis.multivariate_by_fields:
        what = (
            "multivariate_by_fields 'true' (a common model of correlated by values: every value has a model "
            "of its own here; leave it out, and where a relation matters post the ratio or the difference of "
            "the two as a field of its own)"
        )
        yield "multivariate_by_fields", what
    if analysis.use_per_partition_normalization:
        yield "use_per_partition_normalization", "use_per_partition_normalization 'true'"
