"""What became of the records: every one that was posted is in one of these counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class DataCounts:
    """Counts of records and fields, of one upload or in all; times in epoch milliseconds.

    ``input_record_count = processed + out_of_order + invalid_date`` always holds. The fields
    after `last_data_time` are this engine's own.
    """

    job_id: str = ""
    processed_record_count: int = 0
    processed_field_count: int = 0
    input_bytes: int = 0
    input_field_count: int = 0
    invalid_date_count: int = 0
    """Records without a time, or with one that cannot be parsed."""
    missing_field_count: int = 0
    out_of_order_timestamp_count: int = 0
    empty_bucket_count: int = 0
    sparse_bucket_count: int = 0
    bucket_count: int = 0
    earliest_record_timestamp: int | None = None
    """Time of the first record used; of an upload only if it is in it."""
    latest_record_timestamp: int | None = None
    latest_empty_bucket_timestamp: int | None = None
    latest_sparse_bucket_timestamp: int | None = None
    last_data_time: int | None = None
    far_future_record_count: int = 0
    """Of `ignored_record_count`: so far from all others that they were taken for strays."""
    ignored_record_count: int = 0
    """Of `processed_record_count`: strays, and older than what an advance or a skip had closed."""
    waiting_record_count: int = 0
    """Of `processed_record_count`, in the running totals alone: far ahead of all others, and held
    until ten in a row agree or a nearer record shows that they are strays."""
    invalid_value_count: int = 0
    """Values of numeric fields that are not finite numbers; the record counts, the value does not."""
    invalid_summary_count: int = 0
    """Of `processed_record_count`: records whose summary count is zero, negative or no number; they
    are left out of everything."""
    malformed_record_count: int = 0
    """Malformed pieces of JSON or CSV passed over; they are not records."""
    refused_series_record_count: int = 0
    """Records left out of a detector because their series would exceed the memory limit; known
    once they are gathered, and therefore in the running totals alone."""

    @property
    def input_record_count(self) -> int:
        """All records posted."""
        return self.processed_record_count + self.out_of_order_timestamp_count + self.invalid_date_count

    def plus(self, upload: DataCounts) -> DataCounts:
        """Running totals after an upload."""
        totals: dict[str, Any] = {name: getattr(self, name) + getattr(upload, name) for name in _ADDED}
        for name in _REPLACED:
            now = getattr(upload, name)
            totals[name] = getattr(self, name) if now is None else now
        return DataCounts(self.job_id, **totals)

    def to_dict(self) -> dict[str, Any]:
        """The counts as the JSON API shows them: what is absent is left out."""
        shown = {name: value for name, value in asdict(self).items() if value is not None}
        return {**shown, "input_record_count": self.input_record_count}


_ADDED = tuple(f.name for f in fields(DataCounts) if f.name.endswith("_count") or f.name == "input_bytes")
_REPLACED = tuple(f.name for f in fields(DataCounts) if f.name.endswith(("_timestamp", "_time")))
