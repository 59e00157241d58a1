"""Batches of files that hold columns: Parquet and Arrow IPC."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from . import parquetguard
from .arrowframes import require_bounded
from .ndjson import Tally
from .parquetguard import chunks, require_rows
from .soundness import require_indices, require_sound

FEWEST_ROWS, MOST_ROWS = 1 << 16, 1 << 20
"""Rows of a batch: of a million three columns are read and gathered with a quarter less work than
of 2^18 (20 M rows, 2026-11-23), but columns may be many."""
_BATCH_VALUES = 1 << 22
_DICTIONARY_BYTES = 6
"""Bytes of a text column per value, at most, that is worth reading as a dictionary: what does not
repeat takes more, and hashing it in the reader would be in vain."""


def parquet_batches(
    file: Any, columns: Collection[str] | None, keys: Collection[str], batch_rows: int | None, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Batches of a Parquet file (an open file or a path); texts that repeat are dictionaries."""
    import pyarrow.parquet as pq

    plain = pq.ParquetFile(file)
    metadata, names = plain.metadata, plain.schema_arrow.names
    wanted = wanted_columns(plain.schema_arrow, columns) or names[:1] if columns is not None else names
    require_rows(metadata)
    parquetguard.require_bounded(plain, wanted)
    parquet = pq.ParquetFile(file, metadata=metadata, read_dictionary=_repeating(plain, wanted, keys))
    if not wanted:
        return iter(())
    if batch_rows is None:
        batch_rows = min(max(_BATCH_VALUES // len(wanted), FEWEST_ROWS), MOST_ROWS)
    return _counted(parquet.iter_batches(batch_rows, columns=wanted), metadata.num_rows, _size(file), tally)


def _repeating(parquet: Any, wanted: Collection[str], keys: Collection[str]) -> list[str]:
    """The text columns that are keys, or whose first values repeat."""
    types = pa.types
    texts = [f.name for f in parquet.schema_arrow if types.is_string(f.type) or types.is_large_string(f.type)]
    if not parquet.metadata.num_row_groups:
        return texts
    others = [name for name in texts if name in wanted and name not in keys]
    repeating = {
        name
        for name, chunk in chunks(parquet, 0, others).items()
        if chunk.has_dictionary_page and chunk.total_uncompressed_size <= _DICTIONARY_BYTES * chunk.num_values
    }
    return [name for name in texts if name in keys or name in repeating]


def _counted(
    batches: Iterator[pa.RecordBatch], all_rows: int, size: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """The batches; of the bytes of the file as great a part counts as read as of its rows."""
    rows = 0
    for batch in map(require_indices, batches):
        rows += batch.num_rows
        tally.input_bytes = max(size * rows // max(all_rows, 1), tally.input_bytes)
        yield batch
    tally.input_bytes = max(size, tally.input_bytes)


def _size(file: Any) -> int:
    if isinstance(file, str):
        return os.path.getsize(file)
    place = file.tell()
    size = int(file.seek(0, os.SEEK_END))
    file.seek(place)
    return size


def arrow_batches(file: Any, columns: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Batches of an Arrow IPC file (an open file or a path), which is mapped into memory if it can be."""
    path = file if isinstance(file, str) else getattr(file, "name", None)
    source = pa.memory_map(path) if isinstance(path, str) and os.path.isfile(path) else file
    source = source if isinstance(source, pa.NativeFile) else pa.PythonFile(source, "r")
    require_bounded(source)
    reader = pa.ipc.open_file(source)
    wanted = wanted_columns(reader.schema, columns)
    if wanted is not None:
        places = [place for place, name in enumerate(reader.schema.names) if name in wanted]
        places = places or [0] * bool(reader.schema.names)  # whose rows are counted
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=places))
    for position in range(reader.num_record_batches):
        yield require_sound(reader.get_batch(position))


def wanted_columns(schema: pa.Schema, columns: Collection[str] | None) -> list[str] | None:
    """The columns of a file that hold any of the wanted ones, also inside of structs."""
    if columns is None:
        return None
    return [n for n in schema.names if n in columns or any(c.startswith(f"{n}.") for c in columns)]
