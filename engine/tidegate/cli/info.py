"""``tidegate info``: which kernels are in use, on what processor, with which libraries."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from .. import __version__


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(as_json: bool) -> None:
    """Says which kernels are in use and why.

    Native kernels were compiled when tidegate was built; jit kernels are compiled by Numba when
    they are first called. TIDEGATE_KERNELS=native|jit|python forces one of them,
    TIDEGATE_CPU_LEVEL=v2|v3|v4 the level of x86-64 that native kernels use.
    """
    facts = installation()
    if as_json:
        click.echo(json.dumps(facts))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")


def installation() -> dict[str, Any]:
    """What there is to know of the program as it is installed and would run now."""
    from tidegate_kernels import native, registry

    mode, reason = registry.choice()
    library = native.library() if mode == "native" else None
    return {
        "tidegate": __version__,
        "kernels": mode,
        "reason": reason,
        "library": str(library.path) if library else None,
        "cpu_level": f"x86-64-{library.level}" if library else None,
        "compiled_by": f"numba {library.numba}" if library else None,
        "threads": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "pyarrow": _version("pyarrow"),
        "numba": _version("numba"),
    }


def _version(package: str) -> str | None:
    """The version that is installed; the package is not imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
