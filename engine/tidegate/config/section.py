"""Reading JSON objects while collecting every problem, instead of stopping at the first.

A `Section` is one object of the configuration with its path. Its methods each read one key and return a
value of the right type or, after noting a problem, the default. What was never asked for is unknown.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

from ..errors import ConfigError
from .spans import Span, parse_span

__all__ = ["Problems", "Section"]

_INTEGER = re.compile(r"-?[0-9]{1,18}")
# The largest integer that every reader of JSON keeps exactly.
_LARGEST_INTEGER = 2**53 - 1
_LARGEST_NUMBER = sys.float_info.max
_DEEPEST = 64


class Problems:
    """The problems found so far, each a (path, message)."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, path: str, message: str) -> None:
        """Notes a problem; the same one is noted once."""
        if (path, message) not in self.found:
            self.found.append((path, message))

    def raise_if_any(self) -> None:
        """Raises ConfigError with all problems, if there are any."""
        if self.found:
            raise ConfigError(self.found)


class Section:
    """One JSON object being read."""

    __slots__ = ("_asked", "_quiet", "path", "problems", "values")

    def __init__(self, values: Mapping[object, object], path: str, problems: Problems) -> None:
        self.values = values
        self.path = path
        self.problems = problems
        self._asked: dict[str, None] = {}
        self._quiet: set[str] = set()

    def path_of(self, key: object) -> str:
        """The path of a key of this object."""
        shown = _key_text(key)
        return f"{self.path}.{shown}" if self.path else shown

    def problem(self, key: str, message: str) -> None:
        """Notes a problem with the value of a key."""
        self.problems.add(self.path_of(key), message)

    def has(self, key: str) -> bool:
        """Whether the key is there with a value; null is as good as absent everywhere."""
        return self._take(key) is not None

    def ignore(self, *keys: str) -> None:
        """Accepts keys without reading them; they are never suggested instead of an unknown one."""
        self._quiet.update(keys)

    def text(self, key: str) -> str | None:
        """The string of a key, None if absent."""
        value = self._take(key)
        if value is None or isinstance(value, str):
            return value
        self._mistyped(key, "a string", value)
        return None

    def name(self, key: str) -> str | None:
        """The name of a field; an empty one is as good as absent."""
        return self.text(key) or None

    def flag(self, key: str, default: bool = False) -> bool:
        """The boolean of a key; the strings "true" and "false" count as booleans."""
        value = self._take(key)
        if isinstance(value, str) and value in ("true", "false"):
            return value == "true"
        if isinstance(value, bool):
            return value
        if value is not None:
            self._mistyped(key, "true or false", value)
        return default

    def integer(self, key: str, minimum: int | None = None) -> int | None:
        """The integer of a key, from a number without fraction or its decimal text; None if absent."""
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self._mistyped(key, "an integer", value)
            return None
        if abs(value) > _LARGEST_INTEGER:
            self.problem(key, f"{key} cannot be beyond {_LARGEST_INTEGER}")
            return None
        if minimum is not None and value < minimum:
            self.problem(key, f"{key} cannot be less than {minimum}. Value = {value}")
            return None
        return value

    def number(self, key: str) -> float | None:
        """The finite number of a key, None if absent."""
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._mistyped(key, "a number", value)
            return None
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        self.problem(key, f"{key} must be a finite number")
        return None

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """One of the allowed words, whatever its case."""
        value = self.text(key)
        if value is None:
            return default
        if value.lower() in allowed:
            return value.lower()
        self.problem(key, f"{key} '{_shortened(value)}' is not one of {', '.join(allowed)}")
        return default

    def span(self, key: str) -> Span | None:
        """The time span of a key, a whole number of seconds; None if absent."""
        value = self._take(key)
        if value is None:
            return None
        try:
            span = parse_span(value)
        except ValueError as error:
            self.problem(key, f"{key} {error}; actual was {_shown(value)}")
            return None
        if not span.is_whole_seconds:
            self.problem(key, f"{key} has to be a multiple of 1s; actual was '{span.text}'")
            return None
        return span

    def section(self, key: str) -> Section | None:
        """The object of a key, None if absent."""
        value = self._take(key)
        if value is None:
            return None
        return self._inner(value, key, self.path_of(key))

    def sections(self, key: str) -> list[Section | None]:
        """The objects of a list, None for each element that is no object; empty if absent."""
        values = self._list(key, "a list of objects")
        return [self._inner(value, key, f"{self.path_of(key)}[{i}]") for i, value in enumerate(values)]

    def texts(self, key: str) -> tuple[str, ...]:
        """The strings of a list; empty if absent."""
        texts = []
        for i, value in enumerate(self._list(key, "a list of strings")):
            if isinstance(value, str):
                texts.append(value)
            else:
                self.problems.add(f"{self.path_of(key)}[{i}]", f"must be a string, not {_shown(value)}")
        return tuple(texts)

    def json_value(self, key: str) -> object:
        """The value of a key whatever its type, for a reader who knows more types; None if absent."""
        return self._take(key)

    def json_object(self, key: str) -> dict[str, object] | None:
        """A copy of an object that is kept as it is; None if absent."""
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self._mistyped(key, "an object", value)
            return None
        try:
            return {_json_key(name): _json_copy(inner, 1) for name, inner in value.items()}
        except ValueError as error:
            self.problem(key, f"{key} {error}")
            return None

    def require(self, *keys: str) -> None:
        """Notes a problem for every one of the keys that is absent."""
        for key in keys:
            if not self.has(key):
                self.problem(key, f"Required [{key}]")

    def finish(self) -> None:
        """Notes a problem for every key that nobody asked for."""
        for key in self.values:
            if key not in self._asked and key not in self._quiet:
                message = f"unknown field [{_key_text(key)}]"
                near = difflib.get_close_matches(_key_text(key).lower(), self._asked, n=1)
                self.problems.add(
                    self.path_of(key), message + (f"; did you mean '{near[0]}'?" if near else "")
                )

    def _take(self, key: str) -> object:
        self._asked[key] = None
        return self.values.get(key)

    def _list(self, key: str, wanted: str) -> Iterable[object]:
        value = self._take(key)
        if isinstance(value, list | tuple):
            return value
        if value is not None:
            self._mistyped(key, wanted, value)
        return ()

    def _inner(self, value: object, key: str, path: str) -> Section | None:
        if isinstance(value, Mapping):
            return Section(value, path, self.problems)
        self.problems.add(path, f"{key} must be an object, not {_shown(value)}")
        return None

    def _mistyped(self, key: str, wanted: str, value: object) -> None:
        self.problem(key, f"{key} must be {wanted}, not {_shown(value)}")


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _shown(value: object) -> str:
    """A JSON value as a message shows it: small ones whole, large ones by their type."""
    if isinstance(value, str):
        return f"'{_shortened(value)}'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) <= _LARGEST_INTEGER):
        return str(value)
    if isinstance(value, int):
        return "a number beyond 53 bits"
    names = ((Mapping, "an object"), (list | tuple, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


def _key_text(key: object) -> str:
    return _shortened(key) if isinstance(key, str) else _shown(key)


def _json_key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"must have string keys, not {_shown(key)}")
    return key


def _json_copy(value: object, depth: int) -> object:
    """A deep copy of JSON data; ValueError for what JSON cannot hold, so that showing it never fails."""
    if depth > _DEEPEST:
        raise ValueError(f"must not be nested deeper than {_DEEPEST}")
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float) and abs(value) <= _LARGEST_NUMBER:
        return value
    if isinstance(value, Mapping):
        return {_json_key(key): _json_copy(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_copy(inner, depth + 1) for inner in value]
    raise ValueError(f"must be JSON data, not {_shown(value)}")
