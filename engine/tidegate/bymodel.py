"""Cells in the order of models that are densities: model by model, bucket by bucket.

What the analyses of times and of positions have in common. Without an over field every series is a model;
with one every attribute is, and the members of a bucket, in the order of their values, are all scored before
any is learned from: who came first in the bucket makes no difference.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate_kernels import blocks as block_kernels
from tidegate_kernels import circular as kernels
from tidegate_kernels.fold import COUNT, DEVIATION, ORIGIN

from .analysis import Finding
from .causes import MOST, Causes
from .cells import F64, I64, ClosedCells
from .config import Detector
from .keys import Keys, MemberSpace
from .model import RESULT_COLUMNS, SELDOM, SIGNIFICANT, Run, Scored
from .threads import Threads

_PIECE = 1 << 12  # cells below which a second thread costs more than it brings
_FIRST_RESULTS = 1024
_MOST_NEW_STATES = 1 << 16


def mean_of(cells: ClosedCells) -> F64:
    """The mean of every cell, NaN where there is no value."""
    record = cells.record_c.reshape(-1, cells.width)
    with np.errstate(invalid="ignore"):
        mean: F64 = record[:, ORIGIN] + record[:, DEVIATION] / record[:, COUNT]
    return mean


def models_of(keys: Keys) -> int:
    """How many models there are: series, or attributes of a population."""
    return len(keys.attributes) if isinstance(keys, MemberSpace) else len(keys)


def grown(state: F64, size: int) -> F64:
    """The states with room for so many numbers, zeros where they are new."""
    if size <= len(state):
        return state
    larger = np.zeros(max(size, min(2 * len(state), len(state) + _MOST_NEW_STATES * 256)))
    larger[: len(state)] = state
    return larger


@dataclass(frozen=True, slots=True)
class ByModel:
    """Cells sorted by model, then by bucket, then by value; cell c is row ``order[c]`` of the stream's."""

    order: I64
    model_c: I64
    bucket_c: I64
    series_c: I64

    @classmethod
    def of(cls, cells: ClosedCells, keys: Keys, values: Sequence[F64]) -> ByModel:
        """The cells of one source with the numbers that their value consists of."""
        series = cells.series_c.astype(np.int64)
        if isinstance(keys, MemberSpace):
            model = keys.attribute_of(series)
            order = np.lexsort((*reversed(values), cells.bucket_c, model))
        else:
            model, order = series, np.empty(len(series), np.int64)
            first = np.empty(len(keys) + 1, np.int64)
            block_kernels.sort_by_number(series, len(keys), first, order)
        return cls(order, model[order], cells.bucket_c[order], series[order])

    def __len__(self) -> int:
        return len(self.order)

    def cuts(self, threads: int) -> list[int]:
        """Where the cells are cut into pieces for threads: between two models."""
        n = len(self)
        pieces = max(1, min(threads, n // _PIECE))
        targets = self.model_c[[n * k // pieces for k in range(1, pieces)]]
        return [0, *np.searchsorted(self.model_c, targets).tolist(), n]


@dataclass(frozen=True, slots=True)
class Piece:
    """What came of a piece of the cells."""

    columns: list[npt.NDArray[Any]]
    """The cells of the results, and what else the kernel says of them."""
    min_log_p_b: F64
    scored_b: I64


@dataclass(frozen=True, slots=True)
class Density:
    """A kernel that judges cells by densities, and what it works on; all such kernels are called alike."""

    judge: Callable[..., int]
    """Judges the cells from one to before another; returns where it stopped for want of room."""
    values: Sequence[F64]
    """The columns of numbers that the value of every cell consists of."""
    settings: F64
    state: F64
    scratch: Sequence[int]
    """How many numbers of working space it wants, array by array."""
    columns: int = 5
    """Columns of real numbers that a result has, after its cell."""


def judged(cells: ByModel, run: Run, threads: Threads, density: Density) -> Piece:
    """Scores all cells with a kernel, in pieces on several threads, however many results there are."""
    cuts, n_buckets = cells.cuts(threads.size), len(run.calendar)

    def piece(k: int) -> Piece:
        at, end, size = cuts[k], cuts[k + 1], _FIRST_RESULTS
        min_log_p, scored = np.zeros(n_buckets), np.zeros(n_buckets, np.int64)
        parts = []
        while True:
            room = [np.empty(size, np.int64), *(np.empty(size) for _ in range(density.columns))]
            before, made = at, np.zeros(kernels.RESUME, np.int64)
            at = density.judge(
                cells.model_c,
                cells.bucket_c,
                *density.values,
                at,
                end,
                run.calendar.bucket_from,
                run.clock_offset,
                int(run.learn),
                density.settings,
                density.state,
                *map(np.empty, density.scratch),
                min_log_p,
                scored,
                *room,
                made,
            )
            parts.append([column[: made[kernels.MADE]] for column in room])
            if at == end:
                break
            size = 2 * size if at > before else 4 * size
        return Piece([np.concatenate(column) for column in zip(*parts, strict=True)], min_log_p, scored)

    pieces = list(threads.map(piece, range(len(cuts) - 1)))
    return Piece(
        [np.concatenate(column) for column in zip(*(p.columns for p in pieces), strict=True)],
        np.minimum.reduce([p.min_log_p_b for p in pieces]),
        np.add.reduce([p.scored_b for p in pieces]),
    )


def found(detector: Detector, keys: Keys, cells: ByModel, piece: Piece, **columns: F64) -> Finding:
    """What a pass found: `columns` of its results beside those that follow from the cells."""
    scored = _scored_of(cells, piece, **columns)
    if not isinstance(keys, MemberSpace):
        return Finding(detector, keys, scored)
    scored, causes = _people(scored, cells, keys)
    return Finding(detector, keys, scored, causes=causes)


def _scored_of(cells: ByModel, piece: Piece, **columns: F64) -> Scored:
    """The results of single members."""
    cell, log_p = piece.columns[0], piece.columns[1]
    nothing = np.full(len(cell), np.nan)
    return Scored(
        bucket_r=cells.bucket_c[cell],
        series_r=cells.series_c[cell],
        log_p_r=log_p,
        log_p_single_r=log_p,
        log_p_multi_r=np.zeros(len(cell)),
        feature_r=np.zeros(len(cell), np.int64),
        **{**dict.fromkeys(SELDOM, nothing), **columns},
        min_log_p_b=piece.min_log_p_b,
        scored_b=piece.scored_b,
        bounds=np.empty(0),
    )


def _people(scored: Scored, cells: ByModel, keys: MemberSpace) -> tuple[Scored, Causes]:
    """One result for each person and bucket, and the attributes that are its causes.

    A member is a person in one attribute, a by value. The result of a person is that of the least
    probable member; p is multiplied by the number of its members in the bucket, which is valid however they
    depend on one another, and the result kept if that is still significant.
    """
    columns = {name: getattr(scored, name) for name in RESULT_COLUMNS}
    results, members = _person(scored.bucket_r, scored.series_r, keys), _members(scored, cells, keys)
    order = np.lexsort((scored.series_r, scored.log_p_r, *results))
    is_first = np.ones(len(order), bool)
    is_first[1:] = np.any([column[order][1:] != column[order][:-1] for column in results], axis=0)
    log_p = scored.log_p_r + np.log(members)
    kept = log_p[order[is_first]] < math.log(SIGNIFICANT)
    chosen = order[is_first][kept]
    # In the order of their series: that of codes changes when strings are swept.
    by_series = np.argsort(scored.series_r[chosen])
    chosen = chosen[by_series]
    place_of = np.full(len(kept), -1)
    place_of[np.flatnonzero(kept)[by_series]] = np.arange(len(chosen))
    place = place_of[np.cumsum(is_first) - 1]
    rank = np.arange(len(order)) - np.flatnonzero(is_first)[np.cumsum(is_first) - 1] if len(order) else order
    cause = (place >= 0) & (rank < MOST)
    columns["log_p_r"] = log_p
    at = order[cause]
    causes = Causes(
        place[cause],
        keys.attribute_of(scored.series_r[at]),
        *(getattr(scored, name)[at] for name in ("log_p_r", "actual_r", "typical_r")),
        *(getattr(scored, name)[at] for name in ("second_actual_r", "second_typical_r")),
    )
    chosen_columns = {name: column[chosen] for name, column in columns.items()}
    return dataclasses.replace(scored, **chosen_columns), causes


def _person(bucket: I64, member: I64, keys: MemberSpace) -> tuple[I64, ...]:
    """What tells persons apart: bucket, partition and over value."""
    return bucket, keys.partition_codes(member).astype(np.int64), keys.over_codes(member).astype(np.int64)


def _members(scored: Scored, cells: ByModel, keys: MemberSpace) -> F64:
    """For each result how many members its person has in the bucket."""
    if keys.by is None or not len(scored):
        return np.ones(len(scored))
    wanted = np.isin(keys.over_codes(cells.series_c), keys.over_codes(scored.series_r))
    person = np.stack(_person(cells.bucket_c[wanted], cells.series_c[wanted], keys), axis=1)
    distinct, counts = np.unique(person, axis=0, return_counts=True)
    number = {tuple(row): n for row, n in zip(distinct.tolist(), counts.tolist(), strict=True)}
    results = np.stack(_person(scored.bucket_r, scored.series_r, keys), axis=1)
    return np.array([number[tuple(row)] for row in results.tolist()], float)
