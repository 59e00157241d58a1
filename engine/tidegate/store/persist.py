"""When a job is persisted: in the background while it goes on, and at its close."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..calls import Settings
from ..errors import StoreError

if TYPE_CHECKING:
    from ..kept import State
    from .home import Home, Written

_LEAST_HOURS = 3
_LOG_BYTES = 1 << 30
"""Of log after which a snapshot is due: about two seconds of reading it again."""
_LONG_LOG_BYTES = 1 << 22
"""Of log that a process leaves behind for the next one to read again, at most."""
_RETRY_S = 300.0


@dataclass(frozen=True, slots=True)
class Saved:
    """A whole job at one place of its log."""

    state: State
    settings: Settings
    settings_version: int
    sequence: int
    """The last entry of the log that it has done."""
    finalized_end: int | None
    latest_record_ms: int | None
    latest_result_ms: int | None
    data_counts: Mapping[str, Any]
    model_size_stats: Mapping[str, Any]
    is_closing: bool


class Source(Protocol):
    """What gives the job as it is."""

    def __call__(self, *, copy: bool) -> Saved: ...


class Persister:
    """Writes snapshots of one job; a snapshot in the background costs the job but the copy of its arrays."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._thread: threading.Thread | None = None
        self._written: Written | None = None
        self._error: StoreError | None = None
        self._due = time.monotonic() + self._interval_s()

    def _interval_s(self) -> float:
        """The configured interval; without one 3 to 4 hours, so that not all jobs are due at once."""
        configured = self._home.config.background_persist_interval
        if configured is not None:
            return configured.ms / 1000.0
        return 3600.0 * _LEAST_HOURS + zlib.crc32(self._home.job_id.encode()) % 3600

    @property
    def _is_due(self) -> bool:
        log = self._home.log
        return time.monotonic() >= self._due or (log is not None and log.bytes_since_roll > _LOG_BYTES)

    def persist_when_due(self, source: Source) -> None:
        """Begins with a snapshot if it is time to, and registers the one that is done."""
        self._register()
        if self._thread is None and self._is_due:
            self._begin(source)

    def _begin(self, source: Source) -> None:
        self._due = time.monotonic() + self._interval_s()
        saved = source(copy=True)
        self._home.roll()

        def write() -> None:
            try:
                self._written = self._home.write_snapshot(saved)
            except StoreError as error:
                self._error = error

        self._thread = threading.Thread(target=write, name=f"persist {self._home.job_id}")
        self._thread.start()

    def _register(self) -> None:
        """Takes over what the background has finished with."""
        if self._thread is None or self._thread.is_alive():
            return
        self._thread.join()
        written, error = self._written, self._error
        self._thread = self._written = self._error = None
        if written is not None:
            self._home.register(written)
        elif error is not None:  # the log has it all still
            self._due = time.monotonic() + _RETRY_S
            self._home.note("warning", f"the model could not be persisted in the background: {error}")

    def wait(self) -> None:
        """Waits for what the background is at."""
        if self._thread is not None:
            self._thread.join()
            self._register()

    def persist_now(self, source: Source) -> None:
        """Writes a snapshot of a job that does nothing meanwhile."""
        self.wait()
        self._home.roll()
        self._home.register(self._home.write_snapshot(source(copy=False)))

    def persist_if_long(self, source: Source) -> None:
        """Writes a snapshot if reading the log again would take the next process long."""
        self.wait()
        log = self._home.log
        if log is None or log.bytes_since_roll > _LONG_LOG_BYTES:
            self.persist_now(source)
