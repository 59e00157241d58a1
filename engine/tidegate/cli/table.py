"""Results as a table of text, the worst first."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..kinds import KINDS, Kind
from .text import fitted, iso_time, number_text, visible, width

NARROWEST, WIDEST = 80, 120
_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # of the weeks of the epoch
_ORDER = (("log_probability", "ascending"), ("timestamp", "ascending"), ("detector_index", "ascending"))
_SERIES, _DETECTOR = "series", "detector"


def chosen(results: pa.Table, top: int | None, min_score: float, kind: Kind = KINDS["records"]) -> pa.Table:
    """The worst results first, at most `top`; all of them, in their order, without a `top`.

    Of a kind that has no score, the first.
    """
    if kind.score is None:
        return results if top is None else results.slice(0, top)
    if min_score > 0:
        results = results.filter(pc.greater_equal(results[kind.score], min_score))
    if top is None:
        return results
    order = [(kind.score, "descending"), *(key for key in _ORDER if key[0] in results.column_names)]
    return results.take(pc.sort_indices(results.select([name for name, _ in order]), order)[:top])


def lines(results: pa.Table, detectors: Sequence[str], kind: Kind = KINDS["records"]) -> Iterator[str]:
    """Lines of the table, with its head; none for no results. `detectors` are described as they say."""
    if not results.num_rows:
        return
    columns = {"time (UTC)": "timestamp", _SERIES: "", **kind.shown}
    if "timestamp" not in results.column_names:
        del columns["time (UTC)"]
    is_right = [
        name not in (_SERIES, _DETECTOR, "time (UTC)") and not _is_text(results, column)
        for name, column in columns.items()
    ]
    rows = [tuple(columns), *(_row(result, columns, detectors) for result in results.to_pylist())]
    widths = _widths(rows)
    for row in rows:
        cells = (
            cell.rjust(columns) if right else fitted(cell, columns)
            for cell, columns, right in zip(row, widths, is_right, strict=True)
            if columns
        )
        yield "  ".join(cells).rstrip()


def _is_text(results: pa.Table, column: str) -> bool:
    return bool(pa.types.is_string(results.schema.field(column).type))


def _row(result: dict[str, Any], columns: Mapping[str, str], described: Sequence[str]) -> tuple[str, ...]:
    return tuple(_cell(name, column, result, described) for name, column in columns.items())


def _cell(name: str, column: str, result: dict[str, Any], described: Sequence[str]) -> str:
    """What a result has below a heading."""
    value = result.get(column)
    if value is None and result.get("causes"):  # what is unusual of a member of a population
        value = result["causes"][0].get(column)
    if name == _SERIES:
        return _series(result)
    if column == "timestamp":
        return iso_time(result["timestamp"]) + (" interim" if result.get("is_interim") else "")
    if column == "detector_index":
        return visible(described[result["detector_index"]])
    if column.endswith("_score"):
        score = result[column]
        return f"{score:.2f}" if score >= 0.01 or score == 0 else "<0.01"
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return value_text(result["function"], value)
    return number_text(value)


def value_text(function: str, values: list[float] | None) -> str:
    """An actual or a typical value: a number, a time of the day or the week (UTC), or a position.

    >>> value_text("mean", [0.5]), value_text("time_of_week", [445500.0])
    ('0.5', 'Tue 03:45')
    >>> value_text("lat_long", [51.5, -0.125])
    '51.5,-0.125'
    """
    if values and function in ("time_of_day", "time_of_week"):
        days, minutes = divmod(int(values[0] // 60), 1440)
        day = f"{_DAYS[days % 7]} " if function == "time_of_week" else ""
        return f"{day}{minutes // 60:02d}:{minutes % 60:02d}"
    shown: list[float | None] = [*values] if values else [None]
    return ",".join(map(number_text, shown))


def _series(result: dict[str, Any]) -> str:
    """The fields that tell the series from others, with their values; a missing value is ``-``."""
    parts = []
    for role in ("by", "over", "partition"):
        name, value = result.get(f"{role}_field_name"), result.get(f"{role}_field_value")
        if name is not None:
            parts.append(f"{name}={'-' if value is None else value}")
    return visible(" ".join(parts))


def _widths(rows: list[tuple[str, ...]]) -> list[int]:
    """Columns of each cell; series and detector share what the others leave. 0: nothing to show."""
    head = rows[0]
    widths = [max(width(row[i]) for row in rows) for i in range(len(head))]
    series = head.index(_SERIES)
    if not any(row[series] for row in rows[1:]):
        widths[series] = 0
    terminal = shutil.get_terminal_size((WIDEST, 24)).columns if sys.stdout.isatty() else WIDEST
    available = min(max(terminal, NARROWEST), WIDEST)
    shown = sum(columns > 0 for columns in widths)
    excess = sum(widths) + 2 * (shown - 1) - available
    for name, least in ((_DETECTOR, 24), (_SERIES, 12), (_DETECTOR, 8)):
        if name in head:
            i = head.index(name)
            cut = min(max(excess, 0), max(widths[i] - least, 0))
            widths[i] -= cut
            excess -= cut
    return widths
