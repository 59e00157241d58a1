"""Laws of times and of positions: what somebody's clock and somebody's whereabouts look like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Random = np.random.Generator
HOUR, DAY = 3600.0, 86_400.0
KM = 180.0 / np.pi / 6371.0088  # degrees of latitude
HOME, WORK = (48.1, 11.5), (48.2, 11.7)


def _shift(random: Random, days: int) -> F64:
    """From nine to five, four hours in five."""
    hours = (np.arange(days)[:, None] * DAY + np.arange(9, 17) * HOUR).ravel()
    hours = hours[random.random(len(hours)) < 0.8]
    return hours + random.uniform(0.0, HOUR, len(hours))


def _full_shift(random: Random, days: int) -> F64:
    """From nine to five, so many records an hour that their mean is at half past, to some minutes."""
    hours = (np.arange(days)[:, None] * DAY + np.arange(9, 17) * HOUR).ravel()
    return hours + 1800.0 + random.normal(0.0, 200.0, len(hours))


def _two_modes(random: Random, days: int) -> F64:
    """Around nine and around three."""
    n = 6 * days
    mode = np.where(random.random(n) < 0.6, 9.0, 15.0) * HOUR
    return random.integers(0, days, n) * DAY + mode + random.normal(0.0, 1800.0, n)


def _around_the_clock(random: Random, days: int) -> F64:
    """At any time."""
    return random.uniform(0.0, days * DAY, 24 * days)


def _every_hour(random: Random, days: int) -> F64:
    """Every hour, at half past to some minutes."""
    n = 24 * days
    return np.arange(n) * HOUR + 1800.0 + random.normal(0.0, 100.0, n)


def _at_two(random: Random, days: int) -> F64:
    """At two in the night, to two minutes."""
    return np.arange(days) * DAY + 2.0 * HOUR + random.uniform(-120.0, 120.0, days)


def _around_midnight(random: Random, days: int) -> F64:
    """Around midnight."""
    n = 4 * days
    return random.integers(1, days, n) * DAY + random.normal(0.0, 2400.0, n)


TIMES: dict[str, tuple[float, Callable[[Random, int], F64]]] = {
    "shift": (HOUR, _shift),
    "full shift": (HOUR, _full_shift),
    "two modes": (900.0, _two_modes),
    "around the clock": (HOUR, _around_the_clock),
    "every hour": (HOUR, _every_hour),
    "at two": (900.0, _at_two),
    "around midnight": (900.0, _around_midnight),
}
"""Bucket span and times of each law, in seconds."""


def times(name: str, series: int, days: int, seed: int = 3) -> tuple[I64, I64, F64, I64]:
    """Model, bucket, mean time and number within its series of the cells of some series."""
    span, law = TIMES[name]
    columns: list[tuple[I64, I64, F64, I64]] = []
    for k in range(series):
        time = np.sort(law(np.random.default_rng((seed, k)), days))
        bucket, at = np.unique((time // span).astype(np.int64), return_inverse=True)
        mean = np.bincount(at, time) / np.bincount(at)
        columns.append((np.full(len(bucket), k), bucket, mean, np.arange(len(bucket))))
    model, bucket, mean, number = (np.concatenate(column) for column in zip(*columns, strict=True))
    return model, bucket, mean, number


def _near(random: Random, place: tuple[float, float], km: float, n: int) -> F64:
    east = np.cos(np.radians(place[0]))
    return np.array(place) + random.normal(0.0, km * KM, (n, 2)) / np.array([1.0, east])


def _home(random: Random, n: int) -> F64:
    """Always within some kilometres."""
    return _near(random, HOME, 5.0, n)


def _never_moves(random: Random, n: int) -> F64:
    """Always the very same position."""
    return np.tile(HOME, (n, 1)).astype(float)


def _home_and_work(random: Random, n: int) -> F64:
    """At work from nine to five."""
    hour = np.arange(n) % 24
    is_work = ((hour >= 9) & (hour < 17))[:, None]
    return np.where(is_work, _near(random, WORK, 0.03, n), _near(random, HOME, 0.03, n))


def _commuter(random: Random, n: int) -> F64:
    """At work from nine to five, and on the way before and after."""
    hour, part = np.arange(n) % 24, random.random(n)[:, None]
    way = np.array(HOME) + part * (np.array(WORK) - np.array(HOME)) + random.normal(0.0, 0.1 * KM, (n, 2))
    return np.where(((hour == 8) | (hour == 17))[:, None], way, _home_and_work(random, n))


def _traveller(random: Random, n: int) -> F64:
    """Two days at home, two days in another city, and so on."""
    made: list[F64] = []
    while sum(map(len, made)) < n:
        city = (45.0 + random.uniform(-5.0, 5.0), 8.0 + random.uniform(-8.0, 8.0))
        place = HOME if random.random() < 0.5 else city
        made.append(_near(random, place, 0.5, int(random.geometric(1.0 / 48.0))))
    return np.concatenate(made)[:n]


POSITIONS: dict[str, Callable[[Random, int], F64]] = {
    "home": _home,
    "never moves": _never_moves,
    "home and work": _home_and_work,
    "commuter": _commuter,
    "traveller": _traveller,
}
"""Hourly latitudes and longitudes of each law."""


def positions(name: str, series: int, n: int, seed: int = 5) -> tuple[I64, I64, F64, F64]:
    """Model, bucket, latitude and longitude of the cells of some series."""
    parts = [POSITIONS[name](np.random.default_rng((seed, k)), n) for k in range(series)]
    both = np.concatenate(parts)
    model, bucket = np.repeat(np.arange(series), n), np.tile(np.arange(n), series)
    return model, bucket, both[:, 0].copy(), both[:, 1].copy()
