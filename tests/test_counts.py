"""The law of counts: its tails beside exact ones, mid-p, and what becomes of values without bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest

from tidegate_kernels import counts, state
from tidegate_kernels.registry import Kernel

MEANS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e6)
DISPERSIONS = (1.0, 1.1, 1.5, 2.0, 5.0, 20.0, 100.0)
FARTHEST = -150.0
"""Logarithms of p below this are not compared."""


def deviations(x, mean, size, out):
    """The deviation of every count."""
    for i in range(len(x)):
        out[i] = counts.count_deviation(x[i], mean[i], size[i])
    return len(x)


def judgements(given, settings, w, out):
    """Log p, sharpness and odds of every row: count, forecast root, sd, dispersion, odds, Student's, size."""
    lane, rates = np.uint64(0), state.rates_of(settings)
    for i in range(len(given) // 7):
        w[state.WHOLE_VALUE] = given[7 * i]
        w[state.FORECAST] = given[7 * i + 1]
        w[state.SD_E] = given[7 * i + 2]
        w[state.DISPERSION] = given[7 * i + 3]
        w[state.COUNT_ODDS] = given[7 * i + 4]
        w[state.LOG_P_SINGLE] = given[7 * i + 5]
        w[state.SIZE] = w[state.SHARP] = given[7 * i + 6]
        w[state.COUNT] = 1e6
        w[state.DEGREES] = 8.0
        w[state.IS_SCORED] = w[state.IS_LEARNED] = 1.0
        counts.judge_count(w, lane, rates)
        out[3 * i] = w[state.LOG_P_SINGLE]
        out[3 * i + 1] = w[state.SHARP]
        out[3 * i + 2] = w[state.COUNT_ODDS]
    return len(given)


def both_ways(function: Callable[..., int], signature: str, *arrays: np.ndarray, size: int) -> np.ndarray:
    """The output of compiled code, which is that of plain Python to the last bit."""
    made = Kernel(function, signature)
    compiled, plain = np.empty(size), np.empty(size)
    made.compile()(*arrays, compiled)
    made.interpret(*arrays, plain)
    np.testing.assert_array_equal(compiled, plain)
    return compiled


def judge(rows: list[tuple[float, ...]]) -> np.ndarray:
    """Columns of `judgements`."""
    given = np.array(rows).ravel()
    w, settings = np.zeros(state.WORK_SIZE), np.ones(state.SETTINGS_SIZE)
    signature = "i64(in f64[], in f64[], out f64[], out f64[])"
    out = both_ways(judgements, signature, given, settings, w, size=3 * len(rows))
    return out.reshape(-1, 3).T


# Exact tails, by sums of exact terms


def size_of(mean: float, dispersion: float) -> float:
    """The size of the negative binomial law; infinite for Poisson's."""
    return mean / (dispersion - 1.0) if dispersion > 1.0 else math.inf


def log_mass(x: float, mean: float, size: float) -> float:
    """Ln P(X = x)."""
    if size == math.inf:
        return x * math.log(mean) - mean - math.lgamma(x + 1.0)
    log_p, log_q = -math.log1p(mean / size), -math.log1p(size / mean)
    ways = math.lgamma(x + size) - math.lgamma(size) - math.lgamma(x + 1.0)
    return ways + size * log_p + x * log_q


def exact_tails(x: float, mean: float, dispersion: float) -> tuple[float, float]:
    """Ln P(X <= x) and ln P(X > x), the smaller as a sum of terms away from the mean."""
    size, sd = size_of(mean, dispersion), math.sqrt(mean * dispersion)
    far = int(25.0 * sd + 60.0 * dispersion + 60.0)
    if x >= mean:
        j = x + 1.0 + np.arange(far)
        ratios = mean / (j + 1.0) if size == math.inf else (j + size) / (j + 1.0) * mean / (mean + size)
        above = log_mass(x + 1.0, mean, size) + math.log1p(np.cumprod(ratios).sum())
        return math.log(-math.expm1(min(above, -1e-300))), above
    j = x - np.arange(min(far, int(x)))
    ratios = j / mean if size == math.inf else j / (j + size - 1.0) * (mean + size) / mean
    upto = log_mass(x, mean, size) + math.log1p(np.cumprod(ratios).sum())
    return upto, math.log(-math.expm1(upto))


def log_normal_below(z: float) -> float:
    """Ln P(Z <= z); beyond 37 deviations by its leading terms."""
    if z > -37.0:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    return -0.5 * z * z - math.log(-z * math.sqrt(2.0 * math.pi)) - 1.0 / (z * z)


def counts_of(mean: float, dispersion: float) -> Iterator[float]:
    """Counts from 0 to far beyond what a series of this law will ever see."""
    sd = math.sqrt(mean * dispersion)
    around = {round(mean + 0.5 * k * sd) for k in range(-30, 61)} | set(range(10))
    return (float(x) for x in sorted(around) if x >= 0)


def points(sizes: Callable[[float], bool]) -> list[tuple[float, float, float]]:
    """(count, mean, dispersion) of all laws with such sizes."""
    laws = [law for law in product(MEANS, DISPERSIONS) if sizes(size_of(*law))]
    return [(x, *law) for law in laws for x in counts_of(*law)]


def deviations_of(rows: list[tuple[float, float, float]]) -> list[float]:
    """What the kernel makes of them; it calls a dispersion of 1 one of 1.0001."""
    x, mean, dispersion = np.ascontiguousarray(np.array(rows).T)
    size = mean / np.maximum(dispersion - 1.0, 1e-4)
    signature = "i64(in f64[], in f64[], in f64[], out f64[])"
    return both_ways(deviations, signature, x, mean, size, size=len(x)).tolist()


def test_the_exact_tails_are_exact() -> None:
    """They agree with what is known: Poisson's of 1, the geometric law, and both tails make 1."""
    assert exact_tails(0.0, 1.0, 1.0)[0] == pytest.approx(-1.0)
    assert exact_tails(3.0, 1.0, 1.0)[1] == pytest.approx(math.log(1.0 - 8.0 / 3.0 / math.e))
    for x in (0.0, 2.0, 5.0, 40.0):
        assert exact_tails(x, 4.0, 5.0)[1] == pytest.approx((x + 1.0) * math.log(0.8))
    for x, mean, dispersion in ((99.0, 100.0, 3.0), (120.0, 100.0, 1.0)):
        assert sum(map(math.exp, exact_tails(x, mean, dispersion))) == pytest.approx(1.0)


def worst(rows: list[tuple[float, float, float]], absolute: float, relative: float) -> float:
    """The largest error of a logarithm of either tail, in what is allowed; tails above e^-0.3 aside."""
    found = 0.0
    for row, z in zip(rows, deviations_of(rows), strict=True):
        for exact, ours in zip(exact_tails(*row), map(log_normal_below, (z, -z)), strict=True):
            if FARTHEST < exact < -0.3:
                found = max(found, abs(ours - exact) / (absolute + relative * abs(exact)))
    return found


def test_tails_are_those_of_the_law() -> None:
    """Errors of ln p are below 0.05 + 0.02 |ln p| from a size of 2 on, 0.2 + 0.08 |ln p| from 1/2 on."""
    assert worst(points(lambda size: size >= 2.0), 0.05, 0.02) < 1.0
    assert worst(points(lambda size: 0.5 <= size < 2.0), 0.2, 0.08) < 1.0


def test_tails_of_the_usual_are_close() -> None:
    """Where means are 3 at least and sizes 5, p of e^-14 and more is within a fifth."""
    rows = [row for row in points(lambda size: size >= 5.0) if row[1] >= 3.0]
    for row, z in zip(rows, deviations_of(rows), strict=True):
        for exact, ours in zip(exact_tails(*row), map(log_normal_below, (z, -z)), strict=True):
            assert exact < -14.0 or abs(ours - exact) < 0.2, row


def test_a_burst_of_a_law_of_bursts_is_hardly_ever_told_too_soon() -> None:
    """Below a size of 1/2, two deviations above the mean, p is no less than a tenth below the exact one."""
    rows = points(lambda size: size < 0.5)
    for (x, mean, dispersion), z in zip(rows, deviations_of(rows), strict=True):
        exact = exact_tails(x, mean, dispersion)[1]
        if exact > FARTHEST and x >= mean + 2.0 * math.sqrt(mean * dispersion):
            assert log_normal_below(-z) > exact - 0.12, (x, mean, dispersion)


def test_more_is_never_less_odd_above_and_more_odd_below() -> None:
    """From a size of 1/2 on deviations rise with the count, and nothing is below 0."""
    rows = points(lambda size: size >= 0.5)
    found = deviations_of(rows)
    for (x, *law), z, (_, *next_law), after in zip(rows, found, rows[1:], found[1:], strict=False):
        assert after > z or law != next_law, (x, law)
    assert deviations_of([(-1.0, 3.0, 2.0), (-0.5, 1e6, 1.0)]) == [-counts.FAR] * 2


CERTAIN, FALSE = 20.0, -20.0
"""Log odds of the count law: as good as alone, and as good as not there."""


def expected(mean: float, dispersion: float, odds: float = CERTAIN) -> tuple[float, ...]:
    """What precedes Student's results in a row of `judgements`, after the count."""
    return (math.sqrt(mean - min(0.25, mean / 2.0)), math.sqrt(min(0.25, mean / 2.0)), dispersion - 1.0, odds)


def exact_mid_p(x: float, mean: float, dispersion: float) -> float:
    """Twice the smaller tail, that with half the probability of the count, at most 1."""
    upto, above = map(math.exp, exact_tails(x, mean, dispersion))
    here = math.exp(log_mass(x, mean, size_of(mean, dispersion)))
    return min(2.0 * min(upto - 0.5 * here, above + 0.5 * here), 1.0)


def test_p_is_the_mid_p_of_the_count() -> None:
    """From a size of 1 on and for p from 1e-10 to 0.1 it is within a third of the exact one."""
    laws = [law for law in product(MEANS[2:9], (1.0, 1.1, 2.0, 5.0, 20.0)) if size_of(*law) >= 1.0]
    rows = [(x, *law) for law in laws for x in counts_of(*law)]
    log_p, *_ = judge([(x, *expected(mean, phi), -1e5, 9.0) for x, mean, phi in rows])
    told = [
        (row, abs(ours - math.log(exact)))
        for row, ours in zip(rows, log_p, strict=True)
        if 1e-10 < (exact := exact_mid_p(*row)) < 0.1
    ]
    assert len(told) > 300
    assert max(told, key=lambda found: found[1])[1] < math.log(4.0 / 3.0)


def test_the_law_that_foretold_better_decides() -> None:
    """With odds far on one side p is that of one law, with even odds the mean of both; odds learn."""
    law = (100.0, 1.0)
    (own, student, both), _, (for_it, _, after) = judge(
        [(150.0, *expected(*law, odds), -3.0, 4.8) for odds in (CERTAIN, FALSE, 0.0)]
    )
    assert own == pytest.approx(math.log(exact_mid_p(150.0, *law)), rel=0.01)
    assert student == pytest.approx(-3.0, abs=1e-6)
    assert both == pytest.approx(math.log(0.5 * (math.exp(own) + math.exp(-3.0))), rel=1e-6)
    assert -5.0 <= after < 0.0  # 150 is what Student's law, with its heavier tails, had rather foretold
    assert for_it < CERTAIN
    _, _, [usual] = judge([(0.0, math.sqrt(0.05), math.sqrt(0.05), 0.0, 0.0, 0.0, 1.0)])
    assert usual > 0.0  # a zero of a series of zeros


def test_a_share_of_one_in_a_billion_is_exact() -> None:
    """However far the odds are on the side of the count law, Student's keeps exp(-odds) of what it says."""
    odds = 19.0
    [log_p], *_ = judge([(1e6, *expected(10.0, 1.0, odds), -3.0, 9.0)])
    assert log_p == pytest.approx(-3.0 - math.log1p(math.exp(odds)), rel=1e-12)


def test_values_without_bounds_leave_numbers() -> None:
    """Counts from nothing to more than there can be, of any law, have finite p up to 1 and finite odds."""
    extremes = (0.0, 1e-300, 1e-9, 0.5, 1.0, 1e9, 1e70, state.HUGE)
    roots, sds = (-1e70, 0.0, 1e-150, 1.0, 1e70), (1e-75, 0.5, 1e70)
    rows = [
        (x, root, sd, dispersion, odds, student, size)
        for x, root, sd in product(extremes, roots, sds)
        for dispersion in (-1.0, 0.0, 1e9, 1e60)
        for odds, student, size in ((CERTAIN, 0.0, 0.0), (FALSE, -1e5, 1e150))
    ]
    log_p, sharp, odds = judge(rows)
    assert np.isfinite(log_p).all()
    assert (log_p <= 0.0).all()
    assert np.isfinite(sharp).all()
    assert (sharp >= 0.0).all()
    assert (abs(odds) <= counts.ODDS_MOST).all()


def test_values_below_zero_leave_numbers() -> None:
    """Who calls values counts that are not, and as large as can be, is answered all the same."""
    sizes = (-1e140, 1e140)
    rows = [(x, root, sd, 0.0, 5.0, -1.0, 1.0) for x, root, sd in product(sizes, sizes, (1.0, 1e140))]
    assert np.isfinite(judge(rows)).all()
