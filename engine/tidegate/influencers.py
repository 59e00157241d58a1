"""Influencers of a job: which values of its influencer fields the written results are blamed on.

A value's results in a bucket, record i with ln p_i and influence w_i, come to::

    ln p      -ln sum(exp(-w_i ln p_i))
    score     min(absolute(p), rank of p among those of the field so far, largest record score)

The sum is that of the harmonic mean p (see `kernels.score`) without its division by the number of
tests, which nobody knows: how many series the value took part in. So p is that of the value if it was in
few series; the rank in the field's own history tells how often values get as far. In that history
a bucket counts as many as series were scored in it, as for records.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from tidegate_kernels import score as kernels
from tidegate_kernels.event import ABSOLUTE_HALF

from .analysis import Finding
from .buckets import BucketScores
from .cells import F64, I64
from .config import Detector
from .individual import source_of
from .influence import (
    Asked,
    Influences,
    influences_of,
    most_influential,
    starts_of,
    tail,
    text_order,
)
from .kept import INSIDE, Keeper
from .keys import Interner, MemberSpace
from .lanes import Lane, LaneKey, key_of
from .marks import Marks
from .model import Run
from .ranked import Ranked
from .resultcolumns import Frame, common_columns, filled_columns, probability
from .results import INFLUENCERS, RECORDS
from .rowlog import KEPT, Followed, RowLog
from .rows import WEIGHT, Source
from .weights import gathered_as

MAX_P = 0.035
"""A value that results are blamed on is written if its probability is below."""
MAX_INFLUENCERS_PER_BUCKET = 100
"""The least probable values of a field that are written for a bucket."""
_ROLES = ("by", "over", "partition")


@dataclass(frozen=True, slots=True)
class _Members:
    """Series behind the results of one finding: a result has its own, and those of its causes."""

    result: I64
    bucket: I64
    series: I64
    feature: I64
    actual: F64
    typical: F64
    steepness: F64
    weight: F64

    @classmethod
    def of(cls, written: Ranked) -> list[_Members]:
        """The members of every finding of what is written."""
        names = ("bucket_r", "series_r", "feature_r", "actual_r", "typical_r")
        columns = [written.column(name) for name in names]
        bounds = [written.column(name) for name in ("lower_r", "upper_r", "log_p_single_r")]
        columns += tail(columns[-2], columns[-1], *bounds)
        made = []
        for at, finding in enumerate(written.findings):
            rows = np.flatnonzero(written.finding_r == at)
            own = cls(*(rows, *(column[rows] for column in columns)))
            is_alone = finding.causes is None or not len(rows)
            made.append(own if is_alone else own._with_causes(written, finding))
        return made

    def _with_causes(self, written: Ranked, finding: Finding) -> _Members:
        causes, keys = finding.causes, finding.keys
        assert causes is not None
        assert isinstance(keys, MemberSpace)
        of_place = np.full(len(finding.scored), -1)
        of_place[written.place_r[self.result]] = np.arange(len(self.result))
        own = of_place[causes.result_r]
        chosen = np.flatnonzero(own >= 0)
        own = own[chosen]
        member = keys.members(keys.over_codes(self.series[own]), causes.attribute[chosen])
        other = (member >= 0) & (member != self.series[own])
        own, chosen = own[other], chosen[other]
        parts = (
            self.result[own],
            self.bucket[own],
            member[other].astype(np.int64),
            self.feature[own],
            causes.actual[chosen],
            causes.typical[chosen],
            np.ones(len(own)),
            np.ones(len(own)),
        )
        mine = (getattr(self, name) for name in self.__slots__)
        return _Members(*(np.concatenate(pair) for pair in zip(mine, parts, strict=True)))


@dataclass(frozen=True, slots=True)
class Blamed:
    """Values and buckets; arrays are of equal length. By bucket, then score and probability."""

    bucket: I64
    field: I64
    value: I64
    log_p: F64
    score: F64

    def __len__(self) -> int:
        return len(self.bucket)


@dataclass(frozen=True, slots=True)
class Blame:
    """What the results of a pass are blamed on."""

    of_records: pa.Array | None
    """The influencers of every record; None for a job without."""
    values: Blamed
    """The values that influencer results are written of."""
    buckets: list[BucketScores]
    """By field: how unusual it makes the buckets."""


class Influencers(Keeper):
    """The influencer fields of a job, the rows of its open buckets, and past scores of values."""

    KEPT: ClassVar = {"log": INSIDE, "_past_values": INSIDE, "_past_buckets": INSIDE, "marks": INSIDE}

    def __init__(
        self,
        fields: tuple[str, ...],
        lanes: Mapping[LaneKey, Lane],
        names: Mapping[str, Interner],
        span_ms: int,
        *,
        is_summarised: bool = False,
    ) -> None:
        self.fields = tuple(dict.fromkeys(fields))
        self._lanes = lanes
        self._names = names
        self._span_ms = span_ms
        self._is_summarised = is_summarised
        self.log = RowLog({key: self._followed(key, lane) for key, lane in lanes.items()})
        self._past_values = [np.zeros(kernels.HISTORY_SIZE) for _ in self.fields]
        self._past_buckets = [np.zeros(kernels.HISTORY_SIZE) for _ in self.fields]
        self.marks = [Marks(span_ms) for _ in self.fields]
        """By field: the history of its values at fixed steps of data time."""

    def _resume(self) -> None:
        self.log.require_known({key: len(lane.keys) for key, lane in self._lanes.items()}, self._names)

    def _followed(self, key: LaneKey, lane: Lane) -> Followed:
        fields = tuple(field for field in self.fields if field not in key[:3])
        sources = dict.fromkeys(
            self._kept_as(source, one.detector) for one in lane.analyses for source in one.sources
        )
        weight = (WEIGHT,) if self._is_summarised else ()
        return Followed(fields, (*(source for source in sources if source[0] in KEPT), *weight))

    def _kept_as(self, source: Source, detector: Detector) -> Source:
        """What the log has the values of a source as."""
        return gathered_as(source, detector.spec.family) if self._is_summarised else source

    def blame(self, written: Ranked, score_r: F64, bucket_b: BucketScores, scored_b: I64, run: Run) -> Blame:
        """What written results, with their scores, are blamed on.

        `bucket_b` are the scores of the buckets as a whole. With ``run.learn`` false nothing changes.
        """
        found = self.of_results(written)
        values, buckets = self.score(found, written, score_r, bucket_b, scored_b, run)
        return Blame(self.of_records(found, len(written)), values, buckets)

    def of_results(self, written: Ranked) -> Influences:
        """The values that influence results, result by result, field by field, the most influential first."""
        if not self.fields or not len(written):
            return Influences.joined([])
        members = _Members.of(written)
        found = [*self._of_keys(written, members)]
        for key in self._lanes:
            of_lane = [
                (finding, part)
                for finding, part in zip(written.findings, members, strict=True)
                if key_of(finding.detector) == key and len(part.result)
            ]
            if of_lane and self.log.follows(key):
                found += self._of_rows(key, of_lane)
        return most_influential(Influences.joined(found), self._names, self.fields)

    def _of_keys(self, written: Ranked, members: list[_Members]) -> Iterator[Influences]:
        """Key fields of detectors: their value influences the result, with records or without."""
        for finding, part in zip(written.findings, members, strict=True):
            for role in _ROLES:
                field = getattr(finding.keys, role)
                if field in self.fields:
                    value = getattr(finding.keys, f"{role}_codes")(part.series).astype(np.int64)
                    known = value > 0
                    n = int(known.sum())
                    at = np.full(n, self.fields.index(field))
                    result, none = part.result[known], np.zeros(n)
                    yield Influences(result, at, value[known], np.ones(n), none)

    def _of_rows(self, key: LaneKey, of_lane: list[tuple[Finding, _Members]]) -> Iterator[Influences]:
        """Other fields: by the rows behind the results of a lane."""
        n_series = len(self._lanes[key].keys)
        bucket = np.concatenate([part.bucket for _, part in of_lane])
        series = np.concatenate([part.series for _, part in of_lane])
        first = int(bucket.min())
        targets, target = np.unique((bucket - first) * n_series + series, return_inverse=True)
        series_t = (targets % n_series).astype(np.int32)
        behind = self.log.behind(key, targets // n_series + first, series_t, n_series)
        done = 0
        for finding, part in of_lane:
            of_part = target[done : done + len(part.result)]
            done += len(part.result)
            for number, feature in enumerate(finding.detector.spec.features):
                a = np.flatnonzero(part.feature == number)
                source = source_of(finding.detector, feature)
                if source is not None:
                    source = self._kept_as(source, finding.detector)
                measures = (part.actual[a], part.typical[a], part.steepness[a], part.weight[a])
                asked = Asked(part.result[a], of_part[a], feature, source, *measures)
                for field in self.log.follows(key) if len(a) else ():
                    yield influences_of(asked, behind, field, self.fields.index(field))

    def score(
        self,
        found: Influences,
        written: Ranked,
        score_r: F64,
        bucket_b: BucketScores,
        scored_b: I64,
        run: Run,
    ) -> tuple[Blamed, list[BucketScores]]:
        """The values that are blamed, and by field how unusual they make the buckets of a pass.

        `score_r` are the scores of the written results, `bucket_b` those of the buckets as a whole.
        Enters the history after it; with ``run.learn`` false, not at all.
        """
        parts, buckets = [], []
        for at in range(len(self.fields)):
            of_field = found.at(np.flatnonzero(found.field_i == at))
            parts.append(self._blamed(of_field, at, written, score_r, scored_b, run))
            buckets.append(self._of_buckets(of_field, at, written, score_r, bucket_b, scored_b, run))
        columns = [np.concatenate([getattr(p, name) for p in parts]) for name in Blamed.__slots__ if parts]
        if not columns:
            whole = np.empty(0, np.int64)
            return Blamed(whole, whole, whole, np.empty(0), np.empty(0)), buckets
        blamed = Blamed(*columns)
        order = np.lexsort((blamed.log_p, -blamed.score, blamed.bucket))
        return Blamed(*(column[order] for column in columns)), buckets

    def _blamed(
        self, found: Influences, at: int, written: Ranked, score_r: F64, scored_b: I64, run: Run
    ) -> Blamed:
        """The values of a field that are written, by bucket, the least probable first."""
        bucket = written.column("bucket_r")[found.result_i]
        order = np.lexsort((found.result_i, found.value_i, bucket))
        found, bucket = found.at(order), bucket[order]
        starts = np.flatnonzero(starts_of(bucket, found.value_i))
        s = -written.column("log_p_r")[found.result_i] * found.influence_i
        group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(s))))
        if len(s):
            most = np.maximum.reduceat(s, starts)
            log_sum = most + np.log(np.add.reduceat(np.exp(s - most[group]), starts))
            largest = np.maximum.reduceat(score_r[found.result_i], starts)
        else:
            log_sum = largest = np.empty(0)
        kept = np.flatnonzero(log_sum > -math.log(MAX_P))
        bucket, value = bucket[starts[kept]], found.value_i[starts[kept]]
        log_p, largest = -log_sum[kept], largest[kept]
        order = np.lexsort((text_order(value, self._names[self.fields[at]]), log_p, bucket))
        bucket, value, log_p, largest = bucket[order], value[order], log_p[order], largest[order]
        past, score = self._past_values[at], np.minimum(_absolute(-log_p), largest)
        score, _ = self._ranked(past, bucket, log_p, score, scored_b, run, self.marks[at])
        place = np.arange(len(bucket)) - np.searchsorted(bucket, bucket)
        chosen = np.flatnonzero((score > 0.0) & (place < MAX_INFLUENCERS_PER_BUCKET))
        field = np.full(len(chosen), at)
        return Blamed(bucket[chosen], field, value[chosen], log_p[chosen], score[chosen])

    def _of_buckets(
        self,
        found: Influences,
        at: int,
        written: Ranked,
        score_r: F64,
        bucket_b: BucketScores,
        scored_b: I64,
        run: Run,
    ) -> BucketScores:
        """How unusual a field's values make the buckets, at most as unusual as the bucket as a whole.

        Of the results as for the whole bucket, each with the largest influence that a value has.
        """
        influence_r = np.zeros(len(written))
        np.maximum.at(influence_r, found.result_i, found.influence_i)
        chosen = np.flatnonzero(influence_r > 0.0)
        bucket = written.column("bucket_r")[chosen]
        log_p = written.column("log_p_r")[chosen] * influence_r[chosen]
        past = self._past_buckets[at]
        _, (log_p_b, score_b) = self._ranked(past, bucket, log_p, score_r[chosen], scored_b, run)
        score_b = np.minimum(score_b, bucket_b.score_b)
        return BucketScores(self.fields[at], np.maximum(log_p_b, bucket_b.log_p_b), score_b)

    def _ranked(
        self,
        past: F64,
        bucket: I64,
        log_p: F64,
        score: F64,
        scored_b: I64,
        run: Run,
        marked: Marks | None = None,
    ) -> tuple[F64, tuple[F64, F64]]:
        """Scores as their rank in the history allows, and log-probabilities and scores of the buckets."""
        calendar = run.calendar
        n = len(calendar)
        score_r, log_p_b, score_b = np.empty(len(bucket)), np.empty(n), np.empty(n)
        step, marks = (0, np.empty(0)) if marked is None else marked.of_pass(run)
        kernels.score_buckets(
            bucket,
            log_p,
            score,
            np.zeros(n),
            scored_b,
            calendar.bucket_from,
            calendar.bucket_to,
            self._span_ms,
            int(run.learn),
            step,
            past,
            np.empty_like(past),
            marks,
            score_r,
            log_p_b,
            score_b,
        )
        return score_r, (log_p_b, score_b)

    def of_records(self, found: Influences, n_records: int) -> pa.Array | None:
        """The influencers of records, null for those without any; None for a job without influencers."""
        if not self.fields:
            return None
        starts = np.flatnonzero(starts_of(found.result_i, found.field_i))
        texts = self._texts(found.field_i, found.value_i)
        offsets = pa.array(np.append(starts, len(found)).astype(np.int32))
        kind = RECORDS.field("influencers").type.value_type
        values = {
            "influencer_field_name": pa.array(self.fields).take(pa.array(found.field_i[starts])),
            "influencer_field_values": pa.ListArray.from_arrays(offsets, texts),
        }
        ends = np.searchsorted(found.result_i[starts], np.arange(n_records + 1)).astype(np.int32)
        mask = pa.array(ends[1:] == ends[:-1])
        structs = pa.StructArray.from_arrays([values[part.name] for part in kind], fields=list(kind))
        return pa.ListArray.from_arrays(pa.array(ends), structs, mask=mask)

    def batches(self, blamed: Blamed, frame: Frame) -> list[pa.RecordBatch]:
        """The influencer results of a pass, in a batch if there are any."""
        if not len(blamed):
            return []
        score = pa.array(blamed.score)
        values: dict[str, Any] = {
            **common_columns("influencer", blamed.bucket, frame),
            "influencer_field_name": pa.array(self.fields, pa.string()).take(pa.array(blamed.field)),
            "influencer_field_value": self._texts(blamed.field, blamed.value),
            "probability": pa.array(probability(blamed.log_p)),
            "log_probability": pa.array(blamed.log_p),
            "influencer_score": score,
            "initial_influencer_score": score,
        }
        columns = filled_columns(list(INFLUENCERS), len(blamed), values)
        return [pa.record_batch(columns, schema=INFLUENCERS)]

    def _texts(self, field: I64, value: I64) -> pa.Array:
        """The texts of values, each of a field."""
        texts = [pa.array([], pa.large_string())]
        place = np.empty(len(field), np.int64)
        done = 0
        for at, name in enumerate(self.fields):
            chosen = np.flatnonzero(field == at)
            texts.append(self._names[name].texts().take(pa.array(value[chosen])))
            place[chosen] = done + np.arange(len(chosen))
            done += len(chosen)
        return pa.concat_arrays(texts).take(pa.array(place)).cast(pa.string())


def _absolute(s: F64) -> F64:
    """`event.absolute_score` of many."""
    square = np.minimum(s, 1e100) ** 2
    scores: F64 = 100.0 * square / (ABSOLUTE_HALF + square)
    return scores
