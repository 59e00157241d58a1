"""Formats of files of results, by the ending of their names.

Nothing is imported here that takes time: help on the command line names the formats too.
"""

from __future__ import annotations

import os

TEXT_FORMATS = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json", ".csv": "csv"}
BINARY_FORMATS = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def split_ending(name: str) -> tuple[str, str | None]:
    """The ending that says the format of a file, and how it is compressed, if it is.

    >>> split_ending("r.NDJSON.gz"), split_ending("r.parquet"), split_ending("results")
    (('.ndjson', 'gzip'), ('.parquet', None), ('', None))
    """
    stem, ending = os.path.splitext(name.lower())
    if ending not in COMPRESSIONS:
        return ending, None
    return os.path.splitext(stem)[1], COMPRESSIONS[ending]
