"""Calendars: events that are known beforehand, and what becomes of the buckets they fall on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import TimeError
from ..requesttime import parse_request_time
from .names import ID_RULE, MAX_ID_LENGTH, is_valid_id
from .section import Problems, Section

__all__ = ["EventCalendar", "ScheduledEvent", "read_calendars", "read_events"]

_ALL = "_all"


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """Something known beforehand: a holiday, a release, a night of maintenance.

    It covers every bucket that it falls on, the first and the last one whole.
    """

    description: str
    start_ms: int
    end_ms: int
    skip_result: bool = True
    """Whether its buckets have no records and a score of 0."""
    skip_model_update: bool = True
    """Whether nothing is learned of its buckets. With `skip_result` it is as if they had never been."""
    force_time_shift_s: int | None = None
    """By so many seconds earlier than before things are expected to happen from the start of the event on."""

    def buckets(self, span_ms: int) -> tuple[int, int]:
        """The number of the first bucket, and of the first after the last.

        >>> ScheduledEvent("party", 90_000, 120_001).buckets(60_000)
        (1, 3)
        """
        return self.start_ms // span_ms, -(-self.end_ms // span_ms)

    def to_dict(self) -> dict[str, Any]:
        """The event as the JSON API shows it."""
        shown: dict[str, Any] = {
            "description": self.description,
            "start_time": self.start_ms,
            "end_time": self.end_ms,
            "skip_result": self.skip_result,
            "skip_model_update": self.skip_model_update,
        }
        if self.force_time_shift_s is not None:
            shown["force_time_shift"] = self.force_time_shift_s
        return shown


@dataclass(frozen=True, slots=True)
class EventCalendar:
    """Events under a name."""

    calendar_id: str
    events: tuple[ScheduledEvent, ...] = ()
    description: str | None = None
    job_ids: tuple[str, ...] = ()
    """The jobs and groups it is meant for, for whoever keeps calendars; a job takes what it is given."""

    def with_events(self, events: Iterable[ScheduledEvent]) -> EventCalendar:
        """The calendar with more events, in the order of their start."""
        return replace(self, events=_in_order((*self.events, *events)))

    def to_dict(self) -> dict[str, Any]:
        """The calendar as the JSON API shows it, with its events."""
        shown: dict[str, Any] = {"calendar_id": self.calendar_id, "job_ids": list(self.job_ids)}
        if self.description is not None:
            shown["description"] = self.description
        return {**shown, "events": [event.to_dict() for event in self.events]}


def read_calendars(values: object) -> tuple[EventCalendar, ...]:
    """Reads a list of calendars, from their JSON form or as they are; ConfigError with all problems.

    >>> [holidays] = read_calendars([{"calendar_id": "holidays", "events": [
    ...     {"description": "new year", "start_time": "2024-01-01", "end_time": "2024-01-02"}]}])
    >>> holidays.events[0].start_ms
    1704067200000
    """
    problems = Problems()
    given = Section({"calendars": values}, "", problems)
    made: list[EventCalendar] = []
    listed = values if isinstance(values, list | tuple) else ()
    if values is not None and not isinstance(values, list | tuple):
        given.sections("calendars")
    for i, value in enumerate(listed):
        path = f"calendars[{i}]"
        if isinstance(value, EventCalendar):
            made.append(value)
        elif isinstance(value, Mapping):
            made.append(_read_calendar(Section(value, path, problems)))
        else:
            problems.add(path, f"a calendar must be an object, not {type(value).__name__}")
        if any(made[-1].calendar_id == other.calendar_id for other in made[:-1]):
            message = f"Cannot create calendar with id [{made[-1].calendar_id}] as it already exists"
            problems.add(f"{path}.calendar_id", message)
    problems.raise_if_any()
    return tuple(made)


def read_events(values: object) -> tuple[ScheduledEvent, ...]:
    """Reads a list of at least one event; ConfigError with all problems."""
    problems = Problems()
    events = _read_events(Section({"events": values}, "", problems))
    if not events and not problems.found:
        problems.add("events", "At least 1 event is required")
    problems.raise_if_any()
    return events


def _in_order(events: Iterable[ScheduledEvent]) -> tuple[ScheduledEvent, ...]:
    return tuple(sorted(events, key=lambda event: (event.start_ms, event.end_ms)))


def _read_calendar(section: Section) -> EventCalendar:
    name = section.text("calendar_id")
    if name is None and not section.has("calendar_id"):
        section.problem("calendar_id", "Field [calendar_id] cannot be null")
    elif name == _ALL:
        section.problem("calendar_id", f"Cannot create a Calendar with the reserved name [{_ALL}]")
    elif name is not None and not is_valid_id(name):
        section.problem("calendar_id", f"Invalid calendar_id; '{name}' {ID_RULE}")
    elif name is not None and len(name) > MAX_ID_LENGTH:
        section.problem(
            "calendar_id", f"The calendar id cannot contain more than {MAX_ID_LENGTH} characters."
        )
    calendar = EventCalendar(
        name or "",
        _in_order(_read_events(section)),
        section.text("description"),
        section.texts("job_ids"),
    )
    section.finish()
    return calendar


def _read_events(section: Section) -> tuple[ScheduledEvent, ...]:
    values = section.values.get("events")
    if isinstance(values, Sequence) and any(isinstance(value, ScheduledEvent) for value in values):
        values = [value.to_dict() if isinstance(value, ScheduledEvent) else value for value in values]
        section = Section({"events": values}, section.path, section.problems)
    parts = [_read_event(part) for part in section.sections("events") if part is not None]
    return tuple(event for event in parts if event is not None)


def _read_event(section: Section) -> ScheduledEvent | None:
    section.ignore("event_id", "calendar_id")
    for key in ("description", "start_time", "end_time"):
        if not section.has(key):
            section.problem(key, f"Field [{key}] cannot be null")
    description = section.text("description")
    start, end = _time(section, "start_time"), _time(section, "end_time")
    if start is not None and end is not None and start >= end:
        section.problem(
            "start_time", f"Event start time [{_iso(start)}] must come before end time [{_iso(end)}]"
        )
    flags = section.flag("skip_result", True), section.flag("skip_model_update", True)
    shift = section.integer("force_time_shift")
    section.finish()
    if description is None or start is None or end is None:
        return None
    return ScheduledEvent(description, start, end, *flags, shift)


def _time(section: Section, key: str) -> int | None:
    """Epoch milliseconds: as a number or its text, or of an ISO-8601 text or a datetime."""
    value = section.json_value(key)
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 253_402_300_799_999:
        return value
    if not isinstance(value, bool | int | float) and value != "now":
        try:
            return parse_request_time(value, key)
        except TimeError:
            pass
    section.problem(key, f"{key} must be epoch milliseconds or ISO-8601 text, not {value!r}")
    return None


def _iso(time_ms: int) -> str:
    moment = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
