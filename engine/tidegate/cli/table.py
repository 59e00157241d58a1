"""The worst anomalies as a table of text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..config import JobConfig
from .text import fitted, iso_time, number_text, visible, width

NARROWEST, WIDEST = 80, 120
_HEADINGS = ("time (UTC)", "series", "detector", "actual", "typical", "score")
_SERIES, _DETECTOR = 1, 2
_RIGHT = (3, 4, 5)
_ORDER = [
    ("record_score", "descending"),
    ("log_probability", "ascending"),
    ("timestamp", "ascending"),
    ("detector_index", "ascending"),
]


def chosen(records: pa.Table, top: int | None, min_score: float) -> pa.Table:
    """The worst records first, at most `top`; all of them, in time order, without a `top`."""
    if min_score > 0:
        records = records.filter(pc.greater_equal(records["record_score"], min_score))
    if top is None:
        return records
    keys = records.select([name for name, _ in _ORDER])
    return records.take(pc.sort_indices(keys, _ORDER)[:top])


def lines(records: pa.Table, config: JobConfig) -> Iterator[str]:
    """Lines of the table, with its head; none for no records."""
    if not records.num_rows:
        return
    described = [d.detector_description for d in config.analysis_config.detectors]
    rows = [_HEADINGS, *(_row(record, described) for record in records.to_pylist())]
    widths = _widths(rows)
    for row in rows:
        cells = (
            cell.rjust(columns) if i in _RIGHT else fitted(cell, columns)
            for i, (cell, columns) in enumerate(zip(row, widths, strict=True))
            if columns
        )
        yield "  ".join(cells).rstrip()


def _row(record: dict[str, Any], described: list[str]) -> tuple[str, ...]:
    score = record["record_score"]
    return (
        iso_time(record["timestamp"]) + (" interim" if record["is_interim"] else ""),
        _series(record),
        visible(described[record["detector_index"]]),
        number_text(_only(record["actual"])),
        number_text(_only(record["typical"])),
        f"{score:.2f}" if score >= 0.01 or score == 0 else "<0.01",
    )


def _only(values: list[float] | None) -> float | None:
    return values[0] if values else None


def _series(record: dict[str, Any]) -> str:
    """The fields that tell the series from others, with their values; a missing value is ``-``."""
    parts = []
    for role in ("by", "over", "partition"):
        name, value = record[f"{role}_field_name"], record[f"{role}_field_value"]
        if name is not None:
            parts.append(f"{name}={'-' if value is None else value}")
    return visible(" ".join(parts))


def _widths(rows: list[tuple[str, ...]]) -> list[int]:
    """Columns of each cell; series and detector share what the others leave. 0: nothing to show."""
    widths = [max(width(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    if not any(row[_SERIES] for row in rows[1:]):
        widths[_SERIES] = 0
    terminal = shutil.get_terminal_size((WIDEST, 24)).columns if sys.stdout.isatty() else WIDEST
    available = min(max(terminal, NARROWEST), WIDEST)
    shown = sum(columns > 0 for columns in widths)
    excess = sum(widths) + 2 * (shown - 1) - available
    for i, least in ((_DETECTOR, 24), (_SERIES, 12), (_DETECTOR, 8)):
        cut = min(max(excess, 0), max(widths[i] - least, 0))
        widths[i] -= cut
        excess -= cut
    return widths
