"""Medians of runs that take turns, so that noise falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def medians(runs: Mapping[str, Callable[[], int]], repeats: int) -> dict[str, float]:
    """Median seconds of each run, after one that warms it up.

    A run with an attribute ``ready`` has it called before each turn, outside the time taken.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            getattr(run, "ready", lambda: None)()
            began = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}
