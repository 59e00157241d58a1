"""A job with the filters and calendars that it is to have, in one JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..errors import ConfigError
from .calendars import EventCalendar, read_calendars
from .filters import Filter, read_filters
from .job import JobConfig
from .source import Source, load_object

__all__ = ["JobBundle"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JobBundle:
    """``{"job": {...}, "filters": [...], "calendars": [...]}``, or a job configuration alone.

    >>> bundle = JobBundle.parse({
    ...     "job": {"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}},
    ...     "filters": [{"filter_id": "safe", "items": ["a"]}],
    ... })
    >>> bundle.config.job_id, bundle.filters[0].items, bundle.calendars
    ('job', ('a',), ())
    """

    config: JobConfig
    filters: tuple[Filter, ...] = ()
    calendars: tuple[EventCalendar, ...] = ()

    @classmethod
    def parse(cls, source: Source) -> JobBundle:
        """Reads a dict, JSON text, or the path of a JSON file; ConfigError with all problems at once."""
        values = load_object(source)
        # Other wrappers have things of their own beside the job.
        beside = values if isinstance(values.get("job"), Mapping) else {}
        problems: list[tuple[str, str]] = []

        def attempt(read: Callable[[], T]) -> T | None:
            try:
                return read()
            except ConfigError as error:
                problems.extend(error.problems)
                return None

        config = attempt(lambda: JobConfig.parse({str(key): value for key, value in values.items()}))
        filters = attempt(lambda: read_filters(beside.get("filters")))
        calendars = attempt(lambda: read_calendars(beside.get("calendars")))
        if config is not None and filters is not None:
            attempt(lambda: config.require_filters(filters))
        if problems or config is None or filters is None or calendars is None:
            raise ConfigError(problems)
        return cls(config, filters, calendars)
