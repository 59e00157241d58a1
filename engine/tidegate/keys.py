"""Key fields: strings to codes, codes to series. Each table only grows.

Every distinct string of a dictionary column is hashed once per batch, never once per row.
A missing value and the empty string are the same: code 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidegate_kernels import intern as kernels

from .cells import I32, I64
from .valuetext import as_text, is_text

T = TypeVar("T", bound=np.generic)

_FIRST = 1024


class Interner:
    """The codes of the distinct strings of one field, in the order of first appearance.

    >>> names = Interner()
    >>> names.codes(pa.array(["b", "a", None, "b"])).tolist(), names.texts().to_pylist()
    ([1, 2, 0, 1], ['', 'b', 'a'])
    """

    def __init__(self) -> None:
        self._slots: I64 = np.full(2 * _FIRST + 1, -1, np.int64)
        self._hashes: npt.NDArray[np.uint64] = np.empty(_FIRST, np.uint64)
        # Code c lies in the arena from offset c to offset c + 1, as in an Arrow array.
        self._offsets: I64 = np.zeros(_FIRST + 1, np.int64)
        self._arena: npt.NDArray[np.uint8] = np.empty(16 * _FIRST, np.uint8)
        self._count = 0
        # Where the latest dictionary lies in memory, what keeps it there, and its codes.
        self._latest: tuple[tuple[int, ...], pa.Array, I32] = ((), None, np.empty(0, np.int32))
        self.codes(pa.array([""]))

    def __len__(self) -> int:
        return self._count

    def codes(self, column: pa.Array) -> I32:
        """The code of every row; 0 where the value is null or empty.

        Columns of other types than text are taken as the text of their values.
        """
        if pa.types.is_dictionary(column.type):
            code_of = self._codes_of_dictionary(column.dictionary)
            indices = column.indices
            if indices.null_count:
                code_of = np.append(code_of, np.int32(0))
                indices = indices.cast(pa.int64()).fill_null(len(code_of) - 1)
            elif len(code_of) == 0:
                return np.zeros(len(column), np.int32)
            rows: I32 = code_of[indices.to_numpy(zero_copy_only=False)]
            return rows
        if not is_text(column.type):
            return self.codes(column.dictionary_encode())
        return self._intern(as_text(column))

    def _codes_of_dictionary(self, dictionary: pa.Array) -> I32:
        """The codes of a dictionary, found once as long as batches share it."""
        place = (dictionary.offset, len(dictionary), *(b and b.address for b in dictionary.buffers()))
        if place != self._latest[0]:
            self._latest = (place, dictionary, self._intern(as_text(dictionary)))
        return self._latest[2]

    def _intern(self, text: pa.LargeStringArray) -> I32:
        rows = len(text)
        codes = np.empty(rows, np.int32)
        null = text.is_null().to_numpy(zero_copy_only=False).view(np.uint8)
        _, offset_buffer, data_buffer = text.buffers()
        offsets = (
            np.frombuffer(offset_buffer, np.int64)[text.offset : text.offset + rows + 1] if rows else _NONE
        )
        data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else _NO_BYTES
        at = 0
        while at < rows:
            at = kernels.intern_strings(
                offsets,
                data,
                null,
                at,
                self._count,
                self._slots,
                self._hashes,
                self._offsets[1:],
                self._arena,
                codes,
            )
            self._count = int(self._slots[-1])
            if at < rows:
                self._make_room(int(offsets[at + 1] - offsets[at]))
        return codes

    def _make_room(self, length: int) -> None:
        used = int(self._offsets[self._count])
        if used + length > len(self._arena):
            self._arena = _longer(self._arena, max(2 * len(self._arena), used + length))
        if self._count >= len(self._hashes):
            self._offsets = _longer(self._offsets, 2 * self._count + 1)
            self._hashes = _longer(self._hashes, 2 * self._count)
        self._slots = _rehashed(self._slots, self._hashes, self._count)

    def texts(self) -> pa.LargeStringArray:
        """All strings, in the order of their codes; shares the table's memory."""
        offsets, arena = pa.py_buffer(self._offsets), pa.py_buffer(self._arena)
        return pa.LargeStringArray.from_buffers(self._count, offsets, arena)


class KeySpace:
    """The series of one pair of by and partition fields, in the order of first appearance."""

    def __init__(self, by: str | None, partition: str | None, *, use_null: bool) -> None:
        self.by = by
        self.partition = partition
        self.use_null = use_null
        """Whether records without a by value make up a series of their own, or are left out."""
        self.refused = 0
        """Records left out because their series would be one too many for the memory limit."""
        self._count = 0 if self.fields else 1
        self._series_of: I32 = np.full(_FIRST, -1, np.int32)
        self._slots: I64 = np.full(2 * _FIRST + 1, -1, np.int64)
        self._hashes: npt.NDArray[np.uint64] = np.empty(_FIRST, np.uint64)
        self._by: I32 = np.zeros(_FIRST, np.int32)
        self._partition: I32 = np.zeros(_FIRST, np.int32)

    @property
    def fields(self) -> tuple[str, ...]:
        """The key fields."""
        return tuple(field for field in (self.by, self.partition) if field is not None)

    def __len__(self) -> int:
        return self._count

    def series(self, codes: Mapping[str, I32], limit: int) -> I32:
        """The series of every row, -1 for none; empty when there is but one series.

        `codes` has the codes of the key fields; no more than `limit` series come to be.
        """
        if self.by is not None and self.partition is not None:
            series = self._of_pairs(codes[self.by], codes[self.partition], limit)
        elif self.fields:
            series = self._of_codes(codes[self.fields[0]], limit)
        else:
            return np.empty(0, np.int32)
        if self._count >= limit:
            self.refused += int(np.count_nonzero(series == -2))
        return series

    def _of_codes(self, codes: I32, limit: int) -> I32:
        series = np.empty(len(codes), np.int32)
        highest = int(codes.max(initial=0)) + 1
        if highest > len(self._series_of):
            grown = max(highest, 2 * len(self._series_of))
            self._series_of = _longer(self._series_of, grown, fill=-1)
            self._by, self._partition = _longer(self._by, grown), _longer(self._partition, grown)
        code_of = self._by if self.by is not None else self._partition
        skip = self.by is not None and not self.use_null
        self._count = kernels.series_of_codes(
            codes, int(skip), self._count, limit, self._series_of, code_of, series
        )
        return series

    def _of_pairs(self, by: I32, partition: I32, limit: int) -> I32:
        series = np.empty(len(by), np.int32)
        at = 0
        while at < len(by):
            at = kernels.intern_pairs(
                by,
                partition,
                int(not self.use_null),
                at,
                self._count,
                limit,
                self._slots,
                self._hashes,
                self._by,
                self._partition,
                series,
            )
            self._count = int(self._slots[-1])
            if at < len(by):
                if self._count >= len(self._by):
                    self._by, self._partition = (
                        _longer(self._by, 2 * self._count),
                        _longer(self._partition, 2 * self._count),
                    )
                    self._hashes = _longer(self._hashes, 2 * self._count)
                self._slots = _rehashed(self._slots, self._hashes, self._count)
        return series

    def by_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the by values of some series."""
        codes: I32 = self._by[series]
        return codes

    def partition_codes(self, series: npt.NDArray[np.integer]) -> I32:
        """The codes of the partition values of some series."""
        codes: I32 = self._partition[series]
        return codes


_NONE: I64 = np.zeros(1, np.int64)
_NO_BYTES: npt.NDArray[np.uint8] = np.empty(0, np.uint8)


def _longer(array: npt.NDArray[T], size: int, fill: int = 0) -> npt.NDArray[T]:
    """A copy with room for `size` elements."""
    longer = np.full(size, fill, array.dtype)
    longer[: len(array)] = array
    return longer


def _rehashed(slots: I64, hashes: npt.NDArray[np.uint64], count: int) -> I64:
    """A table of slots at most a quarter full, with every code in it."""
    size = len(slots) - 1
    while size < 4 * (count + 1):
        size *= 2
    slots = np.full(size + 1, -1, np.int64)
    kernels.rehash(hashes, count, slots)
    return slots
