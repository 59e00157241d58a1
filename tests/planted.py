"""Synthetic records for any job configuration: an ordinary fortnight, and one anomaly planted in it.

What is ordinary and what is planted follow from the function of the first detector; the fields are
those that the configuration names. Every influencer field has a handful of values, and the anomaly
has one of each to blame, which has its share of the ordinary records too.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tidegate.config import Detector, JobConfig

START = 1_700_006_400_000  # a midnight
BUCKETS = 1000
PLANTED_AT = 850  # bucket
_SERIES = 4  # values of a split field
_BLAMED = "blamed"
_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Planted:
    """Where the anomaly is, and who is to blame for it."""

    start: int
    end: int
    """From its first bucket to the end of its last: an outage or a trickle goes on for a while."""
    split: dict[str, str]
    """By, over and partition values of its series."""
    influencers: dict[str, str]
    """Of every influencer field the value that is to blame; none where records are missing."""


class _Rows:
    """Rows made piece by piece: bucket, fields, and a number or a text."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._pieces: list[dict[str, Any]] = []

    def add(self, bucket: np.ndarray, **columns: Any) -> None:
        """Adds rows; what is one value holds for all of them."""
        n = len(bucket)
        piece = {name: np.full(n, c) if np.ndim(c) == 0 else np.asarray(c) for name, c in columns.items()}
        self._pieces.append({"bucket": bucket, **piece})

    def columns(self) -> dict[str, np.ndarray]:
        """All rows, bucket by bucket."""
        joined = {name: np.concatenate([p[name] for p in self._pieces]) for name in self._pieces[0]}
        order = np.argsort(joined["bucket"], kind="stable")
        return {name: column[order] for name, column in joined.items()}


def records_of(config: JobConfig, seed: int = 1) -> tuple[pa.Table, Planted]:
    """Records for a configuration, and what is planted in them."""
    detector = config.analysis_config.detectors[0]
    span = config.analysis_config.bucket_span_ms
    rows = _Rows(np.random.default_rng(seed))
    make = {
        "rare": _rare,
        "count": _counts,
        "non_zero_count": _counts,
        "sum": _sums,
        "mean": _means,
        "info_content": _contents,
    }[detector.spec.family]
    split = make(rows, detector, span)
    columns = rows.columns()
    planted = columns.pop("planted").astype(bool)
    bucket = columns.pop("bucket")
    jitter = rows.rng.integers(0, span, len(bucket))
    time = START + bucket * span + jitter
    order = np.argsort(time, kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    time, planted = time[order], planted[order]
    influencers = _blame(config, columns, planted, rows.rng)
    weight = config.analysis_config.summary_count_field_name
    if weight is not None:
        columns[weight] = columns.pop("records", np.ones(len(time), np.int64))
    columns.pop("records", None)
    seconds = config.data_description.time_format == "epoch"
    columns[config.data_description.time_field] = time / 1000.0 if seconds else time
    start = START + PLANTED_AT * span
    where = Planted(start, start + _lasts(detector) * span, split, influencers)
    return pa.table({name: pa.array(column) for name, column in columns.items()}), where


def _lasts(detector: Detector) -> int:
    """Buckets that what is planted for a detector lasts."""
    if detector.spec.family == "sum":
        return 3
    return 6 if detector.spec.side == "low" else 1


def _blame(
    config: JobConfig, columns: dict[str, np.ndarray], planted: np.ndarray, rng: np.random.Generator
) -> dict[str, str]:
    """Gives every influencer field that has no values yet some; returns those of the planted rows."""
    blamed = {}
    for field in config.analysis_config.influencers:
        if field not in columns:
            blamed_too = [*(f"{field}-{k}" for k in range(6)), f"{field}-{_BLAMED}"]
            columns[field] = np.where(planted, blamed_too[-1], rng.choice(blamed_too, len(planted)))
        if planted.any():
            blamed[field] = str(columns[field][planted][0])
    return blamed


def _rhythm(bucket: np.ndarray, span: int) -> np.ndarray:
    """How busy a bucket is: a day has its ups and downs."""
    return 1.0 + 0.5 * np.sin(2.0 * np.pi * bucket * span / _DAY)


def _splits(detector: Detector) -> list[dict[str, str]]:
    """Some combinations of values of the split fields."""
    fields = detector.split_fields
    return [{field: f"{field}-{k}" for field in fields} for k in range(_SERIES if fields else 1)]


def _rare(rows: _Rows, detector: Detector, span: int) -> dict[str, str]:
    """Twelve by values that come all the time, five now and then, one that came just once."""
    by, partition = detector.by_field_name, detector.partition_field_name
    assert by is not None
    places = [{partition: f"{partition}-{k}"} for k in range(_SERIES)] if partition else [{}]
    usual = [(f"{by}-{k}", 0.9) for k in range(12)] + [(f"{by}-seldom-{k}", 0.02) for k in range(5)]
    for place in places:
        for value, share in usual:
            active = np.flatnonzero(rows.rng.random(BUCKETS) < share)
            bucket = np.repeat(active, rows.rng.integers(1, 4, len(active)))
            rows.add(bucket, planted=False, **{by: value}, **place)
    where = {by: f"{by}-{_BLAMED}", **places[-1]}
    rows.add(np.array([PLANTED_AT]), planted=True, **where)
    return where


def _counts(rows: _Rows, detector: Detector, span: int) -> dict[str, str]:
    """Poisson counts with a daily rhythm; eight times as many, or none at all for an hour or two."""
    bucket = np.arange(BUCKETS)
    is_low = detector.spec.side == "low"
    series = _splits(detector)
    for split in series:
        events = rows.rng.poisson(30.0 * _rhythm(bucket, span))
        if is_low and split is series[-1]:
            events[PLANTED_AT : PLANTED_AT + _lasts(detector)] = 0
        rows.add(np.repeat(bucket, events), planted=False, **split)
    if not is_low:
        rows.add(np.full(300, PLANTED_AT), planted=True, **series[-1])
    return series[-1]


def _sums(rows: _Rows, detector: Detector, span: int) -> dict[str, str]:
    """A few values a bucket; then a slow trickle of small ones for three buckets."""
    assert detector.field_name is not None
    bucket, series = np.arange(BUCKETS), _splits(detector)
    for split in series:
        each = np.repeat(bucket, rows.rng.poisson(12.0 * _rhythm(bucket, span)))
        value = rows.rng.gamma(4.0, 0.1, len(each))
        rows.add(each, planted=False, **{detector.field_name: value}, **split)
    trickle = np.repeat(PLANTED_AT + np.arange(_lasts(detector)), 600)
    value = rows.rng.gamma(4.0, 0.02, len(trickle))
    rows.add(trickle, planted=True, **{detector.field_name: value}, **series[-1])
    return series[-1]


def _means(rows: _Rows, detector: Detector, span: int) -> dict[str, str]:
    """Log-normal values with a daily rhythm; some of them fifteen times as large."""
    assert detector.field_name is not None
    bucket, series = np.arange(BUCKETS), _splits(detector)
    sign = -1.0 if detector.spec.side == "low" else 1.0
    for split in series:
        each = np.repeat(bucket, rows.rng.poisson(25.0, BUCKETS))
        value = 1000.0 * _rhythm(each, span) * rows.rng.lognormal(0.0, 0.4, len(each))
        rows.add(each, planted=False, **{detector.field_name: value}, **split)
    value = 1000.0 * 15.0**sign * rows.rng.lognormal(0.0, 0.2, 60)
    rows.add(np.full(60, PLANTED_AT), planted=True, **{detector.field_name: value}, **series[-1])
    return series[-1]


def _contents(rows: _Rows, detector: Detector, span: int) -> dict[str, str]:
    """Texts of a small vocabulary; then as much that says something new each time."""
    assert detector.field_name is not None
    field, over = detector.field_name, detector.over_field_name
    words = np.array(["www", "mail", "api", "cdn", "static", "img", "login", "Get-Item", "Write-Host", "ls"])
    members = [{over: f"{over}-{k}"} for k in range(40)] if over else [{}]
    for member in members:
        active = np.flatnonzero(rows.rng.random(BUCKETS) < (0.08 if over else 1.0))
        each = np.repeat(active, rows.rng.integers(1, 6, len(active)))
        text = [" ".join(rows.rng.choice(words, 3)) for _ in each]
        rows.add(each, planted=False, **{field: np.array(text, object)}, **member)
    secret = [base64.b32encode(rows.rng.bytes(30)).decode() for _ in range(120)]
    where = {over: f"{over}-{_BLAMED}"} if over else {}
    rows.add(np.full(120, PLANTED_AT), planted=True, **{field: np.array(secret, object)}, **where)
    return where
