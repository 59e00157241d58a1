"""Jobs survive being killed: a short run of ``python -m tests.crash``, which can go on for hours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_jobs_go_on_as_if_nothing_had_happened(seed: int) -> None:
    """Results are those of a run in peace, bit for bit, and every acknowledged post is in them."""
    kills = "200" if os.environ.get("TIDEGATE_FUZZ") == "thorough" else "15"
    options = ("--kills", kills, "--seed", str(seed), "--length", "30", "--each", "15")
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", *options],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = re.match(r"(\d+) kills in \d+ scripts .*; all results equal", done.stdout)
    assert told is not None
    assert int(told[1]) >= 15
