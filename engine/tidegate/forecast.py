"""Forecasts: which series have one, and the rows that say what will be.

The models are read, never changed: a forecast has no part in the results of the job.
"""

from __future__ import annotations

import os
import time as clock
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .cells import I64
from .config import Detector
from .errors import RequestError
from .forecastrequest import Request, why_not
from .individual import Individual
from .keys import Interner, Keys
from .lanes import Lane
from .model import Calendar
from .modelplot import model_feature
from .outlook import Outlook, known_series, look_ahead
from .results import FORECAST
from .threads import Threads

MAX_POINTS = 10_000_000
"""Series times buckets in one forecast."""
_BATCH_ROWS = 1 << 16  # what batches share is made once, and small
_UNMODELLED = (
    "Cannot run forecast: Forecast cannot be executed as job requires data to have been processed and modeled"
)


@dataclass(frozen=True, slots=True)
class _Part:
    """The forecast of one feature of one detector."""

    detector: Detector
    feature: str
    keys: Keys
    points: Outlook


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast that was made: its points, and what there is to know of it."""

    forecast_id: str
    create_ms: int
    expiry_ms: int | None
    """None: it does not expire."""
    points: pa.Table
    """Schema `results.FORECAST`, by detector, feature and series, those of a series in time order."""
    processing_time_ms: int

    def is_expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expiry_ms is not None and now_ms >= self.expiry_ms


def make_forecast(
    job_id: str,
    request: Request,
    lanes: Iterable[Lane],
    names: Mapping[str, Interner],
    buckets: tuple[int, int, int],
    threads: Threads,
) -> Forecast:
    """Forecasts every series from the end of the last finalised bucket on.

    ``buckets`` are the number of the first bucket, how many were skipped before it, and its span in
    milliseconds. Raises RequestError if no series is known well enough, or if there would be more than
    MAX_POINTS points.
    """
    began, create_ms = clock.perf_counter(), int(clock.time() * 1000)
    first, skipped, span_ms = buckets
    calendar = Calendar.of(first, first + request.duration_ms // span_ms, span_ms)
    models = [
        (analysis.detector, model, lane.keys)
        for lane in lanes
        for analysis in lane.analyses
        if isinstance(analysis, Individual) and why_not(analysis.detector) is None
        for model in analysis.models
    ]
    models.sort(key=lambda part: part[0].detector_index)
    known = sum(known_series(model, calendar, skipped) for _, model, _ in models)
    if not known:
        raise RequestError(_UNMODELLED)
    if known * len(calendar) > MAX_POINTS:
        raise RequestError(
            f"[duration] of {len(calendar)} buckets for {known} series would make {known * len(calendar)} "
            f"points; a forecast has at most {MAX_POINTS}"
        )
    parts = [
        _Part(detector, model.feature, keys, look_ahead(model, calendar, skipped, threads))
        for detector, model, keys in models
    ]
    times = np.arange(calendar.bucket_from, calendar.bucket_to) * span_ms
    expiry_ms = create_ms + request.expires_in_ms if request.expires_in_ms else None
    forecast_id = urlsafe_b64encode(os.urandom(15)).decode()  # what `secrets` needs takes 10 ms to import
    rows = _Rows(job_id, forecast_id, create_ms, expiry_ms, span_ms, times)
    points = pa.Table.from_batches((batch for part in parts for batch in rows.batches(part, names)), FORECAST)
    elapsed = round(1000.0 * (clock.perf_counter() - began))
    return Forecast(forecast_id, create_ms, expiry_ms, points, elapsed)


class _Rows:
    """Makes rows of points; batches of equal size share what is the same in all of them."""

    def __init__(
        self,
        job_id: str,
        forecast_id: str,
        create_ms: int,
        expiry_ms: int | None,
        span_ms: int,
        times: I64,
    ) -> None:
        self._times = times
        self._values = {
            "job_id": pa.scalar(job_id),
            "result_type": pa.scalar("model_forecast"),
            "forecast_id": pa.scalar(forecast_id),
            "bucket_span": pa.scalar(span_ms // 1000, pa.int64()),
            "forecast_create_timestamp": pa.scalar(create_ms, pa.int64()),
            "forecast_expiry_timestamp": pa.scalar(expiry_ms, pa.int64()),
        }
        self._shared: dict[tuple[Any, int], pa.Array] = {}

    def _same(self, value: pa.Scalar, n: int) -> pa.Array:
        """A column of one value: the very same one wherever it is asked for."""
        key = (value.type, value.as_py()), n
        if key not in self._shared:
            self._shared[key] = pa.repeat(value, n)
        return self._shared[key]

    def _common(self, n_series: int) -> dict[str, pa.Array]:
        n = n_series * len(self._times)
        if (None, n) not in self._shared:
            self._shared[None, n] = pa.array(np.tile(self._times, n_series))
        columns = {name: self._same(value, n) for name, value in self._values.items()}
        return {**columns, "timestamp": self._shared[None, n]}

    def batches(self, part: _Part, names: Mapping[str, Interner]) -> Iterator[pa.RecordBatch]:
        """The rows of a part, all buckets of some of its series at a time."""
        n, detector, points = len(self._times), part.detector, part.points
        some = max(_BATCH_ROWS // n, 1)
        settings = {
            "detector_index": pa.scalar(detector.detector_index, pa.int64()),
            "model_feature": pa.scalar(model_feature(detector.spec, part.feature), pa.string()),
            "by_field_name": pa.scalar(detector.by_field_name, pa.string()),
            "partition_field_name": pa.scalar(detector.partition_field_name, pa.string()),
        }
        for start in range(0, len(points.series), some):
            series = points.series[start : start + some]
            rows = slice(start * n, (start + len(series)) * n)
            size = len(series) * n
            columns = {
                **self._common(len(series)),
                **{name: self._same(value, size) for name, value in settings.items()},
                **_key_values(part.keys, series, n, names),
                "forecast_lower": pa.array(points.lower[rows]),
                "forecast_prediction": pa.array(points.prediction[rows]),
                "forecast_upper": pa.array(points.upper[rows]),
            }
            yield pa.record_batch(
                [
                    columns[field.name]
                    if field.name in columns
                    else self._same(pa.scalar(None, field.type), size)
                    for field in FORECAST
                ],
                schema=FORECAST,
            )


def _key_values(
    keys: Keys, series: I64, n_buckets: int, names: Mapping[str, Interner]
) -> dict[str, pa.Array]:
    """By and partition values of the rows of some series, where there are such fields."""
    of_row = pa.array(np.repeat(np.arange(len(series)), n_buckets))
    columns = {}
    for role, field in (("by", keys.by), ("partition", keys.partition)):
        if field is not None:
            codes = pa.array(getattr(keys, f"{role}_codes")(series))
            columns[f"{role}_field_value"] = names[field].texts().take(codes).cast(pa.string()).take(of_row)
    return columns
