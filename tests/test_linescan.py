"""Lines of records from the bytes: what is taken is taken exactly, the rest is handed back in order."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import ndjson
from tidegate.flatbatch import flat_batch
from tidegate.flatrecord import rows_to_batch
from tidegate.jsonarrow import read_fast
from tidegate.linescan import PADDING, LineScanner, _powers
from tidegate.ndjson import Tally, read_exactly, read_json
from tidegate.timefield import to_epoch_ms
from tidegate.valuetext import text_of
from tidegate_kernels import scan as kernels
from tidegate_kernels.numbertext import FRACTION, ODD, WHOLE, read_number

HEAD = b"".join(
    b'{"time":%d,"k":"a%d","v":%s,"up":true,"note":"x","port":%d}\n' % (k, k % 3, v, k)
    for k, v in enumerate((b"1", b"2.5", b"null", b"-3e2"))
)
KEYS = ("k", "port")

FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.4f}"),
)
NUMBERS = st.one_of(
    FLOATS,
    st.integers(-(2**70), 2**70).map(str),
    st.integers(0, 10**13).map(str),
    st.sampled_from(
        [
            "0",
            "-0",
            "-0.0",
            "0e5",
            "1e400",
            "1E2",
            "1e+2",
            "123456789012345678901",
            "0.1e-3",
            "5e-324",
            "1e22",
            "1e23",
        ]
    ),
)
TEXTS = st.one_of(
    st.text(max_size=12).map(json.dumps),
    st.text(max_size=12).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        [f'"host-{k}"' for k in range(5)] + ['""', '"é"', '"\U0001f600 ok"', '"exactly8"', '"a\\/b"']
    ),
)
ODD_VALUES = st.sampled_from(
    [
        '"x"',
        "1",
        "true",
        "null",
        "[1,2]",
        '{"b":1}',
        "[]",
        "NaN",
        "01",
        "+1",
        "1.",
        "nul",
        '"\\u00e9"',
        "-",
        "",
    ]
)
BLANK = st.sampled_from(["", "", "", " ", "\t", "  "])
FIELDS = {
    "time": NUMBERS,
    "k": TEXTS,
    "v": NUMBERS,
    "up": st.sampled_from(["true", "false"]),
    "note": TEXTS,
    "port": NUMBERS,
}


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line with a record: mostly plain, its fields in any order, some missing, some odd."""
    names = draw(
        st.lists(st.sampled_from([*FIELDS, *FIELDS, "new"]), max_size=7, unique=draw(st.integers(0, 5)) > 0)
    )
    parts = []
    for name in names:
        kind = draw(st.integers(0, 19))
        value = draw(ODD_VALUES if kind == 0 else st.just("null") if kind == 1 else FIELDS.get(name, TEXTS))
        parts.append(f'{draw(BLANK)}"{name}"{draw(BLANK)}:{draw(BLANK)}{value}{draw(BLANK)}')
    return draw(BLANK) + "{" + ",".join(parts) + "}" + draw(st.sampled_from(["", "", "", " ", "\r"]))


LINES = st.one_of(
    lines(),
    lines(),
    lines(),
    lines(),
    st.sampled_from(["", " ", "{}", "oops}", "[]", '{"time":1,}', '{"time":1}{"v":2}']),
)


def values_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The records of a batch without null: the text of keys, numbers as double, all else as it is."""

    def plain(name: str, value: Any) -> Any:
        if name in KEYS:
            return text_of(value)
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    rows = flat_batch(batch).to_pylist()
    return [{name: plain(name, v) for name, v in row.items() if v is not None} for row in rows]


def alike(found: Any, wanted: Any) -> bool:
    """Whether values are the same; an exact number may have come as its text from a batch of mixed kinds."""
    if type(found) is type(wanted):
        return bool(found == wanted) or str(found) == str(wanted)  # NaN
    if text_of(found) == text_of(wanted) or (isinstance(wanted, str) and found == _number(wanted)):
        return True
    return isinstance(found, str) and isinstance(wanted, float) and _number(found) == wanted


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def exactly(text: bytes) -> tuple[list[dict[str, Any]], int]:
    """The twin: every record by itself by the standard library, each in a batch of its own."""
    tally = Tally()
    rows, _ = read_exactly(text, True, tally)
    return [row for record in rows for row in values_of(rows_to_batch([record], KEYS))], tally.malformed


@settings(max_examples=300)
@given(
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(0, 3),
    st.integers(150, 600),
)
def test_scanned_text_is_read_exactly(
    rows: list[str], newline: str, closed: bool, odd: int, block: int
) -> None:
    """Whatever is in the lines, the records, their order and the malformed ones are those of the twin."""
    text = (
        HEAD
        + newline.join(rows).encode("utf-8", "surrogatepass")
        + (newline.encode() if closed and rows else b"")
    )
    wanted, malformed = exactly(text)
    tally = Tally()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ndjson, "HEAD_BYTES", len(HEAD))
        patch.setattr(ndjson, "MOST_ODD_LINES", 100 if odd else 1)
        batches = list(read_json(io.BytesIO(text).read, KEYS, tally, block_bytes=max(block, len(HEAD))))
    found = [row for batch in batches for row in values_of(batch)]
    assert tally.malformed == malformed
    assert len(found) == len(wanted)
    for have, want in zip(found, wanted, strict=True):
        assert have.keys() == want.keys()
        assert all(alike(have[name], want[name]) for name in want), (have, want)


def scanner(
    head: bytes = HEAD, keys: tuple[str, ...] = KEYS, columns: tuple[str, ...] | None = None
) -> LineScanner:
    table, _ = read_fast(head, True, False, keys, None)
    assert table is not None
    found = LineScanner.learn(table, keys, columns)
    assert found is not None
    return found


def scan_all(reader: LineScanner, text: bytes) -> pa.RecordBatch:
    """The batch of a text that has nothing odd."""
    data = np.frombuffer(text + PADDING, np.uint8)
    end, _ = reader.scan(data, 0, len(text))
    assert end == len(text)
    return reader.batch(data)


PLAIN = b"".join(
    b'{"time":%d,"k":"host-%d","v":%r,"note":"\xc3\xa9%d","up":%s,"port":null}\n'
    % (k, k * 7 % 3000, k / 7, k, b"true" if k % 3 else b"false")
    for k in range(5000)
)


def test_plain_lines_are_scanned_whole() -> None:
    """Plain records are never handed back; columns have the types that Arrow's parser gives them."""
    batch = scan_all(scanner(), PLAIN)
    assert batch.to_pylist() == [json.loads(line) for line in PLAIN.splitlines()]
    coded = pa.dictionary(pa.int32(), pa.string())
    assert {f.name: f.type for f in batch.schema} == {
        "time": pa.int64(), "k": coded, "v": pa.float64(), "up": pa.bool_(), "note": coded, "port": pa.int64()
    }  # fmt: skip


def test_dictionaries_grow_from_batch_to_batch() -> None:
    """A dictionary begins like that of the batch before, and is the same while nothing is new."""
    reader = scanner()
    half = PLAIN.index(b"\n", len(PLAIN) // 2) + 1
    first, second = scan_all(reader, PLAIN[:half]), scan_all(reader, PLAIN[half:])
    again = scan_all(reader, PLAIN[half:])
    old, new = first["k"].dictionary, second["k"].dictionary
    assert len(new) > len(old)
    assert new[: len(old)].equals(old)
    assert again["k"].dictionary.buffers()[2].address == new.buffers()[2].address
    assert first.to_pylist() + second.to_pylist() == [json.loads(line) for line in PLAIN.splitlines()]


def test_texts_that_do_not_repeat_become_plain_columns() -> None:
    """A field of ever new strings is not looked up for ever."""
    reader = scanner(b'{"id":"a","k":"b"}\n', ())
    text = b"".join(b'{"id":"%d","k":"b"}\n' % k for k in range(60_000))
    for more in range(3):
        batch = scan_all(reader, text.replace(b'"id":"', b'"id":"%d-' % more))
        assert batch["id"].to_pylist() == [f"{more}-{k}" for k in range(60_000)]
    assert batch.schema.field("id").type == pa.string()
    assert batch.schema.field("k").type == pa.dictionary(pa.int32(), pa.string())


def test_a_full_batch_ends_in_time() -> None:
    """A text of more rows than a batch has room for comes as several batches."""
    text = b'{"a":1}\n' * (2 * (1 << 16) + 5)
    batches = list(read_json(io.BytesIO(text).read, (), Tally()))
    assert sum(batch.num_rows for batch in batches) == 2 * (1 << 16) + 5
    assert max(batch.num_rows for batch in batches) <= 1 << 16


def test_unwanted_fields_are_checked_and_left_out() -> None:
    """Of what is not wanted only the form is looked at, escapes too; no column comes of it."""
    reader = scanner(columns=("v",))
    text = b'{"note":"a\\n\\u00e9\\"","v":1,"k":5,"up":"x"}\n{"v":2}\n'
    assert scan_all(reader, text).to_pylist() == [{"v": 1}, {"v": 2}]
    for bad in (
        b'{"note":"\\x","v":1}\n',
        b'{"note":"\\u00g0","v":1}\n',
        b'{"note":[1],"v":1}\n',
        b'{"note":"a\x01"}\n',
    ):
        assert reader.scan(np.frombuffer(bad + PADDING, np.uint8), 0, len(bad)) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "\xe9", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x80\x80\x80",
        "\xc3", "\xe2\x82", "\x80", "\xff",
    ],
)  # fmt: skip
def test_what_is_no_utf8_is_handed_back(text: str) -> None:
    """Overlong forms, halves of surrogate pairs, cut characters and the like are left to the exact way."""
    for before in range(9):
        line = b'{"k":"' + b"x" * before + text.encode("latin-1") + b'"}\n'
        assert scanner().scan(np.frombuffer(line + PADDING, np.uint8), 0, len(line)) == (0, 0)
    valid = '{"k":"\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"}\n'.encode()
    assert scan_all(scanner(), valid)["k"].to_pylist() == [json.loads(valid)["k"]]


def test_times_as_text_mean_the_same() -> None:
    """ISO-8601 times are scanned as text; they are the times that Arrow's parser makes of them."""
    stamps = [
        f"2024-02-{1 + k % 28:02d}T{k % 24:02d}:{k % 60:02d}:07{('Z', '.5Z', '', '+01:00')[k % 4]}"
        for k in range(900)
    ]
    text = "".join(f'{{"at":"{stamp}","v":{k}}}\n' for k, stamp in enumerate(stamps)).encode()
    plain = text.replace(b'"at":"', b'"at":"1999-01-01T00:00:00Z","x":"')
    assert len(plain) > len(text)
    tally = Tally()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ndjson, "HEAD_BYTES", 1000)
        batches = list(read_json(io.BytesIO(text).read, (), tally))
    times = np.concatenate([to_epoch_ms(batch["at"]) for batch in batches])
    assert len(batches) > 1
    assert times.tolist() == to_epoch_ms(pa.array(stamps)).tolist()


def numbers_read(texts: list[str], call: Any) -> list[tuple[int, int]]:
    found = []
    for text in texts:
        data = np.frombuffer(text.encode() + b"\n" + PADDING, np.uint8)
        what, value, end = call(data, np.uint64(0), _powers())
        found.append((int(what) if int(end) == len(text) else ODD, int(value)))
    return found


@settings(max_examples=300)
@given(st.lists(NUMBERS, min_size=1, max_size=20), st.lists(st.integers(2**52, 2**53 - 1), max_size=5))
def test_numbers_are_the_nearest(texts: list[str], mantissas: list[int]) -> None:
    """A number that is read is the int64 or the double that Python reads, ties between doubles too."""
    texts = texts + [str(2 * m + 1) + tail for m in mantissas for tail in ("", ".0", "e3", "00")]
    with np.errstate(all="ignore"):
        for text, (what, value) in zip(texts, numbers_read(texts, read_number), strict=True):
            if what == WHOLE:
                assert json.loads(text) == value
                assert isinstance(json.loads(text), int)
            elif what == FRACTION:
                assert struct.pack("<q", value) == struct.pack("<d", json.loads(text))
                assert isinstance(json.loads(text), float)
        assert numbers_read(["12", "1.25"], read_number) == [(WHOLE, 12), (FRACTION, 0x3FF4000000000000)]


def test_the_interpreted_scanner_agrees() -> None:
    """The plain Python form of the kernels gives the columns and tables of the compiled one."""
    text = HEAD + PLAIN[: PLAIN.index(b"\n", 5000) + 1] + b'{"time":1,"k":"\\n"}\n'
    data, results = np.frombuffer(text + PADDING, np.uint8), []
    for call in (kernels.scan_lines, kernels.scan_lines.interpret):
        n, room = 6, 200
        names = [b"time", b"k", b"v", b"up", b"note", b"port"]
        kinds = [kernels.NUMBER, kernels.CODED, kernels.NUMBER, kernels.TRUTH, kernels.TEXT, kernels.INTEGER]
        out = (
            np.zeros(n + 1, np.int64), np.zeros(kernels.STATE_SIZE, np.int64), np.zeros(512, np.uint64),
            np.zeros(room, np.int64), np.zeros(4000, np.uint8), np.zeros(room, np.int32),
            np.zeros(room, np.int32),
            np.zeros(n, np.int32), np.zeros(n * 100, np.int64), np.zeros(n, np.uint8),
        )  # fmt: skip
        stopped = call(
            data, 0, len(text), np.frombuffer(b"".join(names) + PADDING, np.uint8),
            np.cumsum([0, *map(len, names)]), np.array(kinds, np.uint8), _powers(), *out,
        )  # fmt: skip
        results.append((stopped, *out))
    assert results[0][2][kernels.STATUS] == kernels.ODD_LINE
    for compiled, interpreted in zip(*results, strict=True):
        np.testing.assert_array_equal(compiled, interpreted)
