"""Result tables as files."""

from __future__ import annotations

import json
import os
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..jsonform import json_lines, present
from .outputs import Output


def write_table(kind: str, table: pa.Table, output: Output) -> None:
    """Writes a table of a kind of results in the format of its output and gives the file its name.

    CSV has no nested columns: see `flat_table`. The other formats keep the table as it is,
    but JSON, which is the form of the API: see `jsonform`.
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
                _write_text(kind, table, output.format, file)
            else:
                with pa.CompressedOutputStream(file, output.compression) as packed:
                    _write_text(kind, table, output.format, packed)
    os.replace(output.partial, output.path)


def _write_text(kind: str, table: pa.Table, text_format: str, file: Any) -> None:
    if text_format == "csv":
        import pyarrow.csv as pa_csv

        pa_csv.write_csv(flat_table(table), file)
        return
    array = text_format == "json"
    separator = b"[\n" if array else b""
    for line in json_lines(kind, table):
        file.write(separator + line)
        separator = b",\n" if array else b"\n"
    closing = b"\n]\n" if array else b"\n"
    if table.num_rows:
        file.write(closing)
    elif array:
        file.write(b"[]\n")


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
    texts = [None if v is None else json.dumps(present(v), ensure_ascii=False) for v in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])
