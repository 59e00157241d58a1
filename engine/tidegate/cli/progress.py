"""A line on the terminal that says how far reading is, or what is going on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

_BAR = 24
_EVERY_S = 0.1


class Progress:
    """Shows records read, their rate and the part of the file, on stderr if that is a terminal."""

    def __init__(self, *, total_bytes: int | None = None, total_rows: int | None = None) -> None:
        self._total_bytes = total_bytes
        self._total_rows = total_rows
        self._is_shown = sys.stderr.isatty()
        self._began = time.perf_counter()
        self._next = 0.0
        self._width = 0

    def __enter__(self) -> Progress:
        self.update(0, 0)
        self._next = 0.0  # the first records are shown at once: a pipe may have no more for long
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()

    def update(self, rows: int, bytes_read: int) -> None:
        """Takes note of what has been read in all; writes at most ten times a second."""
        now = time.perf_counter()
        if not self._is_shown or now < self._next:
            return
        self._next = now + _EVERY_S
        line = self.line(rows, bytes_read, now - self._began)
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def line(self, rows: int, bytes_read: int, seconds: float) -> str:
        """The line: the part done where the whole is known, then records and records a second."""
        counts = f"{rows:,} records, {rows / max(seconds, 1e-9):,.0f} records/s"
        done, total = (rows, self._total_rows) if self._total_rows else (bytes_read, self._total_bytes)
        if not total:
            return counts
        part = min(done / total, 1.0)
        filled = int(part * _BAR)
        return f"[{'#' * filled}{'-' * (_BAR - filled)}] {part:4.0%}  {counts}"


@contextmanager
def busy(doing: str) -> Iterator[None]:
    """Says on the terminal what is going on as long as it does; nothing if stderr is none."""
    is_shown = sys.stderr.isatty()
    if is_shown:
        sys.stderr.write(f"\r{doing} ...")
        sys.stderr.flush()
    try:
        yield
    finally:
        if is_shown:
            sys.stderr.write("\r" + " " * (len(doing) + 4) + "\r")
            sys.stderr.flush()
