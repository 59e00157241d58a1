"""The README is true: its example runs and its main command prints what it says."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tidegate.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs():
    """The example in the README runs as it stands and finds its anomaly."""
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    (record,) = ast.literal_eval(done.stdout)
    assert (record["timestamp"], record["by_field_value"], record["actual"]) == (
        198 * 3_600_000,
        "api",
        [500.0],
    )
    assert record["record_score"] > 50


def test_the_example_of_a_store_runs(tmp_path):
    """It runs as it stands in an empty folder, and prints what was posted."""
    code = re.findall(r"```python\n(.*?)```", README, re.S)[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[5, 5, 5]", "closed 1"]


def test_the_store_commands_run(tmp_path):
    """The README's commands over a store run as they stand, and find the marathon."""
    script = re.search(r"<!-- store commands -->\n```sh\n(.*?)\n```", README, re.S)[1]
    program = f'tidegate() {{ "{sys.executable}" -W error -m tidegate "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euc", program + script],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "2014-11-02T01:00:00Z" in done.stdout
    assert re.search(r"^taxi +closed +10,320 ", done.stdout, re.M)


def test_the_store_commands_are_all_there():
    """The README lists every command over a store."""
    for group in ("job", "results", "snapshots", "calendars", "filters"):
        listed = re.search(rf"^    tidegate {group} (.*)$", README, re.M)[1].split(" | ")
        assert set(listed) == set(main.commands[group].commands)


def test_the_main_command_finds_the_events():
    """The README's main command prints all the days that the README names."""
    line = re.search(r"<!-- main command -->\n```sh\n(.*?)\n```", README, re.S)[1]
    arguments = shlex.split(line.split("bin/tidegate ")[1])
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    for day in ("2014-11-02", "2014-11-27", "2014-12-25", "2015-01-01", "2015-01-2[67]"):
        assert re.search(day, done.stdout), day
