"""Results as Arrow tables with fixed schemas, and the life of interim results."""

from __future__ import annotations

import pyarrow as pa

_NAMED = pa.struct(
    [("influencer_field_name", pa.string()), ("influencer_field_values", pa.list_(pa.string()))]
)
_EXPLANATION = pa.struct(
    [
        ("anomaly_type", pa.string()),
        ("single_bucket_impact", pa.int64()),
        ("multi_bucket_impact", pa.int64()),
        ("lower_confidence_bound", pa.float64()),
        ("typical_value", pa.float64()),
        ("upper_confidence_bound", pa.float64()),
    ]
)
_BUCKET_INFLUENCER = pa.struct(
    [
        ("influencer_field_name", pa.string()),
        ("initial_anomaly_score", pa.float64()),
        ("anomaly_score", pa.float64()),
        ("raw_anomaly_score", pa.float64()),
        ("probability", pa.float64()),
    ]
)

BUCKETS = pa.schema(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("timestamp", pa.int64()),
        ("bucket_span", pa.int64()),
        ("anomaly_score", pa.float64()),
        ("initial_anomaly_score", pa.float64()),
        ("event_count", pa.int64()),
        ("is_interim", pa.bool_()),
        ("bucket_influencers", pa.list_(_BUCKET_INFLUENCER)),
        ("processing_time_ms", pa.int64()),
    ]
)
"""One row per bucket: `timestamp` is its start in epoch milliseconds, `bucket_span` in seconds."""

RECORDS = pa.schema(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("timestamp", pa.int64()),
        ("bucket_span", pa.int64()),
        ("detector_index", pa.int64()),
        ("is_interim", pa.bool_()),
        ("probability", pa.float64()),
        ("log_probability", pa.float64()),
        ("multi_bucket_impact", pa.float64()),
        ("record_score", pa.float64()),
        ("initial_record_score", pa.float64()),
        ("function", pa.string()),
        ("function_description", pa.string()),
        ("field_name", pa.string()),
        ("by_field_name", pa.string()),
        ("by_field_value", pa.string()),
        ("over_field_name", pa.string()),
        ("over_field_value", pa.string()),
        ("partition_field_name", pa.string()),
        ("partition_field_value", pa.string()),
        ("typical", pa.list_(pa.float64())),
        ("actual", pa.list_(pa.float64())),
        ("influencers", pa.list_(_NAMED)),
        ("anomaly_score_explanation", _EXPLANATION),
    ]
)
"""One row per unusual series and bucket. `log_probability` is the natural logarithm, which goes
on where `probability` has long reached the smallest double."""


class Results:
    """All results of one job: what is final, and the interim results that will go away."""

    def __init__(self) -> None:
        self._final: dict[str, list[pa.RecordBatch]] = {"buckets": [], "records": []}
        self._interim: dict[str, list[pa.RecordBatch]] = {"buckets": [], "records": []}
        self._sweep = True

    def acknowledge(self) -> None:
        """Marks the interim results as due to go with the next bucket, as a flush and an open do."""
        self._sweep = True

    def add(self, buckets: pa.RecordBatch, records: pa.RecordBatch, *, interim: bool) -> None:
        """Adds the results of a pass."""
        if buckets.num_rows == 0:
            return
        if self._sweep:
            self._interim = {"buckets": [], "records": []}
            self._sweep = False
        into = self._interim if interim else self._final
        into["buckets"].append(buckets)
        into["records"].append(records)

    def table(self, kind: str, *, exclude_interim: bool) -> pa.Table:
        """All results of a kind in the order they came, interim ones last."""
        schema = BUCKETS if kind == "buckets" else RECORDS
        batches = [*self._final[kind], *([] if exclude_interim else self._interim[kind])]
        return pa.Table.from_batches(batches, schema)

    @property
    def final_buckets(self) -> int:
        """How many final buckets there are."""
        return sum(batch.num_rows for batch in self._final["buckets"])
