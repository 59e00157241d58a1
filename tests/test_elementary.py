"""Functions that vectorise are as exact as those of the C library, and the same in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tidegate_kernels import elementary
from tidegate_kernels.registry import Kernel


def logs(x, out):
    """The logarithm of every element."""
    for i in range(len(x)):
        out[i] = elementary.log(x[i])
    return len(x)


def exps(x, out):
    """The exponential of every element."""
    for i in range(len(x)):
        out[i] = elementary.exp(x[i])
    return len(x)


def tails(x, out):
    """The normal tail of every element."""
    for i in range(len(x)):
        out[i] = elementary.log_normal_tail(x[i])
    return len(x)


def both_ways(function: Callable[..., int], x: np.ndarray) -> np.ndarray:
    """The values of compiled code, which are those of plain Python to the last bit."""
    made = Kernel(function, "i64(in f64[], out f64[])")
    compiled, plain = np.empty_like(x), np.empty_like(x)
    made.compile()(x, compiled)
    made.interpret(x, plain)
    np.testing.assert_array_equal(compiled, plain)
    return compiled


def test_logarithm() -> None:
    """Within two units in the last place, from the smallest normal number to the largest."""
    rng = np.random.default_rng(0)
    x = np.append(rng.uniform(0.5, 2.0, 3000), np.exp(rng.uniform(-708.0, 709.0, 3000)))
    x = np.append(x, [1.0, 2.2250738585072014e-308, 1.7976931348623157e308])
    exact = np.array([math.log(v) for v in x])
    assert (abs(both_ways(logs, x) - exact) <= 2 * np.spacing(abs(exact))).all()


def test_exponential() -> None:
    """Within two units in the last place; arguments beyond [-708, 709] count as those."""
    x = np.append(np.random.default_rng(0).uniform(-708.0, 709.0, 6000), [0.0, -1e300, 1e300, -708.0, 709.0])
    exact = np.array([math.exp(v) for v in np.clip(x, -708.0, 709.0)])
    assert (abs(both_ways(exps, x) - exact) <= 2 * np.spacing(exact)).all()


def test_normal_tail() -> None:
    """The tail is that of the normal law, far beyond where its probability is a double."""
    w = np.append(np.arange(elementary.TAIL_FROM, 37.0, 0.01), [1e3, 1e8])
    exact = [math.log(math.erfc(v / math.sqrt(2.0))) for v in w[:-2]]
    found = both_ways(tails, w)
    np.testing.assert_allclose(found[:-2], exact, rtol=4e-12, atol=4e-12)
    assert found[-2] == pytest.approx(-5e5 - math.log(1e3 * math.sqrt(math.pi / 2.0)), rel=1e-11)
    assert found[-1] == pytest.approx(-5e15)
