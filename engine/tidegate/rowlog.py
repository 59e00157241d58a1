"""The rows of the open buckets, kept until it is known which of their series are unusual.

A pass costs a few references to its columns; rows are copied once, when a call ends while their bucket
is open, and looked at only if a series has a result in their bucket. A row takes 4 bytes for every
lane and influencer field and 8 for every value that detectors look at, and for its weight if it has
one. When there are more than `FOLD_ROWS`, those of large buckets are folded into statistics of every
pair of series and value, some 50 bytes for each and 50 to 100 more for every number, if that takes
less. So memory grows with the rows of open buckets or, in huge ones, with their distinct pairs,
whichever is less. A median needs every value: the rows of jobs that ask for one are never folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set, Sized
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import influence as kernels
from tidegate_kernels.fold import RECORD_SIZE

from .cells import I32, I64
from .kept import INSIDE, Keeper, require, require_within
from .lanes import LaneKey
from .passes import Pass
from .rows import Rows, Source
from .valuestats import FEW_PAIRS, ValueStatistics

FOLD_ROWS = 1 << 22
"""Rows of open buckets that are kept as they are; more are folded,"""
_SMALL = 64
"""but for buckets of less than this part of them: the tables of a folded bucket take memory too."""
_FULL_ROWS = 1 << 16
"""Pieces of so many rows are not joined."""
_SAMPLE = 1 << 18
_PAIR_BYTES = 56
_ROOM = 1 << 20
ALL = None
"""Beside the influencer fields: a field with one value, which all rows have."""
DISTINCT = ("distinct", "info")
NUMBERS = ("number", "sum")
KEPT = (*NUMBERS, "value", *DISTINCT)
"""Kinds of sources whose values are kept: those that influence can be computed of."""
Statistics = dict[str | None, ValueStatistics]
_Columns = dict[Any, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Followed:
    """What is kept of the rows of one lane."""

    fields: tuple[str, ...]
    """Influencer fields that are not key fields of the lane."""
    sources: tuple[Source, ...]
    """The values that its detectors look at; `rows.WEIGHT` with them if rows stand for many records."""

    @property
    def pair_bytes(self) -> int:
        """About what a pair of a folded field takes."""
        return _PAIR_BYTES + sum(
            _PAIR_BYTES if kind in DISTINCT else 8 * RECORD_SIZE for kind, _ in self.sources if kind in KEPT
        )

    def statistics(self, room: int = FEW_PAIRS) -> Statistics:
        """Empty statistics of every field, with room for some pairs."""
        numbers = [source for source in self.sources if source[0] in NUMBERS]
        distinct = [source for source in self.sources if source[0] in DISTINCT]
        return {field: ValueStatistics(numbers, distinct, room) for field in (ALL, *self.fields)}


@dataclass(frozen=True, slots=True)
class Behind:
    """The rows behind some targets, which are series in a bucket, and their statistics.

    Arrays ending in _h have one element per row that was not folded.
    """

    statistics: Statistics
    """By field; the slots are the targets."""
    target_h: I32
    pair_h: dict[str | None, I32]
    """By field: the pair of every row."""
    value_h: _Columns
    """By source."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows: group g is of bucket ``bucket_g[g]``, the runs ``first_g[g]`` to before ``last_g[g]``."""

    start_u: I64
    stop_u: I64
    bucket_g: I64
    first_g: I64
    last_g: I64
    rows_g: I64
    columns: _Columns
    """By lane its series (empty: all of one), by field its codes, by source its values."""
    is_owned: bool = False

    def __len__(self) -> int:
        return int(self.rows_g.sum())

    def only(self, chosen: npt.NDArray[np.bool_]) -> _Piece:
        """Some of its groups."""
        if chosen.all():
            return self
        groups = (self.bucket_g, self.first_g, self.last_g, self.rows_g)
        bucket, first, last, rows = (array[chosen] for array in groups)
        return replace(self, bucket_g=bucket, first_g=first, last_g=last, rows_g=rows)

    def settled(self) -> _Piece:
        """Itself in memory of its own, of which most is needed."""
        if self.is_owned:
            return self
        if 2 * len(self) < max(len(column) for column in self.columns.values()):
            return _copied([self])
        columns = {name: _own(column) for name, column in self.columns.items()}
        return replace(self, columns=columns, is_owned=True)

    def require_whole(self, may_lack: Set[Any]) -> None:
        """Sees that restored groups, runs and columns fit; of some names columns may be empty."""
        sizes = {len(column) for name, column in self.columns.items() if len(column) or name not in may_lack}
        require(len(sizes) == 1, "the columns of rows of open buckets are not of one length")
        [size] = sizes
        groups = (self.first_g, self.last_g, self.rows_g)
        require(all(len(array) == len(self.bucket_g) for array in groups), "groups of rows do not fit")
        for start, stop, most in (
            (self.start_u, self.stop_u, size),
            (self.first_g, self.last_g, len(self.start_u)),
        ):
            fits = len(start) == len(stop) and bool(((start >= 0) & (start <= stop) & (stop <= most)).all())
            require(fits, "rows of open buckets lie outside of their columns")
        length = np.append(0, np.cumsum(self.stop_u - self.start_u))
        rows_g = length[self.last_g] - length[self.first_g]
        require(
            np.array_equal(rows_g, self.rows_g), "rows of open buckets are not as many as their runs have"
        )

    def rows(self) -> I64:
        """The places of its rows, bucket by bucket."""
        runs = _ranges(self.first_g, self.last_g)
        return _ranges(self.start_u[runs], self.stop_u[runs])


class RowLog(Keeper):
    """The rows of all open buckets of a job; without a lane to follow it keeps nothing."""

    KEPT: ClassVar = {
        "_fold_at": int,
        "_pieces": list[_Piece],
        "_places": list[tuple[int, int]],
        "_folded": INSIDE,
    }

    def __init__(self, lanes: Mapping[LaneKey, Followed], fold_rows: int | None = None) -> None:
        self._lanes = {key: lane for key, lane in lanes.items() if lane.fields}
        self._fields = tuple(dict.fromkeys(f for lane in self._lanes.values() for f in lane.fields))
        self._sources = tuple(dict.fromkeys(s for lane in self._lanes.values() for s in lane.sources))
        self._can_fold = all(source[0] != "value" for source in self._sources)
        self._fold_rows = self._fold_at = FOLD_ROWS if fold_rows is None else fold_rows
        self._pieces: list[_Piece] = []
        self._folded: dict[tuple[LaneKey, int], Statistics] = {}
        self._target_s: I32 = np.empty(0, np.int32)

    @property
    def nbytes(self) -> int:
        """The memory of what is kept."""
        arrays = {id(array): array for piece in self._pieces for array in piece.columns.values()}
        folded = (statistics for fields in self._folded.values() for statistics in fields.values())
        return sum(array.nbytes for array in arrays.values()) + sum(one.nbytes for one in folded)

    @property
    def _places(self) -> list[tuple[int, int]]:
        """The lanes, by their number, and buckets that have folded rows."""
        numbers = {key: k for k, key in enumerate(self._lanes)}
        return [(numbers[key], bucket) for key, bucket in self._folded]

    @_places.setter
    def _places(self, places: list[tuple[int, int]]) -> None:
        keys = list(self._lanes)
        for number, _ in places:
            require_within(np.array([number]), len(keys), "the lane of folded rows")
        self._folded = {(keys[k], bucket): self._lanes[keys[k]].statistics() for k, bucket in places}

    def _resume(self) -> None:
        require(self._fold_at >= 0, f"{self._fold_at} rows cannot be folded")
        names: tuple[Any, ...] = (*self._lanes, *self._fields, *self._sources)
        for piece in self._pieces:
            require(piece.columns.keys() == set(names), "rows do not have the columns of the job")
            for name in names:
                kind = np.int32 if name in self._lanes else _type_of(name)
                require(piece.columns[name].dtype == kind, f"the column {name} has another kind of numbers")
            piece.require_whole(may_lack=set(self._lanes))

    def require_known(self, n_series: Mapping[LaneKey, int], names: Mapping[str, Sized]) -> None:
        """Sees that rows are of no more series than every lane has, and values than every field has."""
        for piece in self._pieces:
            for field in self._fields:
                require_within(piece.columns[field], len(names[field]), f"the {field} of a row")
            for key in self._lanes:
                require_within(piece.columns[key], n_series[key], "the series of a row", least=-2)
        for (key, _), fields in self._folded.items():
            for name, statistics in fields.items():
                require_within(statistics.slot_p, n_series[key], "the series of folded rows")
                n_values = 2 if name is ALL else len(names[name])
                require_within(statistics.value_p, n_values, f"the {name} of folded rows")

    @property
    def row_bytes(self) -> int:
        """What a row takes."""
        return 4 * (len(self._lanes) + len(self._fields)) + 8 * len(self._sources) if self._lanes else 0

    def follows(self, key: LaneKey) -> tuple[str, ...]:
        """The fields that are followed in a lane."""
        return self._lanes[key].fields if key in self._lanes else ()

    def add(self, part: Pass, rows: Rows, series: Mapping[LaneKey, I32]) -> None:
        """Takes note of the rows of a pass."""
        if not self._lanes or not len(part):
            return
        columns: _Columns = {key: series[key] for key in self._lanes}
        columns |= {field: rows.codes[field] for field in self._fields}
        columns |= {source: rows.values(source) for source in self._sources}
        groups = part.bucket_g, part.first_g[:-1], part.first_g[1:], part.rows_g
        self._pieces.append(_Piece(part.start_u, part.stop_u, *groups, columns))

    def drop(self, bucket: int) -> None:
        """Forgets all buckets before this one."""
        self._forget(lambda numbers: numbers < bucket)

    def reset(self, first: int, last: int) -> None:
        """Forgets the buckets ``first <= b < last``."""
        self._forget(lambda numbers: (numbers >= first) & (numbers < last))

    def _forget(self, is_gone: Callable[[I64], npt.NDArray[np.bool_]], *, folded: bool = True) -> None:
        pieces = [piece.only(~is_gone(piece.bucket_g)) for piece in self._pieces]
        self._pieces = [piece for piece in pieces if len(piece.bucket_g)]
        for place in list(self._folded) if folded else ():
            if is_gone(np.array([place[1]])).all():
                del self._folded[place]

    def codes(self, field: str) -> Iterator[npt.NDArray[np.integer]]:
        """The codes that the rows have of a field."""
        if field in self._fields:
            yield from (piece.columns[field] for piece in self._pieces)
            yield from (one[field].value_p for one in self._folded.values() if field in one)

    def open_series(self, key: LaneKey) -> Iterator[I32]:
        """The series of a lane that have rows in open buckets; negative for none."""
        if key in self._lanes:
            yield from (piece.columns[key] for piece in self._pieces)
            yield from (one[ALL].slot_p for place, one in self._folded.items() if place[0] == key)

    def renumber(self, key: LaneKey, new_of: I32) -> None:
        """Goes on with other numbers of the series of a lane."""
        if key not in self._lanes:
            return
        for place in [place for place in self._folded if place[0] == key]:
            moved = self._lanes[key].statistics()
            for field, statistics in moved.items():
                statistics.carry_over(self._folded[place][field], new_of)
            self._folded[place] = moved
        to = np.append(new_of, np.int32(-1))  # of rows without a series
        self._change(key, lambda series: to[np.maximum(series, -1)] if len(series) else series)

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        for field in self._fields:
            if field in new_of:
                self._change(field, lambda codes, to=new_of[field]: to[codes])  # type: ignore[misc]
                for fields in self._folded.values():
                    if field in fields:
                        fields[field].move_values(new_of[field])

    def _change(self, name: str | LaneKey, change: Callable[[I32], I32]) -> None:
        """Makes a change to a column of all rows."""
        for k, piece in enumerate(self._pieces):
            columns = {**piece.columns, name: change(piece.columns[name])}
            self._pieces[k] = replace(piece, columns=columns)

    def fold(self) -> None:
        """Folds the rows of large buckets when there are too many in all, if that saves memory."""
        kept = sum(map(len, self._pieces))
        if not self._can_fold or kept <= self._fold_at:
            return
        numbers, of_group = np.unique(
            np.concatenate([piece.bucket_g for piece in self._pieces]), return_inverse=True
        )
        rows = np.bincount(of_group, np.concatenate([piece.rows_g for piece in self._pieces]))
        large = numbers[rows > self._fold_rows / _SMALL]
        folded = [bucket for bucket in large.tolist() if self._shrinks(bucket)]
        for piece in self._pieces:
            for g in np.flatnonzero(np.isin(piece.bucket_g, folded)).tolist():
                self._fold_group(piece, g)
        self._forget(lambda bucket: np.isin(bucket, folded), folded=False)
        self._fold_at = max(self._fold_rows, 2 * sum(map(len, self._pieces)))

    def _shrinks(self, bucket: int) -> bool:
        """Whether the rows of a bucket would take less memory folded, as a sample of them tells."""
        parts = [piece.only(piece.bucket_g == bucket) for piece in self._pieces if bucket in piece.bucket_g]
        step = -(-sum(map(len, parts)) // _SAMPLE)
        places = [part.rows()[::step] for part in parts]

        def sampled(name: Any) -> npt.NDArray[Any]:
            return np.concatenate([part.columns[name][at] for part, at in zip(parts, places, strict=True)])

        names = [name for name, column in parts[0].columns.items() if len(column)]
        columns = {name: sampled(name) for name in names}
        taken = sum(column.nbytes for column in columns.values())
        needed = 0
        for key, lane in self._lanes.items():
            for field in lane.fields:
                pairs = (columns[field].astype(np.int64) << 32) + columns.get(key, 0)
                needed += len(np.unique(pairs)) * lane.pair_bytes
        return needed < taken

    def _fold_group(self, piece: _Piece, g: int) -> None:
        bucket, runs = int(piece.bucket_g[g]), slice(piece.first_g[g], piece.last_g[g])
        rows = _ranges(piece.start_u[runs], piece.stop_u[runs])
        columns = {name: column[rows] for name, column in piece.columns.items() if len(column)}
        for key, lane in self._lanes.items():
            if (key, bucket) not in self._folded:
                self._folded[key, bucket] = lane.statistics()
            _add(self._folded[key, bucket], columns, columns.get(key, np.zeros(len(rows), np.int32)))

    def settle(self) -> None:
        """Copies what shares memory with others, and lets go of rows that are no longer needed.

        Small pieces are joined so that they are as many as twos in the number of their rows; every row
        is copied that often at most.
        """
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            settled = piece.settled()
            while self._pieces and settled is not piece and len(settled) < _FULL_ROWS:
                if len(self._pieces[-1]) >= min(2 * len(settled), _FULL_ROWS):
                    break
                settled = _copied([self._pieces.pop(), settled])
            self._pieces.append(settled)

    def behind(self, key: LaneKey, bucket_t: I64, series_t: I32, n_series: int) -> Behind:
        """The rows behind targets, sorted by bucket, of a lane of so many series."""
        lane, columns = self._lanes[key], self._columns_behind(key, bucket_t, series_t, n_series)
        target_h = columns.pop(key)
        made = lane.statistics(min(max(len(target_h), FEW_PAIRS), _ROOM))
        for bucket in sorted({place[1] for place in self._folded if place[0] == key}):
            begin, end = np.searchsorted(bucket_t, (bucket, bucket + 1))
            slot_of = np.full(n_series, -1, np.int32)
            slot_of[series_t[begin:end]] = np.arange(begin, end)
            for field, statistics in made.items():
                statistics.carry_over(self._folded[key, bucket][field], slot_of)
        pair_h = _add(made, columns, target_h)
        return Behind(made, target_h, pair_h, columns)

    def _columns_behind(self, key: LaneKey, bucket_t: I64, series_t: I32, n_series: int) -> _Columns:
        """The columns of the rows of some targets, in the order they came; under `key` their targets."""
        lane = self._lanes[key]
        names: tuple[Any, ...] = (*lane.fields, *lane.sources)
        parts: list[tuple[I32, _Columns]] = []
        buckets, begin_b = np.unique(bucket_t, return_index=True)
        end_b = np.append(begin_b[1:], len(bucket_t))
        if n_series > len(self._target_s):
            self._target_s = np.full(2 * n_series, -1, np.int32)
        for piece in self._pieces:
            at = np.minimum(np.searchsorted(buckets, piece.bucket_g), len(buckets) - 1)
            visit = np.flatnonzero(buckets[at] == piece.bucket_g)
            room = int(piece.rows_g[visit].sum()) + 1
            row_h, target_h = np.empty(room, np.int64), np.empty(room, np.int32)
            runs = piece.first_g[visit], piece.last_g[visit]
            targets = begin_b[at[visit]], end_b[at[visit]]
            found = kernels.select_rows(
                piece.columns[key], *_runs(piece), *runs, *targets, series_t, self._target_s, row_h, target_h
            )
            rows = row_h[:found]
            parts.append((target_h[:found].copy(), {name: piece.columns[name][rows] for name in names}))
        nothing = np.empty(0, np.int32)
        parts.append((nothing, {name: np.empty(0, _type_of(name)) for name in names}))
        joined: _Columns = {name: np.concatenate([columns[name] for _, columns in parts]) for name in names}
        joined[key] = np.concatenate([target for target, _ in parts])
        return joined


def _add(statistics: Statistics, columns: _Columns, slot_h: I32) -> dict[str | None, I32]:
    """Adds rows to the statistics of every field; returns the pairs of the rows."""
    all_rows = np.ones(len(slot_h), np.int32)
    return {
        field: one.add(all_rows if field is ALL else columns[field], slot_h, columns)
        for field, one in statistics.items()
    }


def _type_of(name: str | Source) -> type:
    """The type of a column: codes of a field, hashes or numbers of a source."""
    if isinstance(name, str):
        return np.int32
    return np.uint64 if name[0] in DISTINCT else np.float64


def _runs(piece: _Piece) -> tuple[I64, I64]:
    return piece.start_u, piece.stop_u


def _ranges(start: I64, stop: I64) -> I64:
    """The numbers of all ranges, one after another.

    >>> _ranges(np.array([3, 7]), np.array([5, 8])).tolist()
    [3, 4, 7]
    """
    length = stop - start
    ends = np.cumsum(length)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(start - (ends - length), length) + np.arange(total)


def _own(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The column, copied where somebody else has its memory or it is but a small part of it."""
    root = column
    while isinstance(root.base, np.ndarray):
        root = root.base
    is_ours = root.base is None and root.nbytes <= 2 * column.nbytes
    return column if is_ours else column.copy()


def _copied(pieces: Iterable[_Piece]) -> _Piece:
    """The rows of some pieces in memory of their own: a run for every bucket of every piece."""
    pieces = list(pieces)
    rows = [piece.rows() for piece in pieces]
    columns = {}
    for name, first in pieces[0].columns.items():
        taken = [piece.columns[name][at] for piece, at in zip(pieces, rows, strict=True) if len(first)]
        columns[name] = np.concatenate(taken) if taken else first
    bucket = np.concatenate([piece.bucket_g for piece in pieces])
    length = np.concatenate([piece.rows_g for piece in pieces])
    stop = np.cumsum(length)
    order = np.argsort(bucket, kind="stable")
    bucket_g, first_g = np.unique(bucket[order], return_index=True)
    last_g = np.append(first_g[1:], len(order))
    done = np.concatenate(([0], np.cumsum(length[order])))
    runs = (stop - length)[order], stop[order]
    return _Piece(*runs, bucket_g, first_g, last_g, done[last_g] - done[first_g], columns, is_owned=True)
