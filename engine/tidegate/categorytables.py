"""The arrays that a categorizer's kernels work on: templates, their index, the cache of sequences."""

from __future__ import annotations

from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import categorize as kernels
from tidegate_kernels import templates, tokens

from .cells import I32, I64
from .kept import Keeper, is_ascending, require, require_within
from .keys import U8, U64

T = TypeVar("T", bound=np.generic)

_CATEGORIES = 64
_TOKENS = 16 * _CATEGORIES
_LEAST_CACHED, _MOST_CACHED = 1 << 8, 1 << 16
_CACHE_SHARE = 16
"""The cache of sequences is at most one in so many bytes of all."""


class Tables(Keeper):
    """The tables of `kernels.categorize`; they grow together, and only for want of room.

    So how large they are depends on the messages alone, not on the batches these came in.
    """

    KEPT: ClassVar = {
        "category": I64,
        "_text": U8,
        "_hash": U64,
        "_kind": U8,
        "_key": U64,
        "_head": I32,
        "_size": I32,
        "_node": I32,
        "_next": I32,
        "_cache_key": U64,
        "_cache_c": I32,
        "_example_hash": U64,
    }

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

    def require_whole(self, used: I64, examples: int) -> None:
        """Sees that what is in use of restored tables is there, and leads nowhere else."""
        n, n_tokens, n_bytes, n_nodes, n_keys = (int(used[k]) for k in range(templates.SERIAL))
        room = len(self.category) // templates.CATEGORY_SIZE
        require(
            0 <= n <= room and len(self.category) == room * templates.CATEGORY_SIZE, "there is no category"
        )
        require(len(self._example_hash) == room * examples, "there is no room for examples")
        for count, of_one in ((n_bytes, (self._text,)), (n_tokens, (self._hash, self._kind))):
            require(all(0 <= count <= len(one) == len(of_one[0]) for one in of_one), "templates have no room")
        self._require_records(n, n_tokens, n_bytes, examples)
        require(0 <= n_nodes <= len(self._node) == len(self._next), "the index has no room")
        require_within(self._node[:n_nodes], n, "a category of the index")
        before = self._next[:n_nodes]
        require(((before >= -1) & (before < np.arange(n_nodes))).all(), "the index leads nowhere")
        require(np.count_nonzero(self._key) == n_keys, f"the index does not have {n_keys} words")
        for table in ((self._key, self._head, self._size), (self._cache_key, self._cache_c)):
            size = len(table[0])
            fits = all(len(one) == size for one in table) and size > 0 and size & (size - 1) == 0
            require(fits, "a table has no right size")
        require(2 * n_keys <= len(self._key), "the index is too full")
        require_within(self._head[self._key != 0], n_nodes, "the head of a list", least=-1)
        require_within(self._cache_c[self._cache_key != 0], n, "a category of the cache")

    def _require_records(self, n: int, n_tokens: int, n_bytes: int, examples: int) -> None:
        """Sees that the records of categories are right."""
        record = self.category[: n * templates.CATEGORY_SIZE].reshape(n, templates.CATEGORY_SIZE)
        first, length = record[:, templates.FIRST], record[:, templates.LENGTH]
        fits = (first >= 0) & (length >= 0) & (length <= tokens.MAX_TOKENS) & (first + length <= n_tokens)
        require(fits.all(), "a template lies outside of its table")
        text = np.append(record[:, templates.TEXT], n_bytes)
        require(n == 0 or (text[0] >= 0 and is_ascending(text)), "a text lies outside of its table")
        require_within(record[:, templates.EXAMPLES], examples + 1, "the number of examples")
        after = record[:, templates.FORWARD]
        require_within(after, n, "the category after one")
        last = after
        for _ in range(n.bit_length()):
            last = last[last]
        require(np.array_equal(after[last], last), "categories take one another's place")

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
