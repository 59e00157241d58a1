"""What the series of a detector have in common, for the series that are yet to come.

A new series knows nothing of itself. Its siblings tell by how much values of this detector vary, and
which shape their day has: medians over the mature series, taken when so many days of the job's own
time have passed, however its records came in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tidegate_kernels import state as rows

from .cells import F32, F64, I64

REFRESH_DAYS = (1, 2, 4, 7, 14, 28, 56, 112, 224, 448, 896, 1792)
"""Days after the first bucket at which the siblings are looked at again."""
LEAST_SIBLINGS = 8
_MATURE = 24.0  # count of training values
_MOST_COUNT = 24.0
_AGREES = 0.5  # least share of the season that the common shape explains


@dataclass(frozen=True, slots=True)
class Prior:
    """What a new series begins with."""

    spread: float = 0.03
    """Standard deviation, as a share of the level."""
    count: float = 2.0
    """How many values of its own that is worth."""
    agreement: float = 0.0
    """Share of the squared season of a sibling that `shape` explains; 0: there is no shape."""
    shape: F64 | None = None
    """(day knots,) The season of the day, as a share of the level."""


def common(state: F64, pages: F32, page_b: I64, since: float = -math.inf) -> Prior:
    """The prior that the series in these blocks make; that of no siblings for too few mature ones.

    Those whose last cell came before the clock `since` do not count.

    ::

        spread     exp(median(ln x)),  x = sd_e / a, a the level, or half of it while values are roots
        count      2 / d^2 within [2, 24], d = 1.48 median |2 ln x - 2 ln spread|: the variance of ln sd^2
                   over n values of the normal law is 2 / n
        shape      median(D / a') knot by knot of the series with a season whose values are roots,
                   a' the level as it is
        agreement  1 - median(|D / a' - shape|^2 / |D / a'|^2)
    """
    blocks = state.reshape(-1, rows.STATE_ROWS, rows.LANES)
    fields = {name: blocks[:, int(getattr(rows, name)) // rows.LANES] for name in _FIELDS}
    around = np.abs(fields["LEVEL"]) * np.where(fields["NON_NEGATIVE"] > 0.0, 0.5, 1.0)
    known = (fields["ALIVE"] > 0.0) & (fields["COUNT"] >= _MATURE) & (fields["VARIANCE_AR"] > 0.0)
    known &= (around > 0.0) & (fields["LAST_DATA"] >= since)
    if np.count_nonzero(known) < LEAST_SIBLINGS:
        return Prior()
    logs = np.log(fields["VARIANCE_AR"][known]) - 2.0 * np.log(around[known])
    middle = float(np.median(logs))
    between = 1.4826 * float(np.median(np.abs(logs - middle)))
    count = min(max(2.0 / max(between * between, 1e-12), 2.0), _MOST_COUNT)
    spread = float(np.exp(0.5 * middle))
    seasonal = (fields["SEASONAL"] > 0.0) & (fields["NON_NEGATIVE"] > 0.0) & (page_b >= 0)[:, None]
    at = np.nonzero(known & seasonal)
    if len(at[0]) < LEAST_SIBLINGS:
        return Prior(spread, count)
    knots = pages.reshape(-1, rows.PROFILE_ROWS, rows.LANES)[page_b[at[0]], : rows.DAY_KNOTS, at[1]]
    days = np.asarray(knots, np.float64) / np.abs(fields["LEVEL"][at])[:, None]
    shape = np.median(days, axis=0)
    whole = np.square(days).sum(axis=1)
    left = np.square(days - shape).sum(axis=1)
    agreement = 1.0 - float(np.median(left[whole > 0.0] / whole[whole > 0.0])) if np.any(whole > 0.0) else 0.0
    if agreement < _AGREES:
        return Prior(spread, count)
    return Prior(spread, count, agreement, shape)


_FIELDS = ("ALIVE", "COUNT", "LEVEL", "NON_NEGATIVE", "VARIANCE_AR", "SEASONAL", "LAST_DATA")
