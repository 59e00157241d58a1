"""A few threads for pieces of work that do not need Python: kernels let go of its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
Work = Callable[[], None]


class Threads:
    """Runs pieces of work on a few threads, the caller's among them.

    Whoever is free takes the next piece: the caller does not wait for a thread that a busy machine
    has not woken yet, and with one thread or one piece there is no other.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._executor: ThreadPoolExecutor | None = None

    def map(self, work: Callable[[int], T], pieces: Iterable[int]) -> Iterator[T]:
        """The results of `work` for every piece, in order."""
        pieces = list(pieces)
        others = min(self.size, len(pieces)) - 1
        if others < 1:
            return map(work, pieces)
        results: dict[int, T] = {}
        places = iter(range(len(pieces)))

        def take() -> None:
            for k in places:
                results[k] = work(pieces[k])

        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.size - 1, "tidegate")
        futures = [self._executor.submit(take) for _ in range(others)]
        try:
            take()
        finally:
            wait(futures)
        for future in futures:
            future.result()
        return (results[k] for k in range(len(pieces)))

    def run(self, works: list[Work]) -> None:
        """Does all of it, in any order; returns when all is done."""
        for _ in self.map(lambda k: works[k](), range(len(works))):
            pass

    def rest(self) -> None:
        """Ends the threads; they start again when there is work."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
