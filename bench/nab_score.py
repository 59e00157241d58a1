"""Scores of the Numenta Anomaly Benchmark, version 1.1, from scores per row.

The rules are those of Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms: the
Numenta Anomaly Benchmark" (ICMLA 2015), and of the benchmark's own scorer. Any folder with the
benchmark's layout will do: ``data/*/*.csv``, ``labels/combined_windows.json`` and
``config/profiles.json``. A row is detected when its score is at least the threshold. Then

- the first 15% of a file's rows, 750 at most, are probation and count for nothing;
- a labelled window earns the reward of its earliest detected row, from ``tp`` at its first row
  falling to little at its last; one without a detected row costs ``fn``;
- every detected row outside costs: next to nothing just behind a window, ``fp`` three of its
  widths further on or before any window;
- there is one threshold per profile for the whole corpus, the highest of those with the best total;
- scores are scaled so that no detection at all is 0 and every window found at its first row 100.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .quality import F64, I64, DataError, Series, read_series

NEVER = 1.1
"""A threshold that no score reaches: scores are from 0 to 1."""
_PROBATION, _PROBATION_ROWS = 0.15, 5000
_FAR = 3.0
"""Window widths behind a window at which a false detection costs all it can."""
PROFILES = {"standard": "standard", "reward_low_FP_rate": "low FP", "reward_low_FN_rate": "low FN"}
"""The benchmark's profiles, and what the tables call them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a found window earns, and what a missed one and a detection outside all of them cost."""

    tp: float
    fn: float
    fp: float


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A series, and for each of its rows what a detection there is worth."""

    name: str
    series: Series
    n_windows: int
    probation: int
    """So many rows at the beginning count for nothing."""
    window: I64
    """Which window the row lies in; -1 outside and in probation."""
    worth: F64
    """1 at the first row of a window, falling towards its end; 0 to -1 outside of all windows."""

    @property
    def collection(self) -> str:
        """The folder of the file."""
        return self.name.split("/")[0]

    @property
    def scorable(self) -> int:
        """How many windows have a row past probation, so that they can be found or missed."""
        return len(np.unique(self.window[self.window >= 0]))


@dataclass(frozen=True, slots=True)
class Corpus:
    """The labelled files by name, and the profiles."""

    files: tuple[LabelledFile, ...]
    profiles: dict[str, Profile]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a threshold does to one file."""

    total: float
    """Not normalised: what its found windows earn less all that is to be paid."""
    found: int
    missed: int
    false_rows: int
    """Detected rows outside of all windows."""
    alerts: int
    """Runs of detected rows past probation: how often somebody is called."""


def labelled(name: str, series: Series, spans: Sequence[tuple[int, int]]) -> LabelledFile:
    """A file with windows from time to time (both inclusive), which are times of rows.

    Where several rows have the same time the first is meant. Raises DataError for a window whose
    edge is no row's time, that ends before it starts, or that begins before the last one's end.
    """
    rows = len(series.time_ms)
    edges = [(_row(name, series.time_ms, start), _row(name, series.time_ms, end)) for start, end in spans]
    before = -1
    for first, last in edges:
        if last < first or first <= before:
            raise DataError(f"{name}: window of rows {first} to {last} is out of order")
        before = last
    window, worth = _rewards(rows, edges)
    probation = int(_PROBATION * min(rows, _PROBATION_ROWS))
    window[:probation] = -1
    worth[:probation] = 0.0
    return LabelledFile(name, series, len(edges), probation, window, worth)


def _row(name: str, time_ms: I64, edge_ms: int) -> int:
    rows = np.flatnonzero(time_ms == edge_ms)
    if not len(rows):
        raise DataError(f"{name}: a window begins or ends at {np.datetime64(edge_ms, 'ms')}, but no row does")
    return int(rows[0])


def _rewards(n_rows: int, edges: Sequence[tuple[int, int]]) -> tuple[I64, F64]:
    """Window and worth of every row, probation or not; windows are first and last rows, in order.

    With r the row, a window of width w that ends at e, and s(x) = 2 / (1 + exp(5x)) - 1: inside
    s(-(e - r + 1) / w) / s(-1), behind it s((r - e) / (w - 1)). Behind one of a single row the
    benchmark divides by zero; here a row there is far from it.
    """
    window, worth = np.full(n_rows, -1, np.int64), np.full(n_rows, -1.0)
    row = np.arange(n_rows)
    for which, (first, last) in enumerate(edges):
        width = last - first + 1
        inside, behind = slice(first, last + 1), slice(last + 1, n_rows)
        window[inside] = which
        worth[inside] = _sigmoid(-(last - row[inside] + 1) / width) / _sigmoid(np.array(-1.0))
        worth[behind] = _sigmoid((row[behind] - last) / (width - 1)) if width > 1 else -1.0
    return window, worth


def _sigmoid(x: F64) -> F64:
    return np.where(x > _FAR, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(x, _FAR))) - 1.0)


def sweep(files: Sequence[LabelledFile], scores: Sequence[F64], profile: Profile) -> tuple[F64, F64]:
    """Every threshold that makes a difference, from the highest down, and the total at each.

    The first is `NEVER`. O(n log n): rows are taken from the highest score down, and each changes
    the total by what it costs, or by how much it is better than the best so far in its window.
    """
    score, change = [np.empty(0)], [np.empty(0)]
    for file, given in zip(files, scores, strict=True):
        past = np.arange(len(given)) >= file.probation
        order = np.argsort(-given, kind="stable")
        order = order[past[order]]
        window, worth = file.window[order], file.worth[order]
        changes = np.where(window < 0, worth * profile.fp, 0.0)
        for which in np.unique(window[window >= 0]):
            inside = np.flatnonzero(window == which)
            best = np.maximum.accumulate(np.append(-profile.fn, worth[inside] * profile.tp))
            changes[inside] = np.diff(best)
        score.append(given[order])
        change.append(changes)
    of = np.concatenate(score)
    order = np.argsort(-of, kind="stable")
    of = of[order]
    totals = nothing(files, profile) + np.cumsum(np.concatenate(change)[order])
    last_of_ties = np.flatnonzero(np.append(of[1:] != of[:-1], True)[: len(of)])
    return np.append(NEVER, of[last_of_ties]), np.append(nothing(files, profile), totals[last_of_ties])


def nothing(files: Sequence[LabelledFile], profile: Profile) -> float:
    """The total of a detector that detects nothing: windows within probation are not missed."""
    return -profile.fn * sum(file.scorable for file in files)


def best_threshold(files: Sequence[LabelledFile], scores: Sequence[F64], profile: Profile) -> float:
    """The threshold with the highest total over these files; the highest of several."""
    thresholds, totals = sweep(files, scores, profile)
    return float(thresholds[np.argmax(totals)])


def outcome(file: LabelledFile, score: F64, threshold: float, profile: Profile) -> Outcome:
    """What comes of one file at a threshold."""
    detected = (score >= threshold) & (np.arange(len(score)) >= file.probation)
    inside = file.window >= 0
    found = np.unique(file.window[detected & inside])
    false = detected & ~inside
    earned = sum(float(file.worth[detected & (file.window == which)].max()) for which in found)
    missed = file.scorable - len(found)
    total = earned * profile.tp - missed * profile.fn + float(file.worth[false].sum()) * profile.fp
    starts = detected & ~np.append(False, detected[:-1])[: len(detected)]
    return Outcome(total, len(found), missed, int(false.sum()), int(starts.sum()))


def normalised(total: float, files: Sequence[LabelledFile], profile: Profile) -> float:
    """The total on the scale from 0 (detects nothing) to 100 (finds every window at once).

    As in the benchmark all windows are there to be found, also those that lie within probation.
    A corpus without windows is at 0 as long as nothing is detected, and else endlessly below.
    """
    null = nothing(files, profile)
    perfect = profile.tp * sum(file.n_windows for file in files)
    if perfect == null:
        return 0.0 if total == null else -np.inf
    return 100.0 * (total - null) / (perfect - null)


def read_corpus(folder: Path) -> Corpus:
    """The labelled files of a folder with the benchmark's layout, sorted by name.

    Raises DataError, which names the file, for whatever is not there or not as it should be.
    """
    spans = _json(folder / "labels" / "combined_windows.json")
    costs = _json(folder / "config" / "profiles.json")
    profiles = {}
    for name in PROFILES:
        try:
            cost = costs[name]["CostMatrix"]
            weights = (float(cost[weight]) for weight in ("tpWeight", "fnWeight", "fpWeight"))
            profiles[name] = Profile(*weights)
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{folder / 'config' / 'profiles.json'}: no weights of profile {name!r}"
            ) from None
    if not spans:
        raise DataError(f"{folder / 'labels' / 'combined_windows.json'}: names no file")
    files = [_file(folder / "data", name, windows) for name, windows in sorted(spans.items())]
    return Corpus(tuple(files), profiles)


def _file(data: Path, name: str, windows: Any) -> LabelledFile:
    series = read_series(data / name, "timestamp", "value")
    try:
        edges: npt.NDArray[Any] = np.array(windows, "datetime64[ms]").astype(np.int64).reshape(-1, 2)
    except (ValueError, TypeError):
        raise DataError(f"{name}: its windows are not pairs of times") from None
    pairs = [(int(start), int(end)) for start, end in edges]
    return labelled(name, series, pairs)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a JSON object")
    return content
