"""The calendar of a pass: where the middle of every bucket lies in the day and in the week."""

from __future__ import annotations

from typing import Any

from tidegate_kernels.registry import kernel
from tidegate_kernels.state import DAY_KNOTS, WEEK_KNOTS

Array = Any


@kernel("i64(i64, i64, i64, out i64[], out f64[], out i64[], out f64[])")
def fill_calendar(
    bucket_from: int,
    bucket_to: int,
    span_ms: int,
    day_knot_b: Array,
    day_weight_b: Array,
    week_knot_b: Array,
    week_weight_b: Array,
) -> int:
    """Knot and interpolation weight of every bucket's middle, in the profiles of day and week.

    The value at a bucket is (1 - weight) * knot[k] + weight * knot[(k + 1) % knots].
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
    return bucket_to - bucket_from
