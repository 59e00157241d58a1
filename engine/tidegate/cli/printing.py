"""Results on the standard output, as a table for people or as JSON, and in files. Imports pyarrow."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click
import pyarrow as pa

from ..jsonform import json_lines
from ..kinds import Kind
from ..resultfiles import write_tables
from .failures import Problems
from .outputs import Output
from .table import lines


def print_json(kind: Kind, table: pa.Table) -> None:
    """Prints results in the form of the JSON API, one a line."""
    out = sys.stdout.buffer
    for line in json_lines(kind.name, table):
        out.write(line + b"\n")
    out.flush()


def print_table(kind: Kind, table: pa.Table, detectors: Sequence[str]) -> None:
    """Prints results as a table; `detectors` are the descriptions of those of the job."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    for text in lines(table, detectors, kind):
        click.echo(text)
    if not table.num_rows:
        click.echo("No anomalies." if kind.name == "records" else f"No {kind.name.replace('_', ' ')}.")


def write_output(kind: str, table: pa.Table, option: str, output: Output) -> None:
    """Writes results of a kind to a file, and gives it its name; Problems that name the option."""
    try:
        write_tables(kind, table.schema, [table], output.partial, output.format, output.compression)
        os.replace(output.partial, output.path)
    except OSError as error:
        raise Problems(f"{option}: {output.path}: {error.strerror or error}") from None
