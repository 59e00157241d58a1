"""Medians of runs that take turns, so that noise falls on all of them alike; fresh processes."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Run = Callable[[], Any]
CORES = len(os.sched_getaffinity(0))

_CHILD = (
    "import json, sys; from importlib import import_module; module, name, *rest = json.loads(sys.argv[1]); "
    "print(json.dumps(getattr(import_module(module), name)(*rest)))"
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rows of the large inputs, and turns that medians are taken of."""

    rows: int = 20_000_000
    repeats: int = 5


def seconds(runs: Mapping[str, Run], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run in each of `repeats` turns, after a turn that warms up.

    A run with an attribute ``ready`` has it called before each turn, outside the time taken.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            getattr(run, "ready", lambda: None)()
            began = time.perf_counter()
            run()
            if turn:
                taken[name].append(time.perf_counter() - began)
    return taken


def medians(runs: Mapping[str, Run], repeats: int) -> dict[str, float]:
    """Median seconds of each run, turn by turn with the others."""
    return {name: statistics.median(taken) for name, taken in seconds(runs, repeats).items()}


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a public function of a module of `bench` returns in a fresh process (by way of JSON)."""
    call = json.dumps([function.__module__, function.__name__, *arguments])
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, call],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    if done.returncode:
        raise RuntimeError(f"{function.__module__}.{function.__name__} failed in a process:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def memory_now() -> tuple[int, int]:
    """Bytes of this process in memory: now, and at its peak.

    Of /proc, not ``ru_maxrss``, which a child process inherits from a larger parent.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    now, peak = (int(lines[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
    return now, peak


def machine() -> str:
    """The processor, its cores, and the Python."""
    model = platform.machine()
    cpu = Path("/proc/cpuinfo")
    for line in cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else ():
        if line.startswith("model name"):
            model = f"{line.split(':', 1)[1].strip()}, {model}"
            break
    return f"{CORES} cores ({model}), CPython {platform.python_version()}"


def versions(*packages: str) -> str:
    """The installed versions of some packages, for the line that says what was measured."""
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
