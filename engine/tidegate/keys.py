"""Key fields: strings to codes, codes to series. The tables grow; what nobody needs any more is taken out.

Every distinct string of a dictionary column is hashed once per batch, never once per row.
A missing value and the empty string are the same: code 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidegate_kernels import intern as kernels

from .cells import I32, I64
from .kept import INSIDE, Keeper, is_ascending, require, require_within
from .soundness import no_such_value
from .valuetext import as_text, index_buffers, is_text, text_buffers

T = TypeVar("T", bound=np.generic)
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

_FIRST = 1024
_CODE = np.uint64(0xFFFFFFFF)  # of a slot, plus one
_LEAST_SWEPT = 1 << 16  # strings, and
_LEAST_BYTES = 1 << 23  # bytes: below, nothing is worth being thrown out
STRING_BYTES = 48
"""What a string takes in the tables of an `Interner` beside its bytes, their room for more included."""
NUMBER_BYTES = 48
"""What a number takes in a table of keys, its room for more included."""
Sizes = tuple[int, int]
"""How many numbers a table of keys gave out, and to how many attributes of populations."""


class Interner(Keeper):
    """The codes of the distinct strings of one field, in the order of first appearance.

    >>> names = Interner()
    >>> names.codes(pa.array(["b", "a", None, "b"])).tolist(), names.texts().to_pylist()
    ([1, 2, 0, 1], ['', 'b', 'a'])
    """

    KEPT: ClassVar = {
        "_count": INSIDE,
        "_slots": U64,
        "_starts": I64,
        "_arena": U8,
        "_swept": tuple[int, int],
    }

    def __init__(self) -> None:
        self._slots: U64 = np.zeros(2 * _FIRST, np.uint64)
        # Code c lies in the arena from start c to start c + 1, as in an Arrow array.
        self._starts: I64 = np.zeros(_FIRST + 1, np.int64)
        self._arena: U8 = np.zeros(16 * _FIRST, np.uint8)
        self._count: I64 = np.zeros(1, np.int64)
        self._latest: tuple[pa.Array, I32] | None = None
        """The latest dictionary and its codes."""
        self._swept = (0, 0)
        """Strings and bytes after the last sweep."""
        self.codes(pa.array([""]))

    def __len__(self) -> int:
        return int(self._count[0])

    @property
    def nbytes(self) -> int:
        """The memory of the table, room for more included."""
        return self._slots.nbytes + self._starts.nbytes + self._arena.nbytes

    def codes(self, column: pa.Array) -> I32:
        """The code of every row; 0 where the value is null or empty.

        Columns of other types than text are taken as the text of their values.
        """
        if pa.types.is_dictionary(column.type):
            return self._codes_of_indices(column.indices, self._codes_of_dictionary(column.dictionary))
        if not is_text(column.type):
            return self.codes(column.dictionary_encode())
        return self._intern(as_text(column))

    def _codes_of_indices(self, indices: pa.Array, code_of: I32) -> I32:
        rows = np.empty(len(indices), np.int32)
        if len(rows) and kernels.codes_of_indices(code_of, *index_buffers(indices), rows):
            raise no_such_value(code_of)
        return rows

    def _codes_of_dictionary(self, dictionary: pa.Array) -> I32:
        """The codes of a dictionary; where it begins like the latest one, they are known."""
        known = np.empty(0, np.int32)
        if self._latest is not None:
            latest, codes = self._latest
            if len(latest) <= len(dictionary) and latest.equals(dictionary.slice(0, len(latest))):
                known = codes
        if len(known) < len(dictionary):
            rest = self._intern(as_text(dictionary.slice(len(known))))
            known = np.concatenate([known, rest]) if len(known) else rest
        self._latest = (dictionary, known)
        return known

    def _intern(self, text: pa.LargeStringArray) -> I32:
        rows = len(text)
        codes = np.empty(rows, np.int32)
        if not rows:
            return codes
        offsets, data, null = text_buffers(text)
        at = 0
        while True:
            table = (self._count, self._slots, self._starts, self._arena)
            at = kernels.intern_strings(offsets, data, null, at, *table, codes)
            if at == rows:
                return codes
            self._make_room(int(offsets[at + 1] - offsets[at]))

    def _make_room(self, length: int) -> None:
        count = len(self)
        needed = int(self._starts[count]) + length + kernels.PADDING
        if needed > len(self._arena):
            self._arena = _longer(self._arena, max(2 * len(self._arena), needed))
        if count + 2 > len(self._starts):
            self._starts = _longer(self._starts, 2 * len(self._starts))
        self._slots = _rehashed(self._slots, count)

    @property
    def lengths(self) -> I64:
        """The bytes of every string, in the order of their codes."""
        return np.diff(self._starts[: len(self) + 1])

    @property
    def is_due(self) -> bool:
        """Whether there are many more strings, or bytes of them, than after the last sweep."""
        strings, size = self._swept
        used = int(self._starts[len(self)])
        return len(self) > max(_LEAST_SWEPT, 2 * strings) or used > max(_LEAST_BYTES, 2 * size)

    def sweep(self, used: Iterable[npt.NDArray[np.integer]]) -> I32:
        """Forgets every string whose code is in none of the arrays; the new code of every old one, or -1.

        >>> names = Interner()
        >>> codes = names.codes(pa.array(["a", "b", "c"]))
        >>> names.sweep([codes[2:]]).tolist(), names.texts().to_pylist()
        ([0, -1, -1, 1], ['', 'c'])
        """
        lives = np.zeros(len(self), bool)
        lives[0] = True
        for codes in used:
            lives[codes] = True
        kept = self.texts().filter(pa.array(lives))
        new_of = np.where(lives, np.cumsum(lives) - 1, -1).astype(np.int32)
        self.__init__()  # type: ignore[misc]
        self._intern(kept)
        self._swept = len(self), int(self._starts[len(self)])
        return new_of

    @property
    def table(self) -> tuple[U64, I64, U8]:
        """The slots, and where the strings lie and their bytes, as the kernels take them."""
        return self._slots, self._starts, self._arena

    def texts(self) -> pa.LargeStringArray:
        """All strings, in the order of their codes; shares the table's memory."""
        starts, arena = pa.py_buffer(self._starts), pa.py_buffer(self._arena)
        return pa.LargeStringArray.from_buffers(len(self), starts, arena)

    def _resume(self) -> None:
        count = len(self)
        require(0 < count < len(self._starts), f"there is no room for {count} strings")
        require_slots(self._slots, count)
        starts = self._starts[: count + 1]
        in_order = starts[0] == starts[1] == 0 and is_ascending(starts)
        require(in_order, "strings do not lie behind one another")
        require(starts[-1] + kernels.PADDING <= len(self._arena), "strings lie outside of the arena")
        self.texts().validate(full=True)
        self._latest = None


class Keys(Protocol):
    """What tells the rows of one detector apart: a dense number for each combination of key values."""

    by: str | None
    over: str | None
    partition: str | None
    refused: int

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """The memory of the tables, room for more included."""

    def series(self, codes: Mapping[str, I32], limit: int) -> I32:
        """The number of every row, -1 or -2 for none; empty when there is but one.

        `codes` has the codes of the key fields; no more than `limit` numbers come to be.
        """

    def by_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the by values of some numbers."""

    def over_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the over values of some numbers."""

    def partition_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the partition values of some numbers."""

    @property
    def sizes(self) -> Sizes:
        """How many numbers and attributes there are."""

    def cut(self, sizes: Sizes) -> None:
        """Goes back to so many numbers and attributes."""

    def keep(self, series: I64) -> I64:
        """Takes out all numbers but these, ascending, which move down; returns the attributes that stay."""

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""


_NO_ATTRIBUTES: I64 = np.empty(0, np.int64)


class KeySpace(Keeper):
    """The series of one pair of by and partition fields, in the order of first appearance."""

    KEPT: ClassVar = {"refused": int, "_pairs": INSIDE, "_codes": I32, "_series_of": I32, "_n": int}

    def __init__(self, by: str | None, partition: str | None, *, use_null: bool) -> None:
        self.by = by
        self.over: str | None = None
        self.partition = partition
        self.use_null = use_null
        """Whether records without a by value make up a series of their own, or are left out."""
        self.refused = 0
        """Records left out because their series would be one too many for the memory limit."""
        self._pairs = PairTable()
        self._codes: I32 = np.zeros(_FIRST, np.int32)
        """Of the only key field, if it is the only one: the code of every series."""
        self._series_of: I32 = np.full(_FIRST, -1, np.int32)
        self._n = 0 if self.fields else 1

    @property
    def fields(self) -> tuple[str, ...]:
        """The key fields."""
        return tuple(field for field in (self.by, self.partition) if field is not None)

    def __len__(self) -> int:
        return max(self._n, len(self._pairs))

    @property
    def nbytes(self) -> int:
        """The memory of the tables, room for more included."""
        return self._pairs.nbytes + self._codes.nbytes + self._series_of.nbytes

    def series(self, codes: Mapping[str, I32], limit: int) -> I32:
        """The series of every row, -1 or -2 for none; empty when there is but one series.

        `codes` has the codes of the key fields; no more than `limit` series come to be.
        """
        if self.by is not None and self.partition is not None:
            skip_null = not self.use_null
            series = self._pairs.numbers(codes[self.by], codes[self.partition], limit, skip_null)
        elif self.fields:
            series = self._of_codes(codes[self.fields[0]], limit)
        else:
            return np.empty(0, np.int32)
        if len(self) >= limit:
            self.refused += int(np.count_nonzero(series == -2))
        return series

    def _of_codes(self, codes: I32, limit: int) -> I32:
        series = np.empty(len(codes), np.int32)
        highest = int(codes.max(initial=0)) + 1
        if highest > len(self._series_of):
            grown = max(highest, 2 * len(self._series_of))
            self._series_of = _longer(self._series_of, grown, fill=-1)
            self._codes = _longer(self._codes, grown)
        skip = self.by is not None and not self.use_null
        self._n = kernels.series_of_codes(
            codes, int(skip), len(self), limit, self._series_of, self._codes, series
        )
        return series

    def by_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the by values of some series; the empty value without a by field."""
        if self.by is None:
            return np.zeros(len(series), np.int32)
        codes: I32 = (self._codes if self.partition is None else self._pairs.left)[series]
        return codes

    def over_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """There is no over field: the empty value."""
        return np.zeros(len(series), np.int32)

    def partition_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the partition values of some series; the empty value without a partition field."""
        if self.partition is None:
            return np.zeros(len(series), np.int32)
        codes: I32 = (self._codes if self.by is None else self._pairs.right)[series]
        return codes

    def _resume(self) -> None:
        n = self._n
        require(0 <= n <= len(self._codes) == len(self._series_of), f"there is no room for {n} series")
        require(
            (n == 1) if not self.fields else (n == 0 or len(self.fields) == 1), f"{n} is no number of series"
        )
        codes = self._codes[:n] if self.fields else self._codes[:0]
        require_within(codes, len(self._series_of), "a code")
        require_within(self._series_of, n, "a series", least=-1)
        require(
            np.array_equal(self._series_of[codes], np.arange(len(codes))), "codes and series do not agree"
        )

    @property
    def sizes(self) -> Sizes:
        """How many series there are, and 0."""
        return len(self), 0

    def cut(self, sizes: Sizes) -> None:
        """Goes back to so many series."""
        if self.by is not None and self.partition is not None:
            self._pairs.cut(sizes[0])
        elif self.fields:
            self._series_of[self._codes[sizes[0] : self._n]] = -1
            self._n = min(sizes[0], self._n)

    def keep(self, series: I64) -> I64:
        """Takes out all series but these, ascending, which move down; there are no attributes."""
        if self.by is not None and self.partition is not None:
            self._pairs = PairTable.of(self._pairs.left[series], self._pairs.right[series])
        elif self.fields:
            self._set_codes(self._codes[series])
        return _NO_ATTRIBUTES

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        if self.by is not None and self.partition is not None:
            n, same = len(self), np.empty(0, np.int32)
            left, right = (
                new_of[field][codes[:n]] if len(new_of.get(field, same)) else codes[:n]
                for field, codes in ((self.by, self._pairs.left), (self.partition, self._pairs.right))
            )
            self._pairs = PairTable.of(left, right)
        elif self.fields and self.fields[0] in new_of:
            self._set_codes(new_of[self.fields[0]][self._codes[: self._n]])

    def _set_codes(self, codes: I32) -> None:
        """Gives series from 0 on to these codes of the only field."""
        room = max(int(codes.max(initial=0)) + 1, _FIRST)
        self._n = len(codes)
        self._codes, self._series_of = _longer(codes, room), np.full(room, -1, np.int32)
        self._series_of[codes] = np.arange(len(codes))


class MemberSpace(Keeper):
    """The members of populations: pairs of an over value and an attribute, a series of by and partition.

    They are numbered in the order of first appearance; the attributes are a key space of their own.
    """

    KEPT: ClassVar = {"refused": int, "attributes": INSIDE, "_pairs": INSIDE}

    def __init__(self, by: str | None, over: str, partition: str | None, *, use_null: bool) -> None:
        self.by = by
        self.over: str | None = over
        self.partition = partition
        self.attributes = KeySpace(by, partition, use_null=use_null)
        self.use_null = use_null
        self.refused = 0
        """Records left out because they would make one member or attribute too many for the memory limit."""
        self._pairs = PairTable()

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def nbytes(self) -> int:
        """The memory of the tables, room for more included."""
        return self._pairs.nbytes + self.attributes.nbytes

    def series(self, codes: Mapping[str, I32], limit: int) -> I32:
        """The member of every row, -1 or -2 for none; no more than `limit` come to be."""
        members, _ = self.numbers(codes, limit, limit)
        if len(self) >= limit or len(self.attributes) >= limit:
            self.refused += int(np.count_nonzero(members == -2))
        return members

    def numbers(self, codes: Mapping[str, I32], limit: int, attribute_limit: int) -> tuple[I32, I32]:
        """The member and the attribute of every row, -1 or -2 for none; no more than these limits."""
        assert self.over is not None
        over = codes[self.over]
        attribute = self.attributes.series(codes, attribute_limit)
        if not len(attribute):
            attribute = np.zeros(len(over), np.int32)
        members = self._pairs.numbers(over, attribute, limit, not self.use_null)
        if not self.use_null and len(self.attributes) >= attribute_limit:
            members[(members == -2) & (over == 0)] = -1  # there is nobody to be refused
        return members, attribute

    def members(self, over: I32, attribute: I64) -> I32:
        """The members of over codes and attributes; negative where there is no such member."""
        return self._pairs.numbers(over, attribute.astype(np.int32), len(self), False)

    def attribute_of(self, members: npt.NDArray[np.integer]) -> I64:
        """The attribute of some members."""
        attribute: I64 = self._pairs.right[members].astype(np.int64)
        return attribute

    def by_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the by values of some members."""
        return self.attributes.by_codes(self.attribute_of(series))

    def over_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the over values of some members."""
        codes: I32 = self._pairs.left[series]
        return codes

    def partition_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the partition values of some members."""
        return self.attributes.partition_codes(self.attribute_of(series))

    def _resume(self) -> None:
        require_within(self._pairs.right[: len(self)], len(self.attributes), "an attribute")

    @property
    def sizes(self) -> Sizes:
        """How many members and attributes there are."""
        return len(self), len(self.attributes)

    def cut(self, sizes: Sizes) -> None:
        """Goes back to so many members and attributes."""
        self._pairs.cut(sizes[0])
        self.attributes.cut((sizes[1], 0))

    def keep(self, series: I64) -> I64:
        """Takes out all members but these, ascending, which move down; returns the attributes that stay."""
        over, attribute = self._pairs.left[series], self._pairs.right[series]
        kept, right = np.unique(attribute, return_inverse=True)
        if not self.attributes.fields:
            kept, right = np.zeros(1, np.int64), np.zeros_like(attribute)
        self.attributes.keep(kept.astype(np.int64))
        self._pairs = PairTable.of(over, right.astype(np.int32))
        return kept.astype(np.int64)

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        self.attributes.move_codes(new_of)
        if self.over is not None and self.over in new_of:
            n = len(self)
            self._pairs = PairTable.of(new_of[self.over][self._pairs.left[:n]], self._pairs.right[:n])


class PairTable(Keeper):
    """Pairs of numbers and their own numbers, in the order of first appearance; `room` is for the first."""

    KEPT: ClassVar = {"_count": INSIDE, "left": I32, "right": I32, "_slots": U64}

    def __init__(self, room: int = _FIRST) -> None:
        self.left: I32 = np.zeros(room, np.int32)
        self.right: I32 = np.zeros(room, np.int32)
        """The two of every pair, with room for more."""
        self._count: I64 = np.zeros(1, np.int64)
        self._slots: U64 = np.zeros(2 << (room - 1).bit_length(), np.uint64)

    def __len__(self) -> int:
        return int(self._count[0])

    @property
    def nbytes(self) -> int:
        """The memory of the table, room for more included."""
        return self.left.nbytes + self.right.nbytes + self._slots.nbytes

    @classmethod
    def of(cls, left: I32, right: I32) -> PairTable:
        """Different pairs, numbered as they come; neither is negative."""
        table = cls(max(len(left), _FIRST))
        table.numbers(left, right, len(left), False)
        return table

    def cut(self, n: int) -> None:
        """Goes back to the first so many pairs."""
        if n < len(self):
            slots = self._slots
            kept = slots[(slots != 0) & ((slots & _CODE) <= np.uint64(n))]
            self._slots = np.zeros_like(slots)
            kernels.rehash(kept, self._slots)
            self._count[0] = n

    def numbers(self, left: I32, right: I32, limit: int, skip_left: bool) -> I32:
        """The number of every pair; -2 once there are `limit` and it is new, -1 where there is none.

        There is none where the left is 0 and `skip_left`; where the right is negative it is that number.
        """
        numbers = np.empty(len(left), np.int32)
        at = 0
        while True:
            table = (self._count, self._slots, self.left, self.right)
            at = kernels.intern_pairs(left, right, int(skip_left), at, limit, *table, numbers)
            if at == len(left):
                return numbers
            if len(self) >= len(self.left):
                self.left, self.right = _longer(self.left, 2 * len(self)), _longer(self.right, 2 * len(self))
            self._slots = _rehashed(self._slots, len(self))

    def _resume(self) -> None:
        fits = 0 <= len(self) <= len(self.left) == len(self.right)
        require(fits, f"there is no room for {len(self)} pairs")
        require_slots(self._slots, len(self))


def require_slots(slots: U64, count: int) -> None:
    """Sees that a table of slots (`intern`) has every code once, and is empty enough to be searched."""
    size = len(slots)
    require(size and size & (size - 1) == 0 and 2 * count <= size, f"{size} slots are none for {count} codes")
    codes = np.sort(slots[slots != 0] & np.uint64(0xFFFFFFFF))
    require(np.array_equal(codes, np.arange(1, count + 1)), "the slots do not have every code once")


def _longer(array: npt.NDArray[T], size: int, fill: int = 0) -> npt.NDArray[T]:
    """A copy with room for `size` elements; zeros take no memory before they are used."""
    longer = np.full(size, fill, array.dtype) if fill else np.zeros(size, array.dtype)
    longer[: len(array)] = array
    return longer


def _rehashed(slots: U64, count: int) -> U64:
    """A table of slots at most a quarter full, with every code in it."""
    size = len(slots)
    while size < 4 * (count + 1):
        size *= 2
    larger = np.zeros(size, np.uint64)
    kernels.rehash(slots, larger)
    return larger
