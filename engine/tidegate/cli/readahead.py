"""Reading the next batches on a thread of their own while the job works on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

_T = TypeVar("_T")
_DEPTH = 2
_PATIENCE_S = 0.1


class ReadAhead(Generic[_T]):
    """Iterates over what another thread takes from an iterator, at most two items ahead.

    What the iterator raises is raised here, in its turn. The thread ends with the block, or
    is left behind if it waits for input that never comes.

    >>> with ReadAhead(iter("abc")) as items:
    ...     list(items)
    ['a', 'b', 'c']
    """

    def __init__(self, items: Iterator[_T]) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[_T] | BaseException | None] = queue.Queue(_DEPTH)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="tidegate-reader", daemon=True)

    def __enter__(self) -> Iterator[_T]:
        self._thread.start()
        return self._taken()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(5 * _PATIENCE_S if error is not None else None)

    def _taken(self) -> Iterator[_T]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    def _fill(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
        except BaseException as error:
            self._put(error)
        else:
            self._put(None)

    def _put(self, item: tuple[_T] | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE_S)
                return True
            except queue.Full:
                continue
        return False
