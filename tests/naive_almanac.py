"""Part of the naive twin of the model: what depends on the day of the month and on the season of the year."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.naive_laws import DAY_MS, Phase, Settings, clip, gate, single

YEAR_DAYS = 365.2421990740741
MONTH_DAYS = 30.436875
YEAR_MS = 31_556_925_216


@dataclass
class Profile:
    """Knots, one `knot_days` long, that repeat every `period` days."""

    period: float
    knot_days: float
    most_periods: float
    first_use: float
    knots: list[float]
    without: float = 0.0
    error: float = 0.0

    def use(self, days: float) -> float:
        """How far it is used at an age."""
        periods = days / self.period
        return gate(self.without, self.error, periods - 1.0) if periods >= self.first_use else 0.0

    def learn(self, phase: Phase, days: float, rest: float, share: float, day: float, sd: float) -> None:
        """Takes what is left without it; `day` is a bucket's share of a day."""
        periods, error, most = days / self.period, rest - phase.between(self.knots), 20.0 * sd
        if periods >= 1.0:
            rate = share * min(day / (3.0 * self.period), 0.5)
            self.without = single(self.without + rate * (min(abs(rest), most) ** 2 - self.without))
            self.error = single(self.error + rate * (min(abs(error), most) ** 2 - self.error))
        visit = min(day / self.knot_days, 1.0) / (0.25 + min(periods, self.most_periods))
        for k, part in phase.sides:
            step = share * min(visit, 0.7) * clip(error, -most, most) * phase.step
            if part:
                self.knots[k] = single(self.knots[k] + step * part)

    def stretch(self, factor: float) -> None:
        """Goes over to another unit."""
        self.knots = [single(x * factor) for x in self.knots]
        self.without = single(self.without * factor * factor)
        self.error = single(self.error * factor * factor)


@dataclass
class Almanac:
    """Month and year of a series; nothing for spans below a quarter of an hour."""

    settings: Settings
    month: Profile = field(default_factory=lambda: Profile(MONTH_DAYS, 1.0, 5.0, 2.0, [0.0] * 31))
    year: Profile = field(default_factory=lambda: Profile(YEAR_DAYS, YEAR_DAYS / 24, 3.0, 1.0, [0.0] * 24))

    def phases(self, bucket: int) -> tuple[Phase, Phase]:
        """Of month and year, at the middle of a bucket."""
        span = self.settings.span_ms
        # The calendar repeats every 400 years.
        day = (bucket * span + span // 2) // DAY_MS % 146_097
        at = (datetime(2000, 3, 1, tzinfo=UTC) + timedelta(days=day - 11_017)).day - 1
        return Phase(at, at, 0.0), Phase.of(bucket, span, YEAR_MS, 24)

    def parts(self, bucket: int, days: float) -> tuple[float, float]:
        """What is foretold of month and year."""
        if self.settings.day > 96.0:
            return 0.0, 0.0
        month, year = self.phases(bucket)
        return (
            self.month.use(days) * month.between(self.month.knots),
            self.year.use(days) * year.between(self.year.knots),
        )

    def learn(
        self, bucket: int, days: float, rest: float, parts: tuple[float, float], share: float, sd: float
    ) -> None:
        """Takes what all profiles leave, with what was foretold of month and year."""
        if self.settings.day > 96.0:
            return
        day = 1.0 / self.settings.day
        for profile, phase, part in zip((self.month, self.year), self.phases(bucket), parts, strict=True):
            profile.learn(phase, days, rest + part, share, day, sd)

    def stretch(self, factor: float) -> None:
        """Goes over to another unit."""
        self.month.stretch(factor)
        self.year.stretch(factor)
