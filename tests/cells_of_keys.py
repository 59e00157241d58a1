"""Rows of keys put through a stream, cut and ordered in any way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tidegate.cells import ClosedCells
from tidegate.keycells import Summary
from tidegate.keystream import KeyStream
from tidegate.passes import Planner, Span
from tidegate.threads import Threads

SPAN = 1000
Values = dict[tuple[int, int], tuple[int, float]]
"""By bucket and series: how many values, and what they come to."""


def spread(words: npt.NDArray, buckets: int, series: int, seed: int) -> tuple[npt.NDArray, npt.NDArray]:
    """Times and series of some words, at random; sorted by time."""
    random = np.random.default_rng(seed)
    time = np.sort(random.integers(0, buckets * SPAN, len(words)))
    return time, random.integers(0, series, len(words)).astype(np.int32)


def fill(stream: KeyStream, time: npt.NDArray, series: npt.NDArray, words: npt.NDArray) -> None:
    """Puts rows into a stream, all of whose buckets stay open."""
    latency = (int(time.max(initial=0)) // SPAN + 1) * SPAN
    planner = Planner(time, Span(SPAN, latency), Threads(1))
    while planner.row < len(time):
        rows = planner.next(-latency, 1 << 16, 1 << 16)
        assert rows is not None
        part = slice(rows.start, rows.stop)
        for work in stream.gather(rows, series[part], words[part], 1):
            work()


def cells_of(
    summary: Summary,
    time: npt.NDArray,
    series: npt.NDArray,
    words: npt.NDArray,
    cuts: Sequence[int] = (),
    log_rows: int = 1 << 18,
) -> Values:
    """What the rows come to when they are put in piece by piece; the stream is then empty."""
    stream = KeyStream(Span(SPAN, 0), summary, log_rows)
    bounds = [0, *sorted(cuts), len(time)]
    for start, stop in pairwise(bounds):
        fill(stream, time[start:stop], series[start:stop], words[start:stop])
    made = as_values(stream.close(1 << 40, 0))
    assert not len(stream.close(1 << 41, 0))
    return made


def as_values(cells: ClosedCells) -> Values:
    """Cells by bucket and series; they come in this order."""
    names = list(zip(cells.bucket_c.tolist(), cells.series_c.tolist(), strict=True))
    assert names == sorted(set(names))
    counts, values = cells.record_c[::2].astype(int).tolist(), cells.record_c[1::2].tolist()
    return dict(zip(names, zip(counts, values, strict=True), strict=True))


def by_cell(time: npt.NDArray, series: npt.NDArray, values: Sequence) -> dict[tuple[int, int], list]:
    """The values of every bucket and series."""
    cells: dict[tuple[int, int], list] = {}
    for bucket, one, value in zip((time // SPAN).tolist(), series.tolist(), values, strict=True):
        cells.setdefault((bucket, one), []).append(value)
    return cells
