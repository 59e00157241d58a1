"""The model by itself, and a whole job from an Arrow table to results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

import tidegate
from tidegate.cells import Cells, ClosedCells
from tidegate.config import JobConfig
from tidegate.model import Calendar, FeatureModel, Run

from .inputs import SPAN_MS, START_MS, Events, config


class OneThread:
    """A pool that runs every piece itself."""

    size = 1
    map = staticmethod(map)


def model(n_series: int, n_buckets: int) -> Callable[[], int]:
    """Predict, score and train: one value for every series and bucket, a seasonal series each.

    Each run goes on with the next `n_buckets` buckets, so that the models are in their stride
    after the first.
    """
    detector = JobConfig.parse(config("mean")).analysis_config.detectors[0]
    feature = FeatureModel(detector, "mean", SPAN_MS, 8640)
    random = np.random.default_rng(1)
    position = [START_MS // SPAN_MS]
    pool = OneThread()

    def prepare() -> tuple[Cells, Run]:
        first = position[0]
        position[0] += n_buckets
        bucket = np.repeat(np.arange(first, first + n_buckets), n_series)
        series = np.tile(np.arange(n_series, dtype=np.int32), n_buckets)
        phase = 2 * np.pi * (bucket * SPAN_MS % 86_400_000) / 86_400_000
        record = np.zeros((len(bucket), 6))
        record[:, 0] = 1.0
        record[:, 1] = 100.0 + 10.0 * np.sin(phase) + random.normal(0.0, 3.0, len(bucket))
        cells = ClosedCells(bucket, series, record.reshape(-1), 6).by_series(n_series)
        return cells, Run(Calendar.of(first, first + n_buckets, SPAN_MS), 0, learn=True)

    prepared = [prepare()]

    def run() -> int:
        cells, span = prepared.pop()
        return int(feature.run(cells, span, pool).scored_b.sum())

    def ready() -> None:
        prepared[:] = [prepare()]

    run.ready = ready  # type: ignore[attr-defined]
    return run


def job(
    events: Events, function: str, threads: int, *, plain: bool = False, disorder_ms: int = 0
) -> Callable[[], int]:
    """A whole job: post one Arrow table, flush, and read how many buckets there are.

    `plain` gives keys as strings instead of a dictionary; `disorder_ms` delays each record by
    up to so much, with a latency of twice that.
    """
    table = events.table()
    if plain:
        table = table.set_column(1, "host", table["host"].cast(pa.string()))
    settings = config(function)
    if disorder_ms:
        delay = np.random.default_rng(3).integers(0, disorder_ms, len(events.time))
        table = table.take(pa.array(np.argsort(events.time + delay, kind="stable")))
        settings["analysis_config"]["latency"] = f"{2 * disorder_ms // 1000}s"

    def run() -> int:
        with tidegate.Job(settings, threads=threads) as whole:
            counts = whole.post(table)
            whole.flush()
            if counts.processed_record_count != len(events.time):
                raise AssertionError(f"not all records were used: {counts}")
            return int(whole.buckets().num_rows)

    return run
