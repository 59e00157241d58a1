"""Everything that tidegate raises on purpose.

    TidegateError
    ├── ConfigError            the job configuration is wrong (all its problems at once)
    │   └── NotSupportedError  the configuration is right, but asks for what is not built yet
    ├── RequestError           an argument of a call is wrong
    │   └── TimeError          a time cannot be parsed, or a time range makes no sense
    ├── DataError              posted data cannot be read at all
    └── StateError             the job is not in a state that allows the call

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


class DataError(TidegateError, ValueError):
    """Posted data that cannot be read at all; what was posted before stays."""


class StateError(TidegateError, RuntimeError):
    """The job is not in a state that allows the call."""
