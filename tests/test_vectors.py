"""The loops of the model are vector code: what makes its updates four times as fast as scalar ones."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tidegate_kernels import counts, observe, registry, state
from tidegate_kernels.model import update_blocks

LOOPS: tuple[Callable[..., None], ...] = (
    *(observe.predict, observe.scale, observe.judge_single, counts.judge_count, observe.judge),
    *(observe.compare, observe.train_records, observe.train),
)


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


def count(text: str, operations: str, kind: str, register: str = "") -> int:
    """How many instructions do one of these operations; `pd` on vectors, `sd` on single doubles."""
    return len(re.findall(rf"\bv(?:{operations}){kind}\s.*%{register}", text))


def test_the_model_computes_in_vectors(assembly: str) -> None:
    """Of the arithmetic on doubles, that of all loops is in the widest registers.

    What is scalar is a series by itself, the same loops once more for a few of sixteen, and what is rare.
    """
    packed = count(assembly, "mul|add|sub|div|sqrt", "pd", widest())
    divided = count(assembly, "div|sqrt", "pd", widest())
    # Counted in the source: the loops have about 1,500 operations, some 90 of them divisions.
    assert packed > 1400
    assert divided > 85


@pytest.mark.parametrize("body", LOOPS, ids=lambda body: body.__name__)
def test_every_loop_is_vector_code(body: Callable[..., None]) -> None:
    """Of a loop over the lanes of a block nothing is left scalar but what all lanes share.

    All would be if the call of the body had so few arguments that the compiler unrolls the loop before it
    inlines the call: `rates` is what makes it long enough.
    """
    from numba import njit

    names = ", ".join(inspect.signature(body).parameters)
    source = f"def loop(w, rates, now, clock):\n    for lane in range(ALL_LANES):\n        body({names})\n"
    scope: dict[str, Any] = {"body": body, "ALL_LANES": state.ALL_LANES}
    exec(source, scope)  # as in `model.observe`, with the arguments that the body takes there
    settings = np.ones(state.SETTINGS_SIZE)
    settings[state.SPAN_MS] = 3_600_000.0
    registry.prepare_compiler()
    dispatcher = njit(**registry.OPTIONS)(scope["loop"])
    dispatcher(np.ones(state.WORK_SIZE), state.rates_of(settings), state.Now(99.0, 0.5, 0.5, 0.5, 1.0), 99.0)
    [text] = dispatcher.inspect_asm().values()
    packed, scalar = (count(text, "mul|add|sub|div|sqrt", kind) for kind in ("pd", "sd"))
    assert packed > 0
    assert scalar < packed / 2
