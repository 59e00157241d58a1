"""Files to results, beside merely reading the same file into a table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, json, parquet

import tidegate as engine

from .gather import read_memory
from .inputs import Events, config, events
from .measure import CORES, Run, Size, medians, versions
from .tables import NO_GOAL, Table, at_most

STRINGS = "parquet, keys as strings"
KINDS = ("parquet", STRINGS, "ndjson", "csv")
TEXT_SHARE = 4
"""Text files have a fourth of the rows: the first ones, as dense in time as the others."""
GOALS = {"parquet": ("pyarrow", 1.5), STRINGS: ("pyarrow", 1.5), "ndjson": ("polars", 1.0)}


def write(data: Events, kind: str, path: Path) -> None:
    """Writes the records: Parquet with zstd, keys a dictionary or strings; a line each of JSON or CSV."""
    table = data.table()
    if kind != "parquet":
        table = table.set_column(1, "host", table["host"].cast(pa.string()))
    if path.suffix == ".parquet":
        parquet.write_table(table, path, compression="zstd")
    elif path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        import polars

        polars.DataFrame(table).write_ndjson(path)


def tidegate(path: Path, threads: int = CORES) -> Run:
    """Reads, posts, flushes; returns how many rows were used."""

    def run() -> int:
        with engine.Job(config("mean"), threads=threads) as job:
            for batch in engine.read(path):
                job.post(batch)
            job.flush()
            return job.data_counts.processed_record_count

    return run


def pyarrow(path: Path) -> Run:
    """Reads the whole file with the defaults; returns how many rows there are."""
    readers: dict[str, Callable[[Path], pa.Table]] = {
        "parquet": parquet.read_table,
        "ndjson": json.read_json,
        "csv": csv.read_csv,
    }
    read = readers[path.suffix[1:]]
    return lambda: read(path).num_rows


def polars(path: Path) -> Run:
    """Reads the whole file with the defaults; returns how many rows there are."""
    import polars as pl

    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        "parquet": pl.read_parquet,
        "ndjson": pl.read_ndjson,
        "csv": pl.read_csv,
    }
    read = readers[path.suffix[1:]]
    return lambda: len(read(path))


def duckdb(path: Path) -> Run:
    """Reads the whole file into Arrow with the defaults; returns how many rows there are."""
    import duckdb as db

    read = {"parquet": "read_parquet", "ndjson": "read_ndjson", "csv": "read_csv"}[path.suffix[1:]]
    connection = db.connect()
    query = f"SELECT * FROM {read}('{path}')"
    return lambda: connection.sql(query).to_arrow_table().num_rows


PEERS: dict[str, Callable[[Path], Run]] = {"pyarrow": pyarrow, "polars": polars, "DuckDB": duckdb}


def rows_of(kind: str, rows: int) -> int:
    """How many of `rows` rows a file of a kind has."""
    return rows if kind.startswith("parquet") else rows // TEXT_SHARE


def check(runs: dict[str, Run], rows: int) -> None:
    """Raises when a contestant does not read every row."""
    read = {name: run() for name, run in runs.items()}
    if set(read.values()) != {rows}:
        raise AssertionError(f"the file has {rows} rows, read were {read}")


def table(size: Size) -> Table:
    """Each kind of file: ours to results, the others' mere read."""
    whole, rows = events(size.rows, 1_000), []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            data = whole.head(rows_of(kind, size.rows))
            path = Path(folder) / f"bench.{kind.split(',')[0]}"
            write(data, kind, path)
            runs = {"ours": tidegate(path)} | {name: make(path) for name, make in PEERS.items()}
            check(runs, len(data))
            taken = medians(runs | {"read": read_memory(data)}, size.repeats)
            rows.append(_row(kind, f"{len(data) / 1e6:g} M, {path.stat().st_size / 1e6:.0f} MB", taken))
            path.unlink()
    reads = (f"{name} read" for name in PEERS)
    return Table(
        f"Files to results: 1,000 series, 5-minute buckets over a week (text files: the first days), mean, "
        f"{CORES} threads; the others merely read the file into a table, with their defaults. Files are in "
        f"the page cache; Parquet is zstd, its keys of the type dictionary (what pandas and polars call "
        f"categorical) or string. Seconds; "
        f"{versions('pyarrow', 'polars', 'duckdb')}.",
        ("file", "rows, size", "tidegate to results", *reads, "ours / read", "goal", "met", "memory read"),
        rows,
    )


def _row(kind: str, size: str, taken: dict[str, float]) -> tuple[str, ...]:
    figures = (f"{taken[name]:.3f}" for name in ("ours", *PEERS))
    peer, most = GOALS.get(kind, ("pyarrow", None))
    ratio = taken["ours"] / taken[peer]
    goal = NO_GOAL if most is None else at_most(ratio, most)
    return (kind, size, *figures, f"{ratio:.2f}x {peer}", *goal, f"{taken['read']:.3f}")
