"""A file is there as a whole or not at all: whatever fails, and whenever the process ends."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from tidegate.errors import StoreError
from tidegate.store.wholefile import sweep, write_whole

OLD, NEW = [b"old"], [b"new ", np.arange(5, dtype=np.uint8), memoryview(b"pieces"), b""]


@pytest.fixture
def path(tmp_path):
    """A file that is there already."""
    write_whole(tmp_path / "file", OLD)
    return tmp_path / "file"


def test_pieces_are_written_in_turn(path):
    """A file consists of its pieces; what was there before is gone."""
    assert write_whole(path, NEW) == 15
    assert path.read_bytes() == b"new \0\1\2\3\4pieces"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("number", [28, 5, 122])
@pytest.mark.parametrize("name", ["open", "pwritev", "fsync", "replace"])
def test_every_step_may_fail(path, monkeypatch, name, number):
    """When a step fails, what was there stays, no other file is left, and the message says all."""

    def fail(*_arguments, **_named):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(StoreError) as raised:
            write_whole(path, NEW)
    assert str(raised.value) == f"{path}: cannot be written, 15 bytes were needed: {os.strerror(number)}"
    assert os.listdir(path.parent) == ["file"]
    assert path.read_bytes() == b"old"


def test_a_name_that_may_not_last(path, monkeypatch):
    """When only the folder cannot be brought to the disk, that is said; the file is there, and whole."""
    sync = os.fsync

    def sync_files(file):
        if os.path.isdir(f"/proc/self/fd/{file}"):
            raise OSError(5, os.strerror(5))
        sync(file)

    monkeypatch.setattr(os, "fsync", sync_files)
    with pytest.raises(StoreError, match="15 bytes were needed: Input/output error"):
        write_whole(path, NEW)
    assert os.listdir(path.parent) == ["file"]
    assert path.read_bytes() == b"new \0\1\2\3\4pieces"


def test_a_file_that_may_not_grow(path):
    """A file that comes to the limit of the system in its midst leaves nothing behind."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(StoreError, match="3,000,000 bytes were needed: File too large"):
            write_whole(path, [bytes(1_500_000), bytes(1_500_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(path.parent) == ["file"]
    assert path.read_bytes() == b"old"


def test_an_interrupt(path, monkeypatch):
    """Ctrl-C in the midst of it leaves no temporary file."""

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, NEW)
    assert os.listdir(path.parent) == ["file"]


def test_the_order_of_steps(path, monkeypatch):
    """The content is on disk before the name changes, and then the name."""
    steps = []
    for name in ("pwritev", "fsync", "replace"):
        real = getattr(os, name)

        def step(first, *rest, name=name, real=real):
            steps.append((name, os.path.isdir(f"/proc/self/fd/{first}") if name == "fsync" else None))
            return real(first, *rest)

        monkeypatch.setattr(os, name, step)
    write_whole(path, [b"new"])
    assert steps == [("pwritev", None), ("fsync", False), ("replace", None), ("fsync", True)]


def test_no_folder(tmp_path):
    """Without its folder a file cannot be written, and no folder is made."""
    with pytest.raises(StoreError, match="3 bytes were needed: No such file or directory"):
        write_whole(tmp_path / "folder" / "file", OLD)
    assert not (tmp_path / "folder").exists()


KILLED = """
import os, sys
from pathlib import Path
from tidegate.store.wholefile import write_whole
os.fsync = lambda fd: os._exit(9)
write_whole(Path(sys.argv[1]), [b"new"])
"""


def test_a_killed_process(path):
    """A process that dies while it writes leaves what was there; the rest is swept away or written over."""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
        assert done.returncode == 9
        assert path.read_bytes() == b"old"
        assert len(os.listdir(path.parent)) == 2
    assert sweep(path.parent) == 1
    assert sweep(path.parent) == 0
    assert os.listdir(path.parent) == ["file"]
    assert write_whole(path, NEW) == 15
