"""The command line: ``detect`` and ``plot`` over files; ``job``, ``results`` and others over a store.

Nothing that is imported here imports numpy, pyarrow or Numba: help and wrong options answer
at once. `run` and the kernels do, and are imported when they are needed.
"""

from __future__ import annotations

import click

from .. import __version__
from .calendars import calendars
from .check import check
from .detect import detect
from .estimate import estimate
from .failures import Program
from .filters import filters
from .functions import functions
from .info import info
from .job import job
from .plot import plot
from .results import results
from .snapshots import snapshots

__all__ = ["main"]


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tidegate", message="%(prog)s %(version)s")
def main() -> None:
    """Finds anomalies in time series: in files, and with jobs that are kept in a store."""


for command in (
    detect,
    plot,
    check,
    job,
    results,
    snapshots,
    calendars,
    filters,
    estimate,
    functions,
    info,
):
    main.add_command(command)
