"""What fuzzing has found stays found: damaged, packed and odd input is read, or refused in one line."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.oracle import examine
from tests.fuzz.targets import stored

import tidegate
from tidegate import arrowframes, bytesource, parquetguard
from tidegate.config import JobConfig, source
from tidegate.csvtext import read_csv
from tidegate.errors import ConfigError, DataError, LogError, SnapshotError, TimeError
from tidegate.flatbatch import flat_batch
from tidegate.jsonnames import names_of
from tidegate.ndjson import Tally, read_json
from tidegate.readers import to_batches
from tidegate.requesttime import parse_request_time
from tidegate.store import snapshotfile
from tidegate.timefield import to_epoch_ms
from tidegate.valuetext import as_text
from tidegate_kernels.names import count_names
from tidegate_kernels.timetext import INVALID

START = 1_700_006_400_000


def rows_of(data: Any) -> list[dict[str, Any]]:
    """The records of data in memory."""
    return [row for batch in to_batches(data) for row in batch.to_pylist()]


def job(**detector: str) -> tidegate.Job:
    """A job with the time in `time`, an influencer `port`."""
    analysis = {"detectors": [detector], "influencers": ["port"]}
    if detector.get("by_field_name") == "mlcategory":
        analysis["categorization_field_name"] = "message"
    return tidegate.Job({"analysis_config": analysis, "data_description": {}})


# Arrow data in memory


@given(st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=3)), max_size=6), st.integers(0, 6))
def test_list_views_are_lists(values: list[list[int] | None], start: int) -> None:
    """A view of lists, and any slice of it, reads as the lists do."""
    rows = [",".join(map(str, value)) or None if value is not None else None for value in values]
    for kind in (pa.list_view(pa.int64()), pa.large_list_view(pa.int64())):
        batch = pa.record_batch({"a": pa.array(values, kind)}).slice(start)
        assert flat_batch(batch)["a"].to_pylist() == rows[start:]


def test_views_of_lists_in_any_order() -> None:
    """Views may overlap and lie in any order, and after the last one is nothing lost."""
    views = pa.ListViewArray.from_arrays(
        pa.array([4, 0, 3], pa.int32()), pa.array([1, 3, 2], pa.int32()), range(5)
    )
    assert flat_batch(pa.record_batch({"a": views}))["a"].to_pylist() == ["4", "0,1,2", "3,4"]


def test_a_union_in_a_struct_is_left_out() -> None:
    """A struct with a union and nulls, of which Arrow ends the process, gives its other fields."""
    union = pa.UnionArray.from_sparse(pa.array([0, 0, 0], pa.int8()), [pa.array([1, 2, 3])])
    mask = pa.array([False, True, False])
    both = pa.StructArray.from_arrays([union, pa.array([7, 8, 9])], ["u", "v"], mask=mask)
    alone = pa.StructArray.from_arrays([union], ["u"], mask=mask)
    batch = pa.record_batch({"s": both, "t": alone, "k": ["a", "b", "c"]})
    assert rows_of(batch) == [{"s.v": 7, "k": "a"}, {"s.v": None, "k": "b"}, {"s.v": 9, "k": "c"}]
    assert rows_of(batch.slice(2)) == [{"s.v": 9, "k": "c"}]


@pytest.mark.parametrize("index", [2, 70_000_000, -1])
@pytest.mark.parametrize(
    ("field", "detector"),
    [
        ("time", {"function": "count"}),
        ("value", {"function": "mean", "field_name": "value"}),
        ("host", {"function": "count", "partition_field_name": "host"}),
        ("port", {"function": "count"}),
        ("place", {"function": "lat_long", "field_name": "place"}),
        ("user", {"function": "distinct_count", "field_name": "user"}),
        ("message", {"function": "count", "by_field_name": "mlcategory"}),
    ],
)
def test_indices_outside_of_a_dictionary(field: str, detector: dict[str, str], index: int) -> None:
    """An index without a value is refused for every use of a field, and the job goes on."""
    indices = pa.array([0, None, index], pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["1", "2"]), safe=False)
    columns = {"time": pa.array([START, START, START]), field: column}
    target = job(**detector)
    with pytest.raises(DataError, match="a dictionary of 2 values has no value of some of its indices"):
        target.post(pa.record_batch(columns))
    assert target.post([{"time": START, field: "1"}]).input_record_count == 1


def test_a_dictionary_of_nulls_as_time() -> None:
    """Times from a dictionary whose values are all null are invalid."""
    column = pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int64()), pa.nulls(1))
    assert to_epoch_ms(column).tolist() == [INVALID, INVALID]


def broken_text(kind: pa.DataType) -> pa.Array:
    """The texts é and a byte that is no UTF-8."""
    offsets = np.array([0, 2, 3], np.int64 if kind == pa.large_string() else np.int32)
    return pa.Array.from_buffers(kind, 2, [None, pa.py_buffer(offsets), pa.py_buffer(b"\xc3\xa9\xff")])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_strings_that_are_no_utf8(kind: pa.DataType) -> None:
    """Bytes that are no UTF-8 in a column of strings are replaced, wherever the text is used."""
    column = broken_text(kind)
    assert as_text(column).to_pylist() == ["é", "\ufffd"]
    assert as_text(column.slice(1)).to_pylist() == ["\ufffd"]
    batch = pa.record_batch(
        {"time": [START, START + 3_600_000], "host": column, "value": column, "port": column}
    )
    for detector in (
        {"function": "count", "partition_field_name": "host"},
        {"function": "mean", "field_name": "value"},
        {"function": "distinct_count", "field_name": "host"},
    ):
        target = job(**detector)
        assert target.post(batch).processed_record_count == 2
        target.flush(calc_interim=True)
        assert target.buckets().num_rows > 0


# Arrow and Parquet files


def ipc(batch: pa.RecordBatch, *, stream: bool = False, compression: str | None = None) -> bytes:
    """A batch as a file or a stream."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def read_all(path: Path, content: bytes, **options: Any) -> list[pa.RecordBatch]:
    """The batches of a file of this content."""
    path.write_bytes(content)
    return list(tidegate.read(path, **options))


@pytest.mark.parametrize("stream", [False, True])
def test_offsets_outside_of_a_file(tmp_path: Path, stream: bool) -> None:
    """Offsets that lead out of the memory of a column are refused; columns nobody wants do no harm."""
    offsets = pa.py_buffer(np.array([0, 2_000_000_000, 2], np.int32))
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"ab")])
    content = ipc(pa.record_batch({"time": [1, 2], "text": text}), stream=stream)
    with pytest.raises(DataError, match="column 'text' is damaged: "):
        read_all(tmp_path / "a.arrow", content)
    if not stream:
        assert len(read_all(tmp_path / "a.arrow", content, columns=["time"])) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_text_of_a_file_that_is_no_utf8(tmp_path: Path, stream: bool) -> None:
    """Text of a file that is no UTF-8 is no damage."""
    content = ipc(pa.record_batch({"text": broken_text(pa.string())}), stream=stream)
    [batch] = read_all(tmp_path / "a.arrow", content)
    assert as_text(batch["text"]).to_pylist() == ["é", "\ufffd"]


@pytest.mark.parametrize("stream", [False, True])
def test_less_rows_than_none(tmp_path: Path, stream: bool) -> None:
    """A negative number of rows is refused; of nulls it means that nobody has counted them."""
    content = ipc(pa.record_batch([pa.Array.from_buffers(pa.null(), 12_345, [None])], ["v"]), stream=stream)
    rows, places = (12_345).to_bytes(8, "little"), []
    while (at := content.find(rows, places[-1] + 1 if places else 0)) >= 0:
        places.append(at)
    refused = 0
    for at in places:
        try:
            read_all(tmp_path / "a.arrow", content[:at] + b"\xff" * 8 + content[at + 8 :])
        except DataError:
            refused += 1
    assert refused


def interval_stream() -> bytes:
    """A stream with a column of intervals of days, which pyarrow does not write."""
    months = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    content = ipc(pa.record_batch({"time": [START], "v": months}), stream=True)
    for at in range(8, len(content)):
        if content[at] == 2:
            changed = content[:at] + b"\1" + content[at + 1 :]
            with suppress(pa.ArrowException, OSError, KeyError):
                if str(pa.ipc.open_stream(changed).schema.field("v").type) == "day_time_interval":
                    return changed
    raise AssertionError("no such stream")


def test_types_in_any_schema(tmp_path: Path) -> None:
    """Whatever a schema is changed to, reading ends in records or a DataError."""
    content = interval_stream()
    for at in range(8, 400):
        for value in (0, 1, 7, 22, 26, 255):
            with suppress(DataError):
                read_all(tmp_path / "a.arrow", content[:at] + bytes([value]) + content[at + 1 :])


def test_types_that_pyarrow_does_not_know(tmp_path: Path) -> None:
    """A column of a type that pyarrow has no arrays of is an error, in a file and in memory."""
    content = interval_stream()
    with pytest.raises(DataError, match="a column of type day_time_interval cannot be read"):
        read_all(tmp_path / "a.arrow", content)
    with pytest.raises(DataError, match="a column of type day_time_interval cannot be read"):
        rows_of(pa.ipc.open_stream(content))


@pytest.mark.parametrize("stream", [False, True])
def test_nulls_of_a_file_may_hide_anything(tmp_path: Path, stream: bool) -> None:
    """Where a struct is null its fields may be what they cannot be elsewhere; pyarrow makes such."""
    kind = pa.struct([("k", pa.dictionary(pa.int8(), pa.string())), ("text", pa.string())])
    batch = pa.record_batch({"s": pa.array([None, None], kind), "v": [1, 2]})
    [found] = read_all(tmp_path / "a.arrow", ipc(batch, stream=stream))
    assert found.to_pylist() == [{"s.k": None, "s.text": None, "v": v} for v in (1, 2)]


def test_rows_of_which_there_is_nothing(tmp_path: Path) -> None:
    """A batch of nulls of any length is refused; one that somebody may mean is read."""
    nothing = pa.record_batch([pa.Array.from_buffers(pa.null(), 2**31 - 1, [None])], ["v"])
    with pytest.raises(DataError, match="it says it has 2147483647 rows, of which there is nothing"):
        read_all(tmp_path / "a.arrow", ipc(nothing))
    for columns in (None, ["v"], ["w"]):
        batches = read_all(tmp_path / "a.arrow", ipc(nothing.slice(0, 1 << 20)), columns=columns)
        assert sum(map(len, batches)) == 1 << 20


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("encoded", [False, True])
def test_batches_that_unpack_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool, compression: str, encoded: bool
) -> None:
    """A batch or a dictionary that unpacks to far more than it is is refused before it is unpacked."""
    column = pa.array(["a" * (1 << 20)]).dictionary_encode() if encoded else pa.array(np.zeros(1 << 17))
    content = ipc(pa.record_batch({"v": column}), stream=stream, compression=compression)
    assert len(read_all(tmp_path / "a.arrow", content)) == 1
    monkeypatch.setattr(arrowframes, "MOST_BYTES", 1 << 19)
    with pytest.raises(DataError, match=r"unpacks to \d+ bytes; allowed are 0 MiB, or 64 times its size"):
        read_all(tmp_path / "a.arrow", content)


def test_a_stream_that_says_it_goes_on(tmp_path: Path) -> None:
    """A message that says it has two gigabytes takes no memory for what is not there."""
    content = bytearray(ipc(pa.record_batch({"v": [1, 2, 3]}), stream=True))
    content[4:8] = (2**31 - 1).to_bytes(4, "little")
    path = tmp_path / "a.arrows"

    def check(_: bytes) -> None:
        with pytest.raises(DataError, match="a message has 2147483647 bytes of metadata"):
            read_all(path, bytes(content))

    assert examine(check, b"", seconds=60.0, memory_bytes=64 << 20) is None


@pytest.mark.parametrize("write", [lambda batch: ipc(batch), lambda batch: parquet(batch)])
def test_packed_files_that_unpack_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[pa.RecordBatch], bytes]
) -> None:
    """A packed file of a format that is read from its end does not fill the disk."""
    content = gzip.compress(write(pa.record_batch({"v": np.zeros(1 << 17)})))
    assert sum(map(len, read_all(tmp_path / "a.gz", content))) == 1 << 17
    monkeypatch.setattr(bytesource, "MOST_SPOOLED", 1 << 10)
    monkeypatch.setattr(bytesource, "MOST_RATIO", 1)
    with pytest.raises(DataError, match=r"a.gz: unpacks to more than \d+ MiB, 1 times its size"):
        read_all(tmp_path / "a.gz", content)


def parquet(batch: pa.RecordBatch) -> bytes:
    """A batch as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), sink, compression="zstd", use_dictionary=False)
    return sink.getvalue()


def test_a_row_group_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of Parquet that unpacks to far more than it is is refused."""
    content = parquet(pa.record_batch({"v": np.zeros(1 << 17)}))
    assert sum(map(len, read_all(tmp_path / "a.parquet", content))) == 1 << 17
    monkeypatch.setattr(parquetguard, "MOST_BYTES", 1 << 19)
    with pytest.raises(DataError, match=r"bytes of column 'v' unpack to \d+ bytes"):
        read_all(tmp_path / "a.parquet", content)


# JSON and CSV


def test_records_with_a_field_each_of_their_own() -> None:
    """Records that have no field in common take memory for their values, not for all that they lack."""
    records = [{f"field{number}": number} for number in range(3000)]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    for data in (lines, records, b"[" + lines.replace(b"\n", b",")[:-1] + b"]"):
        batches = list(to_batches(data))
        present = [{k: v for k, v in row.items() if v is not None} for b in batches for row in b.to_pylist()]
        assert present == records
        assert max(batch.num_rows * batch.num_columns for batch in batches) <= 1 << 16


NAMES = st.text('abc"\\: é', max_size=20)


@given(
    st.lists(st.dictionaries(NAMES, st.text('ab":,\\', max_size=9), max_size=4), max_size=20),
    st.integers(0, 9),
)
def test_names_are_counted(records: list[dict[str, str]], most: int) -> None:
    """As many names are found as there are, however they are written, and no more than one too many."""
    expected = len({name for record in records for name in record})
    for separators in ((",", ":"), (", ", " \t: ")):
        lines = "".join(json.dumps(record, separators=separators) + "\n" for record in records).encode()
        assert names_of(lines, 1000) == expected
        assert names_of(lines, most) == min(expected, most + 1)


@given(st.binary(max_size=60))
def test_names_of_any_bytes(data: bytes) -> None:
    """Text that is no JSON is gone through to its end and no further."""
    assert 0 <= names_of(data + b'"', 10) <= 11
    slots = np.zeros(16, np.uint64)
    text = np.frombuffer(b'"a":"' + data, np.uint8)
    assert count_names(text, 9, slots.copy()) == count_names.interpret(text, 9, slots)


def csv_rows(text: bytes) -> tuple[list[dict[str, Any]], int]:
    """The rows of a text, and how many were left out."""
    tally = Tally()
    batches = read_csv(io.BytesIO(text).read, (), tally)
    return [row for batch in batches for row in batch.to_pylist()], tally.malformed


def test_a_stray_quote_in_a_header() -> None:
    """A header whose quote is not closed is refused at once, however many lines follow."""
    with pytest.raises(DataError, match="line 1: field larger than field limit"):
        csv_rows(b'a,"b\n' + b"1\n" * 2_000_000)
    assert csv_rows(b'a,"b\nc"\n1,2\n') == ([{"a": 1, "b\nc": 2}], 0)


def test_a_quote_that_is_never_closed() -> None:
    """After a quote that is not closed rows are read all the same, and soon."""
    rows, _ = csv_rows(b"a\n" + b'"x\n' + b"1\n" * 2_000_000)
    assert rows


@pytest.mark.parametrize(
    ("header", "reason"),
    [(b"," * 100_000, "more than 100000 columns"), (b"a" + b",b" * 50_000, "two columns are named 'b'")],
)
def test_headers_with_very_many_columns(header: bytes, reason: str) -> None:
    """Very many columns are refused at once."""
    with pytest.raises(DataError, match=f"line 1: {reason}"):
        csv_rows(header + b"\n1\n")


def test_wrong_rows_that_are_no_utf8() -> None:
    """A row with a wrong number of fields is left out and counted, also when it is no UTF-8."""

    def check(_: bytes) -> None:
        assert csv_rows(b"a,b\n\xff\n1,\xff\n\xff,\xff,3\n4,5\n") == (
            [{"a": 1, "b": "\ufffd"}, {"a": 4, "b": "5"}],
            2,
        )

    assert examine(check, b"", seconds=60.0) is None


def test_blocks_of_json_do_not_depend_on_names() -> None:
    """Text that is read in pieces, because its names are many, gives every record once."""
    lines = b"".join(b'{"a":{"n%d":%d}}\n' % (k % 700, k) for k in range(3000))
    for block in (300, 5000, 1 << 20):
        batches = list(read_json(io.BytesIO(lines).read, (), Tally(), block_bytes=block))
        rows = [row for batch in batches for row in flat_batch(batch).to_pylist()]
        assert [max(v for v in row.values() if v is not None) for row in rows] == list(range(3000))


# Times, configurations, stored files


@pytest.mark.parametrize("value", [(2**60, "D"), (-(2**62), "h"), (2**62, "Y"), (2**40, "as"), ("NaT", "s")])
def test_times_of_numpy_that_overflow(value: tuple[Any, str]) -> None:
    """A datetime64 beyond what seconds can say is no time, and not the year 1970."""
    with pytest.raises(TimeError) if value[1] != "as" else pytest.raises((TimeError, AssertionError)):
        assert parse_request_time(np.datetime64(*value), "start") != 0


def test_a_configuration_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is far too long for a configuration is not read to its end."""
    path = tmp_path / "job.json"
    path.write_bytes(b" " * 200 + b"{}")
    monkeypatch.setattr(source, "_LONGEST", 100)
    with pytest.raises(ConfigError, match=r"job\.json: longer than 0 MiB, which no job configuration is"):
        JobConfig.parse(path)


def test_a_snapshot_whose_checksum_fits_its_damage(tmp_path: Path) -> None:
    """Damage that the checksum does not show is a SnapshotError, wherever it is."""
    path = tmp_path / "1.arrow"
    snapshotfile.write(path, stored.STATE, stored.INFO)
    content, refused = path.read_bytes(), 0
    for at in range(8, len(content), 7):
        damaged = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        path.write_bytes(stored.resealed(damaged))
        try:
            snapshotfile.read(path)
        except SnapshotError:
            refused += 1
    assert refused > 50


def test_a_log_whose_checksums_fit_its_damage() -> None:
    """Damage that the checksums do not show is a LogError, or an entry that can be used."""
    content, refused = stored.log_bytes(), 0
    for at in range(stored.START, len(content), 7):
        damaged = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        try:
            stored.check_log(b"\1" + damaged)
        except LogError:
            refused += 1
    assert refused > 50
