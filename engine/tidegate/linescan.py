"""JSON lines of one shape as batches, by a kernel that goes over the bytes once.

What the fields are is learnt from a table of some records. Strings become dictionary columns
whose dictionaries grow from batch to batch, until it is seen that hardly any comes twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidegate_kernels import intern as tables
from tidegate_kernels import scan as kernels
from tidegate_kernels.numbertext import powers_of_five

from .cells import I32, I64

U8 = npt.NDArray[np.uint8]
PADDING = b"\n" * kernels.PADDING
"""What must follow the text that is scanned."""
MOST_ROWS = 1 << 16
_FIRST = 1024
_MOST_TEXTS = 1 << 20


class LineScanner:
    """Reads lines of JSON records like those of `sample`, the `columns` that are wanted.

    The `keys` are text as it was written. `learn` gives None for a sample that cannot be scanned.
    """

    def __init__(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        self.names, self._kinds = list(names), np.array(kinds, np.uint8)
        encoded = [name.encode() for name in names]
        self._names = np.frombuffer(b"".join(encoded) + PADDING, np.uint8)
        self._name_starts = np.cumsum([0, *map(len, encoded)])
        self._follows: I64 = np.zeros(len(names) + 1, np.int64)
        self._state: I64 = np.zeros(kernels.STATE_SIZE, np.int64)
        self._columns: I64 = np.empty(len(names) * MOST_ROWS, np.int64)
        self._flags: U8 = np.zeros(len(names), np.uint8)
        self._texts = _Texts(len(names))
        self._rows = 0

    @classmethod
    def learn(
        cls, sample: pa.Table, keys: Collection[str], columns: Collection[str] | None
    ) -> LineScanner | None:
        """A scanner of lines whose records are like those of a table that Arrow made of some."""
        names = sample.schema.names
        nested = any(pa.types.is_nested(kind) for kind in sample.schema.types)
        if nested or not 0 < len(names) <= kernels.MOST_FIELDS or len(set(names)) < len(names):
            return None
        wanted = [columns is None or name in columns for name in names]
        if not any(wanted):
            return None
        kinds = [
            _kind(sample[name], name in keys) if is_wanted else kernels.SKIPPED
            for name, is_wanted in zip(names, wanted, strict=True)
        ]
        return cls(names, kinds)

    def scan(self, data: U8, start: int, end: int) -> tuple[int, int]:
        """Scans lines data[start:end]: (where it stopped, rows so far); PADDING must follow the end.

        It stops at a line it does not read, or when it has MOST_ROWS; `batch` takes the rows.
        """
        shape = (self._names, self._name_starts, self._kinds, _powers(), self._follows)
        while True:
            start = kernels.scan_lines(
                data, start, end, *shape, self._state, *self._texts.arrays(), self._columns, self._flags
            )
            if self._state[kernels.STATUS] != kernels.NO_ROOM:
                return start, int(self._state[kernels.ROWS])
            self._texts.make_room(int(self._state[kernels.TEXTS]), end - start)

    def batch(self, data: U8) -> pa.RecordBatch:
        """The rows that were scanned of the data, as a batch."""
        rows, places = int(self._state[kernels.ROWS]), np.flatnonzero(self._kinds != kernels.SKIPPED)
        columns = [self._column(int(field), rows, data) for field in places]
        self._state[kernels.ROWS] = 0
        self._flags[:] = 0
        self._rows += rows
        self._let_go_of_rare_texts()
        return pa.RecordBatch.from_arrays(columns, [self.names[field] for field in places])

    def _column(self, field: int, rows: int, data: U8) -> pa.Array:
        raw = self._columns[field * MOST_ROWS :][:rows]
        kind, flags = self._kinds[field], self._flags[field]
        missing = raw == kernels.MISSING if flags & kernels.HAS_MISSING else None
        if kind == kernels.CODED:
            codes = pa.array(raw.astype(np.int32), mask=missing)
            dictionary = self._texts.of_field(field, int(self._state[kernels.TEXTS]))
            return pa.DictionaryArray.from_arrays(codes, dictionary, safe=False)
        if kind == kernels.TEXT:
            return _copied(data, raw, missing)
        if kind == kernels.TRUTH:
            return pa.array(raw == 1, mask=missing)
        if kind == kernels.NOTHING:
            return pa.nulls(rows)
        values = raw.copy()
        return pa.array(values.view(np.float64) if flags & kernels.HAS_FRACTION else values, mask=missing)

    def _let_go_of_rare_texts(self) -> None:
        """From now on texts that hardly ever come twice are no longer looked up."""
        for field in np.flatnonzero(self._kinds == kernels.CODED):
            if self._texts.counts[field] > min(max(self._rows // 2, MOST_ROWS), _MOST_TEXTS):
                self._kinds[field] = kernels.TEXT


class _Texts:
    """The distinct strings of all fields, in one table."""

    def __init__(self, fields: int) -> None:
        self.counts: I32 = np.zeros(fields, np.int32)
        self._slots: npt.NDArray[np.uint64] = np.zeros(2 * _FIRST, np.uint64)
        self._starts: I64 = np.zeros(_FIRST + 1, np.int64)
        self._arena: U8 = np.zeros(16 * _FIRST, np.uint8)
        self._field_of: I32 = np.zeros(_FIRST, np.int32)
        self._code_of: I32 = np.zeros(_FIRST, np.int32)
        self._made: dict[int, pa.Array] = {}

    def arrays(self) -> tuple[npt.NDArray[np.uint64], I64, U8, I32, I32, I32]:
        """The arrays of the table, as the kernel takes them."""
        return self._slots, self._starts, self._arena, self._field_of, self._code_of, self.counts

    def make_room(self, used: int, length: int) -> None:
        """Makes room for more strings than the `used` ones, the next up to so long."""
        needed = int(self._starts[used]) + length + tables.PADDING
        if needed > len(self._arena):
            self._arena = np.concatenate([self._arena, np.zeros(max(len(self._arena), length), np.uint8)])
        if used + 2 > len(self._starts):
            self._starts = np.concatenate([self._starts, np.zeros(used + 1, np.int64)])
            self._field_of = np.concatenate([self._field_of, np.zeros(used + 1, np.int32)])
            self._code_of = np.concatenate([self._code_of, np.zeros(used + 1, np.int32)])
        size = len(self._slots)
        while size < 4 * (used + 1):
            size *= 2
        larger = np.zeros(size, np.uint64)
        tables.rehash(self._slots, larger)
        self._slots = larger

    def of_field(self, field: int, used: int) -> pa.Array:
        """The strings of a field in the order of their codes; the same array as long as none is new."""
        made = self._made.get(field)
        if made is None or len(made) < self.counts[field]:
            starts, arena = pa.py_buffer(self._starts), pa.py_buffer(self._arena)
            texts = pa.LargeStringArray.from_buffers(used, starts, arena)
            places = np.flatnonzero(self._field_of[:used] == field)
            made = self._made[field] = texts.take(pa.array(places)).cast(pa.string())
        return made


def _kind(column: pa.ChunkedArray, is_key: bool) -> int:
    """What is to be taken of a field whose first values are those of a column."""
    types = pa.types
    if types.is_string(column.type):
        return kernels.CODED
    if types.is_timestamp(column.type):
        return kernels.TEXT
    if types.is_integer(column.type) or types.is_floating(column.type):
        return kernels.INTEGER if is_key else kernels.NUMBER
    return kernels.TRUTH if types.is_boolean(column.type) else kernels.NOTHING


def _copied(data: U8, raw: I64, missing: npt.NDArray[np.bool_] | None) -> pa.StringArray:
    """The texts at places of the data, in memory of their own."""
    lengths = raw & 0xFFFFFFFF
    offsets, texts = np.empty(len(raw) + 1, np.int32), np.empty(int(lengths.sum()), np.uint8)
    kernels.copy_texts(data, raw, offsets, texts)
    valid = None if missing is None else pa.array(~missing).buffers()[1]
    return pa.StringArray.from_buffers(len(raw), pa.py_buffer(offsets), pa.py_buffer(texts), valid)


@cache
def _powers() -> npt.NDArray[np.uint64]:
    return np.array(powers_of_five(), np.uint64)
