"""What of a running job can be changed: its calendars, its filters, and some of its settings.

All of it holds from the first bucket on that is not final once everything that is buffered is gathered,
so that it does not depend on how full the buffer was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from .calls import Call, Settings
from .config import EventCalendar, Filter, JobConfig, ScheduledEvent, read_calendars, read_events, updated
from .engine import Engine
from .errors import ConfigError, RequestError
from .filters import FilterSet
from .sizes import ModelSizeStats


class Changes:
    """The part of `Job` that changes it."""

    config: JobConfig
    _engine: Engine
    _calendars: tuple[EventCalendar, ...]
    _filters: tuple[Filter, ...]

    @property
    def _is_open(self) -> bool:
        raise NotImplementedError

    @property
    def model_size_stats(self) -> ModelSizeStats:
        """What the models take."""
        raise NotImplementedError

    def _settled(self, verb: str) -> AbstractContextManager[None]:
        raise NotImplementedError

    def _follow_config(self, config: JobConfig) -> None:
        raise NotImplementedError

    def _recorded(self, call: Call) -> AbstractContextManager[None]:
        raise NotImplementedError

    @property
    def settings(self) -> Settings:
        """What of the job can be changed, as it is."""
        return Settings(self.config, self._calendars, self._filters)

    def _change(self, settings: Settings) -> None:
        """Lets the job go by other settings, once what is buffered is gathered."""
        with self._recorded(settings):
            before, now = self.settings, settings
            self.config, self._calendars, self._filters = now.config, now.calendars, now.filters
            if now.calendars != before.calendars:
                self._engine.set_calendars(now.calendars)
            if now.config != before.config:
                self._engine.update(now.config)
                self._follow_config(now.config)
            if now.config != before.config or now.filters != before.filters:
                self._engine.set_rules(now.config.analysis_config.detectors, FilterSet(now.filters))

    @property
    def calendars(self) -> tuple[EventCalendar, ...]:
        """The calendars of the job, with their events."""
        return self._calendars

    def set_calendars(self, calendars: Sequence[EventCalendar | Mapping[str, Any]]) -> None:
        """Replaces the calendars of the job.

        What is buffered is finalised before, as by a flush; the events hold from then on, for all
        buckets that are not final yet. Raises ConfigError for a wrong calendar.
        """
        made = read_calendars(calendars)
        with self._settled("change the calendars"):
            self._change(replace(self.settings, calendars=made))

    def add_events(
        self, events: Sequence[ScheduledEvent | Mapping[str, Any]], *, calendar_id: str = "events"
    ) -> None:
        """Adds events to a calendar of the job, which comes to be if there is none; see `set_calendars`."""
        made = read_events(events)
        others = [calendar for calendar in self._calendars if calendar.calendar_id != calendar_id]
        known = [calendar for calendar in self._calendars if calendar.calendar_id == calendar_id]
        grown = (known or [EventCalendar(calendar_id)])[0].with_events(made)
        self.set_calendars([*others, grown])

    def update(self, changes: Mapping[str, Any] | str | bytes) -> JobConfig:
        """Changes settings of the job; returns its whole configuration.

        Of a detector, found by its ``detector_index``, the description and the custom rules; of the job
        what describes it, its model plot and prune window, while it is closed its limits. What is
        buffered is finalised before. Raises ConfigError for a wrong setting or one that cannot be
        changed, StateError for one that cannot be changed now; the job is then as it was.

        >>> from tidegate import Job
        >>> job = Job({
        ...     "analysis_config": {"detectors": [{"function": "count"}]},
        ...     "data_description": {"time_field": "time"},
        ... })
        >>> job.update({"description": "all requests"}).description
        'all requests'
        """
        with self._settled("update the job"):
            config = updated(self.config, changes, is_open=self._is_open)
            config.require_supported()
            config.require_filters(self._filters_at_hand())
            self._require_memory(config)
            self._change(replace(self.settings, config=config))
        return config

    def _filters_at_hand(self) -> Sequence[Filter]:
        """The filters that rules may name."""
        return self._filters

    def _require_memory(self, config: JobConfig) -> None:
        """Refuses a limit below what the models take."""
        limits, usage = config.analysis_limits, self.model_size_stats.model_bytes
        if limits.model_memory_limit_bytes < min(usage, self.config.analysis_limits.model_memory_limit_bytes):
            message = (
                "Invalid update value for analysis_limits: model_memory_limit cannot be decreased below "
                f"current usage; current usage [{-(-usage >> 20)}mb], "
                f"update had [{limits.model_memory_limit}]"
            )
            raise ConfigError([("analysis_limits.model_memory_limit", message)])

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The filters of the job."""
        return self._filters

    def update_filter(
        self,
        filter_id: str,
        *,
        add_items: Sequence[str] = (),
        remove_items: Sequence[str] = (),
        items: Sequence[str] | None = None,
    ) -> Filter:
        """Changes a filter, for all buckets that are not final once what is buffered is; returns it.

        Raises RequestError for a filter or an item that does not exist, or too many items.
        """
        found = [one for one in self._filters if one.filter_id == filter_id]
        if not found:
            raise RequestError(f"No filter with id [{filter_id}] exists")
        changed = found[0].changed(add_items, remove_items, items)
        with self._settled("change a filter"):
            filters = tuple(changed if one is found[0] else one for one in self._filters)
            self._change(replace(self.settings, filters=filters))
        return changed
