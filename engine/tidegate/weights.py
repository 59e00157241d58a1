"""Data that is summarised already: how many records a row stands for.

The count of a row is its field's number, rounded by floor(x + 1/2). Where it is missing, empty or "null" it
is not known: a series with nothing but such rows in a bucket is left out of counts and sums there,
instead of being zero, and no series begins with them. What is zero, negative or no number is ignored,
and the row with it. Counts, means and variances are weighted; sums, extremes and distinct values are
those of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate_kernels import weigh as kernels

from .cells import F64, I32, I64
from .columns import to_float
from .passes import Pass
from .room import Room
from .rows import Source
from .streams import CellStream, Numbers, empty_cells
from .threads import Work
from .valuetext import as_text, is_text

_MOST = 2.0**53  # above, not every whole number is a float64
_SUMS = ("sum", "non_null_sum")


def to_weights(column: pa.Array | None, rows: int) -> tuple[F64, int]:
    """How often each row counts: NaN where that is not known, 0 where it is ignored; how many those are.

    >>> to_weights(pa.array(["2.5", "", "null", None, "-1", "x", "0.4"]), 7)
    (array([ 3., nan, nan, nan,  0.,  0.,  0.]), 3)
    """
    if column is None:
        return np.full(rows, np.nan), 0
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    numbers, _ = to_float(column)
    with np.errstate(invalid="ignore"):
        counts = np.floor(numbers + 0.5)
        weights: F64 = np.where((counts >= 1.0) & (counts <= _MOST), counts, 0.0)
    unknown = column.is_null()
    if is_text(column.type):
        text = as_text(column)
        unknown = pc.or_(unknown, pc.is_in(text, value_set=pa.array(["", "null"], text.type)))
    weights[unknown.to_numpy(zero_copy_only=False)] = np.nan
    return weights, int(np.count_nonzero(weights == 0.0))


def gathered_as(source: Source, family: str) -> Source:
    """What a source of a function of summarised data is gathered as.

    A mean is weighted and a sum is not: it has cells of its own.

    >>> gathered_as(("number", "bytes"), "sum"), gathered_as(("number", "bytes"), "mean")
    (('sum', 'bytes'), ('number', 'bytes'))
    """
    return ("sum", source[1]) if family in _SUMS else source


def weighted_series(room: Room, codes: Mapping[str, I32], weight: F64, time: I64) -> I32:
    """The series of every row, negative for none; rows that do not count make no series come to be."""
    series = np.full(len(weight), -1, np.int32)
    counts, is_unknown = weight > 0.0, np.isnan(weight)
    found = room.series({field: code[counts] for field, code in codes.items()}, time[counts])
    series[counts] = found if len(found) else 0
    found = room.lookup({field: code[is_unknown] for field, code in codes.items()})
    series[is_unknown] = found if len(found) else 0
    return series


class WeightedStream(CellStream):
    """Cells of rows that count as often as their weight says; gathered in one piece."""

    def weigh(self, rows: Pass, series: I32, value: F64, weight: F64) -> list[Work]:
        """What is to be done to add rows to the open buckets."""
        if not len(rows):
            return []
        self._settle()
        return [partial(self._gather_weighted, rows, series, value, weight)]

    def _gather_weighted(self, rows: Pass, series: I32, value: F64, weight: F64) -> None:
        """Makes the cells of a pass, in memory of their own."""
        most = int(np.minimum(rows.rows_g, self._n_series).sum()) + len(self._open)
        if not self._numbers:
            self._numbers.append(Numbers())
        numbers = self._numbers[0]
        numbers.prepare(self._n_series, most)
        room = empty_cells(most, self._width)
        made = kernels.gather_weighted(
            series,
            value,
            weight,
            rows.start_u,
            rows.stop_u,
            rows.bucket_g,
            rows.first_g,
            self._open.bucket_c,
            self._open.series_c,
            self._open.record_c,
            self._width,
            numbers.next,
            numbers.position,
            room.bucket_c,
            room.series_c,
            room.record_c,
        )
        numbers.next += made
        self._open = room.first(made)
