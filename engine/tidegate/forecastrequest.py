"""What a forecast is asked for, and which detectors have one; imports nothing that takes time."""

from __future__ import annotations

from dataclasses import dataclass

from .config import Detector, JobConfig, parse_memory_bytes
from .config.spans import DAY_MS, Span, parse_span
from .errors import RequestError

LONGEST_DAYS = 3650
_MOST_MEMORY = 500 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What a forecast is asked for."""

    duration_ms: int
    expires_in_ms: int
    """0: never."""

    @classmethod
    def of(
        cls,
        bucket_span: Span,
        duration: str | int,
        expires_in: str | int,
        max_model_memory: str | int | None = None,
    ) -> Request:
        """The arguments of a call, checked; RequestError for the first one that is wrong.

        >>> Request.of(parse_span("1h"), "1d", "14d").duration_ms // 3_600_000
        24
        """
        wanted, kept = _span("duration", duration), _span("expires_in", expires_in)
        if wanted.nanos <= 0:
            raise RequestError(f"[duration] must be positive: [{wanted}]")
        if wanted.nanos > LONGEST_DAYS * DAY_MS * 1_000_000:
            raise RequestError(f"[duration] must be {LONGEST_DAYS}d or less: [{wanted}]")
        if kept.nanos < 0:
            raise RequestError(f"[expires_in] must be non-negative: [{str(expires_in).strip()}]")
        if wanted.nanos < bucket_span.nanos:
            raise RequestError(
                f"[duration] must be greater or equal to the bucket span: [{wanted}/{bucket_span}]"
            )
        _check_memory(max_model_memory)
        return cls(wanted.ms, kept.ms)


def _span(name: str, value: str | int) -> Span:
    try:
        return parse_span(value)
    except ValueError as error:
        raise RequestError(f"[{name}] {error}: [{value}]") from None


def _check_memory(value: str | int | None) -> None:
    """The models are read where they are, so that a limit for copies of them is only checked."""
    if value is None:
        return
    try:
        size = parse_memory_bytes(value)
    except ValueError as error:
        raise RequestError(f"[max_model_memory] {error}: [{value}]") from None
    if size >= _MOST_MEMORY:
        raise RequestError("[max_model_memory] must be less than 500mb")


def require_forecastable(config: JobConfig) -> None:
    """Raises RequestError for a job none of whose detectors can be forecast."""
    reasons = [(detector, why_not(detector)) for detector in config.analysis_config.detectors]
    if all(reason is not None for _, reason in reasons):
        listed = "; ".join(
            f"detectors[{detector.detector_index}] '{detector.detector_description}': {reason}"
            for detector, reason in reasons
        )
        raise RequestError(f"Cannot run forecast: no detector of the job can be forecast: {listed}")


def why_not(detector: Detector) -> str | None:
    """Why a detector cannot be forecast; None if it can."""
    if detector.over_field_name is not None:
        return "population analysis"
    return None if detector.spec.has_forecast else f"function {detector.spec.name}"
