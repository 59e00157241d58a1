"""JSON that is given to a command: in a file, or on the standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from .failures import Problems

FILE = click.Path(path_type=Path, allow_dash=True)
"""The type of an argument that names such a file."""


def label(file: Path) -> str:
    """What the file is called in messages."""
    return "standard input" if str(file) == "-" else str(file)


def source(file: Path) -> Path | bytes:
    """What a configuration is read from: the path, or what the standard input holds."""
    return sys.stdin.buffer.read() if str(file) == "-" else file


def problems(file: Path, error: ConfigError) -> Problems:
    """The problems of what the file holds, one a line, each with the file and its path."""
    return Problems(problem(file, path, message) for path, message in error.problems)


def problem(file: Path, path: str, message: str) -> str:
    """A problem with the file and where in it."""
    where = f"{path}: " if path else ""
    return f"{label(file)}: {where}{message.removeprefix(f'{label(file)}: ')}"


def load(file: Path, kind: type, expected: str) -> Any:
    """The JSON value of the file, of that type; Problems that say what was expected."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        value = json.loads(content)
    except OSError as error:
        raise Problems(f"{label(file)}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise Problems(f"{label(file)}: {where}") from None
    except (ValueError, RecursionError) as error:
        raise Problems(f"{label(file)}: not JSON: {error}") from None
    if not isinstance(value, kind):
        raise Problems(f"{label(file)}: expected {expected}")
    return value
