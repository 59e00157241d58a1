"""Values as hashes of their text, and the texts that belong to hashes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from tidegate_kernels import distinct as kernels
from tidegate_kernels import information as text_kernels

from .cells import I64
from .kept import INSIDE, Keeper, require
from .keys import U8, U64, Interner
from .soundness import no_such_value
from .valuetext import as_text, index_buffers, text_buffers

_LEAST_SWEPT = 1 << 24  # bytes: below it nothing is worth being thrown out


class TextHasher:
    """The 64-bit hash of the text of every value, 0 for none; equal values have equal hashes.

    >>> hashes = TextHasher().hashes(pa.array(["b", None, "b", ""]))
    >>> bool(hashes[0] == hashes[2] != 0), hashes[[1, 3]].tolist()
    (True, [0, 0])
    """

    def __init__(self) -> None:
        self._latest: tuple[pa.Array, U64] | None = None
        """The latest dictionary and its hashes."""

    def hashes(self, column: pa.Array) -> U64:
        """The hash of every row. Dictionary entries are hashed once per dictionary."""
        if not pa.types.is_dictionary(column.type):
            return _hashed(as_text(column))
        hash_of = self._of_dictionary(column.dictionary)
        rows = np.empty(len(column), np.uint64)
        if len(rows) and kernels.hashes_of_indices(hash_of, *index_buffers(column.indices), rows):
            raise no_such_value(hash_of)
        return rows

    def _of_dictionary(self, dictionary: pa.Array) -> U64:
        if self._latest is None or not self._latest[0].equals(dictionary):
            self._latest = dictionary, _hashed(as_text(dictionary))
        return self._latest[1]


class Table(NamedTuple):
    """A table of strings as the kernels take it."""

    slots: U64
    hash_of: U64
    """The hashes of the strings by code."""
    starts: I64
    arena: U8


class TextStore(Keeper):
    """The texts of one field by their hashes, until they are not needed any more.

    >>> store = TextStore()
    >>> a, b, none = store.hashes(pa.array(["a", "b", None])).tolist()
    >>> store.sweep([np.array([b], np.uint64)])
    >>> len(store), none
    (1, 0)
    """

    KEPT: ClassVar = {"_names": INSIDE, "_hash_of": U64, "_swept": int}

    def __init__(self) -> None:
        self._names = Interner()
        self._hash_of: U64 = np.zeros(1, np.uint64)
        self._swept = 0

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self._names) - 1

    @property
    def table(self) -> Table:
        """The texts as the kernels take them; valid until more come."""
        slots, starts, arena = self._names.table
        return Table(slots, self._hash_of, starts, arena)

    def hashes(self, column: pa.Array) -> U64:
        """The hash of the text of every row, 0 for none; the texts are kept."""
        codes = self._names.codes(column)
        self._hash_new()
        rows: U64 = self._hash_of[codes]
        return rows

    def _hash_new(self) -> None:
        known = len(self._hash_of)
        if len(self._names) > known:
            self._hash_of = np.concatenate([self._hash_of, _hashed(self._names.texts().slice(known))])

    @property
    def nbytes(self) -> int:
        """The memory of the texts, room for more included."""
        return self._names.nbytes + self._hash_of.nbytes

    @property
    def is_due(self) -> bool:
        """Whether the texts take twice what they took after the last sweep."""
        return self.nbytes > max(_LEAST_SWEPT, 2 * self._swept)

    def sweep(self, used: Iterable[U64]) -> None:
        """Forgets every text whose hash is in none of the arrays."""
        lives = np.zeros(len(self._names), np.uint8)
        for keys in used:
            text_kernels.mark_hashes(keys, self.table.slots, self._hash_of, lives)
        kept = self._names.texts().filter(pa.array(lives.view(np.bool_)))
        self._names, self._hash_of = Interner(), np.zeros(1, np.uint64)
        self._names.codes(kept)
        self._hash_new()
        self._swept = self.nbytes

    def _resume(self) -> None:
        require(len(self._hash_of) == len(self._names), "there are not as many hashes as texts")


def _hashed(text: pa.LargeStringArray) -> U64:
    made = np.empty(len(text), np.uint64)
    if len(text):
        kernels.hash_texts(*text_buffers(text), made)
    return made
