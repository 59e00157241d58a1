"""What the benchmarks reach for behind the engine's facade; nothing else in `bench` does.

The engine changes; then these few functions change with it, and no benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

import tidegate
from tidegate.cells import F64, Cells, ClosedCells
from tidegate.config import JobConfig
from tidegate.engine import PASS_BUCKETS, PASS_CELLS
from tidegate.model import Calendar, FeatureModel, Run
from tidegate.passes import Planner, Span
from tidegate.streams import CellStream
from tidegate.threads import Threads
from tidegate.timeline import MAX_FILLED_BUCKETS

from .inputs import SPAN_MS, Events, config


def gathered(events: Events, threads: int) -> Iterator[ClosedCells]:
    """Closed cells of all buckets of the events, in passes as the engine makes them."""
    pool, span = Threads(threads), Span(SPAN_MS, 0)
    planner, stream = Planner(events.time, span, pool), CellStream(span, valued=True)
    stream.grow(events.n_series)
    most = max(16, min(PASS_BUCKETS, PASS_CELLS // events.n_series))
    end = int(events.time[0]) // SPAN_MS * SPAN_MS
    while planner.row < len(events):
        part = planner.next(end, most, MAX_FILLED_BUCKETS)
        if part is None:
            raise AssertionError("the events have no gaps")
        rows = slice(part.start, part.stop)
        pool.run(stream.gather(part, events.series[rows], events.value[rows], threads))
        end = part.end
        yield stream.close(end, 0)
    yield stream.close(end + 2 * SPAN_MS, 0)
    pool.rest()


def statistic(cells: ClosedCells, name: str) -> F64:
    """Count, sum, min or max of every closed cell."""
    in_place = Cells(cells, np.arange(len(cells)), np.zeros(1, np.int64))
    return in_place.columns(name, 0, len(cells))[2]


def scorer(threads: int, span_ms: int = SPAN_MS) -> Callable[[F64, int], Callable[[], int]]:
    """A model of means: takes values and the number of their first bucket, gives what scores them.

    Values are by bucket, then by series. What comes back predicts, scores and trains when it is
    called, and returns how many values were scored; cells are sorted by block of series before.
    """
    detector = JobConfig.parse(config("mean")).analysis_config.detectors[0]
    model = FeatureModel(detector, "mean", span_ms, 8640)
    pool = Threads(threads)

    def prepared(value: F64, first: int) -> Callable[[], int]:
        n_buckets, n_series = value.shape
        cells = _cells(value, first).by_block(n_series)
        run = Run(Calendar.of(first, first + n_buckets, span_ms), 0, learn=True)
        return lambda: int(model.run(cells, run, pool).scored_b.sum())

    return prepared


def _cells(value: F64, first: int) -> ClosedCells:
    """A cell of one record for every value."""
    n_buckets, n_series = value.shape
    record = np.zeros((value.size, 6))
    record[:, 0] = 1.0
    record[:, 1] = value.reshape(-1)
    bucket = np.repeat(np.arange(first, first + n_buckets), n_series)
    series = np.tile(np.arange(n_series, dtype=np.int32), n_buckets)
    return ClosedCells(bucket, series, record.reshape(-1), 6)


def state_bytes(job: tidegate.Job) -> int:
    """Bytes that the states of all models of a job take."""
    lanes = job._engine._lanes.values()
    return sum(analysis.state_bytes for lane in lanes for analysis in lane.analyses)
