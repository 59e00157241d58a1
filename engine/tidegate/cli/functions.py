"""``tidegate functions``: the table of detector functions."""

from __future__ import annotations

import click

from ..config import FUNCTIONS, Function

_SIDES = {"both": "both", "low": "low", "high": "high"}
_HEADINGS = ("function", "alias", "field", "by", "empty bucket", "unusual", "meaning")


@click.command()
def functions() -> None:
    """Lists the functions of detectors.

    Says for each whether a field and a by field are required, what a bucket without records
    means, and which values are unusual.
    """
    rows = [_HEADINGS, *(_row(function) for function in FUNCTIONS.values())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    click.echo("\nEvery function can be split by a partition field. (*) not executed yet")


def _row(function: Function) -> tuple[str, ...]:
    return (
        function.name + ("" if function.executed else " (*)"),
        ", ".join(function.aliases) or "-",
        "-" if function.field_name == "refused" else function.field_name,
        function.by_field_name,
        "zero" if function.zero_fill else "no value",
        _SIDES[function.side],
        function.meaning,
    )
