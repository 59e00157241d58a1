"""Which column has the time, and how it is written."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate_kernels.timetext import INVALID

from ..columns import to_float
from ..timefield import to_epoch_ms

NAMES = ("time", "timestamp", "@timestamp", "date", "datetime", "ts")
SECONDS_BELOW = 1e11
"""Numbers below it are seconds (until the year 5138), others milliseconds (from March 1973)."""
_LOOKED_AT = 1000


def find_time_field(schema: pa.Schema, analysed: Collection[str]) -> str:
    """The time column by its name or, if there is just one, by its type.

    Raises ValueError if there is none or more than one.
    """
    free = [name for name in schema.names if name not in analysed]
    lowered = {name.lower(): name for name in reversed(free)}
    for name in NAMES:
        if name in free or name in lowered:
            return name if name in free else str(lowered[name])
    typed = [name for name in free if _is_time(schema.field(name).type)]
    if len(typed) == 1:
        return str(typed[0])
    if typed:
        raise ValueError(f"columns {', '.join(typed)} hold times; choose one with --time-field")
    raise ValueError(
        f"no column is called {', '.join(NAMES)} or is of a time type; name one with --time-field"
    )


def find_time_format(column: pa.Array) -> str:
    """``epoch`` for a column of small numbers, ``epoch_ms`` otherwise; text may be ISO by both.

    >>> find_time_format(pa.array([1_514_804_400])), find_time_format(pa.array(["1514804400000"]))
    ('epoch', 'epoch_ms')
    """
    start = column.drop_null().slice(0, _LOOKED_AT)
    if _is_time(column.type) or not len(start):
        return "epoch_ms"
    numbers, _ = to_float(start)
    finite = numbers[np.isfinite(numbers)]
    return "epoch" if len(finite) and np.median(finite) < SECONDS_BELOW else "epoch_ms"


def unreadable_example(column: pa.Array, time_format: str) -> str | None:
    """The first value of a column none of whose values is a time; None if one is, or all are null."""
    present = column.drop_null()
    if not len(present) or (to_epoch_ms(present, time_format) != INVALID).any():
        return None
    if pa.types.is_dictionary(present.type):
        present = present.dictionary_decode()
    return str(pc.cast(present[:1], pa.string())[0].as_py())


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))
