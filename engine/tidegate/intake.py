"""The way of a batch into the buffer: which records are taken, and their columns as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidegate_kernels import admit as kernels

from .cells import F64, I32, I64
from .columns import to_degrees, to_float
from .config import JobConfig
from .counts import DataCounts
from .errors import DataError
from .keys import Interner
from .position import AXES, vectors_of
from .timefield import to_epoch_ms
from .timeline import jump_limit_ms

_WINDOW = 10
_NO_VALUES: F64 = np.empty(0)


@dataclass(frozen=True, slots=True)
class Rows:
    """Admitted records of one batch, ready to be gathered; arrays are of equal length."""

    time: I64
    codes: Mapping[str, I32]
    """Key fields: codes of their strings."""
    numbers: Mapping[str, F64]
    """Numeric fields: NaN for no value."""
    distinct: Mapping[str, F64]
    """Fields whose distinct values are counted: codes of their strings, NaN for no value."""
    positions: Mapping[tuple[str, str], F64]
    """Positions: the coordinates of their unit vectors by axis and field, NaN for no value."""

    def __len__(self) -> int:
        return len(self.time)

    def values(self, source: tuple[str, str | None]) -> F64:
        """The values that a stream of the given kind and field gathers."""
        kind, field = source
        if field is None:
            return self.time.astype(float) if kind == "time" else _NO_VALUES
        if kind in AXES:
            return self.positions[kind, field]
        return self.distinct[field] if kind == "distinct" else self.numbers[field]

    def _each(self, change: Callable[[Any], Any]) -> Rows:
        """The rows with a change made to every array."""
        return Rows(
            change(self.time),
            *({name: change(array) for name, array in columns.items()} for columns in self._columns()),
        )

    def _columns(self) -> tuple[Mapping[Any, Any], ...]:
        return self.codes, self.numbers, self.distinct, self.positions

    def where(self, mask: npt.NDArray[np.bool_]) -> Rows:
        """The rows where the mask is true."""
        return self._each(lambda array: array[mask])

    def part(self, start: int, stop: int) -> Rows:
        """Rows [start, stop); shares memory."""
        return self._each(lambda array: array[start:stop])

    def owned(self) -> Rows:
        """The rows in memory that nobody else can change."""
        return self._each(lambda array: array if array.flags.owndata else array.copy())

    @classmethod
    def joined(cls, pieces: Sequence[Rows]) -> Rows:
        """Several batches as one."""

        def join(kind: str) -> dict[Any, Any]:
            return {
                name: np.concatenate([getattr(p, kind)[name] for p in pieces])
                for name in getattr(pieces[0], kind)
            }

        columns = (join(kind) for kind in ("codes", "numbers", "distinct", "positions"))
        return cls(np.concatenate([p.time for p in pieces]), *columns)


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields the detectors read, and as what."""

    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    distinct: tuple[str, ...]
    positions: tuple[str, ...]
    analysed: tuple[str, ...]
    texts: tuple[str, ...]
    """Fields that readers must leave as the text they are; a pattern for the time needs it too."""

    @classmethod
    def of(cls, config: JobConfig) -> Fields:
        """The fields of a job."""
        detectors = config.analysis_config.detectors
        keys = dict.fromkeys(name for detector in detectors for name in detector.split_fields)
        numbers: dict[str, None] = {}
        distinct: dict[str, None] = {}
        positions: dict[str, None] = {}
        for detector in detectors:
            if detector.field_name is not None:
                into = {"distinct_count": distinct, "lat_long": positions}.get(detector.spec.family, numbers)
                into[detector.field_name] = None
        time = config.data_description
        by_pattern = time.time_format not in ("epoch", "epoch_ms")
        return cls(
            tuple(keys),
            tuple(numbers),
            tuple(distinct),
            tuple(positions),
            config.analysis_config.analysed_fields(),
            tuple(dict.fromkeys((*keys, *distinct, *positions, *([time.time_field] if by_pattern else [])))),
        )

    @property
    def coded(self) -> tuple[str, ...]:
        """The fields that are taken as codes of their text."""
        return tuple(dict.fromkeys((*self.keys, *self.distinct)))


class Intake:
    """Takes batches: admits records by their time, interns keys, and counts everything."""

    def __init__(self, config: JobConfig) -> None:
        analysis = config.analysis_config
        self.fields = Fields.of(config)
        self.names = {field: Interner() for field in self.fields.coded}
        self._job_id = config.job_id
        self._time_field = config.data_description.time_field
        self._time_format = config.data_description.time_format
        self._span = analysis.bucket_span_ms
        self._latency = analysis.latency_buckets * self._span
        self._max_gap = jump_limit_ms(self._span)
        self._width = max(_WINDOW, analysis.latency_buckets)
        self._clock: I64 = np.zeros(kernels.CLOCK_SIZE + self._width, np.int64)
        for at in (
            kernels.NEWEST,
            kernels.FIRST,
            kernels.MOVED,
            kernels.BARRIER,
            kernels.WINDOW_FIRST,
            kernels.LATEST_EMPTY,
            kernels.LATEST_SPARSE,
        ):
            self._clock[at] = kernels.INVALID
        self._waiting: list[Rows] = []
        """Records that are held until others agree that they are not strays."""

    @property
    def waiting(self) -> int:
        """Records held until others agree that they are not strays."""
        return abs(int(self._clock[kernels.RUN]))

    def moved(self, time_ms: int, finalized_end: int | None) -> list[Rows]:
        """Takes note of an advance or a skip to a time and of the boundary it led to.

        Returns the records that waited and are no longer far ahead.
        """
        self._clock[kernels.MOVED] = max(self._clock[kernels.MOVED], time_ms, finalized_end or time_ms)
        if finalized_end is not None:
            self._clock[kernels.BARRIER] = max(self._clock[kernels.BARRIER], finalized_end)
        keep = np.empty(kernels.AGREE, np.uint8)
        held = kernels.release(self._span, self._width, self._max_gap, keep, self._clock)
        if not held:
            return []
        waited, self._waiting = Rows.joined(self._waiting), []
        return [waited.where(keep[:held] == kernels.KEPT)]

    def take(self, batch: pa.RecordBatch) -> tuple[Rows, DataCounts, bool]:
        """The records of a batch to use, its counts, and whether all used before were strays.

        Raises DataError when a column cannot be read; nothing but the tables of strings has then
        changed.
        """
        try:
            return self._take(batch)
        except pa.ArrowException as error:
            raise DataError(f"a batch of {len(batch)} records cannot be read: {error}") from error

    def _take(self, batch: pa.RecordBatch) -> tuple[Rows, DataCounts, bool]:
        time = self._times(batch)
        columns = {name: batch.column(name) for name in self.fields.analysed if name in batch.schema.names}
        clock, keep = self._clock.copy(), np.empty(len(time), np.uint8)
        processed = kernels.admit(time, self._span, self._latency, self._max_gap, self._width, keep, clock)
        if processed < len(time):
            taken = keep != kernels.DROPPED
            time, keep = time[taken], keep[taken]
            columns = {name: column.filter(pa.array(taken)) for name, column in columns.items()}
        missing = sum(column.null_count for column in columns.values())
        missing += (len(self.fields.analysed) - len(columns)) * processed
        rows, invalid_values = self._encode(time, columns)
        counts = DataCounts(
            processed_record_count=processed,
            processed_field_count=max(processed * len(self.fields.analysed) - missing, 0),
            input_field_count=sum(
                len(batch) - column.null_count
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
                if name != self._time_field
            ),
            missing_field_count=missing,
            invalid_value_count=invalid_values,
        )
        self._clock = clock
        return self._used(rows, keep), counts, bool(clock[kernels.RESTARTED])

    def _used(self, rows: Rows, keep: npt.NDArray[np.uint8]) -> Rows:
        """The rows to use, those that have waited for them first; holds back the waiting ones."""
        waited = self._waiting
        carried = self._clock[kernels.CARRIED]
        if carried in (kernels.BELIEVED, kernels.GIVEN_UP):
            self._waiting = []
        if not (keep == kernels.KEPT).all():
            if (keep == kernels.WAITING).any():
                self._waiting.append(rows.where(keep == kernels.WAITING))
            rows = rows.where(keep == kernels.KEPT)
        return Rows.joined([*waited, rows]) if carried == kernels.BELIEVED else rows

    def finish(self, before: I64) -> DataCounts:
        """Ends an upload that began with `snapshot`: what its records did to the clock."""
        kernels.drain_window(self._span, self._width, self._clock)
        now = self._clock

        def grew(at: int) -> int:
            return int(now[at] - before[at])

        def changed(at: int) -> int | None:
            return int(now[at]) if now[at] != before[at] else None

        return DataCounts(
            job_id=self._job_id,
            invalid_date_count=grew(kernels.BAD_DATE),
            out_of_order_timestamp_count=grew(kernels.OUT_OF_ORDER),
            far_future_record_count=grew(kernels.FAR),
            ignored_record_count=grew(kernels.IGNORED),
            bucket_count=grew(kernels.BUCKETS),
            empty_bucket_count=grew(kernels.EMPTY),
            sparse_bucket_count=grew(kernels.SPARSE),
            earliest_record_timestamp=changed(kernels.FIRST),
            latest_record_timestamp=int(now[kernels.NEWEST])
            if now[kernels.NEWEST] != kernels.INVALID
            else None,
            latest_empty_bucket_timestamp=changed(kernels.LATEST_EMPTY),
            latest_sparse_bucket_timestamp=changed(kernels.LATEST_SPARSE),
        )

    def snapshot(self) -> I64:
        """The clock as it is, for `finish`."""
        return self._clock.copy()

    def _times(self, batch: pa.RecordBatch) -> I64:
        if self._time_field not in batch.schema.names:
            return np.full(len(batch), kernels.INVALID)
        return to_epoch_ms(batch.column(self._time_field), self._time_format)

    def _encode(self, time: I64, columns: Mapping[str, pa.Array]) -> tuple[Rows, int]:
        n, invalid = len(time), 0
        codes, numbers, distinct = {}, {}, {}
        for field in self.fields.coded:
            coded = self.names[field].codes(columns[field]) if field in columns else np.zeros(n, np.int32)
            if field in self.fields.keys:
                codes[field] = coded
            if field in self.fields.distinct:
                distinct[field] = np.where(coded > 0, coded, np.nan)
        for field in self.fields.numbers:
            if field in columns:
                numbers[field], bad = to_float(columns[field])
                invalid += bad
            else:
                numbers[field] = np.full(n, np.nan)
        positions: dict[tuple[str, str], F64] = {}
        for field in self.fields.positions:
            column = columns.get(field, pa.nulls(n, pa.string()))
            latitude, longitude, bad = to_degrees(column)
            invalid += bad
            for axis, coordinate in zip(AXES, vectors_of(latitude, longitude), strict=True):
                positions[axis, field] = coordinate
        return Rows(np.ascontiguousarray(time), codes, numbers, distinct, positions), invalid
