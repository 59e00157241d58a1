"""The log of a job on disks that are full or fail, and files that are none of its own."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.log_run import JOB, LARGE, SMALL, copied, ends, expected, fill, flip, no_sync, put, said  # noqa: F401

from tidegate.errors import LogError, RequestError, StoreError, VersionError
from tidegate.store import diskfile, segment, wholefile
from tidegate.store.frames import HEADER_SIZE, Frame
from tidegate.store.log import Log

pytestmark = pytest.mark.usefixtures("no_sync")
NO_ROOM = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


class Failing:
    """Stands for `os.pwritev`: the call of a number writes a part; it, or the next ones, fail."""

    def __init__(self, number: int, error: BaseException, part: float) -> None:
        self.number, self.error, self.part, self.calls = number, error, part, 0
        self.real = os.pwritev

    def __call__(self, file: int, pieces: list[Any], at: int) -> int:
        self.calls += 1
        if self.calls < self.number:
            return self.real(file, pieces, at)
        if self.calls > self.number or not self.part:
            raise self.error
        data = b"".join(pieces)
        return self.real(file, [data[: max(int(self.part * len(data)), 1)]], at)


def fails(error: BaseException) -> Any:
    """A function that raises an error whatever it is called with."""

    def fail(*args: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("part", [0.0, 0.4, 0.999])
@pytest.mark.parametrize("error", [NO_ROOM, KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("batches", [[], [SMALL], [LARGE, SMALL]], ids=len)
def test_no_room_at_any_write(tmp_path, monkeypatch, error, part, batches):
    """A write that fails, or is interrupted, leaves nothing of its entry; then the next one is taken."""
    log = Log.open(tmp_path / "log", JOB)
    fill(log, 1)
    size = log.nbytes
    for number in range(1, 99):
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", Failing(number, error, part))
            try:
                log.append({"number": 2}, batches, sync=True)
                break
            except (StoreError, KeyboardInterrupt) as raised:
                text = str(raised)
        assert "entry 2 cannot be written: No space left on device" in text or error is not NO_ROOM
        assert (log.last_sequence, log.nbytes) == (1, size)
    assert number > 1
    fill(log, 1)
    folder = copied(log, tmp_path / "crashed")
    log.close()
    log = Log.open(folder, JOB)
    assert [sequence for sequence, _, _ in said(log)] == [1, 2, 3]
    assert log.dropped_bytes == 0
    log.close()


@pytest.mark.parametrize("name", ["pwritev", "fsync", "replace", "open", "fdatasync"])
def test_no_room_for_a_segment(tmp_path, monkeypatch, name):
    """A new segment that cannot be made leaves the log as it was; one that cannot be synced ends it."""
    log = Log.open(tmp_path, JOB)
    fill(log, 2, sync=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fails(NO_ROOM))
        with pytest.raises(StoreError, match="No space left on device"):
            log.roll()
    assert len(list(tmp_path.iterdir())) == 1
    if name != "fdatasync":
        fill(log, 1)
    log.close()
    log = Log.open(tmp_path, JOB)
    assert said(log) == expected(1, 2) + (expected(3) if name != "fdatasync" else [])
    log.close()


def test_names_that_cannot_be_synced(tmp_path, monkeypatch):
    """A new segment whose name may not last is not used, and its file is gone."""
    log = Log.open(tmp_path, JOB)
    fill(log, 1)
    with monkeypatch.context() as patch:
        patch.setattr(wholefile, "sync_folder", fails(BROKEN))
        with pytest.raises(StoreError, match="Input/output error"):
            log.roll()
    assert len(list(tmp_path.iterdir())) == 1
    fill(log, 1)
    assert said(log) == expected(1, 2)
    log.close()


def test_retracted_entries_are_not_missed(tmp_path, monkeypatch):
    """The last entry of a segment that is taken back is gone, synced or not; if not, the log ends."""
    log = Log.open(tmp_path / "log", JOB)
    fill(log, 2)
    log.sync()
    fill(log, 1, sync=False)
    log.sync()
    log.retract(3)
    assert said(log) == expected(1, 2)
    crashed = Log.open(copied(log, tmp_path / "crashed"), JOB)
    assert said(crashed) == expected(1, 2)
    crashed.close()
    fill(log, 1)
    assert said(log) == expected(1, 2, 3)
    log.roll()
    log.retract(3)
    assert said(log) == expected(1, 2, 3)
    fill(log, 1)
    monkeypatch.setattr(os, "ftruncate", fails(BROKEN))
    with pytest.raises(StoreError, match="could not be cut off"):
        log.retract(4)
    assert not log.is_usable
    log.close()


@pytest.mark.parametrize("verb", ["append", "sync"])
def test_sync_that_fails_is_not_tried_again(tmp_path, monkeypatch, verb):
    """After a failure of a sync the log takes nothing until it is opened again; its entry is gone."""
    log = Log.open(tmp_path, JOB)
    fill(log, 2, sync=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails(BROKEN))
        with pytest.raises(StoreError, match="Input/output error"):
            log.append({"number": 3}, sync=True) if verb == "append" else log.sync()
    for act in (lambda: log.append({}, sync=False), log.sync, log.roll, lambda: said(log)):
        with pytest.raises(StoreError, match=r"takes no more: .*; open the job again"):
            act()
    log.close()
    log = Log.open(tmp_path, JOB)
    assert said(log) == expected(1, 2)
    log.close()


def test_partial_entry_that_cannot_be_cut_off(tmp_path, monkeypatch):
    """When not even the rest of a failed write can be cut off, the log ends; opened again, it is whole."""
    log = Log.open(tmp_path, JOB)
    fill(log, 2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", Failing(1, BROKEN, 0.5))
        patch.setattr(os, "ftruncate", fails(BROKEN))
        with pytest.raises(StoreError):
            log.append({"number": 3}, [SMALL], sync=True)
    with pytest.raises(StoreError, match="could not be cut off"):
        log.append({}, sync=False)
    folder = copied(log, tmp_path / "crashed")
    log.close()
    log = Log.open(folder, JOB)
    assert log.dropped_bytes > 0
    assert said(log) == expected(1, 2)
    log.close()


def test_limit_of_the_system(tmp_path):
    """A file that may not grow, here by a real limit, is a StoreError, and the log goes on when it may."""
    log = Log.open(tmp_path, JOB)
    fill(log, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.nbytes + 1_500_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="entry 2 cannot be written: File too large"):
            log.append({"number": 2}, [LARGE], sync=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert said(log) == expected(1)
    assert log.append({"number": 2}, sync=True) == 2
    assert said(log) == expected(1, 2)
    log.close()


CHILD = """
import sys, pyarrow as pa
from tidegate.store.log import Log
log = Log.open(sys.argv[1], "a-job")
batch = pa.record_batch({"value": [0.5] * 1000})
while True:
    print(log.append({"op": "post"}, [batch], sync=log.last_sequence % 8 == 0), flush=True)
"""


def test_killed(tmp_path):
    """What a killed process was told to be in the log is there."""
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE) as child:
            last = [int(child.stdout.readline()) for _ in range(50)][-1]
            child.kill()
            last = max([last, *(int(line) for line in child.stdout if line.endswith(b"\n"))])
        log = Log.open(tmp_path, JOB)
        assert [entry.sequence for entry in log.entries(0)] == list(range(1, log.last_sequence + 1))
        assert log.last_sequence - last in (0, 1)
        log.close()


def test_files_of_others(tmp_path):
    """Logs of another job, of a newer tidegate, under a wrong name or no folder at all are refused."""
    folder = tmp_path / "log"
    log = Log.open(folder, JOB)
    fill(log, 2)
    log.close()
    path = segment.segments(folder)[0]
    whole = path.read_bytes()
    with pytest.raises(LogError, match="a log of the job 'a-job', not of 'b'"):
        Log.open(folder, "b", damaged="cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "FORMAT", 2)
        header = segment.packed_header(JOB, 1, 0, b"8 bytes!")
    put(path, header + whole[segment.START :])
    with pytest.raises(VersionError, match="format 2 of a newer tidegate; this one reads up to 1"):
        Log.open(folder, JOB)
    path.unlink()
    segment.segment_path(folder, 2).write_bytes(whole)
    with pytest.raises(LogError, match="begins with entry 1, not"):
        Log.open(folder, JOB)
    with pytest.raises(StoreError, match="cannot be opened: File exists"):
        Log.open(segment.segment_path(folder, 2), JOB)
    with pytest.raises(RequestError, match="damaged: 'ignore'; 'refuse' or 'cut'"):
        Log.open(folder, JOB, damaged="ignore")


def test_other_files_are_let_alone(tmp_path):
    """Files of other names in the folder are none of the log's business."""
    (tmp_path / "notes.log").write_text("mine")
    log = Log.open(tmp_path, JOB)
    fill(log, 1)
    log.drop(log.roll())
    log.close()
    assert (tmp_path / "notes.log").read_text() == "mine"


def test_lengths_that_lie(tmp_path, monkeypatch):
    """A header that claims more bytes than the file has is never believed, nor is room made for them."""
    log = Log.open(tmp_path / "log", JOB)
    fill(log, 2)
    folder = copied(log, tmp_path / "lying")
    log.close()
    path = segment.segments(folder)[0]
    with segment.Segment(path, JOB) as opened:
        header = Frame(3, 2, 2, 1 << 60, 0).packed(opened.marker)
    asked = []
    real = diskfile.read_all
    monkeypatch.setattr(segment, "read_all", lambda file, n, at: asked.append(n) or real(file, n, at))
    with path.open("ab") as file:
        file.write(header + bytes(100))
    log = Log.open(folder, JOB)
    assert said(log) == expected(1, 2)
    assert log.dropped_bytes == HEADER_SIZE + 100
    assert max(asked) < 2_000
    log.close()


def test_posted_bytes_of_a_log_are_no_entries(tmp_path):
    """A text that holds the bytes of a log is not taken for entries, not even behind a torn place."""
    other = Log.open(tmp_path / "other", JOB)
    fill(other, 3)
    other.close()
    text = segment.segments(tmp_path / "other")[0].read_bytes()
    log = Log.open(tmp_path / "log", JOB)
    log.append({"text": text.hex(), "raw": text.decode("latin-1")}, sync=True)
    folder = copied(log, tmp_path / "torn")
    log.close()
    path = segment.segments(folder)[0]
    flip(path, segment.START)
    with path.open("ab") as file:
        file.write(text)
    log = Log.open(folder, JOB)
    assert (log.last_sequence, log.dropped_entries) == (0, 0)
    log.close()


def test_changed_while_open(tmp_path):
    """What changes on the disk after the log was opened is noticed when it is read, wherever it is."""
    log = Log.open(tmp_path, JOB)
    fill(log, 3)
    log.roll()
    fill(log, 3)
    for path in segment.segments(tmp_path):
        for place in (ends(path)[0], ends(path)[0] + 60, ends(path)[1], ends(path)[1] + 60):
            flip(path, place)
            with pytest.raises(LogError):
                said(log)
            flip(path, place)
    assert said(log) == expected(*range(1, 7))
    log.close()


def test_closed(tmp_path):
    """A closed log takes nothing, can be closed again, and says which it is."""
    log = Log.open(str(tmp_path), JOB)
    fill(log, 1)
    log.close()
    log.close()
    with pytest.raises(StoreError, match="it is closed"):
        log.append({}, sync=False)
    assert repr(log) == f"Log({str(Path(tmp_path))!r}, last_sequence=1)"
