"""The fuzzer: a little of every campaign, and proof that it notices what must not happen."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.campaign import run_campaign
from tests.fuzz.choices import Choices
from tests.fuzz.engines import random_inputs
from tests.fuzz.oracle import examine
from tests.fuzz.targets import MODULES, target_of

from tidegate.errors import DataError

INPUTS = 120
TARGETS = [name for name in MODULES if name != "planted"]


@pytest.mark.parametrize("name", TARGETS)
def test_a_little_of_every_target(name: str) -> None:
    """The first mutations of the seeds of a target end in a result or a TidegateError; all laws hold."""
    target = target_of(name)
    for data in itertools.islice(random_inputs(target, 1), len(target.seeds()) + INPUTS):
        finding = examine(target.check, data, seconds=100.0, memory_bytes=1 << 30)  # kernels may be compiled
        assert finding is None, f"{finding.kind}: {finding.where}\n{finding.detail}\n{finding.data!r}"


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_any_bytes(name: str, data: bytes) -> None:
    """Bytes of any kind do no harm either."""
    finding = examine(target_of(name).check, data, seconds=100.0, memory_bytes=1 << 30)
    assert finding is None, f"{finding.kind}: {finding.where}\n{finding.detail}"


def test_a_campaign_finds_what_is_planted(tmp_path: Path) -> None:
    """Errors, broken laws and the death of the process are found with their inputs; allowed errors not."""
    report = run_campaign("planted", "random", 4.0, 1, tmp_path)
    found = {(finding.kind, finding.data[:1]) for finding in report.findings.values()}
    assert found == {("error", b"e"), ("law", b"l"), ("error", b"m"), ("death", b"d")}
    assert report.executions > 20
    assert all("planted.py" in f.where for f in report.findings.values() if f.data[:1] in (b"e", b"l"))


def test_a_hang_is_noticed() -> None:
    """A check without an end is stopped and found."""

    def endless(data: bytes) -> None:
        while True:
            time.monotonic()

    finding = examine(endless, b"", seconds=0.05)
    assert finding is not None
    assert finding.kind == "hang"


def test_memory_is_noticed() -> None:
    """Memory that is taken and given back counts; memory in proportion to the input does not."""
    ones = np.ones
    for data, kind in ((b"", "memory"), (bytes(1 << 20), None)):
        finding = examine(lambda _: ones(6 << 20).sum(), data, memory_bytes=16 << 20)
        assert (finding and finding.kind) == kind


def test_no_memory_is_noticed() -> None:
    """To ask for memory that nobody has is found, and not taken for an answer."""

    def greedy(data: bytes) -> None:
        raise MemoryError("1 EiB")

    finding = examine(greedy, b"x")
    assert finding is not None
    assert (finding.kind, finding.data) == ("memory", b"x")


def test_what_python_only_prints_is_noticed() -> None:
    """An error in a destructor, which nobody can catch, is found."""

    class Bad:
        def __del__(self) -> None:
            raise KeyError("too late")

    finding = examine(lambda _: bool(Bad()), b"")
    assert finding is not None
    assert finding.where.startswith("ignored KeyError at test_fuzz.py")


def test_errors_on_purpose_are_answers() -> None:
    """A TidegateError of one line is as good as a result."""

    def refuse(data: bytes) -> None:
        raise DataError("what, where, why")

    assert examine(refuse, b"") is None


def test_the_same_bytes_are_the_same_decisions() -> None:
    """Choices depend on the bytes alone, and go on when they have run out."""

    def decisions(data: bytes) -> list[object]:
        choices = Choices(data)
        return [choices.below(7), choices.integer(), choices.double(), choices.text(), choices.flag()]

    assert decisions(b"some bytes" * 3) == decisions(b"some bytes" * 3)
    assert decisions(b"some bytes" * 3) != decisions(b"other bytes" * 3)
    assert decisions(b"") == [0, 0, 0.0, "", False]
