"""The loops of the model are vector code: what makes its updates four times as fast as scalar ones."""

from __future__ import annotations

import re

import pytest

from tidegate_kernels import registry
from tidegate_kernels.model import update_blocks


@pytest.fixture(scope="module")
def assembly() -> str:
    """The machine code of the model's kernel for this machine, as text."""
    from numba import njit

    registry.prepare_compiler()
    dispatcher = njit(**registry.OPTIONS)(update_blocks.python)
    dispatcher.compile(update_blocks.numba_signature())
    [text] = dispatcher.inspect_asm().values()
    return text


def widest() -> str:
    """The widest registers this machine has vectors of doubles in."""
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    return "zmm" if features.get("avx512f") else "ymm" if features.get("avx2") else "xmm"


def test_the_model_computes_in_vectors(assembly: str) -> None:
    """Of the arithmetic on doubles, that of all loops is in the widest registers.

    What is scalar is a series by itself, the same loops once more for a few of sixteen, and what is rare.
    """
    packed = len(re.findall(rf"\bv(?:mul|add|sub|div|sqrt)pd\s.*%{widest()}", assembly))
    divided = len(re.findall(rf"\bv(?:div|sqrt)pd\s.*%{widest()}", assembly))
    # Counted by hand in the source: the loops have about 600 operations, some 45 of them divisions.
    assert packed > 500
    assert divided > 40
