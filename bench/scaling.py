"""Whether the time per unit stays flat: over rows, series, bucket spans and threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from . import gather, model, whole
from .inputs import SPAN_MS, Events, even, events
from .measure import CORES, Run, Size, medians
from .plot import Curve, svg
from .tables import NO_GOAL, Table, at_least

RECORDS = 10
"""Records of every series and bucket where rows or series vary."""
CELLS = 1_000_000
"""Series times buckets where series or spans vary."""
SPANS = {
    "1s": 1_000,
    "10s": 10_000,
    "1m": 60_000,
    "5m": SPAN_MS,
    "1h": 3_600_000,
    "6h": 21_600_000,
    "1d": 86_400_000,
}
ROWS = (100_000, 300_000, 1_000_000, 3_000_000, 20_000_000)
SERIES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
MODEL_SERIES = 100_000
"""The most series of the model by itself: it has to learn their season first."""
THREADS_GOAL = 1.8
_SOON_DONE = 3_000_000


def _curves(
    axis: str,
    xs: Sequence[float],
    runs_at: Callable[[float], dict[str, tuple[Run, int]]],
    units: dict[str, str],
    repeats: int,
) -> list[Curve]:
    """A curve for every name that `runs_at` gives, where it gives it; inputs live only at their point.

    What is soon done has three times the turns.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in units}
    for x in xs:
        runs = runs_at(x)
        turns = repeats if max(n for _, n in runs.values()) > _SOON_DONE else 3 * repeats
        taken = medians({name: run for name, (run, _) in runs.items()}, turns)
        for name, (_, n) in runs.items():
            found[name].append((x, 1e9 * taken[name] / n))
    return [
        Curve(name, axis, units[name], [x for x, _ in points], [ns for _, ns in points])
        for name, points in found.items()
    ]


def rows_curves(most: int, repeats: int) -> list[Curve]:
    """Over rows: 1,000 series, ten records of each in every bucket, so buckets grow with the rows."""

    def runs_at(rows: float) -> dict[str, tuple[Run, int]]:
        data = even(1_000, int(rows) // (1_000 * RECORDS), RECORDS)
        return {
            "gather": (gather.tidegate(data, CORES).run, len(data)),
            "whole job": (whole.job(data, "mean", CORES), len(data)),
        }

    units = {"gather": "row", "whole job": "row"}
    return _curves("rows", [rows for rows in ROWS if rows < most] + [most], runs_at, units, repeats)


def series_curves(repeats: int) -> list[Curve]:
    """Over series: as many rows and cells for each, ten records of a series in every bucket.

    The model by itself is in buckets of an hour, after two weeks of every series.
    """

    def runs_at(n_series: float) -> dict[str, tuple[Run, int]]:
        series = int(n_series)
        buckets = CELLS // series
        data = even(series, buckets, RECORDS)
        runs: dict[str, tuple[Run, int]] = {
            "gather": (gather.tidegate(data, CORES).run, len(data)),
            "whole job": (whole.job(data, "mean", CORES), len(data)),
        }
        if series <= MODEL_SERIES:
            scored = model.ours(series, buckets, CORES, span_ms=SPANS["1h"])
            runs["model"] = (scored, series * buckets)
        return runs

    units = {"gather": "row", "whole job": "row", "model": "series-bucket"}
    return _curves("series", SERIES, runs_at, units, repeats)


def span_curves(repeats: int) -> list[Curve]:
    """Over bucket spans: 1,000 series, one record of each in every one of 1,000 buckets."""
    names = {span_ms / 1000: name for name, span_ms in SPANS.items()}

    def runs_at(span_s: float) -> dict[str, tuple[Run, int]]:
        data = even(1_000, CELLS // 1_000, 1, int(1000 * span_s))
        return {"whole job": (whole.job(data, "mean", CORES, span=names[span_s]), len(data))}

    (curve,) = _curves("bucket span", list(names), runs_at, {"whole job": "series-bucket"}, repeats)
    return [replace(curve, ticks=tuple(SPANS))]


def control(threads: int, work: Callable[[npt.NDArray[np.uint8]], Any]) -> tuple[Run, int]:
    """Work on 256 MB that threads share nothing of: what more threads can bring on this machine."""
    data = np.ones(256 << 20, np.uint8)
    parts = np.array_split(data, threads)

    def run() -> int:
        others = [Thread(target=work, args=(part,)) for part in parts[1:]]
        for thread in others:
            thread.start()
        work(parts[0])
        for thread in others:
            thread.join()
        return len(data)

    return run, len(data)


def thread_curves(rows: int, repeats: int) -> list[Curve]:
    """Over threads: each part of the engine on 1 to all cores, turn by turn, and what the cores can do."""
    data: Events = events(rows, 1_000)
    threads = range(1, CORES + 1)
    parts: dict[str, Callable[[int], tuple[Run, int]]] = {
        "gather": lambda n: (gather.tidegate(data, n).run, rows),
        "model": lambda n: (model.ours(1_000, model.DAY, n), 1_000 * model.DAY),
        "whole job": lambda n: (whole.job(data, "mean", n), rows),
        "control: SHA-256": lambda n: control(n, hashlib.sha256),
        "control: memory read": lambda n: control(n, lambda part: part.view(np.int64).max()),
    }
    curves = []
    for name, make in parts.items():
        runs = {n: make(n) for n in threads}
        taken = medians({str(n): run for n, (run, _) in runs.items()}, max(repeats, 3))
        ns = [1e9 * taken[str(n)] / runs[n][1] for n in threads]
        unit = "series-bucket" if name == "model" else "byte" if name.startswith("control") else "row"
        curves.append(Curve(name, "threads", unit, list(threads), ns, tuple(map(str, threads))))
    return curves


def curves(size: Size) -> list[Curve]:
    """All curves, with fewer turns than the tables: there are many points."""
    repeats = max(size.repeats // 2, 1)
    return [
        *rows_curves(size.rows, repeats),
        *series_curves(repeats),
        *span_curves(repeats),
        *thread_curves(size.rows, size.repeats),
    ]


def table(size: Size, made: Sequence[Curve] | None = None) -> Table:
    """How flat the curves are, and what the second thread brings."""
    made, rows = made or curves(size), []
    for curve in made:
        figures = f"{curve.ns[0]:.3g}", f"{curve.ns[-1]:.3g}"
        over = f"{curve.axis}: {curve.tick(0)} to {curve.tick(-1)}"
        if curve.axis == "threads":
            ratio = curve.ns[0] / curve.ns[-1]
            has_goal = curve.name in ("gather", "model") and CORES > 1
            goal = at_least(ratio, THREADS_GOAL) if has_goal else NO_GOAL
            change = f"{ratio:.2f}x faster"
        else:
            goal, change = NO_GOAL, f"{curve.spread:.1f}x between best and worst"
        rows.append((curve.name, over, curve.unit, *figures, change, *goal))
    return Table(
        f"Scaling, {CORES} threads: nanoseconds of a unit of work at both ends of a range. Rows: 1,000 "
        f"series with {RECORDS} records each in every 5-minute bucket. Series: "
        f"{CELLS * RECORDS / 1e6:g} M rows and {CELLS / 1e6:g} M cells however many series they are of "
        "(the model by itself: buckets of an hour, after two weeks). Spans: "
        f"{CELLS / 1e6:g} M cells of one record, 1,000 series. Threads: {size.rows / 1e6:g} M rows of "
        "1,000 series; the controls show what a second core brings to work that shares nothing. The "
        "curves: [bench/scaling.svg](bench/scaling.svg).",
        ("what", "over", "unit", "first, ns", "last, ns", "", "goal", "met"),
        rows,
        pictures={"scaling.svg": svg(made)},
    )
