"""The closing lines: what became of the records, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator

from ..counts import DataCounts
from .text import iso_time


def summary(
    counts: DataCounts, *, buckets: int, series: int, anomalies: int, shown: int | None, seconds: float
) -> str:
    """One line with the numbers of a run; `shown` anomalies of all are in the table, if there is one."""
    listed = f" ({shown:,} shown)" if shown is not None and shown < anomalies else ""
    dropped = _dropped(counts)
    parts = [
        f"{_many(counts.processed_record_count, 'record')} processed",
        f"{sum(number for number, _ in dropped):,} dropped",
        _many(buckets, "bucket"),
        f"{series:,} series",
        ("1 anomaly" if anomalies == 1 else f"{anomalies:,} anomalies") + listed,
        f"{seconds:.2f} s",
        f"{counts.input_record_count / max(seconds, 1e-9):,.0f} records/s",
    ]
    return ", ".join(parts)


def upload(counts: DataCounts, seconds: float) -> str:
    """One line on the records of a file that were posted."""
    dropped = sum(number for number, _ in _dropped(counts))
    return (
        f"{_many(counts.processed_record_count, 'record')} posted, {dropped:,} dropped, {seconds:.2f} s, "
        f"{counts.input_record_count / max(seconds, 1e-9):,.0f} records/s"
    )


def notes(counts: DataCounts, malformed: int, open_from: int | None) -> Iterator[str]:
    """A line for everything that did not go into the results, and why."""
    if dropped := _dropped(counts):
        reasons = ", ".join(f"{number:,} {reason}" for number, reason in dropped)
        yield f"Note: records were dropped: {reasons}"
    if malformed:
        yield f"Note: {malformed:,} malformed rows were passed over"
    if counts.ignored_record_count:
        yield f"Note: {_many(counts.ignored_record_count, 'record')} far from the rest in time did not count"
    if counts.invalid_value_count:
        yield f"Note: {_many(counts.invalid_value_count, 'value')} that are not numbers did not count"
    if counts.refused_series_record_count:
        yield (
            f"Note: {_many(counts.refused_series_record_count, 'record')} of further series did not fit "
            "model_memory_limit"
        )
    if open_from is not None:
        yield f"Note: from {iso_time(open_from)} on buckets are incomplete and not scored (see --interim)"


def _dropped(counts: DataCounts) -> list[tuple[int, str]]:
    far = counts.far_future_record_count
    reasons = [
        (counts.out_of_order_timestamp_count, "out of time order (sort them, or give --latency)"),
        (counts.invalid_date_count - far, "without a readable time"),
        (far, "too far ahead of the others in time"),
    ]
    return [(number, reason) for number, reason in reasons if number]


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
