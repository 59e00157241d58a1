"""What the benchmarks reach for behind the engine's facade; nothing else in `bench` does.

The engine changes; then these few functions change with it, and no benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

import tidegate
from tidegate.analysis import LaneCells
from tidegate.cells import F64, Cells, ClosedCells
from tidegate.config import JobConfig
from tidegate.engine import PASS_BUCKETS, PASS_CELLS
from tidegate.kept import State
from tidegate.keys import KeySpace
from tidegate.model import NO_PLOT, Calendar, FeatureModel, Run
from tidegate.passes import Planner, Span
from tidegate.rare import Rare
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
    return sum(analysis.taken(lane.keys.sizes) for lane in lanes for analysis in lane.analyses)


def state_of(job: tidegate.Job) -> State:
    """All that a job knows but its results, as a tree, on the job's own memory."""
    return job._capture(copy=False)


def restore(job: tidegate.Job, state: State) -> None:
    """Puts such a tree into a job that is as new."""
    job._restore(state)


def rare_scorer(
    bucket: npt.NDArray[np.int64], series: npt.NDArray[np.int32], partition: npt.NDArray[np.int32]
) -> tuple[int, Callable[[], int]]:
    """How many cells there are, and what scores them, ``rare`` by partition, on one thread.

    Every call goes on with the next days: the same cells, later, so that all partitions are known.
    """
    key = np.unique((bucket.astype(np.int64) << 32) | series)
    buckets, numbers = key >> 32, (key & 0xFFFFFFFF).astype(np.int32)
    of_series = np.zeros(int(series.max()) + 1, np.int32)
    of_series[series] = partition
    keys = KeySpace("process", "host", use_null=True)
    keys.series({"process": np.arange(len(of_series), dtype=np.int32), "host": of_series}, 1 << 30)
    detector = {"function": "rare", "by_field_name": "process", "partition_field_name": "host"}
    settings = config("count")
    settings["analysis_config"]["detectors"] = [detector]
    model = Rare(JobConfig.parse(settings).analysis_config.detectors[0], SPAN_MS)
    pool, days, passed = Threads(1), int(buckets[-1] - buckets[0]) + 1, [0]
    step = max(16, min(PASS_BUCKETS, PASS_CELLS // len(of_series)))
    source = ("count", None)

    def score() -> int:
        scored = 0
        for first in range(int(buckets[0]), int(buckets[-1]) + 1, step):
            part = slice(*np.searchsorted(buckets, (first, first + step)))
            shifted = buckets[part] + passed[0]
            cells = ClosedCells(shifted, numbers[part], np.ones(len(shifted)), 1)
            begin = first + passed[0]
            run = Run(Calendar.of(begin, begin + step, SPAN_MS), 0, learn=True)
            finding = model.run(LaneCells({source: cells}, len(keys)), keys, run, pool, NO_PLOT)
            scored += int(finding.scored.scored_b.sum())
        passed[0] += days
        return scored

    return len(key), score
