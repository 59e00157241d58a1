"""What may come of reading an input: a result, or a TidegateError; soon, and in bounded memory."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tidegate.errors import DataError, TidegateError

SECONDS = 5.0
MEMORY_BYTES = 256 << 20
BYTES_PER_BYTE = 64
"""An input may take MEMORY_BYTES, and so many bytes more for each of its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not happen, and what made it happen."""

    kind: str
    """``error``, ``law``, ``hang``, ``memory`` or ``death``."""
    where: str
    """Type and place: findings of the same place are the same."""
    detail: str
    data: bytes


class HangError(BaseException):
    """Raised by the alarm: nobody catches it on the way."""


def examine(
    check: Callable[[bytes], object],
    data: bytes,
    *,
    seconds: float = SECONDS,
    memory_bytes: int = MEMORY_BYTES,
) -> Finding | None:
    """Runs a check on an input; what went wrong, if anything did."""
    before = _restart_peak()
    ignored: list[BaseException] = []
    try:
        with _alarm(seconds), _unraisable(ignored):
            check(data)
    except TidegateError as error:
        if isinstance(error, DataError) and "\n" in str(error):
            return Finding("error", "a message of many lines", str(error), data)
    except HangError as error:
        return Finding("hang", _place(error), _shown(error), data)
    except MemoryError as error:
        return Finding("memory", _place(error), _shown(error), data)
    except AssertionError as error:
        return Finding("law", _place(error), _shown(error), data)
    except Exception as error:
        return Finding("error", _place(error), _shown(error), data)
    if ignored:
        return Finding("error", f"ignored {_place(ignored[0])}", _shown(ignored[0]), data)
    taken = _peak_bytes() - before
    if taken > memory_bytes + BYTES_PER_BYTE * len(data):
        return Finding("memory", "peak", f"{taken >> 20} MiB for an input of {len(data)} bytes", data)
    return None


def _place(error: BaseException) -> str:
    """The type of an error and the line of the package, or of the target, that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/tidegate" in f.filename] or [f for f in frames if "fuzz" in f.filename]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}"


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-6000:]


@contextmanager
def _unraisable(found: list[BaseException]) -> Iterator[None]:
    """Collects errors that Python has no place for, and prints."""
    previous = sys.unraisablehook
    sys.unraisablehook = lambda event: found.append(event.exc_value or RuntimeError(str(event.err_msg)))
    try:
        yield
    finally:
        sys.unraisablehook = previous


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises HangError after some seconds; ends the process if nobody hears it for ten times as long."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise HangError(f"no end after {seconds} s")

    previous = signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(10 * seconds, exit=True)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, previous)


def _restart_peak() -> int:
    """Sets the peak of the memory back to what is in use now: that."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:  # not ours to write: then the peak is that of the whole process
        pass
    return _peak_bytes()


def _peak_bytes() -> int:
    with open("/proc/self/status", "rb") as file:
        status = file.read()
    at = status.index(b"VmHWM:")
    return int(status[at + 6 : status.index(b"kB", at)]) << 10
