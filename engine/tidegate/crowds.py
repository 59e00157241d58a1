"""The models of a population detector: flat states, one for every attribute and feature, run by kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tidegate_kernels import features as feature_kernels
from tidegate_kernels import members as member_kernels
from tidegate_kernels import population as kernels
from tidegate_kernels.crowd import STATE_SIZE
from tidegate_kernels.crowdlaw import LAW_SIZE

from .analysis import rows_kept, with_room
from .cells import F64, FEATURES, I32, I64, ClosedCells
from .config import Detector
from .kept import Keeper, require
from .keys import MemberSpace
from .model import COUNTING, GROWS_WITH_BUCKET, SIDES, Run
from .threads import Threads

_CHUNK = 1 << 18
"""Cells that are worked on at once, at least a bucket: what they take in memory is bounded."""
_PIECE = 1 << 13  # cells below which a second thread costs more than it brings


@dataclass(frozen=True, slots=True)
class MemberCells:
    """Cells by bucket and member (_c), and those by attribute (_i); the groups of an attribute (_g)."""

    bucket_c: I64
    member_c: I32
    values_c: tuple[F64, ...]
    """Of every feature; NaN: no sample."""
    place_i: I64
    """Where cell i is among those by bucket and member."""
    attribute_g: I64
    first_g: I64

    def __len__(self) -> int:
        return len(self.bucket_c)

    @classmethod
    def of(
        cls, closed: ClosedCells, start: int, stop: int, keys: MemberSpace, features: tuple[str, ...]
    ) -> MemberCells:
        """The cells [start, stop) of some, in order."""
        bucket, member = closed.bucket_c[start:stop], closed.series_c[start:stop]
        record_c = closed.record_c[start * closed.width : stop * closed.width]
        attribute = keys.attribute_of(member)
        order, place = _orders(bucket, member, attribute, len(keys), len(keys.attributes))
        bucket_c, member_c, records = np.empty_like(bucket), np.empty_like(member), np.empty(len(order))
        values = tuple(np.empty(len(order)) for _ in features)
        for feature, value in zip(features, values, strict=True):
            columns = (bucket, member, record_c, closed.width, FEATURES[feature])
            feature_kernels.take_cells(order, *columns, bucket_c, member_c, value, records)
        attribute_i = attribute[order][place]
        first = np.flatnonzero(np.diff(attribute_i, prepend=-1))
        return cls(bucket_c, member_c, values, place, attribute_i[first], np.append(first, len(order)))


def bucket_bounds(bucket_c: I64) -> I64:
    """Where every bucket of some cells begins, and the end."""
    return np.append(np.flatnonzero(np.diff(bucket_c, prepend=-1)), len(bucket_c))


def chunks(bucket_c: I64) -> list[tuple[int, int]]:
    """Cuts cells into stretches of whole buckets, of some hundred thousand cells or a bucket."""
    cuts, start = [], 0
    for stop in bucket_bounds(bucket_c)[1:].tolist():
        if stop - start >= _CHUNK or stop == len(bucket_c):
            cuts.append((start, stop))
            start = stop
    return cuts


def _orders(bucket: I64, member: I32, attribute: I64, n_members: int, n_attributes: int) -> tuple[I64, I64]:
    """The order of cells by bucket and member, and of those by attribute."""
    n = len(bucket)
    if 4 * n < n_members:  # the kernel counts all members; so few cells are sorted sooner
        order = np.lexsort((member, bucket))
        return order, np.argsort(attribute[order], kind="stable")
    first, n_buckets = int(bucket[0]), int(bucket[-1] - bucket[0]) + 1
    count = np.empty(max(n_buckets, n_members, n_attributes) + 1, np.int64)
    scratch, attribute_i, order, place = (np.empty(n, np.int64) for _ in range(4))
    sizes = (first, n_buckets, n_members, n_attributes)
    member_kernels.order_members(bucket, member, attribute, *sizes, count, scratch, attribute_i, order, place)
    return order, place


@dataclass(frozen=True, slots=True)
class Judged:
    """What the models say of cells by bucket and member; all but ln p only up to p = 0.05."""

    log_p: F64
    score: F64
    typical: F64
    lower: F64
    upper: F64

    @classmethod
    def room(cls, n: int) -> Judged:
        """Room for so many cells."""
        return cls(*(np.empty(n) for _ in range(5)))


class Shares(Keeper):
    """How much every member counts in the training."""

    BYTES_MEMBER, BYTES_ATTRIBUTE = 8 * member_kernels.MEMBER_SIZE, 8 * member_kernels.CROWD_SIZE
    KEPT: ClassVar = {"_members": F64, "_crowds": F64}

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._members: F64 = np.zeros(0)
        self._crowds: F64 = np.zeros(0)

    def keep(self, members: I64, attributes: I64) -> None:
        """Forgets all but these members and attributes, ascending, which move down."""
        self._members = rows_kept(self._members, member_kernels.MEMBER_SIZE, members)
        self._crowds = rows_kept(self._crowds, member_kernels.CROWD_SIZE, attributes)

    def grow(self, keys: MemberSpace) -> None:
        """Makes room for all members."""
        self._members = with_room(self._members, len(keys) * member_kernels.MEMBER_SIZE)
        self._crowds = with_room(self._crowds, len(keys.attributes) * member_kernels.CROWD_SIZE)

    def of(self, cells: MemberCells, bucket_i: I64, run: Run) -> F64:
        """The share of every cell by attribute; with ``run.learn`` false it is of no use, and 1."""
        share_i = np.ones(len(cells))
        if run.learn:
            groups = (cells.attribute_g, cells.first_g, bucket_i, cells.member_c[cells.place_i])
            state = (self._crowds, self._members)
            member_kernels.weigh_members(*groups, run.clock_offset, float(self._span_ms), *state, share_i)
        return share_i


class CrowdModel(Keeper):
    """The models of one feature of one detector, for all attributes."""

    BYTES_ATTRIBUTE = 8 * STATE_SIZE
    KEPT: ClassVar = {"state": F64}

    def __init__(self, detector: Detector, feature: str, span_ms: int, prune_buckets: int) -> None:
        self.state: F64 = np.zeros(0)
        settings = np.zeros(kernels.SETTINGS_SIZE)
        settings[kernels.SIDE] = SIDES[detector.spec.side_of(feature)]
        settings[kernels.SPAN_MS] = span_ms
        settings[kernels.PRUNE_BUCKETS] = prune_buckets
        settings[kernels.COUNTS] = float(feature in COUNTING)
        settings[kernels.GROWS] = float(feature in GROWS_WITH_BUCKET)
        self._settings = settings

    def _resume(self) -> None:
        require(bool(np.isfinite(self.state).all()), "what is known of an attribute is no number")

    def set_prune(self, buckets: int) -> None:
        """Forgets attributes that are silent for longer than so many buckets."""
        self._settings[kernels.PRUNE_BUCKETS] = buckets

    def run(
        self, cells: MemberCells, bucket_i: I64, value_i: F64, share_i: F64, run: Run, threads: Threads
    ) -> Judged:
        """What the models say of every cell; with ``run.learn`` they are trained then."""
        pieces = max(1, min(threads.size, len(cells) // _PIECE, len(cells.attribute_g)))
        targets = [len(cells) * k // pieces for k in range(1, pieces)]
        bounds = [0, *np.searchsorted(cells.first_g[:-1], targets).tolist(), len(cells.attribute_g)]
        completeness = np.ones(len(run.calendar)) if run.completeness_b is None else run.completeness_b
        judged = Judged.room(len(cells))

        def piece(k: int) -> None:
            first_g = cells.first_g[bounds[k] : bounds[k + 1] + 1]
            part = slice(int(first_g[0]), int(first_g[-1]))
            kernels.score_members(
                cells.attribute_g[bounds[k] : bounds[k + 1]],
                first_g - part.start,
                bucket_i[part],
                value_i[part],
                share_i[part],
                cells.place_i[part],
                *run.calendar.arrays[:2],
                completeness,
                run.calendar.bucket_from,
                run.clock_offset,
                int(run.learn),
                self._settings,
                self.state,
                np.empty(STATE_SIZE),
                np.empty(LAW_SIZE),
                np.empty(part.stop - part.start),
                np.empty(part.stop - part.start),
                *(getattr(judged, name) for name in Judged.__slots__),
                np.zeros(1, np.int64),
            )

        list(threads.map(piece, range(pieces)))
        return judged
