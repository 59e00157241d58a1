"""Runs of the command line and the records they read, shared by its tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

import tidegate
from tidegate.cli import main

DATA = Path(__file__).parent.parent / "data"
TAXI = DATA / "nab" / "nyc_taxi.csv"
START = 1_700_000_000 // 3600 * 3600
HOURS = 200
SPIKE = 150
MEAN = ("--bucket-span", "1h", "--function", "mean", "--field", "value")
BY_HOST = (*MEAN, "--by", "host")


def run(*args: object, input: bytes | str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=input, prog_name="tidegate")


def errors_of(*args: object, input: bytes | str | None = None) -> list[str]:
    """The messages of a run that must fail with status 2, with nothing on stdout and no traceback."""
    result = run(*args, input=input)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    found = result.stderr.splitlines()
    assert all(line.startswith("Error: ") for line in found)
    return [line.removeprefix("Error: ") for line in found]


def started(*args: object, **options: object) -> subprocess.Popen[bytes]:
    """A true process of the command line, warnings being errors."""
    source = Path(tidegate.__file__).parent.parent
    kernels = source.parent / "kernels"
    paths = os.pathsep.join([str(source), str(kernels), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tidegate", *map(str, args)],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=options.pop("stderr", subprocess.PIPE),
        **options,
    )


def rows(spike: float = 90.0) -> list[dict[str, object]]:
    """Hourly values of two hosts, the second with one value far off."""
    return [
        {
            "time": START + 3600 * hour,
            "host": host,
            "value": spike if (hour, host) == (SPIKE, "b") else 10.0 + (hour * 7 + len(host)) % 5,
        }
        for hour in range(HOURS)
        for host in ("a", "b")
    ]


def csv_text(records: list[dict[str, object]]) -> str:
    names = list(records[0])
    return "\n".join([",".join(names), *(",".join(str(r[n]) for n in names) for r in records)]) + "\n"


def json_text(records: list[dict[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)
