"""What a store does when files are damaged, the disk is full, or somebody presses Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stored import START_S, assert_same, config, in_memory, new_store, results, table

import tidegate
from tidegate import LogError, SnapshotError, StateError, Store, StoreError, VersionError
from tidegate.store import persist


def with_parts(folder: Path, parts: range) -> None:
    """A closed job that had every part in an opening of its own."""
    with new_store(folder) as store:
        for part in parts:
            with store.open_job("web") as job:
                job.post(table(part))


def newest_snapshot(folder: Path) -> Path:
    """The file of the snapshot that the job starts from."""
    return max((folder / "jobs" / "web" / "snapshots").iterdir())


def flip(path: Path, at: int) -> None:
    """Changes one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "missing"])
def test_a_damaged_snapshot_is_refused_and_the_one_before_it_loses_nothing(
    tmp_path: Path, damage: str
) -> None:
    """The message offers it; with the log since then the job is what it was."""
    with_parts(tmp_path, range(5))
    path = newest_snapshot(tmp_path)
    before = path.stat().st_size
    if damage == "flipped":
        flip(path, before // 2)
    elif damage == "missing":
        path.unlink()
    else:
        os.truncate(path, 0 if damage == "empty" else before - 7)
    with Store(tmp_path) as store:
        newest, second = (one["snapshot_id"] for one in store.model_snapshots("web")[:2])
        with pytest.raises(SnapshotError, match=f"'{newest}'.*the one before it is '{second}'"):
            store.open_job("web")
        with store.open_job("web", fallback=True) as job:
            job.post(table(5))
        assert_same(job, in_memory(range(6)))


def test_a_damaged_snapshot_can_be_reverted_from(tmp_path: Path) -> None:
    """To the one before it: what was posted since can be posted again."""
    with_parts(tmp_path, range(5))
    flip(newest_snapshot(tmp_path), 5000)
    with Store(tmp_path) as store:
        second = store.model_snapshots("web")[1]["snapshot_id"]
        store.revert("web", second, delete_intervening_results=True)
        with store.open_job("web") as job:
            job.post(table(4))
        found, expected = results(job), results(in_memory(range(5)))
        assert all(found[kind].equals(expected[kind]) for kind in found)


def logged(folder: Path, parts: range) -> Path:
    """A job whose parts are all in one file of the log, which is returned."""
    with new_store(folder) as store:
        job = store.open_job("web")
        for part in parts:
            job.post(table(part))
        store.close_job("web", force=True)
    [path] = (folder / "jobs" / "web" / "log").rglob("*.log")
    return path


def test_a_torn_last_write_is_dropped_and_nothing_else(tmp_path: Path) -> None:
    """The post that was being written was never answered."""
    path = logged(tmp_path / "torn", range(4))
    longer = logged(tmp_path / "whole", range(5)).read_bytes()
    whole = path.read_bytes()
    path.write_bytes(whole + longer[len(whole) : (len(whole) + len(longer)) // 2])
    with Store(tmp_path / "torn") as store:
        with store.open_job("web") as job:
            assert job.data_counts.processed_record_count == 4 * 120
            job.post(table(4))
        assert_same(job, in_memory(range(5)))


def test_what_was_on_the_disk_and_is_gone_is_not_passed_over(tmp_path: Path) -> None:
    """The log knows how far it was synced: a post that was answered does not vanish silently."""
    path = logged(tmp_path, range(4))
    os.truncate(path, path.stat().st_size - 100)
    with Store(tmp_path) as store, pytest.raises(LogError, match="entry 5 is damaged"):
        store.open_job("web")


def test_damage_in_the_middle_of_the_log_is_refused(tmp_path: Path) -> None:
    """It is said where, and the job can go back to its snapshot."""
    path = logged(tmp_path, range(4))
    flip(path, path.stat().st_size // 2)
    with Store(tmp_path) as store:
        with pytest.raises(LogError, match=str(path)):
            store.open_job("web")
        store.close_job("web", force=True)
        store.revert("web", "empty", delete_intervening_results=True)
        with store.open_job("web") as job:
            job.post(table(0))
        assert job.data_counts.processed_record_count == 120


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """Not a byte of it changes."""
    with_parts(tmp_path, range(1))
    database = sqlite3.connect(tmp_path / "store.db")
    database.execute("PRAGMA user_version = 99")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    before = (tmp_path / "store.db").read_bytes()
    with pytest.raises(VersionError, match="version 99"):
        Store(tmp_path)
    assert (tmp_path / "store.db").read_bytes() == before


class Full:
    """A disk that is full from the n-th write on, until it is given room."""

    NAMES = (
        "write",
        "pwrite",
        "writev",
        "pwritev",
        "fsync",
        "fdatasync",
        "ftruncate",
        "mkdir",
        "rename",
        "replace",
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.failed = 0
        for name in self.NAMES:
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    self.failed += 1
                    raise OSError(errno.ENOSPC, "No space left on device")
            return call(*args, **options)

        return called


@pytest.mark.parametrize("first", range(12))
def test_a_full_disk_fails_the_call_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """With room again the same calls go through; the results are those of a disk that had it all along."""
    disk = Full(monkeypatch)
    with new_store(tmp_path) as store:
        for part in range(6):
            disk.left = first if part == 2 else None
            for act in ("open", "post", "flush", "close"):
                for _ in range(3):
                    try:
                        call_again(store, act, part)
                        break
                    except StoreError as error:
                        assert "No space left" in str(error)  # noqa: PT017
                        disk.left = None
                        job = store.opened_job("web")
                        if "open the job again" in str(error) and job is not None:
                            job.close()
        disk.left = None
        assert_same(store.open_job("web"), in_memory(range(6)))
    assert disk.failed or first > 8


def call_again(store: Store, act: str, part: int) -> None:
    """One call, on a job that is opened again if the one before failed it."""
    job = store.opened_job("web")
    if job is None:
        if store.job_stats("web")[0]["state"] == "failed":
            store.close_job("web", force=True)
        job = store.open_job("web")
    if act == "post" and job.data_counts.input_record_count == part * 120:
        job.post(table(part))
    elif act == "flush":
        job.flush()
    elif act == "close":
        job.close()


def test_results_that_cannot_be_written_wait_for_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are there when the database has room again."""
    with new_store(tmp_path) as store:
        job = store.open_job("web")
        with monkeypatch.context() as patch:
            patch.setattr(tidegate.store.resultrows.ResultsEdit, "add_results", no_room)
            for part in range(3):
                try:
                    job.post(table(part))
                    job.flush()
                except StoreError as error:
                    assert "no room" in str(error)  # noqa: PT017
        for part in range(3, 6):
            job.post(table(part))
        job.close()
        assert_same(job, in_memory(range(6)))


def no_room(*_: object, **__: object) -> int:
    """Fails as a database does that has no room."""
    raise StoreError("store.db: there is no room")


def test_persisting_in_the_background_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job goes on meanwhile; what is logged after the copy was taken is done again when it is opened."""
    monkeypatch.setattr(persist, "_LOG_BYTES", 0)
    with new_store(tmp_path) as store:
        job = store.open_job("web")
        for part in range(10):
            job.post(table(part))
        store.close_job("web", force=True)
        assert len(store.model_snapshots("web")) >= 2
        with store.open_job("web") as job:
            pass
        assert_same(job, in_memory(range(10)))


def test_a_snapshot_that_fails_in_the_background_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has everything meanwhile."""
    monkeypatch.setattr(persist, "_LOG_BYTES", 0)
    broken = True

    def failing(self: object, saved: object) -> object:
        if broken:
            raise StoreError("no room")
        return written(self, saved)

    written = tidegate.store.home.Home.write_snapshot
    monkeypatch.setattr(tidegate.store.home.Home, "write_snapshot", failing)
    with new_store(tmp_path) as store:
        job = store.open_job("web")
        for part in range(4):
            job.post(table(part))
        job._persister.wait()
        assert "no room" in store.messages("web")[-1]["message"]
        broken = False
        job.close()
        assert_same(job, in_memory(range(4)))


def test_a_call_that_fails_inside_the_engine_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job has failed; closed by force and opened again it is as before the call."""
    with new_store(tmp_path) as store:
        job = store.open_job("web")
        job.post(table(0))
        with monkeypatch.context() as patch:
            patch.setattr(job._engine, "add", lambda rows: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                job.post(table(1))
        assert store.job_stats("web")[0]["state"] == "failed"
        with pytest.raises(StateError, match="failed"):
            store.open_job("web")
        with pytest.raises(StateError, match="use force close"):
            store.close_job("web")
        store.close_job("web", force=True)
        with store.open_job("web") as job:
            for part in range(1, 4):
                job.post(table(part))
        assert_same(job, in_memory(range(4)))


@pytest.mark.parametrize("after", range(0, 24, 3))
def test_ctrl_c_leaves_a_job_that_is_the_same_after_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whenever it comes in a flush that moves time: what was done then is what the log says was done."""
    with new_store(tmp_path) as store:
        job = store.open_job("web", threads=1)
        for part in range(3):
            job.post(table(part))
        monkeypatch.setattr(type(job._engine), "_pass_buckets", property(lambda engine: 2))
        left = [after]
        close = job._engine._close_part

        def interrupted(*args: Any) -> None:
            close(*args)
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(job._engine, "_close_part", interrupted)
        try:
            job.flush(advance_time=START_S + 3 * 1200 + 7200, calc_interim=True)
        except KeyboardInterrupt:
            assert after > 0
        monkeypatch.undo()
        job.post(table(6))
        job.flush()
        expected, here = results(job), job.data_counts
        store.close_job("web", force=True)
        with store.open_job("web", threads=1) as job:
            found = results(job)
            assert job.data_counts == here
        assert {k: v.num_rows for k, v in found.items()} == {k: v.num_rows for k, v in expected.items()}
        assert all(found[kind].equals(expected[kind]) for kind in found)


@given(
    acts=st.lists(
        st.sampled_from(
            ["post", "post", "post", "flush", "interim", "advance", "close", "drop", "persist", "attach"]
        ),
        min_size=3,
        max_size=25,
    ),
    durability=st.sampled_from(["post", "flush"]),
)
@settings(max_examples=25, deadline=None)
def test_closing_dropping_and_opening_anywhere_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], durability: str
) -> None:
    """Law 2: the stored job is the job in memory that was told the same."""
    memory = tidegate.Job(config())
    part = 0
    with new_store(tmp_path_factory.mktemp("store"), durability=durability) as store:
        for act in acts:
            job = store.opened_job("web") or store.open_job("web", threads=1)
            if act == "post":
                for one in (job, memory):
                    one.post(table(part))
                part += 1
            elif act in ("flush", "interim", "advance"):
                to = START_S + part * 1200 if act == "advance" else None
                for one in (job, memory):
                    one.flush(calc_interim=act == "interim", advance_time=to)
            elif act == "close":
                job.close()
                memory.close()
                memory.open()
            elif act == "drop":
                store.close_job("web", force=True)
                memory.open() if memory.state == "closed" else memory._engine.results.acknowledge()
            elif act == "persist":
                job.persist()
            elif act == "attach":
                job.detach()
                with store.attach("web", threads=1) as job:
                    job.flush()
                memory.flush()
        with store.opened_job("web") or store.open_job("web") as job:
            pass
        memory.close()
        assert_same(job, memory)


def test_a_reader_sees_whole_flushes_and_never_waits(tmp_path: Path) -> None:
    """Every read has as many buckets in the table as the counts of its last one say."""
    seen: list[int] = []
    problems: list[str] = []
    done = threading.Event()

    def read() -> None:
        with Store(tmp_path) as reader:
            while not done.is_set():
                buckets = reader.buckets("web")
                records = reader.records("web")
                later = set(records["timestamp"].to_pylist()) - set(
                    reader.buckets("web")["timestamp"].to_pylist()
                )
                if later or buckets.num_rows < (seen[-1] if seen else 0):
                    problems.append(f"{later} {buckets.num_rows}")
                seen.append(buckets.num_rows)

    with new_store(tmp_path) as store:
        thread = threading.Thread(target=read)
        thread.start()
        try:
            with store.open_job("web") as job:
                for part in range(25):
                    job.post(table(part))
                    job.flush()
        finally:
            done.set()
            thread.join()
    assert not problems
    assert len(set(seen)) > 3


def test_two_processes_cannot_open_one_job(tmp_path: Path) -> None:
    """The second gets an error that names the first; when the first is killed it gets the job."""
    with new_store(tmp_path):
        pass
    ready, say = os.pipe()
    child = os.fork()
    if child == 0:
        job = Store(tmp_path).open_job("web", threads=1)
        job.post(table(0))
        os.write(say, b"x")
        signal.pause()
    os.read(ready, 1)
    with Store(tmp_path) as store:
        with pytest.raises(StateError, match=f"already been opened by process {child}"):
            store.open_job("web")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with store.open_job("web") as job:
            assert job.data_counts.processed_record_count == 120
