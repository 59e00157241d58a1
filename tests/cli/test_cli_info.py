"""The command line: info."""

from __future__ import annotations

import json
import os

import pytest
from tests.cli.samples import run

import tidegate
from tidegate_kernels import registry


def test_info_says_which_kernels_are_in_use() -> None:
    """What `info` says is what a job would use now, for a program and for a person."""
    told = json.loads(run("info", "--json").stdout)
    mode, reason = registry.choice()
    assert (told["tidegate"], told["kernels"], told["reason"]) == (tidegate.__version__, mode, reason)
    assert told["threads"] == len(os.sched_getaffinity(0))
    assert (told["library"] is not None) == (told["cpu_level"] is not None) == (mode == "native")
    lines = dict(line.split(maxsplit=1) for line in run("info").stdout.splitlines() if "  " in line)
    assert lines["kernels"] == mode
    assert lines["numba"] == told["numba"]


def test_info_says_what_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forced kernels are told with the variable that forces them."""
    monkeypatch.setenv("TIDEGATE_KERNELS", "python")
    told = json.loads(run("info", "--json").stdout)
    assert (told["kernels"], told["reason"]) == ("python", "TIDEGATE_KERNELS=python")
    assert told["library"] is None
