"""Custom rules at work: the table that kernels read, and which rules every series is in the scope of.

A rule's conditions are on the value, on what was expected, and on the time: the start of the bucket, in
seconds. Models that score value by value obey the rules themselves, before they learn (``table`` and
`DetectorRules.masks` go to ``update_blocks``). Of other analyses results are taken away when they are there
(`silenced`), and cells are kept from being learned by `unlearned`, where what is expected is not known yet: a
comparison with it does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tidegate_kernels import rules as kernels
from tidegate_kernels.rules import SKIP_RESULT, SKIP_UPDATE
from tidegate_kernels.state import LANES

from .cells import F64, I64
from .config import CustomRule
from .filters import FilterSet
from .keys import Interner, Keys

__all__ = [
    "SKIP_UPDATE",
    "DetectorRules",
    "actions",
    "first_bucket",
    "rule_table",
    "silenced",
]

U64 = npt.NDArray[np.uint64]
_APPLIES_TO = {
    "actual": kernels.ACTUAL,
    "typical": kernels.TYPICAL,
    "diff_from_typical": kernels.DIFFERENCE,
    "time": kernels.TIME,
}
_OPERATORS = {"gt": kernels.GT, "gte": kernels.GTE, "lt": kernels.LT, "lte": kernels.LTE}
_COMPARE = {
    kernels.GT: np.greater,
    kernels.GTE: np.greater_equal,
    kernels.LT: np.less,
    kernels.LTE: np.less_equal,
}


def rule_table(rules: Sequence[CustomRule]) -> F64:
    """The rules as numbers: actions, number of conditions, and three numbers for each of them."""
    table: list[float] = []
    for rule in rules:
        acts = SKIP_RESULT * ("skip_result" in rule.actions)
        acts += SKIP_UPDATE * ("skip_model_update" in rule.actions)
        table += [acts, len(rule.conditions)]
        for condition in rule.conditions:
            table += [_APPLIES_TO[condition.applies_to], _OPERATORS[condition.operator], condition.value]
    return np.array(table, np.float64)


class DetectorRules:
    """The custom rules of one detector; keeps up with the series that come to be."""

    def __init__(
        self,
        rules: Sequence[CustomRule],
        keys: Keys,
        names: Mapping[str, Interner],
        filters: FilterSet,
    ) -> None:
        self.rules = tuple(rules)
        self.table = rule_table(rules)
        self._keys = keys
        self._names = names
        self._filters = filters
        self._masks: U64 = np.zeros(0, np.uint64)
        self._known = 0

    @property
    def masks(self) -> U64:
        """A bit for every rule that a series is in the scope of, 0 to fill up blocks; empty without rules."""
        if not self.rules:
            return self._masks
        n = len(self._keys)
        if n > self._known:
            masks = np.zeros(-(-n // LANES) * LANES, np.uint64)
            masks[: self._known] = self._masks[: self._known]
            masks[self._known : n] = self._scopes(np.arange(self._known, n))
            self._masks, self._known = masks, n
        return self._masks

    def begin_again(self) -> None:
        """Looks at all series again, after their numbers or the codes of strings changed."""
        self._masks, self._known = np.zeros(0, np.uint64), 0
        self._filters.forget()

    @property
    def forbid_learning(self) -> bool:
        """Whether any rule says that something is not to be learned."""
        return any("skip_model_update" in rule.actions for rule in self.rules)

    def in_scope(self, rule: CustomRule) -> npt.NDArray[np.bool_]:
        """Which of the series there are now are in the scope of a rule."""
        bit = np.uint64(1) << np.uint64(self.rules.index(rule))
        found: npt.NDArray[np.bool_] = (self.masks & bit) != 0
        return found

    def _scopes(self, series: I64) -> U64:
        masks = np.zeros(len(series), np.uint64)
        for k, rule in enumerate(self.rules):
            inside = np.ones(len(series), bool)
            for entry in rule.scope:
                codes = self._codes(entry.field, series)
                matches = self._filters.matches(entry.filter_id, entry.field, self._names[entry.field])[codes]
                inside &= matches if entry.filter_type == "include" else ~matches
            masks |= inside.astype(np.uint64) << np.uint64(k)
        return masks

    def _codes(self, field: str, series: I64) -> npt.NDArray[np.int32]:
        """The codes of the values that series have in a key field."""
        if field == self._keys.by:
            return self._keys.by_codes(series)
        if field == self._keys.over:
            return self._keys.over_codes(series)
        return self._keys.partition_codes(series)


def first_bucket(rule: CustomRule, bucket: int, span_ms: int) -> int | None:
    """The first bucket from this one on in which the conditions of a rule on the time hold; None: never.

    >>> from tidegate.config import RuleCondition
    >>> later = RuleCondition("time", "gt", 120.0), RuleCondition("time", "lt", 300.0)
    >>> [first_bucket(CustomRule(conditions=later), b, 60_000) for b in (0, 4, 5)]
    [3, 4, None]
    """
    times = [c for c in rule.conditions if c.applies_to == "time"]
    for condition in times:
        place = condition.value * 1000.0 / span_ms
        if condition.operator == "gt":
            bucket = max(bucket, math.floor(place) + 1)
        elif condition.operator == "gte":
            bucket = max(bucket, math.ceil(place))
    seconds = bucket * span_ms / 1000.0
    is_over = any(
        (c.operator == "lt" and not seconds < c.value) or (c.operator == "lte" and not seconds <= c.value)
        for c in times
    )
    return None if is_over else bucket


def actions(table: F64, mask_r: U64, seconds_r: F64, actual_r: F64, typical_r: F64) -> I64:
    """What the rules do with values after the fact: SKIP_RESULT and SKIP_UPDATE, added up.

    Masks are those of the series; a comparison with NaN, a typical value that there is not, is false.
    """
    acts = np.zeros(len(mask_r), np.int64)
    at, k = 0, 0
    while at < len(table):
        holds = (mask_r >> np.uint64(k)) & np.uint64(1) != 0
        n = int(table[at + 1])
        for begin in range(at + kernels.RULE_HEAD, at + kernels.RULE_HEAD + 3 * n, kernels.CONDITION_SIZE):
            what, operator, value = table[begin : begin + kernels.CONDITION_SIZE]
            x = {
                kernels.ACTUAL: actual_r,
                kernels.TYPICAL: typical_r,
                kernels.DIFFERENCE: np.abs(actual_r - typical_r),
                kernels.TIME: seconds_r,
            }[int(what)]
            holds &= _COMPARE[int(operator)](x, value)
        acts |= np.where(holds, int(table[at]), 0)
        at, k = at + kernels.RULE_HEAD + kernels.CONDITION_SIZE * n, k + 1
    return acts


def silenced(table: F64, mask_r: U64, seconds_r: F64, actual_r: F64, typical_r: F64) -> npt.NDArray[np.bool_]:
    """Which results are not to be reported, of analyses that do not obey rules themselves."""
    found: npt.NDArray[np.bool_] = (actions(table, mask_r, seconds_r, actual_r, typical_r) & SKIP_RESULT) != 0
    return found
