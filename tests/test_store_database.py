"""The database of a store: transactions, readers beside a writer, other files, full and broken disks."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest

from tidegate import ExistsError, NotFoundError, StoreError, VersionError
from tidegate.results import FORECAST
from tidegate.store import schema
from tidegate.store.chunks import SCHEMAS
from tidegate.store.database import Database, Transaction
from tidegate.store.forecastrows import StoredForecast
from tidegate.store.messages import MOST_MESSAGES, Message
from tidegate.store.snapshotindex import StoredSnapshot

START = 1_700_000_000_000


def rows(kind: str, times: list[int], label: str = "") -> pa.Table:
    """Results at these times, with a label in their job id."""
    made = {"timestamp": times, "job_id": [label] * len(times)}
    columns = [pa.array(made.get(field.name, [None] * len(times)), field.type) for field in SCHEMAS[kind]]
    return pa.table(columns, SCHEMAS[kind])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with two jobs that have one of everything, closed."""
    path = tmp_path / "store.db"
    with Database(path) as database, database.transaction() as tx:
        for job_id in ("one", "two"):
            fill(tx, job_id)
    return path


def fill(tx: Any, job_id: str) -> None:
    tx.create_job(job_id, {"job_id": job_id, "groups": ["both"]}, created_ms=5)
    for kind in ("buckets", "records"):
        tx.add_results(job_id, kind, rows(kind, [START + i for i in range(20)], job_id))
        tx.add_results(job_id, kind, rows(kind, [START + 20], job_id), interim=True)
    tx.replace_table(job_id, "categories", SCHEMAS["categories"].empty_table())
    tx.put_snapshot(snapshot(job_id, "1", 7))
    tx.add_forecast(job_id, StoredForecast("f", 1, 10, {"ms": 3}), rows_of_forecast(job_id))
    tx.add_message(job_id, 5, "info", f"made {job_id}")


def changed(database: Database, *changes: Callable[[Transaction], Any]) -> None:
    """Makes changes in one transaction."""
    with database.transaction() as tx:
        for change in changes:
            change(tx)


def snapshot(job_id: str, name: str, timestamp: int) -> StoredSnapshot:
    return StoredSnapshot(job_id, name, timestamp, "", False, None, 3, {"bytes": 1}, "0.1", 9, 100, 2**64 - 1)


def rows_of_forecast(job_id: str) -> pa.Table:
    columns = {name: [None] * 3 for name in FORECAST.names} | {"job_id": [job_id] * 3}
    return pa.table(columns, FORECAST)


def everything(database: Database, job_id: str) -> list[Any]:
    """All that is known of a job."""
    with database.reading() as view:
        return [
            view.job(job_id),
            *(view.results(job_id, kind).table.to_pylist() for kind in ("buckets", "records")),
            view.snapshots(job_id),
            view.forecasts(job_id),
            view.forecast_points(job_id, "f").to_pylist(),
            view.messages(job_id),
        ]


def test_a_job_takes_what_is_its_own_and_nothing_else(path: Path) -> None:
    """Deleting a job removes everything of it in every table, and leaves another as it was."""
    with Database(path) as database:
        before = everything(database, "two")
        with database.transaction() as tx:
            tx.put_document("calendars", "c", {"job_ids": ["one", "two", "both"], "events": []})
            tx.delete_job("one")
        assert everything(database, "two") == before
        with database.reading() as view:
            assert [job.job_id for job in view.jobs()] == ["two"]
            assert view.documents("calendars") == {"c": {"job_ids": ["two", "both"], "events": []}}
            for read in (view.job, lambda job_id: view.results(job_id, "records")):
                with pytest.raises(NotFoundError, match="No known job with id 'one'"):
                    read("one")
    raw = sqlite3.connect(path)
    tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    of_jobs = [t for t in tables if any(c[1] == "job" for c in raw.execute(f"PRAGMA table_info({t})"))]
    assert {"jobs", "chunks", "snapshots", "forecasts", "forecast_points", "messages"} == set(of_jobs)
    for table in of_jobs:
        assert [job for (job,) in raw.execute(f"SELECT DISTINCT job FROM {table}")] == ["two"], table
    raw.close()


def test_everything_small_is_there_again(path: Path) -> None:
    """Jobs, snapshots, forecasts, calendars and messages come back as they were put in."""
    with Database(path) as database:
        with database.transaction() as tx:
            counters = {"data_counts": {"processed_record_count": 10**12}}
            tx.set_job("one", state="opened", counters=counters, applied_sequence=4, finished_ms=None)
            tx.set_job("one", config={"job_id": "one", "groups": ["other"]}, finalized_end=START)
            tx.set_job("one")
            tx.put_snapshot(snapshot("one", "2", 8))
            tx.put_document("filters", "f", {"items": ["é", "b"]})
            tx.put_document("filters", "gone", {})
            assert tx.delete_document("filters", "gone")
            assert not tx.delete_document("filters", "gone")
        with database.reading() as view:
            job = view.job("one")
            assert (job.state, job.counters, job.applied_sequence) == ("opened", counters, 4)
            assert (job.created_ms, job.finalized_end, job.config["groups"]) == (5, START, ["other"])
            assert view.groups() == {"one": ("other",), "two": ("both",)}
            assert view.snapshots("one") == [snapshot("one", "2", 8), snapshot("one", "1", 7)]
            assert view.documents("filters") == {"f": {"items": ["é", "b"]}}
            assert view.forecast_points("one", "f").equals(rows_of_forecast("one"))
            assert view.forecasts("one") == [StoredForecast("f", 1, 10, {"ms": 3})]
        with database.transaction() as tx:
            tx.delete_snapshot("one", "1")
            assert tx.expire_forecasts(9) == 0
            assert tx.expire_forecasts(10) == 2
            with pytest.raises(
                NotFoundError, match=r"No model snapshot with id \[1\] exists for job \[one\]"
            ):
                tx.delete_snapshot("one", "1")
        with database.reading() as view:
            assert view.snapshots("one") == [snapshot("one", "2", 8)]
            assert view.forecasts("one") == []
            assert view.forecast_points("one", "f").num_rows == 0


def test_messages_are_bounded(path: Path) -> None:
    """Of each job the latest messages are kept; one without a job belongs to the store."""
    with Database(path) as database:
        with database.transaction() as tx:
            for i in range(MOST_MESSAGES + 5):
                tx.add_message("one", i, "info", f"{i}")
            tx.add_message(None, 1, "warning", "lone \ud800")
        with database.reading() as view:
            found = view.messages("one")
            assert len(found) == MOST_MESSAGES
            assert found[-1] == Message("one", MOST_MESSAGES + 4, "info", f"{MOST_MESSAGES + 4}")
            assert view.messages("two") == [Message("two", 5, "info", "made two")]
            assert view.messages()[-1] == Message(None, 1, "warning", "lone \\ud800")


def test_wrong_changes_are_refused(path: Path) -> None:
    """An id that is taken, an unknown one, a job that results do not have: clear errors, nothing done."""
    with Database(path) as database:
        before = everything(database, "one")
        with pytest.raises(ExistsError, match="The Id is already used"), database.transaction() as tx:
            tx.create_job("one", {}, created_ms=0)
        for change in (
            lambda tx: tx.add_results("x", "records", rows("records", [START])),
            lambda tx: tx.set_job("x", state="opened"),
            lambda tx: tx.set_job("x"),
            lambda tx: tx.delete_job("x"),
        ):
            with pytest.raises(NotFoundError, match="No known job with id 'x'"):
                changed(database, lambda tx: tx.set_job("one", state="failed"), change)
        with pytest.raises(StoreError, match="there may be no such job"), database.transaction() as tx:
            tx.put_snapshot(snapshot("x", "1", 1))
        with pytest.raises(StoreError, match="cannot be stored as JSON"), database.transaction() as tx:
            tx.set_job("one", counters={"a": float("nan")})
        with pytest.raises(TypeError, match="cannot be changed"), database.transaction() as tx:
            tx.set_job("one", colour="red")
        assert everything(database, "one") == before


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    """After any error, Ctrl-C too, nothing is changed, and the same change can be made again."""
    with Database(path) as database:
        before = everything(database, "one")

        def change(tx: Any) -> None:
            tx.drop_interim("one")
            tx.add_results("one", "records", rows("records", [START + 30]))
            tx.set_job("one", applied_sequence=99)

        for error in (ValueError, KeyboardInterrupt, sqlite3.OperationalError):
            raising = Mock(side_effect=error)
            with pytest.raises((ValueError, KeyboardInterrupt, StoreError)):
                changed(database, change, raising)
            raising.assert_called_once()
            assert everything(database, "one") == before
        with pytest.raises(StoreError, match="a transaction within a transaction"):
            changed(database, lambda _: changed(database))
        with database.transaction(durable=True) as tx:
            change(tx)
        with pytest.raises(StoreError, match="the transaction is over"):
            tx.drop_interim("one")
        assert everything(database, "one")[0].applied_sequence == 99


def test_a_durable_transaction_is_synced(path: Path) -> None:
    """With `durable` SQLite syncs the log at the commit, else not; the setting is each transaction's own."""
    with Database(path) as database:
        for durable, level in ((True, 2), (False, 1), (True, 2)):
            with database.transaction(durable=durable) as tx:
                assert tx._sql.execute("PRAGMA synchronous").fetchone() == (level,)
                assert tx._sql.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_closed_store_is_closed(path: Path) -> None:
    """After `close`, which may come twice, there is no reading; connections in use are closed afterwards."""
    database = Database(path)
    with database.reading() as view:
        database.close()
        assert view.job("one").job_id == "one"
    database.close()
    with pytest.raises(StoreError, match="the store is closed"), database.reading():
        pass
    assert sorted(os.listdir(path.parent)) == ["store.db"]


def test_readers_see_whole_flushes(tmp_path: Path) -> None:
    """While a writer adds bucket n with its n % 5 records, n by n, no reader sees one without the other."""
    last, seen, problems = 150, [0] * 3, []
    with Database(tmp_path / "store.db") as database:
        with database.transaction() as tx:
            tx.create_job("j", {}, created_ms=0)
        done = threading.Event()

        def read(reader: int) -> None:
            try:
                while not done.is_set() or seen[reader] == 0:
                    with database.reading() as view:
                        buckets = view.results("j", "buckets").count
                        records = view.results("j", "records").count
                        finalized = view.job("j").finalized_end
                    if finalized != (buckets or None) or records != sum(n % 5 for n in range(buckets)):
                        problems.append((buckets, records, finalized))
                    seen[reader] += 1
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(len(seen))]
        for thread in threads:
            thread.start()
        try:
            for n in range(last):
                with database.transaction() as tx:
                    tx.add_results("j", "buckets", rows("buckets", [START + n]))
                    tx.add_results("j", "records", rows("records", [START + n] * (n % 5)))
                    tx.set_job("j", finalized_end=n + 1)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert problems == []
    assert min(seen) > 0


WRITER = """
import sys
from tidegate.store.database import Database
with Database(sys.argv[1]) as database:
    for n in range(20):
        with database.transaction() as tx:
            tx.add_message(None, n, "info", sys.argv[2])
"""


def test_processes_write_in_turn(tmp_path: Path) -> None:
    """Three processes that make the same new database at once, and write to it, all do."""
    path = tmp_path / "store.db"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in "abc"]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    with Database(path) as database, database.reading() as view:
        texts = [message.text for message in view.messages()]
    assert sorted(texts) == ["a"] * 20 + ["b"] * 20 + ["c"] * 20


def test_another_process_that_writes_for_long(path: Path) -> None:
    """A writer gives up after its time, says so, and can try again; readers do not notice."""
    other = sqlite3.connect(path, isolation_level=None)
    with Database(path, timeout_s=0.01) as database:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process has been writing"), database.transaction():
            pass
        assert everything(database, "one")[0].state == "closed"
        other.execute("ROLLBACK")
        other.close()
        with database.transaction() as tx:
            tx.set_job("one", state="opened")


def test_a_full_disk_loses_nothing(path: Path) -> None:
    """Without room a transaction fails as a whole and says why; with room again it can be repeated."""
    noise = random.Random(1)
    table = rows("records", [START + 40] * 500).to_pylist()
    for row in table:
        row["field_name"] = noise.randbytes(40).hex()
    wide = pa.Table.from_pylist(table, SCHEMAS["records"])
    with Database(path) as database:
        before = everything(database, "one")

        def limit(tx: Transaction) -> None:
            tx.set_job("one", state="opened")
            [pages] = tx._sql.execute("PRAGMA page_count").fetchone()
            tx._sql.execute(f"PRAGMA max_page_count = {pages + 1}").fetchone()

        with pytest.raises(StoreError, match="no room for more on the disk"):
            changed(database, limit, lambda tx: tx.add_results("one", "records", wide))
        assert everything(database, "one") == before
        with database.transaction() as tx:
            tx._sql.execute("PRAGMA max_page_count = 1000000").fetchone()
            tx.add_results("one", "records", wide)
        with database.reading() as view:
            assert view.results("one", "records").count == 521


def test_a_later_version_is_left_alone(path: Path) -> None:
    """A database of a later tidegate is refused by its number, and not changed."""
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(
        VersionError, match=rf"store\.db: a tidegate with version {schema.VERSION + 1} of its"
    ):
        Database(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"x", b"SQLite format 3\0" + b"\1" * 4096]
)
def test_files_that_are_no_store(content: bytes, tmp_path: Path) -> None:
    """Any other file is refused with its name, and not changed."""
    path = tmp_path / "other.db"
    path.write_bytes(content)
    with pytest.raises(VersionError, match=r"other\.db: the file is no store of tidegate"):
        Database(path)
    assert path.read_bytes() == content


def test_places_that_have_no_store(tmp_path: Path) -> None:
    """Another program's database, a folder, a missing file and a missing folder: clear errors."""
    raw = sqlite3.connect(tmp_path / "other.db")
    raw.execute("CREATE TABLE t (a)")
    raw.close()
    with pytest.raises(VersionError, match="the database is no store of tidegate"):
        Database(tmp_path / "other.db")
    with pytest.raises(StoreError, match="it is a folder"):
        Database(tmp_path)
    with pytest.raises(StoreError, match="there is no such file"):
        Database(tmp_path / "none.db", create=False)
    with pytest.raises(StoreError, match="it cannot be opened"):
        Database(tmp_path / "none" / "store.db")
    assert os.listdir(tmp_path) == ["other.db"]
    (tmp_path / "what?mode=memory&#%20.db").touch()
    with (
        Database(tmp_path / "what?mode=memory&#%20.db", create=False) as database,
        database.transaction() as tx,
    ):
        tx.create_job("j", {}, created_ms=0)
    assert (tmp_path / "what?mode=memory&#%20.db").stat().st_size > 0


def read_all(path: Path) -> list[Any]:
    with Database(path) as database:
        return [everything(database, job_id) for job_id in ("one", "two")]


def test_damaged_files_are_errors_never_wrong_results(path: Path, tmp_path: Path) -> None:
    """A file with a changed or missing part is read as it was or refused; results are never others."""
    right, content = read_all(path), path.read_bytes()
    noise, damaged = random.Random(5), tmp_path / "damaged.db"
    refused = 0
    cases = 1000 if os.environ.get("TIDEGATE_FUZZ") == "thorough" else 150
    for case in range(cases):
        broken = bytearray(content)
        if case % 10 == 0:
            del broken[noise.randrange(len(broken)) :]
        else:
            for _ in range(noise.choice([1, 1, 50])):
                broken[noise.randrange(len(broken))] ^= 1 << noise.randrange(8)
        damaged.write_bytes(broken)
        for rest in tmp_path.glob("damaged.db-*"):
            rest.unlink()
        try:
            found = read_all(damaged)
        except (StoreError, NotFoundError):
            refused += 1
            continue
        for job, wanted in zip(found, right, strict=True):
            for kind in (1, 2):
                assert all(row in wanted[kind] for row in job[kind])
    assert refused > cases / 10


def test_a_fork_uses_connections_of_its_own(path: Path) -> None:
    """A forked process that reads and ends leaves the store of its parent whole."""
    script = (
        "import os, sys\n"
        "from tidegate.store.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "with database.transaction() as tx: tx.set_job('one', applied_sequence=1)\n"
        "if (child := os.fork()) == 0:\n"
        "    with database.reading() as view: assert view.job('one').applied_sequence == 1\n"
        "    with database.transaction() as tx: tx.set_job('one', applied_sequence=2)\n"
        "    database.close()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "with database.transaction() as tx: tx.set_job('two', applied_sequence=3)\n"
        "with database.reading() as view:\n"
        "    assert [job.applied_sequence for job in view.jobs()] == [2, 3]\n"
        "database.close()\n"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=120)


def test_deleted_room_is_given_back(path: Path) -> None:
    """The file shrinks when a large job has gone and `shrink` is called."""
    noise = random.Random(2)
    table = rows("records", [START + 40] * 3000).to_pylist()
    for row in table:
        row["field_name"] = noise.randbytes(100).hex()
    with Database(path) as database:
        with database.transaction() as tx:
            tx.create_job("big", {}, created_ms=0)
            tx.add_results("big", "records", pa.Table.from_pylist(table, SCHEMAS["records"]))
        database.shrink()
        large = path.stat().st_size
        with database.transaction() as tx:
            tx.delete_job("big")
        database.shrink()
        assert path.stat().st_size < large - 300_000
