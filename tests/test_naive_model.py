"""The model against its naive twin: every result of every series, of every function and kind of values."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive_feature import NaiveFeature
from tests.naive_laws import TAIL_LEVELS
from tests.naive_model import Result
from tests.naive_scores import GROWING, NaiveModel, settings_of

from tidegate import JobConfig
from tidegate.model import Calendar, FeatureModel, Run
from tidegate.threads import Threads
from tidegate_kernels.state import LANES

DAY_MS = 86_400_000
COUNTING = ("count", "low_count", "high_count", "high_non_zero_count", "low_distinct_count")
SUMMING = ("sum", "high_sum", "low_non_null_sum")
FUNCTIONS = (*COUNTING, *SUMMING, "mean", "low_mean", "high_median", "min", "max", "varp", "low_varp")


class Cell(NamedTuple):
    """One value of one series."""

    bucket: int
    series: int
    value: float
    records: float = 1.0


class Cells:
    """Cells as a model takes them, sorted by block of series."""

    def __init__(self, cells: Sequence[Cell], n_series: int) -> None:
        self._cells = sorted(cells, key=lambda cell: (cell.series // LANES, cell.bucket, cell.series))
        blocks = np.arange(-(-n_series // LANES) + 1)
        of_block = [cell.series // LANES for cell in self._cells]
        self.first_b = np.searchsorted(of_block, blocks).astype(np.int64)

    def __len__(self) -> int:
        return len(self._cells)

    def columns(self, feature: str, start: int, stop: int) -> tuple[Any, ...]:
        """Buckets, series, values and counts, whatever the feature."""
        cells = self._cells[start:stop]
        dtypes = (np.int64, np.int32, np.float64, np.float64)
        return tuple(np.array([cell[k] for cell in cells], dtype) for k, dtype in enumerate(dtypes))


def close(ours: float, twins: float, rounding: float = 1e-9) -> bool:
    """Whether two numbers are the same but for rounding."""
    return math.isclose(ours, twins, rel_tol=rounding, abs_tol=rounding / 1000.0)


class Pair:
    """The models of one feature and their twin, fed the same."""

    def __init__(
        self,
        function: str,
        span_ms: int,
        prune: int,
        n_series: int = 1,
        rounding: float = 1e-9,
        threshold: float = 2.0,  # every result is to be seen
    ) -> None:
        detector = {"function": function, "by_field_name": "k"}
        if "count" not in function or "distinct" in function:
            detector["field_name"] = "x"
        config = {"analysis_config": {"detectors": [detector]}, "data_description": {"time_field": "t"}}
        [parsed] = JobConfig.parse(config).analysis_config.detectors
        [feature] = parsed.spec.features
        with mock.patch("tidegate.model.SIGNIFICANT", threshold):
            self.model = FeatureModel(parsed, feature, span_ms, prune)
        self.twin = NaiveFeature(settings_of(detector, feature, span_ms, prune)._replace(threshold=threshold))
        self.least = math.log(threshold)
        self.span_ms, self.n_series, self.rounding = span_ms, n_series, rounding
        self.scored = self.found = 0

    def feed(
        self,
        cells: Sequence[Cell],
        first: int,
        last: int,
        *,
        skipped: int = 0,
        completeness: Sequence[float] | None = None,
    ) -> None:
        """Gives both the cells of the buckets from `first` to before `last`; with completeness as interim."""
        learn = completeness is None
        usual = [1.0] * (last - first) if completeness is None else completeness
        run = Run(
            Calendar.of(first, last, self.span_ms), skipped, learn=learn, completeness_b=np.array(usual)
        )
        self.model.grow(-(-self.n_series // LANES))
        before = self.model.state.copy()
        scored = self.model.run(Cells(cells, self.n_series), run, Threads(1))
        assert learn or np.array_equal(before, self.model.state)
        columns = [getattr(scored, f"{name}_r").tolist() for name in Result._fields]
        keys = list(zip(scored.bucket_r.tolist(), scored.series_r.tolist(), strict=True))
        ours = {key: Result(*row) for key, *row in zip(keys, *columns, strict=True)}
        of_bucket: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
        for bucket, series, value, records in cells:
            of_bucket[bucket][series] = (value, records)
        twin = self.twin if learn else self.twin.interim()
        if self.model.feature not in GROWING:
            usual = [1.0] * len(usual)
        for at, bucket in enumerate(range(first, last)):
            results = twin.observe(bucket, bucket - skipped, of_bucket[bucket], usual[at])
            assert scored.scored_b[at] == len(results)
            least = min((result.log_p for result in results.values()), default=0.0)
            ours_least = scored.min_log_p_b[at]
            is_same = close(ours_least, least, self.rounding) or sideless(ours_least, least, usual[at])
            assert is_same, (bucket, ours_least, least)
            for series, result in results.items():
                if result.log_p >= self.least:
                    continue
                same(ours.pop((bucket, series)), result, (bucket, series), self.rounding, usual[at])
        assert not ours
        self.found += len(keys)
        self.scored += int(scored.scored_b.sum())


def sideless(ours: float, twins: float, completeness: float) -> bool:
    """Whether two log p may differ, as a value that still grows was made typical but for rounding.

    Nobody knows then on which side it lies: one may take it for 1, the other for no less than a half.
    """
    return completeness < 1.0 and max(ours, twins) == 0.0 and min(ours, twins) > math.log(0.5)


def same(ours: Result, twins: Result, where: Any, rounding: float, completeness: float) -> None:
    """Asserts that two results are the same but for rounding: of bounds, that of what they are made from."""
    wide = rounding * (abs(twins.typical) + max(abs(twins.lower), abs(twins.upper)))
    wrong = {
        name: (our, twin)
        for name, our, twin in zip(Result._fields, ours, twins, strict=True)
        if not close(our, twin, rounding)
        and not (name in ("lower", "upper") and abs(our - twin) <= wide)
        and not (name in ("log_p", "log_p_single") and sideless(our, twin, completeness))
    }
    assert not wrong, where


# Values of one series


def wave_at(rng: random.Random, at: int, day: float) -> float:
    """A value with a day, a weekend and noise; `day` is its length in buckets."""
    weekend = 0.6 if at / day % 7 < 2 else 1.0
    return weekend * (100.0 + 30.0 * math.sin(2.0 * math.pi * at / day)) + rng.gauss(0.0, 3.0)


SHAPES: dict[str, Callable[[random.Random, int, float], float | None]] = {
    "seasonal": lambda rng, at, wave: wave * (rng.choice((3.0, 0.1)) if rng.random() < 0.02 else 1.0),
    "counts": lambda rng, at, wave: float(rng.choice((0, 40)) if rng.random() < 0.02 else rng.randint(2, 6)),
    "sparse": lambda rng, at, wave: rng.lognormvariate(1.0, 1.0) if rng.random() < 0.15 else None,
    "constant": lambda rng, at, wave: rng.choice((7.0, 8.0, 0.0)) if rng.random() < 0.01 else 7.0,
    "zeros": lambda rng, at, wave: rng.choice((1.0, 1e-9, 1e6)) if rng.random() < 0.02 else 0.0,
    "shift": lambda rng, at, wave: wave + (200.0 if at > 200 else 0.0),
    "falls below zero": lambda rng, at, wave: wave - (150.0 if at > 200 else 0.0),
    "negative": lambda rng, at, wave: wave if rng.random() < 0.02 else -wave,
    "wanders": lambda rng, at, wave: 50.0 + 5.0 * math.sin(at / 9.0) + 0.05 * at + rng.gauss(0.0, 1.0),
    "huge": lambda rng, at, wave: (
        rng.choice((1e300, -1e300, 1e140, 3e139)) if rng.random() < 0.3 else wave * 1e30
    ),
    "tiny": lambda rng, at, wave: wave * rng.choice((1e-300, 1e-160, 1e-150)),
    "not finite": lambda rng, at, wave: (
        rng.choice((math.nan, math.inf, -math.inf)) if rng.random() < 0.2 else wave
    ),
    "gaps": lambda rng, at, wave: None if at % 40 > 33 else wave,
    "idle": lambda rng, at, wave: None if at > 50 and at % 150 > 110 else wave,
}
"""Kinds of series: the value of bucket `at`, None for no records; `wave` is `wave_at` that bucket."""


def cells_of(shapes: Sequence[str], seed: int, start: int, n: int, span_ms: int) -> list[Cell]:
    """Cells of a series for each shape."""
    rng = random.Random(seed)
    cells = []
    for series, shape in enumerate(shapes):
        for at in range(n):
            value = SHAPES[shape](rng, at, wave_at(rng, at, DAY_MS / span_ms))
            if value is not None:
                cells.append(Cell(start + at, series, value, rng.choice((1.0, 2.0, 5.0, 5.0, 5.0, 9.0))))
    return cells


def within(cells: Sequence[Cell], first: int, last: int) -> list[Cell]:
    """The cells of a range of buckets."""
    return [cell for cell in cells if first <= cell.bucket < last]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_agrees_over_every_kind_of_series(function: str) -> None:
    """Every probability, bound and score of every function is that of the twin."""
    span, n, start = 3_600_000, 420, 417_000
    pair = Pair(function, span, prune=30, n_series=len(SHAPES))
    pair.feed(cells_of(list(SHAPES), len(function), start, n, span), start, start + n)
    assert pair.scored > 2000


@pytest.mark.parametrize("function", ["count", "high_sum"])
def test_sparse_series_agree(function: str) -> None:
    """Empty buckets that have nothing to say are passed over, in one piece or many, and all else agrees."""
    rng, n = random.Random(6), 3000
    cells = []
    for series, share in enumerate((0.003, 0.01, 0.05, 0.1, 0.2, 0.24, 0.26, 0.3, 0.5, 0.9) * 2):
        silent = range(1500, 1500 + int(12 / share))
        there = (at for at in range(n) if rng.random() < share and at not in silent)
        cells += [Cell(at, series, float(rng.randint(1, 5) + 40 * (rng.random() < 0.03))) for at in there]
    whole = Pair(function, 300_000, prune=2000, n_series=20, threshold=0.01)
    whole.feed(cells, 0, n)
    cut = Pair(function, 300_000, prune=2000, n_series=20, threshold=0.01)
    for first, last in ((0, 1), (1, 700), (700, 1501), (1501, 1502), (1502, n)):
        cut.feed(within(cells, first, last), first, last)
    assert whole.found == cut.found > 50
    assert whole.scored < 0.7 * n * 20
    np.testing.assert_array_equal(whole.model.state, cut.model.state)


@pytest.mark.parametrize("minutes", [1, 15, 240, 719, 1440, 2880, 20160])
def test_every_bucket_span_agrees(minutes: int) -> None:
    """Gains, profiles and calendar follow the bucket span as in the twin."""
    span, n = minutes * 60_000, 500
    shapes = ("seasonal", "gaps", "wanders", "shift")
    pair = Pair("mean", span, prune=0, n_series=len(shapes))
    pair.feed(cells_of(shapes, minutes, 1000, n, span), 1000, 1000 + n)


PERIODS: tuple[Callable[[random.Random, int], float | None], ...] = (
    lambda rng, at: 100.0 + 60.0 * (at % 12 == 3),
    lambda rng, at: 100.0 + 20.0 * math.sin(2.0 * math.pi * at / 37.3) if rng.random() < 0.8 else None,
    lambda rng, at: 30.0 + 20.0 * math.sin(2.0 * math.pi * at / 6.6) - (40.0 if at > 1500 else 0.0),
    lambda rng, at: 50.0 + 10.0 * (-1) ** at if at < 900 else 50.0,
    lambda rng, at: 100.0 + 20.0 * math.sin(2.0 * math.pi * at / 150.0) if not 700 < at < 780 else None,
    lambda rng, at: 100.0,
)
"""Values without their noise: an hour, a fraction with gaps, one below zero, one that ends, a slow one."""


def test_periods_agree() -> None:
    """What is found, tuned and dropped, and when, is as in the twin; float32 magnifies rounding."""
    rng, n = random.Random(11), 3000
    cells = []
    for at in range(n):
        for series, law in enumerate(PERIODS):
            value = law(rng, at)
            if value is not None:
                cells.append(Cell(at, series, value + rng.gauss(0.0, 4.0)))
    pair = Pair("mean", 300_000, prune=0, n_series=len(PERIODS), rounding=1e-6)
    for first, last in ((0, 1000), (1000, 1003), (1003, n)):
        pair.feed(within(cells, first, last), first, last)
    found = [pair.twin.series[key].period.found for key in range(len(PERIODS))]
    assert [round(period.length) if period else 0 for period in found] == [12, 37, 7, 2, 149, 0]


def test_months_and_years_agree() -> None:
    """Paydays, a summer, gaps, a fall below zero: over years of days and months of hours."""
    rng = random.Random(12)
    for minutes, n in ((1440, 1200), (60, 24 * 110)):
        cells = []
        for at in range(n):
            day = (700_000 + at) * minutes // 1440
            wave = 30.0 * math.sin(2.0 * math.pi * day / 365.0) + 80.0 * (day % 30 == 7)
            for series, level in enumerate((100.0, 100.0, 45.0)):
                if series != 1 or rng.random() < 0.7:
                    cells.append(Cell(700_000 + at, series, level + wave + rng.gauss(0.0, 4.0)))
        pair = Pair("mean", minutes * 60_000, prune=0, n_series=3, rounding=1e-6)
        for first, last in ((0, n // 3), (n // 3, n // 3 + 2), (n // 3 + 2, n)):
            first, last = 700_000 + first, 700_000 + last
            pair.feed(within(cells, first, last), first, last)
        assert pair.twin.series[0].almanac.month.use(n * minutes / 1440) > 0.1


def test_a_long_life_agrees() -> None:
    """After thousands of buckets, where memories are full and limits reached, both still agree.

    An outlier's training weight falls so steeply that it magnifies rounding, hence the wider limit.
    """
    rng = random.Random(5)
    laws: list[Callable[[], float]] = [
        lambda: rng.uniform(90.0, 110.0),
        lambda: 100.0 + rng.gauss(0.0, 1.0) * (8.0 if rng.random() < 0.2 else 1.0),
        lambda: 100.0 + rng.gauss(0.0, 0.01),
    ]
    cells = [Cell(at, series, law()) for series, law in enumerate(laws) for at in range(6000)]
    Pair("mean", 300_000, prune=0, n_series=3, rounding=1e-6).feed(cells, 0, 6000)


TAILS: dict[str, tuple[Callable[[random.Random, int], float], int, int]] = {
    "rarely": (
        lambda rng, at: (
            100.0
            + 7.0 * (-1) ** (at + random.Random(at // 2).randint(0, 1))
            + rng.uniform(-1, 1)
            + 300.0 * (at > 300 and rng.random() < 0.001)
        ),
        5601,
        300_000,
    ),
    "far": (
        lambda rng, at: (
            100.0
            + 7.0 * (-1) ** (at + random.Random(at // 2).randint(0, 1))
            + rng.uniform(-1, 1)
            + 300.0 * (at > 300 and rng.random() < 0.02)
        ),
        5601,
        300_000,
    ),
    "often": (
        lambda rng, at: (
            100.0 + rng.gauss(0.0, 1.0) + rng.choice((-1, 1)) * 10.0 ** (at / 50) * (at > 150 and at % 3 == 0)
        ),
        800,
        DAY_MS,
    ),
    "hardly farther": (
        lambda rng, at: 100.0 + rng.choice((-1, 1)) * (5.0 if rng.random() < 0.11 else 2.0 * rng.random()),
        3500,
        300_000,
    ),
}
"""Values that pass the first level of the tail so: law, buckets, span."""


@pytest.mark.parametrize("kind", TAILS)
def test_tails_beyond_what_is_believed_agree(kind: str) -> None:
    """Where a tail is rarer, more frequent, longer or shorter than is believed, both stop at its limits.

    Of the rate beyond the first level those are exp(-4.6) and exp(-1.9); from level to level ln rate falls
    by 0.02 to 1 (from the first to the second 1.2) times what the level rises by.
    """
    law, n, span = TAILS[kind]
    rng = random.Random(5)
    pair = Pair("mean", span, prune=0, rounding=1e-6)
    pair.feed([Cell(at, 0, law(rng, at)) for at in range(n)], 0, n)
    tail = pair.twin.series[0].tail
    rates = [
        (300.0 * math.exp(-level) + tail.count * rate) / (300.0 + tail.count)
        for level, rate in zip(TAIL_LEVELS, tail.rates, strict=True)
    ]
    falls = [
        math.log(before / after) / (end - start)
        for (before, start), (after, end) in pairwise(zip(rates, TAIL_LEVELS, strict=True))
    ]
    if kind == "rarely":
        assert rates[0] < math.exp(-4.6)
    elif kind == "far":
        assert min(falls) < 0.02
    elif kind == "hardly farther":
        assert math.exp(-4.6) < rates[0] < math.exp(-1.9)
        assert max(falls) > 1.0
    else:
        assert rates[0] > math.exp(-1.9)


def test_runs_on_one_side_agree() -> None:
    """Where a new level begins, what interrupts it and when it is accepted, is as in the twin."""
    rng = random.Random(8)
    cells, n, n_series = [], 230, 80
    for series in range(n_series):
        step, contrary, missing = rng.uniform(2.5, 9.0), rng.uniform(0.0, 0.6), rng.uniform(0.0, 0.4)
        base, side = rng.choice(((500.0, 1.0), (6.0, -1.0)))  # some fall below zero during the run
        for at in range(n):
            if at <= 200 or rng.random() > missing:
                is_shifted = at >= 200 and rng.random() > contrary
                cells.append(Cell(at, series, base + rng.gauss(side * step * is_shifted, 0.8)))
    pair = Pair("mean", DAY_MS, prune=0, n_series=n_series)
    accepted = []
    for at in range(n):
        before = {key: series.shift for key, series in pair.twin.series.items()}
        pair.feed(within(cells, at, at + 1), at, at + 1)
        accepted += [key for key in before if before[key] and pair.twin.series[key].slope == 0.0]
    assert len(accepted) > 20


def test_means_of_few_records_agree() -> None:
    """What is usual of the number of records, and how much a mean of few is forgiven, is as in the twin."""
    rng = random.Random(9)
    records = [rng.choice((1000.0, 900.0, 8.0, 1.0)) if at > 30 else 1000.0 for at in range(200)]
    cells = [Cell(at, 0, 100.0 + rng.gauss(0.0, 5.0), n) for at, n in enumerate(records)]
    Pair("mean", 3_600_000, prune=0).feed(cells, 0, 200)


@pytest.mark.parametrize("minutes", [1, 7, 60, 420, 1439, 1440, 2160, 2880, 20160])
def test_a_series_is_forgotten_after_as_long_as_in_the_twin(minutes: int) -> None:
    """By default it is 30 days, in whole buckets, and at least 20 buckets."""
    config = {
        "analysis_config": {"bucket_span": f"{minutes}m", "detectors": [{"function": "count"}]},
        "data_description": {"time_field": "t"},
    }
    analysis = JobConfig.parse(config).analysis_config
    prune = NaiveModel(config).prune
    assert analysis.model_prune_window_ms == prune * minutes * 60_000
    for idle in (prune, prune + 1):
        pair = Pair("mean", minutes * 60_000, analysis.model_prune_window_ms // (minutes * 60_000))
        pair.twin.settings = pair.twin.settings._replace(prune=prune)
        cells = [Cell(at, 0, 100.0 + at % 3) for at in (*range(20), 19 + idle, 20 + idle)]
        pair.feed(cells, 0, 21 + idle)
        assert pair.scored == (10 if idle == prune else 8)


@st.composite
def passes(draw: st.DrawFn) -> tuple[int, list[tuple[int, str]]]:
    """A seed, and what is done at which buckets: go on, interim results, skip."""
    acts = st.tuples(st.integers(1, 60), st.sampled_from(("close", "interim", "skip")))
    return draw(st.integers(0, 2**32)), draw(st.lists(acts, min_size=4, max_size=12))


@settings(max_examples=25)
@given(passes(), st.sampled_from(FUNCTIONS), st.sampled_from((0, 2, 20)), st.sampled_from((300, 3600, 43200)))
def test_passes_interim_results_and_skips_agree(
    plan: tuple[int, list[tuple[int, str]]], function: str, prune: int, seconds: int
) -> None:
    """However the buckets come, with interim results and skipped time between, both agree."""
    seed, acts = plan
    rng = random.Random(seed)
    shapes = rng.sample(list(SHAPES), 4)
    n = sum(length for length, _ in acts) + 5
    cells = cells_of(shapes, seed, 500, n, seconds * 1000)
    # The training weight of an odd count depends on rounding more than on anything near it.
    rounding = 1e-7 if function in COUNTING else 1e-9
    pair = Pair(function, seconds * 1000, prune, n_series=len(shapes), rounding=rounding)
    at, skipped = 500, 0
    for length, act in acts:
        if act == "skip":
            skipped += length
        else:
            pair.feed(within(cells, at, at + length), at, at + length, skipped=skipped)
        at += length
        if act == "interim":
            shares = [rng.choice((0.0, 0.3, 0.9, 1.0)) for _ in range(3)]
            pair.feed(within(cells, at, at + 3), at, at + 3, skipped=skipped, completeness=shares)


_ANY = st.one_of(
    st.floats(-100.0, 100.0), st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1e140, -1e140, 5e-324, math.nan])
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(_ANY, st.sampled_from((1, 1, 1, 1, 2, 9, 40))), min_size=14, max_size=120),
    st.sampled_from(FUNCTIONS),
    st.integers(0, 30),
)
def test_any_values_agree(values: list[tuple[float, int]], function: str, prune: int) -> None:
    """No sequence of numbers, however absurd, makes them differ."""
    cells, bucket = [], 10_000
    for value, gap in values:
        bucket += gap
        cells.append(Cell(bucket, 0, value))
    Pair(function, 3_600_000, prune).feed(cells, 10_000, bucket + 1)
