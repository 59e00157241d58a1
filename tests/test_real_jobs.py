"""Published job configurations run as they are: what is planted in records made for them comes out on top."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.planted import Planted, records_of

from tidegate import Job
from tidegate.config import JobConfig

JOBS = sorted((Path(__file__).parent / "data" / "jobs").glob("*.json"))


def finished(path: Path) -> tuple[Job, Planted]:
    """A job of a configuration that has seen the records made for it."""
    config = JobConfig.parse(path)
    table, planted = records_of(config)
    job = Job(config)
    counts = job.post(table)
    assert counts.processed_record_count == table.num_rows
    assert counts.missing_field_count == 0
    job.close()
    return job, planted


def worst(table: pa.Table, *by: str) -> dict[str, object]:
    """The row of the highest score; the least probable of those that share it."""
    order = [(by[0], "descending"), *((name, "ascending") for name in by[1:])]
    row: dict[str, object] = table.sort_by(order).slice(0, 1).to_pylist()[0]
    return row


def test_there_are_all_of_them() -> None:
    """The configurations under test are there."""
    assert len(JOBS) == 32


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_the_planted_anomaly_is_the_worst(path: Path) -> None:
    """The record of the highest score is the planted one, and so are influencers and bucket."""
    job, planted = finished(path)
    config = job.config.analysis_config
    record = worst(job.records(exclude_interim=True), "record_score", "log_probability")
    assert planted.start <= record["timestamp"] < planted.end
    detector = config.detectors[0]
    for role in ("by", "over", "partition"):
        field = getattr(detector, f"{role}_field_name")
        assert record[f"{role}_field_value"] == (None if field is None else planted.split[field])
    assert record["record_score"] > 50
    blamed = {
        entry["influencer_field_name"]: entry["influencer_field_values"]
        for entry in record["influencers"] or ()
    }
    for field, value in planted.influencers.items():
        assert blamed[field][0] == value
        of_field = job.influencers().filter(pc.equal(job.influencers()["influencer_field_name"], field))
        most = worst(of_field, "influencer_score", "probability")
        assert most["influencer_field_value"] == value
        assert planted.start <= most["timestamp"] < planted.end
    bucket = worst(job.buckets(), "anomaly_score")
    assert planted.start <= bucket["timestamp"] < planted.end
