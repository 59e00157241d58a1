"""What a job is told, so that it can be written down and done again: posts, flushes, changes of settings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from .config import EventCalendar, Filter, JobConfig, read_calendars, read_filters
from .intake import Intake
from .readers import Batches

DRAINED, SKIPPED, ADVANCED = "drained", "skipped", "advanced"
"""How far a flush came that was interrupted."""


class Call(Protocol):
    """Something that a job is told."""

    @property
    def head(self) -> dict[str, Any]:
        """All of it but record batches, in values that JSON has."""

    @property
    def batches(self) -> tuple[pa.RecordBatch, ...]:
        """The record batches that belong to it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a post: batches with nothing but the fields that the job reads."""

    batches: tuple[pa.RecordBatch, ...] = ()
    input_bytes: int = 0
    malformed: int = 0
    other_fields: int = 0
    """Values of fields that the job does not read."""
    data_time: int = 0
    """When it was posted, by the wall clock; epoch milliseconds."""
    reset: tuple[int, int | None] | None = None
    """The time range that is forgotten first."""
    is_last: bool = True

    @property
    def head(self) -> dict[str, Any]:
        """All of it but the batches."""
        names = ("input_bytes", "malformed", "other_fields", "data_time", "reset", "is_last")
        return {"op": "post", **{name: getattr(self, name) for name in names}}

    @classmethod
    def read(cls, head: Mapping[str, Any], batches: tuple[pa.RecordBatch, ...]) -> Piece:
        """The piece of a head and batches."""
        values = {name: value for name, value in head.items() if name != "op"}
        return cls(batches, **{**values, "reset": tuple(values["reset"]) if values["reset"] else None})


@dataclass(frozen=True, slots=True)
class Flush:
    """A flush; times in epoch milliseconds."""

    calc_interim: bool = False
    start: int | None = None
    end: int | None = None
    advance: int | None = None
    skip: int | None = None

    @property
    def head(self) -> dict[str, Any]:
        """All of it."""
        return {"op": "flush", **asdict(self)}

    @property
    def batches(self) -> tuple[pa.RecordBatch, ...]:
        """None."""
        return ()

    @classmethod
    def read(cls, head: Mapping[str, Any]) -> Flush:
        """The flush of a head."""
        return cls(**{name: value for name, value in head.items() if name != "op"})

    def as_far_as(self, stage: str) -> Flush:
        """What was done of it when it was interrupted at a stage.

        >>> Flush(skip=1000, advance=2000).as_far_as(SKIPPED)
        Flush(calc_interim=False, start=None, end=None, advance=None, skip=1000)
        """
        return replace(
            self,
            calc_interim=False,
            start=None,
            end=None,
            skip=None if stage == DRAINED else self.skip,
            advance=self.advance if stage == ADVANCED else None,
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a job can be changed: its configuration, the calendars and the filters that it goes by."""

    config: JobConfig
    calendars: tuple[EventCalendar, ...] = ()
    filters: tuple[Filter, ...] = ()

    @property
    def head(self) -> dict[str, Any]:
        """All of it."""
        return {"op": "settings", **self.to_dict()}

    @property
    def batches(self) -> tuple[pa.RecordBatch, ...]:
        """None."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them; `read` makes them of it."""
        return {
            "config": self.config.to_dict(),
            "calendars": [calendar.to_dict() for calendar in self.calendars],
            "filters": [one.to_dict() for one in self.filters],
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Settings:
        """The settings of what `to_dict` made."""
        return cls(
            JobConfig.parse(values["config"]),
            read_calendars(values["calendars"]),
            read_filters(values["filters"]),
        )


def pieces(
    batches: Batches, intake: Intake, reset: tuple[int, int | None] | None, most_bytes: int
) -> Iterator[Piece]:
    """The batches of a post in pieces of at least so many bytes, but for the last one.

    When the reading fails what was read before is the last piece; then the error is raised.
    """
    gathered: list[pa.RecordBatch] = []
    seen_bytes, seen_malformed, others, size = 0, 0, 0, 0

    def piece(*, is_last: bool) -> Piece:
        nonlocal reset, seen_bytes, seen_malformed, others, size, gathered
        made = Piece(
            tuple(gathered),
            batches.input_bytes - seen_bytes,
            batches.malformed - seen_malformed,
            others,
            int(time.time() * 1000),
            reset,
            is_last,
        )
        reset, gathered, others, size = None, [], 0, 0
        seen_bytes, seen_malformed = batches.input_bytes, batches.malformed
        return made

    try:
        for batch in batches:
            narrowed, dropped = intake.narrowed(batch)
            gathered.append(narrowed)
            others += dropped
            size += narrowed.nbytes
            if size >= most_bytes:
                yield piece(is_last=False)
    except (Exception, KeyboardInterrupt):
        yield piece(is_last=True)
        raise
    yield piece(is_last=True)
