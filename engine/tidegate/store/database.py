"""The database of a store: one file, its connections, and its transactions.

Readers see the database as it was when they began and never wait; one writer at a time. SQLite's
write-ahead log does both.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StoreError
from .documents import DocumentsEdit, DocumentsView
from .forecastrows import ForecastsEdit, ForecastsView
from .jobrows import JobsEdit, JobsView
from .messages import MessagesEdit, MessagesView
from .queries import Queries
from .resultrows import ResultsEdit
from .schema import prepare, require_database
from .session import Connection, translated
from .snapshotindex import SnapshotsEdit, SnapshotsView

_SETTINGS = {
    "foreign_keys": "ON",
    # Debian builds SQLite to overwrite what is deleted with zeros: every merge would be written twice.
    "secure_delete": "OFF",
    "cell_size_check": "ON",
    "journal_size_limit": str(1 << 26),
}
_ABANDONED: list[sqlite3.Connection] = []
"""Connections of the process that this one was forked from: to close them here would free its locks."""


class View(Queries, SnapshotsView, ForecastsView, MessagesView, DocumentsView, JobsView):
    """What can be read, all of it as it was when the reading began."""


class Transaction(View, ResultsEdit, SnapshotsEdit, ForecastsEdit, MessagesEdit, DocumentsEdit, JobsEdit):
    """What can be changed: all of it or, after an error, nothing."""


class Database:
    """The file that has a store's configurations, results and everything small.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> database = Database(os.path.join(folder.name, "store.db"))
    >>> with database.transaction() as tx:
    ...     tx.create_job("flights", {"job_id": "flights"}, created_ms=0)
    >>> with database.reading() as view:
    ...     view.job("flights").state
    'closed'
    >>> database.close()
    >>> folder.cleanup()

    It may be used from any thread. With `create` a missing file is made. A writer waits `timeout_s`
    for the writers of other processes.

    Raises VersionError for a file that a later tidegate wrote or that is no store, StoreError for
    one that cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, timeout_s: float = 30.0) -> None:
        self.path = Path(path).absolute()
        self._uri = f"{self.path.as_uri()}?mode={'rwc' if create else 'rw'}"
        self._timeout_s = timeout_s
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._writer: int | None = None
        self._process = os.getpid()
        self._is_closed = False
        if not create and not self.path.exists():
            raise StoreError(f"{self.path}: there is no such file")
        require_database(self.path)
        with self._connection():
            pass

    def __repr__(self) -> str:
        return f"<tidegate.store.Database {str(self.path)!r}>"

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Transaction]:
        """A change of the database: complete when the block ends, undone when it raises.

        Survives the end of the process from then on; with `durable` that of the machine too, and so
        does every change before it (the log that all of them are in is synced). Without, the last
        ones may be lost with the machine's power, the latest first. Raises StoreError; the change can
        be tried again.
        """
        with self._alone(), self._connection() as sql:
            sql.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with _begun(sql, "BEGIN IMMEDIATE"):
                session = Transaction(sql, str(self.path))
                try:
                    yield session
                finally:
                    session.end()

    @contextmanager
    def reading(self) -> Iterator[View]:
        """The database as it is at the first look, whatever is written meanwhile."""
        with self._connection() as sql, _begun(sql, "BEGIN"):
            session = View(sql, str(self.path))
            try:
                yield session
            finally:
                session.end()

    def shrink(self) -> None:
        """Gives room that deletions left back to the file system; takes as long as writing that much."""
        with self._alone(), self._connection() as sql:
            sql.executescript("PRAGMA incremental_vacuum")  # execute would make one step, a page
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Closes all connections; those in use when they are given back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        with translated(self.path):
            for sql in idle:
                sql.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer of this process at a time, in turn: SQLite would have them poll."""
        if self._writer == threading.get_ident():
            raise StoreError(f"{self.path}: a transaction within a transaction")
        with self._writing:
            self._writer = threading.get_ident()
            try:
                yield
            finally:
                self._writer = None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else has; its errors are those of a store."""
        with translated(self.path):
            sql = self._taken() or self._connected()
            try:
                yield sql
            finally:
                self._give_back(sql)

    def _taken(self) -> sqlite3.Connection | None:
        with self._lock:
            if self._is_closed:
                raise StoreError(f"{self.path}: the store is closed")
            if self._process != os.getpid():
                _ABANDONED.extend(self._idle)
                self._idle, self._process = [], os.getpid()
            return self._idle.pop() if self._idle else None

    def _connected(self) -> sqlite3.Connection:
        is_new = not self.path.exists()
        sql = sqlite3.connect(
            self._uri,
            self._timeout_s,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
            uri=True,
        )
        try:
            for name, value in _SETTINGS.items():
                sql.execute(f"PRAGMA {name} = {value}").fetchall()
            prepare(sql, self.path)
        except BaseException:
            sql.close()
            raise
        if is_new:
            _sync_folder(self.path.parent)
        return sql

    def _give_back(self, sql: sqlite3.Connection) -> None:
        with self._lock:
            if not self._is_closed and not sql.in_transaction and self._process == os.getpid():
                self._idle.append(sql)
                return
        sql.close()


@contextmanager
def _begun(sql: sqlite3.Connection, begin: str) -> Iterator[None]:
    """A transaction: committed, or rolled back when an error comes through."""
    sql.execute(begin)
    try:
        yield
        sql.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself. If it cannot, closing the connection does.
        if sql.in_transaction:
            with suppress(sqlite3.Error):
                sql.execute("ROLLBACK")
        raise


def _sync_folder(folder: Path) -> None:
    """Makes the name of a new file as durable as the file."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
