"""The naive twin of what the series of a detector have in common, for those that are yet to come."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import NamedTuple, Protocol

REFRESH_DAYS = (1, 2, 4, 7, 14, 28, 56, 112, 224, 448, 896, 1792)
"""Days of the job's own time after which the siblings are asked."""


class Prior(NamedTuple):
    """What a new series begins with: deviation and season as shares of its level."""

    spread: float = 0.03
    count: float = 2.0
    agreement: float = 0.0
    shape: tuple[float, ...] = ()


class Sibling(Protocol):
    """What of a series the others are told."""

    is_root: bool
    is_seasonal: bool
    count: float
    level: float
    day_mean: list[float]

    @property
    def noise(self) -> float:
        """Variance of what is left over."""


def common(series: Iterable[Sibling]) -> Prior:
    """Medians over the mature series: of the deviation, and of the season where they agree on it."""
    mature = [one for one in series if one.count >= 24.0 and one.noise > 0.0 and one.level != 0.0]
    if len(mature) < 8:
        return Prior()
    logs = [math.log(one.noise / (one.level / (2.0 if one.is_root else 1.0)) ** 2) for one in mature]
    middle = median(logs)
    between = 1.4826 * median([abs(x - middle) for x in logs])
    count = min(max(2.0 / max(between**2, 1e-12), 2.0), 24.0)
    spread = math.exp(middle / 2.0)
    days = [[x / abs(one.level) for x in one.day_mean] for one in mature if one.is_seasonal and one.is_root]
    if len(days) < 8:
        return Prior(spread, count)
    shape = tuple(median(knot) for knot in zip(*days, strict=True))
    explained = [
        1.0 - sum((x - s) ** 2 for x, s in zip(day, shape, strict=True)) / sum(x * x for x in day)
        for day in days
        if any(day)
    ]
    agreement = median(explained) if explained else 0.0
    return Prior(spread, count, agreement, shape) if agreement >= 0.5 else Prior(spread, count)
