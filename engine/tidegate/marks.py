"""Histories as they were at fixed steps of data time: what past scores are ranked by."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tidegate_kernels.score import MARK_SIZE

from .cells import F64, I64
from .kept import INSIDE, Keeper, require
from .model import Run
from .timeline import DAY_MS

STEP_BUCKETS = 100
"""A step has so many buckets, but is no longer than a day."""


class Marks(Keeper):
    """One history as it was at the latest step, and at those before that nobody has asked for yet.

    A step ends with bucket b when b + 1 is a multiple of the buckets of a step: whichever way the data
    was cut into calls, the history has seen the same then. A mark takes half a kilobyte.
    """

    KEPT: ClassVar = {"latest": INSIDE, "_waiting": tuple[I64, F64]}

    def __init__(self, span_ms: int) -> None:
        self.step = max(min(STEP_BUCKETS, DAY_MS // span_ms), 1)
        """How many buckets a step has."""
        self.latest: F64 = np.zeros(MARK_SIZE)
        """The latest mark that was taken; zeros before the first."""
        self._span_ms = span_ms
        self._pending: list[tuple[I64, F64]] = []

    def of_pass(self, run: Run) -> tuple[int, F64]:
        """The step, and room for the marks of a pass, for the kernel to write; none of interim results."""
        ends = self._ends(run)
        marks = np.zeros((len(ends), MARK_SIZE))
        if len(ends):
            self._pending.append((ends, marks))
        return 0 if run.is_interim else self.step, marks.ravel()

    def pass_over(self, run: Run, history: F64) -> None:
        """Marks the history in a pass that it learns nothing from."""
        _, marks = self.of_pass(run)
        marks.reshape(-1, MARK_SIZE)[:] = history[:MARK_SIZE]

    def take(self) -> tuple[I64, F64]:
        """The ends of steps since the last call, in epoch milliseconds, and the history at each of them."""
        ends, flat = self._waiting
        marks = flat.reshape(-1, MARK_SIZE)
        self._pending = []
        if len(marks):
            self.latest = marks[-1].copy()
        return ends, marks

    @property
    def _waiting(self) -> tuple[I64, F64]:
        """What `take` would give, the marks in one row."""
        ends = [np.empty(0, np.int64), *(ends for ends, _ in self._pending)]
        marks = [np.empty(0), *(marks.ravel() for _, marks in self._pending)]
        return np.concatenate(ends), np.concatenate(marks)

    @_waiting.setter
    def _waiting(self, waiting: tuple[I64, F64]) -> None:
        ends, marks = waiting
        require(len(marks) == MARK_SIZE * len(ends), "marks that are not as many as the steps they are of")
        self._pending = [(ends, marks.reshape(-1, MARK_SIZE))] if len(ends) else []

    def _ends(self, run: Run) -> I64:
        """When the steps that end in a pass end."""
        if run.is_interim:
            return np.empty(0, np.int64)
        first, last = run.calendar.bucket_from // self.step + 1, run.calendar.bucket_to // self.step
        return np.arange(first, last + 1, dtype=np.int64) * (self.step * self._span_ms)
