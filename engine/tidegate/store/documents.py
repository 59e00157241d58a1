"""Calendars and filters in the database: JSON under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .session import Session, as_json

Collection = Literal["calendars", "filters", "meta"]


class DocumentsView(Session):
    """Calendars and filters to read."""

    def documents(self, collection: Collection) -> dict[str, dict[str, Any]]:
        """All of a collection, by name."""
        rows = self._sql.execute(
            "SELECT name, value FROM documents WHERE collection = ? ORDER BY name", (collection,)
        ).fetchall()
        return {name: self._from_json(value, f"'{name}' of {collection}") for name, value in rows}


class DocumentsEdit(DocumentsView):
    """Calendars and filters to change."""

    def put_document(self, collection: Collection, name: str, value: Mapping[str, Any]) -> None:
        """Adds or replaces one."""
        self._sql.execute(
            "INSERT OR REPLACE INTO documents (collection, name, value) VALUES (?, ?, ?)",
            (collection, name, as_json(value)),
        )

    def delete_document(self, collection: Collection, name: str) -> bool:
        """Removes one; whether it was there."""
        where = "collection = ? AND name = ?"
        return self._sql.execute(f"DELETE FROM documents WHERE {where}", (collection, name)).rowcount > 0
