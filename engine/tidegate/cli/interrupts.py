"""Ctrl-C: one line that says what was done, and it is never lost."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

from .failures import Interrupted


class Interruptible:
    """A run that SIGINT ends as `Interrupted`, with what was reached until then.

    KeyboardInterrupt alone does not do: raised while numpy, pyarrow or Numba are imported it
    vanishes now and then, in a callback or a bare ``except``. So the signal is also noted, and
    looked at whenever the run reaches something.
    """

    def __init__(self, reached: str) -> None:
        self.reached = reached
        self._is_noted = False
        self._is_ours = False
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the run has taken until now."""
        return time.perf_counter() - self._began

    def __enter__(self) -> Interruptible:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._is_ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if isinstance(error, KeyboardInterrupt) or self._is_noted:
            raise Interrupted(f"after {self.seconds:.1f} s; {self.reached}") from None

    def reach(self, reached: str) -> None:
        """Says what has been done by now; raises KeyboardInterrupt if one was lost before."""
        self.reached = reached
        if self._is_noted:
            raise KeyboardInterrupt

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._is_noted = True
        raise KeyboardInterrupt
