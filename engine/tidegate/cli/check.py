"""``tidegate check``: is a job configuration valid, and can the engine run it?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..config import JobConfig
from ..errors import ConfigError
from .failures import Problems


@click.command()
@click.argument("file", metavar="JOB.JSON", type=click.Path(path_type=Path, allow_dash=True))
def check(file: Path) -> None:
    """Checks a job configuration ('-': from standard input).

    Prints every problem with its path, and what is valid but not supported yet. Exit status
    0: the job can run; 2: it cannot.
    """
    config = load_config(file)
    if unsupported := config.unsupported():
        raise Problems(_problem(file, path, message) for path, message in unsupported)
    click.echo(f"{_label(file)}: valid: {config!r}")
    for warning in config.warnings:
        click.echo(f"{_label(file)}: warning: {warning}")


def load_config(file: Path) -> JobConfig:
    """The configuration of a file; Problems, one for each, if it is wrong."""
    try:
        if str(file) == "-":
            return JobConfig.parse(sys.stdin.buffer.read())
        return JobConfig.parse(file)
    except ConfigError as error:
        raise Problems(_problem(file, path, message) for path, message in error.problems) from None


def _problem(file: Path, path: str, message: str) -> str:
    label = _label(file)
    where = f"{path}: " if path else ""
    return f"{label}: {where}{message.removeprefix(f'{label}: ')}"


def _label(file: Path) -> str:
    return "standard input" if str(file) == "-" else str(file)
