"""Accuracy of a ranking of rows: average precision, and VUS-PR, which forgives a little delay.

VUS-PR is the volume under the surface of range-based precision and recall over threshold and buffer
length: Paparrizos, Boniol, Palpanas, Tsay, Elmore and Franklin, "Volume Under the Surface: A New
Accuracy Evaluation Measure for Time-Series Anomaly Detection" (PVLDB 15(11), 2022), sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .quality import F64, I64

Labels = npt.NDArray[np.bool_]
BUFFER_ROWS = 10
"""The longest buffer, L, where none is given; half of it lies on each side of an anomaly."""


def runs(is_in: Labels) -> list[tuple[int, int]]:
    """First and last row of every run of rows that are in.

    >>> runs(np.array([False, True, True, False, True]))
    [(1, 2), (4, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], is_in.astype(np.int8), [0]))))
    return [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2)]


def average_precision(is_anomaly: Labels, score: F64) -> float:
    """Precision at every threshold, weighted by how much recall grows there; NaN without anomalies.

    Rows of one score come together, so that their order does not matter. A ranking at random has
    about the share of anomalies.

    >>> average_precision(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]))
    0.8333333333333333
    """
    order, last = _ranked(score)
    hits = np.cumsum(is_anomaly[order])[last]
    if not is_anomaly.any():
        return float("nan")
    return _area(hits / hits[-1], hits / (last + 1.0))


def vus_pr(is_anomaly: Labels, score: F64, longest: int = BUFFER_ROWS) -> float:
    """The mean of `range_pr` over the buffer lengths 0 to `longest`, in rows; NaN without anomalies."""
    ranked = _ranked(score)
    lengths = range(longest + 1)
    return float(np.mean([range_pr(is_anomaly, score, length, ranked) for length in lengths]))


def range_pr(is_anomaly: Labels, score: F64, buffer: int, ranked: tuple[I64, I64] | None = None) -> float:
    """Area under range-based precision over recall, with a buffer of so many rows.

    With the labels l_i of `sloped` and the rows P at or above a threshold,

        precision = sum of l_i over P / |P|
        recall    = sum of l_i over P / (mean of |anomalous rows| and sum of all l_i), at most 1,
                    times the share of anomalies, each with its buffers, that have a row in P.

    Every distinct score is a threshold, and the area is the sum of precision times growth of recall,
    as in the authors' program (which takes 250 of the scores). `ranked` is for repeated calls.
    """
    if not is_anomaly.any():
        return float("nan")
    order, last = ranked or _ranked(score)
    label = sloped(is_anomaly, buffer)
    hits = np.cumsum(label[order])[last]
    positives = (np.count_nonzero(is_anomaly) + label.sum()) / 2.0
    found = _found_by(score, runs(label > 0.0), score[order][last])
    recall = np.minimum(hits / positives, 1.0) * found
    return _area(recall, hits / (last + 1.0))


def sloped(is_anomaly: Labels, buffer: int) -> F64:
    """Labels that fall off on both sides of each anomaly: sqrt(1 - d / buffer) at d rows from it.

    They end at half a buffer. Where the slopes of two anomalies meet they add up, to 1 at most; the
    two then count as one anomaly, with all between them.
    """
    label = np.zeros(len(is_anomaly))
    for first, last in runs(is_anomaly):
        label[first : last + 1] = 1.0
        for away in range(1, buffer // 2 + 1):
            for row in (first - away, last + away):
                if 0 <= row < len(label):
                    label[row] += np.sqrt(1.0 - away / buffer)
    return np.minimum(label, 1.0)


def _found_by(score: F64, anomalies: Sequence[tuple[int, int]], thresholds: F64) -> F64:
    """The share of anomalies with a row at or above each threshold; thresholds fall."""
    highest = np.sort([score[first : last + 1].max() for first, last in anomalies])
    return (len(highest) - np.searchsorted(highest, thresholds)) / len(highest)


def _ranked(score: F64) -> tuple[I64, I64]:
    """Rows from the highest score down, and where in that order the rows of each distinct score end."""
    order = np.argsort(-score, kind="stable")
    fallen = np.diff(score[order], append=-np.inf) != 0.0
    return order, np.flatnonzero(fallen)


def _area(recall: F64, precision: F64) -> float:
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
