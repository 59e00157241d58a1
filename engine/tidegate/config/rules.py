"""Custom rules: when a detector should skip a result, or not learn from a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .functions import Function
from .section import Section

__all__ = ["CustomRule", "RuleCondition", "RuleScope", "read_rules"]

_ACTIONS = ("skip_result", "skip_model_update", "force_time_shift")
_APPLIES_TO = ("actual", "typical", "diff_from_typical", "time")
_OPERATORS = ("gt", "gte", "lt", "lte")
_MOST_RULES = 64
_FILTER_TYPES = ("include", "exclude")


@dataclass(frozen=True, slots=True)
class RuleCondition:
    """A comparison of what a result says with a number."""

    applies_to: str
    operator: str
    value: float

    def to_dict(self) -> dict[str, Any]:
        """The condition as the JSON API shows it."""
        return {"applies_to": self.applies_to, "operator": self.operator, "value": self.value}


@dataclass(frozen=True, slots=True)
class RuleScope:
    """A field of the detector whose value must be in a filter, or must not be."""

    field: str
    filter_id: str
    filter_type: str = "include"

    def to_dict(self) -> dict[str, Any]:
        """The entry of this field as the JSON API shows it."""
        return {"filter_id": self.filter_id, "filter_type": self.filter_type}


@dataclass(frozen=True, slots=True)
class CustomRule:
    """Acts when all its conditions hold and its scope matches."""

    actions: tuple[str, ...] = ("skip_result",)
    scope: tuple[RuleScope, ...] = ()
    conditions: tuple[RuleCondition, ...] = ()
    time_shift_s: int | None = None
    """By how much ``force_time_shift`` moves the model's clock, in seconds."""

    @property
    def shifts_time(self) -> bool:
        """Whether it moves the model's clock."""
        return "force_time_shift" in self.actions

    @property
    def compares_values(self) -> bool:
        """Whether a condition is on anything but the time."""
        return any(condition.applies_to != "time" for condition in self.conditions)

    def to_dict(self) -> dict[str, Any]:
        """The rule as the JSON API shows it."""
        shown: dict[str, Any] = {"actions": list(self.actions)}
        if self.time_shift_s is not None:
            shown["params"] = {"force_time_shift": {"time_shift_amount": self.time_shift_s}}
        if self.scope:
            shown["scope"] = {entry.field: entry.to_dict() for entry in self.scope}
        if self.conditions:
            shown["conditions"] = [condition.to_dict() for condition in self.conditions]
        return shown


def read_rules(
    detector: Section, function: Function | None, fields: tuple[str, ...]
) -> tuple[CustomRule, ...]:
    """Reads the rules of a detector; ``fields`` are its by, over and partition fields.

    ``detector_rules`` is what old configurations call ``custom_rules``.
    """
    key = "custom_rules"
    if detector.has("detector_rules"):
        if detector.has(key):
            detector.problem(
                "detector_rules", "detector_rules is the old name of custom_rules; give only one"
            )
        key = "detector_rules"
    sections = [section for section in detector.sections(key) if section is not None]
    if len(sections) > _MOST_RULES:
        detector.problem(key, f"{key} has {len(sections)} rules; at most {_MOST_RULES} are allowed")
    return tuple(_read_rule(section, function, fields) for section in sections)


def _read_rule(section: Section, function: Function | None, fields: tuple[str, ...]) -> CustomRule:
    actions = tuple(action.lower() for action in section.texts("actions")) or ("skip_result",)
    for i, action in enumerate(actions):
        if action not in _ACTIONS:
            section.problem(f"actions[{i}]", f"action '{action}' is not one of {', '.join(_ACTIONS)}")
    conditions = tuple(_read_condition(part) for part in section.sections("conditions") if part is not None)
    scope = _read_scope(section, fields)
    if not section.values.get("scope") and not section.values.get("conditions"):
        section.problems.add(section.path, "Invalid detector rule: at least scope or a condition is required")
    compares_values = any(condition.applies_to != "time" for condition in conditions)
    if function is not None and not function.value_conditions and compares_values:
        message = (
            f"Invalid detector rule: function {function.name} only supports conditions that apply to time"
        )
        section.problem("conditions", message)
    shift = _read_time_shift(section)
    if "force_time_shift" in actions and shift is None:
        section.problem("params", "force_time_shift requires params.force_time_shift.time_shift_amount")
    section.finish()
    return CustomRule(actions, scope, conditions, shift)


def _read_condition(section: Section) -> RuleCondition:
    section.require("applies_to", "operator", "value")
    condition = RuleCondition(
        section.choice("applies_to", _APPLIES_TO, "actual"),
        section.choice("operator", _OPERATORS, "gt"),
        section.number("value") or 0.0,
    )
    section.finish()
    return condition


def _read_scope(section: Section, fields: tuple[str, ...]) -> tuple[RuleScope, ...]:
    scope = section.section("scope")
    if scope is None:
        return ()
    entries = []
    for field in scope.values:
        entry = scope.section(field) if isinstance(field, str) else None
        if entry is None:
            continue
        if field not in fields:
            available = f"select from [{', '.join(fields)}]"
            allowed = available if fields else "detector has no available fields for scoping"
            entry.problems.add(
                entry.path, f"Invalid detector rule: scope field '{field}' is invalid; {allowed}"
            )
        entry.require("filter_id")
        filter_type = entry.choice("filter_type", _FILTER_TYPES, "include")
        entries.append(RuleScope(str(field), entry.text("filter_id") or "", filter_type))
        entry.finish()
    scope.finish()
    return tuple(entries)


def _read_time_shift(section: Section) -> int | None:
    params = section.section("params")
    if params is None:
        return None
    shift_section = params.section("force_time_shift")
    params.finish()
    if shift_section is None:
        return None
    shift = shift_section.integer("time_shift_amount")
    shift_section.finish()
    return shift
