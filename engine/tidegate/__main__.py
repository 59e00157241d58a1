"""``python -m tidegate``: the command line."""

from .cli import main

main(prog_name="tidegate")
