"""What a job analyses: its buckets, its detectors, and the fields they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..patterns import pattern_problem
from .analyzer import Analyzer, AnalyzerError
from .detector import Detector, read_detector
from .section import Section
from .spans import DAY_MS, Span

__all__ = ["MLCATEGORY", "AnalysisConfig", "PerPartitionCategorization", "read_analysis"]

MLCATEGORY = "mlcategory"
"""The field that categorization makes; it is used like a field of the records, but never read from them."""

DEFAULT_BUCKET_SPAN = Span("5m", 300_000_000_000)
_DEFAULT_PRUNE_DAYS = 30
_DEFAULT_PRUNE_BUCKETS = 20
# No job means ten years; the limit keeps every window that is derived from the bucket span in 64 bits.
_LONGEST_BUCKET_DAYS = 3650


@dataclass(frozen=True, slots=True)
class PerPartitionCategorization:
    """Whether every partition has categories of its own, and stops making them when they are useless."""

    enabled: bool = False
    stop_on_warn: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The setting as the JSON API shows it."""
        return {"enabled": self.enabled, "stop_on_warn": self.stop_on_warn}


@dataclass(frozen=True, slots=True, repr=False)
class AnalysisConfig:
    """The heart of a job configuration.

    >>> AnalysisConfig((Detector("mean", "responsetime", "airline"),))
    AnalysisConfig('5m', mean(responsetime) by airline)
    """

    detectors: tuple[Detector, ...]
    bucket_span: Span = DEFAULT_BUCKET_SPAN
    latency: Span | None = None
    model_prune_window: Span | None = None
    """How long a series may be silent before its model is dropped; None stands for the default."""
    influencers: tuple[str, ...] = ()
    summary_count_field_name: str | None = None
    categorization_field_name: str | None = None
    categorization_filters: tuple[str, ...] = ()
    categorization_analyzer: str | dict[str, Any] | None = field(default=None, hash=False)
    per_partition_categorization: PerPartitionCategorization | None = None
    multivariate_by_fields: bool = False
    use_per_partition_normalization: bool = False
    """A setting of old configurations; kept so that it can be refused when it is on."""

    def __post_init__(self) -> None:
        if self.model_prune_window is None:
            object.__setattr__(self, "model_prune_window", default_prune_window(self.bucket_span))

    @property
    def bucket_span_ms(self) -> int:
        """The length of a bucket."""
        return self.bucket_span.ms

    @property
    def latency_ms(self) -> int:
        """How late a record may come, as configured; see ``latency_buckets`` for how it works."""
        return 0 if self.latency is None else self.latency.ms

    @property
    def latency_buckets(self) -> int:
        """The latency in buckets, rounded up: so many full buckets stay open behind the newest.

        >>> AnalysisConfig((), latency=Span("7m", 420_000_000_000)).latency_buckets
        2
        """
        return -(-self.latency_ms // self.bucket_span_ms)

    @property
    def model_prune_window_ms(self) -> int:
        """How long a series may be silent before its model is dropped."""
        assert self.model_prune_window is not None  # set in __post_init__
        return self.model_prune_window.ms

    def analysed_fields(self) -> tuple[str, ...]:
        """Every field of a record that is read, once each, in order of appearance.

        Detectors come first, then influencers, the summary count and the categorization field.
        """
        names: list[str | None] = [name for detector in self.detectors for name in detector.fields]
        names += [*self.influencers, self.summary_count_field_name, self.categorization_field_name]
        return tuple(dict.fromkeys(name for name in names if name is not None and name != MLCATEGORY))

    def analyzer(self) -> Analyzer:
        """How the messages to categorise are read."""
        if self.categorization_analyzer is not None:
            return Analyzer.parse(self.categorization_analyzer)
        return Analyzer.filtering(self.categorization_filters)

    @property
    def category_partition(self) -> str | None:
        """The partition field whose every value has categories of its own; None for one set of all."""
        per_partition = self.per_partition_categorization
        if per_partition is None or not per_partition.enabled:
            return None
        fields = (d.partition_field_name for d in self.detectors if MLCATEGORY in d.split_fields)
        return next((name for name in fields if name is not None), None)

    def warning(self) -> str | None:
        """What is allowed but unwise about the bucket span, None if nothing is."""
        seconds = self.bucket_span.seconds
        if (DAY_MS // 1000) % seconds == 0:
            return None
        return (
            f"bucket_span {self.bucket_span} [{seconds}s] is not an integral divisor of the number of "
            f"seconds in 1d [{DAY_MS // 1000}s]. This is now deprecated."
        )

    def to_dict(self) -> dict[str, Any]:
        """The completed analysis configuration as the JSON API shows it."""
        optional: dict[str, Any] = {
            "latency": self.latency and self.latency.text,
            "summary_count_field_name": self.summary_count_field_name,
            "categorization_field_name": self.categorization_field_name,
            "categorization_filters": list(self.categorization_filters),
            "categorization_analyzer": self.categorization_analyzer,
            "per_partition_categorization": self.per_partition_categorization
            and self.per_partition_categorization.to_dict(),
            "multivariate_by_fields": self.multivariate_by_fields,
            "use_per_partition_normalization": self.use_per_partition_normalization,
        }
        return {
            "bucket_span": self.bucket_span.text,
            **{key: value for key, value in optional.items() if value},
            "detectors": [detector.to_dict() for detector in self.detectors],
            "influencers": list(self.influencers),
            "model_prune_window": str(self.model_prune_window),
        }

    def __repr__(self) -> str:
        parts = [repr(self.bucket_span.text), *(detector.detector_description for detector in self.detectors)]
        if self.latency_ms:
            parts.append(f"latency={self.latency}")
        if self.influencers:
            parts.append(f"influencers={', '.join(self.influencers)}")
        return f"AnalysisConfig({', '.join(parts)})"


def default_prune_window(bucket_span: Span) -> Span:
    """The larger of 30 days and 20 buckets, in whole buckets.

    >>> default_prune_window(Span.of_ms(3_600_000)).text, default_prune_window(Span.of_ms(2 * DAY_MS)).text
    ('30d', '40d')
    """
    span_ms = bucket_span.ms
    buckets = max(-(-_DEFAULT_PRUNE_DAYS * DAY_MS // span_ms), _DEFAULT_PRUNE_BUCKETS)
    return Span.of_ms(buckets * span_ms)


def read_analysis(section: Section) -> AnalysisConfig:
    """Reads the analysis configuration; what cannot be read is left out or the default, its problem noted."""
    bucket_span = _read_bucket_span(section)
    detectors = _read_detectors(section)
    config = AnalysisConfig(
        tuple(detector for detector in detectors if detector is not None),
        bucket_span or DEFAULT_BUCKET_SPAN,
        latency=_read_latency(section),
        model_prune_window=_read_prune_window(section, bucket_span),
        influencers=tuple(name for name in section.texts("influencers") if name),
        summary_count_field_name=section.name("summary_count_field_name"),
        categorization_field_name=section.name("categorization_field_name"),
        categorization_filters=section.texts("categorization_filters"),
        categorization_analyzer=_read_analyzer(section),
        per_partition_categorization=_read_per_partition(section),
        multivariate_by_fields=section.flag("multivariate_by_fields"),
        use_per_partition_normalization=section.flag("use_per_partition_normalization"),
    )
    _check_duplicates(section, detectors)
    _check_summary(section, config)
    _check_categorization(section, config, all_detectors_known=None not in detectors)
    _check_reading(section, config)
    _check_category_partition(section, config)
    _check_nested_fields(section, config)
    section.finish()
    return config


def _read_bucket_span(section: Section) -> Span | None:
    """The bucket span; None if it is wrong, the default if it is absent."""
    if not section.has("bucket_span"):
        return DEFAULT_BUCKET_SPAN
    span = section.span("bucket_span")
    if span is not None and span.nanos <= 0:
        section.problem("bucket_span", f"bucket_span cannot be less or equal than 0. Value = {span.seconds}")
        return None
    if span is not None and span.ms > _LONGEST_BUCKET_DAYS * DAY_MS:
        section.problem("bucket_span", f"bucket_span cannot be longer than {_LONGEST_BUCKET_DAYS}d")
        return None
    return span


def _read_latency(section: Section) -> Span | None:
    span = section.span("latency")
    if span is not None and span.nanos < 0:
        section.problem("latency", f"latency cannot be less than 0. Value = {span.seconds}")
        return None
    return span


def _read_prune_window(section: Section, bucket_span: Span | None) -> Span | None:
    key = "model_prune_window"
    window = section.span(key)
    if window is None or bucket_span is None:
        return window
    if window.nanos % bucket_span.nanos != 0:
        section.problem(key, f"{key} [{window}] must be a multiple of bucket_span [{bucket_span}]")
    if window.nanos < 2 * bucket_span.nanos:
        section.problem(
            key, f"{key} [{window}] must be at least 2 times greater than bucket_span [{bucket_span}]"
        )
    return window


def _read_detectors(section: Section) -> list[Detector | None]:
    sections = section.sections("detectors")
    if not sections and not section.values.get("detectors"):
        section.problem("detectors", "No detectors configured")
    return [None if part is None else read_detector(part, i) for i, part in enumerate(sections)]


def _read_analyzer(section: Section) -> str | dict[str, Any] | None:
    key = "categorization_analyzer"
    is_named = isinstance(section.values.get(key), str)
    return (section.text(key) if is_named else section.json_object(key)) or None


def _read_per_partition(section: Section) -> PerPartitionCategorization | None:
    inner = section.section("per_partition_categorization")
    if inner is None:
        return None
    setting = PerPartitionCategorization(inner.flag("enabled"), inner.flag("stop_on_warn"))
    inner.finish()
    return setting


def _check_duplicates(section: Section, detectors: Sequence[Detector | None]) -> None:
    seen = set()
    for i, detector in enumerate(detectors):
        if detector is None:
            continue
        # Everything the API shows except the index tells detectors apart, their description included.
        shown = repr(detector.to_dict() | {"detector_index": 0})
        if shown in seen:
            message = f"Duplicate detectors are not allowed: [{detector.detector_description}]"
            section.problem(f"detectors[{i}]", message)
        seen.add(shown)


def _check_summary(section: Section, config: AnalysisConfig) -> None:
    if config.summary_count_field_name is None:
        return
    for detector in config.detectors:
        if detector.function == "metric":
            section.problem(
                f"detectors[{detector.detector_index}].function",
                "The 'metric' function cannot be used in jobs that will take pre-summarized input",
            )


def _check_categorization(section: Section, config: AnalysisConfig, all_detectors_known: bool) -> None:
    key = "categorization_field_name"
    used = any(MLCATEGORY in detector.split_fields for detector in config.detectors)
    if used and not section.values.get(key):
        section.problem(key, f"{key} must be set for mlcategory to be available")
    if config.categorization_field_name is not None and not used and all_detectors_known:
        section.problem(
            key, f"{key} is set but mlcategory is not used in any detector by/over/partition field"
        )
    if config.categorization_filters and config.categorization_analyzer is not None:
        section.problem(
            "categorization_filters",
            "categorization_filters cannot be used with categorization_analyzer - instead specify them as "
            "pattern_replace char_filters in the analyzer",
        )


def _check_reading(section: Section, config: AnalysisConfig) -> None:
    """Patterns and analyzers are such as can be followed."""
    for i, pattern in enumerate(config.categorization_filters):
        if problem := pattern_problem(pattern):
            section.problem(f"categorization_filters[{i}]", problem)
    if config.categorization_analyzer is not None:
        try:
            Analyzer.parse(config.categorization_analyzer)
        except AnalyzerError as error:
            for path, message in error.problems:
                section.problem("categorization_analyzer" + (f".{path}" if path else ""), message)


def _check_category_partition(section: Section, config: AnalysisConfig) -> None:
    """With categories of its own for every partition, it is clear which field makes the partitions."""
    partition = config.category_partition
    if config.per_partition_categorization is None or not config.per_partition_categorization.enabled:
        return
    for detector in (d for d in config.detectors if MLCATEGORY in d.split_fields):
        path, own = (
            f"detectors[{detector.detector_index}].partition_field_name",
            detector.partition_field_name,
        )
        rule = "for detectors that reference mlcategory when per-partition categorization is enabled"
        if own is None:
            section.problem(path, f"partition_field_name must be set {rule}")
        elif own == MLCATEGORY:
            section.problem(path, f"partition_field_name cannot be mlcategory {rule}")
        elif own != partition:
            section.problem(
                path, f"partition_field_name must be the same {rule}: '{own}' is not '{partition}'"
            )


def _check_nested_fields(section: Section, config: AnalysisConfig) -> None:
    """A field cannot be a value and an object with values: ``a`` and ``a.b`` exclude each other."""
    fields = config.analysed_fields()
    known = set(fields)
    for name in fields:
        parts = name.split(".")
        outer = (".".join(parts[:length]) for length in range(1, len(parts)))
        for prefix in (candidate for candidate in outer if candidate in known):
            message = f"Fields [{prefix}] and [{name}] cannot both be used in the same analysis_config"
            section.problems.add(section.path, message)
