"""What keeps a job whole while its engine works: Ctrl-C waits, errors are not lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from .errors import TidegateError


class Guard:
    """Wraps work on the engine: ``with Guard(on_failure) as guard: ...``.

    An interrupt (Ctrl-C) is noted and raised at the end, or as soon as the work asks
    `is_interrupted` and leaves; any other error inside calls `on_failure`, because the engine's
    state is then in between. Errors that tidegate raises on purpose come before any change.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._noted = False
        self._previous: Any = None

    def is_interrupted(self) -> bool:
        """Whether an interrupt waits: work may stop where its state is whole."""
        return self._noted

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = True

    def __enter__(self) -> Guard:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous):
                signal.signal(signal.SIGINT, self._note)
                self._previous = previous
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if error is not None and not isinstance(error, TidegateError):
            self._on_failure()
        elif self._noted:
            self._previous(signal.SIGINT, None)
