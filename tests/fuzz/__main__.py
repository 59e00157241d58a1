"""The command line of the fuzzer: see the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import run_campaign, work
from tests.fuzz.engines import ENGINES
from tests.fuzz.targets import MODULES, target_of


def main() -> int:
    """Runs a campaign, or one input; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=list(MODULES))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--engine", choices=list(ENGINES), default="random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where findings are saved; a new folder if none is named")
    parser.add_argument("--input", type=Path, help="run this input alone, with its traceback")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.target is None:
        print("targets:", ", ".join(MODULES))
        return 0
    if given.input is not None:
        target_of(given.target).check(given.input.read_bytes())
        return 0
    folder = given.folder or Path(tempfile.mkdtemp(prefix=f"tidegate-fuzz-{given.target}-"))
    if given.work:
        work(given.target, given.engine, given.minutes * 60, given.seed, folder)
        return 0
    report = run_campaign(given.target, given.engine, given.minutes * 60, given.seed, folder)
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
