"""Batches of files that hold columns: Parquet and Arrow IPC."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from .arrowframes import MOST_BYTES, MOST_RATIO, require_bounded
from .errors import DataError
from .ndjson import Tally
from .soundness import require_sound

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
    metadata, wanted = plain.metadata, wanted_columns(plain.schema_arrow, columns)
    for group in range(metadata.num_row_groups):
        _require_unpacked(metadata.row_group(group))
    parquet = pq.ParquetFile(file, metadata=metadata, read_dictionary=_repeating(plain, keys))
    if batch_rows is None:
        n_columns = len(plain.schema_arrow.names if wanted is None else wanted)
        batch_rows = min(max(_BATCH_VALUES // max(n_columns, 1), FEWEST_ROWS), MOST_ROWS)
    return _counted(parquet.iter_batches(batch_rows, columns=wanted), metadata.num_rows, _size(file), tally)


def _require_unpacked(group: Any) -> None:
    """Raises DataError for a row group with a column that unpacks to far more than it is."""
    if group.total_byte_size <= MOST_BYTES:
        return
    for column in map(group.column, range(group.num_columns)):
        packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
        if unpacked > max(MOST_BYTES, MOST_RATIO * packed):
            raise DataError(f"{packed} bytes of column {column.path_in_schema!r} unpack to {unpacked} bytes")


def _repeating(parquet: Any, keys: Collection[str]) -> list[str]:
    """The text columns that are keys, or whose first values repeat."""
    texts = [
        f.name for f in parquet.schema_arrow if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
    ]
    if not parquet.metadata.num_row_groups:
        return texts
    group = parquet.metadata.row_group(0)
    chunks = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}

    def repeats(name: str) -> bool:
        chunk = chunks.get(name)
        return (
            chunk is not None
            and chunk.has_dictionary_page
            and chunk.total_uncompressed_size <= _DICTIONARY_BYTES * chunk.num_values
        )

    return [name for name in texts if name in keys or repeats(name)]


def _counted(
    batches: Iterator[pa.RecordBatch], all_rows: int, size: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """The batches; of the bytes of the file as great a part counts as read as of its rows."""
    rows = 0
    for batch in batches:
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
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=places))
    for position in range(reader.num_record_batches):
        yield require_sound(reader.get_batch(position))


def wanted_columns(schema: pa.Schema, columns: Collection[str] | None) -> list[str] | None:
    """The columns of a file that hold any of the wanted ones, also inside of structs."""
    if columns is None:
        return None
    return [n for n in schema.names if n in columns or any(c.startswith(f"{n}.") for c in columns)]
