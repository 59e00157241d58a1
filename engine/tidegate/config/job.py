"""The configuration of a job: the one entry to reading, completing and judging it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError, NotSupportedError
from .analysis import AnalysisConfig, read_analysis
from .data_description import DataDescription, read_data_description
from .filters import Filter
from .limits import AnalysisLimits, read_limits
from .model_plot import ModelPlotConfig, read_model_plot
from .names import ID_RULE, MAX_ID_LENGTH, is_valid_id
from .section import Problems, Section
from .source import Source, load_object, unwrap_job
from .spans import Span
from .support import unsupported_settings

__all__ = ["JobConfig"]

DEFAULT_JOB_ID = "job"
DEFAULT_RESULTS_INDEX = "shared"
_CUSTOM_INDEX = "custom-"
_JOB_TYPE = "anomaly_detector"
_LEAST_PERSIST_INTERVAL_S = 3600
GENERATED = (
    "job_version",
    "create_time",
    "finished_time",
    "model_snapshot_id",
    "model_snapshot_min_version",
    "deleting",
    "blocked",
)
"""What a store adds to a configuration that it shows."""


@dataclass(frozen=True, slots=True, repr=False)
class JobConfig:
    """A valid job configuration; made by `JobConfig.parse`.

    >>> config = JobConfig.parse({
    ...     "job_id": "flights",
    ...     "analysis_config": {
    ...         "bucket_span": "10m",
    ...         "detectors": [{"function": "avg", "field_name": "delay"}],
    ...     },
    ...     "data_description": {"time_field": "at"},
    ... })
    >>> config
    JobConfig('flights': mean(delay) in buckets of 10m; time in 'at' as epoch_ms)
    >>> config.analysis_config.detectors[0].spec.name, config.analysis_config.bucket_span_ms
    ('mean', 600000)
    """

    job_id: str
    analysis_config: AnalysisConfig
    data_description: DataDescription
    analysis_limits: AnalysisLimits = field(default_factory=AnalysisLimits)
    groups: tuple[str, ...] = ()
    description: str | None = None
    model_plot_config: ModelPlotConfig | None = None
    renormalization_window_days: int | None = None
    background_persist_interval: Span | None = None
    model_snapshot_retention_days: int = 10
    daily_model_snapshot_retention_after_days: int = 1
    results_retention_days: int | None = None
    custom_settings: dict[str, Any] | None = field(default=None, hash=False)
    results_index_name: str = DEFAULT_RESULTS_INDEX
    allow_lazy_open: bool = False
    datafeed_config: dict[str, Any] | None = field(default=None, hash=False)

    @classmethod
    def parse(
        cls, source: Source, *, job_id: str | None = None, max_model_memory_limit: str | None = None
    ) -> JobConfig:
        """Reads and completes a configuration from a dict, JSON text, or the path of a JSON file.

        ``job_id`` is the id the job must have, if it is known from elsewhere; without any the job is
        called ``job``. ``max_model_memory_limit`` (``"9gb"``) is the most its models may be granted.

        Raises ConfigError with all problems at once.
        """
        problems = Problems()
        values = unwrap_job(load_object(source))
        config = _read_job(Section(values, "", problems), job_id, max_model_memory_limit)
        problems.raise_if_any()
        assert config is not None  # what could not be made is a problem
        return config

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but unwise."""
        warnings = [self.analysis_config.warning()]
        if self.datafeed_config is not None:
            warnings.append("datafeed_config is kept, but no data is fetched: post the records to the job")
        return tuple(warning for warning in warnings if warning is not None)

    def unsupported(self) -> tuple[tuple[str, str], ...]:
        """The (path, message) of everything that is set but not executed by the engine yet."""
        return tuple(unsupported_settings(self))

    def require_supported(self) -> None:
        """Raises NotSupportedError with everything `unsupported` lists, if there is anything."""
        if unsupported := self.unsupported():
            raise NotSupportedError(unsupported)

    def require_filters(self, filters: Iterable[Filter]) -> None:
        """Raises ConfigError for every scope of a custom rule that names none of the filters."""
        known = {one.filter_id for one in filters}
        problems = [
            (f"{path}.scope.{entry.field}.filter_id", f"No filter with id [{entry.filter_id}] exists")
            for detector in self.analysis_config.detectors
            for path, rule in detector.rule_paths()
            for entry in rule.scope
            if entry.filter_id not in known
        ]
        if problems:
            raise ConfigError(problems)

    def to_dict(self) -> dict[str, Any]:
        """The completed configuration as the JSON API shows it; parsing it gives an equal one."""
        optional: dict[str, Any] = {
            "groups": list(self.groups) or None,
            "description": self.description,
            "model_plot_config": self.model_plot_config and self.model_plot_config.to_dict(),
            "renormalization_window_days": self.renormalization_window_days,
            "background_persist_interval": self.background_persist_interval
            and self.background_persist_interval.text,
            "results_retention_days": self.results_retention_days,
            "custom_settings": self.custom_settings,
            "datafeed_config": self.datafeed_config,
        }
        shown = {
            "job_id": self.job_id,
            "job_type": _JOB_TYPE,
            **{key: value for key, value in optional.items() if value is not None},
            "analysis_config": self.analysis_config.to_dict(),
            "analysis_limits": self.analysis_limits.to_dict(),
            "data_description": self.data_description.to_dict(),
            "model_snapshot_retention_days": self.model_snapshot_retention_days,
            "daily_model_snapshot_retention_after_days": self.daily_model_snapshot_retention_after_days,
            "results_index_name": self.results_index_name,
            "allow_lazy_open": self.allow_lazy_open,
        }
        return copy.deepcopy(shown)

    def __repr__(self) -> str:
        detectors = ", ".join(detector.detector_description for detector in self.analysis_config.detectors)
        time = f"time in '{self.data_description.time_field}' as {self.data_description.time_format}"
        span = self.analysis_config.bucket_span
        return f"JobConfig('{self.job_id}': {detectors} in buckets of {span}; {time})"


def _read_job(section: Section, job_id: str | None, max_memory: str | None) -> JobConfig | None:
    """Reads the job; None, with the problems noted, if a part it must have cannot be made."""
    _check_generated(section)
    name = _read_job_id(section, job_id)
    analysis = _read_required(section, "analysis_config", "An analysis_config must be set")
    data = _read_required(section, "data_description", "A data_description must be set")
    analysis_config = None if analysis is None else read_analysis(analysis)
    data_description = None if data is None else read_data_description(data)
    if analysis_config is not None and data_description is not None:
        _check_time_field(section, analysis_config, data_description)
    plot = section.section("model_plot_config")
    options: dict[str, Any] = {
        "analysis_limits": read_limits(section.section("analysis_limits"), max_memory),
        "groups": _read_groups(section, name),
        "description": section.text("description"),
        "model_plot_config": None if plot is None else read_model_plot(plot),
        "background_persist_interval": _read_persist_interval(section),
        "custom_settings": section.json_object("custom_settings"),
        "results_index_name": _read_results_index(section),
        "allow_lazy_open": section.flag("allow_lazy_open"),
        "datafeed_config": section.json_object("datafeed_config"),
        **_read_days(section),
    }
    section.finish()
    if analysis_config is None or data_description is None:
        return None
    return JobConfig(name, analysis_config, data_description, **options)


def _read_required(section: Section, key: str, message: str) -> Section | None:
    if not section.has(key):
        section.problem(key, message)
    return section.section(key)


def _check_generated(section: Section) -> None:
    section.ignore(*GENERATED)
    given = [key for key in GENERATED if section.values.get(key) is not None]
    if given:
        message = (
            f"The job is configured with fields [{', '.join(given)}] that are illegal to set at job creation"
        )
        section.problems.add("", message)
    job_type = section.text("job_type")
    if job_type not in (None, _JOB_TYPE):
        section.problem("job_type", f"job_type must be '{_JOB_TYPE}', not '{job_type}'")


def _read_job_id(section: Section, expected: str | None) -> str:
    given = section.text("job_id")
    if given is not None and expected is not None and given != expected:
        message = f"Inconsistent job_id; '{given}' specified in the body differs from '{expected}' "
        section.problem("job_id", message + "specified as a URL argument")
    name = expected if expected is not None else given
    if name is None:
        return DEFAULT_JOB_ID
    if not is_valid_id(name):
        section.problem("job_id", f"Invalid job_id; '{name}' {ID_RULE}")
    if len(name) > MAX_ID_LENGTH:
        section.problem("job_id", f"The job id cannot contain more than {MAX_ID_LENGTH} characters.")
    return name


def _read_groups(section: Section, job_id: str) -> tuple[str, ...]:
    groups = section.texts("groups")
    for i, group in enumerate(groups):
        if not is_valid_id(group):
            rule = f"must be non-empty string and may contain {ID_RULE.removeprefix('can contain ')}"
            section.problem(f"groups[{i}]", f"Invalid group id '{group}'; {rule}")
        elif group == job_id:
            section.problem(
                f"groups[{i}]",
                f"job and group names must be unique but job [{job_id}] and group [{group}] "
                "have the same name",
            )
    return groups


def _check_time_field(section: Section, analysis: AnalysisConfig, data: DataDescription) -> None:
    if data.time_field in analysis.analysed_fields():
        section.problem(
            "data_description.time_field",
            "data_description.time_field may not be used in the analysis_config",
        )


def _read_persist_interval(section: Section) -> Span | None:
    key = "background_persist_interval"
    interval = section.span(key)
    if interval is not None and interval.seconds < _LEAST_PERSIST_INTERVAL_S:
        section.problem(key, f"{key} cannot be less than 3,600. Value = {interval.seconds}")
    return interval


def _read_results_index(section: Section) -> str:
    name = section.text("results_index_name")
    if name is None or name == DEFAULT_RESULTS_INDEX:
        return DEFAULT_RESULTS_INDEX
    if not is_valid_id(name):
        section.problem("results_index_name", f"Invalid results_index_name; '{name}' {ID_RULE}")
    return name if name.startswith(_CUSTOM_INDEX) else _CUSTOM_INDEX + name


def _read_days(section: Section) -> dict[str, int | None]:
    """The settings that count days; daily snapshots are kept no longer than any snapshot."""
    retention_key, daily_key = "model_snapshot_retention_days", "daily_model_snapshot_retention_after_days"
    retention = section.integer(retention_key, minimum=0)
    retention = 10 if retention is None else retention
    daily = section.integer(daily_key, minimum=0)
    daily = min(1, retention) if daily is None else daily
    if daily > retention:
        section.problem(
            daily_key,
            f"The value of {daily_key} [{daily}] cannot be greater than {retention_key} [{retention}]",
        )
    return {
        retention_key: retention,
        daily_key: daily,
        "renormalization_window_days": section.integer("renormalization_window_days", minimum=0),
        "results_retention_days": section.integer("results_retention_days", minimum=0),
    }
