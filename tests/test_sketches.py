"""Distinct counts and quantiles: exact while a cell is small, sketches of known error beyond."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any
from unittest import mock

import datasketches
import numpy as np
import pyarrow as pa
import pytest
from tests import naive_sketches as naive
from tests.cells_of_keys import SPAN, as_values, by_cell, cells_of, fill, spread
from tests.naive_cells import Cell
from tests.test_twin import spying

from tidegate import Job
from tidegate.keycells import DistinctCount, Quantile
from tidegate.keystream import KeyStream
from tidegate.passes import Span
from tidegate.texts import TextHasher
from tidegate_kernels.distinct import EXACT, REGISTERS
from tidegate_kernels.quantiles import BINS

SIZES = (1, 7, 8, 9, 60, 3000)


def hashes(n: int, seed: int, distinct: int = 1 << 62) -> np.ndarray:
    """Random hashes, so many of them distinct at most."""
    random = np.random.default_rng(seed)
    if distinct > n:
        return random.integers(1, 2**64, n, dtype=np.uint64)
    return random.choice(random.integers(1, 2**64, distinct, dtype=np.uint64), n)


NUMBERS = {
    "uniform": lambda random, n: random.uniform(0, 1000, n),
    "normal about 0": lambda random, n: random.normal(0, 1, n),
    "normal about 100": lambda random, n: random.normal(100, 3, n),
    "lognormal": lambda random, n: random.lognormal(3, 2, n),
    "pareto": lambda random, n: random.pareto(1.1, n),
    "integers": lambda random, n: random.integers(-50_000, 50_000, n).astype(float),
    "few": lambda random, n: random.choice([-0.0, 0.0, 1.5, -2.5, 1e300, -1e-300], n),
    "all magnitudes": lambda random, n: np.exp(random.uniform(-700, 700, n)) * random.choice([-1, 1], n),
    "two modes": lambda random, n: random.normal(0, 1, n) + 1000.0 * (random.uniform(0, 1, n) < 0.4),
}


def numbers(kind: str, n: int, seed: int) -> np.ndarray:
    """Random numbers of one kind."""
    return NUMBERS[kind](np.random.default_rng(seed), n)


# Distinct counts


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("distinct", [1, 8, 9, 40, 1 << 62])
def test_distinct_counts_are_those_of_the_twin(n, distinct):
    """Cells far below, at and far beyond the limit come to what the set of all their hashes does."""
    keys = hashes(n, n + distinct % 97, distinct)
    time, series = spread(keys, 3, 2, n)
    expected = {
        cell: (len(rows), naive.distinct_count(rows, 8))
        for cell, rows in by_cell(time, series, keys.tolist()).items()
    }
    for log_rows in (1, 50, 1 << 18):
        assert cells_of(DistinctCount(8), time, series, keys, (n // 3, n // 2), log_rows) == expected


@pytest.mark.parametrize("n", [EXACT, EXACT + 1, 50_000])
def test_the_limit_of_exact_counts(n):
    """So many distinct values are counted exactly, and one more is estimated."""
    keys = np.tile(hashes(n, 3), 2)
    zeros = np.zeros(2 * n, np.int64)
    (made,) = cells_of(DistinctCount(), zeros, zeros.astype(np.int32), keys).values()
    assert made == (2 * n, naive.distinct_count(keys.tolist(), EXACT))
    assert made[1] == n or n > EXACT
    assert made[1] == pytest.approx(n, rel=0.025)


def test_estimates_have_the_stated_error():
    """Without bias, and 0.6% from the truth by standard deviation, a HyperLogLog of the size has 0.81%."""
    errors, others = [], []
    for seed in range(60):
        keys = hashes(60_000, seed)
        zeros = np.zeros(len(keys), np.int64)
        ((_, made),) = cells_of(DistinctCount(), zeros, zeros.astype(np.int32), keys).values()
        errors.append(made / len(keys) - 1.0)
        # In two halves: a merged sketch cannot use the order in which hashes came.
        union = datasketches.hll_union(14)
        for half in np.split(keys, 2):
            sketch = datasketches.hll_sketch(14, datasketches.tgt_hll_type.HLL_8)
            for key in half.tolist():
                sketch.update(key >> 1)
            union.update(sketch)
        others.append(union.get_estimate() / len(keys) - 1.0)
    in_bytes = union.get_result(datasketches.tgt_hll_type.HLL_8)
    assert len(in_bytes.serialize_compact()) > REGISTERS
    rms = math.sqrt(np.mean(np.square(errors)))
    assert abs(np.mean(errors)) < 3 * 0.006 / math.sqrt(60)
    assert rms < 0.0075
    assert rms <= math.sqrt(np.mean(np.square(others)))


def test_order_and_cuts_do_not_matter_to_sketches():
    """The same set gives the same bits, in whatever order, however cut, and whenever it became large."""
    keys = hashes(20_000, 5)
    time, series = spread(keys, 2, 3, 6)
    whole = cells_of(DistinctCount(100), time, series, keys)
    random = np.random.default_rng(7)
    for log_rows in (10, 300, 1 << 18):
        order = np.lexsort((random.random(len(keys)), time // SPAN))
        cuts = random.integers(0, len(keys), 5).tolist()
        mixed = cells_of(DistinctCount(100), time[order], series[order], keys[order], cuts, log_rows)
        assert mixed == whole


@pytest.mark.parametrize("summary", [DistinctCount(10), Quantile(0.5, 10)])
def test_looking_changes_nothing(summary):
    """Open buckets, sketches too, can be looked at any number of times before they close."""
    values = np.random.default_rng(8).normal(0.0, 1.0, 3000)
    time, series = spread(values, 4, 2, 9)
    plain = cells_of(summary, time, series, values)
    stream = KeyStream(Span(SPAN, 0), summary, 64)
    for start in range(0, 3000, 500):
        part = slice(start, start + 500)
        fill(stream, time[part], series[part], values[part])
        first, second = as_values(stream.peek(SPAN)), as_values(stream.peek(SPAN))
        assert first == second
    assert as_values(stream.peek(0)) == plain
    assert as_values(stream.close(2 * SPAN, 0)) | as_values(stream.close(9 * SPAN, 0)) == plain


@pytest.mark.parametrize("summary", [DistinctCount(10), Quantile(0.5, 10)])
def test_what_is_forgotten_can_be_sent_again(summary):
    """A reset empties the buckets of a range, merged or not, and no others."""
    values = np.random.default_rng(10).normal(0.0, 1.0, 2000)
    time, series = spread(values, 4, 2, 11)
    again = (time >= SPAN) & (time < 3 * SPAN)
    for log_rows in (64, 1 << 18):
        stream = KeyStream(Span(SPAN, 0), summary, log_rows)
        fill(stream, time, series, values)
        stream.reset(1, 3)
        assert {bucket for bucket, _ in as_values(stream.peek(0))} == {0, 3}
        fill(stream, time[again], series[again], values[again])
        assert as_values(stream.close(9 * SPAN, 0)) == cells_of(summary, time, series, values)


def test_sketches_are_used_again():
    """Sketches of closed, dropped and forgotten buckets serve others: their number does not grow."""
    summary, sizes = DistinctCount(10), set()
    stream = KeyStream(Span(SPAN, 0), summary, 500)
    for turn in range(30):
        keys = hashes(1500, turn)
        time, series = spread(keys, 3, 2, turn)
        fill(stream, time + 3 * SPAN * turn, series, keys)
        stream.peek(0)
        stream.reset(3 * turn, 3 * turn + 1)
        stream.close((3 * turn + 3) * SPAN, (3 * turn + 2) * SPAN)
        sizes.add(summary.nbytes)
    assert len(sizes) == 1


# Quantiles


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("most", [2, 16, 1000])
def test_quantiles_are_those_of_the_twin(kind, most):
    """Medians and other quantiles are those of the bins of all numbers, however they were cut."""
    values = numbers(kind, 2500, 12)
    time, series = spread(values, 2, 2, 13)
    cells = by_cell(time, series, values.tolist())
    for q in (0.0, 0.01, 0.5, 0.77, 1.0):
        expected = {cell: (len(rows), naive.quantile(rows, q, most)) for cell, rows in cells.items()}
        for log_rows in (90, 1 << 18):
            assert cells_of(Quantile(q, most), time, series, values, (700,), log_rows) == expected


@pytest.mark.parametrize("n", [BINS, BINS + 1, 30_000])
def test_the_limit_of_exact_medians(n):
    """With so many distinct numbers a median is exact; beyond it is one of bins."""
    values = np.tile(numbers("lognormal", n, 14), 3)
    zeros = np.zeros(len(values), np.int64)
    (made,) = cells_of(Quantile(), zeros, zeros.astype(np.int32), values).values()
    assert made == (3 * n, naive.quantile(values.tolist(), 0.5, BINS))
    assert made[1] == np.median(values) or n > BINS
    assert made[1] == pytest.approx(np.median(values), rel=2e-3)


@pytest.mark.parametrize("kind", NUMBERS)
def test_medians_have_the_stated_error(kind):
    """A median is at most a bin off: of numbers of one sign and B binades, 2 B / m of it."""
    values = np.abs(numbers(kind, 40_000, 15))
    binades = len(set(np.frexp(values)[1].tolist()))
    zeros = np.zeros(len(values), np.int64)
    for q in (0.1, 0.5, 0.99):
        ((_, made),) = cells_of(Quantile(q, 256), zeros, zeros.astype(np.int32), values).values()
        exact = np.quantile(values, q, method="inverted_cdf")
        assert made == pytest.approx(exact, rel=max(2.0 * binades / 256, 1e-15))


def test_quantiles_are_nearer_than_those_of_a_sketch_of_that_size():
    """In ranks the error is below that of a KLL sketch of more bytes; means over smooth kinds of numbers.

    Not so for a mode that is narrower than a bin: there only the value is near (the test above).
    """
    ours, others = [], []
    for kind in ("uniform", "normal about 0", "normal about 100", "lognormal", "pareto"):
        values = numbers(kind, 300_000, 16)
        ordered = np.sort(values)
        sketch = datasketches.kll_doubles_sketch(1600)
        sketch.update(values)
        assert len(sketch.serialize()) > 16 * BINS
        zeros = np.zeros(len(values), np.int64)
        for q in (0.1, 0.5, 0.9):
            ((_, made),) = cells_of(Quantile(q), zeros, zeros.astype(np.int32), values).values()
            for x, errors in ((made, ours), (sketch.get_quantile(q), others)):
                errors.append(abs(np.searchsorted(ordered, x) / len(ordered) - q))
    assert np.mean(ours) < 0.5 * np.mean(others)
    assert max(ours) < 3e-4


# Memory, hashes, whole jobs


@pytest.mark.parametrize("summary", [DistinctCount(), Quantile()])
def test_memory_is_bounded(summary):
    """A million distinct values of a few cells take the log and the sketches, not what they are."""
    stream = KeyStream(Span(SPAN, 0), summary)
    for turn in range(10):
        values = np.random.default_rng(turn).normal(0.0, 1.0, 100_000)
        time, series = spread(values, 2, 2, turn)
        fill(stream, time, series, values)
    assert stream.nbytes < 6_000_000
    stream.close(9 * SPAN, 0)
    assert stream.nbytes < 6_000_000


def test_hashes_are_of_the_text():
    """Equal values have equal hashes, whatever holds them; others differ; nothing is 0."""
    plain = TextHasher().hashes(pa.array(["7", None, "a", "", "7", "true"]))
    assert plain[1] == plain[3] == 0
    assert len(set(plain.tolist())) == 4
    coded = pa.array(["7", None, "a", "", "7", "true"]).dictionary_encode()
    hasher = TextHasher()
    for _ in range(2):
        assert hasher.hashes(coded).tolist() == plain.tolist()
        assert hasher.hashes(coded[2:]).tolist() == plain[2:].tolist()
    assert hasher.hashes(pa.array([7, None])).tolist() == [plain[0], 0]
    assert hasher.hashes(pa.array([True])).tolist() == [plain[5]]
    many = TextHasher().hashes(pa.array(range(1_000_000)))
    assert len(np.unique(many)) == len(many)


def records(random: np.random.Generator, n: int, buckets: int) -> pa.Table:
    """Records of a few hours, most of them in the second one, by two hosts."""
    hour = 3_600_000
    at = np.sort(random.choice(buckets, n, p=[0.1, 0.6] + [0.3 / (buckets - 2)] * (buckets - 2)))
    time = 1_699_999_200_000 + at * hour + random.integers(0, hour, n)
    time[0] = 1_699_999_200_000
    return pa.table(
        {
            "time": time,
            "host": [f"h{k}" for k in random.integers(0, 2, n)],
            "id": pa.array(random.integers(0, n, n)).cast(pa.string()),
            "x": random.lognormal(2.0, 1.0, n),
        }
    )


def config(latency: str = "0s") -> dict[str, Any]:
    """A job of all functions that tell values apart."""
    by = {"by_field_name": "host"}
    return {
        "analysis_config": {
            "bucket_span": "1h",
            "latency": latency,
            "detectors": [
                {"function": "distinct_count", "field_name": "id", **by},
                {"function": "median", "field_name": "x", **by},
                {"function": "distinct_count", "field_name": "id"},
                {"function": "info_content", "field_name": "id", **by},
            ],
        },
        "data_description": {"time_field": "time"},
    }


Played = tuple[dict[int, list[Cell]], list[Any], list[Any]]
"""The cells that the models of every detector learned, and the final buckets and records."""


def played(table: pa.Table, cuts: list[int], threads: int, latency: str, *, interim: bool) -> Played:
    """What a job comes to that is given a table in pieces."""
    job = Job(config(latency), threads=threads)
    bounds = [0, *sorted(cuts), len(table)]
    with spying() as spy:
        for start, stop in pairwise(bounds):
            job.post(table.slice(start, stop - start))
            job.flush(calc_interim=interim)
        job.flush(advance_time=1_699_999_200 + 40 * 3600)
    return (
        {index: sorted(cells, key=repr) for (index, _), cells in spy.final(job).items()},
        job.buckets(exclude_interim=True).drop_columns(["processing_time_ms"]).to_pylist(),
        job.records(exclude_interim=True).to_pylist(),
    )


def same(a: Played, b: Played) -> bool:
    """Whether two jobs came to the same, to the last bit."""
    return repr(a) == repr(b)


@pytest.mark.parametrize("latency", ["0s", "2h"])
def test_the_laws_hold_far_beyond_the_limits(latency):
    """Posts, flushes, threads and interim results change nothing, and values are near the truth."""
    random = np.random.default_rng(17)
    table = records(random, 60_000, 6)
    job = played(table, [], 1, latency, interim=False)
    for threads in (1, 3):
        cuts = random.integers(0, len(table), 6).tolist()
        assert same(job, played(table, cuts, threads, latency, interim=True))
    frame = table.to_pandas()
    cells = frame.groupby([frame["time"] // 3_600_000 * 3_600_000, "host"])
    assert cells["id"].nunique().max() > 2 * EXACT
    for index, expected in ((0, cells["id"].nunique()), (1, cells["x"].median())):
        for (time, host), value in expected.items():
            (cell,) = (cell for cell in job[0][index] if cell[:2] == (time, host))
            assert cell.value == pytest.approx(value, rel=0.025 if value > EXACT or index else 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_laws_hold_at_small_limits(seed):
    """With limits so small that most cells are sketches, and a log of a few rows, laws hold as well."""
    random = np.random.default_rng(seed)
    table = records(random, 3000, 30)
    small = {
        "DistinctCount": partial(DistinctCount, 5),
        "Quantile": partial(Quantile, 0.5, 7),
        "KeyStream": partial(KeyStream, log_rows=40),
    }
    with mock.patch.multiple("tidegate.lanes", **small):
        job = played(table, [], 1, "1h", interim=False)
        cuts = random.integers(0, len(table), 6).tolist()
        assert same(job, played(table, cuts, 2, "1h", interim=True))
    assert not same(job, played(table, [], 1, "1h", interim=False))
