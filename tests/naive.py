"""The naive twin: the engine again in plain, slow Python, one record at a time.

Written from the contract (sections 1.5, 1.7, 2.3 to 2.5 and the functions table), with dictionaries
and no regard for speed; every fast path is compared with it. Times are integer epoch milliseconds.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from tests.naive_cells import (
    OF_TEXTS,
    Cell,
    Diagnostics,
    NaiveDetector,
    Record,
    number,
    parse_time,
    span_ms,
    summary_count,
)

from tidegate.timeline import MAX_FILLED_BUCKETS as MAX_FILLED
from tidegate.timeline import jump_limit_ms

AGREE = 10
"""So many records in a row make a jump in time believed."""


class SeriesKey(NamedTuple):
    """Which model of which detector: `detector` is its index."""

    detector: int
    feature: str
    by: str
    partition: str


class Model(Protocol):
    """The model of all series.

    One that has a method ``end_bucket(bucket_index, skipped_buckets, learn)`` is told when all cells of
    a bucket were observed, which is when zeros can be filled in; it returns more records, or None.
    """

    def observe(
        self, series_key: SeriesKey, bucket_index: int, value: float | None, records: int, learn: bool
    ) -> Any | None:
        """Scores one cell, then learns it unless it is an interim one; a record if it is unusual."""


class NaiveJob:
    """A job, open from the start; results are there as soon as a record makes them.

    `cells` and `interim_cells` hold, for every (detector index, feature), the input of the model in
    the order of buckets. For functions that fill with zeros, which buckets without a cell are zeros
    is the model's business. `discarded` counts used records that no final bucket counts: of buckets
    not seen whole, or skipped; `restarts` how often the first records proved to be strays.
    """

    def __init__(self, config: Record, model: Model | None = None) -> None:
        analysis, data = config["analysis_config"], config.get("data_description", {})
        self.detectors = [NaiveDetector.of(i, d) for i, d in enumerate(analysis["detectors"])]
        self.span = span_ms(analysis.get("bucket_span", "5m"))
        buckets = math.ceil(span_ms(analysis.get("latency", 0)) / self.span)
        self.latency = buckets * self.span
        self.model = model
        self._time_field = data.get("time_field", "time")
        self._summary = analysis.get("summary_count_field_name")
        self._time_format = data.get("time_format", "epoch_ms")
        roles = [(d.value, d.by, d.partition) for d in self.detectors]
        self._analysed = {name for role in roles for name in role if name is not None}
        self._analysed |= {self._summary} - {None}
        numeric = {d.value for d in self.detectors if d.features[0] not in ("count", *OF_TEXTS)}
        self._numeric = numeric - {None}
        self._limit = jump_limit_ms(self.span)

        self._finalized: int | None = None  # F
        self._whole: int | None = None  # start of the first bucket that can have been seen whole
        self._open: dict[int, list[Record]] = {}
        self.skipped_buckets = 0
        self.discarded = 0
        self.restarts = 0

        self._newest: int | None = None
        self._used = 0  # records put into buckets
        self._moved: int | None = None  # latest advance or skip
        self._barrier: int | None = None  # boundary that it set
        self._waiting: list[tuple[int, Record]] = []  # held until ten in a row agree
        self._direction = 0

        self._counts: Counter[str] = Counter()
        self._first: int | None = None
        self._window = Diagnostics(self.span, max(10, buckets))

        self._final: list[dict[str, Any]] = []
        self._interim: list[dict[str, Any]] = []
        self._final_records: list[Any] = []
        self._interim_records: list[Any] = []
        self._sweep = True
        self.cells: dict[tuple[int, str], list[Cell]] = defaultdict(list)
        self.interim_cells: dict[tuple[int, str], list[Cell]] = defaultdict(list)

    # Verbs

    def post(self, records: Sequence[Record]) -> dict[str, Any]:
        """Takes records one by one; the counts of this upload."""
        before, first = self.data_counts, self._first
        window = (self._window.latest_empty, self._window.latest_sparse)
        for record in records:
            self._take(record)
        self._window.drain()
        after = self.data_counts
        upload = {name: n - before[name] for name, n in after.items() if name.endswith("_count")}
        latest = self._window.latest_empty, self._window.latest_sparse
        return {
            **upload,
            "earliest_record_timestamp": None if self._first == first else self._first,
            "latest_record_timestamp": self._newest,
            "latest_empty_bucket_timestamp": None if latest[0] == window[0] else latest[0],
            "latest_sparse_bucket_timestamp": None if latest[1] == window[1] else latest[1],
        }

    def flush(
        self,
        calc_interim: bool = False,
        start: int | None = None,
        end: int | None = None,
        advance_time: int | None = None,
        skip_time: int | None = None,
    ) -> int | None:
        """Skips, then advances, then makes interim results; the last finalised bucket end."""
        if skip_time is not None:
            self._skip(skip_time)
            self._has_moved(skip_time)
        if advance_time is not None:
            self._advance(advance_time)
            self._has_moved(advance_time)
        if calc_interim:
            self._make_interim(start, end)
        self._sweep = True
        return self._finalized

    def close(self) -> None:
        """Closes; nothing changes, for everything complete has been finalised already."""

    def open(self) -> None:
        """Opens again; interim results go with the next bucket."""
        self._sweep = True

    @property
    def last_finalized_bucket_end(self) -> int | None:
        """F; None as long as there is no boundary."""
        return self._finalized

    @property
    def buckets(self) -> list[dict[str, Any]]:
        """All buckets, final ones first."""
        return [*self._final, *self._interim]

    @property
    def records(self) -> list[Any]:
        """What the model returned, that of final buckets first."""
        return [*self._final_records, *self._interim_records]

    @property
    def open_records(self) -> int:
        """Records in buckets that are open."""
        return sum(map(len, self._open.values()))

    @property
    def data_counts(self) -> dict[str, Any]:
        """Running totals."""
        names = (
            "processed_record_count",
            "out_of_order_timestamp_count",
            "invalid_date_count",
            "far_future_record_count",
            "ignored_record_count",
            "input_field_count",
            "missing_field_count",
            "invalid_value_count",
        )
        counts: dict[str, Any] = {name: self._counts[name] for name in names}
        processed, missing = counts["processed_record_count"], counts["missing_field_count"]
        return {
            **counts,
            "input_record_count": sum(counts[name] for name in names[:3]),
            "processed_field_count": max(processed * len(self._analysed) - missing, 0),
            "bucket_count": self._window.judged,
            "empty_bucket_count": self._window.empty,
            "sparse_bucket_count": self._window.sparse,
            "earliest_record_timestamp": self._first,
            "latest_record_timestamp": self._newest,
            "latest_empty_bucket_timestamp": self._window.latest_empty,
            "latest_sparse_bucket_timestamp": self._window.latest_sparse,
        }

    # One record

    def _take(self, record: Record) -> None:
        counts = self._counts
        counts["input_field_count"] += sum(
            value is not None for name, value in record.items() if name != self._time_field
        )
        time = parse_time(record.get(self._time_field), self._time_format)
        if time is None:
            counts["invalid_date_count"] += 1
            return
        times = [known for known in (self._newest, self._moved) if known is not None]
        if times and time > max(times) + self._limit:
            self._wait(time, record, 1)
            return
        if self._newest is not None and time < self._floor(self._newest) - self.latency:
            is_young = self._used < AGREE and self._moved is None
            if is_young and time < self._newest - self._limit:
                self._wait(time, record, -1)
            else:
                counts["out_of_order_timestamp_count"] += 1
            return
        self._give_up()
        self._process(record)
        if self._barrier is not None and time < self._barrier:
            counts["ignored_record_count"] += 1
            self._see(time)
        else:
            self._use(time, record)

    def _process(self, record: Record) -> None:
        """Counts a processed record, whatever becomes of it."""
        counts = self._counts
        counts["processed_record_count"] += 1
        counts["missing_field_count"] += sum(record.get(name) is None for name in self._analysed)
        counts["invalid_value_count"] += sum(
            record.get(name) is not None and number(record[name]) is None for name in self._numeric
        )

    def _wait(self, time: int, record: Record, direction: int) -> None:
        """Holds a record that is far from all others until ten in a row are."""
        if direction != self._direction:
            self._give_up()
        if any(time < self._floor(other) - self.latency for other, _ in self._waiting):
            self._counts["out_of_order_timestamp_count"] += 1
            return
        self._direction = direction
        self._waiting.append((time, record))
        self._process(record)
        if len(self._waiting) == AGREE:
            believed, self._waiting, self._direction = self._waiting, [], 0
            if direction < 0:
                self._restart()
            for time, record in believed:
                self._use(time, record)

    def _give_up(self) -> None:
        """The records that wait are strays."""
        self._counts["ignored_record_count"] += len(self._waiting)
        self._counts["far_future_record_count"] += len(self._waiting)
        self._waiting, self._direction = [], 0

    def _see(self, time: int) -> None:
        """Moves what is known of the times of processed records."""
        self._newest = time if self._newest is None else max(self._newest, time)
        self._first = time if self._first is None else self._first
        self._window.see(time)

    def _use(self, time: int, record: Record) -> None:
        """Puts a record into its bucket once all that it completes is closed."""
        self._see(time)
        self._used += 1
        if self._finalized is None:
            self._finalized = max(self._floor(time) - self.latency, 0)
        elif self._floor(time) - self.latency - self._finalized > MAX_FILLED * self.span:
            self._pass_over(time)
        self._seen_from(time)
        self._close_until(time)
        assert self._finalized <= self._floor(time) <= self._finalized + self.latency
        self._open.setdefault(self._floor(time), []).append(record)

    def _restart(self) -> None:
        """All there was proved to be strays: as if they had never been."""
        self._counts["ignored_record_count"] = self._counts["processed_record_count"] - AGREE
        self._open.clear()
        self._finalized = self._whole = self._newest = self._first = None
        self._used = self.skipped_buckets = self.discarded = 0
        self.restarts += 1
        self._final, self._interim, self._final_records, self._interim_records = [], [], [], []
        self.cells.clear()
        self.interim_cells.clear()
        self._sweep = True
        self._window.forget()

    # Time

    def _floor(self, time: int) -> int:
        return time - time % self.span

    def _ceil(self, time: int) -> int:
        return self._floor(time + self.span - 1)

    def _seen_from(self, time: int) -> None:
        """The job sees everything from this time on."""
        whole = self._ceil(time)
        self._whole = whole if self._whole is None else min(self._whole, whole)

    def _close_until(self, time: int) -> None:
        """Closes every bucket that ends by the time, less the latency."""
        assert self._finalized is not None
        while self._finalized + self.span + self.latency <= time:
            self._close_bucket()

    def _close_bucket(self) -> None:
        assert self._finalized is not None
        start = self._finalized
        self._finalized += self.span
        records = self._open.pop(start, [])
        assert self._whole is not None
        if start < self._whole:
            self.discarded += len(records)
            return
        self._result(start, records, is_interim=False)

    def _advance(self, time: int) -> None:
        if self._finalized is None:
            self._finalized = self._whole = max(self._floor(time) - self.latency, 0)
            return
        self._close_until(time)

    def _skip(self, time: int) -> None:
        end = self._ceil(time)
        if self._finalized is not None and end <= self._finalized:
            return
        if self._finalized is not None:
            self.skipped_buckets += (end - self._finalized) // self.span
        for start in [start for start in self._open if start < end]:
            self.discarded += len(self._open.pop(start))
        self._finalized = end
        self._seen_from(end)

    def _has_moved(self, time: int) -> None:
        assert self._finalized is not None
        self._moved = max(time, self._finalized, self._moved or 0)
        moved = self._moved
        self._barrier = self._finalized if self._barrier is None else max(self._barrier, self._finalized)
        if self._direction > 0 and all(other <= moved + self._limit for other, _ in self._waiting):
            waited, self._waiting, self._direction = self._waiting, [], 0
            for other, record in waited:
                if other < self._barrier:
                    self._counts["ignored_record_count"] += 1
                    self._see(other)
                else:
                    self._use(other, record)
            self._window.drain()

    def _pass_over(self, time: int) -> None:
        """A gap too wide to fill: what is open closes, the gap is passed over."""
        for _ in range(self.latency // self.span + 1):
            self._close_bucket()
        self._skip(self._floor(time) - self.latency)

    # Results

    def _make_interim(self, start: int | None, end: int | None) -> None:
        if self._finalized is None:
            return
        assert self._whole is not None
        first, last = self._finalized, self._finalized + self.latency + self.span
        if start is not None:
            end = start + 1000 if end is None or end == start else end
            first, last = max(first, self._floor(start)), min(last, self._ceil(end))
        first = max(first, self._whole)
        if first < last:
            self.interim_cells.clear()
        for bucket in range(first, last, self.span):
            self._result(bucket, self._open.get(bucket, []), is_interim=True)

    def event_count(self, records: Sequence[Record]) -> int:
        """How many records there are, or are summarised."""
        if self._summary is None:
            return len(records)
        return int(sum(summary_count(record.get(self._summary)) or 0.0 for record in records))

    def _result(self, bucket: int, records: Sequence[Record], *, is_interim: bool) -> None:
        if self._sweep:
            self._interim, self._interim_records = [], []
            self._sweep = False
        results = self._interim if is_interim else self._final
        events = self.event_count(records)
        results.append({"timestamp": bucket, "event_count": events, "is_interim": is_interim})
        found = self._interim_records if is_interim else self._final_records
        cells = self.interim_cells if is_interim else self.cells
        index, learn = bucket // self.span, not is_interim
        for detector in self.detectors:
            for feature in detector.features:
                for cell in detector.cells(feature, bucket, records, self._summary):
                    cells[detector.index, feature].append(cell)
                    if self.model is not None:
                        key = SeriesKey(detector.index, feature, cell.by, cell.partition)
                        made = self.model.observe(key, index, cell.value, cell.records, learn)
                        if made is not None:
                            found.append(made)
        end_bucket = getattr(self.model, "end_bucket", None)
        if end_bucket is not None:
            found.extend(end_bucket(index, self.skipped_buckets, learn) or ())
