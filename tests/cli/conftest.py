"""Files that the tests of the command line read."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pytest
from tests.cli.samples import csv_text, rows

import tidegate


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "web.csv"
    path.write_text(csv_text(rows()))
    return path


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.json"
    path.write_text(
        json.dumps(
            {
                "analysis_config": {
                    "bucket_span": "1h",
                    "detectors": [{"function": "mean", "field_name": "value", "by_field_name": "host"}],
                },
                "data_description": {"time_field": "time", "time_format": "epoch"},
            }
        )
    )
    return path


@pytest.fixture
def expected(file: Path, job_file: Path) -> tuple[pa.Table, pa.Table]:
    """Records and buckets of the file by the Python API."""
    job = tidegate.Job(job_file)
    job.post(rows())
    job.flush()
    assert job.records().num_rows > 0
    return job.records(), job.buckets()
