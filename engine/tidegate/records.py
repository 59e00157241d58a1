"""Records: what the models of all detectors found, told one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .causes import Causes
from .cells import F64
from .keys import Interner, MemberSpace
from .ranked import Ranked
from .resultcolumns import (
    KEY_SETTINGS,
    Frame,
    common_columns,
    filled_columns,
    key_values,
    probability,
    settings_of,
    structs,
    value_lists,
    values_of_key,
)
from .results import RECORDS

_NO_RECORDS = pa.RecordBatch.from_pylist([], RECORDS)


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
    return structs(RECORDS.field("anomaly_score_explanation").type, len(ranked), values)


def _without_direction(ranked: Ranked) -> npt.NDArray[np.bool_]:
    """Which results are of values that have no up and down: times of the day, positions."""
    without = [finding.detector.spec.family in ("time", "lat_long") for finding in ranked.findings]
    return np.array(without, bool)[ranked.finding_r]


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
        values_of_key(finding.keys.attributes, "by", causes.attribute, names)
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
    causes = structs(kind, len(row), values)
    return pa.ListArray.from_arrays(pa.array(offsets), causes, mask=pa.array(~of_crowd))
