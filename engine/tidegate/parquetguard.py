"""What a Parquet file says of itself, looked at before anything relies on it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .arrowframes import MOST_BYTES, MOST_RATIO
from .errors import DataError


def require_rows(metadata: Any) -> None:
    """Raises DataError unless the row groups have as many rows as the file says, none less than none.

    Of a negative number pyarrow (up to 26.0) ends the process.
    """
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
        raise DataError("the file is damaged: its row groups have other numbers of rows than it says")


def chunks(parquet: Any, number: int, columns: Collection[str]) -> dict[str, Any]:
    """The metadata of the column chunks of a row group by their path, of these columns.

    To ask for that of a damaged one ends the process (pyarrow up to 26.0); to read a row of it is an
    error. So that is done first.
    """
    group = parquet.metadata.row_group(number)
    if not group.num_rows or not columns:
        return {}
    next(parquet.iter_batches(1, row_groups=[number], columns=list(columns)), None)
    paths = [parquet.schema.column(place).path for place in range(len(parquet.schema))]
    wanted = [place for place, path in enumerate(paths) if path in columns or path.split(".")[0] in columns]
    return {paths[place]: group.column(place) for place in wanted}


def require_bounded(parquet: Any, columns: Collection[str]) -> None:
    """Raises DataError for a row group with a column of these that says it unpacks to far more than it is."""
    for number in range(parquet.metadata.num_row_groups):
        if parquet.metadata.row_group(number).total_byte_size <= MOST_BYTES:
            continue
        for path, chunk in chunks(parquet, number, columns).items():
            packed, unpacked = chunk.total_compressed_size, chunk.total_uncompressed_size
            if unpacked > max(MOST_BYTES, MOST_RATIO * packed):
                raise DataError(f"{packed} bytes of column {path!r} unpack to {unpacked} bytes")
