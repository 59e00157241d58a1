"""The naive twin of the model: one object per series, a name for every number, textbook formulas.

Written to be compared with ``tidegate_kernels.model``, number by number. Clocks and ages count buckets.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.naive_laws import (
    DAY_MS,
    TINY,
    Events,
    Multi,
    Phase,
    Settings,
    Tail,
    absolute_score,
    clip,
    gate,
    log_student_tail,
    square_above_zero,
    training_weight,
)

HUGE = 1e140


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
class Shift:
    """A run of residuals on one side; the total is of the values less their season, its mean a new level."""

    side: float
    start: float
    total: float
    count: float = 1.0
    contrary: float = 0.0


@dataclass
class Look:
    """One bucket as the series sees it; times in buckets, values as the model has them (maybe roots)."""

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


class NaiveSeries:
    """The model of one series, alive from its first value."""

    def __init__(self, settings: Settings, clock: float, value: float, records: float) -> None:
        self.settings = settings
        self.is_root = value >= 0.0  # the model sees square roots until a value is negative
        self.first = self.last = self.last_data = clock
        self.count = 1.0
        self.occupancy = self.occupancy_before = 1.0
        self.is_seasonal = False
        self.records = records
        self.level = math.sqrt(min(value, HUGE)) if self.is_root else max(value, -HUGE)
        self.slope = 0.0
        self.variance = self.variance_ar = self.lag_product = 0.0
        self.carry = 0.0
        self.error_level = self.error_day = self.error_week = 0.0
        self.day_mean, self.day_visits, self.day_spread = [0.0] * 24, [0.0] * 24, [1.0] * 24
        self.week_mean = [0.0] * 84
        self.size_abs = self.size_square = 0.0
        self.multi, self.tail = Multi(), Tail()
        self.mean_error = 0.0
        self.single_events, self.mean_events = Events(), Events()
        self.shift: Shift | None = None

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
        multi = self.multi.after(look.z, look.gap)
        result = None
        if look.age >= 12.0 and self.count >= 4.0:
            result = self._score(look, multi, value, is_data)
        if is_data or not self.is_sparse:
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
        slope = 2.0 * max(self.level, math.sqrt(self.variance), 0.0)
        self.is_root = False
        self.level = square_above_zero(self.level)
        for name in ("slope", "carry"):
            setattr(self, name, getattr(self, name) * slope)
        squares = ("variance", "variance_ar", "lag_product", "error_level", "error_day", "error_week")
        for name in squares:
            setattr(self, name, getattr(self, name) * slope * slope)
        self.day_mean = [x * slope for x in self.day_mean]
        self.week_mean = [x * slope for x in self.week_mean]
        if self.shift is not None:
            self.shift.total = square_above_zero(self.shift.total / self.shift.count) * self.shift.count

    # Predict

    def _predict(self, bucket: int, clock: float) -> Look:
        """Line, profiles as far as they proved themselves, and what AR(1) carries over."""
        settings = self.settings
        gap, age = max(clock - self.last, 1.0), clock - self.first
        days = age / settings.day
        day_phase = Phase.of(bucket, settings.span_ms, DAY_MS, 24)
        week_phase = Phase.of(bucket, settings.span_ms, 7 * DAY_MS, 84)
        day, week = day_phase.between(self.day_mean), week_phase.between(self.week_mean)
        use_day = gate(self.error_level, self.error_day, days) if settings.day >= 1.9 else 0.0
        use_week = 0.0
        if settings.day >= 0.9 and days > 7.0:
            use_week = gate(self.error_day, self.error_week, (days - 7.0) / 7.0)
        line = self.level + self.slope * gap
        season = use_day * day + use_week * week
        prediction = line + season
        phi = 0.0
        if self.variance > 0.0 and self.lag_product > 0.0:
            phi = min(self.lag_product / (self.variance * (1.0 + 10.0 / self.count)), 0.98)
        carried = phi**gap * self.carry
        young = max(1.0 - age / clip(21.0 * settings.day, 100.0, 1000.0), 0.0)
        spread = day_phase.between(self.day_spread)
        return Look(
            clock, gap, age, days, young, day_phase, week_phase, day, week, spread, line, season,
            prediction, carried, prediction + carried,
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
        share = max(look.spread, 0.4) * (1.0 + 4.0 / n)
        if self.settings.by_records and 0.0 < records < self.records:
            share *= min(self.records / records, 100.0)
        around = abs(self.level) / (2.0 if self.is_root else 1.0)  # the root halves relative deviations
        prior = (0.03 * around) ** 2
        least = max(0.001 * around, TINY) ** 2
        if self.settings.counts:
            least = max(least, 0.2)  # about the variance of the root of a Poisson count, 1/4
        look.sd_r = math.sqrt(share * max((2.0 * prior + n * self.variance) / (2.0 + n), least))
        look.sd_e = math.sqrt(share * max((2.0 * prior + n * self.variance_ar) / (2.0 + n), least))
        look.z = look.r / look.sd_r
        look.size = abs(look.e) / look.sd_e

    # Score

    def _score(self, look: Look, multi: float, value: float, is_data: bool) -> Result:
        """The probability and the score of the bucket."""
        side = self.settings.side
        heavy = self._inverse_degrees()
        single = log_student_tail(look.size, 1.0 / heavy)
        moved = abs(multi) / self.multi.deviation if self.multi.is_known else 0.0
        multiple = log_student_tail(moved, min(2.0 / heavy, 50.0))
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
        s = min(self.tail.corrected(s) if s > 1.0 else s, most)
        learns = is_data or not self.is_sparse
        if learns:
            self.tail.learn(min(both, most))
        bounds = [look.typical, look.typical - 2.0 * look.sd_e, look.typical + 2.0 * look.sd_e]
        if self.is_root:
            bounds = [square_above_zero(x) for x in bounds]
        score = self._event_score(look, look.actual - bounds[0], absolute_score(s), learns)
        return Result(value, -s, single, multiple, *bounds, score)

    def _inverse_degrees(self) -> float:
        """1 / degrees of the Student law with this E|t| / sqrt(E t^2): shrunk to 1/8, more for the young."""
        n, heavy = self.count, 1.0 / 8.0
        if self.size_square > 0.0:
            lack = max(0.7979 - self.size_abs / math.sqrt(self.size_square), 0.0)
            heavy = (n * 4.4 * lack / (1.0 + 7.0 * lack) + 60.0 * heavy) / (n + 60.0)
        heavy += (0.5 - heavy) * 10.0 / (n + 30.0)
        return clip(heavy, 0.02, 0.25)

    def _event_score(self, look: Look, error: float, allowed: float, learns: bool) -> float:
        """At most what p allows, and at most what the size of the error, beside past events, allows."""
        mean = self.mean_error * (5.0 / 6.0) ** (look.gap - 1.0)
        mean += (error - mean) / 6.0
        if learns:
            self.mean_error = mean
        side, sizes = self.settings.side, []
        for events, x in ((self.single_events, error), (self.mean_events, mean)):
            x = max(x * side, 0.0) if side else abs(x)
            sizes.append(events.weigh(look.clock, x, 1.0 / self.settings.day) / events.mean)
        ratio = min(max(sizes[0], 0.85 * sizes[1]), 1e100)
        return min(allowed, 100.0 * ratio * ratio / (3.0 + ratio * ratio))

    # Learn

    def _learn(self, look: Look, multi: float, is_data: bool, records: float) -> None:
        """Moves everything by what the bucket showed; what is unlikely counts less."""
        settings = self.settings
        weight = training_weight(min(abs(look.z), look.size), look.young)
        gain, size = max(1.0 / self.count, settings.spread_rate), min(look.size, 6.0)
        self.size_abs += gain * (size - self.size_abs)
        self.size_square += gain * (size * size - self.size_square)
        if not is_data:
            weight *= clip(2.0 * self.occupancy, 1e-6, 1.0) * clip(
                4.0 * self.occupancy_before - 1.0, 0.0, 1.0
            )
        before, n = self.count, self.count + weight
        self.count = min(n, 1.0 / settings.spread_rate)
        self._learn_variances(look, max(1.0 / n, settings.spread_rate) * weight)
        within = clip(look.r, -3.0 * look.sd_r, 3.0 * look.sd_r)
        self.slope += settings.slope_rate * weight * within * (1.0 - look.young)
        self.level = look.line + max(1.0 / n, settings.level_rate) * weight * look.r
        self._learn_evidence(look, weight)
        if self.is_seasonal:
            self._learn_profiles(look, weight)
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

    def _see_presence(self, age: float, is_there: float) -> None:
        """How often a bucket has data: the mean of the first fifty, then an exponential one."""
        self.occupancy += max(1.0 / (age + 1.0), 0.02) * (is_there - self.occupancy)

    def _learn_variances(self, look: Look, gain: float) -> None:
        """Running means of r^2, e^2 and, of neighbours only, r r_previous."""
        self.variance += gain * (min(look.r * look.r, 1e280) - self.variance)
        self.variance_ar += gain * (min(look.e * look.e, 1e280) - self.variance_ar)
        if look.gap == 1.0:
            self.lag_product += gain * (look.r * self.carry - self.lag_product)

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
            square = min(look.z * look.z * min(1.0, look.spread), 16.0)
            for k, part in look.day_phase.sides:
                share = min(24.0 / day, 1.0) * weight * part
                self.day_visits[k] = min(self.day_visits[k] + share, 10.0)
                self.day_mean[k] += share / (self.day_visits[k] + 0.5) * error * look.day_phase.step
                self.day_spread[k] += share / (self.day_visits[k] + 6.0) * (square - self.day_spread[k])
        if day >= 0.9:
            share = min(12.0 / day, 1.0) * weight / (1.5 + min(look.days / 7.0, 5.0))
            for k, part in look.week_phase.sides:
                self.week_mean[k] += share * part * look.week_phase.step * (error - look.week)

    def _watch_shift(self, look: Look) -> None:
        """Takes a new level after 1.25 days (at least 8 buckets) of residuals on one side."""
        shift = self.shift
        if shift is None:
            if abs(look.z) > 3.0:
                self.shift = Shift(math.copysign(1.0, look.z), look.clock, look.y - look.season)
        elif look.z * shift.side < 1.5:
            shift.contrary += 1.0
            if shift.contrary > 2.0 + 0.2 * shift.count:
                self.shift = None
        else:
            shift.total += look.y - look.season
            shift.count += 1.0
            lasted = look.clock - shift.start >= max(1.25 * self.settings.day, 8.0)
            if lasted and shift.count >= 6.0:
                self.level = shift.total / shift.count
                self.slope = self.multi.mean = self.carry = 0.0
                self.shift = None


class NaiveFeature:
    """All series of one feature of one detector."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.series: dict[Hashable, NaiveSeries] = {}

    def interim(self) -> NaiveFeature:
        """A copy that may learn what will be forgotten; it fills no zeros."""
        twin = NaiveFeature(self.settings._replace(zero_fill=False))
        twin.series = copy.deepcopy(self.series)
        return twin

    def observe(
        self,
        bucket: int,
        clock: int,
        cells: Mapping[Hashable, tuple[float, float]],
        completeness: float = 1.0,
    ) -> dict[Hashable, Result]:
        """Takes the cells, (value, records), of one bucket; a value that is not finite is a sign of life."""
        values = dict(cells)
        if self.settings.zero_fill:
            values = dict.fromkeys(self.series, (0.0, 0.0)) | values
        results = {}
        for key, (value, records) in values.items():
            is_data = key in cells
            series = self.series.get(key)
            if series is not None and 0 < self.settings.prune < clock - series.last_data:
                series = None
                del self.series[key]
            if not math.isfinite(value):
                if series is not None:
                    series.last_data = clock
            elif series is not None and (is_data or not series.passes_over(clock)):
                result = series.observe(bucket, clock, value, records, is_data, completeness)
                if result is not None:
                    results[key] = result
            elif series is None and is_data:
                self.series[key] = NaiveSeries(self.settings, clock, value, records)
        return results
