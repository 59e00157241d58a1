"""What a valid configuration asks for that the engine does not do yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

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
