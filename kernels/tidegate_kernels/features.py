"""What a model watches: one number of each cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from .fold import COUNT, DEVIATION, MAX, MIN, ORIGIN, SQUARES
from .keylog import VALUE
from .registry import kernel

Array = Any

FEATURE_COUNT = 0
FEATURE_SUM = 1
FEATURE_MEAN = 2
FEATURE_MIN = 3
FEATURE_MAX = 4
FEATURE_VARP = 5
FEATURE_VALUE = 6
"""What the keys of a cell come to: a median, a distinct count, a size."""


@kernel("i64(in i64[], in i64[], in i32[], in f64[], i64, i64, out i64[], out i32[], out f64[], out f64[])")
def take_cells(
    order: Array,
    bucket_c: Array,
    series_c: Array,
    cells: Array,
    width: int,
    feature: int,
    bucket_o: Array,
    series_o: Array,
    value_o: Array,
    count_o: Array,
) -> int:
    """Buckets, series, values and record counts of one feature, cell after cell in the given order.

    `feature` is one of the ``FEATURE_`` constants; cells of a counting stream have the count
    alone, cells of a stream of keys the count and what the keys come to. The population variance
    needs three values. What overflows is NaN, no sample. Returns how many cells have one.
    """
    made = 0
    for i in range(len(order)):
        bucket_o[i] = bucket_c[order[i]]
        series_o[i] = series_c[order[i]]
        at = order[i] * width
        n = cells[at + COUNT]
        x = n
        if feature == FEATURE_SUM:
            x = n * cells[at + ORIGIN] + cells[at + DEVIATION]
        elif feature == FEATURE_MEAN:
            x = cells[at + ORIGIN] + cells[at + DEVIATION] / n
        elif feature == FEATURE_MIN:
            x = cells[at + MIN]
        elif feature == FEATURE_MAX:
            x = cells[at + MAX]
        elif feature == FEATURE_VARP:
            shift = cells[at + DEVIATION] / n
            x = max(cells[at + SQUARES] / n - shift * shift, 0.0) if n >= 3.0 else np.nan
        elif feature == FEATURE_VALUE:
            x = cells[at + VALUE]
        if x - x != 0.0 or n == 0.0:  # NaN or infinite, or of rows whose count is not known
            x = np.nan
        else:
            made += 1
        value_o[i] = x
        count_o[i] = n
    return made
