"""The way of a batch into the buffer: which records are taken, and their columns as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidegate_kernels import admit as kernels

from .cells import I32, I64
from .config import JobConfig
from .counts import DataCounts
from .encode import Encoder
from .errors import DataError
from .kept import INSIDE, Keeper, require
from .keys import U64
from .rows import Rows
from .timefield import to_epoch_ms
from .timeline import jump_limit_ms
from .weights import to_weights

_WINDOW = 10


class Intake(Keeper):
    """Takes batches: admits records by their time, interns keys, and counts everything."""

    KEPT: ClassVar = {"_clock": INSIDE, "_encoder": INSIDE, "_waiting": list[Rows]}

    def __init__(self, config: JobConfig) -> None:
        analysis = config.analysis_config
        self._encoder = Encoder(config)
        self.fields, self.categorizer = self._encoder.fields, self._encoder.categorizer
        self.names, self.texts = self._encoder.names, self._encoder.texts
        self._job_id = config.job_id
        self._summary_field = analysis.summary_count_field_name
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

    def _resume(self) -> None:
        clock = self._clock
        held = sum(map(len, self._waiting))
        require(held == self.waiting < kernels.AGREE, f"{self.waiting} records wait, {held} are there")
        require(kernels.NOTHING <= clock[kernels.CARRIED] <= kernels.GIVEN_UP, "what was held is in no state")
        first, last = int(clock[kernels.WINDOW_FIRST]), int(clock[kernels.WINDOW_LAST])
        fits = first == kernels.INVALID or (last >= 0 and -1 <= last - first < self._width)
        require(fits, f"the window from bucket {first} to {last} is not within {self._width} buckets")
        self.require_rows(self._waiting)

    def require_rows(self, rows: Iterable[Rows]) -> None:
        """Sees that restored rows have the columns of the job, and codes that there are."""
        sizes = {field: len(names) for field, names in self.names.items()}
        like = self._encoder.no_rows()
        if self._summary_field is not None:
            like = replace(like, weight=np.zeros(1))
        for some in rows:
            some.require_like(like, sizes)

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

    def narrowed(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
        """The batch with the fields that the job reads alone, and how many values the others have."""
        read = {self._time_field, *self.fields.analysed}
        others = [name for name in batch.schema.names if name not in read]
        if not others:
            return batch, 0
        dropped = sum(len(batch) - batch.column(name).null_count for name in others)
        return batch.select([name for name in batch.schema.names if name in read]), dropped

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
        rows, invalid_values = self._encoder.rows(time, columns)
        invalid_weights = 0
        if self._summary_field is not None:
            weight, invalid_weights = to_weights(columns.get(self._summary_field), len(rows))
            rows = replace(rows, weight=weight)
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
            invalid_summary_count=invalid_weights,
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

    def finish(self, before: I64, *, is_last: bool = True) -> DataCounts:
        """What the records since `snapshot` did to the clock; `is_last`: an upload ends with them."""
        if is_last:
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

    def forget_texts(self, used: Callable[[str], Iterable[U64]]) -> None:
        """Lets go of texts that nobody needs, once they are many; `used` gives the hashes of a field."""
        self._encoder.forget_texts(
            lambda field: [*(rows.hashes[field] for rows in self._waiting), *used(field)]
        )

    def forget_names(self, used: Callable[[str], Iterable[npt.NDArray[np.integer]]]) -> dict[str, I32]:
        """Lets go of strings that nobody needs, once they are many; `used` gives the codes of a field.

        Returns the new codes by the old ones, of the fields in which there are any.
        """
        new_of = self._encoder.forget_names(
            lambda field: [*(rows.codes[field] for rows in self._waiting), *used(field)]
        )
        self._waiting = [rows.with_codes(new_of) for rows in self._waiting]
        return new_of

    def _times(self, batch: pa.RecordBatch) -> I64:
        if self._time_field not in batch.schema.names:
            return np.full(len(batch), kernels.INVALID)
        return to_epoch_ms(batch.column(self._time_field), self._time_format)
