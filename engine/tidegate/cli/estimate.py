"""``tidegate estimate``: how much memory will the models of a job need?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import ConfigError, RequestError
from .check import load_bundle
from .failures import Problems


@click.command()
@click.option(
    "--config",
    "file",
    required=True,
    metavar="JOB.JSON",
    type=click.Path(path_type=Path, allow_dash=True),
    help="The job configuration ('-': from standard input).",
)
@click.option(
    "--cardinality",
    metavar="FIELD=N",
    multiple=True,
    help="How many values a by, over or partition field has in all; may be repeated.",
)
@click.option(
    "--bucket-cardinality",
    metavar="FIELD=N",
    multiple=True,
    help="How many values an influencer, or a field whose distinct values count, has in a bucket.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def estimate(
    file: Path, cardinality: tuple[str, ...], bucket_cardinality: tuple[str, ...], as_json: bool
) -> None:
    """Estimates the memory that the models of a job will need, in whole MiB.

    All combinations of by and partition values are taken to occur, and every series to become seasonal.
    """
    from ..estimate import estimate_model_memory

    config = load_bundle(file).config
    overall = _counts(cardinality, "--cardinality")
    in_bucket = _counts(bucket_cardinality, "--bucket-cardinality")
    try:
        needed = estimate_model_memory(config, overall, in_bucket)
    except ConfigError as error:
        raise Problems(f"{path}: {message}" for path, message in error.problems) from None
    except RequestError as error:
        raise Problems(str(error)) from None
    click.echo(json.dumps({"model_memory_estimate": needed}) if as_json else needed)


def _counts(given: tuple[str, ...], option: str) -> dict[str, int]:
    """The numbers of values by field."""
    counts = {}
    for text in given:
        field, _, number = text.rpartition("=")
        if not field or not number.isascii() or not number.isdigit():
            raise Problems(f"{option}: {text!r} is not FIELD=N, N a whole number")
        counts[field] = int(number)
    return counts
