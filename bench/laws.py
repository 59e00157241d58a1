"""Synthetic laws with fixed seeds: values of many series in hourly buckets, nothing unusual in them.

A law draws ``(buckets, series)`` values, one bucket of one hour a row, from midnight on; NaN is a
bucket without a record. The values of a law of the function `count` are numbers of records.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], F64]

DAY, WEEK = 24, 168
"""In buckets."""
AS_ASSUMED = "yes"


@dataclass(frozen=True, slots=True)
class Law:
    """How values come about, by which function a job sees them, and what the model makes of it.

    >>> LAWS["Poisson 3"].values(series=2, buckets=3)
    array([[2., 6.],
           [3., 4.],
           [2., 2.]])
    """

    name: str
    draw: Draw
    """Values of (generator, series, buckets)."""
    function: str = "mean"
    assumed: str = AS_ASSUMED
    """Whether the model's assumptions hold: a level with slope, a daily and a weekly season, errors
    that are Student's with some first-order autocorrelation and a variance by phase, of the value
    or of its square root. If not, what does not."""

    def values(self, series: int, buckets: int) -> F64:
        """The same values at every call; the seed is the name's."""
        return self.draw(np.random.default_rng(zlib.crc32(self.name.encode())), series, buckets)


def autoregressive(random: np.random.Generator, series: int, buckets: int, keep: float) -> F64:
    """First-order autoregression of unit variance, stationary from the first bucket on."""
    values = random.normal(size=(buckets, series))
    values[1:] *= np.sqrt(1.0 - keep * keep)
    for k in range(1, buckets):
        values[k] += keep * values[k - 1]
    return values


def wave(random: np.random.Generator, series: int, buckets: int, period: int) -> F64:
    """A sine from -1 to 1, at its own phase for every series."""
    phase = random.uniform(0.0, 1.0, series)
    return np.sin(2.0 * np.pi * (np.arange(buckets)[:, None] / period + phase))


def _normal(random: np.random.Generator, series: int, buckets: int) -> F64:
    return 100.0 + 5.0 * random.normal(size=(buckets, series))


def _autoregressive(random: np.random.Generator, series: int, buckets: int) -> F64:
    return 100.0 + 5.0 * autoregressive(random, series, buckets, 0.8)


def _trend(random: np.random.Generator, series: int, buckets: int) -> F64:
    """A deviation every 100 buckets."""
    return _normal(random, series, buckets) + 0.05 * np.arange(buckets)[:, None]


def _seasonal(random: np.random.Generator, series: int, buckets: int) -> F64:
    """A day of +-4 and a week of +-2 deviations; the deviation itself goes from 1 to 3 over the day."""
    day, week = wave(random, series, buckets, DAY), wave(random, series, buckets, WEEK)
    return 100.0 + 8.0 * day + 4.0 * week + (2.0 + day) * random.normal(size=(buckets, series))


def _log_normal(random: np.random.Generator, series: int, buckets: int) -> F64:
    return 20.0 * np.exp(0.8 * random.normal(size=(buckets, series)))


def _exponential(random: np.random.Generator, series: int, buckets: int) -> F64:
    return random.exponential(20.0, (buckets, series))


def _poisson(mean: float) -> Draw:
    def draw(random: np.random.Generator, series: int, buckets: int) -> F64:
        return random.poisson(mean, (buckets, series)).astype(np.float64)

    return draw


def _negative_binomial(random: np.random.Generator, series: int, buckets: int) -> F64:
    """Mean 10, variance 60."""
    return random.negative_binomial(2, 1.0 / 6.0, (buckets, series)).astype(np.float64)


def _seasonal_counts(random: np.random.Generator, series: int, buckets: int) -> F64:
    """Rates from 10 to 190 over the day."""
    return random.poisson(100.0 + 90.0 * wave(random, series, buckets, DAY)).astype(np.float64)


def _student(random: np.random.Generator, series: int, buckets: int) -> F64:
    return 100.0 + 5.0 * random.standard_t(3.0, (buckets, series))


def _sparse(random: np.random.Generator, series: int, buckets: int) -> F64:
    """A normal value in one bucket of five."""
    values = _normal(random, series, buckets)
    values[random.uniform(size=values.shape) >= 0.2] = np.nan
    return values


def _sparse_counts(random: np.random.Generator, series: int, buckets: int) -> F64:
    """One record or more, Poisson 3 after the first, in one bucket of five."""
    values = 1.0 + random.poisson(3.0, (buckets, series))
    return np.where(random.uniform(size=values.shape) < 0.2, values, 0.0)


def _constant(random: np.random.Generator, series: int, buckets: int) -> F64:
    """A level that goes up or down by 1, for good, once in 200 buckets."""
    steps = random.choice((-1.0, 1.0), (buckets, series))
    return 50.0 + np.where(random.uniform(size=steps.shape) < 1.0 / 200.0, steps, 0.0).cumsum(axis=0)


def _bimodal(random: np.random.Generator, series: int, buckets: int) -> F64:
    """Two modes ten deviations apart, seven values in ten at the lower."""
    low = random.uniform(size=(buckets, series)) < 0.7
    return np.where(low, 100.0, 150.0) + 5.0 * random.normal(size=(buckets, series))


LAWS = {
    law.name: law
    for law in (
        Law("normal", _normal),
        Law("autoregressive 0.8", _autoregressive),
        Law("trend", _trend),
        Law("day and week, variance by phase", _seasonal),
        Law("log-normal 0.8", _log_normal, assumed="skewed, long tail"),
        Law("exponential", _exponential, assumed="skewed"),
        Law("Student 3", _student, assumed="tail longer than any it fits"),
        Law("bimodal", _bimodal, assumed="two modes"),
        Law("constant with steps of 1", _constant, assumed="no errors but steps"),
        Law("80% empty, normal", _sparse),
        Law("80% empty, counts", _sparse_counts, "count", "one bucket in five not zero"),
        Law("Poisson 0.3", _poisson(0.3), "count", "few distinct values"),
        Law("Poisson 3", _poisson(3.0), "count", "few distinct values"),
        Law("Poisson 300", _poisson(300.0), "count"),
        Law("Poisson, daily rate 10 to 190", _seasonal_counts, "count"),
        Law("negative binomial 10, variance 60", _negative_binomial, "count", "skewed"),
    )
}
