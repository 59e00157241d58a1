"""Clean stretches of labelled data: the rows in which nobody has labelled anything unusual."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .quality import F64, I64, DataError, Series, read_series

Flags = npt.NDArray[np.bool_]

WARM_UP = 0.15
"""Share of a file's first rows that are not counted."""
MARGIN = 24
"""Rows on both sides of a labelled row that are not counted either: people label events loosely."""


@dataclass(frozen=True, slots=True)
class Stretches:
    """A file in the order of time, and which of its rows are clean."""

    time_ms: I64
    value: F64
    is_clean: Flags


def nab_files(folder: Path) -> Iterator[Stretches]:
    """The files of a folder with the layout of the Numenta benchmark.

    Raises DataError for what cannot be read.
    """
    path = folder / "labels" / "combined_windows.json"
    try:
        windows = {
            name: np.array(edges, "datetime64[ms]").astype(np.int64).reshape(-1, 2)
            for name, edges in sorted(json.loads(path.read_text(encoding="utf-8")).items())
        }
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: {error}") from None
    for name, spans in windows.items():
        series = read_series(folder / "data" / name, "timestamp", "value")
        yield _stretches(series, outside_windows(series.time_ms, spans))


def metric_files(folder: Path) -> Iterator[Stretches]:
    """The CSV files of TimeStamp, Value and Label below a folder.

    Raises DataError for what cannot be read, and if there are none.
    """
    paths = sorted(folder.rglob("*.csv"))
    if not paths:
        raise DataError(f"{folder}: no CSV files")
    for path in paths:
        series = read_series(path, "TimeStamp", "Value", "Label")
        yield _stretches(series, away_from_labels(series.label != 0.0, MARGIN))


def outside_windows(time_ms: I64, windows: I64 | Sequence[tuple[int, int]]) -> Flags:
    """Rows neither in a window (first and last time) nor, by its own width, behind it.

    >>> outside_windows(np.arange(8), [(2, 4)])
    array([ True,  True, False, False, False, False, False,  True])
    """
    is_clean = np.ones(len(time_ms), bool)
    for start, end in windows:
        is_clean &= (time_ms < start) | (time_ms > 2 * end - start)
    return is_clean


def away_from_labels(is_labelled: Flags, margin: int) -> Flags:
    """Rows further than `margin` rows from all labelled ones.

    >>> away_from_labels(np.array([False, False, False, True, False, False]), 1)
    array([ True,  True, False, False, False,  True])
    """
    near = np.convolve(is_labelled, np.ones(2 * margin + 1), "full")[margin : len(is_labelled) + margin]
    return near < 0.5


def _stretches(series: Series, is_clean: Flags) -> Stretches:
    """Without rows of the warm-up, and without those that have no value."""
    order = np.argsort(series.time_ms, kind="stable")
    clean = (is_clean & ~np.isnan(series.value))[order]
    clean[: int(WARM_UP * len(clean))] = False
    return Stretches(series.time_ms[order], series.value[order], clean)
