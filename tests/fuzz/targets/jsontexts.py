"""JSON text that is posted: every record is accounted for, and read as the standard library reads it."""

from __future__ import annotations

import gzip
import io
import json
from functools import cache
from typing import Any

import pyarrow as pa
from tests.fuzz.choices import Choices
from tests.fuzz.targets import Target

import tidegate
from tidegate.config import JobConfig
from tidegate.flatbatch import flat_batch
from tidegate.flatrecord import flat_record
from tidegate.ndjson import Tally, read_json
from tidegate.valuetext import text_of

KEYS = ("k", "a.b", "port")


@cache
def config(number: int) -> JobConfig:
    """Jobs that read their fields as keys, numbers, texts, messages and times of a pattern."""
    analysis: list[dict[str, Any]] = [
        {
            "detectors": [{"function": "mean", "field_name": "v", "by_field_name": "k"}],
            "influencers": ["port"],
        },
        {"detectors": [{"function": "distinct_count", "field_name": "k"}], "summary_count_field_name": "v"},
        {
            "detectors": [{"function": "count", "by_field_name": "mlcategory"}],
            "categorization_field_name": "k",
        },
        {"detectors": [{"function": "lat_long", "field_name": "k"}], "latency": "1h"},
    ]
    times = ({}, {"time_format": "epoch"}, {"time_format": "yyyy-MM-dd HH:mm:ss"})[number // 4 % 3]
    return JobConfig.parse({"analysis_config": analysis[number % 4], "data_description": times})


def check_ndjson(data: bytes) -> None:
    """Posted to a job or read in blocks of any size; NDJSON that is valid gives its very records."""
    choices = Choices(data)
    way, small = choices.below(16), choices.below(256)
    text = choices.rest()
    if way < 12:
        account(tidegate.Job(config(way), threads=1), gzip.compress(text) if small == 7 else text)
        return
    keys = () if way % 2 else KEYS
    tally = Tally()
    batches = read_json(io.BytesIO(text).read, keys, tally, block_bytes=1 + small * small)
    found = [row for batch in batches for row in rows_of(batch)]
    expected = records_of(text)
    if expected is not None:
        assert tally.malformed == 0, f"{tally.malformed} malformed"
        assert [plain(row) for row in found] == [plain(row) for row in expected]


def account(job: tidegate.Job, data: Any) -> None:
    """Posts data; every record must be in one of the counts, and the job must go on."""
    try:
        job.post(data)
    finally:
        counts = job.data_counts
        parts = (
            counts.processed_record_count,
            counts.out_of_order_timestamp_count,
            counts.invalid_date_count,
        )
        assert counts.input_record_count == sum(parts)
        assert min(parts) >= 0
        assert 0 <= counts.waiting_record_count + counts.ignored_record_count <= counts.processed_record_count
        assert job.state == "opened", f"the job is {job.state}"
        before = counts.input_record_count
        assert job.post([{"time": 1_700_000_000_000, "k": "x"}] * 3).input_record_count == 3
        assert job.data_counts.input_record_count == before + 3


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The records of a batch, which is whole, without what is null."""
    batch.validate(full=True)
    flat = flat_batch(batch)
    columns = {name: texts(column) for name, column in zip(flat.schema.names, flat.columns, strict=True)}
    return [
        {name: column[row] for name, column in columns.items() if column[row] is not None}
        for row in range(len(flat))
    ]


def texts(column: pa.Array) -> list[Any]:
    """The values of a column; of times their number, as Python has no nanoseconds."""
    if pa.types.is_timestamp(column.type):
        return [None if value is None else ("time",) for value in column.cast(pa.int64()).to_pylist()]
    return list(column.to_pylist())


def records_of(text: bytes) -> list[dict[str, Any]] | None:
    """The records of valid NDJSON by the standard library; None for a text that is none."""
    try:
        lines = [line for line in text.decode().split("\n") if line.strip(" \t\r")]
        records = [json.loads(line, object_pairs_hook=once, parse_constant=refuse) for line in lines]
        if not all(isinstance(record, dict) for record in records):
            return None
        json.dumps(records, ensure_ascii=False).encode()  # half a surrogate is no text
        flat = [flat_record(record) for record in records]
    except (ValueError, RecursionError):
        return None
    return [{name: value for name, value in record.items() if value is not None} for record in flat]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without a name that comes twice: of such, and of dotted doubles, nothing is said."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or any("." in name for name in names):
        raise ValueError("a name comes twice")
    return dict(pairs)


def refuse(_: str) -> None:
    """Refuses NaN and Infinity, which are no JSON."""
    raise ValueError("no JSON")


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A record without the types that depend on the records beside it."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if value == ("time",):
        return value
    text = text_of(value) or ""
    if len(text) > 9 and text[:4].isdigit() and text[4] == "-":
        return ("time",)  # Arrow may have read it as one; the target `times` looks at those
    parts = [_number(part) for part in text.split(",")]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number == number else text


LINES = (
    b'{"time":1700000000000,"k":"a","v":1.5,"port":80,"up":true}\n',
    b'{"time":1700000060000,"k":"b","v":2,"port":443,"up":false}\n',
    b'{"time":"2023-11-14 22:15:00","k":"51.5,-0.1","v":null,"a":{"b":"x","c":[1,2.5,"y"]}}\n',
    b'{"time":1700000120.5,"k":"\\u00e9\\n","v":-0,"port":1e3,"tags":["a",null],"rows":[{"x":1}]}\r\n',
)


def ndjson_seeds() -> list[bytes]:
    """Plain lines, odd ones, and other shapes of JSON, for every way of reading."""
    shapes = (
        LINES[0] * 3 + LINES[1],
        b"".join(LINES),
        b"[" + b",".join(line.strip() for line in LINES) + b"]",
        LINES[0] + b'{"time":1,\n "k":"x"}' + LINES[1],
        b"\xef\xbb\xbf" + LINES[2],
        b'{"a":' * 300 + b"1" + b"}" * 300,
        LINES[0] + b"null\n" + LINES[1] + b"{]\n\xff\n",
    )
    ways = [
        bytes([way, small])
        for way, small in ((0, 0), (1, 7), (2, 0), (7, 0), (8, 0), (12, 7), (13, 255), (15, 4))
    ]
    return [way + shape for way in ways for shape in shapes]


_WORDS = rb""" " { } [ ] : , null true false NaN - -0 "time": "k": "v": "port": "a":{"b":
    1700000000000 "2018-01-01" 1e999 1.0 99999999999999999999 \u \ud83d \ """
_TOKENS = (*_WORDS.split(), b"\n", b"\r\n", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", *LINES)
TARGETS = {"ndjson": Target(check_ndjson, ndjson_seeds, _TOKENS)}
