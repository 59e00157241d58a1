"""Filters: lists of values, that the scope of a custom rule is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import RequestError
from .names import ID_RULE, MAX_ID_LENGTH, is_valid_id
from .section import Problems, Section

__all__ = ["Filter", "read_filters"]

MAX_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Filter:
    """A list of values under a name, sorted and without doubles.

    A ``*`` at the begin or the end of an item stands for anything, also for nothing; elsewhere, and
    where it is in the middle, it is a star.
    """

    filter_id: str
    items: tuple[str, ...] = ()
    description: str | None = None

    def changed(
        self, add: Iterable[str] = (), remove: Iterable[str] = (), items: Iterable[str] | None = None
    ) -> Filter:
        """The filter with other items, or with some more and some less.

        Raises RequestError for an item to be removed that is not there, or when there are too many.

        >>> Filter("safe", ("a", "b")).changed(add=["c", "a"], remove=["b"]).items
        ('a', 'c')
        """
        kept = set(self.items if items is None else items)
        for item in remove:
            if item not in kept:
                raise RequestError(
                    f"Cannot remove item [{item}] as it is not present in filter [{self.filter_id}]"
                )
            kept.remove(item)
        kept.update(add)
        if len(kept) > MAX_ITEMS:
            raise RequestError(_too_many(self.filter_id, len(kept)))
        return replace(self, items=tuple(sorted(kept)))

    def to_dict(self) -> dict[str, Any]:
        """The filter as the JSON API shows it."""
        shown: dict[str, Any] = {"filter_id": self.filter_id}
        if self.description is not None:
            shown["description"] = self.description
        return {**shown, "items": list(self.items)}


def read_filters(values: object) -> tuple[Filter, ...]:
    """Reads a list of filters, from their JSON form or as they are; ConfigError with all problems.

    >>> read_filters([{"filter_id": "safe", "items": ["b", "a", "b"]}])[0].items
    ('a', 'b')
    """
    problems = Problems()
    listed = values if isinstance(values, list | tuple) else ()
    if values is not None and not isinstance(values, list | tuple):
        problems.add("filters", f"filters must be a list of objects, not {type(values).__name__}")
    made: list[Filter] = []
    for i, value in enumerate(listed):
        path = f"filters[{i}]"
        if isinstance(value, Filter):
            made.append(value)
        elif isinstance(value, Mapping):
            made.append(_read_filter(Section(value, path, problems)))
        else:
            problems.add(path, f"a filter must be an object, not {type(value).__name__}")
            continue
        if any(made[-1].filter_id == other.filter_id for other in made[:-1]):
            problems.add(
                f"{path}.filter_id",
                f"The filter cannot be created with the Id '{made[-1].filter_id}'. The Id is already used.",
            )
    problems.raise_if_any()
    return tuple(made)


def _read_filter(section: Section) -> Filter:
    name = section.text("filter_id")
    if name is None and not section.has("filter_id"):
        section.problem("filter_id", "Field [filter_id] cannot be null")
    elif name is not None and not is_valid_id(name):
        section.problem("filter_id", f"Invalid filter_id; '{name}' {ID_RULE}")
    elif name is not None and len(name) > MAX_ID_LENGTH:
        section.problem("filter_id", f"The filter id cannot contain more than {MAX_ID_LENGTH} characters.")
    items = tuple(sorted(set(section.texts("items"))))
    if len(items) > MAX_ITEMS:
        section.problem("items", _too_many(name or "", len(items)))
    made = Filter(name or "", items, section.text("description"))
    section.ignore("type")
    section.finish()
    return made


def _too_many(name: str, n: int) -> str:
    return f"Filter [{name}] contains [{n}] items; up to [{MAX_ITEMS}] items are allowed"
