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
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from .arrowframes import open_stream
from .bytesource import ByteSource, spooled_file
from .columnfiles import arrow_batches, parquet_batches
from .csvtext import read_csv
from .errors import DataError
from .flatbatch import clear_errors, flat_batches
from .flatrecord import column_of, flat_record, rows_to_batches
from .ndjson import Tally, read_json
from .readahead import ReadAhead
from .soundness import require_sound

BATCH_ROWS = 1 << 17
ACCEPTED = (
    "a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, anything with __arrow_c_stream__ or "
    "__arrow_c_array__ (polars, pandas, DuckDB), a dict of columns, dicts, or JSON text"
)


class Batches(Iterator[pa.RecordBatch]):
    """An iterator of flat record batches that counts what it reads.

    ``malformed`` is the number of records that could not be read, ``input_bytes`` the size
    of the text or file read so far (0 for what is in memory as columns). Both are as of the
    batch that was taken last. `close` ends the reading early; the end of all batches does so too.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], tally: Tally, *, ahead: bool = False) -> None:
        self._batches: Iterator[pa.RecordBatch] | ReadAhead[pa.RecordBatch, tuple[int, int]] = batches
        self._tally = tally
        if ahead:
            self._batches = ReadAhead(batches, lambda: (tally.input_bytes, tally.malformed))

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def _counts(self) -> tuple[int, int]:
        if isinstance(self._batches, ReadAhead):
            return self._batches.noted
        return self._tally.input_bytes, self._tally.malformed

    @property
    def malformed(self) -> int:
        return self._counts()[1]

    @property
    def input_bytes(self) -> int:
        return self._counts()[0]

    def close(self) -> None:
        """Ends the reading and closes the file that was opened for it."""
        end = getattr(self._batches, "close", None)
        if end is not None:
            end()

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
            yield from rows_to_batches(rows, keys)
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


def read(
    path: str | os.PathLike[str] | Any,
    *,
    columns: Collection[str] | None = None,
    keys: Collection[str] = (),
    batch_rows: int | None = None,
    ahead: bool = True,
) -> Batches:
    """Record batches of a file (a path or a binary file object), in bounded memory.

    The format is known by the content first and the name second: see FORMATS. ``columns``
    are the only ones wanted, ``keys`` stay text as it was written (dictionary-encoded where
    that is cheap); ``batch_rows`` are in a batch of Parquet. The next two batches are read on a
    thread of their own, while the caller works on this one, unless ``ahead`` is false. Raises
    DataError, here for a file that is missing, empty or unknown.
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
    closing = _Closing(flat_batches(batches, name, columns), None if is_object else file)
    return Batches(closing, tally, ahead=ahead)


class _Closing(Iterator[pa.RecordBatch]):
    """Batches of a file that is closed with the last of them, or when they are let go."""

    def __init__(self, batches: Iterator[pa.RecordBatch], file: Any) -> None:
        self._batches, self._file = batches, file

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._batches = iter(())
        if self._file is not None:
            self._file.close()

    __del__ = close


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
    batch_rows: int | None,
    tally: Tally,
) -> Iterator[pa.RecordBatch]:
    start = file.tell() if hasattr(file, "seekable") and file.seekable() else None
    source = ByteSource(file, tally)
    packed = source.head.startswith((_GZIP, _ZSTD))
    if source.head.startswith(_GZIP):
        source = ByteSource(gzip.GzipFile(fileobj=source))
    elif packed:
        source = ByteSource(pa.CompressedInputStream(pa.PythonFile(source, "r"), "zstd"))
    found = _format_of(source.head, name)
    if found == "json":
        return read_json(source.read, keys, tally, columns)
    if found == "csv":
        return read_csv(source.read, keys, tally, columns)
    if found == "Arrow stream":
        return map(require_sound, open_stream(source.read))
    spooled = None
    if packed or start is None:
        file = spooled = spooled_file(source, tally)
    elif start == 0 and isinstance(path := getattr(file, "name", None), str) and os.path.isfile(path):
        file = path  # read by Arrow's threads, without Python
    else:
        file.seek(start)
    if found == "Arrow":
        return _Closing(arrow_batches(file, columns), spooled)
    try:
        unpacked = Tally() if packed else tally
        return _Closing(parquet_batches(file, columns, keys, batch_rows, unpacked), spooled)
    except BaseException:
        if spooled is not None:
            spooled.close()
        raise


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
