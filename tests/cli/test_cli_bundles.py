"""A job in one file with its filters and calendars, as the command line takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.cli.samples import SPIKE, START, errors_of, rows, run

from tidegate import ConfigError, Job
from tidegate.config import JobBundle

SPIKE_MS = (START + SPIKE * 3600) * 1000


@pytest.fixture
def bundle(job_file: Path, tmp_path: Path) -> dict[str, Any]:
    """A bundle, not written yet."""
    return {"job": json.loads(job_file.read_text()), "filters": [], "calendars": []}


def written(bundle: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundle))
    return path


def test_a_bundle_without_anything_beside_is_its_job(
    bundle: dict[str, Any], file: Path, tmp_path: Path, expected: tuple[pa.Table, pa.Table]
) -> None:
    """Empty lists beside the job change nothing; check says that it is valid."""
    path = written(bundle, tmp_path)
    assert "valid" in run("check", path).stdout
    found = run("detect", file, "--config", path, "--json")
    assert found.exit_code == 0, found.output
    assert len(found.stdout.splitlines()) == expected[0].num_rows


def test_calendars_and_filters_of_a_bundle_are_used(
    bundle: dict[str, Any], file: Path, tmp_path: Path
) -> None:
    """An event silences its buckets, a rule with a filter the hosts in its scope."""
    before = run("detect", file, "--config", written(bundle, tmp_path), "--json").stdout.splitlines()
    times = {json.loads(line)["timestamp"] for line in before}
    assert SPIKE_MS in times
    event = {"description": "release", "start_time": SPIKE_MS, "end_time": SPIKE_MS + 1}
    bundle["calendars"] = [{"calendar_id": "releases", "events": [event]}]
    found = run("detect", file, "--config", written(bundle, tmp_path), "--json").stdout.splitlines()
    assert SPIKE_MS not in {json.loads(line)["timestamp"] for line in found}
    hosts = {row["host"] for row in rows()}
    bundle["filters"] = [{"filter_id": "all", "items": sorted(hosts)}]
    [detector] = bundle["job"]["analysis_config"]["detectors"]
    detector["custom_rules"] = [{"scope": {"host": {"filter_id": "all"}}}]
    found = run("detect", file, "--config", written(bundle, tmp_path), "--json").stdout.splitlines()
    assert found == []


def test_all_problems_of_a_bundle_are_told_at_once(bundle: dict[str, Any], tmp_path: Path) -> None:
    """What is wrong with the job, a filter and a calendar comes in one go, with its place."""
    bundle["job"]["analysis_config"]["detectors"][0]["function"] = "averge"
    bundle["filters"] = [{"filter_id": "Big"}]
    bundle["calendars"] = [{"calendar_id": "_all"}]
    path = written(bundle, tmp_path)
    found = errors_of("check", path)
    assert [message.removeprefix(f"{path}: ").split(":")[0] for message in found] == [
        "analysis_config.detectors[0].function",
        "filters[0].filter_id",
        "calendars[0].calendar_id",
    ]


def test_an_unknown_filter_of_a_bundle_is_told(bundle: dict[str, Any], tmp_path: Path) -> None:
    """A rule that names a filter the file does not have is a problem of the file."""
    rule = {"scope": {"host": {"filter_id": "safe"}}}
    bundle["job"]["analysis_config"]["detectors"][0]["custom_rules"] = [rule]
    path = written(bundle, tmp_path)
    [message] = errors_of("check", path)
    assert message.endswith("custom_rules[0].scope.host.filter_id: No filter with id [safe] exists")
    assert errors_of("check", "-", input=path.read_bytes())[0].endswith("No filter with id [safe] exists")


def test_other_wrappers_have_things_of_their_own(job_file: Path) -> None:
    """What lies beside a job under another key than "job" is not looked at."""
    job = json.loads(job_file.read_text())
    assert JobBundle.parse({"config": job, "filters": "mine"}).filters == ()
    with pytest.raises(ConfigError, match="filters must be a list"):
        JobBundle.parse({"job": job, "filters": "mine"})
    made = JobBundle.parse(job_file)
    assert Job(made.config, filters=made.filters, calendars=made.calendars).calendars == ()
