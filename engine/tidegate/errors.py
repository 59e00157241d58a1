"""Everything that tidegate raises on purpose.

    TidegateError
    ├── ConfigError            the job configuration is wrong (all its problems at once)
    │   └── NotSupportedError  the configuration is right, but asks for what is not built yet
    ├── RequestError           an argument of a call is wrong
    │   ├── TimeError          a time cannot be parsed, or a time range makes no sense
    │   ├── NotFoundError      there is no job, snapshot, calendar or filter of that id
    │   └── ExistsError        there is one already
    ├── DataError              posted data cannot be read at all
    ├── StateError             the job is not in a state that allows the call
    └── StoreError             a store cannot be read or written
        ├── VersionError       it was written by a newer tidegate, or is none
        ├── SnapshotError      a model snapshot is damaged
        └── LogError           the log of posted records is damaged

A message says what, where, the value, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence


class TidegateError(Exception):
    """Base of every error that tidegate raises on purpose."""


class ConfigError(TidegateError, ValueError):
    """A wrong job configuration; ``problems`` lists (path, message) of every problem found."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{path}: {message}" if path else message for path, message in problems))


class NotSupportedError(ConfigError):
    """A right configuration that asks for something tidegate does not do yet."""


class RequestError(TidegateError, ValueError):
    """A wrong argument of a call."""


class TimeError(RequestError):
    """A time that cannot be parsed, or a range of times that makes no sense."""


class NotFoundError(RequestError):
    """An id of which there is nothing: job, snapshot, calendar, filter, forecast."""


class ExistsError(RequestError):
    """An id that is taken."""


class DataError(TidegateError, ValueError):
    """Posted data that cannot be read at all; what was posted before stays."""


class StateError(TidegateError, RuntimeError):
    """The job is not in a state that allows the call."""


class StoreError(TidegateError, OSError):
    """A store cannot be read or written: no room, no permission, damaged files."""


class VersionError(StoreError):
    """A folder or file that a newer tidegate wrote, or that is no store at all."""


class SnapshotError(StoreError):
    """A model snapshot is damaged; the message says where, and which ones are left."""


class LogError(StoreError):
    """The log of posted records is damaged before its end."""
