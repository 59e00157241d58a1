"""Record batches from whatever holds records: files, Arrow, data frames, dicts, JSON text.

Batches that come out are flat: structs become dotted names (``a.b``), lists of scalars one
text joined with commas; maps, unions and lists of nested values are dropped. A column may
have another type in another batch of the same source.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from .csvtext import read_csv
from .errors import DataError
from .flatbatch import clear_errors, flat_batches
from .flatrecord import column_of, flat_record, rows_to_batch
from .ndjson import Tally, read_json

BATCH_ROWS = 1 << 17
ACCEPTED = (
    "a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, anything with __arrow_c_stream__ or "
    "__arrow_c_array__ (polars, pandas, DuckDB), a dict of columns, dicts, or JSON text"
)


class Batches(Iterator[pa.RecordBatch]):
    """An iterator of flat record batches that counts what it reads.

    ``malformed`` is the number of records that could not be read, ``input_bytes`` the size
    of the text or file read so far (0 for what is in memory as columns).
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], tally: Tally) -> None:
        self._batches, self._tally = batches, tally

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    @property
    def malformed(self) -> int:
        return self._tally.malformed

    @property
    def input_bytes(self) -> int:
        return self._tally.input_bytes

    def __repr__(self) -> str:
        return f"Batches(malformed={self.malformed}, input_bytes={self.input_bytes})"


def to_batches(data: Any, keys: Collection[str] = ()) -> Batches:
    """Record batches of data in memory: see ACCEPTED. JSON text keeps ``keys`` as it was written.

    >>> next(to_batches([{"time": 1, "host": {"name": "a"}}])).to_pylist()
    [{'time': 1, 'host.name': 'a'}]
    """
    if isinstance(data, Batches):
        return data
    tally = Tally()
    with clear_errors("data"):
        batches = _memory_batches(data, keys, tally)
    if not isinstance(data, (str, bytes, bytearray, memoryview)):
        batches = _weighed(batches, tally)
    return Batches(flat_batches(batches, "data"), tally)


def _weighed(batches: Iterator[pa.RecordBatch], tally: Tally) -> Iterator[pa.RecordBatch]:
    """The batches, their size in memory counted as it goes."""
    for batch in batches:
        tally.input_bytes += batch.nbytes
        yield batch


def _memory_batches(data: Any, keys: Collection[str], tally: Tally) -> Iterator[pa.RecordBatch]:
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return _json_bytes(bytes(data), keys, tally)
    if isinstance(data, pa.RecordBatch):
        return iter([data])
    if isinstance(data, pa.RecordBatchReader):
        return iter(data)
    if isinstance(data, pa.Table) or type(data).__module__ == "pyarrow._dataset":
        return iter(data.to_batches())
    if hasattr(data, "__arrow_c_stream__"):
        try:
            return iter(pa.RecordBatchReader.from_stream(data))
        except pa.ArrowException:
            if not hasattr(data, "items"):
                raise
            return iter([_from_columns(dict(data.items()), keys)])  # pandas, with a column of many types
    if hasattr(data, "__arrow_c_array__"):
        return iter([pa.record_batch(data)])
    if isinstance(data, Mapping):
        return iter([_from_columns(data, keys)])
    if isinstance(data, Iterable):
        return _from_records(iter(data), keys)
    raise DataError(f"data: cannot read records from {_named(data)}; accepted are {ACCEPTED}")


def _named(data: Any) -> str:
    kind = type(data)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _from_columns(columns: Mapping[Any, Any], keys: Collection[str]) -> pa.RecordBatch:
    """One batch of a dict of columns of the same length."""
    arrays = {str(name): _column(str(name), values, str(name) in keys) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise DataError(f"data: columns must have the same number of rows; {shown}")
    return pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))


def _column(name: str, values: Any, is_key: bool) -> pa.Array:
    """One column of a dict: an Arrow array, a NumPy array, a Series or a list."""
    if isinstance(values, pa.ChunkedArray) or hasattr(values, "__arrow_c_stream__"):
        try:
            combined = pa.chunked_array(values).combine_chunks()
        except pa.ArrowException:
            return column_of([None if value != value else value for value in values], is_key)
        return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
    if hasattr(values, "__arrow_c_array__"):
        return pa.array(values)
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise DataError(
            f"data[{name!r}]: a dict holds columns (arrays or lists), not {_named(values)}; "
            "post one record as [record]"
        )
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.ndim != 1:
            raise DataError(f"data[{name!r}]: a column has one dimension, not {values.ndim}")
        return pa.array(values)
    return column_of(list(values), is_key)


def _from_records(records: Iterator[Any], keys: Collection[str]) -> Iterator[pa.RecordBatch]:
    """Batches of dicts; an item that is Arrow data by itself is a part of the stream.

    What came before a failure is yielded before it is raised.
    """
    while True:
        rows: list[dict[str, Any]] = []
        part, failure = _collect(records, rows)
        if rows:
            yield rows_to_batch(rows, keys)
        if failure is not None:
            raise failure
        if part is not None:
            yield from _memory_batches(part, keys, Tally())
        elif len(rows) < BATCH_ROWS:
            return


def _collect(records: Iterator[Any], rows: list[dict[str, Any]]) -> tuple[Any, Exception | None]:
    """Adds the next dicts to ``rows``; the item of Arrow data or the failure that ended them, if any."""
    try:
        for record in islice(records, BATCH_ROWS):
            if isinstance(record, Mapping):
                rows.append(flat_record(record))
            elif hasattr(record, "__arrow_c_array__") or hasattr(record, "__arrow_c_stream__"):
                return record, None
            else:
                raise DataError(f"data: a record is a dict, not {_named(record)}")
    except Exception as failure:
        return None, failure
    return None, None


def _json_bytes(data: bytes, keys: Collection[str], tally: Tally) -> Iterator[pa.RecordBatch]:
    tally.input_bytes = len(data)
    source: Any = io.BytesIO(data)
    if data[:2] == b"\x1f\x8b":
        source = gzip.GzipFile(fileobj=source)
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        source = pa.CompressedInputStream(pa.BufferReader(data), "zstd")
    return read_json(source.read, keys, tally)


# Files

FORMATS = "NDJSON or JSON, CSV or TSV (each plain, .gz or .zst), Parquet, Arrow IPC"
_TEXT_FORMATS = {".ndjson": "json", ".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv"}
_BINARY_FORMATS = {
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
    ".arrows": "Arrow",
}
_JSON_START = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*)?(?:\{\s*["}]|\[\s*\])')
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_HEAD_BYTES = 1 << 16


class _Source(io.RawIOBase):
    """A binary stream whose beginning can be looked at; counts its bytes into a tally."""

    def __init__(self, file: Any, tally: Tally | None = None) -> None:
        self._file, self._tally = file, tally
        self.head = self._rest = self._counted(_HEAD_BYTES)

    def _counted(self, size: int) -> bytes:
        data: bytes = self._file.read(size) or b""
        if self._tally is not None:
            self._tally.input_bytes += len(data)
        return data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            return self._counted(size)
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        if size < 0 or len(data) < size:
            data += self._counted(-1 if size < 0 else size - len(data))
        return data


def read(
    path: str | os.PathLike[str] | Any,
    *,
    columns: Collection[str] | None = None,
    keys: Collection[str] = (),
    batch_rows: int = BATCH_ROWS,
) -> Batches:
    """Record batches of a file (a path or a binary file object), in bounded memory.

    The format is known by the content first and the name second: see FORMATS. ``columns``
    are the only ones wanted, ``keys`` stay text as it was written (dictionary-encoded where
    that is cheap). Raises DataError, here for a file that is missing, empty or unknown.
    """
    tally = Tally()
    is_object = hasattr(path, "read")
    if not is_object and not isinstance(path, (str, os.PathLike)):
        raise DataError(f"a file is named by a path or is a binary file object, not {_named(path)}")
    name = str(getattr(path, "name", "<stream>") if is_object else os.fspath(path))
    with clear_errors(name):
        file: Any = path if is_object else _opened(name)
        try:
            batches = _file_batches(file, name, columns, keys, batch_rows, tally)
        except BaseException:
            if not is_object:
                file.close()
            raise
    return Batches(_closing(flat_batches(batches, name, columns), None if is_object else file), tally)


def _closing(batches: Iterator[pa.RecordBatch], file: Any) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    finally:
        if file is not None:
            file.close()


def _opened(name: str) -> Any:
    if os.path.isdir(name):
        raise DataError(f"{name}: is a directory; name a file: {FORMATS}")
    if not os.path.exists(name):
        raise DataError(f"{name}: no such file")
    return open(name, "rb", buffering=0)


def _file_batches(
    file: Any,
    name: str,
    columns: Collection[str] | None,
    keys: Collection[str],
    batch_rows: int,
    tally: Tally,
) -> Iterator[pa.RecordBatch]:
    start = file.tell() if hasattr(file, "seekable") and file.seekable() else None
    source = _Source(file, tally)
    packed = source.head.startswith((_GZIP, _ZSTD))
    if source.head.startswith(_GZIP):
        source = _Source(gzip.GzipFile(fileobj=source))
    elif packed:
        source = _Source(pa.CompressedInputStream(pa.PythonFile(source, "r"), "zstd"))
    found = _format_of(source.head, name)
    if found == "json":
        return read_json(source.read, keys, tally, columns)
    if found == "csv":
        return read_csv(source.read, keys, tally, columns)
    if found == "Arrow stream":
        return iter(pa.ipc.open_stream(pa.PythonFile(source, "r")))
    opened = _parquet if found == "Parquet" else _arrow_file
    if packed or start is None:
        spooled = _spooled(source)
        return _closing(opened(spooled, columns, keys, batch_rows), spooled)
    file.seek(start)
    return opened(file, columns, keys, batch_rows)


def _format_of(head: bytes, name: str) -> str:
    """The format of a file that starts with ``head``."""
    if not head:
        raise DataError(f"{name}: is empty")
    for magic, found in ((b"PAR1", "Parquet"), (b"ARROW1", "Arrow"), (b"\xff\xff\xff\xff", "Arrow stream")):
        if head.startswith(magic):
            return found
    stem, extension = os.path.splitext(name.lower())
    if extension in (".gz", ".zst"):
        extension = os.path.splitext(stem)[1]
    if extension in _BINARY_FORMATS:
        raise DataError(f"{name}: is not a file of format {_BINARY_FORMATS[extension]}, as its name says")
    if b"\0" not in head:
        if _JSON_START.match(head):
            return "json"
        if extension in _TEXT_FORMATS:
            return _TEXT_FORMATS[extension]
        if any(delimiter in head.split(b"\n", 1)[0] for delimiter in (b",", b"\t", b";")):
            return "csv"
    raise DataError(f"{name}: unknown format; allowed are {FORMATS}")


def _spooled(source: _Source) -> Any:
    """A temporary file with the content of a stream, for formats that are read from their end."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads it to its end
    shutil.copyfileobj(source, file, 1 << 20)
    file.seek(0)
    return file


def _parquet(
    file: Any, columns: Collection[str] | None, keys: Collection[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    plain = pq.ParquetFile(file)
    schema = plain.schema_arrow
    texts = [
        f.name
        for f in schema
        if f.name in keys and (pa.types.is_string(f.type) or pa.types.is_large_string(f.type))
    ]
    parquet = pq.ParquetFile(file, metadata=plain.metadata, read_dictionary=texts)
    return iter(parquet.iter_batches(batch_rows, columns=_wanted(schema, columns)))


def _arrow_file(
    file: Any, columns: Collection[str] | None, keys: Collection[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    path = getattr(file, "name", None)
    source = pa.memory_map(path) if isinstance(path, str) and os.path.isfile(path) else file
    reader = pa.ipc.open_file(source)
    wanted = _wanted(reader.schema, columns)
    if wanted is not None:
        places = [place for place, name in enumerate(reader.schema.names) if name in wanted]
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=places))
    for position in range(reader.num_record_batches):
        yield reader.get_batch(position)


def _wanted(schema: pa.Schema, columns: Collection[str] | None) -> list[str] | None:
    """The columns of a file that hold any of the wanted ones, also inside of structs."""
    if columns is None:
        return None
    return [n for n in schema.names if n in columns or any(c.startswith(f"{n}.") for c in columns)]
