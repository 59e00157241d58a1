"""One series of a job's model plot: chosen from the tables, with its anomalies, for a picture."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .cells import F64, I64
from .config import JobConfig, find_function
from .errors import RequestError
from .modelplot import model_feature

_Key = tuple[int, str | None, str | None]  # what tells a series from others, under these names
_KEYS = ("detector_index", "by_field_value", "partition_field_value")
_ROLES = {"detector": "detector_index", "by": "by_field_value", "partition": "partition_field_value"}
_ROWS = 1024
_NAMED = 5  # series that a message about an unknown one names


@dataclass(frozen=True, slots=True)
class Curve:
    """What a picture shows: arrays ending in _t have a value per row of the plot, those in _a per anomaly."""

    title: str
    label: str
    """The series, ``airline=AAL``; empty when the detector has but one."""
    quantity: str
    """What the values are: ``arithmetic mean value``."""
    span_ms: int
    time_t: I64
    """Starts of the buckets in epoch milliseconds, ascending; idle times have no rows."""
    lower_t: F64
    median_t: F64
    upper_t: F64
    actual_t: F64
    """NaN where a bucket has no data."""
    time_a: I64
    actual_a: F64
    score_a: F64

    def __len__(self) -> int:
        return len(self.time_t)


def worst_record(
    records: pa.Table, wanted: Mapping[str, str], plotted: Container[_Key] | None = None
) -> dict[str, Any] | None:
    """The record with the highest score among those of the series wanted; None if there is none.

    `wanted` has values of ``detector``, ``by`` and ``partition``, or of key fields by their names;
    with `plotted` it is one of these series.
    """
    found = records.filter(_matching(records, wanted))
    by = [("record_score", "descending"), ("log_probability", "ascending"), ("timestamp", "ascending")]
    order = pc.sort_indices(found.select([name for name, _ in by]), by)
    for batch in found.select(_KEYS).take(order).to_batches(max_chunksize=_ROWS):
        for at, row in enumerate(batch.to_pylist()):
            if plotted is None or tuple(row.values()) in plotted:
                place = order[at]
                worst: dict[str, Any] = found.slice(place.as_py(), 1).to_pylist()[0]
                return worst
        order = order[batch.num_rows :]
    return None


def curve_of(
    model_plot: pa.Table,
    records: pa.Table,
    config: JobConfig,
    wanted: Mapping[str, str],
    *,
    start: int | None = None,
    end: int | None = None,
    min_score: float = 0.0,
) -> Curve:
    """The series wanted, from `start` to before `end` in epoch milliseconds.

    Where several are, the one with the worst anomaly. Raises RequestError where there is none, or
    nothing of it in that time.
    """
    chosen = model_plot.filter(_matching(model_plot, wanted))
    if not chosen.num_rows:
        raise RequestError(_nothing(model_plot, wanted))
    shown = records.filter(_within(records, start, end))
    key = _worst_key(chosen, shown, wanted)
    whole = chosen.filter(_same(chosen, key))
    rows = whole.filter(_within(whole, start, end))
    if not rows.num_rows:
        times = whole["timestamp"]
        raise RequestError(
            f"nothing is in that time; the series goes from {_date(times[0])} to {_date(times[-1])}"
        )
    own = shown.filter(_same(shown, {name: key[name] for name in _KEYS}))
    own = own.filter(pc.greater_equal(own["record_score"], min_score))
    # The features of a detector share its records; each says which it is of.
    is_own = [_feature_of(row) == key["model_feature"] for row in _functions(own)]
    return _curve(rows, own.filter(pa.array(is_own, pa.bool_())), config)


def _worst_key(model_plot: pa.Table, records: pa.Table, wanted: Mapping[str, str]) -> dict[str, Any]:
    """The plotted series, and its feature, with the worst record; the first one without any."""
    keys = model_plot.select([*_KEYS, "model_feature"])
    distinct = keys.group_by(keys.column_names).aggregate([]).to_pylist()
    plotted = {
        (row["detector_index"], row["by_field_value"], row["partition_field_value"]) for row in distinct
    }
    worst = worst_record(records, wanted, plotted)
    if worst is None:
        first: dict[str, Any] = keys.slice(0, 1).to_pylist()[0]
        return first
    return {name: worst[name] for name in _KEYS} | {"model_feature": _feature_of(worst)}


def _curve(rows: pa.Table, records: pa.Table, config: JobConfig) -> Curve:
    first = rows.slice(0, 1).to_pylist()[0]
    label = series_label(first)
    described = config.analysis_config.detectors[first["detector_index"]].detector_description
    order = pc.sort_indices(records["timestamp"])
    records = records.take(order)
    actual = pc.list_element(records["actual"], 0) if records.num_rows else records["record_score"]
    return Curve(
        title=f"{described}   {label}" if label else described,
        label=label,
        quantity=first["model_feature"].strip("'").removesuffix(" by person"),
        span_ms=first["bucket_span"] * 1000,
        time_t=rows["timestamp"].to_numpy(),
        lower_t=rows["model_lower"].to_numpy(),
        median_t=rows["model_median"].to_numpy(),
        upper_t=rows["model_upper"].to_numpy(),
        actual_t=rows["actual"].to_numpy(),
        time_a=records["timestamp"].to_numpy(),
        actual_a=actual.to_numpy(),
        score_a=records["record_score"].to_numpy(),
    )


def series_label(row: Mapping[str, Any]) -> str:
    """The key fields of a result with their values, as one chooses the series by."""
    roles = [role for role in ("by", "partition") if row[f"{role}_field_name"] is not None]
    return " ".join(f"{row[f'{role}_field_name']}={row[f'{role}_field_value']}" for role in roles)


def _matching(table: pa.Table, wanted: Mapping[str, str]) -> pa.Array:
    """Which rows are of the series wanted."""
    mask = pa.chunked_array([np.ones(table.num_rows, bool)])
    for name, value in wanted.items():
        if name in _ROLES:
            column = pc.cast(table[_ROLES[name]], pa.string())
            found = pc.equal(column, value)
        else:
            by, partition = (
                pc.and_kleene(
                    pc.equal(table[f"{role}_field_name"], name), pc.equal(table[f"{role}_field_value"], value)
                )
                for role in ("by", "partition")
            )
            found = pc.or_(pc.fill_null(by, False), pc.fill_null(partition, False))
        mask = pc.and_(mask, pc.fill_null(found, False))
    return mask


def _same(table: pa.Table, key: Mapping[str, Any]) -> pa.Array:
    """Which rows have exactly these values, null being one."""
    mask = pa.chunked_array([np.ones(table.num_rows, bool)])
    for name, value in key.items():
        column = table[name]
        mask = pc.and_(
            mask, pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
        )
    return mask


def _within(table: pa.Table, start: int | None, end: int | None) -> pa.Array:
    """Which rows are of buckets that begin in a time."""
    time = table["timestamp"].to_numpy()
    inside = np.ones(len(time), bool)
    if start is not None:
        inside &= time >= start
    if end is not None:
        inside &= time < end
    return pa.array(inside)


def _functions(records: pa.Table) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = records.select(["function", "function_description"]).to_pylist()
    return functions


def _feature_of(record: Mapping[str, Any]) -> str:
    """The modelled feature that a record is of."""
    function = find_function(record["function"])
    assert function is not None
    is_single = len(function.features) == 1
    return model_feature(function, function.features[0] if is_single else record["function_description"])


def _nothing(model_plot: pa.Table, wanted: Mapping[str, str]) -> str:
    """Why no row is of the series wanted."""
    if not model_plot.num_rows:
        return "no series has bounds; they begin when it is a dozen buckets old"
    asked = " ".join(f"{name}={value}" for name, value in wanted.items())
    labels = model_plot.select(
        ["by_field_name", "by_field_value", "partition_field_name", "partition_field_value"]
    )
    known = labels.group_by(labels.column_names).aggregate([]).to_pylist()
    names = sorted({series_label(row) for row in known} - {""})
    if not names:
        return f"there is no series {asked}; there is but one, which needs no name"
    return f"there is no series {asked}; there are {', '.join(names[:_NAMED])}" + (
        " ..." if len(names) > _NAMED else ""
    )


def _date(time: pa.Scalar) -> str:
    return str(np.datetime64(time.as_py(), "ms").astype("datetime64[s]")) + "Z"
