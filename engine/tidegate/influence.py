"""Influence: how much of what is unusual goes away without the records of one value of a field.

With x the value of the result, t what is typical, x_v the value without the records of v, or of
them alone, and r = max((x_v - t) / (x - t), 0), what is left of the deviation::

    complement     1 - ln p_v / ln p  =  1 - r^k    counts, sums, means, medians, variances
    intersection       ln p_v / ln p  =  r^k        minima, maxima
    the larger of 1 - r^k and (r^k)^2 of both       distinct counts
    presence                             1          everything else, and key fields of the detector

The tail of ln p over the deviation is taken for a power, ln p(d) = ln 0.05 d^k, d in units of the
distance to the 95% bound on that side: it passes through what is known of it, p = 1 at t, 0.05
at the bound and the p of x. k = 2 is a normal law, 1 an exponential one, less a heavy tail. What is back
at typical, or beyond it, has r = 0. Where x itself is within the bound, because it is the last
buckets together that are unusual, influence is less by as much: else a slight deviation, of which
every value could be the cause, would be blamed on all of them. A value that is missing cannot be
seen: a dip of a count or of distinct values has no influencers but its key fields. Of summarised
data x_v is weighted as x is, see `weights`; rows whose count is not known influence nothing.

Who adds 45 distinct values to the usual 40 has hardly more than usual alone: of 31 planted scans the
intersection named 8, the complement all; squared, it still names those who scan the same
together, and no more bystanders than the complement alone (76 in 131 incidents, unsquared 95).
Estimated k named 75 of 89 causes and 73 bystanders, k = 1 69 and 82, k = 2 68 and 173. Measured
on 2026-11-23 with bursts, raised means and scans in zipfian traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from tidegate_kernels.fold import COUNT, DEVIATION, MAX, MIN, ORIGIN, SQUARES

from .cells import F64, I64
from .keys import Interner
from .rowlog import ALL, Behind
from .rows import Source

INFLUENCE_CUTOFF = 0.4
"""Less influence is none."""
MAX_VALUES_PER_FIELD = 10
"""Values of a field that one result names at most: the most influential, then those with most records."""
MIN_VALUES_VARP = 3.0
"""Fewer values have no variance; as in `features.take_cells`."""
_MANY = 1000
"""Values of a field from which on the most influential are found without sorting them all."""
_LOG_BOUND = math.log(0.05)
_STEEPNESS = (0.5, 2.0)
_BEYOND_BOUND = 1.25
"""In distances to the bound: nearer than this p does not tell the tail, which is taken for exponential."""
_EXTREMES = ("min", "max")
_DISTINCT = ("distinct_count", "info_content")
_WITH_VALUES = ("count", "sum", "mean", "varp", "median", *_EXTREMES, *_DISTINCT)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a lane: series in buckets that have a result, by the kind of their value.

    Arrays ending in _a have one element each; `steepness_a` and `weight_a` are of `tail`.
    """

    result_a: I64
    """The place of the result among all that are written."""
    target_a: I64
    """The place of the series and bucket among the targets of the lane."""
    feature: str
    source: Source | None
    actual_a: F64
    typical_a: F64
    steepness_a: F64
    weight_a: F64


@dataclass(frozen=True, slots=True)
class Influences:
    """Values that influence results; arrays are of equal length."""

    result_i: I64
    field_i: I64
    """The place of the field among the influencers of the job."""
    value_i: I64
    """The code of the value."""
    influence_i: F64
    """From INFLUENCE_CUTOFF to 1."""
    rows_i: F64
    """Records with the value."""

    def __len__(self) -> int:
        return len(self.result_i)

    def at(self, chosen: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Influences:
        """Some of them, in the order given."""
        return Influences(*(getattr(self, name)[chosen] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: Sequence[Influences]) -> Influences:
        """Several of them as one."""
        whole = np.empty(0, np.int64)
        none = cls(whole, whole, whole, np.empty(0), np.empty(0))
        return cls(*(np.concatenate([getattr(p, name) for p in (none, *parts)]) for name in cls.__slots__))


def tail(actual: F64, typical: F64, lower: F64, upper: F64, log_p: F64) -> tuple[F64, F64]:
    """The power k of the tail of ln p, from the bound on the side of the value and its ln p, and a weight.

    k is 1 where the value is too near to tell. The weight is how far off the value is, in distances to the
    bound, at most 1: less than 1 for results that are due to the last buckets together.

    >>> def of(*numbers: float) -> list[float]:
    ...     return [round(float(x[0]), 9) for x in tail(*(np.array([x]) for x in numbers))]
    >>> of(30.0, 10.0, 5.0, 20.0, 4 * math.log(0.05)), of(12.0, 10.0, 5.0, 20.0, -9.0)
    ([2.0, 1.0], [1.0, 0.2])
    """
    distance = np.abs(np.where(actual > typical, upper, lower) - typical)
    with np.errstate(all="ignore"):
        away = np.abs(actual - typical) / distance
        k = np.log(np.minimum(log_p, -1e-300) / _LOG_BOUND) / np.log(away)
    known = np.isfinite(away) & (away > _BEYOND_BOUND) & np.isfinite(k)
    weight = np.where(np.isfinite(away), np.minimum(away, 1.0), 1.0)
    return np.where(known, np.clip(k, *_STEEPNESS), 1.0), weight


def influences_of(asked: Asked, behind: Behind, field: str, field_at: int) -> Influences:
    """The influence of every value of a field on what is asked of a lane."""
    statistics = behind.statistics[field]
    order, slots = statistics.by_slot
    is_seen = np.ones(len(asked.target_a), bool)
    if asked.feature in _DISTINCT:
        is_seen = asked.actual_a > asked.typical_a
    first = np.searchsorted(slots, asked.target_a)
    size = np.where(is_seen, np.searchsorted(slots, asked.target_a, "right") - first, 0)
    of_asked = np.repeat(np.arange(len(size)), size)
    pair = order[np.arange(len(of_asked)) + np.repeat(first - (np.cumsum(size) - size), size)]
    influence = _influence(asked, of_asked, pair, behind, field)
    kept = np.flatnonzero(influence >= INFLUENCE_CUTOFF)
    kept = kept[_among_most(of_asked[kept], influence[kept], statistics.rows_p[pair[kept]])]
    result, pair = asked.result_a[of_asked[kept]], pair[kept]
    field_i = np.full(len(kept), field_at)
    value = statistics.value_p[pair].astype(np.int64)
    return Influences(result, field_i, value, influence[kept], statistics.rows_p[pair])


def _influence(asked: Asked, of_asked: I64, pair: I64, behind: Behind, field: str) -> F64:
    """The influence of pairs, each on one of those asked for."""
    if asked.feature not in _WITH_VALUES or len(pair) == 0:
        return np.ones(len(pair))
    actual, typical = asked.actual_a[of_asked], asked.typical_a[of_asked]

    def left(value: F64) -> F64:
        """What is left of the deviation; NaN for no value."""
        share = (value - typical) / (actual - typical)
        return np.where(np.isnan(value), np.nan, np.maximum(share, 0.0) ** asked.steepness_a[of_asked])

    with np.errstate(all="ignore"):
        if asked.feature in _EXTREMES:
            influence = np.nan_to_num(left(_alone(asked, pair, behind, field)))
        elif asked.feature in _DISTINCT:
            alone, without = _distinct(asked, of_asked, pair, behind, field)
            influence = np.maximum(left(alone) ** 2, 1.0 - left(without))
        else:
            # Where nothing is left to compute with, all of it came from the value.
            influence = np.nan_to_num(1.0 - left(_without(asked, of_asked, pair, behind, field)), nan=1.0)
    influence = np.clip(influence, 0.0, 1.0) * asked.weight_a[of_asked]
    return np.where(actual != typical, influence, 0.0)


def _without(asked: Asked, of_asked: I64, pair: I64, behind: Behind, field: str) -> F64:
    """The value of each without the rows of a pair; NaN where no row with a value is left."""
    actual, statistics = asked.actual_a[of_asked], behind.statistics[field]
    if asked.feature == "count":
        return actual - statistics.rows_p[pair]
    assert asked.source is not None
    if asked.feature == "median":
        return _medians_without(behind, field, asked.source)[pair]
    record = statistics.record_p(asked.source)[pair]
    n, mean = record[:, COUNT], record[:, ORIGIN] + record[:, DEVIATION] / record[:, COUNT]
    if asked.feature == "sum":
        return actual - (n * record[:, ORIGIN] + record[:, DEVIATION])
    whole = behind.statistics[ALL].record_p(asked.source)[_all_rows(behind, asked.target_a[of_asked])]
    left = whole[:, COUNT] - n
    center = whole[:, ORIGIN] + whole[:, DEVIATION] / whole[:, COUNT]
    away = np.where(n > 0.0, mean - center, 0.0)
    if asked.feature == "mean":
        value = actual - n * away / left
    else:
        # M2 = M2_v + M2_rest + n_v N / n_rest (mean_v - mean)^2; M2: squares about the mean (Chan 1979).
        squares = record[:, SQUARES] - np.where(n > 0.0, record[:, DEVIATION] ** 2 / n, 0.0)
        rest = whole[:, COUNT] * actual - squares - n * whole[:, COUNT] / left * away * away
        value = np.maximum(rest / left, 0.0)
    value[left < (1.0 if asked.feature == "mean" else MIN_VALUES_VARP)] = np.nan
    return value


def _all_rows(behind: Behind, target: I64) -> I64:
    """The pairs that all rows of some targets make; every target has rows."""
    slot = behind.statistics[ALL].slot_p
    pair_of = np.zeros(int(slot.max(initial=0)) + 1, np.int64)
    pair_of[slot] = np.arange(len(slot))
    return pair_of[target]


def _alone(asked: Asked, pair: I64, behind: Behind, field: str) -> F64:
    """The extreme of the rows of a pair alone; NaN where they have no value."""
    assert asked.source is not None
    record = behind.statistics[field].record_p(asked.source)[pair]
    value = record[:, MIN if asked.feature == "min" else MAX]
    return np.where(record[:, COUNT] > 0.0, value, np.nan)


def _distinct(asked: Asked, of_asked: I64, pair: I64, behind: Behind, field: str) -> tuple[F64, F64]:
    """The distinct count, or information, of the rows of a pair alone, and of all others alone."""
    assert asked.source is not None
    statistics = behind.statistics[field]
    mine = statistics.distinct_p(asked.source)[pair].astype(np.float64)
    exclusive = statistics.exclusive_p(asked.source)[pair].astype(np.float64)
    # What information distinct values have is taken to be the same for each of them.
    whole = behind.statistics[ALL].distinct_p(asked.source)[_all_rows(behind, asked.target_a[of_asked])]
    unit = asked.actual_a[of_asked] / whole if asked.feature == "info_content" else 1.0
    return mine * unit, asked.actual_a[of_asked] - exclusive * unit


def _medians_without(behind: Behind, field: str, source: Source) -> F64:
    """For every pair the median of its target's values without its own; NaN where none is left.

    Of sorted values, element k of those that stay is element k + (number of places j, 0-based, among
    the sorted places q_j of those that go with q_j - j <= k) of all.
    """
    statistics = behind.statistics[field]
    value = behind.value_h[source]
    finite = np.flatnonzero(np.isfinite(value))
    value, target, pair = value[finite], behind.target_h[finite], behind.pair_h[field][finite]
    order = np.lexsort((value, target))
    value, target, pair = value[order], target[order], pair[order]
    n_targets = int(target.max(initial=-1)) + 1
    size = np.bincount(target, minlength=n_targets)
    first = np.cumsum(size) - size
    of_pair = np.argsort(pair, kind="stable")
    of_pair = of_pair[pair[of_pair] >= 0]
    number = pair[of_pair]
    going = np.bincount(number, minlength=len(statistics))
    begin = np.cumsum(going) - going
    place = of_pair - first[target[of_pair]] - (np.arange(len(of_pair)) - begin[number])
    slot = np.minimum(statistics.slot_p, max(n_targets - 1, 0))
    if not n_targets:
        return np.full(len(statistics), np.nan)
    staying = np.where(statistics.slot_p < n_targets, size[slot], 0) - going
    ends = []
    for k in ((staying - 1) // 2, staying // 2):
        before = np.bincount(number[place <= k[number]], minlength=len(statistics))
        ends.append(value[np.clip(first[slot] + k + before, 0, len(value) - 1)])
    low, high = ends
    return np.where(staying > 0, np.where(low == high, low, low / 2.0 + high / 2.0), np.nan)


def _among_most(group: I64, influence: F64, rows: F64) -> npt.NDArray[np.bool_]:
    """False for what cannot be among the MAX_VALUES_PER_FIELD of its group; groups come one by one.

    Looks at large groups only: to sort a million of candidates takes longer than to find them.
    """
    among = np.ones(len(group), bool)
    first = np.flatnonzero(starts_of(group))
    last = np.append(first[1:], len(group))
    for start, stop in zip(first.tolist(), last.tolist(), strict=False):
        if stop - start > _MANY:
            part = slice(start, stop)
            least = _nth_largest(influence[part])
            ties = influence[part] == least
            many = _nth_largest(rows[part][ties]) if ties.sum() > MAX_VALUES_PER_FIELD else 0
            among[part] = (influence[part] > least) | (ties & (rows[part] >= many))
    return among


def _nth_largest(values: npt.NDArray[Any]) -> Any:
    """The value that MAX_VALUES_PER_FIELD of them reach."""
    return np.partition(values, len(values) - MAX_VALUES_PER_FIELD)[-MAX_VALUES_PER_FIELD]


def most_influential(found: Influences, names: Mapping[str, Interner], fields: Sequence[str]) -> Influences:
    """At most MAX_VALUES_PER_FIELD for every result and field: by influence, then records, then text.

    A value that influences a result in several ways counts once, with the most influence.
    """
    order = np.lexsort((-found.rows_i, -found.influence_i, found.value_i, found.field_i, found.result_i))
    found = found.at(order)
    found = found.at(starts_of(found.result_i, found.field_i, found.value_i))
    found = found.at(np.lexsort((-found.rows_i, -found.influence_i, found.field_i, found.result_i)))
    place, last = _places(starts_of(found.result_i, found.field_i), MAX_VALUES_PER_FIELD - 1)
    ties = (found.influence_i == found.influence_i[last]) & (found.rows_i == found.rows_i[last])
    found = found.at((place < MAX_VALUES_PER_FIELD) | ties)
    text = np.zeros(len(found), np.int64)
    for at, name in enumerate(fields):
        chosen = np.flatnonzero(found.field_i == at)
        text[chosen] = text_order(found.value_i[chosen], names[name])
    keys = (text, -found.rows_i, -found.influence_i, found.field_i, found.result_i)
    found = found.at(np.lexsort(keys))
    place, _ = _places(starts_of(found.result_i, found.field_i), 0)
    return found.at(place < MAX_VALUES_PER_FIELD)


def text_order(codes: I64, names: Interner) -> I64:
    """The place of every code's text in the order of texts."""
    unique, at = np.unique(codes, return_inverse=True)
    rank: I64 = pc.rank(names.texts().take(unique), tiebreaker="first").to_numpy().astype(np.int64)
    return rank[at]


def starts_of(*columns: I64) -> npt.NDArray[np.bool_]:
    """Which rows differ from the one before them."""
    starts = np.zeros(len(columns[0]), bool)
    starts[:1] = True
    for column in columns:
        starts[1:] |= column[1:] != column[:-1]
    return starts


def _places(starts: npt.NDArray[np.bool_], nth: int) -> tuple[I64, I64]:
    """The place of every row in its group, and the row at the nth place of its group, or its last."""
    first = np.flatnonzero(starts)
    group = np.cumsum(starts) - 1
    size = np.diff(np.append(first, len(starts)))
    return np.arange(len(starts)) - first[group], (first + np.minimum(size - 1, nth))[group]
