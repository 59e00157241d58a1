"""One writer for a job: a lock that the system releases when its process dies."""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from ..errors import StateError, StoreError

_HELD: weakref.WeakSet[JobLock] = weakref.WeakSet()


class JobLock:
    """The lock of a job, held from `acquire` until `release` or the end of the process.

    It is of the process, and of this object, that acquired it: neither another process nor another
    lock of the same file in this one gets it. A process that is forked does not hold it. The folder
    must be on a file system whose locks work, which shared network folders' need not.
    """

    def __init__(self, path: Path, job_id: str) -> None:
        self._path = path
        self._job_id = job_id
        self._file: int | None = None

    def acquire(self, verb: str) -> None:
        """Takes the lock; StateError says which process has it if that is another one."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"the lock of job [{self._job_id}] cannot be opened: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
            os.close(file)
            if not isinstance(error, BlockingIOError):
                raise StoreError(f"job [{self._job_id}] cannot be locked: {error}") from error
            who = "in this process" if holder == str(os.getpid()) else f"by process {holder or 'unknown'}"
            message = f"Cannot {verb} job [{self._job_id}] because it has already been opened {who}"
            raise StateError(message) from None
        with suppress(OSError):  # without room the holder has no name, but the lock
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file
        _HELD.add(self)

    def release(self) -> None:
        """Gives the lock back; nothing if it is not held."""
        if self._file is not None:
            file, self._file = self._file, None
            _HELD.discard(self)
            os.close(file)

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None


def _forget_in_child() -> None:
    """Closes the files that a forked process shares: else its life would prolong the lock's."""
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_forget_in_child)
