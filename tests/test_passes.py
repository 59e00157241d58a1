"""Passes, their cuts among threads, and the cells that come of them, to the last bit."""

from __future__ import annotations

import itertools
import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.passes import Planner, Span
from tidegate.streams import NO_SERIES, NO_VALUES, CellStream
from tidegate.threads import Threads

SPAN = 1000
VALUES = st.one_of(
    st.floats(-1e6, 1e6),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e9, 1e9 + 1, 1e300, 5e-324]),
)
Rows = list[tuple[int, int, float]]


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Rows, int, int]:
    """Rows as an intake lets them through, how many series there may be, and the latency."""
    n_series, buckets = draw(st.sampled_from([1, 3, 70])), draw(st.integers(0, 3))
    row = st.tuples(st.integers(0, 15 * SPAN), st.integers(-1, n_series - 1), VALUES)
    rows, newest, kept = draw(st.lists(row, max_size=80)), 0, []
    order = draw(st.sampled_from(["as they come", "by time", "by bucket and series"]))
    if order != "as they come":
        rows.sort(key=lambda row: row if order == "by time" else (row[0] // SPAN, row[1]))
    for time, series, value in rows:
        newest = max(newest, time)
        if time >= newest // SPAN * SPAN - buckets * SPAN:
            kept.append((time, series, value))
    return kept, n_series, buckets * SPAN


def naive_records(rows: Rows) -> dict[tuple[int, int], tuple[float, ...]]:
    """Count, deviation, squares, min, max and origin of every cell, value by value."""
    cells: dict[tuple[int, int], tuple[float, ...]] = {}
    for time, series, x in rows:
        if series < 0 or not math.isfinite(x):
            continue
        key = time // SPAN, series
        n, deviation, squares, low, high, origin = cells.get(key, (0.0, 0.0, 0.0, math.inf, -math.inf, x))
        d = x - origin
        cells[key] = (
            n + 1.0,
            deviation + d,
            squares + d * d,
            x if x < low else low,
            x if x > high else high,
            origin,
        )
    return cells


def naive_counts(rows: Rows) -> dict[tuple[int, int], tuple[float, ...]]:
    """How many rows every cell has, whatever their values."""
    cells: dict[tuple[int, int], tuple[float, ...]] = {}
    for time, series, _ in rows:
        if series >= 0:
            cells[time // SPAN, series] = (cells.get((time // SPAN, series), (0.0,))[0] + 1.0,)
    return cells


def cells_of(
    stream: CellStream, rows: Rows, latency: int, cuts: list[int], threads: int, *, keyed: bool, valued: bool
) -> dict[tuple[int, int], tuple[float, ...]]:
    """The records of all cells; asserts that buckets ascend and that no cell comes twice."""
    time = np.array([r[0] for r in rows], np.int64)
    series = np.array([r[1] for r in rows], np.int32)
    value = np.array([r[2] for r in rows], np.float64)
    found: dict[tuple[int, int], tuple[float, ...]] = {}
    last = end = -latency

    def take(end: int) -> None:
        nonlocal last
        closed = stream.close(end, -latency)
        buckets = [last, *closed.bucket_c.tolist()]
        assert buckets == sorted(buckets)
        last = buckets[-1]
        keys = list(zip(buckets[1:], closed.series_c.tolist(), strict=True))
        assert len(set(keys)) == len(keys)
        assert not set(keys) & set(found)
        records = closed.record_c.reshape(-1, closed.width).tolist()
        found.update(zip(keys, map(tuple, records), strict=True))

    for start, stop in itertools.pairwise(sorted({0, *cuts, len(rows)})):
        planner = Planner(time[start:stop], Span(SPAN, latency), Threads(1))
        while planner.row < stop - start:
            part = planner.next(end, 4, 100)
            assert part is not None
            of_part = slice(start + part.start, start + part.stop)
            works = stream.gather(
                part,
                series[of_part] if keyed else NO_SERIES,
                value[of_part] if valued else NO_VALUES,
                threads,
            )
            for work in works[::-1]:
                work()
            end = part.end
            take(end)
    take(20 * SPAN)
    return found


@given(jobs(), st.lists(st.integers(0, 80), max_size=3), st.integers(1, 5), st.integers(1, 90), st.booleans())
def test_records_are_those_of_the_naive_twin(job, cuts, threads, window, valued):
    """Cuts, threads, passes, disorder and how many series there are change no bit of any record."""
    rows, n_series, latency = job
    with (
        mock.patch("tidegate.passes._PIECE_ROWS", 1),
        mock.patch("tidegate.passes.PASS_ROWS", window),
    ):
        stream = CellStream(Span(SPAN, latency), valued=valued)
        stream.grow(n_series)
        cuts = [cut for cut in cuts if cut < len(rows)]
        found = cells_of(stream, rows, latency, cuts, threads, keyed=True, valued=valued)
        assert repr(sorted(found.items())) == repr(
            sorted((naive_records if valued else naive_counts)(rows).items())
        )
        alone = [(time, 0, value) for time, _, value in rows]
        stream = CellStream(Span(SPAN, latency), valued=valued)
        found = cells_of(stream, alone, latency, cuts, threads, keyed=False, valued=valued)
        assert repr(sorted(found.items())) == repr(
            sorted((naive_records if valued else naive_counts)(alone).items())
        )


def naive_pass(
    time: list[int], start: int, stop: int, finalized: int, latency: int, max_buckets: int, max_jump: int
) -> tuple[int, int]:
    """Row by row, where a pass stops and the finalised end after it."""
    end = finalized
    for i in range(start, stop):
        reached = time[i] // SPAN * SPAN - latency
        if reached <= end:
            continue
        if reached - end > max_jump * SPAN or (reached - finalized > max_buckets * SPAN and i > start):
            return i, end
        end = reached
    return stop, end


@given(
    st.lists(st.integers(0, 30 * SPAN), min_size=1, max_size=150),
    st.integers(0, 3),
    st.integers(1, 10),
    st.integers(3, 20),
    st.integers(1, 200),
    st.integers(1, 3),
)
@example([0, *[500] * 120, 1000, *[2500] * 90, 700], 2, 5, 5, 200, 2)
def test_passes_are_those_of_the_naive_twin(times, buckets, max_buckets, max_jump, window, threads):
    """Passes stop where they should, and their groups have the rows of every bucket, in order."""
    latency = buckets * SPAN
    time = np.array(times, np.int64)
    finalized = times[0] // SPAN * SPAN - latency
    seen = window_end = 0
    with mock.patch("tidegate.passes._PIECE_ROWS", 1), mock.patch("tidegate.passes.PASS_ROWS", window):
        planner = Planner(time, Span(SPAN, latency), Threads(threads))
        while planner.row < len(times):
            if seen == window_end:
                window_end = min(seen + window, len(times))
            stop, end = naive_pass(times, seen, window_end, finalized, latency, max_buckets, max_jump)
            part = planner.next(finalized, max_buckets, max_jump)
            if part is None:
                assert stop == seen
                finalized = times[seen] // SPAN * SPAN - latency
                continue
            # A pass ends before a run of rows of one bucket: never within one.
            assert (part.start, part.stop, part.end) == (seen, stop, end)
            wanted: dict[int, list[int]] = {}
            for row in range(seen, stop):
                if times[row] >= finalized:
                    wanted.setdefault(times[row] // SPAN, []).append(row - seen)
            assert rows_of(part) == sorted(wanted.items())
            assert part.rows_g.tolist() == [len(rows) for _, rows in sorted(wanted.items())]
            for pieces in (1, 2, 3, 50):
                cuts = part.cuts(pieces)
                assert cuts == sorted(set(cuts))
                assert (cuts[0], cuts[-1], len(cuts) <= pieces + 1) == (0, len(part), True)
            finalized, seen = end, stop


def rows_of(part) -> list[tuple[int, list[int]]]:
    """The rows of every group of a pass."""
    return [
        (
            int(bucket),
            [
                row
                for u in range(part.first_g[g], part.first_g[g + 1])
                for row in range(part.start_u[u], part.stop_u[u])
            ],
        )
        for g, bucket in enumerate(part.bucket_g)
    ]


def one_pass(times: list[int]):
    """All rows as one pass."""
    part = Planner(np.array(times, np.int64), Span(SPAN, 0), Threads(1)).next(0, 1000, 1000)
    assert part is not None
    return part


@pytest.mark.parametrize(
    ("times", "threads", "pieces"),
    [([5, 6, 7], 4, 1), ([5, 1005], 9, 2), ([], 2, 0), ([k * SPAN for k in range(7)], 3, 3)],
    ids=["one bucket", "more threads than buckets", "empty", "even"],
)
def test_shapes_that_are_hard_to_cut(times, threads, pieces):
    """A pass is cut between buckets only, into no more pieces than it has buckets."""
    rows = [(time, k % 2, float(k)) for k, time in enumerate(times)]
    with mock.patch("tidegate.passes._PIECE_ROWS", 1):
        stream = CellStream(Span(SPAN, 0), valued=True)
        stream.grow(2)
        part = one_pass(times)
        series, value = np.array([r[1] for r in rows], np.int32), np.array([r[2] for r in rows])
        works = stream.gather(part, series, value, threads)
        assert len(works) == pieces
        for work in works:
            work()
    closed = stream.close(20 * SPAN, 0)
    assert dict(
        zip(
            zip(closed.bucket_c.tolist(), closed.series_c.tolist(), strict=True),
            map(tuple, closed.record_c.reshape(-1, 6).tolist()),
            strict=True,
        )
    ) == naive_records(rows)


def test_small_passes_stay_on_one_thread():
    """A pass of fewer rows than pay for a second thread is one piece of work."""
    assert one_pass([k * SPAN for k in range(100)]).cuts(2) == [0, 100]


def test_threads_do_all_the_work():
    """Works run on threads, all of them, and an error in one of them is not lost."""
    done: list[int] = []
    pool = Threads(3)
    pool.run([lambda k=k: done.append(k) for k in range(20)])
    assert sorted(done) == list(range(20))
    with pytest.raises(ZeroDivisionError):
        pool.run([lambda: None, lambda: done.append(1 // 0)])
    pool.rest()


def test_numbers_of_cells_begin_again():
    """Numbers of cells run out after two thousand million cells; then they begin again."""
    rows = [(k * 100, k % 70, float(k)) for k in range(60)]
    with mock.patch("tidegate.streams._LAST_NUMBER", 40):
        stream = CellStream(Span(SPAN, 0), valued=True)
        stream.grow(70)
        assert cells_of(stream, rows, 0, [7, 20, 33], 1, keyed=True, valued=True) == naive_records(rows)
