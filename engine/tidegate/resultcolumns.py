"""Columns that results of several types have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .analysis import Finding
from .cells import F64, I64
from .config import Detector
from .keys import Interner, Keys
from .results import RECORDS

SMALLEST = 2.2250738585072014e-308
KEY_SETTINGS = ("detector_index", "by_field_name", "over_field_name", "partition_field_name")
"""What tells the series of one detector from those of others."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What all results of a pass have in common."""

    job_id: str
    span_ms: int
    bucket_from: int
    is_interim: bool
    scheduled: tuple[str, ...] = ()
    """The descriptions of the events that fall on every one of the buckets."""


def probability(log_p: F64) -> F64:
    """The probability, never below the smallest normal double."""
    p: F64 = np.maximum(np.exp(np.maximum(log_p, -800.0)), SMALLEST)
    return p


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


def structs(kind: pa.StructType, n: int, values: Mapping[str, pa.Array]) -> pa.StructArray:
    """Structs of the values of their fields, null where there are none."""
    return pa.StructArray.from_arrays(filled_columns(list(kind), n, values), fields=list(kind))


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
            values_of_key(finding.keys, role, series_r[order[start:stop]], names)
            for finding, start, stop in zip(findings, cuts[:-1], cuts[1:], strict=True)
        ]
        columns[f"{role}_field_value"] = pa.concat_arrays(parts).take(pa.array(place)).cast(pa.string())
    return columns


def values_of_key(keys: Keys, role: str, series: I64, names: Mapping[str, Interner]) -> pa.Array:
    """The values of one key field of some series."""
    field = getattr(keys, role)
    if field is None:
        return pa.nulls(len(series), pa.large_string())
    codes = getattr(keys, f"{role}_codes")(series)
    return names[field].texts().take(pa.array(codes))


def value_lists(values: F64, seconds: F64, is_null: npt.NDArray[np.bool_] | None = None) -> pa.ListArray:
    """A list of one number for each value, of two where there is a second; null where that is told."""
    pairs = np.stack([values, seconds], axis=1)
    present = np.ones(pairs.shape, bool)
    present[:, 1] = ~np.isnan(seconds)
    offsets = pa.array(np.append(0, np.cumsum(present.sum(axis=1))).astype(np.int32))
    mask = None if is_null is None or not is_null.any() else pa.array(is_null)
    return pa.ListArray.from_arrays(offsets, pa.array(pairs[present]), mask=mask)
