"""The options that describe a job, shared by the commands that run one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from .choices import Analysis

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--bucket-span", metavar="SPAN", help="Length of a bucket: 30m, 1h, 1d ...  [default: 5m]"),
    click.option("--function", metavar="NAME", help="What to watch: mean, count ... ('tidegate functions')."),
    click.option("--field", metavar="FIELD", help="The field the function is of."),
    click.option("--by", metavar="FIELD", help="One series for each value of this field ..."),
    click.option("--partition", metavar="FIELD", help="... and for each value of this one."),
    click.option(
        "--detector",
        metavar="TEXT",
        multiple=True,
        help="A detector in one text: 'high_mean(value) by host partition=dc'; may be repeated.",
    ),
    click.option("--use-null", is_flag=True, help="Records without a by value are a series too."),
    click.option("--latency", metavar="SPAN", help="How late records may come."),
    click.option(
        "--time-field", metavar="FIELD", help="The field with the time.  [default: found by name or type]"
    ),
    click.option(
        "--time-format",
        metavar="FORMAT",
        help="epoch, epoch_ms or a pattern (yyyy-MM-dd HH:mm).  [default: found]",
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        help='A job configuration (JSON) instead of the options above; or as "job" beside "filters" '
        'and "calendars".',
    ),
)


def analysis_options(command: F) -> F:
    """Adds the options of `Analysis`, in their order, to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_analysis(given: dict[str, Any]) -> Analysis:
    """The options that describe the job, which leave the ones that a command was given."""
    return Analysis(**{field.name: given.pop(field.name) for field in fields(Analysis)})
