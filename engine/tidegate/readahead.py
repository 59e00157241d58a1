"""Reading the next items on a thread of their own while the caller works on this one."""

from __future__ import annotations

import atexit
import threading
import time as clock
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")
_M = TypeVar("_M")
_PATIENCE_S = 0.5
_LAST_PATIENCE_S = 1.0
"""How long `close`, or the end of the process, waits for a thread: it may itself wait for input
that never comes."""


class _Shelf:
    """Items on their way from the thread that makes them to the one that takes them."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[tuple[Any, BaseException | None, Any]] = deque()
        self._changed = threading.Condition()
        self.is_closed = False

    def put(self, item: tuple[Any, BaseException | None, Any], *, last: bool = False) -> bool:
        """Waits for room, which the last item does not need; False when nobody takes any more."""
        with self._changed:
            while len(self._items) >= self._depth and not last and not self.is_closed:
                self._changed.wait()
            if not self.is_closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self.is_closed

    def take(self) -> tuple[Any, BaseException | None, Any]:
        """The next item, as soon as there is one."""
        with self._changed:
            while not self._items:
                self._changed.wait()
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Lets go of what nobody will take."""
        with self._changed:
            self.is_closed = True
            self._items.clear()
            self._changed.notify_all()


class ReadAhead(Iterator[_T], Generic[_T, _M]):
    """Iterates over what another thread takes from an iterator, at most `depth` items ahead.

    What the iterator raises is raised here, in its turn. The thread starts with the first item
    that is asked for. It ends with the items, with `close`, or when this object is dropped; it
    is left behind if it then waits for input that never comes.

    `note` is called on the thread after each item: its answer is `noted` when that item, or
    the end, has been taken here.

    >>> items = ReadAhead(iter("abc"), lambda: None)
    >>> list(items)
    ['a', 'b', 'c']
    """

    def __init__(self, items: Iterator[_T], note: Callable[[], _M], depth: int = 2) -> None:
        self.noted = note()
        self._items = items
        self._shelf = _Shelf(depth)
        self._is_over = False
        # The thread knows the shelf and not this object, which so can be dropped.
        self._thread = threading.Thread(
            target=_fill, args=(items, note, self._shelf), name="tidegate-reader", daemon=True
        )

    def __next__(self) -> _T:
        if self._is_over:
            raise StopIteration
        if self._thread.ident is None:
            _LIVE.add(self)
            self._thread.start()
        item, error, self.noted = self._shelf.take()
        if error is not None:
            self._is_over = True
            try:
                raise error
            finally:
                del error  # it has this frame in its traceback
        taken: _T = item
        return taken

    def close(self) -> None:
        """Ends the iteration and the thread; waits for it a moment."""
        self._is_over = True
        self._shelf.close()
        if self._thread.ident is None:
            _close(self._items)
        elif self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE_S)

    def __del__(self) -> None:
        self._shelf.close()


_LIVE: weakref.WeakSet[ReadAhead[Any, Any]] = weakref.WeakSet()


def _fill(items: Iterator[Any], note: Callable[[], Any], shelf: _Shelf) -> None:
    try:
        for item in items:
            if not shelf.put((item, None, note())):
                _close(items)
                return
            del item  # what has been taken is not kept until the next is there
    except BaseException as error:
        shelf.put((None, error, note()), last=True)
    else:
        shelf.put((None, StopIteration(), note()), last=True)


def _close(items: Iterator[Any]) -> None:
    """Ends a generator, so that it closes its files."""
    end = getattr(items, "close", None)
    if end is not None:
        end()


@atexit.register
def _close_all() -> None:
    """Ends all threads while the interpreter is still there for them."""
    readers = list(_LIVE)
    for reader in readers:
        reader._shelf.close()
    end = clock.monotonic() + _LAST_PATIENCE_S
    for reader in readers:
        if reader._thread.ident is not None:  # started, or about to be by a thread that ends now
            reader._thread.join(max(end - clock.monotonic(), 0.0))
