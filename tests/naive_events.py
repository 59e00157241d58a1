"""The naive twin of scheduled events: what becomes of a bucket that they fall on, one bucket at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.naive_cells import Record
from tests.naive_laws import single
from tests.naive_model import NaiveSeries
from tests.naive_scores import ScoredJob

DAY_S = 86_400


class EventfulJob(ScoredJob):
    """The naive job with events: (description, start_time, end_time, flags) as in their JSON form, in ms."""

    def __init__(self, config: Record, events: Sequence[Record] = ()) -> None:
        super().__init__(config)
        self.events = list(events)
        self.scheduled: dict[tuple[int, bool], list[str]] = {}
        """Descriptions by (timestamp, is_interim) of every bucket that has some."""
        self._shifted: list[Record] = []
        self._interim_skipped = 0

    def flush(self, *args: Any, **kwargs: Any) -> int | None:
        """Interim results begin from what was learned, skipped buckets too."""
        self._interim_skipped = 0
        return super().flush(*args, **kwargs)

    def going(self, bucket: int) -> list[Record]:
        """The events that fall on a bucket, by their start."""
        falling = [e for e in self.events if e["start_time"] < bucket + self.span and e["end_time"] > bucket]
        return sorted(falling, key=lambda e: (e["start_time"], e["end_time"]))

    def _result(self, bucket: int, records: Sequence[Record], *, is_interim: bool) -> None:
        going = self.going(bucket)
        skips_result = any(event.get("skip_result", True) for event in going)
        skips_model = any(event.get("skip_model_update", True) for event in going)
        if going:
            self.scheduled[bucket, is_interim] = list(dict.fromkeys(event["description"] for event in going))
        if is_interim:
            if going != self.going(bucket - self.span) or skips_model:
                self._passing = None
        else:
            self._shift(bucket)
        skipped = self.skipped_buckets
        self.skipped_buckets += self._interim_skipped if is_interim else 0
        learned = self.learned
        if skips_result and skips_model:
            self._without_model(bucket, records, is_interim)
        else:
            if skips_model and not is_interim:  # a copy learns in its place
                self.learned = learned.interim()
            for model in (learned, self.learned, self._passing):
                if model is not None:
                    model.is_silent = skips_result
            super()._result(bucket, records, is_interim=is_interim)
            for model in (learned, self.learned, self._passing):
                if model is not None:
                    model.is_silent = False
        self.learned, self.skipped_buckets = learned, skipped
        if skips_model and is_interim:
            self._interim_skipped += 1
        elif skips_model:
            self.skipped_buckets += 1
            learned.ask_siblings(bucket // self.span)

    def _without_model(self, bucket: int, records: Sequence[Record], is_interim: bool) -> None:
        """A bucket that no model sees."""
        learned, self.learned = self.learned, _Nothing()
        passing, self._passing = self._passing, self.learned
        super()._result(bucket, records, is_interim=is_interim)
        self.learned, self._passing = learned, passing
        learned.bucket_scores[bucket, is_interim] = (0.0, 0.0)

    def _shift(self, bucket: int) -> None:
        """Shifts time by every event that has begun, once."""
        for event in sorted(self.events, key=lambda event: event["start_time"]):
            seconds = event.get("force_time_shift")
            if seconds is None or event in self._shifted or event["start_time"] >= bucket + self.span:
                continue
            self._shifted.append(event)
            for feature in self.learned.features.values():
                for series in feature.series.values():
                    shift(series, seconds)
                if feature.prior.shape:
                    shape = turned(list(feature.prior.shape), seconds, DAY_S, rounds=False)
                    feature.prior = feature.prior._replace(shape=tuple(shape))


class _Nothing:
    """A model of nothing."""

    def observe(self, *_: Any) -> None:
        """Sees nothing."""


def shift(series: NaiveSeries, seconds: int) -> None:
    """Lets a series expect what it expected so much later."""
    series.day_mean = turned(series.day_mean, seconds, DAY_S)
    series.day_visits = turned(series.day_visits, seconds, DAY_S)
    series.day_spread = turned(series.day_spread, seconds, DAY_S)
    series.week_mean = turned(series.week_mean, seconds, 7 * DAY_S)
    if series.period.found is not None:
        series.period.found.origin -= seconds * 1000 / series.settings.span_ms


def turned(knots: list[float], seconds: int, length: int, *, rounds: bool = True) -> list[float]:
    """A ring of knots read so many seconds later."""
    n, made = len(knots), []
    for k in range(n):
        at = k + seconds * n / length
        before, part = math.floor(at), at - math.floor(at)
        x = (1.0 - part) * knots[before % n] + part * knots[(before + 1) % n]
        made.append(single(x) if rounds else x)
    return made
