"""A store with one job, as the tests of the command line use it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
from tests.cli.samples import run

JOB = {
    "job_id": "web",
    "analysis_config": {
        "bucket_span": "1h",
        "detectors": [{"function": "mean", "field_name": "value", "by_field_name": "host"}],
        "influencers": ["host"],
    },
    "data_description": {"time_field": "time", "time_format": "epoch"},
    "model_plot_config": {"enabled": True},
}
OTHER_BUNDLE = {
    "job": {**JOB, "job_id": "other"},
    "filters": [{"filter_id": "safe", "items": ["a", "b"]}],
    "calendars": [
        {
            "calendar_id": "holidays",
            "events": [{"description": "feast", "start_time": "2023-12-25", "end_time": "2023-12-26"}],
        }
    ],
}


def ok(*args: object, input: bytes | str | None = None) -> str:
    """What a run that must succeed prints."""
    result = run(*args, input=input)
    assert result.exit_code == 0, result.output
    return result.stdout


def answer(*args: object) -> dict[str, object]:
    """The one JSON object that a command prints with ``--json``."""
    [value] = answers(*args)
    return value


def answers(*args: object) -> list[dict[str, object]]:
    """The JSON objects that a command prints with ``--json``, one a line and nothing else."""
    return [json.loads(line) for line in ok(*args, "--json").splitlines()]


def stored(folder: Path, job: dict[str, object] = JOB) -> Path:
    """A store with the job."""
    ok("job", "put", "-", "--store", folder, input=json.dumps(job))
    return folder


def in_batches(path: Path, records: list[dict[str, object]], size: int = 100) -> Path:
    """An Arrow file of the records, in batches of that size."""
    table = pa.Table.from_pylist(records)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=size)
    return path
