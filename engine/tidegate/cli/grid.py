"""Rows of facts as a table of text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence

from .text import fitted, visible, width

_WIDEST = 120
_LEAST = 12


def grid(rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Lines of a table of rows that have the same names, with a head; numbers to the right.

    Where a line would not fit the terminal, the widest texts are shortened.

    >>> list(grid([{"job": "web", "records": 1200, "note": None}, {"job": "db", "records": 7, "note": "x"}]))
    ['job  records  note', 'web    1,200  -', 'db         7  x']
    """
    if not rows:
        return
    cells = [tuple(rows[0]), *(tuple(map(_cell, row.values())) for row in rows)]
    is_number = [
        all(isinstance(row[name], int) for row in rows if row[name] is not None)
        and any(row[name] is not None for row in rows)
        for name in rows[0]
    ]
    widths = _widths([max(map(width, column)) for column in zip(*cells, strict=True)], is_number)
    for line in cells:
        parts = (
            cell.rjust(columns) if right else fitted(cell, columns)
            for cell, columns, right in zip(line, widths, is_number, strict=True)
        )
        yield "  ".join(parts).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return visible(str(value))


def _widths(widths: list[int], is_number: list[bool]) -> list[int]:
    """The widths of the columns, the widest texts cut until all of them fit."""
    terminal = shutil.get_terminal_size((_WIDEST, 24)).columns if sys.stdout.isatty() else _WIDEST
    texts = [i for i, right in enumerate(is_number) if not right]
    excess = sum(widths) + 2 * (len(widths) - 1) - terminal
    while excess > 0 and texts:
        widest = max(texts, key=lambda i: widths[i])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
        excess -= 1
    return widths
