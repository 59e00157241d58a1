"""The schedule of a job: which events fall on which of its buckets, and what becomes of those.

Buckets are known by their number, their start divided by the span. Time is cut at the edges of all events
into stretches, in each of which the same events go on.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .config.calendars import ScheduledEvent


class Stretch(NamedTuple):
    """Buckets ``first <= b < last`` on which the same events fall."""

    first: int
    last: int
    descriptions: tuple[str, ...] = ()
    skips_result: bool = False
    skips_model: bool = False

    @property
    def is_skipped(self) -> bool:
        """Whether models do not see these buckets at all: for them time stands still."""
        return self.skips_result and self.skips_model


class Schedule:
    """All events of a job.

    >>> quiet = ScheduledEvent("night", 120_000, 180_000)
    >>> [(s.first, s.last, s.descriptions) for s in Schedule([quiet], 60_000).stretches(0, 9)]
    [(0, 2, ()), (2, 3, ('night',)), (3, 9, ())]
    """

    def __init__(self, events: Iterable[ScheduledEvent] = (), span_ms: int = 1) -> None:
        self.events = tuple(events)
        covered = [(*event.buckets(span_ms), event) for event in self.events]
        edges = sorted({edge for first, last, _ in covered for edge in (first, last)})
        self._first = edges
        begins: dict[int, list[ScheduledEvent]] = {}
        ends: dict[int, list[ScheduledEvent]] = {}
        for first, last, event in covered:
            begins.setdefault(first, []).append(event)
            ends.setdefault(last, []).append(event)
        self._stretches: list[Stretch] = []
        going: list[ScheduledEvent] = []
        for edge, following in zip(edges, [*edges, sys.maxsize][1:], strict=True):
            for event in ends.get(edge, ()):
                going.remove(event)
            going += begins.get(edge, ())
            self._stretches.append(
                Stretch(
                    edge,
                    following,
                    tuple(dict.fromkeys(event.description for event in going)),
                    any(event.skip_result for event in going),
                    any(event.skip_model_update for event in going),
                )
            )

    def at(self, bucket: int) -> Stretch:
        """The stretch that a bucket lies in.

        Buckets that have results but teach nothing come one by one: a run over several would let the
        later ones see what the earlier ones had taught.
        """
        k = bisect_right(self._first, bucket)
        if k == 0:
            return Stretch(0, self._first[0] if self._first else sys.maxsize)
        found = self._stretches[k - 1]
        if found.skips_model and not found.skips_result:
            return found._replace(first=bucket, last=bucket + 1)
        return found

    def stretches(self, first: int, last: int) -> Iterator[Stretch]:
        """The stretches of the buckets ``first <= b < last``, cut to them."""
        while first < last:
            stretch = self.at(first)
            stop = min(stretch.last, last)
            yield stretch._replace(first=first, last=stop)
            first = stop
