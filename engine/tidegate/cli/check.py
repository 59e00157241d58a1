"""``tidegate check``: is a job configuration valid, and can the engine run it?"""

from __future__ import annotations

from pathlib import Path

import click

from ..config import JobBundle
from ..errors import ConfigError
from .failures import Problems
from .jsonfile import FILE, label, problem, problems, source


@click.command()
@click.argument("file", metavar="JOB.JSON", type=FILE)
def check(file: Path) -> None:
    """Checks a job configuration ('-': from standard input), with its filters and calendars.

    Prints every problem with its path, and what is valid but not supported yet. Exit status
    0: the job can run; 2: it cannot.
    """
    config = load_bundle(file).config
    if unsupported := config.unsupported():
        raise Problems(problem(file, path, message) for path, message in unsupported)
    click.echo(f"{label(file)}: valid: {config!r}")
    for warning in config.warnings:
        click.echo(f"{label(file)}: warning: {warning}")


def load_bundle(file: Path) -> JobBundle:
    """The job of a file, with its filters and calendars; Problems, one for each, if it is wrong."""
    try:
        return JobBundle.parse(source(file))
    except ConfigError as error:
        raise problems(file, error) from None
