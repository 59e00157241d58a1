"""Result tables as files and as lines of JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .outputs import Output

_ROWS = 8192


def write_table(table: pa.Table, output: Output) -> None:
    """Writes a table in the format of its output and gives the file its name.

    CSV has no nested columns: see `flat_table`. The other formats keep the table as it is,
    but JSON leaves out what is null.
    """
    if output.format == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, output.partial, compression="zstd")
    elif output.format == "arrow":
        with pa.ipc.new_file(os.fspath(output.partial), table.schema) as writer:
            writer.write_table(table)
    else:
        with pa.OSFile(os.fspath(output.partial), "wb") as file:
            if output.compression is None:
                _write_text(table, output.format, file)
            else:
                with pa.CompressedOutputStream(file, output.compression) as packed:
                    _write_text(table, output.format, packed)
    os.replace(output.partial, output.path)


def _write_text(table: pa.Table, text_format: str, file: Any) -> None:
    if text_format == "csv":
        import pyarrow.csv as pa_csv

        pa_csv.write_csv(flat_table(table), file)
        return
    array = text_format == "json"
    separator = b"[\n" if array else b""
    for line in json_lines(table):
        file.write(separator + line)
        separator = b",\n" if array else b"\n"
    closing = b"\n]\n" if array else b"\n"
    if table.num_rows:
        file.write(closing)
    elif array:
        file.write(b"[]\n")


def json_lines(table: pa.Table) -> Iterator[bytes]:
    """The rows as JSON objects without line ends; fields that are null are left out."""
    for start in range(0, table.num_rows, _ROWS):
        for row in table.slice(start, _ROWS).to_pylist():
            yield json.dumps(_present(row), ensure_ascii=False, allow_nan=False).encode()


def _present(value: Any) -> Any:
    """A value without what is null; JSON has no infinity and no NaN, so these are null too."""
    if isinstance(value, dict):
        pairs = ((name, _present(inner)) for name, inner in value.items())
        return {name: inner for name, inner in pairs if inner is not None}
    if isinstance(value, list):
        return [_present(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def flat_table(table: pa.Table) -> pa.Table:
    """The table without nested columns.

    Fields of structs become columns (``a.b``), a list of numbers its only number, any other
    list its JSON text.
    """
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    for position, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            table = table.set_column(position, field.name, _flat_list(table.column(position)))
    return table


def _flat_list(column: pa.ChunkedArray) -> pa.ChunkedArray:
    longest = pc.max(pc.list_value_length(column)).as_py() or 0
    if pa.types.is_floating(column.type.value_type) and longest <= 1:
        if longest == 0:
            return pa.chunked_array([pa.nulls(len(column), column.type.value_type)])
        filled = pc.if_else(pc.equal(pc.list_value_length(column), 1), column, None)
        return pc.list_element(filled, 0)
    texts = [None if v is None else json.dumps(_present(v), ensure_ascii=False) for v in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])
