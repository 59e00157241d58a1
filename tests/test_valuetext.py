"""One value has one text, and one meaning, whatever form it is posted in."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.columns import to_float
from tidegate.flatbatch import flat_batch
from tidegate.keys import Interner
from tidegate.readers import to_batches
from tidegate.timefield import INVALID, to_epoch_ms
from tidegate.valuetext import as_text, text_of

VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.text("ab0é", max_size=3)), min_size=1, max_size=6),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=6),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=6),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=6),
)


def key_texts(data: Any) -> list[str]:
    """The text that each record of some data has in the key `k`; empty for none."""
    names = Interner()
    codes = [code for b in to_batches(data, keys=["k"]) for code in names.codes(b.column("k")).tolist()]
    texts = names.texts().to_pylist()
    return [texts[code] for code in codes]


@given(VALUES)
def test_a_key_is_one_text_however_posted(values: list[Any]) -> None:
    """The same keys as dicts, columns, Arrow and JSON are the same texts, and so the same series."""
    records = [{"t": 1, "k": value} for value in values]
    column = pa.array(values)
    wanted = ["" if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    ndjson = "\n".join(map(json.dumps, records))
    for data in (
        records,
        {"k": values},
        pa.table({"k": column}),
        pa.table({"k": column.dictionary_encode()}),
        ndjson,
        json.dumps(records),
        [*records[:1], pa.table({"k": column.slice(1)})],
    ):
        assert key_texts(data) == wanted


def test_keys_of_many_types_keep_their_own_text() -> None:
    """A key of one type beside one of another is no other key: 1 beside 2.5 is not 1.0."""
    values = [1, 2.5, "x", True, None, 1e20, dt.date(2018, 1, 1), dt.datetime(2018, 1, 1, 12), b"\xff"]
    wanted = ["1", "2.5", "x", "true", "", "1e+20", "2018-01-01", "2018-01-01 12:00:00", "\ufffd"]
    assert key_texts([{"k": value} for value in values]) == wanted
    assert key_texts({"k": values}) == wanted
    assert [key_texts([{"k": value}])[0] for value in values] == wanted
    assert key_texts([{"k": -0.0}, {"k": 0.0}]) == key_texts({"k": np.array([-0.0, 0.0])}) == ["-0.0", "0.0"]


@pytest.mark.parametrize("value", [0.1, 8080, 2**24, 1e20, -0.0, 1e-5])
def test_narrow_floats_have_their_own_digits(value: float) -> None:
    """A float32 is written with its fewest digits in the form of Python, as scalar and as column."""
    assert text_of(np.float32(value)) == repr(float(value))
    assert as_text(pa.array([value], pa.float32())).to_pylist() == [repr(float(value))]
    if value < 1e4:
        column = pa.array([np.float16(value)])
        assert as_text(column).to_pylist() == [text_of(np.float16(value))] == key_texts({"k": column})


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)), st.sampled_from([None, dt.UTC]))
def test_times_as_text(time: dt.datetime, zone: dt.tzinfo | None) -> None:
    """A datetime or date has the text of its Arrow column, which does not depend on the unit."""
    time = time.replace(tzinfo=zone)
    text = text_of(time)
    assert text is not None
    assert not text.removesuffix("Z").partition(".")[2].endswith("0")
    column = pa.array([time])
    for kind in (column, column.cast(pa.timestamp("ns", column.type.tz))):
        assert as_text(kind).to_pylist() == [text]
    assert key_texts([{"k": time}]) == key_texts([{"k": time}, {"k": 1}])[:1] == [text]
    assert text_of(time.date()) == as_text(pa.array([time.date()]))[0].as_py() == time.date().isoformat()


TEXTS = ["5", None, "7", "5"]
FORMS: dict[str, pa.Array] = {
    "string": pa.array(TEXTS),
    "large string": pa.array(TEXTS, pa.large_string()),
    "string view": pa.array(TEXTS, pa.string_view()),
    "binary": pa.array(TEXTS, pa.binary()),
    "large binary": pa.array(TEXTS, pa.large_binary()),
    "binary view": pa.array(TEXTS, pa.binary_view()),
    "fixed size binary": pa.array(TEXTS, pa.binary(1)),
    "runs": pc.run_end_encode(pa.array(TEXTS)),
    "runs of numbers": pc.run_end_encode(pa.array([5, None, 7, 5])),
    "runs of views": pa.RunEndEncodedArray.from_arrays([1, 2, 3, 4], pa.array(TEXTS, pa.string_view())),
    "runs of a dictionary": pa.RunEndEncodedArray.from_arrays(
        [1, 2, 3, 4], pa.array(TEXTS).dictionary_encode()
    ),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "dictionary of views": pa.DictionaryArray.from_arrays(
        [0, None, 1, 0], pa.array(["5", "7"], pa.string_view())
    ),
    "dictionary of bytes": pa.array(TEXTS, pa.binary()).dictionary_encode(),
    "null in the dictionary": pa.DictionaryArray.from_arrays([0, 1, 2, 0], pa.array(["5", None, "7"])),
    "null number in the dictionary": pa.DictionaryArray.from_arrays([0, 1, 2, 0], pa.array([5, None, 7])),
    "null in a dictionary of bytes": pa.DictionaryArray.from_arrays(
        [0, 1, 2, None], pa.array([b"5", None, b"7"])
    ).take(pa.array([0, 1, 2, 0])),
}


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_column_means_the_same(form: str, start: int) -> None:
    """Keys, numbers, times and what is missing do not depend on how Arrow holds the values."""
    batch = pa.record_batch({"k": FORMS[form], "s": pa.StructArray.from_arrays([FORMS[form]], ["k"])})
    flat = flat_batch(batch.slice(start)).filter(pa.array([True] * (4 - start)))
    for column in flat.columns:
        assert key_texts(flat) == ["5", "", "7", "5"][start:]
        values, invalid = to_float(column)
        assert np.array_equal(values, [5.0, math.nan, 7.0, 5.0][start:], equal_nan=True)
        assert (invalid, column.null_count) == (0, 1)
        assert to_epoch_ms(column).tolist() == [5, INVALID, 7, 5][start:]
    assert flat.schema.names == ["k", "s.k"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)])
def test_bytes_that_are_not_utf8_are_replaced(kind: pa.DataType) -> None:
    """Bytes as keys and in lists are valid text, U+FFFD where they are not UTF-8, and no number."""
    column = pa.array([b"a\xff", b"ok", None], kind)
    assert key_texts(pa.table({"k": column})) == ["a\ufffd", "ok", ""]
    assert key_texts(pa.table({"k": column.dictionary_encode()})) == ["a\ufffd", "ok", ""]
    as_text(column).validate(full=True)
    assert to_float(column)[1] == 2
    lists = pa.ListArray.from_arrays([0, 3], column)
    assert flat_batch(pa.record_batch({"k": lists})).to_pylist() == [{"k": "a\ufffd,ok"}]


def test_lists_are_joined_as_the_same_text() -> None:
    """The elements of a list have the text that they have alone."""
    values = [1.0, 1e20, None, 0.1]
    joined = [next(to_batches(data))["k"].to_pylist() for data in ([{"k": values}], {"k": [values]})]
    assert joined == [["1.0,1e+20,0.1"]] * 2
