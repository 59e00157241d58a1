"""``tidegate check``: is a job configuration valid, and can the engine run it?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..config import JobBundle
from ..errors import ConfigError
from .failures import Problems


@click.command()
@click.argument("file", metavar="JOB.JSON", type=click.Path(path_type=Path, allow_dash=True))
def check(file: Path) -> None:
    """Checks a job configuration ('-': from standard input), with its filters and calendars.

    Prints every problem with its path, and what is valid but not supported yet. Exit status
    0: the job can run; 2: it cannot.
    """
    config = load_bundle(file).config
    if unsupported := config.unsupported():
        raise Problems(_problem(file, path, message) for path, message in unsupported)
    click.echo(f"{_label(file)}: valid: {config!r}")
    for warning in config.warnings:
        click.echo(f"{_label(file)}: warning: {warning}")


def load_bundle(file: Path) -> JobBundle:
    """The job of a file, with its filters and calendars; Problems, one for each, if it is wrong."""
    try:
        if str(file) == "-":
            return JobBundle.parse(sys.stdin.buffer.read())
        return JobBundle.parse(file)
    except ConfigError as error:
        raise Problems(_problem(file, path, message) for path, message in error.problems) from None


def _problem(file: Path, path: str, message: str) -> str:
    label = _label(file)
    where = f"{path}: " if path else ""
    return f"{label}: {where}{message.removeprefix(f'{label}: ')}"


def _label(file: Path) -> str:
    return "standard input" if str(file) == "-" else str(file)
