"""Streams and keys: what the gathering kernels give is what a plain group-by gives."""

from __future__ import annotations

import itertools
import math
import statistics
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cells import ClosedCells
from tidegate.columns import to_float
from tidegate.keycells import Quantile
from tidegate.keys import Interner, KeySpace
from tidegate.keystream import KeyStream
from tidegate.passes import Planner, Span
from tidegate.streams import CellStream
from tidegate.threads import Threads

SPAN = 1000
ROWS = st.lists(
    st.tuples(
        st.integers(0, 12 * SPAN),
        st.integers(-1, 70),
        st.one_of(
            st.floats(-1e6, 1e6),
            st.just(math.nan),
            st.just(math.inf),
            st.sampled_from([1e9, 1e9 + 1, 1e9 + 2]),
        ),
    ),
    max_size=60,
)


def grouped(rows: list[tuple[int, int, float]]) -> dict[tuple[int, int], list[float]]:
    """Finite values by bucket and series, in the order of rows."""
    cells: dict[tuple[int, int], list[float]] = {}
    for time, series, value in rows:
        if series >= 0 and math.isfinite(value):
            cells.setdefault((time // SPAN, series), []).append(value)
    return cells


def fed(
    stream, rows: list[tuple[int, int, float]], cuts: list[int], latency: int, threads: int = 1
) -> list[ClosedCells]:
    """Closed cells of a stream that is given the rows in pieces; the last buckets are closed."""
    time = np.array([r[0] for r in rows], np.int64)
    series = np.array([r[1] for r in rows], np.int32)
    value = np.array([r[2] for r in rows], np.float64)
    stream.grow(71)
    taken, end = [], -latency
    for start, stop in itertools.pairwise(sorted({0, *cuts, len(rows)})):
        part = slice(start, stop)
        end = gathered(stream, (time[part], series[part], value[part]), latency, end, threads, taken)
    taken.append(copied(stream.close(20 * SPAN, -latency)))
    return taken


def gathered(stream, columns, latency: int, end: int, threads: int, taken: list[ClosedCells]) -> int:
    """Puts columns of rows through a stream, as an engine does; returns the finalised end."""
    time, series, value = columns
    planner = Planner(time, Span(SPAN, latency), Threads(1))
    while planner.row < len(time):
        rows = planner.next(end, 5, 100)
        assert rows is not None
        part = slice(rows.start, rows.stop)
        with mock.patch("tidegate.passes._PIECE_ROWS", 1):
            works = stream.gather(rows, series[part], value[part], threads)
        for work in works[::-1]:
            work()
        end = rows.end
        taken.append(copied(stream.close(end, -latency)))
    return end


def copied(cells: ClosedCells) -> ClosedCells:
    """Cells in memory of their own; they come bucket by bucket, as the model needs them."""
    assert (np.diff(cells.bucket_c) >= 0).all()
    return ClosedCells(cells.bucket_c.copy(), cells.series_c.copy(), cells.record_c.copy(), cells.width)


def by_cell(taken: list[ClosedCells], feature: str) -> dict[tuple[int, int], float]:
    """One feature of every cell."""
    out = {}
    for closed in taken:
        buckets, series, values, _ = closed.by_block(71).columns(feature, 0, len(closed))
        cells = zip(buckets.tolist(), series.tolist(), strict=True)
        out.update(zip(cells, values.tolist(), strict=True))
    return out


def admitted(rows: list[tuple[int, int, float]], latency: int) -> list[tuple[int, int, float]]:
    """Rows in an order that an intake would let through."""
    out: list[tuple[int, int, float]] = []
    newest = 0
    for row in rows:
        newest = max(newest, row[0])
        if row[0] >= newest // SPAN * SPAN - latency:
            out.append(row)
    return out


@given(ROWS, st.lists(st.integers(0, 60), max_size=3), st.integers(0, 2))
def test_cell_stream(rows, cuts, buckets):
    """Counts, sums, extremes and variances of every cell, however the rows are cut."""
    rows = admitted(sorted(rows) if buckets == 0 else rows, buckets * SPAN)
    cuts = [c for c in cuts if c < len(rows)]
    taken = fed(CellStream(Span(SPAN, buckets * SPAN), valued=True), rows, cuts, buckets * SPAN)
    expected = grouped(rows)
    assert by_cell(taken, "count") == {k: float(len(v)) for k, v in expected.items()}
    assert by_cell(taken, "min") == {k: min(v) for k, v in expected.items()}
    assert by_cell(taken, "max") == {k: max(v) for k, v in expected.items()}
    assert by_cell(taken, "sum") == pytest.approx(
        {k: sum(v) for k, v in expected.items()}, rel=1e-12, abs=1e-6
    )
    varp = by_cell(taken, "varp")
    for key, values in expected.items():
        if len(values) < 3:
            assert math.isnan(varp[key])
        else:
            scale = max(abs(v) for v in values) ** 2
            assert varp[key] == pytest.approx(statistics.pvariance(values), rel=1e-6, abs=1e-12 * scale)


@given(ROWS, st.lists(st.integers(0, 60), max_size=3), st.integers(0, 2), st.sampled_from((1, 7, 1 << 18)))
def test_key_stream(rows, cuts, buckets, log_rows):
    """Medians of every cell are exact, however the rows are cut, and however short the log."""
    rows = admitted(sorted(rows) if buckets == 0 else rows, buckets * SPAN)
    cuts = [c for c in cuts if c < len(rows)]
    taken = fed(KeyStream(Span(SPAN, buckets * SPAN), Quantile(), log_rows), rows, cuts, buckets * SPAN)
    expected = grouped(rows)
    assert by_cell(taken, "count") == {k: float(len(v)) for k, v in expected.items()}
    assert by_cell(taken, "median") == pytest.approx(
        {k: statistics.median(v) for k, v in expected.items()}, rel=1e-15
    )


@given(ROWS)
def test_peeking_changes_nothing(rows):
    """The cells of open buckets can be looked at any number of times before they close."""
    rows = admitted(sorted(rows), 0)
    span = Span(SPAN, 0)
    for make in (lambda: CellStream(span, valued=True), lambda: KeyStream(span, Quantile())):
        plain, peeked = fed(make(), rows, [], 0), make()
        time, series, value = (
            (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.empty(0)] * 3
        )
        peeked.grow(71)
        taken = [copied(peeked.close(0, 0))]
        gathered(
            peeked, (time.astype(np.int64), series.astype(np.int32), value.astype(float)), 0, 0, 1, taken
        )
        first, second = copied(peeked.peek(0)), copied(peeked.peek(0))
        assert by_cell([first], "count") == by_cell([second], "count")
        assert by_cell([*taken, first], "count") == by_cell(plain, "count")


@given(
    st.lists(
        st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["a", "b", "host-00000001"])), max_size=50
    )
)
def test_interner(texts):
    """Equal strings have equal codes, in the order of first appearance; null is the empty string."""
    names = Interner()
    expected: dict[str, int] = {"": 0}
    codes = [expected.setdefault(text or "", len(expected)) for text in texts]
    column = pa.array(texts, pa.string())
    assert names.codes(column).tolist() == codes
    assert names.codes(column.dictionary_encode()).tolist() == codes
    assert names.codes(column.cast(pa.large_string())[1:]).tolist() == codes[1:]
    assert names.texts().to_pylist() == list(expected)


def test_interner_grows():
    """A table grows through many doublings without forgetting or mixing up a code."""
    names = Interner()
    texts = [f"{k:x}" * (k % 50 + 1) for k in range(20_000)]
    codes = names.codes(pa.array(texts))
    assert len(set(codes.tolist())) == len(set(texts))
    assert names.codes(pa.array(texts[::-1])).tolist() == codes.tolist()[::-1]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60), st.booleans(), st.integers(1, 40)
)
def test_key_space_of_two_fields(pairs, use_null, limit):
    """Every pair has one series in the order of first appearance, up to the limit."""
    space = KeySpace("by", "partition", use_null=use_null)
    expected: dict[tuple[int, int], int] = {}
    wanted = []
    for by, partition in pairs:
        if by == 0 and not use_null:
            wanted.append(-1)
        elif (by, partition) in expected or len(expected) < limit:
            wanted.append(expected.setdefault((by, partition), len(expected)))
        else:
            wanted.append(-2)
    codes = {name: np.array([p[k] for p in pairs], np.int32) for k, name in enumerate(("by", "partition"))}
    series = space.series(codes, limit)
    assert series.tolist() == wanted
    assert space.refused == wanted.count(-2)
    found = np.arange(len(expected))
    assert list(
        zip(space.by_codes(found).tolist(), space.partition_codes(found).tolist(), strict=True)
    ) == list(expected)


def test_numbers_of_every_type():
    """Every numeric type becomes float64; what is no finite number is NaN and counted."""
    for kind in (pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.decimal128(22, 2)):
        values, invalid = to_float(pa.array([1, None, 3]).cast(kind))
        assert np.array_equal(values, [1.0, np.nan, 3.0], equal_nan=True)
        assert invalid == 0
    for column in (
        pa.array(["1e3", " 2", "x", None]),
        pa.array(["1e3", "2", "nan", None]).dictionary_encode(),
    ):
        values, invalid = to_float(column)
        assert values.tolist()[:2] == [1000.0, 2.0]
        assert invalid == 1
    assert to_float(pa.array([True, False]))[1] == 2
