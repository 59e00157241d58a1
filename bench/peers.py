"""Other causal detectors for the quality benchmarks, each in one configuration for everything.

A peer takes times in order, values and the bucket span, and gives every row a score from 0 to 1,
higher for the more unusual, that later rows have no part in. What a score means differs from one
to the other, so they are compared by rank and by thresholds that are chosen for each.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .inputs import DAY_MS, WEEK_MS
from .quality import F64, I64, BenchError, Series, span_of

Peer = Callable[[I64, F64, int], F64]
_ROWS = 288
"""What the rolling windows hold: a day of five-minute buckets."""
_FEWEST = 10
"""With fewer rows than this in its window a detector says nothing."""
_SHORT, _LONG = 10, 8640
"""Rows of the anomaly likelihood's two windows, as in Numenta's detector."""
_SURE = 1e-10
"""The tail probability at which the anomaly likelihood is one, as there."""


def forest(time_ms: I64, value: F64, span_ms: int) -> F64:
    """rcf3: a random cut forest of 50 trees over the last eight values."""
    model = _package("rcf3").Forest(1, shingle_size=8, num_trees=50, seed=1)
    raw = [model.update_and_score([number]) for number in _filled(value).tolist()]
    return _squashed(np.array(raw))


def holt_winters(time_ms: I64, value: F64, span_ms: int) -> F64:
    """River: residuals of Holt-Winters with a daily season, and how likely so many large ones are.

    Silent in the first season, which also gives the scale: the method starts a season as the ratio
    of value and level, which around a level of one is right up to a constant.
    """
    season = round(DAY_MS / span_ms) if 2 * span_ms <= DAY_MS else 7
    model = _package("river.time_series").HoltWinters(alpha=0.1, beta=0.01, gamma=0.1, seasonality=season)
    first = _filled(value)[:season]
    scaled = 1.0 + (_filled(value) - first.mean()) / (first.std() or 1.0)
    residual = np.zeros(len(value))
    for row, number in enumerate(scaled.tolist()):
        if row >= season:
            residual[row] = abs(number - model.forecast(1)[0])
        model.learn_one(number)
    scores = np.zeros(len(value))
    scores[season:] = likelihood(residual[season:])
    return scores


def likelihood(raw: F64) -> F64:
    """Numenta's anomaly likelihood: how unlikely the short mean of raw scores is, from 0 to 1.

    The mean over the last 10 rows is held against a normal law, fitted to these means over the
    8,640 rows before; the logarithm of its upper tail is scaled to be 1 at 1e-10 (Ahmad et al.,
    "Unsupervised real-time anomaly detection for streaming data", 2017, section 4.2).
    """
    recent = _rolling(np.append(raw, 0.0), _SHORT)[0][1:]  # up to the row itself, and with it
    usual, deviation, rows = _rolling(recent, _LONG)
    floor = 1e-9 + 1e-6 * usual
    z = (recent - usual) / np.maximum(deviation, floor)
    tail = np.array([0.5 * math.erfc(number / math.sqrt(2.0)) for number in z.tolist()])
    score = np.log(np.maximum(tail, _SURE)) / math.log(_SURE)
    return np.where(rows >= _SHORT * _FEWEST, score, 0.0)


def seasonal_naive(time_ms: I64, value: F64, span_ms: int) -> F64:
    """Outside the band of yesterday's and last week's values, in rolling deviations from yesterday's.

    The deviation is the mean distance from yesterday's value over the 288 rows before. (The median
    is zero for every second series that mostly stands still, and one threshold then fits none.)
    """
    known = _filled(value)
    yesterday, last_week = (_earlier(time_ms, known, ago, span_ms) for ago in (DAY_MS, WEEK_MS))
    low, high = np.fmin(yesterday, last_week), np.fmax(yesterday, last_week)
    outside = np.maximum(np.maximum(low - known, known - high), 0.0)
    seen = ~np.isnan(yesterday)
    usual, _, rows = _rolling(np.abs(known - yesterday)[seen], _ROWS)
    z = outside[seen] / np.maximum(usual, 1e-9 + 1e-3 * np.abs(known[seen]))
    scores = np.zeros(len(known))
    scores[seen] = np.where(rows >= _FEWEST, _squashed(z), 0.0)
    return scores


def _earlier(time_ms: I64, value: F64, ago_ms: int, span_ms: int) -> F64:
    """The last value at or before so long ago, NaN where there is none within a bucket of it."""
    at = np.searchsorted(time_ms, time_ms - ago_ms, side="right") - 1
    is_near = (at >= 0) & (time_ms - ago_ms - time_ms[at] < span_ms)
    return np.where(is_near, value[at], np.nan)


def rolling_z(time_ms: I64, value: F64, span_ms: int) -> F64:
    """Standard deviations from the mean, both of the 288 rows before."""
    known = _filled(value)
    mean, deviation, rows = _rolling(known, _ROWS)
    z = np.abs(known - mean) / np.maximum(deviation, 1e-9 + 1e-6 * np.abs(mean))
    return np.where(rows >= _FEWEST, _squashed(z), 0.0)


def _rolling(value: F64, window: int) -> tuple[F64, F64, I64]:
    """Mean and deviation of so many rows before each row, and how many there were; zeros for none.

    From running sums of the values less the first one, so that a far-off level costs no digits.
    """
    row = np.arange(len(value))
    first = np.maximum(row - window, 0)
    rows = row - first
    base = value[0] if len(value) else 0.0
    sums = np.append(0.0, np.cumsum(value - base))
    squares = np.append(0.0, np.cumsum((value - base) ** 2))
    mean = (sums[row] - sums[first]) / np.maximum(rows, 1)
    variance = (squares[row] - squares[first]) / np.maximum(rows, 1) - mean**2
    return np.where(rows > 0, mean + base, 0.0), np.sqrt(np.maximum(variance, 0.0)), rows


def _filled(value: F64) -> F64:
    """The values, where there is none the last one before, and 0 as long as there has been none."""
    last = np.maximum.accumulate(np.where(np.isnan(value), -1, np.arange(len(value))))
    return np.where(last >= 0, value[last], 0.0)


def _squashed(score: F64) -> F64:
    """From 0 and up to 0 to 1, in the same order."""
    positive = np.maximum(score, 0.0)
    return positive / (1.0 + positive)


def _package(name: str) -> Any:
    """A module of an optional package. Raises BenchError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise BenchError(
            f"{package} is not installed ({error}); pip install '.[bench]' brings it, --only does without"
        ) from None


PEERS: dict[str, Peer] = {
    "rcf3": forest,
    "Holt-Winters + likelihood": holt_winters,
    "seasonal naive band": seasonal_naive,
    "rolling z-score": rolling_z,
}
"""Each detector by the name it has in the tables."""


def chosen(ours: Mapping[str, Peer], only: Sequence[str]) -> dict[str, Peer]:
    """Ours and the peers, or those of them that are named in `only`, if any are."""
    everyone = {**ours, **PEERS}
    if unknown := sorted(set(only) - set(everyone)):
        raise BenchError(f"no such detector: {', '.join(unknown)}; there are {', '.join(everyone)}")
    return {name: run for name, run in everyone.items() if not only or name in only}


def scores_of(detector: Peer, series: Series) -> F64:
    """The score of every row of a series, which may be in any order; the bucket span is the data's."""
    order = np.argsort(series.time_ms, kind="stable")
    scores = np.zeros(len(order))
    scores[order] = detector(series.time_ms[order], series.value[order], span_of(series.time_ms))
    return scores
