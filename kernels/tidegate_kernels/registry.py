"""How a kernel is declared, and which of its forms serves: native, compiled at run time, or Python.

A kernel is a plain Python function over numbers and flat, contiguous arrays::

    @kernel("f64(in f64[], i64)")
    def total(x, n): ...

``in`` arrays are read-only inputs (a writable array is accepted too), ``out`` arrays
are written. Its function in the native library is used when that was built from these very
sources (see `native`). Otherwise Numba compiles it when it is first called; the compiled form
is cached on disk beside the source (or in the user's cache folder).

Rules for every kernel, so that it can also be compiled ahead of time: the caller
allocates, nothing raises (a status or a position is returned, "grow and call again"),
no Python objects. Helpers (`device`) may live in any file of this package: what is
cached on disk is stamped with the content of all of them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

from . import NativeError, native, sources

F = TypeVar("F", bound=Callable[..., Any])

MODES = ("native", "jit", "python")
# Kernels allocate nothing: arrays need no count of references, which helpers with several
# exits keep with atomic instructions (a scan of JSON lines: 400 ns a row, without it 70).
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
KERNELS: dict[str, Kernel] = {}
_DEVICES: list[Callable[..., Any]] = []
_ARGUMENT = re.compile(r"^(?:(in|out) )?(i64|i32|u64|u8|f64|f32)(\[\])?$")
_NUMBA_NAMES = {
    "i64": "int64",
    "i32": "int32",
    "u64": "uint64",
    "u8": "uint8",
    "f64": "float64",
    "f32": "float32",
}


class Argument(NamedTuple):
    """One argument of a kernel, or its result: ``out f64[]`` is ("out", "f64", True)."""

    role: str
    type: str
    is_array: bool


class Kernel:
    """A registered kernel: call it, or take its plain Python form from ``.python``."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.python = function
        self.name = function.__name__
        self.signature = signature
        self.result, self.arguments = parse_signature(signature)
        self.__doc__ = function.__doc__
        self._call: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._call is None:
            self._call = {"native": self.bind, "jit": self.compile, "python": self.plain}[mode()]()
        return self._call(*args)

    def plain(self) -> Callable[..., Any]:
        """The plain Python form, with the wrap-around of machine integers."""
        return self.interpret

    def interpret(self, *args: Any) -> Any:
        """Runs the plain Python form, with the wrap-around of machine integers."""
        import numpy as np

        with np.errstate(all="ignore"):
            return self.python(*args)

    def bind(self) -> Callable[..., Any]:
        """The function of the native library; compiled now if that has none of this name."""
        library = native.library()
        if library.kernels.get(self.name) != self.signature:
            return self.compile()
        return library.bind(self)

    def compile(self) -> Callable[..., Any]:
        """The compiled form, from the on-disk cache when its source has not changed."""
        from numba import njit

        prepare_compiler()
        dispatcher: Any = njit(cache=True, **OPTIONS)(self.python)
        # Numba stamps a cached kernel with the file that defines it; a change of a helper in
        # another file would go unseen. tests/test_kernels.py holds this line to account.
        dispatcher._cache._cache_file._source_stamp = sources.stamp()
        dispatcher.compile(self.numba_signature())
        dispatcher.disable_compile()
        compiled: Callable[..., Any] = dispatcher
        return compiled

    def numba_signature(self) -> Any:
        """Numba's type of the kernel; arrays are contiguous, ``in`` arrays read-only."""
        from numba import types

        def numba_type(argument: Argument) -> Any:
            scalar = getattr(types, _NUMBA_NAMES[argument.type])
            if not argument.is_array:
                return scalar
            return types.Array(scalar, 1, "C", readonly=argument.role == "in")

        return numba_type(self.result)(*map(numba_type, self.arguments))

    def __repr__(self) -> str:
        return f"<kernel {self.name}: {self.signature}>"


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Registers a function as the kernel of its name with an eager signature."""

    def register(function: Callable[..., Any]) -> Kernel:
        made = Kernel(function, signature)
        if made.name in KERNELS and KERNELS[made.name].python.__module__ != function.__module__:
            raise ValueError(f"two kernels are named {made.name!r}")
        KERNELS[made.name] = made
        return made

    return register


def device(function: F) -> F:
    """Marks a helper that kernels call; it stays plain Python otherwise."""
    _DEVICES.append(function)
    return function


def prepare_compiler() -> None:
    """Makes everything that kernels call known to Numba; again after more was declared."""
    from numba.extending import register_jitable

    _lower_intrinsics()
    # Inlined whatever their size: a model update is 38% faster than when LLVM chooses.
    while _DEVICES:
        register_jitable(forceinline=True)(_DEVICES.pop())


@cache
def _lower_intrinsics() -> None:
    """Once in a process, before anything is compiled."""
    from tidegate_kernels.intrinsics import lower

    lower()


def mode() -> str:
    """How kernels run: one of MODES, forced by TIDEGATE_KERNELS, else the best there is."""
    return choice()[0]


def choice() -> tuple[str, str]:
    """How kernels run, and why.

    NativeError if TIDEGATE_KERNELS=native and there is no library that can be used.
    """
    forced = _forced(os.environ.get("TIDEGATE_KERNELS", ""))
    try:
        if forced in (None, "native"):
            native.library()
    except NativeError as error:
        if forced:
            raise NativeError(f"TIDEGATE_KERNELS=native: {error}") from None
        return "jit", str(error)
    if forced:
        return forced, f"TIDEGATE_KERNELS={forced}"
    return "native", "there is a native library for these sources and this processor"


@cache
def _forced(value: str) -> str | None:
    """A mode that an environment variable asks for; one that is unknown is said once."""
    if value and value not in MODES:
        print(f"TIDEGATE_KERNELS={value!r} is not one of {', '.join(MODES)}; ignored", file=sys.stderr)
        return None
    return value or None


def parse_signature(text: str) -> tuple[Argument, list[Argument]]:
    """Result and arguments as (role, type name, is array) triples.

    >>> tuple(parse_signature("i64(in f64[], out i64[], i64)")[1][0])
    ('in', 'f64', True)
    """
    result, _, inner = text.partition("(")
    pieces = [result.strip(), *(piece.strip() for piece in inner.rstrip(")").split(","))]
    parsed = []
    for piece in pieces:
        match = _ARGUMENT.match(piece)
        if match is None or bool(match[3]) != bool(match[1]):
            raise ValueError(f"kernel signature {text!r}: {piece!r} is not a type")
        parsed.append(Argument(match[1] or "", match[2], bool(match[3])))
    return parsed[0], parsed[1:]
