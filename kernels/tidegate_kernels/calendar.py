"""The calendar of a pass: where the middle of every bucket lies in day, week, month and year."""

from __future__ import annotations

from typing import Any

from tidegate_kernels.registry import device, kernel
from tidegate_kernels.state import DAY_KNOTS, WEEK_KNOTS, YEAR_KNOTS

Array = Any

YEAR_MS = 31_556_925_216  # tropical


@device
def day_of_month(day: int) -> int:
    """The day of the month, from 0, of a day counted from 1970-01-01, in the Gregorian calendar.

    Years begin in March, so that a leap day is the last; 400 of them are 146,097 days (H. Hinnant's
    civil_from_days).
    """
    of_era = (day + 719_468) % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return of_year - (153 * month + 2) // 5


@kernel("i64(i64, i64, i64, out i64[], out f64[], out i64[], out f64[], out i64[], out i64[], out f64[])")
def fill_calendar(
    bucket_from: int,
    bucket_to: int,
    span_ms: int,
    day_knot_b: Array,
    day_weight_b: Array,
    week_knot_b: Array,
    week_weight_b: Array,
    month_knot_b: Array,
    year_knot_b: Array,
    year_weight_b: Array,
) -> int:
    """Knot and interpolation weight of every bucket's middle, in the profiles of day, week, month and year.

    The value at a bucket is (1 - weight) * knot[k] + weight * knot[(k + 1) % knots]; of the month knot[k].
    """
    day_ms = 86_400_000
    week_ms = 7 * day_ms
    for bucket in range(bucket_from, bucket_to):
        i = bucket - bucket_from
        middle = bucket * span_ms + span_ms // 2
        phase = (middle % day_ms) * DAY_KNOTS / day_ms
        knot = int(phase)
        day_knot_b[i] = knot
        day_weight_b[i] = phase - knot
        phase = (middle % week_ms) * WEEK_KNOTS / week_ms
        knot = int(phase)
        week_knot_b[i] = knot
        week_weight_b[i] = phase - knot
        month_knot_b[i] = day_of_month(middle // day_ms)
        phase = (middle % YEAR_MS) * YEAR_KNOTS / YEAR_MS
        knot = int(phase)
        year_knot_b[i] = knot
        year_weight_b[i] = phase - knot
    return bucket_to - bucket_from
