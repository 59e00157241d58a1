"""Result rows as they are stored: chunks of a table, packed, and scores that were lowered later.

A chunk is a record batch in Arrow's IPC form, compressed whole. Measured on records of a job (2026-11,
bytes, microseconds to pack and to unpack)::

                   plain     lz4           zstd
    1 record        4,872    1,337  4  2      737  20  15
    1,000 records 290,464  110,516 81 35   85,329 245 123
    1,000 buckets 221,096   70,094 97 53   40,018 222 120

A lowered score is kept as a limit beside the chunk, so that no chunk is written anew for it::

    score = min(initial score, limit)

of a bucket and of each of its influencers likewise; NaN is no limit. When chunks are joined the
scores move in.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import results
from ..cells import F64
from ..kinds import KINDS

FULL_BYTES = 1 << 24
"""A chunk of this size, before it is packed, is joined with no other."""
FAN = 8
"""So many chunks of about a size become one, so that n rows make O(log n) chunks and each row is
written again O(log n) times: log to the base of FAN."""
SCHEMAS: dict[str, pa.Schema] = {
    **{kind.name: getattr(results, kind.schema) for kind in KINDS.values()},
    "categorizer_stats": results.CATEGORIZER_STATS,
}
_HEAD_BYTES = 1 << 14
"""What the form itself takes at most: 4 KB for one record."""
_CODEC = pa.Codec("zstd", 1)


@dataclass(frozen=True, slots=True)
class Packed:
    """Bytes of a record batch."""

    rows: int
    nbytes: int
    """Before packing."""
    checksum: int
    payload: bytes | pa.Buffer


def pack(batch: pa.RecordBatch) -> Packed:
    """The bytes of a batch.

    >>> batch = pa.record_batch({"a": [1, 2]})
    >>> unpack(pack(batch), batch.schema).equals(batch)
    True
    """
    plain = batch.serialize()
    if plain.size > 2 * batch.nbytes + _HEAD_BYTES:
        plain = _compact(batch).serialize()
    payload = _CODEC.compress(plain)
    return Packed(batch.num_rows, plain.size, _checksum(batch.num_rows, plain.size, payload), payload)


def unpack(packed: Packed, schema: pa.Schema) -> pa.RecordBatch:
    """The batch again; ValueError if a byte of it has changed, before Arrow looks at any."""
    if _checksum(packed.rows, packed.nbytes, packed.payload) != packed.checksum:
        raise ValueError("its checksum does not match")
    plain = _CODEC.decompress(packed.payload, packed.nbytes)
    return pa.ipc.read_record_batch(plain, schema)


def _checksum(rows: int, nbytes: int, payload: Any) -> int:
    return zlib.crc32(payload, zlib.crc32(f"{rows} {nbytes}".encode()))


def in_pieces(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """The table in batches of at most FULL_BYTES (or a row)."""
    rows = max(1, table.num_rows * FULL_BYTES // max(table.nbytes, 1))
    for start in range(0, table.num_rows, rows):
        [batch] = table.slice(start, rows).combine_chunks().to_batches()
        yield batch


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows in memory of their own: Arrow writes a slice with all the values its lists were cut from."""
    return batch.take(pa.array(np.arange(batch.num_rows)))


def joined(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """One batch of several, which are not all empty."""
    [batch] = pa.Table.from_batches(list(batches), schema).combine_chunks().to_batches()
    return batch


def level(rows: int) -> int:
    """The size of a chunk: the power of FAN that it has reached.

    >>> [level(rows) for rows in (1, 7, 8, 63, 64)]
    [0, 0, 1, 1, 2]
    """
    return (max(rows, 1).bit_length() - 1) // (FAN.bit_length() - 1)


def score_name(kind: str) -> str | None:
    """The column of a kind that says how unusual a row is; None if none does."""
    return KINDS[kind].score if kind in KINDS else None


def times(batch: pa.RecordBatch) -> np.ndarray:
    """The times of the rows; 0 for kinds that have none."""
    if "timestamp" not in batch.schema.names:
        return np.zeros(batch.num_rows, np.int64)
    return np.asarray(batch.column("timestamp").to_numpy(zero_copy_only=False), np.int64)


def top_score(kind: str, batch: pa.RecordBatch) -> float:
    """The largest score that any row can ever have; 0 for kinds without."""
    name = score_name(kind)
    if name is None or batch.num_rows == 0:
        return 0.0
    largest = [pc.max(batch.column(column)).as_py() for column in (name, f"initial_{name}")]
    return max((value for value in largest if value is not None), default=0.0)


def limited(kind: str, batch: pa.RecordBatch, limit: F64) -> pa.RecordBatch:
    """The rows with scores as they are by now; `limit` of each, NaN where nothing was said."""
    name = score_name(kind)
    if name is None:
        return batch
    batch = _lowered(batch, name, limit)
    if kind != "buckets":
        return batch
    lists = batch.column("bucket_influencers")
    offsets = lists.offsets.to_numpy()
    inner = pa.RecordBatch.from_struct_array(lists.values.slice(offsets[0], offsets[-1] - offsets[0]))
    inner = _lowered(inner, "anomaly_score", np.repeat(limit, np.diff(offsets)))
    made = pa.ListArray.from_arrays(
        pa.array(offsets - offsets[0]),
        inner.to_struct_array().cast(lists.type.value_type),
        type=lists.type,
        mask=pc.is_null(lists) if lists.null_count else None,
    )
    return _with_column(batch, "bucket_influencers", made)


def _lowered(batch: pa.RecordBatch, name: str, limit: F64) -> pa.RecordBatch:
    """The batch with a score as low as the limits say, where they say something."""
    initial = np.asarray(batch.column(f"initial_{name}").to_numpy(zero_copy_only=False), float)
    lowered = pa.array(np.minimum(initial, limit), mask=np.isnan(limit) | np.isnan(initial))
    return _with_column(batch, name, pc.coalesce(lowered, batch.column(name)))


def _with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    columns = [values if field.name == name else batch.column(field.name) for field in batch.schema]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
