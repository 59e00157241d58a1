"""The command line: the table that people read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pytest
from tests.cli.samples import BY_HOST, MEAN, START, TAXI, csv_text, json_text, rows, run

from tidegate.cli.table import lines
from tidegate.cli.text import fitted, number_text, width
from tidegate.results import RECORDS


def test_the_worst_anomaly_comes_first_in_the_table(file: Path) -> None:
    """The table names time, series, detector, actual, typical and score of the planted spike."""
    result = run("detect", file, *BY_HOST)
    assert result.exit_code == 0, result.output
    head, worst, *_ = result.stdout.splitlines()
    assert head.split() == ["time", "(UTC)", "series", "detector", "actual", "typical", "score"]
    assert worst.startswith("2023-11-21T04:00:00Z  host=b  mean(value) by host      90")
    assert "400 records processed, 0 dropped, 199 buckets, 2 series," in result.stdout
    assert result.stderr == ""


def test_a_series_of_its_own_needs_no_series_column(file: Path) -> None:
    """Without by and partition fields there is no column for them."""
    assert "series" not in run("detect", file, *MEAN).stdout.splitlines()[0]


def test_top_and_min_score_limit_the_table() -> None:
    """The table has at most the top anomalies, and none below the least score."""
    shown = run("detect", TAXI, "--bucket-span", "30m", "--function", "mean", "--field", "value", "--top", 3)
    assert len(shown.stdout.split("\n\n")[0].splitlines()) == 4
    assert "anomalies (3 shown)" in shown.stdout
    scores = [float(line.split()[-1]) for line in shown.stdout.splitlines()[1:4]]
    assert scores == sorted(scores, reverse=True)
    none = run("detect", TAXI, *MEAN, "--min-score", 100)
    assert "time (UTC)" not in none.stdout
    assert none.exit_code == 0


def test_interim_scores_the_last_bucket(file: Path) -> None:
    """By default the last bucket is left out, and a note says so; with --interim it is a bucket too."""
    plain, interim = run("detect", file, *MEAN), run("detect", file, *MEAN, "--interim")
    note = "Note: from 2023-11-23T05:00:00Z on buckets are incomplete and not scored (see --interim)"
    assert note in plain.stdout.splitlines()
    assert "Note" not in interim.stdout
    assert "199 buckets" in plain.stdout
    assert "200 buckets" in interim.stdout


def test_dropped_records_are_told_with_their_reasons(tmp_path: Path) -> None:
    """The summary counts dropped records, and a note says why they were dropped."""
    records = rows()
    records.insert(300, {"time": START, "host": "a", "value": 1})
    records.insert(301, {"time": "soon", "host": "a", "value": 1})
    (path := tmp_path / "web.ndjson").write_text(json_text(records))
    result = run("detect", path, *MEAN)
    assert "400 records processed, 2 dropped" in result.stdout
    reasons = "1 out of time order (sort them, or give --latency), 1 without a readable time"
    assert f"Note: records were dropped: {reasons}" in result.stdout.splitlines()


def test_malformed_rows_are_told(tmp_path: Path) -> None:
    """A row of CSV with too many fields is passed over, and a note says so."""
    (path := tmp_path / "web.csv").write_text(csv_text(rows()) + "1,2,3,4,5\n")
    assert "Note: 1 malformed rows were passed over" in run("detect", path, *MEAN).stdout


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_long_names_are_shortened_to_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long series and detector are, no line is wider than the terminal."""
    described = f"mean({'v' * 90}) by {'host' * 20}"
    record = {
        "timestamp": START * 1000,
        "is_interim": False,
        "record_score": 0.001,
        "detector_index": 0,
        "actual": [-1.23456789e-30],
        "typical": [1e300],
        "by_field_name": "host",
        "by_field_value": "日本\x1b[31m" * 30,
    }
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = list(lines(pa.Table.from_pylist([record], RECORDS), [described]))
    assert max(map(width, shown)) == columns
    assert "\x1b" not in shown[1]
    assert shown[1].endswith("-1.23457e-30   1e+300  <0.01")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e6, "1000000"),
        (0.1, "0.1"),
        (1 / 3, "0.333333"),
        (1e15, "1e+15"),
        (-0.0, "-0"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_six_digits(value: float, text: str) -> None:
    """Numbers are short, and whole numbers whole."""
    assert number_text(value) == text


@pytest.mark.parametrize("columns", range(12))
def test_fitted_text_has_exactly_the_width(columns: int) -> None:
    """Text is filled up or shortened to the columns asked for, wide characters too."""
    for text in ("", "abc", "abcdefghijklmnopqrstuvwxyz", "日本語日本語日本語"):
        assert width(fitted(text, columns)) == columns
