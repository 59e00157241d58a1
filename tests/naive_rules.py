"""The naive twin of custom rules: what they do with one value, from their JSON form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def in_filter(items: Iterable[str], text: str) -> bool:
    """Whether an item stands for the text; stars at its ends stand for anything."""
    for item in items:
        begins, ends = item.endswith("*"), item.startswith("*")
        inner = item.removeprefix("*").removesuffix("*")
        if (
            (begins and ends and inner in text)
            or (begins and not ends and text.startswith(inner))
            or (ends and not begins and text.endswith(inner))
            or (not begins and not ends and text == item)
        ):
            return True
    return False


def holds(condition: Record, actual: float, typical: float, seconds: float) -> bool:
    """Whether a condition is met."""
    x = {
        "actual": actual,
        "typical": typical,
        "diff_from_typical": abs(actual - typical),
        "time": seconds,
    }[condition["applies_to"]]
    value = condition["value"]
    return bool(
        {"gt": x > value, "gte": x >= value, "lt": x < value, "lte": x <= value}[condition["operator"]]
    )


def actions(
    rules: Sequence[Record],
    filters: Mapping[str, Sequence[str]],
    fields: Mapping[str, str],
    value: tuple[float, float, float],
) -> frozenset[str]:
    """The actions of all rules that hold for a series with these key fields and (actual, typical, time)."""
    found: set[str] = set()
    for rule in rules:
        scope = rule.get("scope", {}).items()
        inside = all(
            in_filter(filters[entry["filter_id"]], fields[name])
            == (entry.get("filter_type", "include") == "include")
            for name, entry in scope
        )
        if inside and all(holds(condition, *value) for condition in rule.get("conditions", ())):
            found |= set(rule.get("actions", ("skip_result",)))
    return frozenset(found)
