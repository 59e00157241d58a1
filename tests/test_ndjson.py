"""JSON records: the fast and the exact way agree, malformed records are skipped and counted."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import DataError
from tidegate.flatbatch import flat_batch
from tidegate.flatrecord import NumberText, column_of, flat_record, rows_to_batch
from tidegate.jsonarrow import one_a_line, read_fast
from tidegate.ndjson import MALFORMED, Tally, read_exactly, read_json
from tidegate.valuetext import text_of

NAMES = st.sampled_from(["time", "k", "v", "a", "b", "a.b", "é"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["00123", "x,y", '"', "\\", "{", "}", "],[", "\n", "true", "1.50"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=4,
)
RECORDS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=8)
# Records of one shape, which the fast way mostly takes.
SHAPED = st.lists(
    st.fixed_dictionaries(
        {"time": st.integers(0, 2**40), "k": st.text(max_size=4)},
        optional={
            "port": st.integers(-(2**63), 2**63 - 1),
            "up": st.booleans(),
            "v": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            "a": st.fixed_dictionaries({}, optional={"b": st.text(max_size=3), "c": st.booleans()}),
            "tags": st.lists(st.text(max_size=3), max_size=3),
            "codes": st.lists(st.integers(0, 9), max_size=3),
        },
    ),
    min_size=1,
    max_size=8,
)


def read_text(data: bytes, keys: tuple[str, ...] = (), block_bytes: int = 1 << 20) -> tuple[list[Any], Tally]:
    """All records of a text and the tally."""
    tally = Tally()
    batches = read_json(io.BytesIO(data).read, keys, tally, block_bytes=block_bytes)
    return [row for batch in batches for row in present(batch)], tally


def present(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The records of a batch without what is null."""
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in flat_batch(batch).to_pylist()
    ]


def loose(row: dict[str, Any]) -> dict[str, Any]:
    """A record without the types that depend on the other records of a block."""

    def plain(value: Any) -> Any:
        text = text_of(value)
        try:
            number = float(text or "")
        except ValueError:
            return text
        return number if number == number else text

    return {name: plain(value) for name, value in row.items()}


# Keys whose numbers are sometimes integers, sometimes not.
NUMBER_TEXTS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["-0", "0", "1.0", "1e3", "-0.0", "true", "null", '"5"', '"2018-01-01"', "[5]", "{}"]),
)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(NUMBER_TEXTS, st.integers(0, 99)), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_numeric_keys_keep_their_text(numbers: list[tuple[str, int]], nested: bool, alike: bool) -> None:
    """What the fast way takes of keys that are numbers has the text that was written."""
    key, form = ("a.k", '{"a":{"k": %s },"v":%d}\n') if nested else ("k", '{"k": %s,"v":%d}\n')
    chosen = [(numbers[0][0], v) for _, v in numbers] if alike else numbers
    block = "".join(form % pair for pair in chosen).encode()
    exact = rows_to_batch(read_exactly(block, True, Tally())[0], (key,))
    table, _ = read_fast(block, True, False, (key,), None)
    if table is not None:
        fast = [row for batch in table.to_batches() for row in present(batch)]
        assert [text_of(row.get(key)) for row in fast] == [text_of(row.get(key)) for row in present(exact)]
    else:
        assert not (alike and numbers[0][0] in ("0", "true", "null"))


@settings(max_examples=300)
@given(st.one_of(SHAPED, RECORDS), st.sampled_from([(), ("k",), ("k", "a.b", "port", "up"), ("a", "v")]))
def test_fast_and_exact_agree(records: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    """What the fast way reads is what the exact way reads."""
    block = "".join(json.dumps(record) + "\n" for record in records).encode()
    rows, consumed = read_exactly(block, True, Tally())
    assert consumed == len(block)
    exact = rows_to_batch(rows, keys)
    table, _ = read_fast(block, True, False, keys, None)
    if table is not None:
        fast = [row for batch in table.to_batches() for row in present(batch)]
        for row in fast:
            row.update({key: text_of(row[key]) for key in keys if key in row})
        for row in (wanted := present(exact)):
            row.update({key: text_of(row[key]) for key in keys if key in row})
        assert fast == wanted


@given(SHAPED)
def test_plain_records_are_read_fast(records: list[dict[str, Any]]) -> None:
    """Records whose columns have one type never need the exact way."""
    block = "".join(json.dumps(record) + "\n" for record in records).encode()
    for keys in ("k", "a.b"), ("k", "port", "up"):
        if all(isinstance(record.get("port", 0), int) for record in records):
            assert read_fast(block, True, False, keys, None)[0] is not None


@settings(max_examples=200)
@given(
    st.one_of(SHAPED, RECORDS),
    st.sampled_from(["lines", "array", "pretty array", "pretty", "joined"]),
    st.integers(1, 200),
)
def test_form_and_blocks_change_nothing(records: list[dict[str, Any]], form: str, block_bytes: int) -> None:
    """However records are laid out and cut into blocks, each is delivered once."""
    text = {
        "lines": lambda: "\n".join(map(json.dumps, records)),
        "array": lambda: json.dumps(records, separators=(",", ":")),
        "pretty array": lambda: json.dumps(records, indent=2, ensure_ascii=False),
        "pretty": lambda: "\n".join(json.dumps(record, indent=1) for record in records),
        "joined": lambda: "".join(map(json.dumps, records)),
    }[form]()
    data = text.encode("utf-8", "surrogatepass")
    found, tally = read_text(data, ("k", "v", "a", "b", "a.b", "time", "é"), block_bytes)
    rows, _ = read_exactly(json.dumps(records).encode(), True, Tally())
    wanted = present(rows_to_batch(rows, ("k", "v", "a", "b", "a.b", "time", "é")))
    assert [loose(row) for row in found] == [loose(row) for row in wanted]
    assert tally.malformed == 0


@pytest.mark.parametrize(
    ("data", "wanted", "malformed"),
    [
        (b"", [], 0),
        (b" \n\n", [], 0),
        (b"[]", [], 0),
        (b"{}\n{}", [{}, {}], 0),
        (b'{"a":1}{"a":2} {"a":3},{"a":4}', [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}], 0),
        (b'\xef\xbb\xbf{"a":1}\r\n{"a":2}\r\n', [{"a": 1}, {"a": 2}], 0),
        (b'[{"a":1},{"a":2}]\n[{"a":3}]', [{"a": 1}, {"a": 2}, {"a": 3}], 0),
        (b'{"a":1}\n{"a":}\n{"a":3}\n', [{"a": 1}, {"a": 3}], 1),
        (b'{"a":1}\n{"a":2\n{"a":3}\n', [{"a": 1}, {"a": 3}], 1),
        (b'{"a":1}\n{"a":"x}\n{"a":3}\n', [{"a": 1}, {"a": 3}], 1),
        (b'{"a":1}\n{"a":[1,\n{"a":2}\n{"a":3}\n', [{"a": 1}, {"a": 3}], 1),
        (b'[{"a":1},{"a":oops,"b":{"c":1}},{"a":3}]', [{"a": 1}, {"a": 3}], 1),
        (b'[{"a":1,\n{"a":2},\n{"a":3}]', [{"a": 2}, {"a": 3}], 1),
        (b'5\n"x{"\nnull\n{"a":1}\n', [{"a": 1}], 3),
        (b'oops {"a":1}}\n{"a":2}', [{"a": 1}, {"a": 2}], 2),
        (b'{"a":1}\n{"a":', [{"a": 1}], 1),
        (b'{"a":1} {"a', [{"a": 1}], 1),
        (b'{"a":1,"a":2}', [{"a": 2}], 0),
        (b'{"a":"\xff"}\n{"a":"x"}', [{"a": "?"}, {"a": "x"}], 0),
        (b'{"a":"\\ud800"}', [{"a": "?"}], 0),
        (b'{"a":1}\n{"a":"x"}\n{"a":1.50}\n', [{"a": "1"}, {"a": "x"}, {"a": "1.50"}], 0),
        (b'{"a":9223372036854775808}\n{"a":"x"}\n', [{"a": "9223372036854775808"}, {"a": "x"}], 0),
        (b'{"a":[1.50,"x",true,null]}', [{"a": "1.50,x,true"}], 0),
        (b'{"a":[1.50,2]}', [{"a": "1.50,2"}], 0),
        (b'{"a":["2018-01-01","2018-01-02"]}', [{"a": "2018-01-01,2018-01-02"}], 0),
        (b'{"a":[[1],{"b":2}],"c":1}', [{"c": 1}], 0),
        (b'{"a":' * 50_000, [], 1),
        (b'{"a":[' * 50_000 + b'"', [], 1),
        (b'{"a":' * 200 + b"1" + b"}" * 200, [{".".join("a" * 200): 1}], 0),
    ],
)
def test_texts(data: bytes, wanted: list[dict[str, Any]], malformed: int) -> None:
    """Odd and malformed texts give the records that can be read, whatever the block size."""
    for block_bytes in (1 << 20, 7) if len(data) < 100 else (1 << 20,):
        found, tally = read_text(data, block_bytes=block_bytes)
        if block_bytes == 7:
            assert len(found) == len(wanted)
        else:
            assert found == wanted
        assert tally.malformed == malformed


def test_keys_stay_as_they_were_written() -> None:
    """A key is the exact text: no times, no numbers, no padding lost; nested keys too."""
    data = b"""{"k":"2018-01-01","n":{"k":"00123"}}
    {"k":1.50,"n":{"k":true}}
    {"k":"1.50","n.k":"x"}
    {"k":null}
    """
    assert read_text(data, ("k", "n.k"))[0] == [
        {"k": "2018-01-01", "n.k": "00123"},
        {"k": "1.50", "n.k": "true"},
        {"k": "1.50", "n.k": "x"},
        {},
    ]
    assert read_text(data.splitlines()[0], ("k", "n.k"))[0] == [{"k": "2018-01-01", "n.k": "00123"}]


def test_a_hundred_malformed_records_fail() -> None:
    """99 malformed records are counted; the hundredth fails, and what came before was yielded."""
    good = b'{"a":1}\n'
    assert read_text(good + b'{"a":}\n' * 99)[1].malformed == 99
    tally = Tally()
    batches = read_json(io.BytesIO(good * 3 + b'{"a":}\n' * 100 + good).read, (), tally)
    assert next(batches).num_rows == 3
    with pytest.raises(DataError, match=f"^{MALFORMED}$"):
        next(batches)
    assert tally.malformed == 100


@pytest.mark.parametrize("form", ["lines", "array", "pretty"])
@pytest.mark.parametrize("odd", ['"n/a"', "oops", "1.5"])
def test_an_odd_record_slows_only_its_piece(monkeypatch: pytest.MonkeyPatch, form: str, odd: str) -> None:
    """One odd or malformed record sends a small piece to the exact way, the rest stays with the fast one."""
    texts = [f'{{\n"k":{odd if n == 2000 else n},\n"v":{n}}}' for n in range(4000)]
    text = {"array": "[" + ",".join(texts) + "]", "pretty": "\n".join(texts)}.get(form)
    data = (text or "\n".join(t.replace("\n", "") for t in texts)).encode()
    exact: list[int] = []

    def counted(block: bytes, final: bool, tally: Tally) -> Any:
        exact.append(len(block))
        return read_exactly(block, final, tally)

    monkeypatch.setattr("tidegate.ndjson.read_exactly", counted)
    monkeypatch.setattr("tidegate.ndjson.PIECE_BYTES", (10_000, 1000))
    monkeypatch.setattr("tidegate.jsonarrow.HEAD_BYTES", 1000)
    found, tally = read_text(data, ("k",))
    bad = odd == "oops"
    assert tally.malformed == bad
    assert [row["v"] for row in found] == [n for n in range(4000) if not (bad and n == 2000)]
    assert [text_of(row["k"]) for row in found[1998:2003]] == [
        "1998", "1999", *([] if bad else [odd.strip('"')]), "2001", "2002", *(["2003"] if bad else [])
    ]  # fmt: skip
    assert sum(exact) < len(data) / 10


def test_endless_record_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record longer than the limit does not fill the memory."""
    monkeypatch.setattr("tidegate.ndjson.LONGEST_RECORD", 1000)
    with pytest.raises(DataError, match="longer"):
        read_text(b'{"a":"' + b"x" * 5000, block_bytes=100)


def test_unwanted_columns_do_not_need_the_exact_way() -> None:
    """Numbers in an array are read again only where the array is wanted."""
    block = b'{"v":1,"embedding":[0.1,0.2]}\n'
    assert read_fast(block, True, False, (), None)[0] is None
    assert read_fast(block, True, False, (), ("v",))[0] is not None


def test_arrays_are_read_fast() -> None:
    """An array, and records over many lines, go through the fast way."""
    records = [{"a": '},{"\\', "b": [1, {"c": 2}]}, {"a": "x", "b": []}]
    for text in (
        json.dumps(records),
        json.dumps(records, indent=2),
        "[\n" + ",\n".join(map(json.dumps, records)),
    ):
        lines, _ = one_a_line(text.encode())
        assert [json.loads(line) for line in lines.splitlines() if line.strip()] == records


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1, None], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([2**70, 1], pa.float64()),
        ([NumberText("1"), None], pa.int64()),
        ([NumberText("1"), NumberText("2e1")], pa.float64()),
        ([NumberText("9" * 5000)], pa.float64()),
        ([NumberText("NaN")], pa.float64()),
        ([True, None], pa.bool_()),
        ([True, 1], pa.string()),
        (["a", 1], pa.string()),
        ([None], pa.null()),
    ],
)
def test_columns_have_the_type_that_holds_all(values: list[Any], wanted: pa.DataType) -> None:
    """A column has the narrowest of int64, float64, bool, text that holds its values."""
    assert column_of(values).type == wanted


def test_scalars_as_text() -> None:
    """Booleans are written as in JSON, bytes decoded."""
    assert [text_of(v) for v in (True, np.False_, None, b"x\xff", 1.5, "y")] == [
        "true", "false", None, "x\ufffd", "1.5", "y"
    ]  # fmt: skip


def test_flat_records_keep_names_apart() -> None:
    """Names of nested objects are joined with dots, whatever their type was."""
    assert flat_record({"a": {1: {"b": 2}}, "c": (), "d": [True]}) == {"a.1.b": 2, "c": None, "d": "true"}
