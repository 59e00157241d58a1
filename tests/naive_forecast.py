"""The naive twin of forecasts: sums over the steps ahead, written out, from the twin of one series."""

from __future__ import annotations

import math
from typing import NamedTuple

from tests.naive_laws import DAY_MS, Phase, clip, gate, square_above_zero
from tests.naive_model import NaiveSeries


class Point(NamedTuple):
    """What a series will be in a bucket."""

    lower: float
    prediction: float
    upper: float


def is_forecast(series: NaiveSeries, clock: float) -> bool:
    """Whether a series is old enough, and was not idle for longer than the prune window."""
    worth, prune = series.prior.count, series.settings.prune
    is_old = clock - series.first >= max(14.0 - worth, 3.0) and series.count >= max(4.5 - worth / 4.0, 2.0)
    return is_old and not 0 < prune < clock - series.last_data


def forecast(series: NaiveSeries, bucket: int, clock: float, n: int) -> list[Point]:
    """The n buckets from one on; `clock` is that of the first."""
    return [_point(series, bucket + at, clock, clock + at - series.last) for at in range(n)]


def _point(series: NaiveSeries, bucket: int, now: float, ahead: float) -> Point:
    """One bucket, so many steps after the last value that was learned."""
    settings, steps = series.settings, round(max(ahead, 1.0))
    trend = Trend.of(series)
    faded = sum(trend.keep**j for j in range(1, steps + 1))
    mean = series.level + trend.slope * faded + _season(series, bucket, now) + _carried(series, steps)
    keep, whole, shock = _residuals(series)
    worth = [keep**j + settings.level_rate * sum(keep**i for i in range(j)) for j in range(steps)]
    variance = shock * sum(x * x for x in worth)
    share = max(1.0 + Phase.of(bucket, settings.span_ms, DAY_MS, 24).between(series.day_spread), 0.4)
    variance += min(variance, whole) * (share - 1.0)
    variance *= 1.0 + 4.0 / (series.count + series.prior.count - 2.0)
    variance += trend.noise * faded * faded + _week_doubt(series, now) * (
        1.0 - (1.0 - settings.level_rate) ** steps
    )
    deviation = math.sqrt(min(variance, 1e300))
    low, high = mean - 2.0 * deviation, mean + 2.0 * deviation
    if series.is_root:
        low, mean, high = (square_above_zero(x) for x in (low, mean, high))
    if settings.zero_fill and series.occupancy_before < 0.4:
        return Point(min(low, 0.0), 0.0, max(high, 0.0))
    return Point(low, mean, high)


def _season(series: NaiveSeries, bucket: int, now: float) -> float:
    """All profiles at a bucket, used as far as they are now."""
    settings, days = series.settings, (now - series.first) / series.settings.day
    day = Phase.of(bucket, settings.span_ms, DAY_MS, 24)
    total = 0.0
    if settings.day >= 1.9:
        seen = max(days, min(series.day_visits[k] for k, _ in day.sides))
        total += gate(series.error_level, series.error_day, seen) * day.between(series.day_mean)
    total += _use_of_week(series, now) * Phase.of(bucket, settings.span_ms, 7 * DAY_MS, 84).between(
        series.week_mean
    )
    if series.period.found:
        total += series.period.found.use(now) * series.period.found.value(bucket)
    return total + sum(series.almanac.parts(bucket, days))


def _use_of_week(series: NaiveSeries, now: float) -> float:
    """How far the profile of the week is used."""
    days = (now - series.first) / series.settings.day
    if series.settings.day < 0.9 or days <= 7.0:
        return 0.0
    return gate(series.error_day, series.error_week, (days - 7.0) / 7.0)


def _week_doubt(series: NaiveSeries, now: float) -> float:
    """Half the variance of what is used of the week: the level may hold a part of it."""
    mean = sum(series.week_mean) / 84.0
    return _use_of_week(series, now) * sum((x - mean) ** 2 for x in series.week_mean) / 84.0 / 2.0


def _carried(series: NaiveSeries, steps: int) -> float:
    """What AR(1) leaves of the last residual."""
    if series.spread_r.slow <= 0.0 or series.lag_product <= 0.0:
        return 0.0
    phi = min(series.lag_product / (series.spread_r.slow * (1.0 + 10.0 / series.count)), 0.98)
    return phi**steps * series.carry


def _residuals(series: NaiveSeries) -> tuple[float, float, float]:
    """Autocorrelation, one standard error up; variance of residuals; variance of what is new in one."""
    n, worth = series.count, series.prior.count
    around = abs(series.level) * (0.5 if series.is_root else 1.0)
    least = max((0.001 * around) ** 2, 1e-300, 0.2 if series.settings.counts else 0.0)

    def blended(variance: float) -> float:
        return max((worth * (series.prior.spread * around) ** 2 + n * variance) / (worth + n), least)

    whole = blended(series.spread_r.slow)
    keep = clip(series.lag_product / max(series.spread_r.slow, 1e-150), 0.0, 1.0)
    keep = min(keep + math.sqrt((1.0 - keep * keep) / n), 1.0 - series.settings.level_rate)
    return keep, whole, max(whole * (1.0 - keep * keep), blended(series.spread_e.slow))


class Trend(NamedTuple):
    """The slope that is believed, what is left of it after a bucket, and its variance."""

    slope: float
    keep: float
    noise: float

    @classmethod
    def of(cls, series: NaiveSeries) -> Trend:
        """Of a series as it is."""
        settings = series.settings
        memory, keep = settings.level_rate / settings.slope_rate, _residuals(series)
        noise = settings.slope_rate**2 * memory / 2.0 * keep[1] * (1.0 + keep[0]) / (1.0 - keep[0])
        young, age = clip(21.0 * settings.day, 100.0, 1000.0), series.last - series.first
        trained = age - young / 2.0 if age > young else age * age / (2.0 * young)
        learned = 1.0 - math.exp(-max(trained / memory, 0.3))
        evidence = max(1.0 - 4.0 * noise / series.slope**2, 0.0) if series.slope else 0.0
        return cls(
            evidence * series.slope / learned, math.exp(-1.0 / (4.0 * memory)), noise / (learned * learned)
        )
