"""What a failure of SQLite is called, and the connection that everything inside a transaction works with."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import StoreError, VersionError

_REASONS = {
    "SQLITE_FULL": "there is no room for more on the disk; the change was not made",
    "SQLITE_IOERR": "the disk cannot be read or written",
    "SQLITE_CORRUPT": "the file is damaged",
    "SQLITE_BUSY": "another process has been writing to it for too long; the change was not made",
    "SQLITE_LOCKED": "another process has been writing to it for too long; the change was not made",
    "SQLITE_PROTOCOL": "other processes have kept it locked for too long",
    "SQLITE_READONLY": "it may not be written",
    "SQLITE_CANTOPEN": "it cannot be opened",
    "SQLITE_PERM": "it may not be opened",
    "SQLITE_TOOBIG": "a value is larger than a row may be",
    "SQLITE_NOMEM": "there is not enough memory",
    "SQLITE_CONSTRAINT": "the change does not fit what is stored, there may be no such job",
}
"""By the first two words of the name of an error: SQLITE_IOERR_WRITE is one of SQLITE_IOERR."""


@contextmanager
def translated(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within it what SQLite raises becomes a StoreError that names the file.

    >>> with translated("store.db"):
    ...     _ = sqlite3.connect("/no/such/folder/store.db")
    Traceback (most recent call last):
    tidegate.errors.StoreError: store.db: it cannot be opened (unable to open database file)
    """
    try:
        yield
    except sqlite3.Error as error:
        name = "_".join((getattr(error, "sqlite_errorname", None) or "").split("_")[:2])
        if name == "SQLITE_NOTADB":
            raise VersionError(f"{os.fspath(path)}: the file is no store of tidegate") from None
        reason = _REASONS.get(name)
        text = f"{reason} ({error})" if reason else str(error)
        raise StoreError(f"{os.fspath(path)}: {text}") from None


class Connection(sqlite3.Connection):
    """A connection whose every failure is an error of SQLite."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """The cursor of a statement."""
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:  # the message about a damaged schema, with damage in it
            raise sqlite3.DatabaseError(f"the file is damaged ({error})") from None


class Session:
    """A connection inside a transaction; of no use when that is over."""

    def __init__(self, sql: sqlite3.Connection, path: str) -> None:
        self._connection: sqlite3.Connection | None = sql
        self._path = path

    def end(self) -> None:
        """Lets go of the connection, which somebody else may have next."""
        self._connection = None

    @property
    def _sql(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self._path}: the transaction is over; begin another")
        return self._connection

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self._path}: the file is damaged ({what})")

    def _from_json(self, text: str, what: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError):
            raise self._damaged(f"{what} is not JSON") from None


def as_json(value: Any) -> str:
    """The text that is stored of a value; StoreError for one that has none."""
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise StoreError(f"{value!r:.200} cannot be stored as JSON: {error}") from None
