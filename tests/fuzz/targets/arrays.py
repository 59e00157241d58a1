"""Arrow data in memory: every type, nulls and slices anywhere, indices and text that are wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from tests.fuzz.choices import Choices
from tests.fuzz.targets import Target
from tests.fuzz.targets.jsontexts import account, config

import tidegate
from tidegate.readers import to_batches
from tidegate.timefield import LATEST_MS, to_epoch_ms
from tidegate_kernels.timetext import INVALID

UNITS = ("s", "ms", "us", "ns")
ZONES = (None, "UTC", "+05:30", "Europe/Berlin", "America/New_York", "No/Where")
FIXED = (
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64(), pa.date32(), pa.date64()),
    *(pa.time32("s"), pa.time64("ns"), pa.duration("us"), pa.month_day_nano_interval()),
    *(pa.decimal128(38, 5), pa.decimal256(76, -3), pa.decimal128(3, 0), pa.binary(3)),
    *(pa.timestamp(unit) for unit in UNITS),
)
TEXTS = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
FORMATS = ("epoch_ms", "epoch", "yyyy-MM-dd HH:mm:ss", "yyyyDDD")


def validity(choices: Choices, rows: int) -> pa.Buffer | None:
    """Which rows are there; all, or any."""
    return None if choices.flag() else pa.py_buffer(choices.some(-(-rows // 8)).ljust(rows // 8 + 1, b"\xff"))


def fixed(choices: Choices, rows: int, levels: int) -> pa.Array:
    """Values of a fixed size, of any bytes."""
    kind = choices.one_of(FIXED)
    if pa.types.is_timestamp(kind):
        kind = pa.timestamp(kind.unit, choices.one_of(ZONES))
    size = kind.bit_width // 8
    if choices.flag() and size <= 8 and not pa.types.is_floating(kind):
        numbers = [choices.integer() & (2 ** (8 * size) - 1) for _ in range(rows)]
        raw = b"".join(number.to_bytes(size, "little") for number in numbers)
    elif kind == pa.float64():
        raw = b"".join(struct.pack("<d", choices.double()) for _ in range(rows))
    else:
        raw = choices.some(size * rows).ljust(size * rows, b"\x01")
    return pa.Array.from_buffers(kind, rows, [validity(choices, rows), pa.py_buffer(raw)])


def text(choices: Choices, rows: int, levels: int) -> pa.Array:
    """Texts of any bytes, UTF-8 or not."""
    kind = choices.one_of(TEXTS)
    pieces = [choices.some(choices.below(12)) for _ in range(rows)]
    offsets = np.cumsum([0, *map(len, pieces)]).astype(np.int64 if "large" in str(kind) else np.int32)
    buffers = [validity(choices, rows), pa.py_buffer(offsets), pa.py_buffer(b"".join(pieces))]
    return pa.Array.from_buffers(kind, rows, buffers)


def dictionary(choices: Choices, rows: int, levels: int) -> pa.Array:
    """A dictionary of anything, whose indices may be beyond it."""
    values = array(choices, choices.below(4), levels - 1)
    kind = choices.one_of((pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64()))
    wild = choices.below(8) == 0
    codes = [choices.integer() if wild else choices.below(max(len(values), 1)) for _ in range(rows)]
    size = kind.bit_width // 8
    raw = b"".join((code & (2 ** (8 * size) - 1)).to_bytes(size, "little") for code in codes)
    indices = pa.Array.from_buffers(kind, rows, [validity(choices, rows), pa.py_buffer(raw)])
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)


def lists(choices: Choices, rows: int, levels: int) -> pa.Array:
    """Lists of anything, also of fixed size and as views."""
    sizes = [choices.below(4) for _ in range(rows)]
    if choices.flag():
        return pa.FixedSizeListArray.from_arrays(array(choices, 2 * rows, levels - 1), 2)
    values = array(choices, sum(sizes), levels - 1)
    offsets = np.cumsum([0, *sizes])
    made = choices.below(3)
    if made == 0:
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
    if made == 1:
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    return pa.ListViewArray.from_arrays(
        pa.array(offsets[:-1], pa.int32()), pa.array(sizes, pa.int32()), values
    )


def struct_of(choices: Choices, rows: int, levels: int) -> pa.Array:
    """A struct of some fields, some of the same name."""
    names = [choices.one_of(("x", "b", "k", "")) for _ in range(choices.below(4))]
    parts = [array(choices, rows, levels - 1) for _ in names]
    kind = pa.struct([pa.field(n, p.type) for n, p in zip(names, parts, strict=True)])
    return pa.Array.from_buffers(kind, rows, [validity(choices, rows)], children=parts)


def other(choices: Choices, rows: int, levels: int) -> pa.Array:
    """Booleans, nulls, runs, views, maps and unions."""
    kind = choices.below(6)
    if kind == 0:
        return pa.nulls(rows)
    if kind == 1:
        return pa.array([(True, False, None)[choices.below(3)] for _ in range(rows)], pa.bool_())
    if kind == 2 and rows:
        ends = sorted({1 + choices.below(rows) for _ in range(choices.below(4))} | {rows})
        values = array(choices, len(ends), levels - 1)
        return pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), values)
    if kind == 3:
        return pa.array(
            [choices.some(choices.below(20)).decode("utf-8", "replace") for _ in range(rows)],
            pa.string_view(),
        )
    if kind == 4:
        return pa.array([[("a", 1)] for _ in range(rows)], pa.map_(pa.string(), pa.int64()))
    parts = [array(choices, rows, levels - 1) for _ in range(2)]
    return pa.UnionArray.from_sparse(pa.array([choices.below(2) for _ in range(rows)], pa.int8()), parts)


MAKERS: tuple[Callable[[Choices, int, int], pa.Array], ...] = (
    fixed,
    text,
    fixed,
    dictionary,
    lists,
    struct_of,
    other,
)


def array(choices: Choices, rows: int, levels: int = 3) -> pa.Array:
    """An array of any type, often a slice of a longer one."""
    before, after = (choices.below(3), choices.below(3)) if choices.flag() else (0, 0)
    maker = MAKERS[choices.below(len(MAKERS) if levels > 0 else 2)]
    return maker(choices, rows + before + after, levels).slice(before, rows)


def check_arrays(data: bytes) -> None:
    """Batches in memory: read, posted, and as times."""
    choices = Choices(data)
    way, rows = choices.below(16), choices.below(12)
    try:
        names = [choices.one_of(("time", "k", "v", "port", "a")) for _ in range(choices.below(4))]
        columns = [array(choices, rows) for _ in names]
        if way < 4 and rows:
            clock = pa.array([1_700_000_000_000 + k for k in range(rows)])
            names, columns = ["time", *names], [clock, *columns]
        batch = pa.RecordBatch.from_arrays(columns, names)
        batch.validate()
        rows = len(batch)  # none without columns
    except (pa.ArrowException, ValueError, OverflowError):
        return  # what Arrow does not build itself is not posted
    if way == 15:
        for flat in to_batches(batch):
            for column in flat.columns:
                ms = to_epoch_ms(column, FORMATS[len(data) % 4])
                assert len(ms) == rows
                assert ((ms == INVALID) | ((ms >= 0) & (ms <= LATEST_MS))).all(), ms
    elif way >= 12:
        total = sum(len(flat) for flat in to_batches(batch, keys=("k",)))
        assert total == rows
    else:
        source: Any = pa.Table.from_batches([batch, batch]) if choices.flag() else batch
        account(tidegate.Job(config(way), threads=1), source)


def array_seeds() -> list[bytes]:
    """Every maker for every column."""
    return [
        bytes([way, 5, 2, column, 1, 0, maker, *range(kind, kind + 40)])
        for way in (0, 1, 5, 9, 12, 15)
        for column in (0, 1, 2)
        for maker in range(len(MAKERS))
        for kind in (0, 17)
    ]


TARGETS = {"arrow-memory": Target(check_arrays, array_seeds, most_bytes=512)}
