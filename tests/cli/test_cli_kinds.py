"""The command line: every kind of results, printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.cli.samples import BY_HOST, HOURS, MEAN, START, csv_text, errors_of, rows, run

from tidegate import results
from tidegate.kinds import KINDS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Records with messages."""
    path = tmp_path / "web.csv"
    path.write_text(csv_text([{**row, "message": f"host {row['host']} answered"} for row in rows()]))
    return path


@pytest.fixture
def blaming_file(job_file: Path) -> Path:
    """A job with an influencer and categories."""
    config = json.loads(job_file.read_text())
    analysis = config["analysis_config"]
    analysis["influencers"] = ["host"]
    analysis["categorization_field_name"] = "message"
    analysis["detectors"].append({"function": "count", "by_field_name": "mlcategory"})
    job_file.write_text(json.dumps(config))
    return job_file


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_printed(kind: str, file: Path, blaming_file: Path) -> None:
    """A table has time, series, and the columns of its kind, at most the top results."""
    result = run("detect", file, "--config", blaming_file, "--kind", kind, "--top", 3)
    assert result.exit_code == 0, result.output
    head, *shown = result.stdout.split("\n\n")[0].splitlines()
    has_series = "detector_index" in getattr(results, KINDS[kind].schema).names
    has_time = "timestamp" in getattr(results, KINDS[kind].schema).names
    wanted = [*(["time (UTC)"] if has_time else []), *(["series"] if has_series else []), *KINDS[kind].shown]
    assert head.split() == " ".join(wanted).split()
    assert 1 <= len(shown) <= 3
    assert all(line.startswith("2023-11-") for line in shown) == has_time
    assert "400 records processed" in result.stdout


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_printed_as_json(kind: str, file: Path, blaming_file: Path) -> None:
    """With --json there is an object a line, all of them, and the summary is on stderr."""
    result = run("detect", file, "--config", blaming_file, "--kind", kind, "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    names = {
        *getattr(results, KINDS[kind].schema).names,
        *(["host"] if kind in ("records", "influencers") else []),
    }
    assert found
    assert set().union(*found) <= names
    assert "400 records processed" in result.stderr


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_written(kind: str, file: Path, blaming_file: Path, tmp_path: Path) -> None:
    """--write has all results of a kind, beside --output of the one that is printed."""
    path, printed = tmp_path / "other.parquet", tmp_path / "printed.parquet"
    result = run("detect", file, "--config", blaming_file, "--write", f"{kind}={path}", "--output", printed)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].split()[-1] == "score"  # records, as ever
    assert pq.read_table(printed).schema.equals(results.RECORDS)
    table = pq.read_table(path)
    assert table.schema.equals(getattr(results, KINDS[kind].schema))
    assert table.num_rows > 0


def test_the_worst_results_come_first(file: Path) -> None:
    """Kinds with a score are ordered by it, and --min-score leaves out what is below."""
    result = run("detect", file, *BY_HOST, "--kind", "buckets", "--min-score", 1)
    scores = [float(line.split()[-1]) for line in result.stdout.split("\n\n")[0].splitlines()[1:]]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 1.0


def test_a_forecast_goes_on_where_buckets_end(file: Path) -> None:
    """--forecast prints what comes after the last complete bucket, for every series."""
    result = run("detect", file, *BY_HOST, "--forecast", "2h")
    head, *shown = result.stdout.split("\n\n")[0].splitlines()
    assert head.split() == ["time", "(UTC)", "series", "detector", "lower", "prediction", "upper"]
    assert [line.split()[:2] for line in shown] == [
        [f"2023-11-23T0{hour}:00:00Z", f"host={host}"] for host in "ab" for hour in (5, 6)
    ]
    assert START + 3600 * (HOURS - 1) == 1_700_715_600  # 2023-11-23T05:00:00Z
    for line in shown:
        lower, prediction, upper = map(float, line.split()[-3:])
        assert 5 < lower < prediction < upper < 20


def test_a_forecast_may_be_written_only(file: Path, tmp_path: Path) -> None:
    """With a file for it, the anomalies are printed as without."""
    path = tmp_path / "f.ndjson"
    result = run("detect", file, *BY_HOST, "--forecast", "3h", "--write", f"forecast={path}")
    plain = run("detect", file, *BY_HOST)
    assert result.stdout.splitlines()[:-1] == plain.stdout.splitlines()[:-1]
    assert len(path.read_text().splitlines()) == 6


def test_the_model_plot_is_the_configured_one(file: Path, job_file: Path) -> None:
    """With terms in the configuration those series are plotted; without any, all of them."""

    def hosts() -> set[str]:
        shown = run("detect", file, "--config", job_file, "--kind", "model_plot", "--json").stdout
        return {json.loads(line)["by_field_value"] for line in shown.splitlines()}

    assert hosts() == {"a", "b"}
    config = json.loads(job_file.read_text())
    job_file.write_text(json.dumps({**config, "model_plot_config": {"enabled": True, "terms": "b"}}))
    assert hosts() == {"b"}


def test_nothing_found_is_said_by_kind(tmp_path: Path) -> None:
    """A job without results of a kind says so."""
    (path := tmp_path / "one.csv").write_text("time,value\n1700000000,1\n")
    assert run("detect", path, *MEAN).stdout.startswith("No anomalies.\n")
    assert run("detect", path, *MEAN, "--kind", "overall_buckets").stdout.startswith("No overall buckets.\n")


def test_options_that_are_wrong(file: Path, tmp_path: Path) -> None:
    """Each wrong option is one line, before anything is read or written."""
    assert errors_of("detect", file, *MEAN, "--write", "x=3", "--write", "buckets") == [
        "--write 'x=3': 'x' is no kind of results; there is records, buckets, influencers, categories, "
        "overall_buckets, model_plot, forecast",
        "--write 'buckets': expected KIND=FILE, as in 'buckets=buckets.parquet'",
    ]
    out = tmp_path / "o.parquet"
    [message] = errors_of("detect", file, *MEAN, "--output", out, "--write", f"buckets={out}")
    assert message == f"--write 'buckets={out}': {out}: is written by the other option already"
    assert errors_of("detect", file, *MEAN, "--forecast", "1m") == [
        "--forecast: [duration] must be greater or equal to the bucket span: [1m/1h]"
    ]
    assert errors_of("detect", file, *MEAN, "--kind", "forecast", "--min-score", 5) == [
        "--min-score: results of the kind 'forecast' have no score"
    ]
    (path := tmp_path / "short.csv").write_text(csv_text(rows()[:8]))
    assert errors_of("detect", path, *MEAN, "--forecast", "1d") == [
        "--forecast: Cannot run forecast: Forecast cannot be executed as job requires data to have been "
        "processed and modeled"
    ]


def test_a_member_of_a_population_is_shown_with_its_first_cause(tmp_path: Path) -> None:
    """Its value and what is typical are those of the least probable of its attributes."""
    path = tmp_path / "visits.csv"
    visits = [
        {"time": START + 3600 * hour + k, "who": f"user {user}"}
        for hour in range(HOURS)
        for user in range(20)
        for k in range(40 if (hour, user) == (150, 7) else 1 + (hour + user) % 3)
    ]
    path.write_text(csv_text(visits))
    result = run("detect", path, "--bucket-span", "1h", "--detector", "high_count over who", "--top", 1)
    _, first = result.stdout.split("\n\n")[0].splitlines()
    assert "who=user 7" in first
    actual, typical, _ = map(float, first.split()[-3:])
    assert actual == 40.0
    assert 1.0 <= typical <= 3.0
