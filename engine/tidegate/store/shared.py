"""Calendars and filters, which the jobs of a store share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..config import JobConfig, ScheduledEvent, read_calendars, read_events, read_filters
from ..errors import ExistsError, NotFoundError, StateError
from .database import Database, View
from .settings import touch_settings


class Shared:
    """The part of `Store` that has calendars and filters; open jobs go by a change from the next call on."""

    _database: Database

    def put_calendar(self, calendar: Mapping[str, Any]) -> dict[str, Any]:
        """Adds a calendar: its id, the jobs and groups it is meant for, its events."""
        [made] = read_calendars([calendar])
        with self._database.transaction() as tx:
            if made.calendar_id in tx.documents("calendars"):
                raise ExistsError(f"Cannot create calendar with id [{made.calendar_id}] as it already exists")
            tx.put_document("calendars", made.calendar_id, made.to_dict())
            touch_settings(tx)
        return made.to_dict()

    def calendars(self, calendar_id: str | None = None) -> list[dict[str, Any]]:
        """All calendars by id, with their events, or the one of an id."""
        with self._database.reading() as view:
            found = view.documents("calendars")
        if calendar_id is None:
            return list(found.values())
        return [_known(found, calendar_id)]

    def add_events(
        self, calendar_id: str, events: Sequence[ScheduledEvent | Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Adds events to a calendar; returns them."""
        made = read_events(events)
        with self._database.transaction() as tx:
            [calendar] = read_calendars([_known(tx.documents("calendars"), calendar_id)])
            tx.put_document("calendars", calendar_id, calendar.with_events(made).to_dict())
            touch_settings(tx)
        return [{**event.to_dict(), "calendar_id": calendar_id} for event in made]

    def set_calendar_jobs(self, calendar_id: str, job_ids: Sequence[str]) -> dict[str, Any]:
        """Says which jobs and groups a calendar is meant for; ``_all`` are all."""
        with self._database.transaction() as tx:
            changed = {**_known(tx.documents("calendars"), calendar_id), "job_ids": list(job_ids)}
            read_calendars([changed])
            tx.put_document("calendars", calendar_id, changed)
            touch_settings(tx)
        return changed

    def delete_calendar(self, calendar_id: str) -> None:
        """Removes a calendar with its events."""
        with self._database.transaction() as tx:
            _known(tx.documents("calendars"), calendar_id)
            tx.delete_document("calendars", calendar_id)
            touch_settings(tx)

    def put_filter(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Adds a filter: its id and its items."""
        [made] = read_filters([values])
        with self._database.transaction() as tx:
            if made.filter_id in tx.documents("filters"):
                raise ExistsError(f"A filter with id [{made.filter_id}] already exists")
            tx.put_document("filters", made.filter_id, made.to_dict())
            touch_settings(tx)
        return made.to_dict()

    def filters(self, filter_id: str | None = None) -> list[dict[str, Any]]:
        """All filters by id, or the one of an id."""
        with self._database.reading() as view:
            found = view.documents("filters")
        if filter_id is None:
            return list(found.values())
        return [_known_filter(found, filter_id)]

    def update_filter(
        self,
        filter_id: str,
        *,
        add_items: Sequence[str] = (),
        remove_items: Sequence[str] = (),
        items: Sequence[str] | None = None,
        description: str | None = None,
    ) -> dict[str, Any]:
        """Changes a filter; returns it."""
        with self._database.transaction() as tx:
            [one] = read_filters([_known_filter(tx.documents("filters"), filter_id)])
            shown = one.changed(add_items, remove_items, items).to_dict()
            if description is not None:
                shown["description"] = description
            [checked] = read_filters([shown])
            tx.put_document("filters", filter_id, checked.to_dict())
            touch_settings(tx)
        return checked.to_dict()

    def delete_filter(self, filter_id: str) -> None:
        """Removes a filter that no job uses."""
        with self._database.transaction() as tx:
            _known_filter(tx.documents("filters"), filter_id)
            users = _users(tx, filter_id)
            if users:
                raise StateError(
                    f"Cannot delete filter [{filter_id}] currently used by jobs [{', '.join(users)}]"
                )
            tx.delete_document("filters", filter_id)
            touch_settings(tx)


def _users(view: View, filter_id: str) -> list[str]:
    """The jobs whose rules name a filter."""
    configs = [JobConfig.parse(row.config) for row in view.jobs()]
    return [
        config.job_id
        for config in configs
        if any(
            entry.filter_id == filter_id
            for detector in config.analysis_config.detectors
            for rule in detector.custom_rules
            for entry in rule.scope
        )
    ]


def _known(found: Mapping[str, dict[str, Any]], calendar_id: str) -> dict[str, Any]:
    if calendar_id not in found:
        raise NotFoundError(f"No calendar with id [{calendar_id}]")
    return found[calendar_id]


def _known_filter(found: Mapping[str, dict[str, Any]], filter_id: str) -> dict[str, Any]:
    if filter_id not in found:
        raise NotFoundError(f"No filter with id [{filter_id}] exists")
    return found[filter_id]
