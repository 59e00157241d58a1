"""Which events and rules shift time, and which of them have done so: each does it once."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import ClassVar

from .analysis import Analysis
from .config import CustomRule, ScheduledEvent
from .kept import Keeper
from .lanes import Lane
from .rules import DetectorRules, first_bucket


class TimeShifts(Keeper):
    """The shifts of time of a job, made at the first bucket of an event, or that a rule holds for."""

    KEPT: ClassVar = {"_made_events": list[ScheduledEvent], "_made_rules": list[tuple[int, CustomRule]]}

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._events: list[ScheduledEvent] = []
        self._rules: list[tuple[Analysis, DetectorRules, CustomRule]] = []
        self._made_events: list[ScheduledEvent] = []
        self._made_rules: list[tuple[int, CustomRule]] = []

    def set_events(self, events: Iterable[ScheduledEvent], first_open: int | None) -> None:
        """Replaces the events; those that ended before the first open bucket come too late."""
        self._events = [event for event in events if event.force_time_shift_s is not None]
        if first_open is not None:
            over = (e for e in self._events if e.buckets(self._span_ms)[1] <= first_open)
            self._made_events += (event for event in over if event not in self._made_events)

    def set_rules(self, lanes: Iterable[Lane]) -> None:
        """Takes the rules that the detectors have now."""
        self._rules = [
            (analysis, analysis.rules, rule)
            for lane in lanes
            for analysis in lane.analyses
            if analysis.rules is not None
            for rule in analysis.rules.rules
            if rule.shifts_time and (analysis.detector.detector_index, rule) not in self._made_rules
        ]

    def make(self, bucket: int, lanes: Iterable[Lane]) -> int:
        """Makes the shifts that are due before a bucket; the bucket before which the next one is.

        Events are not waited for: where one begins a pass ends anyway.
        """
        due = [
            e for e in self._events if e not in self._made_events and e.buckets(self._span_ms)[0] <= bucket
        ]
        for event in sorted(due, key=lambda event: event.start_ms):
            for lane in lanes:
                lane.shift_time(event.force_time_shift_s or 0)
            self._made_events.append(event)
        soonest = sys.maxsize
        for waiting in list(self._rules):
            analysis, rules, rule = waiting
            at = first_bucket(rule, bucket, self._span_ms)
            if at == bucket:
                analysis.shift_time(rule.time_shift_s or 0, rules.in_scope(rule))
                self._made_rules.append((analysis.detector.detector_index, rule))
                self._rules.remove(waiting)
            elif at is not None:
                soonest = min(soonest, at)
        return soonest

    def _resume(self) -> None:
        self._rules = [
            waiting
            for waiting in self._rules
            if (waiting[0].detector.detector_index, waiting[2]) not in self._made_rules
        ]
