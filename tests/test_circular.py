"""Times of the day and the week: the density is its twin's, calm on every law and awake to what is odd."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.density_laws import DAY, HOUR, TIMES, times
from tests.density_run import judge_times, time_settings
from tests.naive_circular import Circle, NaiveCircular

from tidegate_kernels import circle

WARM = 100
SERIES = 20


def twin(settings: np.ndarray) -> NaiveCircular:
    """The twin with the settings of the kernel."""
    period, slots, *rest = settings[: circle.THRESHOLD].tolist()
    return NaiveCircular(Circle(period, int(slots), *rest))


@pytest.mark.parametrize("is_week", [False, True])
@pytest.mark.parametrize("name", TIMES)
def test_the_kernel_is_its_twin(name: str, is_week: bool) -> None:
    """Whatever the times are, ln p is that of the definition."""
    settings = time_settings(TIMES[name][0], is_week=is_week)
    model, bucket, time, _ = (column[:250] for column in times(name, 1, 300))
    time = time % settings[circle.PERIOD]
    time[[120, 125]] = 0.37 * settings[circle.PERIOD]
    naive = twin(settings)
    expected = [naive.bucket(b, [t])[0] for b, t in zip(bucket.tolist(), time.tolist(), strict=True)]
    found = judge_times(model, bucket, time, settings).log_p
    assert min(expected) < -0.5
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_population_is_scored_before_it_is_learned_from() -> None:
    """Several times of one bucket are judged by what was before the bucket, as the twin does it."""
    random = np.random.default_rng(1)
    settings = time_settings(HOUR)
    bucket = np.sort(random.integers(0, 40, 300)) + 9
    time = (bucket * HOUR + random.uniform(0.0, HOUR, 300)) % DAY
    order = np.lexsort((time, bucket))
    bucket, time = bucket[order], time[order]
    naive, expected = twin(settings), []
    for b in np.unique(bucket):
        expected += naive.bucket(int(b), time[bucket == b].tolist())
    found = judge_times(np.zeros(300, np.int64), bucket, time, settings).log_p
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("is_week", [False, True])
@pytest.mark.parametrize("name", TIMES)
def test_p_is_a_probability(name: str, is_week: bool) -> None:
    """On what stays as it is, p below 0.01 and 0.001 is no more frequent than that, whatever the law."""
    settings = time_settings(TIMES[name][0], is_week=is_week)
    model, bucket, time, number = times(name, SERIES, 250)
    log_p = judge_times(model, bucket, time % settings[circle.PERIOD], settings).log_p
    young, warm = log_p[number < WARM], log_p[number >= WARM]
    for p, most in ((0.1, 2.0), (0.01, 1.5), (0.001, 2.0)):
        assert np.mean(young < math.log(p)) <= most * p
        assert np.mean(warm < math.log(p)) <= most * p


def test_p_is_not_needlessly_cautious() -> None:
    """Where the law has tails, p below 0.1 and 0.01 comes at least half as often as it should."""
    model, bucket, time, number = times("around midnight", SERIES, 400)
    log_p = judge_times(model, bucket, time % DAY, time_settings(900.0)).log_p[number >= 400]
    assert np.mean(log_p < math.log(0.1)) >= 0.05
    assert np.mean(log_p < math.log(0.01)) >= 0.005


ODD = {
    "shift": (3.0, 13.0),
    "full shift": (3.0, 13.0),
    "two modes": (20.0, 15.0),
    "at two": (4.0, 2.0),
    "around midnight": (12.0, 0.0),
}
"""An hour that is odd, and the hour that is typical then."""


@pytest.mark.parametrize("name", ODD)
def test_an_odd_time_is_found(name: str) -> None:
    """A time when the series was never seen is rarer than two in a thousand and the least probable of all."""
    odd, usual = (hour * HOUR for hour in ODD[name])
    span = TIMES[name][0]
    model, bucket, time, _ = times(name, 1, 200)
    model, bucket = np.append(model, 0), np.append(bucket, int(bucket[-1] + odd / span) + 1)
    judged = judge_times(model, bucket, np.append(time % DAY, odd), time_settings(span))
    assert judged.log_p[-1] < math.log(0.002)
    assert np.argmin(judged.log_p) == len(time)
    typical, lower, upper = (judged.columns[key][-1] for key in ("typical", "lower", "upper"))
    apart = abs(typical - usual)
    assert min(apart, DAY - apart) < HOUR
    inside = (usual - lower) % DAY < (upper - lower) % DAY
    assert inside
    assert not (odd - lower) % DAY < (upper - lower) % DAY


@pytest.mark.parametrize("name", ["around the clock", "every hour"])
@pytest.mark.parametrize("hour", [0.1, 7.0, 12.9])
def test_who_is_always_there_is_never_odd(name: str, hour: float) -> None:
    """A series that is active around the clock has no odd time, not between its usual minutes either."""
    model, bucket, time, _ = times(name, 1, 60)
    model, bucket = np.append(model, 0), np.append(bucket, bucket[-1] + 1)
    log_p = judge_times(model, bucket, np.append(time % DAY, hour * HOUR), time_settings(HOUR)).log_p
    assert log_p[-1] > math.log(0.05)


def test_the_day_of_the_week_counts() -> None:
    """Who never works on Sundays is odd on one for the week, and not for the day."""
    days = np.repeat(np.arange(280), 8)
    hours = np.tile(np.arange(9, 17), 280)
    is_sunday = days % 7 == 3  # the week of the epoch begins on Thursday
    bucket = (days * 24 + hours)[~is_sunday | (days == 276 + 4 - 1)]
    bucket = np.append(bucket[bucket < 276 * 24], 276 * 24 + 24 * ((3 - 276 % 7) % 7) + 12)
    assert bucket[-1] // 24 % 7 == 3
    time = bucket * HOUR + np.random.default_rng(2).uniform(0.0, HOUR, len(bucket))
    model = np.zeros(len(bucket), np.int64)
    by_week = judge_times(model, bucket, time % (7 * DAY), time_settings(HOUR, is_week=True)).log_p
    by_day = judge_times(model, bucket, time % DAY, time_settings(HOUR)).log_p
    assert by_week[-1] < math.log(0.01)
    assert np.argmin(by_week) == len(bucket) - 1
    assert by_day[-1] > math.log(0.1)


def test_a_young_series_knows_nothing() -> None:
    """On the first day nothing is odd; after a week it is."""
    settings = time_settings(HOUR)
    for days, most in ((1, 0.0), (7, math.log(0.01))):
        hour = np.concatenate([day * 24 + np.arange(9, 17) for day in range(days)])
        bucket = np.append(hour, days * 24 + 3)
        log_p = judge_times(np.zeros(len(bucket), np.int64), bucket, bucket * HOUR % DAY, settings).log_p
        assert (log_p[-1] < math.log(0.01)) == (days == 7)
        assert log_p[-1] <= most


def test_a_new_habit_is_learned() -> None:
    """A series that moves to another shift is odd at first and no more after three weeks."""
    bucket = np.concatenate(
        [day * 24 + (np.arange(9, 17) if day < 60 else np.arange(17, 24)) for day in range(90)]
    )
    time = bucket * HOUR + np.random.default_rng(3).uniform(0.0, HOUR, len(bucket))
    log_p = judge_times(np.zeros(len(bucket), np.int64), bucket, time % DAY, time_settings(HOUR)).log_p
    changed = int(np.argmax(bucket >= 60 * 24))
    assert log_p[changed + 2] < math.log(0.01)
    assert (log_p[bucket >= 81 * 24] > math.log(0.01)).all()


def test_scoring_changes_nothing() -> None:
    """Without learning the state stays as it is, and ln p is what it is with it."""
    model, bucket, time, _ = times("shift", 2, 30)
    settings = time_settings(HOUR)
    state = judge_times(model, bucket, time % DAY, settings).state
    before = state.copy()
    after = np.array([0, 1]), np.full(2, bucket.max() + 5), np.array([3.0, 12.0]) * HOUR
    first = judge_times(*after, settings, state, learn=False)
    assert np.array_equal(state, before)
    assert np.array_equal(judge_times(*after, settings, state).log_p, first.log_p)
    assert not np.array_equal(state, before)


def test_a_time_of_none_is_passed_over() -> None:
    """NaN is neither scored nor learned."""
    settings = time_settings(HOUR)
    model, bucket, time, _ = times("shift", 1, 5)
    whole = judge_times(model, bucket, time % DAY, settings)
    at = 7
    with_none = judge_times(
        np.insert(model, at, 0),
        np.insert(bucket, at, bucket[at]),
        np.insert(time % DAY, at + 1, np.nan),
        settings,
    )
    assert np.array_equal(np.delete(with_none.log_p, at + 1), whole.log_p)
    assert np.array_equal(with_none.state, whole.state)
