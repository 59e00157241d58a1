"""The limits of a job, above all the memory its models may take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import RequestError
from .section import Section

__all__ = ["DEFAULT_MODEL_MEMORY_LIMIT_MB", "AnalysisLimits", "parse_memory_bytes", "read_limits"]

DEFAULT_MODEL_MEMORY_LIMIT_MB = 1024
DEFAULT_CATEGORIZATION_EXAMPLES_LIMIT = 4

_MIB = 1 << 20
_UNIT_BYTES = {"": _MIB, "b": 1} | {
    unit + suffix: 1 << (10 * power) for power, unit in enumerate("kmgtp", start=1) for suffix in ("", "b")
}
_SIZE = re.compile(r"\s*([0-9]{1,19}(?:\.[0-9]{1,19})?)\s*([a-z]{0,2})\s*", re.IGNORECASE)


def parse_memory_bytes(value: object) -> int:
    """Returns the bytes of a memory size: text with a unit, or a number of MiB.

    Raises ValueError for anything else.

    >>> parse_memory_bytes("512mb") == parse_memory_bytes(512) == 512 * 1024 * 1024
    True
    """
    expected = "must be a memory size such as '512mb', or a number of MiB"
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(expected)
    if isinstance(value, int):
        size = Fraction(value * _MIB)
    else:
        written = _SIZE.fullmatch(value)
        if written is None or written[2].lower() not in _UNIT_BYTES:
            raise ValueError(expected)
        size = Fraction(written[1]) * _UNIT_BYTES[written[2].lower()]
    if size >= 1 << 63:
        raise ValueError("must fit 63 bits of bytes")
    return int(size)


@dataclass(frozen=True, slots=True)
class AnalysisLimits:
    """What a job may use at most.

    >>> AnalysisLimits(model_memory_limit_bytes=512 << 20).model_memory_limit
    '512mb'
    """

    model_memory_limit_bytes: int = DEFAULT_MODEL_MEMORY_LIMIT_MB * _MIB
    categorization_examples_limit: int = DEFAULT_CATEGORIZATION_EXAMPLES_LIMIT

    @property
    def model_memory_limit(self) -> str:
        """The limit as text in MiB."""
        return f"{self.model_memory_limit_bytes // _MIB}mb"

    def to_dict(self) -> dict[str, Any]:
        """The limits as the JSON API shows them."""
        return {
            "model_memory_limit": self.model_memory_limit,
            "categorization_examples_limit": self.categorization_examples_limit,
        }


def read_limits(section: Section | None, max_model_memory_limit: str | None) -> AnalysisLimits:
    """Reads the limits; ``max_model_memory_limit`` is what the host of the job grants at most."""
    limit = AnalysisLimits().model_memory_limit_bytes
    if max_model_memory_limit is not None:
        limit = min(limit, _granted_bytes(max_model_memory_limit) // _MIB * _MIB)
    if section is None:
        return AnalysisLimits(limit)
    value = section.json_value("model_memory_limit")
    if value is not None:
        limit = _read_memory_limit(section, value, max_model_memory_limit) or limit
    examples = section.integer("categorization_examples_limit", minimum=0)
    section.finish()
    return AnalysisLimits(limit, DEFAULT_CATEGORIZATION_EXAMPLES_LIMIT if examples is None else examples)


def _granted_bytes(max_model_memory_limit: str) -> int:
    try:
        return parse_memory_bytes(max_model_memory_limit)
    except ValueError as error:
        raise RequestError(f"max_model_memory_limit {max_model_memory_limit!r} {error}") from None


def _read_memory_limit(section: Section, value: object, highest: str | None) -> int | None:
    key = "model_memory_limit"
    try:
        size = parse_memory_bytes(value)
    except ValueError as error:
        section.problem(key, f"{key} {error}")
        return None
    if size < _MIB:
        section.problem(key, f"{key} must be at least 1 MiB. Value = {size // _MIB}")
        return None
    if highest is not None and size > parse_memory_bytes(highest):
        section.problem(
            key,
            f"{key} [{value}] must be less than the value of the xpack.ml.max_model_memory_limit setting "
            f"[{highest}]",
        )
    # Whole MiB, so that what is shown is what is enforced.
    return size // _MIB * _MIB
