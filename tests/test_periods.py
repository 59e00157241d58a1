"""Any other period: what is found in series with one, in noise, with gaps, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests import model_run
from tests.model_run import ACTUAL, BUCKET, TYPICAL, ModelRun

from tidegate_kernels import calendar
from tidegate_kernels import state as rows

MINUTE = 60_000
FIRST = 400_000
Law = Callable[[np.ndarray], np.ndarray]


class Watched(ModelRun):
    """A run of series that tells their periods."""

    def __init__(self, n_series: int, minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_run, "SPAN_MS", minutes * MINUTE)
        super().__init__(n_series, span_ms=minutes * MINUTE)
        self.n_series = n_series

    @property
    def periods(self) -> np.ndarray:
        """Of every series, in buckets; 0 or less while one is looked for."""
        state = self.state.reshape(-1, rows.STATE_ROWS, rows.LANES)
        return state[:, int(rows.PERIOD) // rows.LANES].ravel()[: self.n_series]

    def errors(self, law: Law, n: int, missing: float = 0.0, sd: float = 5.0) -> np.ndarray:
        """Feeds each series 100, the law and noise; standard deviations of the errors of the last third."""
        rng = np.random.default_rng(3)
        values = 100.0 + law(np.arange(n)) + rng.normal(0.0, sd, (self.n_series, n))
        values[rng.random(values.shape) < missing] = np.nan
        results = self.feed(values, FIRST, sparse=True)
        late = results[results[:, BUCKET] > FIRST + 2 * n // 3]
        error, series = late[:, ACTUAL] - late[:, TYPICAL], late[:, 1]
        return np.array([error[series == s].std() for s in range(self.n_series)])


def wave(period: float, size: float) -> Law:
    """A sine."""
    return lambda t: size * np.sin(2.0 * np.pi * t / period)


@pytest.mark.parametrize(
    ("minutes", "law", "period", "off", "n", "most"),
    [
        (5, lambda t: 60.0 * (t % 12 == 3), 12.0, 0.0, 4000, 1.1),
        (1, lambda t: 40.0 * (t % 15 < 2), 15.0, 0.0, 4000, 1.1),
        (5, wave(37.3, 20.0), 37.3, 0.005, 8000, 1.1),
        (7, wave(60 / 7, 20.0), 60 / 7, 0.005, 8000, 1.1),
        (60, wave(36.0, 20.0), 36.0, 0.01, 8000, 1.1),
        (60, lambda t: wave(24.0, 30.0)(t) + wave(8.7, 20.0)(t), 8.7, 0.01, 8000, 1.2),
    ],
    ids=["hour", "quarter", "fraction", "hour in 7 minutes", "36 hours", "beside a day"],
)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_a_period_is_found_and_foretold(
    minutes: int,
    law: Law,
    period: float,
    off: float,
    n: int,
    most: float,
    missing: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its length is right, and what is left is within 10% of the noise (20% beside a day); medians."""
    run = Watched(8, minutes, monkeypatch)
    errors = run.errors(law, n, missing)
    away = np.abs(run.periods / period - 1.0)
    assert np.median(away) <= off
    assert np.median(errors) < 5.0 * most


def test_a_period_slower_than_the_level_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten days in hours, which the level follows with a lag of a day: found within 1%."""
    run = Watched(8, 60, monkeypatch)
    errors = run.errors(wave(240.0, 30.0), 10_000)
    assert np.abs(run.periods / 240.0 - 1.0).max() < 0.01
    assert np.median(errors) < 6.2


LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy": lambda rng, n: rng.standard_t(3, n),
    "bursts": lambda rng, n: rng.normal(size=n) + 4.0 * (rng.random(n) < 0.02),
    "averages": lambda rng, n: np.convolve(rng.normal(size=n + 3), np.ones(4) / 2.0, "valid"),
    "inert": lambda rng, n: inert(rng.normal(size=n), 0.8),
    "nervous": lambda rng, n: inert(rng.normal(size=n), -0.5),
}


def inert(noise: np.ndarray, phi: float) -> np.ndarray:
    """AR(1)."""
    x = np.zeros(len(noise))
    for i in range(1, len(noise)):
        x[i] = phi * x[i - 1] + noise[i]
    return x


@pytest.mark.parametrize("law", LAWS)
def test_noise_has_no_period(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 160 series of a law two at most ever seem to have one in 4000 buckets, and none keeps it."""
    n_series, n = 160, 4000
    run = Watched(n_series, 5, monkeypatch)
    rng = np.random.default_rng(5)
    values = np.array([100.0 + 5.0 * LAWS[law](rng, n) for _ in range(n_series)])
    ever = np.zeros(n_series, bool)
    for at in range(0, n, 250):
        run.feed(values[:, at : at + 250], FIRST + at)
        ever |= run.periods > 0.0
    assert ever.sum() <= 2
    assert not (run.periods > 0.0).any()


@pytest.mark.parametrize("minutes", [15, 60])
def test_the_day_is_no_other_period(minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the profiles of day and week explain is not found again."""
    run = Watched(8, minutes, monkeypatch)
    run.errors(wave(1440 / minutes, 30.0), 4000)
    assert not (run.periods > 0.0).any()


def test_a_period_that_was_none_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What repeats for a while and then never again is dropped: the search begins anew."""
    run = Watched(8, 60, monkeypatch)
    run.errors(lambda t: np.where(t < 200, wave(10.0, 30.0)(t), 0.0), 200)
    assert (run.periods > 0.0).all()
    run.feed(np.random.default_rng(8).normal(100.0, 5.0, (8, 5000)), FIRST + 200)
    assert not (run.periods > 0.0).any()


def calendar_days(n: int, minutes: int) -> tuple[np.ndarray, np.ndarray]:
    """The day of the month, from 1, and the days since the first, of every bucket from FIRST on."""
    at = (FIRST + np.arange(n)) * (minutes * MINUTE) + minutes * MINUTE // 2
    date = at.astype("datetime64[ms]").astype("datetime64[D]")
    return (date - date.astype("datetime64[M]")).astype(int) + 1, (date - date[0]).astype(int)


def test_the_calendar_is_that_of_numpy() -> None:
    """Days of the month agree over 400 years, leap years and centuries too, before 1970 as after it."""
    first, n = -80_000, 146_097
    day, week, month, year = (np.zeros(n, np.int64) for _ in range(4))
    calendar.fill_calendar(
        first, first + n, 1440 * MINUTE, day, np.zeros(n), week, np.zeros(n), month, year, np.zeros(n)
    )
    date = np.arange(first, first + n).astype("datetime64[D]")
    assert np.array_equal(month, (date - date.astype("datetime64[M]")).astype(int))


def test_payday_is_foretold_from_the_third_month_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the usual on the 25th, all day: half of it is expected the third time, more the fifth."""
    run, n = Watched(4, 60, monkeypatch), 24 * 170
    day, _ = calendar_days(n, 60)
    values = np.random.default_rng(2).normal(100.0, 5.0, (4, n)) + 100.0 * (day == 25)
    rows_ = run.feed(values, FIRST)
    payday = np.flatnonzero(np.diff(np.append(0, day == 25)) == 1)
    expected = [np.median(rows_[rows_[:, BUCKET] == FIRST + at + 3, TYPICAL]) for at in payday]
    assert len(payday) >= 5
    assert expected[0] < 110.0
    assert expected[2] > 150.0
    assert expected[4] > 165.0


def test_an_ordinary_month_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an effect of the day of the month the errors are those of the noise, within 3%."""
    run = Watched(8, 60, monkeypatch)
    assert np.median(run.errors(lambda t: 0.0 * t, 24 * 200)) < 5.0 * 1.04


def test_a_week_of_every_year_is_foretold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the usual in the last two weeks of December: from the third year on its beginning is expected."""
    n = 365 * 6
    run = Watched(4, 1440, monkeypatch)
    date = (FIRST + np.arange(n)).astype("datetime64[D]")
    days = (date - date.astype("datetime64[Y]")).astype(int)
    values = np.random.default_rng(2).normal(100.0, 5.0, (4, n)) - 50.0 * (days >= 350)
    results = run.feed(values, FIRST)
    begins = np.flatnonzero(days == 351)
    expected = [np.median(results[results[:, BUCKET] == FIRST + at, TYPICAL]) for at in begins]
    assert expected[-1] < expected[0] - 10.0
