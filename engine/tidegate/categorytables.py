"""The arrays that a categorizer's kernels work on: templates, their index, the cache of sequences."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import categorize as kernels
from tidegate_kernels import templates, tokens

from .cells import I32, I64
from .keys import U8, U64

T = TypeVar("T", bound=np.generic)

_CATEGORIES = 64
_TOKENS = 16 * _CATEGORIES
_LEAST_CACHED, _MOST_CACHED = 1 << 8, 1 << 16
_CACHE_SHARE = 16
"""The cache of sequences is at most one in so many bytes of all."""


class Tables:
    """The tables of `kernels.categorize`; they grow together, and only for want of room.

    So how large they are depends on the messages alone, not on the batches these came in.
    """

    def __init__(self, examples: int, most_bytes: int) -> None:
        self.category: I64 = np.zeros(_CATEGORIES * templates.CATEGORY_SIZE, np.int64)
        self._examples = examples
        self._text: U8 = np.zeros(max(64 * _CATEGORIES, tokens.MAX_BYTES), np.uint8)
        self._hash: U64 = np.zeros(_TOKENS, np.uint64)
        self._kind: U8 = np.zeros(_TOKENS, np.uint8)
        self._key: U64 = np.zeros(2 * _TOKENS, np.uint64)
        self._head: I32 = np.zeros(2 * _TOKENS, np.int32)
        self._size: I32 = np.zeros(2 * _TOKENS, np.int32)
        self._node: I32 = np.zeros(_TOKENS, np.int32)
        self._next: I32 = np.zeros(_TOKENS, np.int32)
        cached = _MOST_CACHED
        while cached > _LEAST_CACHED and 12 * cached > most_bytes // _CACHE_SHARE:
            cached //= 2
        self._cache_key: U64 = np.zeros(cached, np.uint64)
        self._cache_c: I32 = np.zeros(cached, np.int32)
        self._example_hash: U64 = np.zeros(_CATEGORIES * examples, np.uint64)

    def arrays(self) -> tuple[I64, U8, U64, U8, U64, I32, I32, I32, I32, U64, I32, U64]:
        """The tables in the order that the kernel takes them."""
        return (
            self.category,
            self._text,
            self._hash,
            self._kind,
            self._key,
            self._head,
            self._size,
            self._node,
            self._next,
            self._cache_key,
            self._cache_c,
            self._example_hash,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(array.nbytes for array in self.arrays())

    def grow(self, used: I64, most_bytes: int) -> bool:
        """Makes room where one more category may find none; False when all would take too much memory."""
        before = self.__dict__.copy()
        if (used[templates.CATEGORIES] + 1) * templates.CATEGORY_SIZE > len(self.category):
            self.category = _doubled(self.category)
            self._example_hash = _doubled(self._example_hash)
        if used[templates.TOKENS] + tokens.MAX_TOKENS > len(self._hash):
            self._hash = _doubled(self._hash)
            self._kind = _doubled(self._kind)
        if used[templates.BYTES] + tokens.MAX_BYTES > len(self._text):
            self._text = _doubled(self._text)
        if used[templates.NODES] + tokens.MAX_TOKENS > len(self._node):
            self._node = _doubled(self._node)
            self._next = _doubled(self._next)
        if 2 * (used[templates.KEYS] + tokens.MAX_TOKENS) > len(self._key):
            self._grow_index()
        if self.nbytes > most_bytes:
            self.__dict__.update(before)
            return False
        return True

    def _grow_index(self) -> None:
        size = 2 * len(self._key)
        key, head, count = np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(size, np.int32)
        kernels.move_index(self._key, self._head, self._size, key, head, count)
        self._key, self._head, self._size = key, head, count

    def template(self, category: int, used: I64) -> tuple[bytes, U64]:
        """The first message of a category (from 0), and the hashes of its template."""
        record = self.category[category * templates.CATEGORY_SIZE :][: templates.CATEGORY_SIZE]
        first, length, start = (int(record[at]) for at in (templates.FIRST, templates.LENGTH, templates.TEXT))
        is_last = category + 1 == used[templates.CATEGORIES]
        after = (category + 1) * templates.CATEGORY_SIZE + templates.TEXT
        stop = int(used[templates.BYTES] if is_last else self.category[after])
        return self._text[start:stop].tobytes(), self._hash[first : first + length]


def _doubled(array: npt.NDArray[T]) -> npt.NDArray[T]:
    """A copy with as much room again."""
    return np.concatenate([array, np.zeros_like(array)])
