"""Bucket by bucket: what the models of all detectors found, made into records and buckets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .analysis import Finding
from .causes import Causes
from .cells import F64, I64
from .config import Detector
from .keys import Interner, Keys, MemberSpace
from .results import BUCKETS, RECORDS

MAX_RECORDS_PER_BUCKET = 100
"""The least probable records of a bucket that are kept."""
SMALLEST = 2.2250738585072014e-308
_NO_RECORDS = pa.RecordBatch.from_pylist([], RECORDS)
KEY_SETTINGS = ("detector_index", "by_field_name", "over_field_name", "partition_field_name")
"""What tells the series of one detector from those of others."""
_INTEGERS = ("bucket_r", "series_r", "feature_r")


@dataclass(frozen=True, slots=True)
class Frame:
    """What all results of a pass have in common."""

    job_id: str
    span_ms: int
    bucket_from: int
    is_interim: bool
    scheduled: tuple[str, ...] = ()
    """The descriptions of the events that fall on every one of the buckets."""


class Ranked:
    """All results of a pass, bucket by bucket, the least probable first."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = [finding for finding in findings if len(finding.scored)]
        sizes = [len(finding.scored) for finding in self.findings]
        self._order: I64 = np.arange(sum(sizes))
        self.finding_r = np.repeat(np.arange(len(sizes)), sizes)
        order = np.lexsort((self._order, self.column("log_p_r"), self.column("bucket_r")))
        self._order, self.finding_r = order, self.finding_r[order]

    def __len__(self) -> int:
        return len(self._order)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column of all results."""
        if not self.findings:
            return np.empty(0, np.int64 if name in _INTEGERS else np.float64)
        joined: npt.NDArray[Any] = np.concatenate([getattr(f.scored, name) for f in self.findings])[
            self._order
        ]
        return joined

    @property
    def place_r(self) -> I64:
        """The place of every result among those of its finding."""
        sizes = np.array([len(finding.scored) for finding in self.findings], np.int64)
        return self._order - (np.cumsum(sizes) - sizes)[self.finding_r]

    def least_probable(self) -> npt.NDArray[np.bool_]:
        """Which results are among the `MAX_RECORDS_PER_BUCKET` least probable of their bucket."""
        bucket = self.column("bucket_r")
        worst: npt.NDArray[np.bool_] = (
            np.arange(len(bucket)) - np.searchsorted(bucket, bucket) < MAX_RECORDS_PER_BUCKET
        )
        return worst

    def has_causes(self) -> npt.NDArray[np.bool_]:
        """Which results are of members of a population."""
        of_finding = np.array([finding.causes is not None for finding in self.findings], bool)
        return of_finding[self.finding_r]

    def causes(self) -> tuple[I64, list[Causes]]:
        """The causes of the results, finding by finding, and the row of the result of each of them."""
        sizes = [len(finding.scored) for finding in self.findings]
        row_of = np.full(sum(sizes), -1)
        row_of[self._order] = np.arange(len(self))
        rows, parts = [np.empty(0, np.int64)], []
        for finding, first in zip(self.findings, np.cumsum([0, *sizes]), strict=False):
            causes = finding.causes or Causes.none()
            row = row_of[causes.result_r + first]
            parts.append(causes.only(row >= 0))
            rows.append(row[row >= 0])
        return np.concatenate(rows), parts

    def only(self, chosen: npt.NDArray[np.bool_]) -> Ranked:
        """Some of the results."""
        part = Ranked([])
        part.findings, part._order, part.finding_r = (
            self.findings,
            self._order[chosen],
            self.finding_r[chosen],
        )
        return part


def multi_bucket_impact(single: F64, multi: F64) -> F64:
    """From -5 (one bucket alone) to 5 (the last buckets together), of two log-probabilities.

    5 (strong / weak) (single - multi) / ln 1000, clipped to -5 and 5, then rounded to 2 decimals;
    strong is the smaller of the two, weak the larger, at most -0.001.
    """
    ratio = np.minimum(single, multi) / np.minimum(np.maximum(single, multi), -0.001)
    impact: F64 = np.asarray(
        np.round(np.clip(5.0 * ratio / math.log(1000.0) * (single - multi), -5.0, 5.0), 2)
    )
    return impact + 0.0  # no negative zero


def _impact(log_p: F64) -> npt.NDArray[np.int64]:
    """Orders of magnitude of a probability below 0.05."""
    return np.where(log_p < math.log(0.05), np.round(-log_p / math.log(10.0)), 0).astype(np.int64)


def probability(log_p: F64) -> F64:
    """The probability, never below the smallest normal double."""
    p: F64 = np.maximum(np.exp(np.maximum(log_p, -800.0)), SMALLEST)
    return p


def record_batch(
    ranked: Ranked,
    score: F64,
    names: Mapping[str, Interner],
    frame: Frame,
    influencers: pa.Array | None = None,
) -> pa.RecordBatch:
    """The records of a pass with their scores, bucket by bucket, the least probable first."""
    n = len(ranked)
    if n == 0:
        return _NO_RECORDS
    log_p = ranked.column("log_p_r")
    impact = multi_bucket_impact(ranked.column("log_p_single_r"), ranked.column("log_p_multi_r"))
    values = {
        **common_columns("record", ranked.column("bucket_r"), frame),
        "probability": pa.array(probability(log_p)),
        "log_probability": pa.array(log_p),
        "multi_bucket_impact": pa.array(impact),
        "record_score": pa.array(score),
        "initial_record_score": pa.array(score),
        "geo_results": _points(ranked),
        "anomaly_score_explanation": _explanations(ranked),
        **_detector_columns(ranked),
        **key_values(ranked.findings, ranked.finding_r, ranked.column("series_r"), names),
    }
    # What is unusual of a member of a population is told by its causes, not by its record.
    of_crowd = ranked.has_causes()
    for name in ("typical", "actual"):
        values[name] = value_lists(ranked.column(f"{name}_r"), ranked.column(f"second_{name}_r"), of_crowd)
    if of_crowd.any():
        values["causes"] = _cause_lists(ranked, of_crowd, values, names)
        values["by_field_value"] = pc.if_else(pa.array(of_crowd), None, values["by_field_value"])
    if influencers is not None:
        values["influencers"] = influencers
    return pa.record_batch(filled_columns(list(RECORDS), n, values), schema=RECORDS)


def common_columns(result_type: str, bucket: I64, frame: Frame) -> dict[str, pa.Array]:
    """What every result of a type has; `bucket` is the number of the bucket of each."""
    n = len(bucket)
    return {
        "job_id": pa.repeat(frame.job_id, n),
        "result_type": pa.repeat(result_type, n),
        "timestamp": pa.array(bucket * frame.span_ms),
        "bucket_span": pa.repeat(pa.scalar(frame.span_ms // 1000, pa.int64()), n),
        "is_interim": pa.repeat(frame.is_interim, n),
    }


def filled_columns(fields: list[pa.Field], n: int, values: Mapping[str, pa.Array]) -> list[pa.Array]:
    """The values of all fields, null where there are none."""
    return [values[field.name] if field.name in values else pa.nulls(n, field.type) for field in fields]


def _structs(kind: pa.StructType, n: int, values: Mapping[str, pa.Array]) -> pa.StructArray:
    """Structs of the values of their fields, null where there are none."""
    return pa.StructArray.from_arrays(filled_columns(list(kind), n, values), fields=list(kind))


def _detector_columns(ranked: Ranked) -> dict[str, pa.Array]:
    """What the detector of each result says of it.

    The functions are described by their family, ``metric`` by the feature that is unusual.
    """
    detectors = [finding.detector for finding in ranked.findings]
    values = settings_of(detectors, (*KEY_SETTINGS, "function", "field_name"), ranked.finding_r)
    described = [d.spec.features if len(d.spec.features) > 1 else (d.spec.family,) for d in detectors]
    first = np.cumsum([0, *map(len, described)])[ranked.finding_r]
    texts = pa.array([text for texts in described for text in texts], pa.string())
    values["function_description"] = texts.take(pa.array(first + ranked.column("feature_r")))
    return values


def settings_of(detectors: list[Detector], names: Iterable[str], of_row: I64) -> dict[str, pa.Array]:
    """Settings of the detectors, a column each; row r has those of detector ``of_row[r]``."""
    at = pa.array(of_row)
    return {
        name: pa.array([getattr(detector, name) for detector in detectors], RECORDS.field(name).type).take(at)
        for name in names
    }


def key_values(
    findings: list[Finding], finding_r: I64, series_r: I64, names: Mapping[str, Interner]
) -> dict[str, pa.Array]:
    """The by, over and partition values of rows, each of a finding and a series of its keys.

    Null where the detector has no such field; a missing value is empty text.
    """
    order = np.argsort(finding_r, kind="stable")
    cuts = np.searchsorted(finding_r[order], np.arange(len(findings) + 1))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    columns = {}
    for role in ("by", "over", "partition"):
        parts = [
            _values_of(finding.keys, role, series_r[order[start:stop]], names)
            for finding, start, stop in zip(findings, cuts[:-1], cuts[1:], strict=True)
        ]
        columns[f"{role}_field_value"] = pa.concat_arrays(parts).take(pa.array(place)).cast(pa.string())
    return columns


def _values_of(keys: Keys, role: str, series: I64, names: Mapping[str, Interner]) -> pa.Array:
    """The values of one key field of some series."""
    field = getattr(keys, role)
    if field is None:
        return pa.nulls(len(series), pa.large_string())
    codes = getattr(keys, f"{role}_codes")(series)
    return names[field].texts().take(pa.array(codes))


def _explanations(ranked: Ranked) -> pa.StructArray:
    """Why each result is unusual: which way, by how many orders of magnitude, the bounds, how rare."""
    actual, typical = ranked.column("actual_r"), ranked.column("typical_r")
    kind = np.where(actual < typical, "dip", "spike").astype(object)
    kind[_without_direction(ranked)] = None
    values = {
        "anomaly_type": pa.array(kind, pa.string()),
        "single_bucket_impact": pa.array(_impact(ranked.column("log_p_single_r"))),
        "multi_bucket_impact": pa.array(_impact(ranked.column("log_p_multi_r"))),
        "lower_confidence_bound": pa.array(ranked.column("lower_r"), from_pandas=True),
        "typical_value": pa.array(typical),
        "upper_confidence_bound": pa.array(ranked.column("upper_r"), from_pandas=True),
        "by_field_first_occurrence": pa.array(ranked.column("is_first_r"), from_pandas=True).cast(pa.bool_()),
        "by_field_relative_rarity": pa.array(ranked.column("rarity_r"), from_pandas=True),
    }
    return _structs(RECORDS.field("anomaly_score_explanation").type, len(ranked), values)


def _without_direction(ranked: Ranked) -> npt.NDArray[np.bool_]:
    """Which results are of values that have no up and down: times of the day, positions."""
    without = [finding.detector.spec.family in ("time", "lat_long") for finding in ranked.findings]
    return np.array(without, bool)[ranked.finding_r]


def value_lists(values: F64, seconds: F64, is_null: npt.NDArray[np.bool_] | None = None) -> pa.ListArray:
    """A list of one number for each value, of two where there is a second; null where that is told."""
    pairs = np.stack([values, seconds], axis=1)
    present = np.ones(pairs.shape, bool)
    present[:, 1] = ~np.isnan(seconds)
    offsets = pa.array(np.append(0, np.cumsum(present.sum(axis=1))).astype(np.int32))
    mask = None if is_null is None or not is_null.any() else pa.array(is_null)
    return pa.ListArray.from_arrays(offsets, pa.array(pairs[present]), mask=mask)


def _points(ranked: Ranked) -> pa.StructArray:
    """The positions of results that have one, as text; null for others."""
    kind = RECORDS.field("geo_results").type
    is_position = ~np.isnan(ranked.column("second_actual_r"))
    if not is_position.any():
        return pa.nulls(len(ranked), kind)
    values = {
        f"{name}_point": pa.array(
            [
                f"{latitude!r},{longitude!r}"
                for latitude, longitude in zip(
                    ranked.column(f"{name}_r").tolist(),
                    ranked.column(f"second_{name}_r").tolist(),
                    strict=True,
                )
            ],
            pa.string(),
        )
        for name in ("actual", "typical")
    }
    columns = [values[field.name] for field in kind]
    return pa.StructArray.from_arrays(columns, fields=list(kind), mask=pa.array(~is_position))


_OF_RECORD = (
    "by_field_name",
    "over_field_name",
    "over_field_value",
    "partition_field_name",
    "partition_field_value",
    "function",
    "function_description",
    "field_name",
)
"""What a cause has of its record."""


def _cause_lists(
    ranked: Ranked,
    of_crowd: npt.NDArray[np.bool_],
    records: Mapping[str, pa.Array],
    names: Mapping[str, Interner],
) -> pa.ListArray:
    """The causes of every record, the least probable first; null for records of other analyses."""
    row, parts = ranked.causes()
    by_values = [
        _values_of(finding.keys.attributes, "by", causes.attribute, names)
        for finding, causes in zip(ranked.findings, parts, strict=True)
        if isinstance(finding.keys, MemberSpace)
    ]
    order = np.argsort(row, kind="stable")
    of_record = pa.array(row[order])
    joined = Causes.joined(parts).only(order)
    values = {name: records[name].take(of_record) for name in _OF_RECORD}
    values["by_field_value"] = pa.concat_arrays(by_values).cast(pa.string()).take(pa.array(order))
    values["probability"] = pa.array(probability(joined.log_p))
    values["actual"] = value_lists(joined.actual, joined.second_actual)
    values["typical"] = value_lists(joined.typical, joined.second_typical)
    offsets = np.append(0, np.cumsum(np.bincount(row, minlength=len(ranked)))).astype(np.int32)
    kind = RECORDS.field("causes").type.value_type
    causes = _structs(kind, len(row), values)
    return pa.ListArray.from_arrays(pa.array(offsets), causes, mask=pa.array(~of_crowd))


@dataclass(frozen=True, slots=True)
class BucketScores:
    """Log-probabilities and scores of the buckets of a pass, by what is said to influence them."""

    name: str
    """``bucket_time``: the bucket as a whole; else an influencer field."""
    log_p_b: F64
    score_b: F64


def bucket_batch(
    events_b: I64, scores: Sequence[BucketScores], frame: Frame, elapsed_ms: float
) -> pa.RecordBatch:
    """The buckets of a pass; the first of `scores` is that of the bucket as a whole."""
    n = len(events_b)
    score = pa.array(scores[0].score_b)
    values = {
        **common_columns("bucket", np.arange(n) + frame.bucket_from, frame),
        "anomaly_score": score,
        "initial_anomaly_score": score,
        "event_count": pa.array(events_b),
        "bucket_influencers": _bucket_influencers(scores, frame),
        "processing_time_ms": pa.repeat(pa.scalar(round(elapsed_ms / max(n, 1)), pa.int64()), n),
    }
    if frame.scheduled:
        values["scheduled_events"] = pa.repeat(pa.scalar(list(frame.scheduled), pa.list_(pa.string())), n)
    return pa.record_batch(filled_columns(list(BUCKETS), n, values), schema=BUCKETS)


def _bucket_influencers(scores: Sequence[BucketScores], frame: Frame) -> pa.ListArray:
    """What influenced every bucket, where it has a score."""
    score_b = np.array([part.score_b for part in scores]).T
    bucket, part = np.nonzero(score_b > 0.0)
    log_p, score = np.array([one.log_p_b for one in scores])[part, bucket], pa.array(score_b[bucket, part])
    values = {
        **common_columns("bucket_influencer", bucket + frame.bucket_from, frame),
        "influencer_field_name": pa.array([one.name for one in scores]).take(pa.array(part)),
        "initial_anomaly_score": score,
        "anomaly_score": score,
        "raw_anomaly_score": pa.array(-log_p),
        "probability": pa.array(probability(log_p)),
    }
    offsets = np.searchsorted(bucket, np.arange(len(score_b) + 1)).astype(np.int32)
    kind = BUCKETS.field("bucket_influencers").type.value_type
    return pa.ListArray.from_arrays(pa.array(offsets), _structs(kind, len(bucket), values))
