"""The job's own past, bucket by bucket: what records and buckets are scored against."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tidegate_kernels import score as kernels

from .cells import F64, I64
from .kept import INSIDE, Keeper
from .marks import Marks
from .model import Run
from .ranked import Ranked
from .timeline import DAY_MS


class History(Keeper):
    """Past scores of the job, and how many records its buckets usually hold.

    A score is initial when it was given: by what the history held then. Renormalised it is lower, if
    since then as much or more has become frequent.
    """

    KEPT: ClassVar = {"_state": INSIDE, "_usual": INSIDE, "marks": INSIDE}

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._state: F64 = np.zeros(kernels.HISTORY_SIZE)
        self._usual: F64 = np.zeros(2)
        self.marks = Marks(span_ms)
        """The history of records at fixed steps of data time, by which past scores are ranked."""

    def score(
        self, ranked: Ranked, min_log_p_b: F64, scored_b: I64, events_b: I64, run: Run
    ) -> tuple[F64, F64, F64]:
        """Scores of the results, and log-probabilities and scores of the buckets of a pass.

        A bucket enters the history after it is scored; with ``run.learn`` false, not at all.
        """
        buckets = len(run.calendar)
        score_r = np.empty(len(ranked))
        log_p_b, score_b = np.empty(buckets), np.empty(buckets)
        step, marks = self.marks.of_pass(run)
        kernels.score_buckets(
            ranked.column("bucket_r"),
            ranked.column("log_p_r"),
            ranked.column("score_r"),
            min_log_p_b,
            scored_b,
            run.calendar.bucket_from,
            run.calendar.bucket_to,
            self._span_ms,
            int(run.learn),
            step,
            self._state,
            np.empty_like(self._state),
            marks,
            score_r,
            log_p_b,
            score_b,
        )
        if run.learn:
            kernels.track_events(events_b, min(max(DAY_MS // self._span_ms, 12), 1000), self._usual)
        return score_r, log_p_b, score_b

    def pass_over(self, run: Run) -> None:
        """Takes in a pass in which nothing was scored."""
        self.marks.pass_over(run, self._state)

    def completeness(self, events_b: I64) -> F64:
        """The share of its usual records that every bucket has so far, at most 1."""
        usual = float(self._usual[0])
        return np.ones(len(events_b)) if usual <= 0.0 else np.minimum(events_b / usual, 1.0)
