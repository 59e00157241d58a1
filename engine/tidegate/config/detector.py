"""One detector: a function of a field, split by other fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .functions import FUNCTIONS, Function, closest_function, find_function
from .names import invalid_field_name, quoted_field
from .rules import CustomRule, read_rules
from .section import Section

__all__ = ["Detector", "read_detector"]

_FIELD_ROLES = ("field_name", "by_field_name", "over_field_name", "partition_field_name")
_NOT_PERMITTED = ("count", "by", "over")
_EXCLUDE_FREQUENT = ("all", "none", "by", "over")
# Functions that are about records and not about a field; the contract's message calls them so.
_COUNT_OR_TEMPORAL = ("count", "non_zero_count", "time")


@dataclass(frozen=True, slots=True, repr=False)
class Detector:
    """A detector as configured, its function by canonical name.

    >>> Detector("mean", field_name="responsetime", by_field_name="airline")
    Detector(0, 'mean(responsetime) by airline')
    """

    function: str
    field_name: str | None = None
    by_field_name: str | None = None
    over_field_name: str | None = None
    partition_field_name: str | None = None
    use_null: bool = False
    exclude_frequent: str = "none"
    custom_rules: tuple[CustomRule, ...] = ()
    detector_description: str = ""
    detector_index: int = 0

    def __post_init__(self) -> None:
        if not self.detector_description:
            object.__setattr__(self, "detector_description", self.default_description())

    @property
    def spec(self) -> Function:
        """The function's entry in the table of functions."""
        return FUNCTIONS[self.function]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of records that the detector reads, in the order of their roles."""
        names = (getattr(self, role) for role in _FIELD_ROLES)
        return tuple(name for name in names if name is not None)

    @property
    def split_fields(self) -> tuple[str, ...]:
        """The by, over and partition fields that are set, in this order."""
        names = (self.by_field_name, self.over_field_name, self.partition_field_name)
        return tuple(name for name in names if name is not None)

    def rule_paths(self) -> list[tuple[str, CustomRule]]:
        """The custom rules with their places in the configuration of the job."""
        path = f"analysis_config.detectors[{self.detector_index}].custom_rules"
        return [(f"{path}[{k}]", rule) for k, rule in enumerate(self.custom_rules)]

    def default_description(self) -> str:
        """What the description is when none is given.

        >>> Detector("rare", by_field_name="process.name", partition_field_name="host").default_description()
        'rare by "process.name" partitionfield=host'
        """
        parts = [self.function]
        if self.field_name is not None:
            parts[0] += f"({quoted_field(self.field_name)})"
        if self.by_field_name is not None:
            parts.append(f"by {quoted_field(self.by_field_name)}")
        if self.over_field_name is not None:
            parts.append(f"over {quoted_field(self.over_field_name)}")
        if self.use_null:
            parts.append("usenull=true")
        if self.partition_field_name is not None:
            parts.append(f"partitionfield={quoted_field(self.partition_field_name)}")
        if self.exclude_frequent != "none":
            parts.append(f"excludefrequent={self.exclude_frequent}")
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The completed detector as the JSON API shows it."""
        shown: dict[str, Any] = {"detector_description": self.detector_description, "function": self.function}
        shown.update((role, getattr(self, role)) for role in _FIELD_ROLES if getattr(self, role) is not None)
        if self.use_null:
            shown["use_null"] = True
        if self.exclude_frequent != "none":
            shown["exclude_frequent"] = self.exclude_frequent
        if self.custom_rules:
            shown["custom_rules"] = [rule.to_dict() for rule in self.custom_rules]
        shown["detector_index"] = self.detector_index
        return shown

    def __repr__(self) -> str:
        derived = self.default_description()
        named = "" if self.detector_description == derived else f", description={self.detector_description!r}"
        rules = f", {len(self.custom_rules)} custom rules" if self.custom_rules else ""
        return f"Detector({self.detector_index}, {derived!r}{named}{rules})"


def read_detector(section: Section, index: int) -> Detector | None:
    """Reads a detector; None, with the problem noted, if its function is not known."""
    function = _read_function(section)
    names = {role: section.name(role) for role in _FIELD_ROLES}
    if function is not None:
        _check_function_fields(section, function, names)
    _check_names(section, names)
    # A given index is read for its type only: the place in the list is what counts.
    section.integer("detector_index", minimum=0)
    splits = tuple(name for role, name in names.items() if name is not None and role != "field_name")
    detector = Detector(
        "metric" if function is None else function.name,
        **names,
        use_null=section.flag("use_null"),
        exclude_frequent=section.choice("exclude_frequent", _EXCLUDE_FREQUENT, "none"),
        custom_rules=read_rules(section, function, splits),
        detector_description=section.text("detector_description") or "",
        detector_index=index,
    )
    section.finish()
    return None if function is None else detector


def _read_function(section: Section) -> Function | None:
    name = section.text("function")
    if name is None:
        return FUNCTIONS["metric"] if not section.has("function") else None
    function = find_function(name)
    if function is None:
        meant = closest_function(name)
        shown = name if len(name) <= 80 else name[:77] + "..."
        hint = f"; did you mean '{meant}'?" if meant else ""
        section.problem("function", f"Unknown function '{shown}'{hint}")
    return function


def _check_function_fields(section: Section, function: Function, names: dict[str, str | None]) -> None:
    """Checks the fields that are set against those the function requires and refuses."""
    unsplit = names["by_field_name"] is None and names["over_field_name"] is None
    if names["field_name"] is None and unsplit and function.family not in _COUNT_OR_TEMPORAL:
        section.problems.add(
            section.path,
            "Unless a count or temporal function is used one of field_name, by_field_name or over_field_name "
            "must be set",
        )
    for role in ("field_name", "by_field_name", "over_field_name"):
        presence = getattr(function, role)
        if presence == "required" and section.values.get(role) in (None, ""):
            section.problem(role, f"{role} must be set when the '{function.name}' function is used")
        if presence == "refused" and names[role] is not None:
            section.problem(role, f"{role} cannot be used with function '{function.name}'")


def _check_names(section: Section, names: dict[str, str | None]) -> None:
    """Checks that every name can be that of a field, and that no field has two roles."""
    for role, name in names.items():
        invalid = invalid_field_name(name) if name is not None else None
        if invalid is not None:
            section.problem(role, invalid)
        if role in ("by_field_name", "over_field_name") and name in _NOT_PERMITTED:
            section.problem(role, f"'{name}' is not a permitted value for {role}")
    pairs = (
        ("partition_field_name", "by_field_name"),
        ("partition_field_name", "over_field_name"),
        ("by_field_name", "over_field_name"),
    )
    for role, other in pairs:
        if names[role] is not None and names[role] == names[other]:
            section.problem(role, f"{role} and {other} cannot be the same: '{names[role]}'")
