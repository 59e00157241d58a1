"""Codes of strings: however a column holds them, each distinct one has one code for ever."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import DataError
from tidegate.keys import Interner
from tidegate_kernels import intern as kernels

INDEX_TYPES = [
    pa.int8(),
    pa.uint8(),
    pa.int16(),
    pa.uint16(),
    pa.int32(),
    pa.uint32(),
    pa.int64(),
    pa.uint64(),
]
# Lengths around the steps of eight bytes, and texts that differ in one byte at either end.
TEXTS = st.one_of(
    st.text("ab\0é", max_size=20),
    st.sampled_from(["x" * 7, "x" * 8, "x" * 9, "x" * 16, "x" * 17, "x" * 7 + "\0", "yx" + "x" * 15]),
)


def twin(columns: list[list[str | None]]) -> tuple[list[list[int]], list[str]]:
    """The codes of some columns one after the other, and the strings in the order of their codes."""
    codes: dict[str, int] = {"": 0}
    return [[codes.setdefault(text or "", len(codes)) for text in column] for column in columns], list(codes)


def tight(texts: list[str]) -> pa.Array:
    """A column whose buffers end where its data ends."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(
        len(texts), pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(encoded))
    )


@given(st.lists(st.lists(TEXTS, max_size=12), max_size=4))
def test_strings_at_the_end_of_their_memory(columns: list[list[str]]) -> None:
    """The last strings of a column are read without looking behind it, like all others."""
    names = Interner()
    codes, texts = twin(columns)
    assert [names.codes(tight(column)).tolist() for column in columns] == codes
    assert names.texts().to_pylist() == texts


@given(st.lists(TEXTS, max_size=12))
def test_interpreted_interning_agrees(texts: list[str]) -> None:
    """The plain Python form of the kernel gives the codes and the tables of the compiled one."""
    results = []
    for call in (kernels.intern_strings, kernels.intern_strings.interpret):
        column = tight(["", *texts])
        offsets, data = (
            np.frombuffer(column.buffers()[1], np.int64),
            np.frombuffer(column.buffers()[2], np.uint8),
        )
        count, codes = np.zeros(1, np.int64), np.zeros(len(column), np.int32)
        slots, starts, arena = np.zeros(64, np.uint64), np.zeros(40, np.int64), np.zeros(600, np.uint8)
        stopped = call(offsets, data, np.empty(0, np.uint8), 0, count, slots, starts, arena, codes)
        results.append((stopped, count, codes, slots, starts, arena))
    for compiled, interpreted in zip(*results, strict=True):
        np.testing.assert_array_equal(compiled, interpreted)


@pytest.mark.parametrize("kind", INDEX_TYPES, ids=str)
def test_indices_of_every_type(kind: pa.DataType) -> None:
    """A dictionary column may have indices of any width, null among them, and be a slice."""
    names = Interner()
    texts = [f"t{k}" for k in range(100)]
    indices = pa.array([99, None, 0, 5, None, 99], kind)
    column = pa.DictionaryArray.from_arrays(indices, pa.array(texts))
    assert names.codes(column).tolist() == [100, 0, 1, 6, 0, 100]
    assert names.codes(column[1:5]).tolist() == [0, 1, 6, 0]


@given(st.lists(st.lists(st.one_of(st.none(), TEXTS), max_size=6, unique=True), min_size=1, max_size=4))
def test_dictionaries_that_grow_or_change(dictionaries: list[list[str | None]]) -> None:
    """Whether a dictionary is that of the batch before, a longer one or another, the codes are right."""
    names, grown = Interner(), []
    columns: list[list[str | None]] = []
    for texts in dictionaries:
        grown += texts
        columns += [texts, list(grown), texts]
    codes, texts_of_codes = twin(columns)
    for column, wanted in zip(columns, codes, strict=True):
        dictionary = pa.array(column, pa.string())
        encoded = pa.DictionaryArray.from_arrays(pa.array(range(len(column)), pa.int16()), dictionary)
        assert names.codes(encoded).tolist() == wanted
    assert names.texts().to_pylist() == texts_of_codes


def test_a_known_dictionary_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a dictionary that begins like the latest one only the rest is looked up."""
    names = Interner()
    seen: list[int] = []
    intern = names._intern

    def counted(text: pa.LargeStringArray) -> np.ndarray:
        seen.append(len(text))
        return intern(text)

    monkeypatch.setattr(names, "_intern", counted)
    for size in (100, 100, 130, 130, 50):
        names.codes(pa.array([f"k{k}" for k in range(size)]).dictionary_encode())
    assert seen == [100, 30, 50]


def test_indices_outside_of_the_dictionary_are_refused() -> None:
    """A damaged dictionary column is an error, and nothing is read outside of its values."""
    for bad in (7, -1):
        damaged = pa.DictionaryArray.from_arrays(
            pa.array([0, bad], pa.int32()), pa.array(["a", "b"]), safe=False
        )
        with pytest.raises(DataError, match="dictionary of 2 values"):
            Interner().codes(damaged)
