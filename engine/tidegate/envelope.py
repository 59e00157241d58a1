"""A long series thinned to the columns of a picture, so that nothing that would be seen is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .cells import F64, I64
from .curve import Curve


@dataclass(frozen=True, slots=True)
class Envelope:
    """The points that are drawn; a NaN breaks the line. Arrays ending in _v go with the values."""

    time_t: I64
    lower_t: F64
    median_t: F64
    upper_t: F64
    time_v: I64
    actual_v: F64

    @classmethod
    def of(cls, curve: Curve, columns: int) -> Envelope:
        """The curve with at most two values in each of so many columns, and its gaps kept.

        A column shows the least and the largest value, the widest of the band, and the mean of the
        median. One pass over the curve.
        """
        if len(curve) <= 2 * columns:
            return cls._whole(curve)
        begin, end = int(curve.time_t[0]), int(curve.time_t[-1])
        edges = begin + (end + 1 - begin) * np.arange(columns + 1) // columns
        first = np.searchsorted(curve.time_t, edges)
        middle = (edges[:-1] + edges[1:]) // 2
        counts = np.maximum(np.diff(first), 1)
        least = _reduced(np.fmin, curve.actual_t, first)
        most = _reduced(np.fmax, curve.actual_t, first)
        return cls(
            middle,
            _reduced(np.fmin, curve.lower_t, first),
            _reduced(np.add, curve.median_t, first) / counts,
            _reduced(np.fmax, curve.upper_t, first),
            np.repeat(middle, 2),
            np.stack([least, most], axis=1).reshape(-1),
        )

    @classmethod
    def _whole(cls, curve: Curve) -> Envelope:
        """All points, and a NaN where rows are missing in between."""
        gaps = np.flatnonzero(np.diff(curve.time_t) > curve.span_ms) + 1
        time = np.insert(curve.time_t, gaps, curve.time_t[gaps] - curve.span_ms)
        lower, median, upper, actual = (
            np.insert(values, gaps, np.nan)
            for values in (curve.lower_t, curve.median_t, curve.upper_t, curve.actual_t)
        )
        return cls(time, lower, median, upper, time, actual)


def _reduced(operation: Any, values: F64, first: I64) -> F64:
    """The operation over the values ``first[k]:first[k + 1]`` of every column; NaN for an empty one."""
    start, stop = first[:-1], first[1:]
    reduced = operation.reduceat(values, np.minimum(start, len(values) - 1))
    return np.where(stop > start, reduced, np.nan)


def isolated(values: F64) -> npt.NDArray[np.bool_]:
    """Which values have a NaN, or nothing, on both sides: a line does not show them.

    >>> isolated(np.array([1.0, np.nan, 2.0, np.nan, 3.0, 4.0])).tolist()
    [True, False, True, False, False, False]
    """
    missing = np.concatenate([[True], np.isnan(values), [True]])
    return np.asarray(~missing[1:-1] & missing[:-2] & missing[2:])


def worst_of_columns(time: I64, score: F64, columns: int) -> I64:
    """Which of some anomalies are drawn: all, or of more than there are columns the worst of each.

    >>> worst_of_columns(np.array([0, 1, 2, 9, 10]), np.array([3.0, 9.0, 1.0, 5.0, 4.0]), 2).tolist()
    [1, 3]
    """
    if len(time) <= columns:
        return np.arange(len(time))
    begin, end = int(time.min()), int(time.max())
    column = (time - begin) * columns // (end + 1 - begin)
    order = np.lexsort((score, column))
    is_last = np.append(column[order][1:] != column[order][:-1], True)
    return np.sort(order[is_last])
