"""The native library: found beside the package, checked against the sources, called by ctypes.

`emit` compiles the kernels and writes the manifest; CMake links them to one shared library that
takes the best code for the processor when it is loaded. Calls give up the GIL.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import NativeError, sources

if TYPE_CHECKING:
    from .registry import Argument, Kernel

LIBRARY = "libtidegate_kernels.so"
MANIFEST = "tidegate_kernels.json"
LEVELS = {"v2": 2, "v3": 3, "v4": 4}

_C_TYPES = {
    "i64": ctypes.c_int64,
    "i32": ctypes.c_int32,
    "u64": ctypes.c_uint64,
    "u8": ctypes.c_uint8,
    "f64": ctypes.c_double,
    "f32": ctypes.c_float,
}
_DTYPES: dict[str, Any] = {
    "i64": np.int64,
    "i32": np.int32,
    "u64": np.uint64,
    "u8": np.uint8,
    "f64": np.float64,
    "f32": np.float32,
}
# Laid over a writable array it has the array's address and holds on to its memory; a quarter of
# the price of `array.ctypes.data`, which only read-only arrays pay.
_from_buffer: Any = (ctypes.c_char * 0).from_buffer


class Library:
    """The loaded library.

    Attributes: its `path`; the `kernels` in it, name to signature; the `levels` of x86-64 that this
    processor has, such as ("v2", "v3"), the last being in use unless TIDEGATE_CPU_LEVEL says
    otherwise; and the version of `numba` that compiled it.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.kernels: dict[str, str] = manifest["kernels"]
        self.numba: str = manifest["numba"]
        self._functions = ctypes.CDLL(str(path))
        best = self._functions.tidegate_kernels_level()
        self.levels = tuple(name for name, level in LEVELS.items() if level <= best)
        if not self.levels:
            raise NativeError("this processor is older than x86-64-v2")
        if forced := os.environ.get("TIDEGATE_CPU_LEVEL"):
            self._use(forced)

    @property
    def level(self) -> str:
        """The level whose code is in use."""
        return f"v{self._functions.tidegate_kernels_level()}"

    def _use(self, level: str) -> None:
        if level not in LEVELS:
            print(f"TIDEGATE_CPU_LEVEL={level!r} is not one of {', '.join(LEVELS)}; ignored", file=sys.stderr)
        elif level not in self.levels:
            print(f"TIDEGATE_CPU_LEVEL={level}: this processor has {self.level}; ignored", file=sys.stderr)
        else:
            self._functions.tidegate_kernels_use(LEVELS[level])

    def bind(self, kernel: Kernel) -> Callable[..., Any]:
        """The kernel's function in the library; it checks its arguments, and any thread may call it."""
        return checked(kernel, self._functions[f"tidegate_{kernel.name}"])


def checked(kernel: Kernel, function: Any) -> Callable[..., Any]:
    """A kernel's C function as one that refuses, with a TypeError, what C may not have."""
    function.restype = _C_TYPES[kernel.result.type]
    function.argtypes = [kind for argument in kernel.arguments for kind in _c_types(argument)]
    rules = [_rule(argument) for argument in kernel.arguments]

    def call(*values: Any) -> Any:
        try:
            return function(*_passed(values, rules))
        except (TypeError, ValueError, ctypes.ArgumentError):
            raise TypeError(_refusal(kernel, values)) from None

    return call


@cache
def _load() -> Library | str:
    """The library, or why there is none that can be used."""
    path = next((found for folder in _folders() if (found := folder / LIBRARY).exists()), None)
    if path is None:
        return "there is no native library beside the package"
    try:
        manifest = json.loads(path.with_name(MANIFEST).read_bytes())
        if manifest["sources"] != sources.stamp():
            return f"{path} was built from other sources of the kernels; build it again"
        return Library(path, manifest)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        return f"{path} cannot be used: {error}"
    except NativeError as error:
        return str(error)


def library() -> Library:
    """The native library, loaded once; NativeError if there is none that can be used."""
    loaded = _load()
    if isinstance(loaded, str):
        raise NativeError(loaded)
    return loaded


def _folders() -> list[Path]:
    """Where the package lives: an editable install is spread over two folders."""
    package = sys.modules[__package__]
    return [Path(folder) for folder in package.__path__]


def _c_types(argument: Argument) -> tuple[Any, ...]:
    return (ctypes.c_void_p, ctypes.c_int64) if argument.is_array else (_C_TYPES[argument.type],)


class _Rule(NamedTuple):
    """What C may have for an argument: an array of a dtype, or a number within limits."""

    dtype: np.dtype[Any] | None
    is_out: bool
    low: float
    high: float


def _rule(argument: Argument) -> _Rule:
    if argument.is_array:
        return _Rule(np.dtype(_DTYPES[argument.type]), argument.role == "out", 0, 0)
    if argument.type in ("f64", "f32"):
        return _Rule(None, False, -np.inf, np.inf)
    limits = np.iinfo(_DTYPES[argument.type])
    return _Rule(None, False, int(limits.min), int(limits.max))


def _passed(values: Sequence[Any], rules: Sequence[_Rule]) -> list[Any]:
    """The values as ctypes takes them; TypeError or ValueError for what C may not have."""
    arguments: list[Any] = []
    for value, (dtype, is_out, low, high) in zip(values, rules, strict=True):
        if dtype is None:
            if value < low or value > high:
                raise ValueError
            arguments.append(value)
            continue
        if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim != 1:
            raise TypeError
        flags = value.flags
        if flags.carray:  # contiguous, aligned and writable
            arguments.append(_from_buffer(value))
        elif is_out or not flags.c_contiguous or not flags.aligned:
            raise TypeError
        else:
            arguments.append(value.__array_interface__["data"][0])
        arguments.append(len(value))
    return arguments


def _refusal(kernel: Kernel, values: Sequence[Any]) -> str:
    """What is wrong with the first argument that C may not have."""
    if len(values) != len(kernel.arguments):
        return f"{kernel.name}: takes {len(kernel.arguments)} arguments, not {len(values)}"
    names = inspect.signature(kernel.python).parameters
    for name, argument, value in zip(names, kernel.arguments, values, strict=True):
        try:
            for kind, part in zip(_c_types(argument), _passed([value], [_rule(argument)]), strict=True):
                kind.from_param(part)
        except (TypeError, ValueError, ctypes.ArgumentError):
            return f"{kernel.name}: {name}: {_description(value)} is not {_allowed(argument)}"
    raise AssertionError(f"{kernel.name}: these arguments are right")


def _allowed(argument: Argument) -> str:
    if not argument.is_array:
        return f"a number that fits {argument.type}"
    kind = "array" if argument.role == "in" else "writable array"
    return f"a contiguous {kind} of {np.dtype(_DTYPES[argument.type])} with one axis"


def _description(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    facts = {
        "read-only": not value.flags.writeable,
        "unaligned": not value.flags.aligned,
        "strided": not value.flags.c_contiguous,
    }
    adjectives = "".join(f"{fact} " for fact, holds in facts.items() if holds)
    return f"the {adjectives}array of {value.dtype} with shape {value.shape}"
