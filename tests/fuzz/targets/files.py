"""Files of every format, plain and packed, whole and damaged: what is read of them is whole."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from tests.fuzz.choices import Choices
from tests.fuzz.targets import Target
from tests.fuzz.targets.jsontexts import account, config

import tidegate
from tidegate import arrowframes
from tidegate.soundness import require_sound

arrowframes.MOST_BYTES = 64 << 20  # less than the oracle allows
ROOM = "/dev/shm" if os.path.isdir("/dev/shm") else None
NAMES = {"csv": ".csv", "parquet": ".parquet", "arrow": ".arrow"}


@cache
def folder() -> Path:
    """A folder of this process; it goes with it."""
    holder = tempfile.TemporaryDirectory(prefix="tidegate-fuzz-", dir=ROOM)
    folder.holder = holder  # type: ignore[attr-defined]
    return Path(holder.name)


def zstd(data: bytes) -> bytes:
    """The data, packed."""
    return bytes(pa.compress(data, "zstd", asbytes=True))


PACKINGS: tuple[Callable[[bytes], bytes], ...] = (bytes, bytes, bytes, gzip.compress, zstd)


def check_file(extension: str, data: bytes) -> None:
    """A file by its path or as a stream, of some columns, then posted to a job."""
    choices = Choices(data)
    way, packing, damage = choices.below(16), choices.one_of(PACKINGS), choices.below(256)
    packed = packing(choices.rest())
    if damage > 250:
        packed = packed[: -damage % 16]
    path = folder() / f"input{extension}"
    path.write_bytes(packed)
    options: dict[str, Any] = {"keys": ("k",) if way & 1 else (), "ahead": False}
    if way & 2:
        options["columns"] = ("time", "k", "v", "s.x")
    source: Any = path
    if way & 12 == 4:
        source = io.BytesIO(packed)
        source.name = path.name
    if way & 12 == 8:
        account(tidegate.Job(config(0), threads=1), tidegate.read(source, **options))
        return
    with tidegate.read(source, **options) as batches:
        rows = 0
        for batch in batches:
            require_sound(batch)
            rows += len(batch)
        if extension == ".csv":
            records = packed.count(b"\n") + packed.count(b"\r") + 1
            assert packing is not bytes or rows + batches.malformed <= records


@cache
def table() -> pa.Table:
    """A small table with all kinds of columns."""
    return pa.table(
        {
            "time": pa.array([1_700_000_000_000 + k for k in range(4)], pa.timestamp("ms", "UTC")),
            "k": pa.array(["a", "b", None, "a"]).dictionary_encode(),
            "v": [1.5, None, float("nan"), 2.0],
            "text": ["x", "é", "", None],
            "s": [{"x": 1, "y": [1, 2]}, None, {"x": None, "y": []}, {"x": 3, "y": None}],
            "list": [["a"], [], None, ["b", None]],
            "date": pa.array([1, 2, None, 4], pa.date32()),
            "price": pa.array(["1.50", None, "2.25", "0.01"]).cast(pa.decimal128(10, 2)),
            "raw": [b"\xff", b"", None, b"a"],
            "up": [True, False, None, True],
        }
    )


def arrow_file(shown: pa.Table, compression: str | None = None) -> bytes:
    """A table as an Arrow IPC file."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, shown.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as file:
        file.write_table(shown)
    return sink.getvalue()


def arrow_stream(shown: pa.Table, compression: str | None = None) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(
        sink, shown.schema, options=pa.ipc.IpcWriteOptions(compression=compression)
    ) as file:
        file.write_table(shown)
    return sink.getvalue()


def parquet_file(shown: pa.Table, **options: Any) -> bytes:
    """A table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(shown, sink, **options)
    return sink.getvalue()


def feather_file(shown: pa.Table, compression: str) -> bytes:
    """A table as a Feather file."""
    sink = io.BytesIO()
    pyarrow.feather.write_feather(shown, sink, compression=compression)
    return sink.getvalue()


def arrow_seeds() -> list[bytes]:
    """Files and streams, of one and of all columns, packed in every way."""
    narrow = [table().select([name]) for name in ("time", "k", "text", "list", "s")]
    made = [arrow_stream(part) for part in narrow] + [arrow_file(part) for part in narrow[:3]]
    made += [arrow_file(table(), "zstd"), arrow_stream(table(), "lz4"), arrow_stream(table())]
    made += [feather_file(table().select(["time", "k", "v"]), kind) for kind in ("lz4", "uncompressed")]
    made += [arrow_stream(pa.table({"v": pa.nulls(1 << 16, pa.int64()).fill_null(0)}), "zstd")]
    return headed(made)


def parquet_seeds() -> list[bytes]:
    """Files of some and of all columns, with every compression and encoding."""
    plain = table().select(["time", "v"])
    made = [
        parquet_file(plain, compression=kind) for kind in ("NONE", "SNAPPY", "GZIP", "ZSTD", "LZ4", "BROTLI")
    ]
    made += [parquet_file(plain, use_dictionary=False, data_page_version="2.0")]
    made += [parquet_file(table().select([name])) for name in ("k", "text", "s", "list", "price")]
    made += [
        parquet_file(table().slice(0, 0)),
        parquet_file(table().select(["time", "k", "v"]), row_group_size=2),
    ]
    made += [parquet_file(pa.table({"v": [0] * (1 << 16)}), compression="ZSTD")]
    return headed(made)


def csv_seeds() -> list[bytes]:
    """Texts with every delimiter, with quotes, broken rows and odd values."""
    made = [b"time,k,v\n1700000000000,a,1\n1700000060000,b,2.5\n,,\n"]
    made += [made[0].replace(b",", delimiter) for delimiter in (b";", b"\t", b"|")]
    made += [
        b'time,"k","v\nx"\n1,"a ""b"" c","1,5"\n2,\'x\'\n',
        b"k\n\n\n1\n",
        b"\xef\xbb\xbfk,v\r\n1,2\r\n3\r\n",
    ]
    made += [b'k,v\n1,"2\n3,4\n', b"k,v\n\xff,1\n007,NA\n2018-01-01,2018-01-01T00:00:00Z\n"]
    return headed(made)


def headed(texts: list[bytes]) -> list[bytes]:
    """The texts with what decides how they are read."""
    ways = ((0, 0), (3, 0), (8, 0), (4, 3), (2, 4), (9, 3))
    return [bytes([*ways[k % len(ways)], 0]) + text for k, text in enumerate(texts + texts)]


_CSV = (b",", b";", b"\t", b"|", b"\n", b"\r\n", b'"', b'""', b"time", b"k", b"NA", b"\xff", b"\0", b"1e999")
_SIZES = tuple(n.to_bytes(k, "little", signed=True) for n in (-1, 0, 1, 2**30, 2**31 - 1) for k in (4, 8))
_ARROW = (*_SIZES, b"\xff\xff\xff\xff", b"ARROW1", b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd")
_PARQUET = (*_SIZES, b"PAR1", b"\x15\x00", b"\x19", b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x10")
TARGETS = {
    "csv": Target(partial(check_file, ".csv"), csv_seeds, _CSV),
    "parquet": Target(partial(check_file, ".parquet"), parquet_seeds, _PARQUET, 1 << 14),
    "arrow": Target(partial(check_file, ".arrow"), arrow_seeds, _ARROW, 1 << 14),
}
