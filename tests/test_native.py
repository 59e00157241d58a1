"""The native library: its calling convention, what it refuses, and when it is used."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

import tidegate
from tidegate_kernels import emit, native
from tidegate_kernels.registry import Kernel

ROOT = Path(__file__).parent.parent
DTYPES = {
    "i64": np.int64,
    "i32": np.int32,
    "u64": np.uint64,
    "u8": np.uint8,
    "f64": np.float64,
    "f32": np.float32,
}
EXTREMES = {
    "i64": [-(2**63), 2**63 - 1, -1, 0],
    "i32": [-(2**31), 2**31 - 1, -1, 0],
    "u64": [2**64 - 1, 2**63, 0],
    "u8": [255, 128, 0],
    "f64": [-0.0, np.inf, 5e-324, 1.7976931348623157e308],
    "f32": [-0.0, np.inf, 1.401298464324817e-45, 3.4028234663852886e38],
}


def bound(function, signature):
    """A function compiled as for the library and called as the library is."""
    kernel = Kernel(function, signature)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(emit.TRIPLE).create_target_machine(cpu="x86-64-v2", opt=3)
    module = emit.optimised(emit.llvm_code(kernel), machine)
    emit.refuse_calls(kernel.name, module)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    pointer = ctypes.c_void_p(engine.get_function_address(f"tidegate_{kernel.name}"))
    call = native.checked(kernel, ctypes.cast(pointer, ctypes.CFUNCTYPE(None)))
    call.engine = engine  # owns the code
    return call


def every_type(a, b, c, d, e, i, j, k, m, x, y, a_out, b_out, c_out, d_out, e_out, sizes):
    """Copies five arrays, adds a number to each; returns the sum of two doubles."""
    for n in range(len(a)):
        a_out[n] = a[n] + i
    for n in range(len(b)):
        b_out[n] = b[n] + j
    for n in range(len(c)):
        c_out[n] = c[n] + k
    for n in range(len(d)):
        d_out[n] = d[n] + m
    for n in range(len(e)):
        e_out[n] = e[n] + x
    sizes[0] = len(a)
    sizes[1] = a.shape[0] + b.shape[0] + c.shape[0] + d.shape[0]
    sizes[2] = e.size * 8 + e_out.nbytes
    return x + y


EVERY_TYPE = (
    "f64(in i64[], in i32[], in u64[], in u8[], in f64[], i64, i32, u64, u8, f64, f64,"
    " out i64[], out i32[], out u64[], out u8[], out f64[], out i64[])"
)


@pytest.fixture(scope="module")
def copy_every_type():
    return bound(every_type, EVERY_TYPE)


@pytest.mark.parametrize("lengths", [(3, 1, 4, 2, 5), (0, 0, 0, 0, 0), (0, 9, 0, 1, 70)])
@pytest.mark.parametrize("read_only", [False, True])
def test_every_type_of_argument_arrives(lengths, read_only, copy_every_type):
    """Arrays, lengths and numbers of every type reach the kernel and come back, on the stack too."""
    names = ("i64", "i32", "u64", "u8", "f64")
    ins = [np.arange(10, 10 + n).astype(DTYPES[t]) for t, n in zip(names, lengths, strict=True)]
    for array in ins:
        array.flags.writeable = not read_only
    outs = [np.zeros_like(array) for array in ins]
    sizes = np.zeros(3, np.int64)
    numbers = (-5, np.int32(-7), 2**40, 200, 0.25, 2)
    assert copy_every_type(*ins, *numbers, *outs, sizes) == 2.25
    for array, number, out in zip(ins, numbers, outs, strict=False):
        assert out.tolist() == (array + array.dtype.type(number)).tolist()
    assert sizes.tolist() == [lengths[0], sum(lengths[:4]), 16 * lengths[4]]


def test_float32_arrays_arrive():
    """They are read as they are, and what is written is rounded to the nearest."""

    def thirds(x, out):
        for n in range(len(x)):
            out[n] = x[n] / 3.0
        return len(out)

    x = np.array([1.0, -0.1, 3e38], np.float32)
    out = np.zeros_like(x)
    assert bound(thirds, "i64(in f32[], out f32[])")(x, out) == 3
    assert out.tolist() == (x.astype(float) / 3.0).astype(np.float32).tolist()


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_of_result_comes_back(name):
    """A number goes in and comes out as it was, at the ends of its range too."""

    def same(x):
        return x

    call = bound(same, f"{name}({name})")
    for value in EXTREMES[name]:
        assert call(value) == value
        assert call(DTYPES[name](value)) == value
    if name == "f64":
        assert np.isnan(call(np.nan))


@pytest.fixture(scope="module")
def add_numbers():
    return bound(total, "i64(in f64[], i64, out f64[])")


def total(x, n, out):
    """Adds the first numbers."""
    s = 0.0
    for i in range(n):
        s += x[i]
    out[0] = s
    return n


X, OUT = np.arange(6.0), np.zeros(1)
READ_ONLY = np.zeros(1)
READ_ONLY.flags.writeable = False
UNALIGNED = np.zeros(49, np.uint8)[1:].view(np.float64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[::2], 3, OUT), r"x: the strided array of float64 with shape \(3,\) is not a contiguous array of"),
        ((X[::-1], 3, OUT), "x: the strided array"),
        ((X.astype(np.float32), 3, OUT), "x: the array of float32 with shape"),
        ((X.astype(">f8"), 3, OUT), "x: the array of >f8"),
        ((X.reshape(2, 3), 3, OUT), r"x: the array of float64 with shape \(2, 3\)"),
        ((UNALIGNED, 3, OUT), "x: the unaligned array"),
        ((X.tolist(), 3, OUT), r"x: \[0.0, 1.0, .* is not a contiguous array of float64 with one axis"),
        ((None, 3, OUT), "x: None is not"),
        ((X, 3, READ_ONLY), "out: the read-only array .* is not a contiguous writable array"),
        ((X, 3, np.zeros(4)[::2]), "out: the strided array"),
        ((X, 3.0, OUT), "n: 3.0 is not a number that fits i64"),
        ((X, 2**63, OUT), "n: 9223372036854775808 is not a number that fits i64"),
        ((X, "3", OUT), "n: '3' is not"),
        ((X, X, OUT), "n: the array of float64"),
        ((X, 3), "takes 3 arguments, not 2"),
    ],
)
def test_what_c_may_not_have_is_refused(arguments, message, add_numbers):
    """A wrong argument is a TypeError that names kernel, argument and what is allowed."""
    with pytest.raises(TypeError, match=f"^total: {message}"):
        add_numbers(*arguments)


def test_one_element_is_contiguous(add_numbers):
    """Whatever its stride, as numpy and the compiled kernels see it."""
    out = np.zeros(2)[::2]
    assert add_numbers(X[:1:2], 1, out) == 1
    assert add_numbers(X, 3, out) == 3
    assert out.tolist() == [3.0]


def info(kernels: Path, **environment: str) -> subprocess.CompletedProcess:
    """What ``tidegate info --json`` says with the kernels package of a folder."""
    engine = Path(tidegate.__file__).parent.parent
    path = os.pathsep.join([str(kernels), str(engine)])
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tidegate", "info", "--json"],
        env={**os.environ, "TIDEGATE_KERNELS": "", "PYTHONPATH": path, **environment},
        cwd=kernels,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path, library):
    """A folder with a copy of the kernels package and its library."""
    package = tmp_path / "tidegate_kernels"
    shutil.copytree(Path(native.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (native.LIBRARY, native.MANIFEST):
        shutil.copy(library.path.with_name(name), package)
    return tmp_path


def test_the_library_is_used_where_it_is(copied):
    """A library beside its own sources is taken without asking."""
    told = json.loads(info(copied).stdout)
    assert (told["kernels"], told["library"]) == (
        "native",
        str(copied / "tidegate_kernels" / native.LIBRARY),
    )


def test_a_library_of_other_sources_is_not_used(copied):
    """Once a kernel was changed, the old library no longer serves, and to force it is an error."""
    with (copied / "tidegate_kernels" / "gather.py").open("a") as file:
        file.write("# changed\n")
    told = json.loads(info(copied).stdout)
    assert told["kernels"] == "jit"
    assert "was built from other sources of the kernels; build it again" in told["reason"]
    forced = info(copied, TIDEGATE_KERNELS="native")
    assert forced.returncode == 2
    assert forced.stderr.startswith("Error: TIDEGATE_KERNELS=native: ")
    assert forced.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (native.LIBRARY, None, "there is no native library beside the package"),
        (native.LIBRARY, b"not a library", "cannot be used"),
        (native.MANIFEST, None, "cannot be used"),
        (native.MANIFEST, b"{}", "cannot be used"),
    ],
)
def test_a_broken_library_is_not_used(name, content, reason, copied):
    """A part that is missing or damaged is no reason to fail: kernels are then compiled."""
    path = copied / "tidegate_kernels" / name
    path.unlink() if content is None else path.write_bytes(content)
    told = json.loads(info(copied).stdout)
    assert told["kernels"] == "jit"
    assert reason in told["reason"]


def test_a_level_is_forced(copied, library):
    """TIDEGATE_CPU_LEVEL chooses among the levels that the processor has."""
    for level in library.levels:
        told = info(copied, TIDEGATE_CPU_LEVEL=level)
        assert (json.loads(told.stdout)["cpu_level"], told.stderr) == (f"x86-64-{level}", "")
    told = info(copied, TIDEGATE_CPU_LEVEL="v1")
    assert json.loads(told.stdout)["cpu_level"] == f"x86-64-{library.levels[-1]}"
    assert told.stderr == "TIDEGATE_CPU_LEVEL='v1' is not one of v2, v3, v4; ignored\n"


WHOLE_JOB = """
import sys, tidegate
from tidegate_kernels import registry
times = list(range(0, 360_000, 300))
job = tidegate.Job({
    "analysis_config": {"bucket_span": "1h", "detectors": [
        {"function": "mean", "field_name": "value", "by_field_name": "host"},
        {"function": "median", "field_name": "value"},
    ]},
    "data_description": {"time_field": "time", "time_format": "epoch"},
})
job.post([{"time": t, "value": t % 7 + 99 * (t == 300_000), "host": "ab"[t // 300 % 2]} for t in times])
job.flush(calc_interim=True)
job.close()
assert registry.mode() == "native" and len(job.buckets()) == 100, len(job.buckets())
print(sorted({name.split(".")[0] for name in sys.modules} & {"numba", "llvmlite", "scipy"}))
"""


def test_a_whole_job_does_without_numba(library):
    """With the native library neither Numba nor what it brings along is imported."""
    environment = {**os.environ, "TIDEGATE_KERNELS": "native"}
    command = [sys.executable, "-W", "error", "-c", WHOLE_JOB]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_wheel_and_package_ask_for_the_same_numba():
    """What compiles the kernels for the wheel is what compiles them without it: a pinned minor range."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        [requirement for requirement in requirements if requirement.startswith("numba")]
        for requirements in (project["build-system"]["requires"], project["project"]["dependencies"])
    ]
    assert asked[0] == asked[1]
    assert re.fullmatch(r"numba>=0\.\d+,<0\.\d+", *asked[0])
