"""Numbers that a store gives out once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .database import Transaction


def next_number(tx: Transaction, name: str) -> int:
    """The next number of a name, from 1 on: no other call gets the same."""
    found = tx.documents("meta").get(name)
    number = 1 if found is None else int(found["number"]) + 1
    tx.put_document("meta", name, {"number": number})
    return number
