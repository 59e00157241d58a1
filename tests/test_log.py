"""The log of a job: all that was written comes back, whatever ends it."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.log_run import JOB, LARGE, SMALL, Said, copied, ends, expected, fill, flip, no_sync, put, said  # noqa: F401

from tidegate.errors import LogError
from tidegate.store import segment
from tidegate.store.log import Log

pytestmark = pytest.mark.usefixtures("no_sync")
TORN = {
    "cut": lambda lost: b"",
    "zeros": lambda lost: bytes(len(lost)),
    "garbage": lambda lost: random.Random(len(lost)).randbytes(len(lost)),
}


class Twin:
    """A log beside a list of what it should say, through crashes; syncs do nothing here."""

    def __init__(self, folder: Path, draw: Any) -> None:
        self.folder, self.draw, self.generation = folder, draw, 0
        self.entries: list[Said] = []
        self.first, self.synced = 1, 0
        self.log = Log.open(folder / "0", JOB)

    def append(self) -> None:
        sync, rows = self.draw(st.booleans()), self.draw(st.integers(-1, 4))
        head = {"op": self.draw(st.sampled_from(["post", "flush"])), "n": self.draw(st.integers(0, 2**70))}
        batches = [SMALL.slice(0, rows), LARGE.slice(7, rows)] if rows >= 0 else []
        sequence = self.log.append(head, batches, sync=sync)
        self.entries.append((sequence, head, [batch.to_pylist() for batch in batches]))
        self.synced = sequence if sync else self.synced

    def sync(self) -> None:
        self.log.sync()
        self.synced = self.log.last_sequence

    def roll(self) -> None:
        assert self.log.roll() == len(self.entries)
        self.synced = len(self.entries)

    def drop(self) -> None:
        upto = self.draw(st.integers(0, len(self.entries)))
        self.log.drop(upto)
        before, self.first = self.first, segment.first_sequence(segment.segments(self.log.folder)[0])
        assert before <= self.first <= max(upto + 1, before)

    def reopen(self) -> None:
        self.log.close()
        self._open()

    def crash(self) -> None:
        """Ends the process, or the machine: then what was not synced may be cut, zero or garbage."""
        self.generation += 1
        folder = copied(self.log, self.folder / str(self.generation))
        self.log.close()
        self.log.folder = folder
        path = segment.segments(folder)[-1]
        first, places = segment.first_sequence(path), [segment.START, *ends(path)]
        safe = places[max(self.synced - first + 1, 0)]
        data = path.read_bytes()
        cut = self.draw(st.integers(safe, len(data)))
        hole = self.draw(st.sampled_from([b"", bytes(9), b"garbage", bytes(len(data) - cut)]))
        rest = data[cut + len(hole) :] if self.draw(st.booleans()) else b""
        put(path, data[:cut] + hole + rest)
        whole = [end for end in places[1:] if (data[:cut] + hole + rest)[:end] == data[:end]]
        self.entries = self.entries[: first - 1 + len(whole)]
        self._open()

    def _open(self) -> None:
        self.log = Log.open(self.log.folder, JOB, after=self.first - 1)
        self.synced = len(self.entries)
        self.check()

    def check(self) -> None:
        assert self.log.last_sequence == len(self.entries)
        assert said(self.log, self.first - 1) == self.entries[self.first - 1 :]


@given(st.data())
def test_acts_as_a_list(tmp_path_factory, data):
    """Whatever is done to a log, and wherever crashes cut it, what was synced and what is whole is there."""
    twin = Twin(tmp_path_factory.mktemp("log"), data.draw)
    acts = st.sampled_from(["append"] * 4 + ["sync", "roll", "drop", "reopen", "crash", "crash"])
    for act in data.draw(st.lists(acts, max_size=25)):
        getattr(twin, act)()
    twin.check()
    twin.crash()
    twin.log.close()


@pytest.mark.parametrize("way", TORN)
def test_torn_anywhere(tmp_path, way):
    """Cut anywhere in its last entry, the log ends with the one before, and says how much it has dropped."""
    log = Log.open(tmp_path / "whole", JOB)
    fill(log, 3)
    path = segment.segments(copied(log, tmp_path / "torn"))[0]
    log.close()
    whole, begins = path.read_bytes(), ends(path)[1]
    for at in range(begins, len(whole)):
        lost = TORN[way](whole[at:])
        put(path, whole[:at] + lost)
        if whole[:at] + lost == whole:  # the entry ends with zeros
            continue
        log = Log.open(path.parent, JOB)
        assert said(log) == expected(1, 2)
        assert log.dropped_bytes == at - begins + len(lost)
        assert log.append({"number": 3}, [SMALL], sync=True) == 3
        assert said(log) == expected(1, 2, 3)
        log.close()
        assert path.stat().st_size == len(whole)


def test_flipped_anywhere(tmp_path):
    """No bit that turns over changes an entry: the last one is dropped, or there is a LogError."""
    log = Log.open(tmp_path / "whole", JOB)
    fill(log, 2)
    log.roll()
    fill(log, 3)
    folder = copied(log, tmp_path / "flipped")
    log.close()
    files = {path: path.read_bytes() for path in segment.segments(folder)}
    refused, dropped = 0, 0
    for path, whole in files.items():
        begins, is_last = ends(path)[-2], path == max(files)
        for at in range(len(whole)):
            for other, data in files.items():  # opening a log notes in its last file what is on the disk
                put(other, data)
            flip(path, at, at % 8)
            with contextlib.suppress(LogError):
                log = Log.open(folder, JOB)
                in_note = segment.START - 64 <= at < segment.START
                assert in_note or (is_last and at >= begins)
                assert said(log) == expected(*range(1, 6 if in_note else 5))
                dropped += not in_note
                log.close()
                continue
            refused += 1
    assert refused > 800
    assert dropped > 300


def test_closed_log_is_guarded_to_its_last_byte(tmp_path):
    """What was synced when the log was closed is never taken for a torn end, not even its last entry."""
    log = Log.open(tmp_path, JOB)
    fill(log, 3)
    log.close()
    path = segment.segments(tmp_path)[0]
    whole = path.read_bytes()
    for data in (whole[:-1], whole[: ends(path)[1]], whole[:-1] + b"?"):
        put(path, data)
        with pytest.raises(LogError, match="entry 3 is damaged or missing, and 0 whole ones"):
            Log.open(tmp_path, JOB)


def test_damage_before_whole_entries(tmp_path):
    """Damage to what was synced says where, and how much is behind it; cut, the log goes on before it."""
    log = Log.open(tmp_path, JOB)
    fill(log, 5)
    log.roll()
    fill(log, 2)
    log.close()
    first, second = segment.segments(tmp_path)
    places = ends(first)
    flip(first, places[1] + 90)
    damaged = first.read_bytes()
    with pytest.raises(LogError) as caught:
        Log.open(tmp_path, JOB)
    for part in (str(first), f"at byte {places[1]}", "entry 3", "2 whole ones", "damaged='cut'"):
        assert part in str(caught.value)
    log = Log.open(tmp_path, JOB, damaged="cut")
    assert said(log) == expected(1, 2)
    fill(log, 2)
    assert said(log) == expected(1, 2, 3, 4)
    log.close()
    assert Path(f"{first}.damaged").read_bytes() == damaged
    assert Path(f"{second}.damaged").exists()
    flip(first, places[0] + 60)
    Log.open(tmp_path, JOB, damaged="cut").close()
    assert Path(f"{first}.damaged1").exists()
    log = Log.open(tmp_path, JOB)
    assert said(log) == expected(1)
    log.close()


def test_damage_at_the_end_of_a_segment(tmp_path):
    """The last entry of a segment that another follows is no torn end, and is not cut off unasked."""
    log = Log.open(tmp_path, JOB)
    fill(log, 3)
    log.roll()
    fill(log, 1)
    log.close()
    path = segment.segments(tmp_path)[0]
    flip(path, path.stat().st_size - 1)
    damaged = path.read_bytes()
    with pytest.raises(LogError, match=f"{path}: at byte {ends(path)[1]}: entry 3"):
        Log.open(tmp_path, JOB)
    assert path.read_bytes() == damaged


def test_damage_that_a_snapshot_covers(tmp_path):
    """What is damaged before the newest snapshot does not matter to what is after it."""
    log = Log.open(tmp_path, JOB)
    fill(log, 3)
    assert log.roll() == 3
    fill(log, 2)
    log.close()
    flip(segment.segments(tmp_path)[0], 5)
    log = Log.open(tmp_path, JOB, after=3)
    assert said(log, 3) == expected(4, 5)
    with pytest.raises(LogError, match="header"):
        said(log, 2)
    log.close()


@pytest.mark.parametrize("is_synced", [False, True])
def test_hole_before_whole_entries(tmp_path, is_synced):
    """A hole that a crash has left in what was never synced ends the log; in what was synced it is damage."""
    log = Log.open(tmp_path / "log", JOB)
    fill(log, 2, sync=False)
    if is_synced:
        log.sync()
    fill(log, 2, sync=False)
    folder = copied(log, tmp_path / "crashed")
    log.close()
    path = segment.segments(folder)[0]
    data, begins = path.read_bytes(), ends(path)[0]
    put(path, data[:begins] + bytes(40) + data[begins + 40 :])
    if is_synced:
        with pytest.raises(LogError, match="2 whole ones are behind it"):
            Log.open(folder, JOB)
    else:
        log = Log.open(folder, JOB)
        assert said(log) == expected(1)
        assert (log.dropped_bytes, log.dropped_entries) == (len(data) - begins, 2)
        log.close()


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_segment(tmp_path, missing):
    """A segment that is missing is noticed; cut, the log goes on where it ends."""
    log = Log.open(tmp_path, JOB)
    for _ in range(3):
        fill(log, 2)
        log.roll()
    log.close()
    segment.segments(tmp_path)[missing].unlink()
    with pytest.raises(LogError, match=r"missing|follows entry 4, but 2"):
        Log.open(tmp_path, JOB)
    log = Log.open(tmp_path, JOB, damaged="cut")
    assert said(log) == expected(*range(1, 2 * missing + 1))
    log.close()


def test_begins_after_the_snapshot(tmp_path):
    """Entries that were deleted cannot be asked for; what is after a snapshot that covers them can."""
    log = Log.open(tmp_path, JOB)
    fill(log, 4)
    log.drop(log.roll())
    fill(log, 1)
    assert said(log, 4) == expected(5)
    with pytest.raises(LogError, match="entries 4 to 4 are missing"):
        said(log, 3)
    log.close()
    with pytest.raises(LogError, match="entries 1 to 4 are missing"):
        Log.open(tmp_path, JOB)


def test_log_that_ends_before_the_snapshot(tmp_path):
    """A log that has lost what a snapshot covers goes on behind the snapshot, and says what it lacks."""
    log = Log.open(tmp_path, JOB)
    fill(log, 2)
    log.close()
    log = Log.open(tmp_path, JOB, after=7)
    assert log.append({"number": 8}, sync=True) == 8
    log.close()
    log = Log.open(tmp_path, JOB, after=7)
    assert said(log, 7) == expected(8)
    with pytest.raises(LogError, match="follows entry 7, but 2"):
        said(log, 1)
    log.close()


def test_skip_to(tmp_path):
    """After a skip, entries are numbered behind all that others know of; what was before is still there."""
    log = Log.open(tmp_path, JOB)
    fill(log, 2)
    log.skip_to(9)
    assert log.append({"number": 10}, sync=False) == 10
    log.close()
    log = Log.open(tmp_path, JOB)
    assert said(log) == expected(1, 2, 10)
    assert said(log, 9) == expected(10)
    log.drop(log.roll())
    assert log.nbytes == segment.START
    log.close()


def test_roll_without_entries(tmp_path):
    """A segment without entries is not followed by another, and lives through a crash and a drop."""
    log = Log.open(tmp_path, JOB)
    assert log.roll() == log.roll() == 0
    fill(log, 1)
    assert log.roll() == log.roll() == 1
    log.drop(1)
    log.close()
    log = Log.open(tmp_path, JOB, after=1)
    assert len(segment.segments(tmp_path)) == 1
    assert log.append({}, sync=True) == 2
    log.close()


def test_segment_that_was_not_born(tmp_path):
    """A crash while a segment is made leaves the log as it was, and nothing of the segment."""
    log = Log.open(tmp_path, JOB)
    fill(log, 2)
    log.close()
    (tmp_path / f"{3:020d}.log.unfinished").write_bytes(b"tidegate")
    log = Log.open(tmp_path, JOB)
    assert said(log) == expected(1, 2)
    assert [path.name for path in tmp_path.iterdir()] == [f"{1:020d}.log"]
    log.close()
