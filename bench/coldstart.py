"""A fresh process from its start to its first results, beside one that merely imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from .measure import Run, Size, medians
from .tables import NO_GOAL, Table, at_most

ROWS = 10_000
IMPORTS = "import numpy, pyarrow"
FIRST_RESULTS = f"""
import numpy as np, pyarrow as pa, tidegate
row = np.arange({ROWS})
keys = pa.DictionaryArray.from_arrays(pa.array((row % 10).astype(np.int32)), pa.array(list("abcdefghij")))
table = pa.table({{"time": 1_700_006_400_000 + 60_000 * row, "host": keys, "value": row % 7 + 0.5}})
detector = {{"function": "mean", "field_name": "value", "by_field_name": "host"}}
job = tidegate.Job({{"analysis_config": {{"bucket_span": "1h", "detectors": [detector]}},
                    "data_description": {{"time_field": "time"}}}})
job.post(table)
job.flush()
assert job.buckets().num_rows == {ROWS // 60}, job.buckets().num_rows
"""
GOAL = 2.0
TURNS = 9


def process(code: str, kernels: str | None = None) -> Run:
    """Runs code in a fresh Python, with the kernels asked for or, with None, the default."""

    def run() -> int:
        done = _python(["-c", code], kernels)
        if done.returncode:
            raise RuntimeError(f"a fresh process failed:\n{done.stderr}")
        return 1

    return run


def kernels_in_use(wanted: str | None = None) -> str | None:
    """Which kernels a process uses that asks for `wanted`; None when they are not to be had."""
    done = _python(["-m", "tidegate", "info", "--json"], wanted)
    return None if done.returncode else str(json.loads(done.stdout)["kernels"])


def _python(arguments: list[str], kernels: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name != "TIDEGATE_KERNELS"}
    if kernels:
        environment["TIDEGATE_KERNELS"] = kernels
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def runs() -> dict[str, Run]:
    """Fresh processes: the imports, ours by default, and with each other kind of kernels there is."""
    ways = {f"`{IMPORTS}`": process(IMPORTS), "`import tidegate`": process("import tidegate; tidegate.Job")}
    default = kernels_in_use()
    ways[f"tidegate, {default} kernels, by default"] = process(FIRST_RESULTS)
    for mode in ("native", "jit"):
        if mode != default and kernels_in_use(mode) == mode:
            ways[f"tidegate, {mode} kernels"] = process(FIRST_RESULTS, mode)
    return ways


def table(size: Size) -> Table:
    """Medians of fresh processes that take turns."""
    taken = medians(runs(), max(size.repeats, TURNS))
    base = next(iter(taken.values()))
    rows = []
    for name, spent in taken.items():
        ratio = spent / base
        goal = at_most(ratio, GOAL) if "by default" in name else NO_GOAL
        rows.append((name, f"{1000 * spent:.0f}", f"{ratio:.2f}x", *goal))
    return Table(
        f"Cold start: from the start of a process to its end: import, open a job, post {ROWS:,} rows of 10 "
        "series, flush and read the results. Wall time, medians of "
        f"{max(size.repeats, TURNS)} turns after one that fills the caches on disk.",
        ("process", "ms", "its time / the imports", "goal", "met"),
        rows,
    )
