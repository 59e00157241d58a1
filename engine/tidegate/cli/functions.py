"""``tidegate functions``: the table of detector functions."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..config import FUNCTIONS, Function

_HEADINGS = ("function", "alias", "field", "by", "over", "empty bucket", "unusual", "value", "compared with")
_CLOSING = (
    "Every function can be split by a partition field. With an over field values are compared with those of "
    "the other members of the population."
)


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table as the README has it, family by family.")
def functions(markdown: bool) -> None:
    """Lists the functions of detectors.

    Says for each which fields are required, what a bucket without records means, which values are unusual,
    what the value is and what it is compared with.
    """
    for line in markdown_table() if markdown else _lines():
        click.echo(line)
    click.echo(f"\n{_CLOSING}")


def _lines() -> Iterator[str]:
    """The table as text, a function a line."""
    rows = [_HEADINGS, *(_row(function) for function in FUNCTIONS.values())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def markdown_table() -> Iterator[str]:
    """The table as Markdown, a family of one-sided and two-sided functions a row."""
    yield f"| {' | '.join(_HEADINGS)} |"
    yield f"|{' --- |' * len(_HEADINGS)}"
    for function in FUNCTIONS.values():
        if function.name.startswith(("low_", "high_")):
            continue
        sides = [f"{side}_{function.name}" for side in ("low", "high")]
        names = [function.name, *(name for name in sides if name in FUNCTIONS)]
        _, *rest = _row(function)
        unusual = "both, or the side named" if len(names) > 1 else rest[5]
        cells = [", ".join(f"`{name}`" for name in names), *rest[:5], unusual, *rest[6:]]
        yield f"| {' | '.join(cells)} |"


def _row(function: Function) -> tuple[str, ...]:
    return (
        function.name,
        ", ".join(function.aliases) or "-",
        "-" if function.field_name == "refused" else function.field_name,
        function.by_field_name,
        "-" if function.over_field_name == "refused" else function.over_field_name,
        "zero" if function.zero_fill else "no value",
        function.side,
        function.meaning,
        function.model,
    )
