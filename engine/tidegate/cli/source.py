"""The file of the command line: its columns, its time, and its batches."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from functools import partial

import pyarrow as pa

from .. import read
from ..config import JobConfig
from ..encode import Fields
from ..readers import Batches
from .choices import Analysis
from .failures import Problems
from .timecolumn import find_time_field, find_time_format, unreadable_example

STANDARD_INPUT = "standard input"
_SAMPLE_ROWS = 8192
_PIECE = 1 << 20
_FREE_NAMES = (".ndjson", ".jsonl", ".json")
_GIVE_FORMAT = "give its format with --time-format, such as 'yyyy-MM-dd HH:mm:ss'"
_PACKED = {b"\x1f\x8b": ".gz", b"\x28\xb5": ".zst"}


class _Pipe:
    """A pipe that gives as many bytes as it is asked for, as long as there are any.

    It holds no lock while it waits, so that a thread that reads may be left behind at exit.
    """

    def __init__(self, read_some: Callable[[int], bytes], name: str) -> None:
        self.name = name
        self._read_some = read_some

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, or all that are left."""
        pieces = []
        while size:
            piece = self._read_some(min(size, _PIECE) if size > 0 else _PIECE)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece) if size > 0 else 0
        return b"".join(pieces)


class Source:
    """A file or a pipe with records; the first batch has been read to see what it holds.

    A file is opened again for its batches, to read only the columns that are wanted; a pipe
    goes on after the first batch.
    """

    def __init__(self, file: str, keys: Collection[str]) -> None:
        self.label = STANDARD_INPUT if file == "-" else file
        self.size, is_regular = _size(file)
        self._keys = keys
        self._path: str | None = file if is_regular else None
        if is_regular:
            self._stream = read(file, batch_rows=_SAMPLE_ROWS, ahead=False)
        elif os.path.exists(file) and not os.path.isdir(file):
            descriptor = os.open(file, os.O_RDONLY)  # a named pipe; open until the process ends
            self._stream = read(_Pipe(partial(os.read, descriptor), file), keys=keys)
        else:
            self._stream = read(_standard_input() if file == "-" else file, keys=keys)
        first = next(self._stream, None)
        if is_regular:
            self._stream.close()
        if first is None:
            raise Problems(f"{self.label}: holds no records")
        self.sample: pa.RecordBatch = first
        self.rows = _parquet_rows(file) if is_regular else None
        """How many records there are, where that is known at once."""

    @property
    def columns(self) -> list[str]:
        """The columns of the first batch; a key that has been asked for and is not there is none."""
        names = zip(self.sample.schema.names, self.sample.columns, strict=True)
        return [name for name, column in names if name not in self._keys or column.null_count < len(column)]

    @property
    def columns_are_fixed(self) -> bool:
        """Whether no column can come up later, as it can in JSON."""
        if self._path is None:
            return False
        stem, extension = os.path.splitext(self._path.lower())
        with open(self._path, "rb") as file:
            start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
        if start[:2] in _PACKED:
            extension = os.path.splitext(stem)[1] if extension in _PACKED.values() else extension
            return extension not in ("", *_FREE_NAMES)
        return start[:1] not in (b"{", b"[")

    def batches(self, columns: Collection[str]) -> tuple[Batches, Iterator[pa.RecordBatch]]:
        """What counts the bytes that are read, and the batches, with those columns alone."""
        if self._path is None:
            return self._stream, self._rest(columns)
        batches = read(self._path, columns=columns, keys=self._keys)
        return batches, batches

    def _rest(self, columns: Collection[str]) -> Iterator[pa.RecordBatch]:
        batch: pa.RecordBatch | None = self.sample
        while batch is not None:
            yield batch.select([name for name in batch.schema.names if name in columns])
            batch = next(self._stream, None)


def _size(file: str) -> tuple[int | None, bool]:
    """Bytes of a regular file, and whether it can be opened twice: standard input cannot."""
    try:
        status = os.fstat(sys.stdin.buffer.fileno()) if file == "-" else os.stat(file)
    except (OSError, io.UnsupportedOperation, ValueError):
        return None, False
    is_regular = stat.S_ISREG(status.st_mode)
    return (status.st_size if is_regular else None), is_regular and file != "-"


def _standard_input() -> _Pipe:
    stream = sys.stdin.buffer
    try:
        return _Pipe(partial(os.read, stream.fileno()), STANDARD_INPUT)
    except (OSError, io.UnsupportedOperation):
        return _Pipe(stream.read, STANDARD_INPUT)


def _parquet_rows(file: str) -> int | None:
    with open(file, "rb") as opened:
        if opened.read(4) != b"PAR1":
            return None
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def settle(analysis: Analysis, source: Source) -> JobConfig:
    """The configuration of the job, completed with what the file says about its time.

    Raises Problems for configured columns that the file does not have.
    """
    sample, config = source.sample, analysis.job_config()
    analysed = config.analysis_config.analysed_fields()
    if analysis.config is None:
        try:
            field = analysis.time_field or find_time_field(sample.schema, analysed)
        except ValueError as error:
            missing = _missing(source, analysed, None)
            raise Problems([f"{source.label}: {error}; {_listing(source)}", *missing]) from None
        found = find_time_format(sample.column(field)) if field in sample.schema.names else None
        config = analysis.job_config(field, found)
    require_readable(source, config)
    return config


def require_readable(source: Source, config: JobConfig, remedy: str = _GIVE_FORMAT) -> None:
    """Raises Problems for configured columns that the file lacks, and times that are none by the format."""
    data, sample = config.data_description, source.sample
    if missing := _missing(source, config.analysis_config.analysed_fields(), data.time_field):
        raise Problems(missing)
    if data.time_field in sample.schema.names:
        example = unreadable_example(sample.column(data.time_field), data.time_format)
        if example is not None:
            raise Problems(unreadable_time(source, config, example, remedy))


def unreadable_time(
    source: Source, config: JobConfig, example: str | None, remedy: str = _GIVE_FORMAT
) -> str:
    """That no record has a time, with one of the values that are none, and what can be done."""
    data = config.data_description
    what = f"; it is '{example}', for example" if example is not None else ""
    return (
        f"{source.label}: no value of the time field '{data.time_field}' is a time by the format "
        f"'{data.time_format}'{what}; {remedy}"
    )


def holds(batch: pa.RecordBatch, name: str) -> bool:
    """Whether the batch has a value of the field."""
    return name in batch.schema.names and batch.column(name).null_count < batch.num_rows


def never_seen(source: Source, fields: Collection[str], records: int) -> list[str]:
    """One problem for each field that none of the records had."""
    return [
        f"{source.label}: none of the {records} records has a field '{name}'; {_listing(source)}"
        for name in fields
    ]


def _missing(source: Source, analysed: Collection[str], time_field: str | None) -> list[str]:
    if not source.columns_are_fixed:
        return []
    wanted = [*analysed, *([] if time_field is None else [time_field])]
    gone = [name for name in wanted if name not in source.columns]
    return [f"{source.label}: there is no column '{name}'; {_listing(source)}" for name in gone]


def _listing(source: Source) -> str:
    shown = source.columns[:50]
    more = len(source.columns) - len(shown)
    return f"columns are: {', '.join(shown)}" + (f" and {more} more" if more else "")


def key_fields(config: JobConfig) -> tuple[str, ...]:
    """The fields whose exact text matters."""
    return Fields.of(config).texts
