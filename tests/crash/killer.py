"""Ends this process with SIGKILL at the n-th thing that it asks of the system, or after a time."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

_CALLS = (
    "write",
    "pwrite",
    "writev",
    "pwritev",
    "fsync",
    "fdatasync",
    "rename",
    "replace",
    "unlink",
    "ftruncate",
    "open",
    "mkdir",
    "posix_fallocate",
)


def die() -> None:
    """Ends the process as a crash does: nothing is finished, nothing is told."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_call(n: int) -> None:
    """Dies at the n-th call that reaches the disk: before it, half-way through a write, or after it."""
    left = [n]

    def wrapped(call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counting(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if name in ("write", "pwrite") and n % 3 == 0:
                    half = memoryview(args[1]).cast("B")
                    call(args[0], half[: len(half) // 2], *args[2:])
                elif n % 3 == 1:
                    call(*args, **options)
                die()
            return call(*args, **options)

        return counting

    for name in _CALLS:
        setattr(os, name, wrapped(getattr(os, name), name))
    connect = sqlite3.connect

    def step(*_: Any) -> int:
        left[0] -= 1
        if left[0] == 0:
            die()
        return 0

    def connecting(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(step)
        connection.set_progress_handler(step, 200)
        return connection

    sqlite3.connect = connecting  # type: ignore[assignment]


def die_after(seconds: float) -> None:
    """Dies after a time, wherever the process is then."""

    def wait() -> None:
        time.sleep(seconds)
        die()

    threading.Thread(target=wait, daemon=True).start()
