"""How much memory a job is going to need, before it is created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .config import JobConfig
from .config.analysis import MLCATEGORY
from .engine import Engine
from .errors import RequestError
from .intake import Intake
from .keys import STRING_BYTES
from .lanes import Lane
from .results import Results

_TEXT_BYTES = 16  # of a value
_CATEGORIES = 500  # of messages, with
_CATEGORY_BYTES = 2_000  # for each
_SAMPLE_BYTES = 40  # of a value whose distinct values or median are asked for
_ROW_BYTES = 60  # of a value of an influencer in a bucket
_MIB = 1 << 20


def estimate_model_memory(
    config: JobConfig | Mapping[str, Any] | str | bytes,
    overall_cardinality: Mapping[str, int] | None = None,
    max_bucket_cardinality: Mapping[str, int] | None = None,
) -> str:
    """The memory that the models of a job will need, in whole MiB: ``"12mb"``.

    `config` is a job or the part of one that has its ``analysis_config``. `overall_cardinality` says how
    many values the by, over and partition fields have in all, `max_bucket_cardinality` how many influencers,
    and fields whose distinct values or median are asked for, have in a bucket. All combinations of by and
    partition values are taken to occur, and every series to become seasonal.

    Raises ConfigError for a wrong configuration, RequestError for a cardinality that is missing or wrong.

    >>> analysis = {"bucket_span": "1h", "detectors": [{"function": "count", "by_field_name": "host"}]}
    >>> estimate_model_memory({"analysis_config": analysis}, {"host": 10_000})
    '20mb'
    """
    size = estimated_bytes(config, overall_cardinality or {}, max_bucket_cardinality or {})
    return f"{max(-(-size // _MIB), 1)}mb"


def estimated_bytes(
    config: JobConfig | Mapping[str, Any] | str | bytes,
    overall_cardinality: Mapping[str, int],
    max_bucket_cardinality: Mapping[str, int],
) -> int:
    """The same in bytes, not rounded."""
    if isinstance(config, Mapping):
        config = JobConfig.parse({"data_description": {"time_field": "time"}, **config})
    elif not isinstance(config, JobConfig):
        config = JobConfig.parse(config)
    config.require_supported()
    for name, given in (
        ("overall_cardinality", overall_cardinality),
        ("max_bucket_cardinality", max_bucket_cardinality),
    ):
        for field, count in given.items():
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < 1 << 53:
                raise RequestError(f"[{name}] of [{field}] is {count!r}; it is a whole number, 0 or more")
    intake = Intake(config)
    engine = Engine(config, intake.names, intake.texts, 1, Results())
    overall = {MLCATEGORY: _CATEGORIES, **overall_cardinality}
    _require(engine.lanes, overall)
    size = sum(_of_lane(lane, overall) for lane in engine.lanes)
    fields = {field for lane in engine.lanes for field in lane.fields}
    size += sum((_TEXT_BYTES + STRING_BYTES) * overall[field] for field in fields)
    if intake.categorizer is not None:
        size += intake.categorizer.nbytes + _CATEGORIES * _CATEGORY_BYTES
    return size + _of_buckets(config, fields, max_bucket_cardinality)


def _require(lanes: Iterable[Lane], overall: Mapping[str, int]) -> None:
    missing = sorted({field for lane in lanes for field in lane.fields if field not in overall})
    if missing:
        named = ", ".join(f"[{field}]" for field in missing)
        raise RequestError(f"[overall_cardinality] does not say how many values there are of {named}")


def _of_lane(lane: Lane, overall: Mapping[str, int]) -> int:
    """What the series of a lane take, beside their strings."""
    by, over, partition = (
        1 if field is None else overall[field]
        for field in (lane.keys.by, lane.keys.over, lane.keys.partition)
    )
    return lane.expected(by * over * partition, by * partition, partition)


def _of_buckets(config: JobConfig, fields: set[str], max_bucket: Mapping[str, int]) -> int:
    """What an open bucket holds beside the cells of series."""
    analysis = config.analysis_config
    size = sum(_ROW_BYTES * max_bucket.get(field, 0) for field in analysis.influencers if field not in fields)
    for detector in analysis.detectors:
        if detector.spec.family in ("distinct_count", "info_content", "median") and detector.field_name:
            size += _SAMPLE_BYTES * max_bucket.get(detector.field_name, 0)
    return size * (analysis.latency_buckets + 1)
