"""Compiles the registered kernels ahead of time: objects with a plain C interface, header, manifest.

    python -m tidegate_kernels.emit DIRECTORY

writes to the directory one object for each level of x86-64 (``kernels_v2.o``, ...), the header
``tidegate_kernels.h``, ``entries.inc`` for the dispatch in C, and the manifest
``tidegate_kernels.json`` from which `native` binds. CMake runs it; a job never imports it.

Numba types and lowers every kernel once; LLVM then optimises it for each level, after which
nothing of Python or of Numba's runtime may be left. A kernel that allocates, raises or touches
Python is refused, with its name and the symbol that gave it away.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pickle
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from . import cinterface, registry, sources
from .native import MANIFEST
from .registry import Kernel

# LLVM's own preference for half-width vectors on v4 costs the model's kernels a third of their speed.
LEVELS = {"v2": "", "v3": "", "v4": "-prefer-256-bit"}
TRIPLE = "x86_64-unknown-linux-gnu"

# What a kernel may call: the C library's mathematics and its memory functions.
ALLOWED = re.compile(
    r"mem(cpy|move|set)|sqrt|cbrt|pow|exp2?|expm1|log(2|10|1p)?|a?(sin|cos|tan)h?|atan2|floor|ceil|trunc|round"
    r"|rint|nearbyint|fmod|fma|fabs|ldexp|frexp|modf|copysign|erfc?|[lt]gamma"
)


class EmitError(Exception):
    """A kernel that cannot be compiled ahead of time."""


def main(arguments: list[str] | None = None) -> None:
    """Writes everything that the native library is built from."""
    parser = argparse.ArgumentParser(prog="tidegate_kernels.emit", description=main.__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args(arguments).directory
    directory.mkdir(parents=True, exist_ok=True)
    # Numba's own optimiser would only do what is done again for each level.
    os.environ["NUMBA_OPT"] = "0"
    stamp = sources.stamp()
    kernels = registered()
    try:
        emit([kernel.name for kernel in kernels], directory)
    except EmitError as error:
        raise SystemExit(f"error: {error}") from None
    (directory / "tidegate_kernels.h").write_text(cinterface.header(kernels))
    (directory / "entries.inc").write_text(cinterface.entries(kernels))
    (directory / MANIFEST).write_text(json.dumps(manifest(kernels, stamp), indent=1) + "\n")


def registered() -> list[Kernel]:
    """Every kernel of the package, by name."""
    for path in Path(__file__).parent.glob("[!_]*.py"):
        importlib.import_module(f"{__package__}.{path.stem}")
    return [registry.KERNELS[name] for name in sorted(registry.KERNELS)]


def manifest(kernels: Iterable[Kernel], stamp: str) -> dict[str, Any]:
    """What the binding must know of the library, and what it was made from."""
    return {
        "sources": stamp,
        "numba": version("numba"),
        "llvmlite": version("llvmlite"),
        "levels": list(LEVELS),
        "kernels": {kernel.name: kernel.signature for kernel in kernels},
    }


def emit(names: Iterable[str], directory: Path) -> None:
    """Writes the object of every level; EmitError names the first kernel that is refused."""
    # A process for each kernel, then for each level: Numba and LLVM work under one lock. Spawned, so
    # that none inherits their state.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        codes = dict(zip(names, pool.map(code_of, names), strict=True))
        for made in [pool.submit(emit_level, codes, level, directory) for level in LEVELS]:
            made.result()


def code_of(name: str) -> str:
    """`llvm_code` of a kernel of this package."""
    return next(llvm_code(kernel) for kernel in registered() if kernel.name == name)


def llvm_code(kernel: Kernel) -> str:
    """LLVM code of a kernel and its C function, for no level in particular."""
    from numba import njit
    from numba.core.errors import NumbaError

    registry.prepare_compiler()
    # With Numba's runtime: what a kernel does with it then has a name, by which it is refused.
    options = {**registry.OPTIONS, "_nrt": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher: Any = njit(**options)(kernel.python)
    try:
        dispatcher.compile(kernel.numba_signature())
    except NumbaError as error:
        raise EmitError(f"kernel {kernel.name!r} does not compile: {error}") from None
    (compiled,) = dispatcher.overloads.values()
    return linked(compiled.library.get_llvm_str(), kernel, compiled.fndesc.llvm_func_name)


def linked(code: str, kernel: Kernel, native: str) -> str:
    """The module of Numba's function `native` with the kernel's C function, which alone is visible."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(code)
    module.link_in(llvm.parse_assembly(cinterface.wrapper(kernel, native)))
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name != cinterface.PREFIX + kernel.name:
            value.linkage = "internal"
    # A large kernel would stay a function of its own, whose status LLVM does not see through.
    module.get_function(native).add_function_attribute("alwaysinline")
    return str(module)


def emit_level(codes: dict[str, str], level: str, directory: Path) -> None:
    """Writes ``kernels_<level>.o``, whose functions have the level at the end of their names."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=f"x86-64-{level}", features=LEVELS[level], opt=3, reloc="pic", codemodel="small"
    )
    whole = llvm.parse_assembly("")
    for name, code in codes.items():
        module = optimised(code, machine)
        refuse_calls(name, module)
        function = module.get_function(cinterface.PREFIX + name)
        function.name += f"_{level}"
        function.visibility = "hidden"
        whole.link_in(module)
    whole.triple = TRIPLE
    (directory / f"kernels_{level}.o").write_bytes(machine.emit_object(whole))


def optimised(code: str, machine: Any) -> Any:
    """The module after the same optimisation as in a process that compiles at run time."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(code)
    module.triple = TRIPLE
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization, tuning.slp_vectorization = True, False
    builder = llvm.create_pass_builder(machine, tuning)
    passes = builder.getModulePassManager()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.run(module, builder)
    module.verify()
    return module


def refuse_calls(name: str, module: Any) -> None:
    """EmitError if anything outside the module is used that a kernel may not use."""
    foreign = {
        value.name
        for value in [*module.functions, *module.global_variables]
        if value.is_declaration and not value.name.startswith("llvm.") and not ALLOWED.fullmatch(value.name)
    }
    allocating = sorted(symbol for symbol in foreign if symbol.startswith("NRT_"))
    if allocating:
        raise EmitError(f"kernel {name!r} allocates memory ({', '.join(allocating)}); let the caller do it")
    others = sorted(foreign - {cinterface.RAISED})
    if others:
        raise EmitError(f"kernel {name!r} uses {', '.join(others)}; only libm and mem* may be used")
    if foreign:
        raise EmitError(f"kernel {name!r} can raise {exceptions(module)}; return a status")


def exceptions(module: Any) -> str:
    """The exceptions that code is left for in a module, and where they are raised."""
    found = set()
    for constant in re.findall(r'@\.const\.pickledata\.\w+ = .*? c"(.*?)"', str(module)):
        escaped = re.compile(r"\\(\\|[0-9A-F]{2})")
        plain = escaped.sub(lambda code: code[1] if code[1] == "\\" else chr(int(code[1], 16)), constant)
        kind, arguments, place = pickle.loads(plain.encode("latin-1"))
        where = f" in {place[0]}, line {place[2]}" if place else ""
        found.add(f"{kind.__name__}{arguments or ()}{where}")
    return " or ".join(sorted(found)) or f"an exception ({cinterface.RAISED})"


if __name__ == "__main__":
    main()
