"""Tables of figures as Markdown, and their places in the README."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
SPEED = (
    "gather",
    "model",
    "whole",
    "files",
    "rare",
    "population",
    "influencers",
    "sketches",
    "categories",
    "flush",
    "coldstart",
    "memory",
    "snapshots",
    "durability",
    "scaling",
)
QUALITY = ("nab", "metrics", "calibration", "adapt", "forecast")
ORDER = (*SPEED, *QUALITY)
"""The sections of the README's figures: the cases of ``python -m bench``, then those of `quality`."""

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_SECTION = re.compile(
    r"<!-- bench (?P<name>\w+): begin -->\n(?P<text>.*?)\n<!-- bench (?P=name): end -->", re.S
)


@dataclass(frozen=True, slots=True)
class Table:
    """Figures, with what must be said above and below them."""

    intro: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """Files of `bench` that go with the table, by name."""

    def markdown(self) -> str:
        """The table as Markdown: the first column to the left, all others to the right."""
        rules = ("---", *["---:"] * (len(self.header) - 1))
        rows = [f"| {' | '.join(cells)} |" for cells in (self.header, rules, *self.rows)]
        notes = ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join([self.intro, "", *rows, *notes])


def at_least(figure: float, goal: float, unit: str = "x") -> tuple[str, str]:
    """The goal in words, and whether the figure reaches it."""
    return f">= {goal:g}{unit}", "yes" if figure >= goal else "no"


def at_most(figure: float, goal: float, unit: str = "x") -> tuple[str, str]:
    """The goal in words, and whether the figure stays within it."""
    return f"<= {goal:g}{unit}", "yes" if figure <= goal else "no"


NO_GOAL = ("", "")


def written(readme: str, sections: Mapping[str, str], order: Sequence[str]) -> str:
    r"""The README with the sections put in their places; those not given stay as they are.

    >>> old = f"a\n{BEGIN}\n{END}\nb"
    >>> print(written(old, {"gather": "fast"}, ["gather", "model"]))
    a
    <!-- bench: begin -->
    <!-- bench gather: begin -->
    fast
    <!-- bench gather: end -->
    <!-- bench: end -->
    b
    """
    before, rest = readme.split(BEGIN)
    inside, after = rest.split(END)
    kept = {found["name"]: found["text"] for found in _SECTION.finditer(inside)}
    whole = [
        f"<!-- bench {name}: begin -->\n{text}\n<!-- bench {name}: end -->"
        for name, text in ((name, sections.get(name, kept.get(name))) for name in order)
        if text is not None
    ]
    return f"{before}{BEGIN}\n" + "\n\n".join(whole) + f"\n{END}{after}"


def keep(name: str, text: str, readme: Path = README) -> None:
    """Puts one section into the README, where `ORDER` has it; all others stay as they are.

    Raises ValueError for a name that `ORDER` does not have, rather than write nothing.
    """
    if name not in ORDER:
        raise ValueError(f"section {name!r} is not in the README's order: {', '.join(ORDER)}")
    old = readme.read_text(encoding="utf-8")
    readme.write_text(written(old, {name: text}, ORDER), encoding="utf-8")
