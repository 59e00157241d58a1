"""The emitter: what it refuses to compile, and the C interface that it writes."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate_kernels import cinterface, emit
from tidegate_kernels.registry import Kernel


def allocates(x, n):
    y = np.zeros(n)
    for i in range(n):
        y[i] = x[i]
    return np.int64(y.sum())


def sorts(x, n):
    x.sort()
    return n


def raises(x, n):
    if n < 0:
        raise ValueError("n is negative")
    return n


def steps(x, n):
    last = 0
    for i in range(0, 10, n):
        last = i
    return last


def prints(x, n):
    print(n)
    return n


def opens(x, n):
    return len(open("x"))


def divides(x, n):
    """Divides by what may be zero, and takes a root of what may be negative."""
    x[0] = x[1] / x[2] + np.exp(x[3]) ** np.log1p(x[4])
    return n // (n - 1) + n % 3


def compiled(function, directory):
    """Compiles a function for one level as the library's kernels are."""
    kernel = Kernel(function, "i64(out f64[], i64)")
    emit.emit_level({kernel.name: emit.llvm_code(kernel)}, "v2", directory)
    return directory / "kernels_v2.o"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (allocates, "kernel 'allocates' allocates memory (NRT_"),
        (sorts, "kernel 'sorts' allocates memory (NRT_"),
        (raises, "kernel 'raises' can raise ValueError('n is negative',) in raises, line "),
        (steps, "kernel 'steps' can raise ValueError('range() arg 3 must not be zero',)"),
        (prints, "kernel 'prints' uses numba_gil_ensure"),
        (opens, "kernel 'opens' does not compile: "),
    ],
)
def test_kernels_that_need_python_are_refused(function, message, tmp_path):
    """A kernel that allocates, raises or touches Python ends the build, by name and cause."""
    with pytest.raises(emit.EmitError) as failure:
        compiled(function, tmp_path)
    assert str(failure.value).startswith(message)
    assert not list(tmp_path.iterdir())


def test_arithmetic_is_compiled(tmp_path):
    """Division by zero and libm are no reason to refuse."""
    assert compiled(divides, tmp_path).read_bytes().startswith(b"\x7fELF")


def test_c_interface():
    """Inputs are const, every array comes with its length, the docstring's first line says what it is."""

    def spread(series, value, flag, n, out):
        """Spreads values; returns how many.

        More.
        """

    kernel = Kernel(spread, "i32(in i32[], in f64[], u8, i64, out u64[])")
    header = cinterface.header([kernel])
    assert (
        "/* Spreads values; returns how many. */\n"
        "int32_t tidegate_spread(\n"
        "    const int32_t *series, int64_t series_length, const double *value, int64_t value_length,\n"
        "    uint8_t flag, int64_t n, uint64_t *out, int64_t out_length);\n"
    ) in header
    assert cinterface.entries([kernel]) == (
        "ENTRY(int32_t, tidegate_spread, (const int32_t *series, int64_t series_length, const double *value,"
        " int64_t value_length, uint8_t flag, int64_t n, uint64_t *out, int64_t out_length),"
        " (series, series_length, value, value_length, flag, n, out, out_length))\n"
    )
