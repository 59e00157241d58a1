"""The tables of a store's database, and what marks a file as one.

Everything about a job has the id of the job as the first part of its key and goes with the job.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ..errors import StoreError, VersionError

APPLICATION_ID = 0x74696465
"""Marks the file ("tide"), so that no other database is mistaken for one."""
VERSION = 1
"""Of the tables below; a file with a larger one is left alone."""
_LEAST_BYTES = 512

_TABLES = """
CREATE TABLE jobs (
    job TEXT NOT NULL PRIMARY KEY,
    config TEXT NOT NULL,
    job_groups TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    finished INTEGER,
    counters TEXT NOT NULL,
    snapshot_id TEXT,
    finalized_end INTEGER,
    applied_sequence INTEGER NOT NULL
);
CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    kind TEXT NOT NULL,
    is_interim INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    top_score REAL NOT NULL,
    nbytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (job, kind, is_interim, first_row)
);
CREATE TABLE limits (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    score BLOB NOT NULL
);
CREATE TABLE snapshots (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    snapshot_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    description TEXT NOT NULL,
    retain INTEGER NOT NULL,
    latest_record_time_stamp INTEGER,
    latest_result_time_stamp INTEGER,
    model_size_stats TEXT NOT NULL,
    min_version TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    nbytes INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (job, snapshot_id)
);
CREATE TABLE forecasts (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    forecast_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    info TEXT NOT NULL,
    PRIMARY KEY (job, forecast_id)
);
CREATE TABLE forecast_points (
    job TEXT NOT NULL,
    forecast_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    nbytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (job, forecast_id, part),
    FOREIGN KEY (job, forecast_id) REFERENCES forecasts ON DELETE CASCADE
);
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    job TEXT REFERENCES jobs ON DELETE CASCADE,
    time INTEGER NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX messages_of_job ON messages (job, number);
CREATE TABLE documents (
    collection TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (collection, name)
);
"""


def require_database(path: Path) -> None:
    """Raises StoreError for a folder, and VersionError for a short file, which SQLite would take for empty.

    By its size alone: whoever closes a file gives up all locks that the process has on it, those of SQLite
    too. So nothing but SQLite may ever open the file.
    """
    if path.is_dir():
        raise StoreError(f"{path}: it is a folder, not a database")
    if path.exists() and 0 < path.stat().st_size < _LEAST_BYTES:
        raise VersionError(f"{path}: the file is no store of tidegate")


def prepare(sql: sqlite3.Connection, path: str | os.PathLike[str]) -> None:
    """Makes the tables in a new file; in another sees that they are those of this version.

    Raises VersionError for a database of something else or of a later version. Several processes may
    do it at once: one of them makes the tables.
    """
    if _is_ready(sql, path):
        return
    sql.execute("PRAGMA auto_vacuum = INCREMENTAL")
    [mode] = sql.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"{os.fspath(path)}: its file system has no shared memory, which a store needs")
    sql.execute("BEGIN IMMEDIATE")
    try:
        if not _is_ready(sql, path):
            for statement in _TABLES.split(";\n"):
                sql.execute(statement)
            sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            sql.execute(f"PRAGMA user_version = {VERSION}")
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise


def _is_ready(sql: sqlite3.Connection, path: str | os.PathLike[str]) -> bool:
    """Whether there are tables; VersionError if they are not ours."""
    [mark] = sql.execute("PRAGMA application_id").fetchone()
    [version] = sql.execute("PRAGMA user_version").fetchone()
    if mark == APPLICATION_ID:
        if version != VERSION:
            raise VersionError(
                f"{os.fspath(path)}: a tidegate with version {version} of its store wrote it; "
                f"this one reads version {VERSION}"
            )
        return True
    [tables] = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mark or version or tables:
        raise VersionError(f"{os.fspath(path)}: the database is no store of tidegate")
    return False
