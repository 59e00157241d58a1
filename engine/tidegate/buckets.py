"""Buckets: how unusual all that was found in each is together, and what influenced it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .cells import F64, I64
from .resultcolumns import Frame, common_columns, filled_columns, probability, structs
from .results import BUCKETS


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
    return pa.ListArray.from_arrays(pa.array(offsets), structs(kind, len(bucket), values))
