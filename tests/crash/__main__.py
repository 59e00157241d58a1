"""Kills jobs until so many kills have been survived, or one has not."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.crash.run import Tally, campaign


def main() -> None:
    """Runs campaigns, seed after seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--length", type=int, default=60, help="acts of a script")
    parser.add_argument("--each", type=int, default=40, help="kills of a script, at most")
    options = parser.parse_args()
    tally, seed, began = Tally(), options.seed, time.perf_counter()
    while tally.total < options.kills:
        most = min(options.each, options.kills - tally.total)
        with tempfile.TemporaryDirectory() as folder:
            campaign(Path(folder) / "stores", seed, options.length, most, tally)
        seed += 1
    during = ", ".join(f"{name} {count}" for name, count in sorted(tally.kills.items()))
    print(
        f"{tally.total} kills in {seed - options.seed} scripts ({during}); "
        f"{tally.kept_unanswered} unanswered posts kept whole; all results equal; "
        f"{time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
