"""Runs the cases and prints their tables; ``--write`` puts them into the README."""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable
from pathlib import Path

from . import (
    categories,
    coldstart,
    durability,
    files,
    flush,
    gather,
    influencers,
    memory,
    model,
    population,
    rare,
    scaling,
    sketches,
    snapshots,
    whole,
)
from .measure import Size, machine
from .tables import Table, keep

CASES: dict[str, Callable[[Size], Table]] = {
    "gather": gather.table,
    "model": model.table,
    "whole": whole.table,
    "files": files.table,
    "rare": rare.table,
    "population": population.table,
    "influencers": influencers.table,
    "sketches": sketches.table,
    "categories": categories.table,
    "flush": flush.table,
    "coldstart": coldstart.table,
    "memory": memory.table,
    "snapshots": snapshots.table,
    "durability": durability.table,
    "scaling": scaling.table,
}


def main() -> None:
    """Measures, prints, and with ``--write`` keeps the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help=f"which ones: {', '.join(CASES)}; all by default"
    )
    parser.add_argument("--rows", type=int, default=Size().rows, help="rows of the large inputs")
    parser.add_argument(
        "--repeats", type=int, default=Size().repeats, help="turns that the medians are taken of"
    )
    parser.add_argument("--write", action="store_true", help="write the tables into the README")
    options = parser.parse_args()
    if unknown := sorted(set(options.cases) - set(CASES)):
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    size = Size(options.rows, options.repeats)
    for name in [name for name in CASES if name in options.cases or not options.cases]:
        began = time.perf_counter()
        made = CASES[name](size)
        of = "" if size == Size() else "; a trial, goals are for more"
        turns = f"medians of {size.repeats} turns{of}"
        dated = f"Measured on {datetime.date.today()}: {machine()}; {turns}."
        text = f"{dated} {made.markdown()}"
        print(f"{text}\n\n({name}: {time.perf_counter() - began:.0f} s)\n", flush=True)
        if options.write:
            keep(name, text)
            for picture, content in made.pictures.items():
                (Path(__file__).parent / picture).write_bytes(content)


if __name__ == "__main__":
    main()
