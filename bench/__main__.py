"""Runs every case and prints the tables; ``--write`` puts them into the README."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
from pathlib import Path

from . import gather, whole
from .inputs import events
from .measure import medians

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def gather_table(rows: int, repeats: int) -> list[str]:
    """Gather beside its peers."""
    peers = " | ".join(gather.PEERS)
    lines = [
        f"Gather, {rows / 1e6:g} M rows over a week in 5-minute buckets: count, sum, sum of squares, min "
        "and max of every (series, bucket), of integer times in order, integer series and float64 values. "
        "Ours on one thread, the others' GROUP BY on all of theirs; M rows/s.",
        "",
        f"| series | tidegate | {peers} | tidegate / best peer | memory read / tidegate |",
        f"| ---: | ---: |{' ---: |' * len(gather.PEERS)} ---: | ---: |",
    ]
    for n_series in (1, 1_000, 100_000):
        data = events(rows, n_series)
        cases = {"ours": gather.tidegate(data)} | {name: make(data) for name, make in gather.PEERS.items()}
        gather.check(cases)
        runs = {name: case.run for name, case in cases.items()} | {"read": gather.read_memory(data)}
        rate = {name: rows / seconds / 1e6 for name, seconds in medians(runs, repeats).items()}
        best = max(rate[name] for name in gather.PEERS)
        peers = " | ".join(f"{rate[name]:.0f}" for name in gather.PEERS)
        ratios = f"{rate['ours'] / best:.1f}x | {rate['read'] / rate['ours']:.1f}x"
        lines.append(f"| {n_series:,} | {rate['ours']:.0f} | {peers} | {ratios} |")
    return lines


def model_table(rows: int, repeats: int) -> list[str]:
    """The model, and whole jobs."""
    series, buckets = 1_000, 288
    seconds = medians({"model": whole.model(series, buckets)}, 3 * repeats)["model"]
    data = events(rows, 1_000)
    cores = len(os.sched_getaffinity(0))
    runs = {
        "mean, one thread": whole.job(data, "mean", 1),
        f"mean, {cores} threads": whole.job(data, "mean", cores),
        "count, one thread": whole.job(data, "count", 1),
        "mean, one thread, keys as plain strings": whole.job(data, "mean", 1, plain=True),
        "mean, one thread, disordered by up to 5 minutes, latency 10 minutes": whole.job(
            data, "mean", 1, disorder_ms=300_000
        ),
    }
    lines = [
        "| case | rate |",
        "| --- | ---: |",
        f"| model: predict, score, train, {series:,} seasonal series, one thread | "
        f"{series * buckets / seconds / 1e6:.1f} M series-buckets/s |",
    ]
    for name, taken in medians(runs, repeats).items():
        case = f"Arrow table to results, {rows / 1e6:g} M rows, 1,000 series: {name}"
        lines.append(f"| {case} | {rows / taken / 1e6:.0f} M rows/s |")
    return lines


def main() -> None:
    """Measures, prints, and with ``--write`` keeps the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows of the large inputs")
    parser.add_argument("--repeats", type=int, default=5, help="turns that the medians are taken of")
    parser.add_argument("--write", action="store_true", help="write the tables into the README")
    options = parser.parse_args()
    made = [
        f"Measured on {datetime.date.today()} by `python -m bench --write`: "
        f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, "
        f"CPython {platform.python_version()}; medians of {options.repeats} turns.",
        "",
        *gather_table(options.rows, options.repeats),
        "",
        *model_table(options.rows, options.repeats),
    ]
    text = "\n".join(made)
    print(text)
    if options.write:
        readme = README.read_text(encoding="utf-8")
        before, after = readme.split(BEGIN)[0], readme.split(END)[1]
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
