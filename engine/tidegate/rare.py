"""Rare by values: how probable it is that something as rare as this is active.

Every by value of a partition is compared with the other ones of that partition, its own past among
them; with an over field a by value is an attribute, as common as it has members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate_kernels import rare as kernels

from .analysis import Finding, LaneCells
from .causes import Causes
from .cells import F64, I32, I64, ClosedCells
from .config import Detector
from .keys import Keys, MemberSpace
from .model import U8, Run, Scored, joined
from .rows import Source
from .threads import Threads
from .timeline import DAY_MS

_COUNT: Source = ("count", None)
_NO_CODES: I32 = np.empty(0, np.int32)
_NO_NUMBERS: F64 = np.empty(0)
_PIECE = 4096  # cells below which a second thread costs more than it brings
_SERIES_BYTES, _MEMBER_BYTES, _PARTITION_BYTES = 4 * 8 + 4, 2 * 8 + 4, 8 * kernels.PARTITION_SIZE + 4


@dataclass(frozen=True, slots=True)
class Activations:
    """Cells sorted by partition, bucket, person and series: an element of each array for each."""

    partition_c: I32
    bucket_c: I64
    person_c: I32
    """The places of the over values; empty without an over field."""
    category_c: I32
    """The series of the by and partition values."""
    member_c: I32
    """The series of the cells where there is an over field, else empty."""
    records_c: F64
    """Records of each; empty where they do not matter."""

    def __len__(self) -> int:
        return len(self.bucket_c)

    @property
    def columns(self) -> tuple[I32, I64, I32, I32, I32, F64]:
        """What the kernels take first."""
        return (
            self.partition_c,
            self.bucket_c,
            self.person_c,
            self.category_c,
            self.member_c,
            self.records_c,
        )

    def pieces(self, number: int) -> list[int]:
        """Places that cut them into about so many pieces, none of them within a partition."""
        targets = [len(self) * k // number for k in range(1, number)]
        inner = np.searchsorted(self.partition_c, self.partition_c[targets]) if targets else []
        return [0, *(int(at) for at in inner), len(self)]


class Rare:
    """The weights of by values, and of the partitions that they belong to; ``rare`` and ``freq_rare``."""

    sources: tuple[Source, ...] = (_COUNT,)

    def __init__(self, detector: Detector, span_ms: int) -> None:
        self.detector = detector
        self._span_days = span_ms / DAY_MS
        self._by_repeats = detector.spec.name == "freq_rare"
        self._size = kernels.PARTITION_SIZE_WITH_REPEATS if self._by_repeats else kernels.PARTITION_SIZE
        self._partition = np.zeros(0)
        self._weights = [np.zeros(0) for _ in range(4)]  # weight, mass, clock, pending: of every category
        self._counts = [np.zeros(0), np.zeros(0)]  # count and clock of every member
        self._partitions, self._persons = _Places(), _Places()

    @property
    def series_bytes(self) -> int:
        """The memory that one more series takes, even if it is the first of its partition."""
        member = _MEMBER_BYTES if self.detector.over_field_name is not None else 0
        return _SERIES_BYTES + member + (_PARTITION_BYTES if self.detector.partition_field_name else 0)

    @property
    def attribute_bytes(self) -> int:
        """A series of by and partition values has all it takes in `series_bytes`."""
        return 0

    @property
    def state_bytes(self) -> int:
        """The memory that weights and partitions take now."""
        arrays = (self._partition, *self._weights, *self._counts, self._partitions.place_s)
        return sum(array.nbytes for array in (*arrays, self._persons.place_s))

    def ask_siblings(self) -> None:
        """There is nothing to ask: the by values of a partition share one model."""

    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores what is active in every bucket by what came before, and with ``run.learn`` then learns."""
        self._grow(keys)
        activations = self._sorted(cells[_COUNT], keys, run)
        number = max(1, min(threads.size, len(activations) // _PIECE))
        bounds = activations.pieces(number)

        def piece(k: int) -> tuple[Scored, Causes]:
            return self._run_piece(activations, bounds[k], bounds[k + 1], run)

        scored, causes = _joined(list(threads.map(piece, range(len(bounds) - 1))))
        is_population = self.detector.over_field_name is not None
        return Finding(self.detector, keys, scored, causes=causes if is_population else None)

    def _grow(self, keys: Keys) -> None:
        """Makes room for all series, their partitions and members."""
        categories = keys.attributes if isinstance(keys, MemberSpace) else keys
        n = len(categories)
        self._weights = [_longer(array, n) for array in self._weights]
        known = len(self._partitions.place_s)
        if keys.partition is None:
            self._partitions.add(np.zeros(n - known, np.int32))
        else:
            self._partitions.add(categories.partition_codes(np.arange(known, n)))
        self._partition = _longer(self._partition, self._partitions.count * self._size)
        if isinstance(keys, MemberSpace):
            self._counts = [_longer(array, len(keys)) for array in self._counts]
            self._persons.add(keys.over_codes(np.arange(len(self._persons.place_s), len(keys))))

    def _sorted(self, closed: ClosedCells, keys: Keys, run: Run) -> Activations:
        """The cells in an order that does not depend on how they were gathered."""
        series = closed.series_c
        members, persons, categories = _NO_CODES, _NO_CODES, series
        if isinstance(keys, MemberSpace):
            members, persons = series, self._persons.place_s[series]
            categories = keys.attribute_of(series).astype(np.int32)
        partitions = self._partitions.place_s[categories]
        buckets = closed.bucket_c - run.calendar.bucket_from
        order = _order([partitions, buckets, *([persons] if len(persons) else []), series])
        records = closed.record_c[:: closed.width][order] if self._by_repeats else _NO_NUMBERS
        return Activations(
            partitions[order],
            closed.bucket_c[order],
            persons[order] if len(persons) else persons,
            categories[order],
            members[order] if len(members) else members,
            records,
        )

    def _run_piece(self, activations: Activations, start: int, stop: int, run: Run) -> tuple[Scored, Causes]:
        """Runs the kernels over some of the partitions."""
        part = Activations(*(column[start:stop] for column in activations.columns))
        n, buckets = len(part), len(run.calendar)
        made_c = [np.empty(n) for _ in range(6)]
        kernels.score_activations(
            *part.columns,
            0,
            n,
            run.clock_offset,
            self._span_days,
            int(self._by_repeats),
            self._size,
            int(run.learn),
            self._partition,
            *self._weights,
            *self._counts,
            np.empty(self._size + kernels.BINS),
            *made_c,
        )
        whole_r, real_r = [np.empty(n, np.int64) for _ in range(2)], [np.empty(n) for _ in range(5)]
        whole_k, real_k = [np.empty(n, np.int64) for _ in range(2)], [np.empty(n) for _ in range(3)]
        scored_b, min_log_p_b, made = np.zeros(buckets, np.int64), np.zeros(buckets), np.zeros(2, np.int64)
        kernels.collect_results(
            *part.columns,
            0,
            n,
            run.calendar.bucket_from,
            run.clock_offset,
            self._span_days,
            int(self._by_repeats),
            self._size,
            self._partition,
            *made_c[:5],
            *whole_r,
            *real_r,
            *whole_k,
            *real_k,
            scored_b,
            min_log_p_b,
            made,
        )
        results, causes = int(made[0]), int(made[1])
        scored = _scored([column[:results] for column in (*whole_r, *real_r)], min_log_p_b, scored_b)
        return scored, Causes.single(*(column[:causes].copy() for column in (*whole_k, *real_k)))


class _Places:
    """Codes as places from 0 on, in the order in which series first have them: whatever the codes are."""

    def __init__(self) -> None:
        self.count = 0
        self.place_s: I32 = _NO_CODES
        self._place_of: I32 = _NO_CODES

    def add(self, codes: I32) -> None:
        """Gives the next series, of these codes, their places."""
        if not len(codes):
            return
        highest = int(codes.max()) + 1
        if highest > len(self._place_of):
            grown = np.full(max(highest, 2 * len(self._place_of)), -1, np.int32)
            grown[: len(self._place_of)] = self._place_of
            self._place_of = grown
        unknown, first = np.unique(codes, return_index=True)
        is_new = self._place_of[unknown] < 0
        new = unknown[is_new][np.argsort(first[is_new])]
        self._place_of[new] = np.arange(self.count, self.count + len(new))
        self.count += len(new)
        self.place_s = np.concatenate([self.place_s, self._place_of[codes]])


def _order(columns: list[npt.NDArray[Any]]) -> I64:
    """The order by the columns, the first before the others, if that no two rows are the same.

    As one number where they fit 64 bits, which they do but for billions: an eighth of the time.
    """
    bits = [int(column.max(initial=0)).bit_length() for column in columns]
    if sum(bits) > 63:
        return np.lexsort(columns[::-1])
    key = columns[0].astype(np.int64)
    for column, width in zip(columns[1:], bits[1:], strict=True):
        key <<= width
        key |= column
    return np.argsort(key)


def _scored(columns: list[npt.NDArray[Any]], min_log_p_b: F64, scored_b: I64) -> Scored:
    """Results as the other functions have them; what is rare is not expected at all: bounds of 0."""
    bucket, series, log_p, typical, score, rarity, is_first = (column.copy() for column in columns)
    n = len(bucket)
    return Scored(
        bucket_r=bucket,
        series_r=series,
        actual_r=np.ones(n),
        typical_r=typical,
        lower_r=np.zeros(n),
        upper_r=np.zeros(n),
        log_p_r=log_p,
        log_p_single_r=log_p,
        log_p_multi_r=np.zeros(n),
        score_r=score,
        feature_r=np.zeros(n, np.int64),
        second_actual_r=np.full(n, np.nan),
        second_typical_r=np.full(n, np.nan),
        rarity_r=rarity,
        is_first_r=is_first,
        min_log_p_b=min_log_p_b,
        scored_b=scored_b,
        bounds=np.empty(0),
    )


def _joined(parts: list[tuple[Scored, Causes]]) -> tuple[Scored, Causes]:
    """Pieces of one run as one, in the order of partitions."""
    if len(parts) == 1:
        return parts[0]
    scored = [part for part, _ in parts]
    causes = [part for _, part in parts]
    before = np.cumsum([0, *(len(part) for part in scored[:-1])])
    return joined(scored), Causes(
        np.concatenate([part.result_r + n for part, n in zip(causes, before, strict=True)]),
        *(np.concatenate([getattr(part, name) for part in causes]) for name in Causes.__slots__[1:]),
    )


def _longer(array: F64, size: int) -> F64:
    """The array with room for so many elements."""
    if size <= len(array):
        return array
    longer = np.zeros(max(size, len(array) + (len(array) >> 1)))
    longer[: len(array)] = array
    return longer
