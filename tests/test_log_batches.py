"""The batches of a post in the log: they come back with every value, and small ones stay small."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.log_run import JOB, no_sync  # noqa: F401

from tidegate.store import batchstreams
from tidegate.store.batchstreams import compacted, read_batches, write_batches
from tidegate.store.log import Log

pytestmark = pytest.mark.usefixtures("no_sync")
TEXTS = st.none() | st.text(max_size=4)
CODED = pa.dictionary(pa.int8(), pa.string())
COLUMNS: dict[Any, st.SearchStrategy[Any]] = {
    pa.int64(): st.none() | st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.none() | st.floats(),
    pa.bool_(): st.none() | st.booleans(),
    pa.string(): TEXTS,
    pa.large_string(): TEXTS,
    pa.string_view(): TEXTS,
    pa.null(): st.none(),
    pa.binary(): st.none() | st.binary(max_size=4),
    pa.timestamp("us", "UTC"): st.none() | st.datetimes(timezones=st.just(datetime.UTC)),
    CODED: TEXTS,
    pa.dictionary(pa.int32(), pa.float64(), ordered=True): st.none() | st.floats(allow_nan=False),
    pa.list_(CODED): st.none() | st.lists(TEXTS, max_size=3),
    pa.struct({"a": pa.int16(), "b": CODED}): st.none()
    | st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "b": TEXTS}),
}


@st.composite
def batches(draw: Any) -> pa.RecordBatch:
    """Batches of any types, cut out of larger ones, some without rows and some without columns."""
    rows = draw(st.integers(0, 6))
    kinds = draw(st.lists(st.sampled_from(list(COLUMNS)), max_size=4))
    columns = [pa.array(draw(st.lists(COLUMNS[kind], min_size=rows, max_size=rows)), kind) for kind in kinds]
    names = [draw(st.sampled_from("abc")) for _ in kinds]
    fields = [pa.field(n, c.type, metadata={"k": n}) for n, c in zip(names, columns, strict=True)]
    schema = pa.schema(fields, metadata=draw(st.none() | st.just({"who": "me"})))
    if not kinds:
        return pa.record_batch({"x": list(range(rows))}).select([])
    whole = pa.RecordBatch.from_arrays(columns, schema=schema)
    return whole.slice(draw(st.integers(0, rows)), draw(st.integers(0, rows)))


def values(batch: pa.RecordBatch) -> tuple[Any, ...]:
    """All that a batch says, in the way that shows every bit."""
    fields = [(field.name, field.metadata, _kind(field.type)) for field in batch.schema]
    return (
        batch.num_rows,
        batch.schema.metadata,
        fields,
        [repr(column.to_pylist()) for column in batch.columns],
    )


def _kind(kind: Any) -> Any:
    """A type, whatever the indices of a dictionary are."""
    return ("coded", kind.value_type, kind.ordered) if pa.types.is_dictionary(kind) else kind


def written(made: list[pa.RecordBatch]) -> pa.Buffer:
    """The streams of some batches."""
    sink = pa.BufferOutputStream()
    write_batches(sink, made)
    return sink.getvalue()


@given(st.lists(batches(), max_size=4))
def test_batches_come_back(tmp_path_factory, posted):
    """What is appended comes back value by value, whatever its types, rows and columns."""
    log = Log.open(tmp_path_factory.mktemp("log"), JOB)
    log.append({"op": "post"}, posted, sync=False)
    [entry] = log.entries(after=0)
    log.close()
    for batch in entry.batches:
        batch.validate()
    assert [values(batch) for batch in entry.batches] == [values(batch) for batch in posted]
    assert [values(batch) for batch in compacted(posted)] == [values(batch) for batch in posted]
    again = compacted(compacted(posted))
    assert [batch.schema for batch in again] == [batch.schema for batch in compacted(posted)]


def coded(codes: Any, names: Any) -> pa.RecordBatch:
    """A batch of one column of codes."""
    return pa.record_batch({"host": pa.DictionaryArray.from_arrays(codes, names)})


def test_small_slices_keep_small_dictionaries():
    """65,536 rows of a dictionary of a million names take no more than their own names."""
    names = pa.array([f"host-{at:09d}.example.com" for at in range(1_000_000)])
    codes = np.random.default_rng(1).integers(0, len(names), 1 << 16, np.int32)
    batch = coded(pa.array(codes), names)
    buffer = written(compacted([batch]))
    assert buffer.size < 1.2 * sum(len(names[0].as_py()) + 8 for _ in codes)
    [back] = read_batches(buffer)
    assert back["host"].cast(pa.string()).equals(batch["host"].cast(pa.string()))


@pytest.mark.parametrize(("count", "is_whole"), [(4, False), (5, True), (6, True)])
def test_shared_dictionaries_count_for_all_their_rows(count, is_whole):
    """Batches that share a dictionary keep it when together they have half as many rows, written once."""
    names = pa.array([f"a rather long name of a host {at}" for at in range(1000)])
    rng = np.random.default_rng(count)
    made = [coded(pa.array(rng.integers(0, 1000, 100, np.int32)), names) for _ in range(count)]
    kept = compacted(made)
    assert all((len(batch["host"].dictionary) == 1000) == is_whole for batch in kept)
    if is_whole:
        assert written(kept).size < 1.4 * written(made[:1]).size


def test_nulls_in_dictionaries():
    """Nulls of the codes and of the dictionary stay where they are in what is cut down."""
    names = pa.array(["a", None, *map(str, range(50))])
    [kept] = compacted([coded(pa.array([1, None, 0, 51], pa.int32()), names)])
    assert kept["host"].to_pylist() == [None, None, "a", "49"]
    assert len(kept["host"].dictionary) == 3


def test_one_entry_at_a_time(tmp_path):
    """Reading a log takes the memory of an entry or two, however many there are."""
    log = Log.open(tmp_path, JOB)
    size = 1 << 22
    batch = pa.record_batch({"value": np.zeros(size // 8)})
    for _ in range(8):
        log.append({"op": "post"}, [batch], sync=False)
    before, most = pa.total_allocated_bytes(), 0
    for _ in log.entries(after=0):
        most = max(most, pa.total_allocated_bytes() - before)
    assert size < most < 3 * size
    log.close()


def test_columns_are_aligned(tmp_path):
    """Columns that are read can be used as arrays of numbers where they lie, whatever the head's length."""
    log = Log.open(tmp_path, JOB)
    batch = pa.record_batch({"value": [0.5, math.inf, 2.5], "name": ["a", "bc", "def"]})
    for length in range(17):
        log.append({"op": "x" * length}, [batch, batch.select(["value"])], sync=False)
    for entry in log.entries(after=0):
        for back in entry.batches:
            assert back["value"].to_numpy(zero_copy_only=True).flags.aligned
            assert back["value"].equals(batch["value"])
    log.close()


def test_batches_are_not_copied_together(tmp_path, monkeypatch):
    """A large post is written from where its columns lie, a block at a time."""
    log = Log.open(tmp_path, JOB)
    batch = pa.record_batch({"value": np.arange(1 << 20)})
    before = pa.total_allocated_bytes()
    most = 0
    real = batchstreams.pa.ipc.new_stream

    def watched(sink: Any, schema: Any) -> Any:
        write = sink.write

        def measured(data: Any) -> int:
            nonlocal most
            most = max(most, pa.total_allocated_bytes() - before)
            return int(write(data))

        sink.write = measured
        return real(sink, schema)

    monkeypatch.setattr(batchstreams.pa.ipc, "new_stream", watched)
    log.append({"op": "post"}, [batch], sync=False)
    assert most < batch.nbytes // 8
    log.close()
