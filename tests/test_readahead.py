"""Reading ahead: items in order, errors in their turn, and no thread that stays."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidegate
from tidegate.readahead import ReadAhead


def counting(last: int, made: list[int], end: BaseException | None = None) -> Iterator[int]:
    """Numbers up to `last`, each put into `made` when it is asked for; -1 when the generator ends."""
    try:
        for k in range(last):
            made.append(k)
            yield k
        if end is not None:
            raise end
    finally:
        made.append(-1)


def waits_for(reader: ReadAhead[int, int]) -> None:
    reader._thread.join(10)
    assert not reader._thread.is_alive()


def test_items_come_in_order_with_what_was_noted() -> None:
    """Every item comes once, with the note of its time, and the end comes with the last note."""
    made: list[int] = []
    reader = ReadAhead(counting(50, made), lambda: len(made))
    assert reader.noted == 0
    for k, item in enumerate(reader):
        assert (item, reader.noted) == (k, k + 1)
    assert reader.noted == 51
    assert next(reader, None) is None
    waits_for(reader)


def test_no_more_than_the_depth_is_read_ahead() -> None:
    """The thread waits when as many items as allowed have not been taken, and one is in its hand."""
    made: list[int] = []
    reader = ReadAhead(counting(50, made), lambda: len(made), depth=2)
    for k in range(50):
        assert next(reader) == k
        assert len(made) <= k + 1 + 2 + 1
    reader.close()


def test_what_the_iterator_raises_is_raised_in_its_turn() -> None:
    """An error comes after the items before it, once; then the iteration is over."""
    made: list[int] = []
    reader = ReadAhead(counting(3, made, OSError("gone")), lambda: len(made))
    taken = []
    with pytest.raises(OSError, match="gone"):
        taken.extend(iter(lambda: next(reader), None))
    assert taken == [0, 1, 2]
    assert list(reader) == []


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_closing_ends_the_thread_and_the_generator(taken: int) -> None:
    """Who leaves early does not leave a thread that reads on, nor an open file."""
    made: list[int] = []
    items = counting(1000, made)
    reader = ReadAhead(items, lambda: None)
    for _ in range(taken):
        next(reader)
    reader.close()
    if taken:
        assert not reader._thread.is_alive()
        assert made[-1] == -1
    assert next(reader, None) is None
    assert list(items) == []


def test_a_dropped_reader_ends_its_thread() -> None:
    """A reader that nobody holds any more is as good as closed."""
    made: list[int] = []
    reader = ReadAhead(counting(1000, made), lambda: None)
    next(reader)
    thread = reader._thread
    del reader
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    assert made[-1] == -1


def test_counts_are_those_of_the_batches_taken(tmp_path: Path) -> None:
    """What is counted while a file is read belongs to what was taken, not to what was read ahead."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 2_000_000 + b"1,2,3\n" * 5 + b"1,2\n" * 2_000_000)
    behind = list(map(_state, _each(tidegate.read(path, ahead=False))))
    ahead = list(map(_state, _each(tidegate.read(path))))
    assert len({state[0] for state in behind}) > 1
    assert ahead == behind
    assert ahead[-1] == (path.stat().st_size, 5)


def _each(batches: Iterator[object]) -> Iterator[Iterator[object]]:
    while next(batches, None) is not None:
        yield batches
    yield batches


def _state(batches: Iterator[object]) -> tuple[int, int]:
    return batches.input_bytes, batches.malformed  # type: ignore[attr-defined]


def test_a_file_that_is_not_read_is_closed(tmp_path: Path) -> None:
    """Opened and let go, with and without a word, a file leaves nothing open (a warning would fail this)."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")
    for ahead in (False, True):
        tidegate.read(path, ahead=ahead).close()
        del (batches := [tidegate.read(path, ahead=ahead)])[:]
        assert batches == []
    gc.collect()


def test_a_file_that_was_not_asked_for_a_batch_has_no_thread(tmp_path: Path) -> None:
    """Opening a file starts nothing; the first batch does."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")
    before = threading.active_count()
    batches = tidegate.read(path)
    assert threading.active_count() == before
    assert len(list(batches)) == 1
    with batches:
        pass


LEAVING = """
import os, sys, threading, tidegate
path, how = sys.argv[1:]
if how == "blocked":
    reading, writing = os.pipe()
    os.write(writing, b'{"a":1}\\n' * 1000)
    batches = tidegate.read(os.fdopen(reading, "rb", buffering=0))
    threading.Thread(target=lambda: next(batches), daemon=True).start()
else:
    batches = tidegate.read(path, batch_rows=10)
    next(batches)
    if how == "error":
        raise KeyError("mine")
    if how == "exit":
        sys.exit(0)
"""


@pytest.mark.parametrize(("how", "status"), [("end", 0), ("exit", 0), ("error", 1), ("blocked", 0)])
def test_a_process_ends_whatever_its_readers_do(tmp_path: Path, how: str, status: int) -> None:
    """No reader keeps the interpreter from its end, in the middle of a file or of a wait."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 4_000_000)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LEAVING, str(path), how],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    assert ("KeyError: 'mine'" in done.stderr) == (how == "error")
