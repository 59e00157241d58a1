"""The naive twin of the model: one object per series, a name for every number, textbook formulas.

Written to be compared with ``tidegate_kernels.model``, number by number. Clocks and ages count buckets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.naive_almanac import Almanac
from tests.naive_counts import CountLaw, Seen
from tests.naive_laws import (
    DAY_MS,
    TINY,
    Events,
    Multi,
    Phase,
    Settings,
    Shift,
    Sizes,
    Spread,
    Tail,
    absolute_score,
    clip,
    gate,
    log_student_tail,
    single,
    square_above_zero,
    training_weight,
)
from tests.naive_period import Period
from tests.naive_siblings import Prior

HUGE = 1e140


Ruling = Callable[[int, float, float], frozenset[str]]
"""The actions of custom rules by bucket, value and typical value."""


class Result(NamedTuple):
    """What a value came to; probabilities as natural logarithms."""

    actual: float
    log_p: float
    log_p_single: float
    log_p_multi: float
    typical: float
    lower: float
    upper: float
    score: float


@dataclass
class Look:
    """One bucket as the series sees it; times in buckets, values as the model has them (maybe roots)."""

    bucket: int
    clock: float
    gap: float
    age: float
    days: float
    young: float
    day_phase: Phase
    week_phase: Phase
    day: float
    week: float
    spread: float
    line: float
    period: float
    dates: tuple[float, float]
    season: float
    prediction: float
    carried: float
    typical: float
    actual: float = 0.0
    y: float = 0.0
    r: float = 0.0
    e: float = 0.0
    sd_r: float = 1.0
    sd_e: float = 1.0
    z: float = 0.0
    size: float = 0.0
    sharp: float = 0.0
    degrees: float = 8.0
    log_p: float = 0.0
    tail_share: float = 1.0
    count: Seen | None = None


class NaiveSeries:
    """The model of one series, alive from its first value."""

    def __init__(self, settings: Settings, clock: float, value: float, records: float) -> None:
        self.settings = settings
        self.prior = Prior()
        self.is_root = value >= 0.0  # the model sees square roots until a value is negative
        self.first = self.last = self.last_data = clock
        self.count = 1.0
        self.occupancy = self.occupancy_before = 1.0
        self.is_seasonal = False
        self.records = records
        self.level = math.sqrt(min(value, HUGE)) if self.is_root else max(value, -HUGE)
        self.slope = 0.0
        self.spread_r, self.spread_e, self.lag_product = Spread(), Spread(), 0.0
        self.carry = 0.0
        self.error_level = self.error_day = self.error_week = 0.0
        self.day_mean, self.day_visits = [0.0] * 24, [0.0] * 24
        self.day_spread = [0.0] * 24  # less 1
        self.week_mean = [0.0] * 84
        self.period, self.almanac = Period(settings), Almanac(settings)
        self.sizes, self.multi, self.tail, self.counts = Sizes(), Multi(), Tail(), CountLaw()
        self.habit = 0.0
        self.mean_error = 0.0
        self.single_events, self.mean_events = Events(), Events()
        self.shift: Shift | None = None
        self.ruling: Ruling | None = None
        self.ruled: frozenset[str] = frozenset()
        """What the custom rules do with the value at hand."""

    @property
    def noise(self) -> float:
        """Variance of what AR(1) leaves over."""
        return self.spread_e.slow

    def begin_like(self, prior: Prior, bucket: int) -> None:
        """Takes the day of the siblings, as if it had been seen three times."""
        phase = Phase.of(bucket, self.settings.span_ms, DAY_MS, 24)
        if not prior.shape or not self.is_root or 1.0 + phase.between(list(prior.shape)) < 0.1:
            return
        self.level /= 1.0 + phase.between(list(prior.shape))
        self.day_mean = [single(s * self.level) for s in prior.shape]
        self.day_visits = [3.0] * 24
        self.is_seasonal = True
        season = sum(s * s for s in prior.shape) * self.level**2 / 24.0
        noise = (0.5 * prior.spread * self.level) ** 2
        self.error_level = season + noise
        self.error_day = self.error_week = (1.0 - prior.agreement) * season + noise

    def observe(
        self, bucket: int, clock: float, value: float, records: float, is_data: bool, completeness: float
    ) -> Result | None:
        """Scores a value against all before it, then learns it; None while the series is too young.

        An empty bucket of a sparse series is scored alone.
        """
        if value < 0.0 and self.is_root:
            self._become_linear()
        look = self._predict(bucket, clock)
        self._compare(look, clip(value, -HUGE, HUGE), completeness)
        self._scale(look, records)
        self._judge(look)
        multi = self.multi.after(look.z, look.gap)
        typical = square_above_zero(look.typical) if self.is_root else look.typical
        self.ruled = frozenset() if self.ruling is None else self.ruling(bucket, value, typical)
        result = None
        own = self.prior.count
        if look.age >= max(14.0 - own, 3.0) and self.count >= max(4.5 - own / 4.0, 2.0):
            result = self._score(look, multi, value, is_data)
        if is_data or not self.is_sparse:
            if "skip_model_update" in self.ruled:
                self._learn_faintly(look, is_data, records)
            else:
                self._learn(look, multi, is_data, records)
        return result

    @property
    def is_sparse(self) -> bool:
        """Whether a quarter of the buckets at most had data when the last cell came."""
        return self.occupancy_before <= 0.25

    def passes_over(self, clock: float) -> bool:
        """Whether an empty bucket has nothing to say.

        It does when the silence is long enough for a result, and each time it is twice as long.
        """
        if not self.is_sparse:
            return False
        silent, rate = clock - self.last_data, -math.log(1.0 - self.occupancy_before)
        enough = math.floor(-math.log(min(self.settings.threshold, 1.0)) / rate)
        while 0 < enough < silent:
            enough *= 2
        return silent < enough

    def _become_linear(self) -> None:
        """From square roots to values: d(x^2) = 2 x dx, with x the level or the deviation if larger."""
        slope = 2.0 * max(self.level, math.sqrt(self.spread_r.slow), 0.0)
        self.is_root = False
        self.level = square_above_zero(self.level)
        for name in ("slope", "carry"):
            setattr(self, name, getattr(self, name) * slope)
        self.spread_r.stretch(slope)
        self.spread_e.stretch(slope)
        for name in ("lag_product", "error_level", "error_day", "error_week"):
            setattr(self, name, getattr(self, name) * slope * slope)
        self.day_mean = [single(x * slope) for x in self.day_mean]
        self.week_mean = [single(x * slope) for x in self.week_mean]
        self.period.stretch(slope)
        self.almanac.stretch(slope)
        if self.shift is not None:
            self.shift.total = square_above_zero(self.shift.level) * self.shift.count

    # Predict

    def _predict(self, bucket: int, clock: float) -> Look:
        """Line, profiles as far as they proved themselves, and what AR(1) carries over."""
        settings = self.settings
        gap, age = max(clock - self.last, 1.0), clock - self.first
        days = age / settings.day
        day_phase = Phase.of(bucket, settings.span_ms, DAY_MS, 24)
        week_phase = Phase.of(bucket, settings.span_ms, 7 * DAY_MS, 84)
        day, week = day_phase.between(self.day_mean), week_phase.between(self.week_mean)
        seen = max(days, min(self.day_visits[k] for k, _ in day_phase.sides))
        use_day = gate(self.error_level, self.error_day, seen) if settings.day >= 1.9 else 0.0
        use_week = 0.0
        if settings.day >= 0.9 and days > 7.0:
            use_week = gate(self.error_day, self.error_week, (days - 7.0) / 7.0)
        line = self.level + self.slope * gap
        period, dates = self.period.part(bucket, clock), self.almanac.parts(bucket, days)
        season = use_day * day + use_week * week + period + sum(dates)
        prediction = line + season
        phi = 0.0
        if self.spread_r.slow > 0.0 and self.lag_product > 0.0:
            phi = min(self.lag_product / (self.spread_r.slow * (1.0 + 10.0 / self.count)), 0.98)
        carried = phi**gap * self.carry
        young = max(1.0 - age / clip(21.0 * settings.day, 100.0, 1000.0), 0.0)
        spread = 1.0 + day_phase.between(self.day_spread)
        return Look(
            bucket, clock, gap, age, days, young, day_phase, week_phase, day, week, spread, line, period,
            dates, season, prediction, carried, prediction + carried,
        )  # fmt: skip

    def _compare(self, look: Look, actual: float, completeness: float) -> None:
        """Residuals of the value; one that is still growing is first helped towards what is typical."""
        if completeness < 1.0:
            expected = square_above_zero(look.typical) if self.is_root else look.typical
            missing = max((1.0 - completeness) * expected, 0.0)
            actual += clip(expected - actual, 0.0, missing)
        look.actual = actual
        look.y = math.sqrt(actual) if self.is_root else actual
        look.r = look.y - look.prediction
        look.e = look.r - look.carried

    def _scale(self, look: Look, records: float) -> None:
        """Standard deviations: by phase, wider for the young and for a mean of few records."""
        n = self.count
        share = max(look.spread, 0.4) * (1.0 + 4.0 / (n + self.prior.count - 2.0))
        if self.settings.by_records and 0.0 < records < self.records:
            share *= min(self.records / records, 100.0)
        around = abs(self.level) / (2.0 if self.is_root else 1.0)  # the root halves relative deviations
        prior = (self.prior.spread * around) ** 2
        least = max(0.001 * around, TINY) ** 2
        if self.settings.counts:
            least = max(least, 0.2)  # about the variance of the root of a Poisson count, 1/4
        look.sd_r = math.sqrt(share * max(self.spread_r.variance(prior, self.prior.count, n), least))
        look.sd_e = math.sqrt(share * max(self.spread_e.variance(prior, self.prior.count, n), least))
        look.z = look.r / look.sd_r
        look.size = abs(look.e) / look.sd_e
        look.sharp = min(abs(look.z), look.size)

    # Score

    def _judge(self, look: Look) -> None:
        """The p of the bucket alone, by Student's law; of counts by that and their own."""
        look.degrees = self.sizes.degrees(self.count)
        look.log_p = log_student_tail(look.size, look.degrees)
        if self.settings.counts:
            look.count = self.counts.look(look.actual, look.typical, look.sd_e, self.count)
            look.log_p = self.counts.mixed(look.count, look.log_p)
            look.sharp = min(look.sharp, abs(look.count.middle))

    def _score(self, look: Look, multi: float, value: float, is_data: bool) -> Result:
        """The probability and the score of the bucket; the tail and the odds of the laws learn from it."""
        side, single = self.settings.side, look.log_p
        moved = abs(multi) / self.multi.deviation if self.multi.is_known else 0.0
        multiple = log_student_tail(moved, min(2.0 * look.degrees, 50.0))
        most = math.inf
        if not is_data:  # silence is as unlikely as its length
            silent = look.clock - self.last_data
            most = -silent * math.log(max(1.0 - self.occupancy_before, 1e-9))
        tests = 2.0 if self.multi.is_known else 1.0
        both = max(-min(single, multiple) - math.log(tests), 0.0)
        if side and look.e * side <= 0.0:
            single = 0.0
        if side and multi * side <= 0.0:
            multiple = 0.0
        s = max(-min(single, multiple) - math.log(tests), 0.0)
        s = min(self.tail.corrected(s), most)
        learns = (is_data or not self.is_sparse) and "skip_model_update" not in self.ruled
        if learns:
            look.tail_share = self.tail.learn(min(both, most), self.settings.tail_memory)
            if look.count is not None:
                self.counts.weigh(look.count, look.size, look.degrees)
        bounds = [look.typical, look.typical - 2.0 * look.sd_e, look.typical + 2.0 * look.sd_e]
        if self.is_root:
            bounds = [square_above_zero(x) for x in bounds]
        if "skip_result" in self.ruled:
            return Result(value, 0.0, single, multiple, *bounds, 0.0)
        score = self._event_score(look, look.actual - bounds[0], absolute_score(s), learns)
        return Result(value, -s, single, multiple, *bounds, score)

    def _event_score(self, look: Look, error: float, allowed: float, learns: bool) -> float:
        """At most what p allows, and at most what the size of the error, beside past events, allows."""
        mean = self.mean_error * (5.0 / 6.0) ** (look.gap - 1.0)
        mean += (error - mean) / 6.0
        if learns:
            self.mean_error = mean
        side, sizes = self.settings.side, []
        for events, x in ((self.single_events, error), (self.mean_events, mean)):
            x = max(x * side, 0.0) if side else abs(x)
            sizes.append(events.weigh(look.clock, x, 1.0 / self.settings.day))
        ratio = min(max(sizes[0], 0.95 * sizes[1]), 1e100)
        trusted = min((1.0 + look.days) / 3.0, 1.0)  # no season is known before two days have passed
        return trusted * min(allowed, 100.0 * ratio * ratio / (3.0 + ratio * ratio))

    # Learn

    def _learn(self, look: Look, multi: float, is_data: bool, records: float) -> None:
        """Moves everything by what the bucket showed; what is unlikely counts less."""
        settings = self.settings
        weight = training_weight(look.sharp, look.young, self.habit)
        self.sizes.learn(look.size, look.tail_share * max(1.0 / self.count, settings.spread_rate))
        self.habit += ((look.sharp > 3.29) - self.habit) / min(self.count + 10.0, 1000.0)
        share = 1.0
        if not is_data:
            present = clip(2.0 * self.occupancy, 1e-6, 1.0)
            share = present * clip(4.0 * self.occupancy_before - 1.0, 0.0, 1.0)
        weight *= share
        before, n = self.count, self.count + weight
        self.count = min(n, 1.0 / settings.spread_rate)
        self._learn_variances(look, n, weight)
        within = clip(look.r, -3.0 * look.sd_r, 3.0 * look.sd_r)
        self.slope += settings.slope_rate * weight * within * (1.0 - look.young)
        self.level = look.line + max(1.0 / n, settings.level_rate) * weight * look.r
        self._learn_evidence(look, weight)
        if self.is_seasonal:
            self._learn_profiles(look, weight)
            rest = look.r + look.period
            self.period.learn(look.bucket, look.clock, look.z, rest, look.sd_r, weight)
            self.almanac.learn(look.bucket, look.days, look.r, look.dates, share, look.sd_r)
        if self.count >= 12.0 and self.error_level > 0.0:
            self.is_seasonal = True  # from the next value on
        self.multi.learn(multi)
        self.carry = look.r * weight
        self._watch_shift(look)
        self.last = look.clock
        if is_data:
            self.last_data = look.clock
            self.records += max(1.0 / (before + 1.0), 0.02) * (records - self.records)
        if settings.zero_fill:
            for empty in range(1, int(look.gap)):
                self._see_presence(look.age - look.gap + empty, 0.0)
            self._see_presence(look.age, float(is_data))
        if is_data:
            self.occupancy_before = self.occupancy

    def _learn_faintly(self, look: Look, is_data: bool, records: float) -> None:
        """Level, slope, variances, evidence and profiles with a weight of 0.005; nothing else."""
        settings, weight = self.settings, 0.005
        if not is_data:
            present = clip(2.0 * self.occupancy, 1e-6, 1.0)
            weight *= present * clip(4.0 * self.occupancy_before - 1.0, 0.0, 1.0)
        before, n = self.count, self.count + weight
        self.count = min(n, 1.0 / settings.spread_rate)
        self._learn_variances(look, n, weight)
        within = clip(look.r, -3.0 * look.sd_r, 3.0 * look.sd_r)
        self.slope += settings.slope_rate * weight * within * (1.0 - look.young)
        self.level = look.line + max(1.0 / n, settings.level_rate) * weight * look.r
        self._learn_evidence(look, weight)
        if self.is_seasonal:
            self._learn_profiles(look, weight)
        if self.count >= 12.0 and self.error_level > 0.0:
            self.is_seasonal = True
        self.carry = look.r * weight
        self.last = look.clock
        if is_data:
            self.last_data = look.clock
            self.records += max(1.0 / (before + 1.0), 0.02) * (records - self.records)

    def _see_presence(self, age: float, is_there: float) -> None:
        """How often a bucket has data: the mean of the first fifty, then an exponential one."""
        self.occupancy += max(1.0 / (age + 1.0), 0.02) * (is_there - self.occupancy)

    def _learn_variances(self, look: Look, n: float, weight: float) -> None:
        """Running means of r^2, e^2 and, of neighbours only, r r_previous; the dispersion of counts."""
        self.spread_r.learn(look.r, n, weight, self.settings)
        self.spread_e.learn(look.e, n, weight, self.settings)
        gain = max(1.0 / n, self.settings.spread_rate) * weight
        if look.gap == 1.0:
            self.lag_product += gain * (look.r * self.carry - self.lag_product)
        if look.count is not None:
            self.counts.learn(look.actual, look.typical, look.sd_e, gain)

    def _learn_evidence(self, look: Look, weight: float) -> None:
        """Squared errors, clipped at five deviations, of line, line + day, line + day + week."""
        rate = self.settings.gate_rate * weight
        error = look.y - look.line
        for name, left in (("level", 0.0), ("day", look.day), ("week", look.week)):
            error -= left
            clipped = min(abs(error), 5.0 * look.sd_r)
            before = getattr(self, f"error_{name}")
            setattr(self, f"error_{name}", before + rate * (clipped * clipped - before))

    def _learn_profiles(self, look: Look, weight: float) -> None:
        """Moves the knots around the phase; a bucket is a share of a visit, so that spans are alike."""
        day, error = self.settings.day, look.y - look.line - look.day
        if day >= 1.9:
            square = min(look.z * look.z * min(1.0, look.spread), 16.0) - 1.0
            for k, part in look.day_phase.sides:
                share = min(24.0 / day, 1.0) * weight * part
                visits, spread = min(self.day_visits[k] + share, 10.0), self.day_spread[k]
                self.day_visits[k] = single(visits)
                self.day_mean[k] = single(
                    self.day_mean[k] + share / (visits + 0.5) * error * look.day_phase.step
                )
                self.day_spread[k] = single(spread + share / (visits + 6.0) * (square - spread))
        if day >= 0.9:
            share = min(12.0 / day, 1.0) * weight / (1.5 + min(look.days / 7.0, 5.0))
            for k, part in look.week_phase.sides:
                step = share * part * look.week_phase.step * (error - look.week)
                self.week_mean[k] = single(self.week_mean[k] + step)

    def _watch_shift(self, look: Look) -> None:
        """Takes a new level after 1.25 days (at least 8 buckets) of residuals on one side."""
        level = look.y - look.season
        if self.shift is None:
            self.shift = Shift(math.copysign(1.0, look.z), look.clock, level) if abs(look.z) > 3.0 else None
        elif self.shift.is_broken(look.z, level):
            self.shift = None
        elif look.z * self.shift.side >= 1.5 and self.shift.is_proved(look.clock, self.settings.day):
            self.level = self.shift.level
            self.slope = self.multi.mean = self.carry = 0.0
            self.shift = None
