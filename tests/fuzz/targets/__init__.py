"""What is fuzzed: every reader, with the laws that hold of what it reads.

A target takes bytes and decides by them what is read. It lets errors of its reader pass, as
`oracle` knows which of them may come, and asserts what must hold of a result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

MODULES = {
    "config": "configs",
    "lists": "configs",
    "ndjson": "jsontexts",
    "csv": "files",
    "parquet": "files",
    "arrow": "files",
    "arrow-memory": "arrays",
    "times": "times",
    "snapshot": "stored",
    "log": "stored",
    "planted": "planted",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A reader under test."""

    check: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    tokens: tuple[bytes, ...] = ()
    """What is worth putting into an input."""
    most_bytes: int = 4096
    """An input is no longer than that."""


def target_of(name: str) -> Target:
    """The target of a name; only what it needs is imported."""
    found = import_module(f"tests.fuzz.targets.{MODULES[name]}").TARGETS[name]
    assert isinstance(found, Target)
    return found
