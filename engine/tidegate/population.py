"""Population analysis: every member is compared with what all members of its attribute usually do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import members as kernels

from .analysis import Analysis, Finding, LaneCells, rows_kept, with_room
from .causes import MOST, Causes
from .cells import F64, I32, I64, ClosedCells
from .config import Detector
from .crowds import CrowdModel, Judged, MemberCells, Shares, bucket_bounds, chunks
from .individual import source_of
from .kept import INSIDE, Keeper, require, require_within
from .keys import NUMBER_BYTES, Keys, MemberSpace, PairTable, Sizes
from .model import INTEGER_COLUMNS, RESULT_COLUMNS, SELDOM, SIGNIFICANT, U8, Run, Scored
from .rows import Source
from .threads import Threads

_ANY = (1 << 31) - 1
Columns = dict[str, npt.NDArray[Any]]


class Population(Analysis):
    """The models of a detector with an over field: one for every attribute and feature."""

    KEPT: ClassVar = {"_models": INSIDE, "_shares": INSIDE, "_persons": INSIDE}

    def __init__(self, detector: Detector, span_ms: int, prune_buckets: int) -> None:
        self.detector = detector
        self._features = detector.spec.features
        # All features of a function are taken from the same cells.
        [source] = {source_of(detector, feature) for feature in self._features}
        self.sources: tuple[Source, ...] = (source,)
        self._models = [CrowdModel(detector, name, span_ms, prune_buckets) for name in self._features]
        self._shares = Shares(span_ms)
        self._persons = _Persons(is_split=detector.by_field_name is not None)

    @property
    def series_bytes(self) -> int:
        """The memory that one more member takes."""
        return Shares.BYTES_MEMBER + (_Persons.BYTES if self._persons.is_split else 0)

    @property
    def attribute_bytes(self) -> int:
        """The memory that one more attribute takes."""
        return Shares.BYTES_ATTRIBUTE + len(self._models) * CrowdModel.BYTES_ATTRIBUTE

    def taken(self, sizes: Sizes) -> int:
        """The memory that the models of so many members and attributes take."""
        return self.series_bytes * sizes[0] + self.attribute_bytes * sizes[1]

    def keep(self, keys: Keys, series: I64, attributes: I64) -> None:
        """Forgets all members and attributes but these, ascending, which move down."""
        assert isinstance(keys, MemberSpace)
        self._grow(keys)
        self._shares.keep(series, attributes)
        self._persons.keep(series)
        for model in self._models:
            model.state = rows_kept(model.state, CrowdModel.BYTES_ATTRIBUTE // 8, attributes)

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        detector = self.detector
        self._persons.move_codes(new_of, detector.over_field_name, detector.partition_field_name)

    def actual_of(self, closed: ClosedCells) -> F64:
        """The values of cells; rules compare them only where there is one feature."""
        return closed.values(self._features[0])

    def require_keys(self, keys: Keys) -> None:
        """Sees that there are no more persons than members."""
        require(len(self._persons) <= len(keys), f"{len(self._persons)} persons are more than the members")

    def set_prune(self, buckets: int) -> None:
        """Forgets attributes that are silent for longer than so many buckets."""
        for model in self._models:
            model.set_prune(buckets)

    def run(self, cells: LaneCells, keys: Keys, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Scores every member with its cells, and with ``run.learn`` then trains."""
        assert isinstance(keys, MemberSpace)
        self._grow(keys)
        min_log_p, scored = np.zeros(len(run.calendar)), np.zeros(len(run.calendar), np.int64)
        parts: list[Columns] = []
        causes: list[Causes] = []
        closed, n = cells[self.sources[0]], 0
        for start, stop in chunks(closed.bucket_c):
            part = MemberCells.of(closed, start, stop, keys, self._features)
            judged, feature_c = self._judged(part, run, threads)
            columns, (result_h, cell_h) = self._results(part, judged, feature_c, run, min_log_p, scored)
            parts.append(columns)
            causes.append(_causes(part, judged, feature_c, keys, result_h, cell_h, n))
            n += len(columns["bucket_r"])
        whole = Scored(**_joined(parts), min_log_p_b=min_log_p, scored_b=scored, bounds=np.empty(0))
        return Finding(self.detector, keys, whole, causes=Causes.joined(causes))

    def _grow(self, keys: MemberSpace) -> None:
        """Makes room for all members and attributes."""
        self._shares.grow(keys)
        self._persons.grow(keys)
        for model in self._models:
            model.state = with_room(model.state, len(keys.attributes) * CrowdModel.BYTES_ATTRIBUTE // 8)

    def _judged(self, cells: MemberCells, run: Run, threads: Threads) -> tuple[Judged, I64]:
        """What the models say of every cell, and which of the features is the least probable.

        Its probability is multiplied by the number of features, which is valid however they depend.
        """
        bucket_i = cells.bucket_c[cells.place_i]
        share_i = self._shares.of(cells, bucket_i, run)
        feature_c = np.zeros(len(cells), np.int64)
        of_features = [
            model.run(cells, bucket_i, value_c[cells.place_i], share_i, run, threads)
            for model, value_c in zip(self._models, cells.values_c, strict=True)
        ]
        least = of_features[0]
        if len(of_features) == 1:
            return least, feature_c
        for k, judged in enumerate(of_features[1:], 1):
            better = judged.log_p < least.log_p
            feature_c[better] = k
            for name in Judged.__slots__:
                np.copyto(getattr(least, name), getattr(judged, name), where=better)
        is_scored = least.log_p != kernels.UNSCORED
        np.copyto(least.log_p, np.minimum(least.log_p + math.log(len(of_features)), 0.0), where=is_scored)
        return least, feature_c

    def _results(
        self, cells: MemberCells, judged: Judged, feature_c: I64, run: Run, min_log_p_b: F64, scored_b: I64
    ) -> tuple[Columns, tuple[I64, I64]]:
        """One result per bucket, over and partition value; results and cells of the causes."""
        most_r = int(np.count_nonzero(judged.log_p < math.log(SIGNIFICANT)))
        most_h = int(np.count_nonzero(judged.log_p <= kernels.CAUSE))
        longest = int(np.diff(bucket_bounds(cells.bucket_c)).max())
        work = [*(np.empty(longest) for _ in range(3)), np.empty(longest, np.int64)]
        bucket_r, cell_r = np.empty(most_r, np.int64), np.empty(most_r, np.int64)
        log_p_r, score_r = np.empty(most_r), np.empty(most_r)
        result_h, cell_h = np.empty(most_h, np.int64), np.empty(most_h, np.int64)
        n_causes = kernels.join_attributes(
            cells.bucket_c,
            self._persons.of(cells.member_c),
            judged.log_p,
            judged.score,
            run.calendar.bucket_from,
            math.log(SIGNIFICANT),
            self._persons.slot_p,
            *work,
            bucket_r,
            cell_r,
            log_p_r,
            score_r,
            min_log_p_b,
            scored_b,
            result_h,
            cell_h,
        )
        n = int(np.count_nonzero(bucket_r >= 0))
        at, nothing = cell_r[:n], np.full(n, np.nan)
        columns: Columns = {
            "bucket_r": bucket_r[:n],
            "series_r": cells.member_c[at].astype(np.int64),
            "actual_r": np.choose(feature_c[at], [value_c[at] for value_c in cells.values_c]),
            "typical_r": judged.typical[at],
            "lower_r": judged.lower[at],
            "upper_r": judged.upper[at],
            "log_p_r": log_p_r[:n],
            "log_p_single_r": log_p_r[:n],
            "log_p_multi_r": np.zeros(n),
            "score_r": score_r[:n],
            "feature_r": feature_c[at],
            **dict.fromkeys(SELDOM, nothing),
        }
        return columns, (result_h[:n_causes], cell_h[:n_causes])


class _Persons(Keeper):
    """Who a member is: the members with the same over and partition value are one person."""

    BYTES = NUMBER_BYTES + 8
    """What a person takes at most, per member."""
    KEPT: ClassVar = {"_table": INSIDE, "_person_m": I32}

    def __init__(self, *, is_split: bool) -> None:
        self.is_split = is_split
        """Whether a person may be several members."""
        self._table = PairTable()
        self._person_m: I32 = np.empty(0, np.int32)
        self.slot_p: I32 = np.empty(0, np.int32)
        """A work space of the kernel: -1 for every person."""

    def __len__(self) -> int:
        """How many members there are whose person is known."""
        return len(self._person_m)

    def _resume(self) -> None:
        require_within(self._person_m, len(self._table), "a person")
        self.slot_p = np.full(len(self._table), -1, np.int32)

    def keep(self, members: I64) -> None:
        """Goes on with some members alone, which move down, and who they are."""
        if self.is_split:
            persons, person_m = np.unique(self._person_m[members], return_inverse=True)
            self._table = PairTable.of(self._table.left[persons], self._table.right[persons])
            self._person_m = person_m.astype(np.int32)
            self.slot_p = np.full(len(persons), -1, np.int32)

    def move_codes(self, new_of: Mapping[str, I32], over: str | None, partition: str | None) -> None:
        """Goes on with new codes of the strings of some fields."""
        n = len(self._table)
        pairs = (over, self._table.left[:n]), (partition, self._table.right[:n])
        left, right = (
            new_of[field][codes] if field is not None and field in new_of else codes for field, codes in pairs
        )
        if self.is_split and (over in new_of or partition in new_of):
            self._table = PairTable.of(left, right)

    def grow(self, keys: MemberSpace) -> None:
        """Sees who the new members are."""
        new = np.arange(len(self._person_m), len(keys))
        if self.is_split and len(new):
            over = keys.over_codes(new)
            partition = np.zeros_like(over) if keys.partition is None else keys.partition_codes(new)
            numbers = self._table.numbers(over, partition, _ANY, skip_left=False)
            self._person_m = np.append(self._person_m, numbers)
            self.slot_p = np.full(len(self._table), -1, np.int32)

    def of(self, members: I32) -> I32:
        """The person of every member; empty where each is one by itself."""
        return self._person_m[members] if self.is_split else self._person_m


def _causes(
    cells: MemberCells,
    judged: Judged,
    feature_c: I64,
    keys: MemberSpace,
    result_h: I64,
    cell_h: I64,
    n_before: int,
) -> Causes:
    """The least probable attributes of every result, at most `MOST`; `n_before` results came before."""
    order = np.lexsort((cells.member_c[cell_h], judged.log_p[cell_h], result_h))
    result_h, cell_h = result_h[order], cell_h[order]
    few = np.arange(len(result_h)) - np.searchsorted(result_h, result_h) < MOST
    result_h, cell_h = result_h[few], cell_h[few]
    return Causes.single(
        result_r=result_h + n_before,
        attribute=keys.attribute_of(cells.member_c[cell_h]),
        log_p=judged.log_p[cell_h],
        actual=np.choose(feature_c[cell_h], [value_c[cell_h] for value_c in cells.values_c]),
        typical=judged.typical[cell_h],
    )


def _joined(parts: list[Columns]) -> Columns:
    """The columns of all parts."""
    if not parts:
        return {name: np.empty(0, np.int64 if name in INTEGER_COLUMNS else float) for name in RESULT_COLUMNS}
    return {name: np.concatenate([part[name] for part in parts]) for name in RESULT_COLUMNS}
