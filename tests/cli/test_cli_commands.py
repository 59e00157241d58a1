"""The command line: check, functions and version."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.samples import errors_of, run

import tidegate
from tidegate.config import FUNCTIONS


def test_check_says_that_a_configuration_is_valid(job_file: Path) -> None:
    """A configuration that can run is shown in one line."""
    result = run("check", job_file)
    assert result.exit_code == 0
    described = "JobConfig('job': mean(value) by host in buckets of 1h; time in 'time' as epoch)"
    assert result.stdout == f"{job_file}: valid: {described}\n"
    assert run("check", "-", input=job_file.read_bytes()).stdout.startswith("standard input: valid: ")


def test_check_warns(job_file: Path) -> None:
    """What is allowed but unwise is said, and the status stays 0."""
    job_file.write_text(job_file.read_text().replace('"1h"', '"7m"'))
    result = run("check", job_file)
    assert result.exit_code == 0
    assert f"{job_file}: warning: bucket_span 7m" in result.stdout


def test_check_tells_all_problems_with_their_paths(tmp_path: Path) -> None:
    """Every problem has a line with its path."""
    (path := tmp_path / "job.json").write_text(
        '{"job_id": "A", "analysis_config": {"bucket_span": 0, "detectors": [{"function": "x"}]}}'
    )
    found = errors_of("check", path)
    assert all(message.startswith(f"{path}: ") for message in found)
    paths = [message.removeprefix(f"{path}: ").split(":")[0] for message in found]
    assert set(paths) == {
        "job_id",
        "analysis_config.bucket_span",
        "analysis_config.detectors[0].function",
        "data_description",
    }


def test_check_tells_what_is_not_supported_yet(job_file: Path) -> None:
    """What is valid and not built yet is told, in check and in detect."""
    job_file.write_text(job_file.read_text().replace('"1h",', '"1h", "multivariate_by_fields": true,'))
    setting = "analysis_config.multivariate_by_fields: multivariate_by_fields 'true'"
    [told] = errors_of("check", job_file)
    assert told.startswith(f"{job_file}: {setting} (a common model")
    assert told.endswith("is not supported yet")
    assert errors_of("detect", "any.csv", "--config", job_file) == [told]


@pytest.mark.parametrize(
    ("text", "message"), [(None, "No such file"), ("{", "line 1, column 2"), ("[]", "a job configuration is")]
)
def test_check_tells_what_is_no_configuration(text: str | None, message: str, tmp_path: Path) -> None:
    """A file that is missing or no JSON object is one line, with the name once."""
    path = tmp_path / "job.json"
    if text is not None:
        path.write_text(text)
    for args in (("check", path), ("detect", "any.csv", "--config", path)):
        (found,) = errors_of(*args)
        assert found.startswith(f"{path}: {message}")
        assert found.count(str(path)) == 1


def test_functions_lists_all() -> None:
    """The table of functions has a line for each, with what its values are compared with."""
    listed = {line.split()[0]: line for line in run("functions").stdout.splitlines()[1:] if line}
    assert set(FUNCTIONS) <= set(listed)
    assert all(function.model in listed[name] for name, function in FUNCTIONS.items())


def test_version_is_that_of_the_package() -> None:
    """--version prints name and version."""
    assert run("--version").stdout == f"tidegate {tidegate.__version__}\n"


def test_estimate_tells_the_memory_that_a_job_needs(job_file: Path) -> None:
    """The answer is in whole MiB, as text or as JSON; what is missing or wrong is said."""
    told = run("estimate", "--config", job_file, "--cardinality", "host=10000")
    assert (told.exit_code, told.stdout) == (0, "20mb\n")
    told = run("estimate", "--config", job_file, "--cardinality", "host=10000", "--json")
    assert told.stdout == '{"model_memory_estimate": "20mb"}\n'
    [missing] = errors_of("estimate", "--config", job_file)
    assert "how many values there are of [host]" in missing
    [wrong] = errors_of("estimate", "--config", job_file, "--cardinality", "host=many")
    assert "--cardinality: 'host=many' is not FIELD=N, N a whole number" in wrong
