"""Where a record has its time, and how that is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .section import Section

__all__ = ["DataDescription", "read_data_description"]

EPOCH_FORMATS = ("epoch", "epoch_ms")

# "delimited" is what job files from before 2018 still say; such data reaches the job as records all the same.
_FORMATS = ("xcontent", "delimited")


@dataclass(frozen=True, slots=True)
class DataDescription:
    """The time field of the records and its format.

    ``time_format`` is ``epoch`` (seconds), ``epoch_ms``, or a pattern such as ``yyyy-MM-dd HH:mm:ssX``.
    """

    time_field: str = "time"
    time_format: str = "epoch_ms"

    def to_dict(self) -> dict[str, Any]:
        """The data description as the JSON API shows it."""
        return {"time_field": self.time_field, "time_format": self.time_format}


def read_data_description(section: Section) -> DataDescription:
    """Reads the data description, which a job must have."""
    default = DataDescription()
    section.ignore("field_delimiter", "quote_character")
    data_format = section.text("format")
    if data_format is not None and data_format.lower() not in _FORMATS:
        section.problem("format", "[data_description] failed to parse field [format]")
    time_field = section.text("time_field")
    if time_field == "":
        section.problem("time_field", "time_field must not be empty")
    time_format = section.text("time_format")
    if time_format is not None:
        _check_time_format(section, time_format)
    section.finish()
    return DataDescription(
        default.time_field if time_field is None else time_field,
        default.time_format if time_format is None else time_format,
    )


def _check_time_format(section: Section, time_format: str) -> None:
    if time_format in EPOCH_FORMATS:
        return
    # Few configurations need patterns, and reading one should not wait for what compiles them.
    from ..timepattern import compile_pattern

    try:
        compile_pattern(time_format)
    except ValueError as error:
        section.problem("time_format", f"Invalid Time format string '{time_format}': {error}")
