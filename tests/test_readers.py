"""Files and data in memory to flat record batches."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.csvtext import read_csv
from tidegate.errors import DataError
from tidegate.ndjson import MALFORMED, Tally
from tidegate.readers import Batches, read, to_batches

RECORDS = [
    {"time": 1, "k": "a", "v": 0.5},
    {"time": 2, "k": "00123", "v": None},
    {"time": 3, "k": "a", "v": 2.5},
]
TABLE = pa.Table.from_pylist(RECORDS)
CSV = b"time,k,v\n1,a,0.5\n2,00123,\n3,a,2.5\n"
NDJSON = b'{"time":1,"k":"a","v":0.5}\n{"time":2,"k":"00123","v":null}\n{"time":3,"k":"a","v":2.5}\n'


def records(batches: Batches) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


def parquet(table: pa.Table = TABLE) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=2)
    return sink.getvalue()


def arrow_file(table: pa.Table = TABLE) -> bytes:
    sink = io.BytesIO()
    feather.write_feather(table, sink)
    return sink.getvalue()


def arrow_stream(table: pa.Table = TABLE) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


FILES: dict[str, bytes] = {
    "a.ndjson": NDJSON,
    "a.jsonl": NDJSON,
    "a.json": b"[" + NDJSON.strip().replace(b"\n", b",\n") + b"]",
    "a.csv": CSV,
    "a.tsv": CSV.replace(b",", b"\t"),
    "semicolons.csv": CSV.replace(b",", b";"),
    "crlf.csv": b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n"),
    "a.csv.gz": gzip.compress(CSV, mtime=0),
    "members.csv.gz": gzip.compress(CSV[:15], mtime=0) + gzip.compress(CSV[15:], mtime=0),
    "a.csv.zst": zstd(CSV),
    "a.ndjson.gz": gzip.compress(NDJSON, mtime=0),
    "a.ndjson.zst": zstd(NDJSON),
    "a.parquet": parquet(),
    "a.parquet.gz": gzip.compress(parquet(), mtime=0),
    "a.feather": arrow_file(),
    "a.arrows": arrow_stream(),
    "no_name_of_a_format": parquet(),
    "json_by_content": NDJSON,
    "csv_by_content": CSV,
    "wrong_name.csv": NDJSON,
    "wrong_name.json": arrow_file(),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    """The records of a file do not depend on its format, its name or how it is opened."""
    path = tmp_path / name
    path.write_bytes(FILES[name])
    batches = read(path, keys=["k"])
    assert records(batches) == RECORDS
    assert (batches.malformed, batches.input_bytes) == (0, len(FILES[name]))
    with path.open("rb") as file:
        assert records(read(file, keys=["k"])) == RECORDS
    assert records(read(str(path), keys=["k"], columns=["k", "nothing"])) == [{"k": r["k"]} for r in RECORDS]


@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.csv", "a.parquet", "a.feather", "a.arrows"])
def test_a_pipe_is_read_too(name: str) -> None:
    """A stream without seek, like standard input, gives the records of the file."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(FILES[name])
    with os.fdopen(reading, "rb") as file:
        assert records(read(file, keys=["k"])) == RECORDS


def damaged(data: bytes) -> bytes:
    return data[:100] + bytes(byte ^ 0x55 for byte in data[100:-100]) + data[-100:]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.csv", b"", "is empty"),
        ("a.ndjson.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("a.bin", b"\x00\x01\x02", "unknown format; allowed are NDJSON"),
        ("a", b"just a word\n", "unknown format"),
        ("a.csv", CSV.decode().encode("utf-16"), "unknown format"),
        ("a.parquet", b"hello, world\n", "is not a file of format Parquet"),
        ("a.parquet", parquet()[:-20], "magic bytes not found"),
        ("a.parquet", damaged(parquet()), "."),
        ("a.feather", arrow_file()[:-20], "."),
        ("a.arrows", arrow_stream()[:-100], "."),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)[:-9], "ended before|end-of-stream"),
        ("a.csv.gz", gzip.compress(CSV * 100, mtime=0)[:-30], "ended before"),
        ("a.csv.gz", b"\x1f\x8bnot really gzip, is it", "."),
        ("a.csv.zst", zstd(CSV)[:-4], "."),
        ("a.csv", b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
        ("a.ndjson", b'{"a":}\n' * 100, MALFORMED),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    """What cannot be read is one line that starts with the name of the file."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=reason) as caught:
        list(read(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_files_and_directories(tmp_path: Path) -> None:
    """A path that is no file is refused at once."""
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "missing.csv")
    with pytest.raises(DataError, match="is a directory"):
        read(tmp_path)
    with pytest.raises(DataError, match="not int"):
        read(5)


@pytest.mark.parametrize("text", [b"a,b", b"a,b\n", b"a,b\n\n\n"])
def test_a_header_alone_has_no_records(tmp_path: Path, text: bytes) -> None:
    """A CSV file with a header only gives nothing."""
    path = tmp_path / "a.csv"
    path.write_bytes(text)
    assert list(read(path)) == []


def csv_records(
    text: bytes, block_bytes: int, keys: tuple[str, ...] = ()
) -> tuple[list[dict[str, Any]], Tally]:
    tally = Tally()
    batches = read_csv(io.BytesIO(text).read, keys, tally, block_bytes=block_bytes)
    return [row for batch in batches for row in batch.to_pylist()], tally


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.text("ab,\"\n'é ", max_size=5)), max_size=20),
    st.integers(1, 60),
)
def test_csv_blocks_change_nothing(rows: list[tuple[int, str]], block_bytes: int) -> None:
    """However a CSV text is cut, quoted newlines too, each row comes out once."""
    lines = ['"{}","{}"'.format(number, text.replace('"', '""')) for number, text in rows]
    found, tally = csv_records("\n".join(["n,t", *lines]).encode(), block_bytes, ("t",))
    assert found == [{"n": number, "t": text or None} for number, text in rows]
    assert tally.malformed == 0


def test_text_in_a_number_column_only_changes_its_block() -> None:
    """Text far down in a numeric column loses no row and stops nothing."""
    lines = [b"%d,%d" % (i, i) for i in range(1000)]
    lines[700] = b"700,oops"
    found, _ = csv_records(b"n,v\n" + b"\n".join(lines), 500)
    assert [row["n"] for row in found] == list(range(1000))
    assert [str(row["v"]) for row in found] == [line.split(b",")[1].decode() for line in lines]


def test_wrong_rows_are_counted() -> None:
    """Rows with a wrong number of fields are left out and counted."""
    found, tally = csv_records(b"a,b\n1,2\n3\n4,5,6\n7,8\n", 1000)
    assert found == [{"a": 1, "b": 2}, {"a": 7, "b": 8}]
    assert tally.malformed == 2


def test_stray_quotes_and_wrong_encoding_stop_nothing() -> None:
    """A quote inside of a field and bytes that are not UTF-8 are read as well as can be."""
    text = b"a,b\n" + b"\n".join([b'1,5" pipe'] * 51 + [b"2,\xe9"] * 5)
    for block_bytes in (100, 10_000):
        found, tally = csv_records(text, block_bytes, ("b",))
        assert [row["b"] for row in found] == ['5" pipe'] * 51 + ["\ufffd"] * 5
        assert tally.malformed == 0


def test_key_text_is_exact_in_csv() -> None:
    """Keys that look like numbers, null or times stay text; empty keys are missing."""
    found, _ = csv_records(b"k,v\n007,1\nNA,2\n2018-01-01,3\n,4\n", 1000, ("k",))
    assert [row["k"] for row in found] == ["007", "NA", "2018-01-01", None]


NESTED = pa.table(
    {
        "time": [1, 2, 3],
        "s": [{"x": 1, "y": {"z": "p"}}, None, {"x": None, "y": None}],
        "tags": [["a", None, "b"], [], None],
        "codes": pa.array([[1, 2], [3], None], pa.large_list(pa.int64())),
        "pair": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
        "deep": [[[1]], None, None],
        "map": pa.array([[("a", 1)], None, None], pa.map_(pa.string(), pa.int64())),
    }
)
FLAT = [
    {"time": 1, "s.x": 1, "s.y.z": "p", "tags": "a,b", "codes": "1,2", "pair": "1,2"},
    {"time": 2, "s.x": None, "s.y.z": None, "tags": None, "codes": "3", "pair": None},
    {"time": 3, "s.x": None, "s.y.z": None, "tags": None, "codes": None, "pair": "3,4"},
]


@pytest.mark.parametrize("start", [0, 1, 2])
def test_nested_columns_become_flat(start: int) -> None:
    """Structs become dotted names, lists of scalars text, anything deeper is dropped; slices too."""
    assert records(to_batches(NESTED.slice(start))) == FLAT[start:]
    assert records(to_batches(NESTED)) == FLAT


MAKERS: dict[str, Callable[[], Any]] = {
    "table": lambda: TABLE,
    "batch": lambda: TABLE.to_batches()[0],
    "reader": TABLE.to_reader,
    "dataset": lambda: ds.dataset(TABLE),
    "scanner": lambda: ds.dataset(TABLE).scanner(),
    "struct array": lambda: pa.array(RECORDS),
    "polars": lambda: pl.DataFrame(RECORDS),
    "pandas": lambda: pd.DataFrame(RECORDS).astype({"v": "Float64"}).set_index(pd.Index([7, 8, 9])),
    "duckdb": lambda: duckdb.from_arrow(TABLE),
    "dict": lambda: {name: TABLE[name].to_pylist() for name in TABLE.column_names},
    "dict of many": lambda: {
        "time": np.array([1, 2, 3]),
        "k": pl.Series(["a", "00123", "a"]),
        "v": pa.chunked_array([[0.5], [None, 2.5]]),
    },
    "dict of series": lambda: {
        "time": pd.Series([1, 2, 3]),
        "k": ["a", "00123", "a"],
        "v": pd.Series([0.5, None, 2.5]),
    },
    "records": lambda: RECORDS,
    "generator": lambda: (dict(record) for record in RECORDS),
    "batches": lambda: iter(TABLE.to_batches(max_chunksize=1)),
    "bytes": lambda: NDJSON,
    "bytearray": lambda: bytearray(NDJSON),
    "memoryview": lambda: memoryview(NDJSON),
    "text": NDJSON.decode,
    "gzip": lambda: gzip.compress(NDJSON, mtime=0),
    "zstd": lambda: zstd(NDJSON),
}


@pytest.mark.parametrize("form", MAKERS)
def test_everything_that_holds_records_is_accepted(form: str) -> None:
    """Whatever holds the records, the same come out."""
    assert records(to_batches(MAKERS[form](), keys=["k"])) == RECORDS


@pytest.mark.parametrize("empty", [[], {}, "", b"", TABLE.slice(0, 0), pl.DataFrame(), iter(())])
def test_nothing_gives_nothing(empty: Any) -> None:
    """Empty data is no error and no batch."""
    assert list(to_batches(empty)) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (5, "cannot read records from int; accepted are a pyarrow Table"),
        (object(), "from object"),
        ([1], "a record is a dict, not int"),
        ([{"a": 1}, "x"], "a record is a dict, not str"),
        ({"a": [1, 2], "b": [1]}, "'a' has 2, 'b' has 1"),
        ({"a": 1}, r"data\['a'\].*not int; post one record as \[record\]"),
        ({"a": "text"}, "not str"),
        ({"a": np.zeros((2, 2))}, "one dimension, not 2"),
        (pa.table([[1], [2]], names=["a", "a"]), "two columns are named 'a'"),
        (pa.table({"a.b": [1], "a": [{"b": 2}]}), "two columns are named 'a.b'"),
        (pa.array([1]), "."),
        (gzip.compress(NDJSON, mtime=0)[:-9], "."),
    ],
)
def test_what_is_refused(data: Any, reason: str) -> None:
    """Data that cannot be read is a DataError that says what and why."""
    with pytest.raises(DataError, match=reason):
        list(to_batches(data))


def test_the_message_of_the_contract_stands_alone() -> None:
    """Too many malformed records of an upload have exactly the message of the contract."""
    with pytest.raises(DataError, match=f"^{MALFORMED}$"):
        list(to_batches(b"{]\n" * 100))


def test_mixed_values_become_text() -> None:
    """Columns with values of many types are text, in records and in data frames."""
    wanted = [{"a": "1"}, {"a": "x"}, {"a": None}]
    assert records(to_batches([{"a": 1}, {"a": "x"}, {"a": None}])) == wanted
    assert records(to_batches(pd.DataFrame({"a": [1, "x", None]}, dtype=object))) == wanted
    assert records(to_batches([{"a": dt.datetime(2018, 1, 1)}])) == [{"a": dt.datetime(2018, 1, 1)}]


def test_records_without_fields_are_counted() -> None:
    """A record without any field is still a record."""
    assert [batch.num_rows for batch in to_batches([{}, {}])] == [2]
    assert [batch.num_rows for batch in to_batches("{}{}{}")] == [3]


def test_named_index_stays() -> None:
    """An index of pandas that has a name is a column, one without is dropped."""
    frame = pd.DataFrame({"v": [1.0]}, index=pd.Index([5], name="time"))
    assert records(to_batches(frame)) == [{"v": 1.0, "time": 5}]


def test_errors_of_a_callers_generator_pass_through() -> None:
    """A bug in the iterable that the caller gave is not hidden."""

    def broken() -> Any:
        yield {"a": 1}
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(to_batches(broken()))


@pytest.mark.parametrize(
    ("last", "failure", "reason"), [(KeyError("mine"), KeyError, "mine"), ("x", DataError, "a dict, not str")]
)
def test_records_before_a_failure_are_delivered(last: Any, failure: type[Exception], reason: str) -> None:
    """What an iterable gave before it raised, or gave what is no record, comes out first."""

    def broken() -> Any:
        yield from RECORDS
        if isinstance(last, Exception):
            raise last
        yield last

    batches = to_batches(broken())
    assert next(batches).to_pylist() == RECORDS
    with pytest.raises(failure, match=reason):
        next(batches)


def test_dicts_and_arrow_data_may_be_mixed() -> None:
    """An iterable may give dicts, batches and tables in any order."""
    batch = TABLE.to_batches()[0]
    for mixed in ([batch, *RECORDS], [*RECORDS, TABLE], [*RECORDS[:1], TABLE.slice(1, 1), *RECORDS[2:]] * 2):
        assert records(to_batches(mixed)) == RECORDS * 2


def test_dicts_too_deep_are_refused() -> None:
    """A dict of very many levels, or inside of itself, is one clear error."""
    cyclic: dict[str, Any] = {"a": 1}
    cyclic["b"] = cyclic["c"] = cyclic
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    for record in (cyclic, deep):
        batches = to_batches([{"a": 1}, record])
        assert next(batches).to_pylist() == [{"a": 1}]
        with pytest.raises(DataError, match="data: a record has more than 500 levels of dicts, or is inside"):
            next(batches)


def test_flat_arrow_data_is_not_copied() -> None:
    """Batches that are flat already pass through as they are."""
    batch = TABLE.to_batches()[0]
    assert next(to_batches(batch)) is batch
