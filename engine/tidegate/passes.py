"""Passes over the buffer: how many rows are gathered in one go, and in which buckets they fall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate_kernels import runs as kernels

from .cells import I64
from .threads import Threads

PASS_ROWS = 1 << 20
"""Rows in one pass: large enough to be quick, small enough to bound memory and the time until an
interrupt is heard."""
_PIECE_ROWS = 1 << 15  # below this a second thread costs more than it brings


@dataclass(frozen=True, slots=True)
class Span:
    """The buckets of a job: all in milliseconds."""

    span: int
    latency: int

    @property
    def rows(self) -> int:
        """How many buckets are open at once."""
        return self.latency // self.span + 1


@dataclass(frozen=True, slots=True)
class Pass:
    """Rows to gather in one go, bucket by bucket.

    Group g is of the rows of bucket ``bucket_g[g]``, ascending, ``rows_g[g]`` in all: the runs
    ``first_g[g]`` to before ``first_g[g + 1]``. Run u goes from row ``start_u[u]`` to before
    ``stop_u[u]``, counted from the first row of the pass.
    """

    start: int
    stop: int
    """The first row, and the row that the pass stops before."""
    end: int
    """The finalised end after it."""
    start_u: I64
    stop_u: I64
    bucket_g: I64
    first_g: I64
    rows_g: I64

    def __len__(self) -> int:
        return len(self.bucket_g)

    def pieces(self, threads: int) -> int:
        """How many of so many threads the pass is worth."""
        return max(1, min(threads, (self.stop - self.start) // _PIECE_ROWS))

    def cuts(self, threads: int) -> list[int]:
        """Groups at which to cut the pass, for so many threads, into pieces of about equal rows."""
        done = np.cumsum(self.rows_g)
        total, pieces = int(done[-1]) if len(done) else 0, self.pieces(threads)
        targets = [total * k // pieces for k in range(1, pieces)]
        middles = done - self.rows_g / 2  # a cut goes to the side of it that is nearer
        cuts = {0, *(int(g) for g in np.searchsorted(middles, targets)), len(self)}
        return sorted(cuts)


class Planner:
    """Cuts rows, in the order they came, into passes.

    No row may be older than the start of the bucket of any row before it less the latency: the
    intake sees to that. Rows of buckets already finalised when a pass begins are left out.
    """

    def __init__(self, time: I64, span: Span, threads: Threads) -> None:
        self._time = time
        self._span = span
        self._threads = threads
        self._row = 0  # where the next pass starts
        self._seen = 0  # runs are known of the rows before this one
        self._run = 0  # the next run
        self._bucket_u = self._stop_u = np.empty(0, np.int64)

    @property
    def row(self) -> int:
        """The row at which the next pass starts."""
        return self._row

    def go_back(self, row: int) -> None:
        """Starts the next pass at the row where one started that is not to be."""
        self._row = row
        self._run = int(np.searchsorted(self._stop_u, row, "right"))

    def next(self, finalized: int, max_buckets: int, max_jump: int) -> Pass | None:
        """The next pass, or None: its first row lies beyond a gap of more than `max_jump` buckets."""
        if self._row == self._seen:
            self._look_ahead()
        span, latency = self._span.span, self._span.latency
        planned = np.zeros(2, np.int64)
        runs = self._bucket_u, self._stop_u
        last = kernels.plan_pass(
            *runs, self._run, self._row, finalized, span, latency, max_buckets, max_jump, planned
        )
        if last == self._run and self._row < len(self._time):
            return None
        end = int(planned[kernels.PLANNED_END])
        made = self._grouped(last, finalized // span, (end + latency) // span + 1, end)
        self._run, self._row = last, made.stop
        return made

    def _look_ahead(self) -> None:
        """Finds the runs of the next rows, on all threads."""
        first = self._row
        rows = min(PASS_ROWS, len(self._time) - first)
        bucket_u, stop_u = np.empty(rows, np.int64), np.empty(rows, np.int64)
        pieces = max(1, min(self._threads.size, rows // (4 * _PIECE_ROWS)))
        bounds = [rows * k // pieces for k in range(pieces + 1)]

        def find(k: int) -> int:
            a, b = bounds[k], bounds[k + 1]
            return int(
                kernels.find_runs(self._time, first + a, first + b, self._span.span, a, bucket_u, stop_u)
            )

        ends = list(self._threads.map(find, range(pieces)))
        parts = [slice(a, b) for a, b in zip(bounds, ends, strict=False)]
        self._bucket_u = np.concatenate([bucket_u[part] for part in parts])
        self._stop_u = np.concatenate([stop_u[part] for part in parts])
        self._run, self._seen = 0, first + rows

    def _grouped(self, last: int, first_bucket: int, last_bucket: int, end: int) -> Pass:
        """The pass of the runs from the next to before `last`, none of `last_bucket` or later."""
        n, n_buckets = last - self._run, last_bucket - first_bucket
        start_o, stop_o = np.empty(n, np.int64), np.empty(n, np.int64)
        most = min(n, n_buckets)
        group_g = [np.empty(most + 1, np.int64) for _ in range(3)]
        groups = kernels.group_runs(
            self._bucket_u,
            self._stop_u,
            self._run,
            last,
            self._row,
            first_bucket,
            n_buckets,
            np.empty(n_buckets + 1, np.int64),
            start_o,
            stop_o,
            *group_g,
        )
        bucket_g, first_g, rows_g = group_g
        stop = int(self._stop_u[last - 1]) if n else self._row
        return Pass(
            self._row, stop, end, start_o, stop_o, bucket_g[:groups], first_g[: groups + 1], rows_g[:groups]
        )
