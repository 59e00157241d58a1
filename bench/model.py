"""The model by itself, beside streaming and batch detectors: values scored per second and core."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import inside
from .inputs import DAY_MS, SPAN_MS, START_MS
from .measure import CORES, Run, Size, medians, versions
from .tables import NO_GOAL, Table, at_least

DAY = DAY_MS // SPAN_MS
"""Buckets of a season."""
WARM_DAYS = 14
SCORED_RATE, RIVER_RATIO, THREADS_RATIO = 4.0, 16.0, 1.8


class Peer(NamedTuple):
    """What does comparable work: `make` gives a run that takes a number of values."""

    make: Callable[[int], Run]
    values: int
    """How many values one run takes: fewer for the slow."""
    does: str


def seasonal(n_buckets: int, n_series: int, first: int, day: int = DAY) -> npt.NDArray[np.float64]:
    """Values by bucket, then by series: a daily season with noise, no two series in phase."""
    random = np.random.default_rng(first)
    turn = np.arange(first, first + n_buckets)[:, None] / day + np.arange(n_series) / n_series
    return 100.0 + 10.0 * np.sin(2 * np.pi * turn) + random.normal(0.0, 3.0, (n_buckets, n_series))


def ours(n_series: int, n_buckets: int, threads: int, span_ms: int = SPAN_MS) -> Run:
    """Predicts, scores and trains; each run goes on with the next buckets of every series.

    The models have seen two weeks before, so they have found the season.
    """
    score = inside.scorer(threads, span_ms)
    position, day = START_MS // span_ms, DAY_MS // span_ms
    prepared: list[Callable[[], int]] = []

    def prepare(buckets: int) -> Callable[[], int]:
        nonlocal position
        first = position
        position += buckets
        return score(seasonal(buckets, n_series, first, day), first)

    for _ in range(WARM_DAYS):
        prepare(day)()

    def run() -> int:
        return prepared.pop()()

    def ready() -> None:
        prepared[:] = [prepare(n_buckets)]

    run.ready = ready  # type: ignore[attr-defined]
    return run


def holt_winters(values: int) -> Run:
    """River: forecast, score the residual by its running deviation, learn."""
    from river import stats, time_series

    model: Any = time_series.HoltWinters(alpha=0.1, beta=0.01, gamma=0.1, seasonality=DAY)
    mean, variance = stats.Mean(), stats.Var()
    warm, data = np.split(seasonal(values + DAY, 1, 0).reshape(-1), [DAY])
    for value in warm.tolist():
        model.learn_one(value)

    def run() -> int:
        scores = []
        for value in data.tolist():
            residual = value - model.forecast(1)[0]
            deviation = variance.get() ** 0.5
            scores.append((residual - mean.get()) / deviation if deviation else 0.0)
            mean.update(residual)
            variance.update(residual)
            model.learn_one(value)
        return len(scores)

    return run


def half_space_trees(values: int) -> Run:
    """River: ten trees of height eight over the value, scaled to 0..1."""
    from river import anomaly

    model: Any = anomaly.HalfSpaceTrees(seed=1)
    data = (seasonal(values, 1, 0).reshape(-1) / 200.0).tolist()

    def run() -> int:
        scores = []
        for value in data:
            point = {"value": value}
            scores.append(model.score_one(point))
            model.learn_one(point)
        return len(scores)

    return run


def random_cut_forest(values: int) -> Run:
    """rcf3: 50 trees of 256 points, over the last eight values."""
    from rcf3 import Forest

    model = Forest(1, shingle_size=8, seed=1)
    data = seasonal(values, 1, 0).reshape(-1).tolist()
    return lambda: len([model.update_and_score([value]) for value in data])


def seasonal_naive(values: int) -> Run:
    """Statsforecast: a frame of series of two weeks, fitted values with 99% bounds."""
    job, frame = _statsforecast(), _frame(values)

    def run() -> int:
        job.forecast(df=frame, h=1, level=[99], fitted=True)
        return len(job.forecast_fitted_values())

    return run


def seasonal_naive_forecast(values: int) -> Run:
    """Statsforecast: fit and predict one value per series of a frame; nothing is scored."""
    job, frame = _statsforecast(), _frame(values)

    def run() -> int:
        job.fit(df=frame).predict(h=1)
        return len(frame)

    return run


def _statsforecast() -> Any:
    """The model for any series; its import may warn of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from statsforecast import StatsForecast
        from statsforecast.models import SeasonalNaive

    return StatsForecast(models=[SeasonalNaive(DAY)], freq=1, n_jobs=1)


def _frame(values: int) -> Any:
    import pandas as pd  # type: ignore[import-untyped]

    n_series, n_buckets = max(values // (WARM_DAYS * DAY), 1), WARM_DAYS * DAY
    bucket, series = np.tile(np.arange(n_buckets), n_series), np.repeat(np.arange(n_series), n_buckets)
    value = seasonal(n_buckets, n_series, 0).T.reshape(-1)
    return pd.DataFrame({"unique_id": series, "ds": bucket, "y": value})


PEERS = {
    "river HoltWinters residual": Peer(
        holt_winters,
        20_000,
        "one value after another: level, trend and season; a z-score of the residual; no probability "
        "by kind of data, no gaps, no choice of season",
    ),
    "river HalfSpaceTrees": Peer(
        half_space_trees,
        4_000,
        "one value after another: 10 trees of height 8, knows no season and predicts nothing",
    ),
    "rcf3 Forest": Peer(
        random_cut_forest,
        3_000,
        "one value after another, in Rust: 50 trees of 256 points over the last 8 values; knows no season",
    ),
    "statsforecast SeasonalNaive, bounds": Peer(
        seasonal_naive,
        80 * WARM_DAYS * DAY,
        "a batch, not a stream: yesterday's value and 99% bounds for every value, from one deviation of "
        "the whole series",
    ),
    "statsforecast SeasonalNaive, fit and predict": Peer(
        seasonal_naive_forecast,
        80 * WARM_DAYS * DAY,
        "a batch, not a stream: keeps the last day of each series and scores nothing",
    ),
}


def table(size: Size) -> Table:
    """The model beside its peers."""
    n_series, n_buckets = 1_000, DAY
    values = {name: peer.values for name, peer in PEERS.items()}
    runs = {name: peer.make(peer.values) for name, peer in PEERS.items()}
    data = seasonal(n_buckets, n_series, 0)
    work = {"one": ours(n_series, n_buckets, 1), "all": ours(n_series, n_buckets, CORES)}
    taken = medians(runs | work | {"read": lambda: float(data.sum())}, max(size.repeats, 3))
    rate = {name: values.get(name, data.size) / spent / 1e6 for name, spent in taken.items()}
    one = rate["one"]
    rows = [
        ("tidegate, 1 thread", f"{one:.2f}", "", *at_least(one, SCORED_RATE, " M/s")),
        (f"tidegate, {CORES} threads", f"{rate['all']:.2f}", "", *_threads_goal(rate["all"] / one)),
    ]
    for name in PEERS:
        goal = at_least(one / rate[name], RIVER_RATIO) if name == next(iter(PEERS)) else NO_GOAL
        rows.append((name, f"{rate[name]:.3g}", f"{one / rate[name]:.3g}x", *goal))
    rows.append(("memory read of the values", f"{rate['read']:.0f}", f"{one / rate['read']:.2g}x", *NO_GOAL))
    return Table(
        f"Model: {n_series:,} series with a daily season in 5-minute buckets, after {WARM_DAYS} days; "
        "predict, score and train. M series-buckets/s; the peers on one core; "
        f"{versions('river', 'rcf3', 'statsforecast')}.",
        ("", "M/s", "ours on 1 thread / it", "goal", "met"),
        rows,
        [f"{name}: {peer.does}." for name, peer in PEERS.items()],
    )


def _threads_goal(ratio: float) -> tuple[str, str]:
    goal, met = at_least(ratio, THREADS_RATIO)
    return f"{goal} one", f"{met} ({ratio:.2f}x)"
