"""Results as Arrow tables with fixed schemas, and the life of interim results.

The schemas hold every field of the JSON API, null where it is not known. Only the copies of by,
over, partition and influencer fields under their own names (``"airline": ["AAL"]``) are not here:
their names differ from job to job, so they belong to the JSON form of a result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pyarrow as pa

from .kept import Keeper

_GEO = pa.struct([("actual_point", pa.string()), ("typical_point", pa.string())])
_CAUSE = pa.struct(
    [
        ("probability", pa.float64()),
        ("by_field_name", pa.string()),
        ("by_field_value", pa.string()),
        ("over_field_name", pa.string()),
        ("over_field_value", pa.string()),
        ("partition_field_name", pa.string()),
        ("partition_field_value", pa.string()),
        ("correlated_by_field_value", pa.string()),
        ("function", pa.string()),
        ("function_description", pa.string()),
        ("typical", pa.list_(pa.float64())),
        ("actual", pa.list_(pa.float64())),
        ("field_name", pa.string()),
        ("geo_results", _GEO),
    ]
)
_NAMED = pa.struct(
    [("influencer_field_name", pa.string()), ("influencer_field_values", pa.list_(pa.string()))]
)
_EXPLANATION = pa.struct(
    [
        ("anomaly_type", pa.string()),
        ("anomaly_length", pa.int64()),
        ("single_bucket_impact", pa.int64()),
        ("multi_bucket_impact", pa.int64()),
        ("anomaly_characteristics_impact", pa.int64()),
        ("lower_confidence_bound", pa.float64()),
        ("typical_value", pa.float64()),
        ("upper_confidence_bound", pa.float64()),
        ("high_variance_penalty", pa.bool_()),
        ("incomplete_bucket_penalty", pa.bool_()),
        ("by_field_first_occurrence", pa.bool_()),
        ("by_field_relative_rarity", pa.float64()),
    ]
)
_BUCKET_INFLUENCER = pa.struct(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("influencer_field_name", pa.string()),
        ("initial_anomaly_score", pa.float64()),
        ("anomaly_score", pa.float64()),
        ("raw_anomaly_score", pa.float64()),
        ("probability", pa.float64()),
        ("timestamp", pa.int64()),
        ("bucket_span", pa.int64()),
        ("is_interim", pa.bool_()),
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
        ("scheduled_events", pa.list_(pa.string())),
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
        ("correlated_by_field_value", pa.string()),
        ("typical", pa.list_(pa.float64())),
        ("actual", pa.list_(pa.float64())),
        ("causes", pa.list_(_CAUSE)),
        ("influencers", pa.list_(_NAMED)),
        ("geo_results", _GEO),
        ("anomaly_score_explanation", _EXPLANATION),
    ]
)
"""One row per unusual series and bucket. `log_probability` is the natural logarithm, which goes
on where `probability` has long reached the smallest double."""

INFLUENCERS = pa.schema(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("timestamp", pa.int64()),
        ("bucket_span", pa.int64()),
        ("influencer_field_name", pa.string()),
        ("influencer_field_value", pa.string()),
        ("is_interim", pa.bool_()),
        ("probability", pa.float64()),
        ("log_probability", pa.float64()),
        ("influencer_score", pa.float64()),
        ("initial_influencer_score", pa.float64()),
    ]
)
"""One row per bucket and value of an influencer field that records of the bucket are blamed on."""

MODEL_PLOT = pa.schema(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("timestamp", pa.int64()),
        ("bucket_span", pa.int64()),
        ("detector_index", pa.int64()),
        ("model_feature", pa.string()),
        ("by_field_name", pa.string()),
        ("by_field_value", pa.string()),
        ("over_field_name", pa.string()),
        ("over_field_value", pa.string()),
        ("partition_field_name", pa.string()),
        ("partition_field_value", pa.string()),
        ("model_lower", pa.float64()),
        ("model_median", pa.float64()),
        ("model_upper", pa.float64()),
        ("actual", pa.float64()),
        ("log_probability", pa.float64()),
    ]
)
"""One row per final bucket and plotted series: where 95% of the values were expected before the bucket
was learned from, the value and the logarithm of its probability (unusual or not), null where the
bucket has no data. By time, detector and series; a
series has rows from when it is old enough to be scored until it has been idle for the prune window."""

OVERALL_BUCKETS = pa.schema(
    [
        ("result_type", pa.string()),
        ("timestamp", pa.int64()),
        ("bucket_span", pa.int64()),
        ("overall_score", pa.float64()),
        ("jobs", pa.list_(pa.struct([("job_id", pa.string()), ("max_anomaly_score", pa.float64())]))),
        ("is_interim", pa.bool_()),
    ]
)
"""One row per interval in which a job has a bucket; `jobs` by id, those with a bucket in it."""

FORECAST = pa.schema(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("forecast_id", pa.string()),
        ("timestamp", pa.int64()),
        ("bucket_span", pa.int64()),
        ("detector_index", pa.int64()),
        ("model_feature", pa.string()),
        ("by_field_name", pa.string()),
        ("by_field_value", pa.string()),
        ("over_field_name", pa.string()),
        ("over_field_value", pa.string()),
        ("partition_field_name", pa.string()),
        ("partition_field_value", pa.string()),
        ("forecast_lower", pa.float64()),
        ("forecast_prediction", pa.float64()),
        ("forecast_upper", pa.float64()),
        ("forecast_create_timestamp", pa.int64()),
        ("forecast_expiry_timestamp", pa.int64()),
    ]
)
"""One row per forecast bucket of a series: the bounds that 95% of the values are expected in. When it was
made, and when it expires (null: never), in epoch milliseconds of the wall clock."""

CATEGORIES = pa.schema(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("category_id", pa.int64()),
        ("partition_field_name", pa.string()),
        ("partition_field_value", pa.string()),
        ("terms", pa.string()),
        ("regex", pa.string()),
        ("max_matching_length", pa.int64()),
        ("examples", pa.list_(pa.string())),
        ("grok_pattern", pa.string()),
        ("num_matches", pa.int64()),
        ("preferred_to_categories", pa.list_(pa.int64())),
    ]
)
"""One row per category of messages, by id. `terms` are the words that all its messages have, separated by
spaces; `regex` is found in the analysed line of each of them; `max_matching_length` is a tenth more than the
longest so far; `preferred_to_categories` are those that get no more messages because this one gets them."""

CATEGORIZER_STATS = pa.schema(
    [
        ("job_id", pa.string()),
        ("result_type", pa.string()),
        ("partition_field_name", pa.string()),
        ("partition_field_value", pa.string()),
        ("categorized_doc_count", pa.int64()),
        ("total_category_count", pa.int64()),
        ("frequent_category_count", pa.int64()),
        ("rare_category_count", pa.int64()),
        ("dead_category_count", pa.int64()),
        ("failed_category_count", pa.int64()),
        ("categorization_status", pa.string()),
    ]
)
"""What became of the messages: one row, or one per partition with per-partition categorization."""

_FULL_BYTES = 1 << 24
"""A piece of this size is copied no more; well below the 2 GB that 32-bit offsets can address."""


class _Pieces:
    """A table that grows at its end, in few pieces.

    After the last full piece every piece is at least twice as large as the next, so n bytes make
    O(log n) pieces. A piece is copied only into one 1.5 times its size: O(n log n) in all.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.batches: list[pa.RecordBatch] = []
        self.rows = 0
        self._schema = schema
        self._nbytes: list[int] = []

    def append(self, batch: pa.RecordBatch) -> None:
        """Adds rows at the end."""
        if batch.num_rows == 0:
            return
        self.rows += batch.num_rows
        start, nbytes = len(self.batches), batch.nbytes
        if nbytes < _FULL_BYTES:
            while start and self._nbytes[start - 1] < min(2 * nbytes, _FULL_BYTES):
                start -= 1
                nbytes += self._nbytes[start]
        if start < len(self.batches):
            joined = pa.Table.from_batches([*self.batches[start:], batch], self._schema)
            [batch] = joined.combine_chunks().to_batches()
        self.batches[start:], self._nbytes[start:] = [batch], [batch.nbytes]


class Results(Keeper):
    """All results of one job: what is final, and the interim results that will go away."""

    KEPT: ClassVar = {"final_buckets": int, "_sweep": bool}

    def __init__(self) -> None:
        self._final = pieces()
        self._interim = pieces()
        self._sweep = True
        self.final_buckets = 0
        """How many final buckets there have been."""

    def acknowledge(self) -> None:
        """Marks the interim results as due to go with the next bucket, as a flush and an open do."""
        self._sweep = True

    def add(
        self,
        buckets: pa.RecordBatch,
        records: pa.RecordBatch,
        model_plot: Iterable[pa.RecordBatch] = (),
        influencers: Iterable[pa.RecordBatch] = (),
        *,
        interim: bool,
    ) -> None:
        """Adds the results of a pass."""
        if buckets.num_rows == 0:
            return
        if self._sweep:
            self._interim = pieces()
            self._sweep = False
        into = self._interim if interim else self._final
        self.final_buckets += 0 if interim else buckets.num_rows
        into["buckets"].append(buckets)
        into["records"].append(records)
        for kind, batches in (("model_plot", model_plot), ("influencers", influencers)):
            for batch in batches:
                into[kind].append(batch)

    def table(self, kind: str, *, exclude_interim: bool) -> pa.Table:
        """All results of a kind in the order they came, interim ones last."""
        interim = [] if exclude_interim else self._interim[kind].batches
        return pa.Table.from_batches([*self._final[kind].batches, *interim], SCHEMAS[kind])


SCHEMAS = {"buckets": BUCKETS, "records": RECORDS, "influencers": INFLUENCERS, "model_plot": MODEL_PLOT}


def pieces() -> dict[str, _Pieces]:
    return {kind: _Pieces(schema) for kind, schema in SCHEMAS.items()}
