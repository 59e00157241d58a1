"""A fresh process from its start to its first results, beside one that merely imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

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


def process(code: str, kernels: str | None = None, python: str = sys.executable) -> Run:
    """Runs code in a fresh Python, with the kernels asked for or, with None, the default."""

    def run() -> int:
        done = _python(["-c", code], kernels, python)
        if done.returncode:
            raise RuntimeError(f"a fresh process failed:\n{done.stderr}")
        return 1

    return run


def kernels_in_use(python: str) -> str:
    """Which kernels a process uses by default."""
    done = _python(["-m", "tidegate", "info", "--json"], None, python)
    return str(json.loads(done.stdout)["kernels"])


def _python(arguments: list[str], kernels: str | None, python: str) -> subprocess.CompletedProcess[str]:
    apart = () if python == sys.executable else ("PYTHONPATH", "PYTHONHOME")
    environment = {k: v for k, v in os.environ.items() if k not in ("TIDEGATE_KERNELS", *apart)}
    if kernels:
        environment["TIDEGATE_KERNELS"] = kernels
    return subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, check=False)


def installed(folder: Path) -> str:
    """The Python of a new environment that has tidegate and what it needs, and nothing else."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    command = [python, "-m", "pip", "install", "-q", str(Path(__file__).parent.parent)]
    subprocess.run(command, check=True)
    return python


def runs(python: str) -> dict[str, Run]:
    """Fresh processes in an environment of their own, and one in that where this runs, which has pandas."""
    default = kernels_in_use(python)
    return {
        f"`{IMPORTS}`": process(IMPORTS, None, python),
        "`import tidegate`": process("import tidegate; tidegate.Job", None, python),
        f"tidegate, {default} kernels, by default": process(FIRST_RESULTS, None, python),
        "tidegate, jit kernels": process(FIRST_RESULTS, "jit", python),
        f"tidegate, {kernels_in_use(sys.executable)} kernels, with pandas installed": process(FIRST_RESULTS),
    }


def table(size: Size) -> Table:
    """Medians of fresh processes that take turns."""
    with tempfile.TemporaryDirectory() as folder:
        taken = medians(runs(installed(Path(folder))), max(size.repeats, TURNS))
    base = next(iter(taken.values()))
    rows = []
    for name, spent in taken.items():
        ratio = spent / base
        goal = at_most(ratio, GOAL) if "by default" in name else NO_GOAL
        rows.append((name, f"{1000 * spent:.0f}", f"{ratio:.2f}x", *goal))
    return Table(
        f"Cold start: from the start of a process to its end: import, open a job, post {ROWS:,} rows of 10 "
        "series, flush and read the results, in an environment with tidegate and what it needs. Where pandas "
        "is installed, pyarrow imports it when an array is made. Wall time, medians of "
        f"{max(size.repeats, TURNS)} turns after one that fills the caches on disk.",
        ("process", "ms", "its time / the imports", "goal", "met"),
        rows,
    )
