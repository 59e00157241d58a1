"""The command line: ``tidegate detect``, ``plot``, ``check``, ``estimate``, ``functions`` and ``info``.

Nothing that is imported here imports numpy, pyarrow or Numba: help and wrong options answer
at once. `run` and the kernels do, and are imported when they are needed.
"""

from __future__ import annotations

import click

from .. import __version__
from .check import check
from .detect import detect
from .estimate import estimate
from .failures import Program
from .functions import functions
from .info import info
from .plot import plot

__all__ = ["main"]


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tidegate", message="%(prog)s %(version)s")
def main() -> None:
    """Finds anomalies in time series: in files, with the jobs of the tidegate engine."""


for command in (detect, plot, check, estimate, functions, info):
    main.add_command(command)
