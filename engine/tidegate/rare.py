"""Rare by values: how probable it is that something as rare as this is active.

Every by value of a partition is compared with the other ones of that partition, its own past among
them; with an over field a by value is an attribute, as common as it has members. Typical is the share of
buckets, of those of members, in which the by value is active; actual is 1, in the causes of
``freq_rare`` the number of records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import rare as kernels
from tidegate_kernels import rareresults as result_kernels

from .analysis import Analysis, Finding, LaneCells, rows_kept, with_room
from .causes import Causes
from .cells import F64, I32, I64, ClosedCells
from .config import Detector
from .kept import INSIDE, Keeper, require, require_within
from .keys import Keys, MemberSpace, Sizes
from .model import U8, Run, Scored, joined
from .rows import Source
from .threads import Threads
from .timeline import DAY_MS

_COUNT: Source = ("count", None)
_NO_CODES: I32 = np.empty(0, np.int32)
_NO_NUMBERS: F64 = np.empty(0)
_PIECE = 4096  # cells below which a second thread costs more than it brings
_SERIES_BYTES, _MEMBER_BYTES = 4 * 8 + 4, 2 * 8 + 4  # a partition is said to take what its state does
_MADE = 6  # columns that the scoring makes


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
        people = self.person_c, self.category_c, self.member_c
        return self.partition_c, self.bucket_c, *people, self.records_c

    def bounds(self, pieces: int) -> list[int]:
        """Places that cut them into so many pieces, none of them within a partition."""
        targets = np.array([len(self) * k // pieces for k in range(1, pieces)], np.int64)
        inner = np.searchsorted(self.partition_c, self.partition_c[targets])
        return [0, *(int(at) for at in inner), len(self)]


class Rare(Analysis):
    """The weights of by values, and of the partitions that they belong to; ``rare`` and ``freq_rare``."""

    sources = (_COUNT,)
    KEPT: ClassVar = {
        "_partition": F64,
        "_weights": list[F64],
        "_counts": list[F64],
        "_partitions": INSIDE,
        "_persons": INSIDE,
    }

    def __init__(self, detector: Detector, span_ms: int) -> None:
        self.detector = detector
        self._is_population = detector.over_field_name is not None
        self._span_days = span_ms / DAY_MS
        self._by_repeats = detector.spec.name == "freq_rare"
        self._size = kernels.PARTITION_SIZE_WITH_REPEATS if self._by_repeats else kernels.PARTITION_SIZE
        self._partition = np.zeros(0)
        # Weight, mass, age at the last activation, and what is pending, of every category.
        self._weights = [np.zeros(0) for _ in range(4)]
        self._counts = [np.zeros(0), np.zeros(0)]  # and age at the last activation, of every member
        self._partitions, self._persons = _Places(), _Places()

    @property
    def series_bytes(self) -> int:
        """The memory that one more series takes, even if it is the first of its partition."""
        return _MEMBER_BYTES if self._is_population else self.attribute_bytes

    @property
    def attribute_bytes(self) -> int:
        """The memory that one more by value takes, even if it is the first of its partition."""
        return _SERIES_BYTES + (8 * self._size + 4 if self.detector.partition_field_name else 0)

    def taken(self, sizes: Sizes) -> int:
        """The memory that the weights of so many series and attributes, and their partitions, take."""
        partitions = (8 * self._size + 4) * self._partitions.count
        if self._is_population:
            return _MEMBER_BYTES * sizes[0] + _SERIES_BYTES * sizes[1] + partitions
        return _SERIES_BYTES * sizes[0] + partitions

    def expected(self, sizes: Sizes, partitions: int) -> int:
        """The memory that the weights of so many series, attributes and partitions will take."""
        categories = sizes[1] if self._is_population else sizes[0]
        members = _MEMBER_BYTES * sizes[0] if self._is_population else 0
        return _SERIES_BYTES * categories + members + (8 * self._size + 4) * partitions

    def keep(self, keys: Keys, series: I64, attributes: I64) -> None:
        """Forgets all series and attributes but these, ascending, which move down."""
        self._grow(keys)
        categories = attributes if self._is_population else series
        self._weights = [array[categories] for array in self._weights]
        partitions = self._partitions.keep(categories, all_places=keys.partition is None)
        self._partition = rows_kept(
            self._partition[: self._size * len(partitions)], self._size, np.flatnonzero(partitions)
        )
        if self._is_population:
            self._counts = [array[series] for array in self._counts]
            self._persons.keep(series)

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        for places, field in (
            (self._partitions, self.detector.partition_field_name),
            (self._persons, self.detector.over_field_name),
        ):
            if field is not None and field in new_of:
                places.move_codes(new_of[field])

    def _resume(self) -> None:
        require(len(self._weights) == 4 and len(self._counts) == 2, "it does not have its columns")
        known = (self._partition, *self._weights, *self._counts)
        require(all(np.isfinite(column).all() for column in known), "a weight is no number")
        require(not (self._weights[0] < 0.0).any(), "a weight is negative")
        require(not self._weights[3].any(), "an activation was left unfinished")

    def require_keys(self, keys: Keys) -> None:
        """Sees that no more is known than there are series, and members."""
        categories = keys.attributes if isinstance(keys, MemberSpace) else keys
        members = len(keys) if isinstance(keys, MemberSpace) else 0
        fits = len(self._partitions) <= len(categories) and len(self._persons) <= members
        require(fits, "more series are known than there are")

    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores what is active in every bucket by what came before, and with ``run.learn`` then learns."""
        self._grow(keys)
        activations = self._sorted(cells[_COUNT], keys, run)
        bounds = activations.bounds(max(1, min(threads.size, len(activations) // _PIECE)))
        made_c = [np.empty(len(activations)) for _ in range(_MADE)]

        def piece(k: int) -> tuple[Scored, Causes]:
            self._score(activations, bounds[k], bounds[k + 1], run, made_c)
            return self._results(activations, bounds[k], bounds[k + 1], run, made_c)

        scored, causes = _joined(list(threads.map(piece, range(len(bounds) - 1))))
        return Finding(self.detector, keys, scored, causes=causes if self._is_population else None)

    def _grow(self, keys: Keys) -> None:
        """Makes room for all series, their partitions and members."""
        categories = keys.attributes if isinstance(keys, MemberSpace) else keys
        n, known = len(categories), len(self._partitions)
        self._weights = [with_room(array, n) for array in self._weights]
        if keys.partition is None:
            self._partitions.add(np.zeros(n - known, np.int32))
        else:
            self._partitions.add(categories.partition_codes(np.arange(known, n)))
        self._partition = with_room(self._partition, self._partitions.count * self._size)
        if isinstance(keys, MemberSpace):
            self._counts = [with_room(array, len(keys)) for array in self._counts]
            self._persons.add(keys.over_codes(np.arange(len(self._persons), len(keys))))

    def _sorted(self, closed: ClosedCells, keys: Keys, run: Run) -> Activations:
        """The cells in an order that does not depend on how they were gathered."""
        series = closed.series_c
        buckets = closed.bucket_c - run.calendar.bucket_from
        if isinstance(keys, MemberSpace):
            categories = keys.attribute_of(series).astype(np.int32)
            partitions, persons = self._partitions.of(categories), self._persons.of(series)
            order = _order([partitions, buckets, persons, series])
            people = persons[order], categories[order], series[order]
        else:
            partitions = self._partitions.of(series)
            order = _order([partitions, buckets, series])
            people = _NO_CODES, series[order], _NO_CODES
        records = closed.record_c[:: closed.width][order] if self._by_repeats else _NO_NUMBERS
        return Activations(partitions[order], closed.bucket_c[order], *people, records)

    def _score(self, activations: Activations, start: int, stop: int, run: Run, made_c: list[F64]) -> None:
        """Scores, and with ``run.learn`` learns, the activations [start, stop)."""
        kernels.score_activations(
            *activations.columns,
            start,
            stop,
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

    def _results(
        self, activations: Activations, start: int, stop: int, run: Run, made_c: list[F64]
    ) -> tuple[Scored, Causes]:
        """The results of the activations [start, stop), and the causes of those of a population."""
        n, buckets = stop - start, len(run.calendar)
        made_r: list[npt.NDArray[Any]] = [np.empty(n, np.int64 if k < 2 else np.float64) for k in range(7)]
        n_causes = n if self._is_population else 0
        made_k: list[npt.NDArray[Any]] = [
            np.empty(n_causes, np.int64 if k < 2 else np.float64) for k in range(5)
        ]
        scored_b, min_log_p_b, made = np.zeros(buckets, np.int64), np.zeros(buckets), np.zeros(2, np.int64)
        result_kernels.collect_results(
            *activations.columns,
            start,
            stop,
            run.calendar.bucket_from,
            run.clock_offset,
            self._span_days,
            int(self._by_repeats),
            self._size,
            self._partition,
            *made_c[:-1],
            *made_r,
            *made_k,
            scored_b,
            min_log_p_b,
            made,
        )
        scored = _scored([column[: made[0]].copy() for column in made_r], min_log_p_b, scored_b)
        result, attribute, log_p, actual, typical = (column[: made[1]].copy() for column in made_k)
        return scored, Causes.single(result, attribute, log_p, actual, typical)


class _Places(Keeper):
    """Codes as places from 0 on, in the order in which series first have them: whatever the codes are."""

    KEPT: ClassVar = {"count": int, "_place_s": I32, "_place_of": I32}

    def __init__(self) -> None:
        self.count = 0
        self._place_s: I32 = _NO_CODES
        self._place_of: I32 = _NO_CODES

    def __len__(self) -> int:
        return len(self._place_s)

    def _resume(self) -> None:
        require(self.count >= 0, f"there are no {self.count} places")
        require_within(self._place_s, self.count, "the place of a series")
        places = np.sort(self._place_of[self._place_of != -1])
        require(np.array_equal(places, np.arange(self.count)), "codes do not have every place once")

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        return self._place_s.nbytes + self._place_of.nbytes

    def of(self, series: I32) -> I32:
        """The places of some series."""
        places: I32 = self._place_s[series]
        return places

    def keep(self, series: I64, *, all_places: bool = False) -> npt.NDArray[np.bool_]:
        """Goes on with some series alone, which move down, and their places, or all; which those are."""
        kept = np.full(self.count, all_places)
        kept[self._place_s[series]] = True
        # The last one is of codes without a place.
        place_of = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1).astype(np.int32)
        self._place_s, self._place_of = place_of[self._place_s[series]], place_of[self._place_of]
        self.count = int(np.count_nonzero(kept))
        return kept

    def move_codes(self, new_of: I32) -> None:
        """Goes on with new codes."""
        codes = np.flatnonzero(self._place_of[: len(new_of)] >= 0)
        moved = np.full(int(new_of.max(initial=0)) + 1, -1, np.int32)
        moved[new_of[codes]] = self._place_of[codes]
        self._place_of = moved

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
        self._place_s = np.concatenate([self._place_s, self._place_of[codes]])


def _order(columns: list[npt.NDArray[Any]]) -> I64:
    """The order by the columns, the first before the others, if that no two rows are the same.

    As one number where they fit 64 bits, which they do but for billions: 0.10 us a row against 0.24
    (1 M rows of 10,000 partitions, 2026-11-23).
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
    bucket, series, log_p, typical, score, rarity, is_first = columns
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
    return joined(scored), Causes.consecutive(causes, [len(part) for part in scored])
