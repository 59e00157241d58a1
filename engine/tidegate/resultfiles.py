"""Result tables as files: Parquet, Arrow, JSON and CSV."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .jsonform import json_lines, present


def write_tables(
    kind: str,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    path: str | os.PathLike[str],
    file_format: str,
    compression: str | None = None,
) -> None:
    """Writes tables of a kind of results, one after the other, to a file in one of `fileformats`.

    Holds one of them at a time, but for CSV all: it has no nested columns, and what becomes of them
    depends on every row, see `flat_table`. JSON is the form of the API, see `jsonform`; the other
    formats keep the tables as they are.
    """
    if file_format == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(os.fspath(path), schema, compression="zstd") as parquet:
            for table in tables:
                parquet.write_table(table)
    elif file_format == "arrow":
        with pa.ipc.new_file(os.fspath(path), schema) as arrow:
            for table in tables:
                arrow.write_table(table)
    else:
        with pa.OSFile(os.fspath(path), "wb") as file:
            if compression is None:
                _write_text(kind, schema, tables, file_format, file)
            else:
                with pa.CompressedOutputStream(file, compression) as packed:
                    _write_text(kind, schema, tables, file_format, packed)


def _write_text(
    kind: str, schema: pa.Schema, tables: Iterable[pa.Table], text_format: str, file: Any
) -> None:
    if text_format == "csv":
        import pyarrow.csv as pa_csv

        pa_csv.write_csv(flat_table(pa.concat_tables([schema.empty_table(), *tables])), file)
        return
    array = text_format == "json"
    opening, between, closing, nothing = (
        (b"[\n", b",\n", b"\n]\n", b"[]\n") if array else (b"", b"\n", b"\n", b"")
    )
    separator = opening
    for table in tables:
        for line in json_lines(kind, table):
            file.write(separator + line)
            separator = between
    file.write(closing if separator == between else nothing)


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
