"""What a valid configuration asks for that the engine does not do yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .analysis import AnalysisConfig
from .detector import Detector
from .limits import DEFAULT_CATEGORIZATION_EXAMPLES_LIMIT

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
    for key in ("renormalization_window_days", "results_retention_days"):
        days = getattr(config, key)
        # No renormalization is what happens anyway; no retention would be a deletion.
        harmless = days == 0 and key == "renormalization_window_days"
        if days is not None and not harmless:
            yield key, f"{key} {days}"
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
    examples = config.analysis_limits.categorization_examples_limit
    if examples != DEFAULT_CATEGORIZATION_EXAMPLES_LIMIT:
        key = "categorization_examples_limit"
        yield f"analysis_limits.{key}", f"{key} {examples}"


def _of_detector(detector: Detector) -> Iterator[tuple[str, str]]:
    if not detector.spec.executed:
        yield "function", f"function '{detector.function}'"
    if detector.exclude_frequent != "none":
        yield "exclude_frequent", f"exclude_frequent '{detector.exclude_frequent}'"
    if detector.custom_rules:
        yield "custom_rules", f"custom_rules ({len(detector.custom_rules)} given)"


def _of_analysis(analysis: AnalysisConfig) -> Iterator[tuple[str, str]]:
    for key in ("summary_count_field_name", "categorization_field_name"):
        if getattr(analysis, key) is not None:
            yield key, f"{key} '{getattr(analysis, key)}'"
    if analysis.categorization_filters:
        yield (
            "categorization_filters",
            f"categorization_filters ({len(analysis.categorization_filters)} given)",
        )
    if analysis.categorization_analyzer is not None:
        named = isinstance(analysis.categorization_analyzer, str)
        shown = f"'{analysis.categorization_analyzer}'" if named else "with its own filters"
        yield "categorization_analyzer", f"categorization_analyzer {shown}"
    per_partition = analysis.per_partition_categorization
    if per_partition is not None and per_partition.enabled:
        yield "per_partition_categorization.enabled", "per_partition_categorization with enabled 'true'"
    for key in ("multivariate_by_fields", "use_per_partition_normalization"):
        if getattr(analysis, key):
            yield key, f"{key} 'true'"
