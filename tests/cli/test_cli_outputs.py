"""The command line: results as JSON and as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet as pq
import pytest
from tests.cli.samples import BY_HOST, MEAN, run

from tidegate.resultfiles import flat_table
from tidegate.results import BUCKETS, RECORDS


def test_json_prints_every_record_a_line(file: Path) -> None:
    """With --json stdout holds the records alone, in order, null fields left out."""
    result = run("detect", file, *BY_HOST, "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert set().union(*records) <= {*RECORDS.names, "host"}
    assert all(record["host"] == [record["by_field_value"]] for record in records)
    assert all(value is not None for record in records for value in record.values())
    assert "over_field_name" not in records[0]
    assert [r["timestamp"] for r in records] == sorted(r["timestamp"] for r in records)
    worst = max(records, key=lambda r: r["record_score"])
    assert worst["by_field_value"] == "b"
    assert worst["actual"] == [90.0]
    assert "400 records processed" in result.stderr
    top = run("detect", file, *BY_HOST, "--json", "--top", 1)
    assert [json.loads(line) for line in top.stdout.splitlines()] == [worst]


def timeless(table: pa.Table) -> pa.Table:
    return table.drop_columns(["processing_time_ms"]) if "processing_time_ms" in table.column_names else table


TABULAR = ["r.parquet", "r.arrow", "r.feather", "r.ipc", "r.PARQUET"]
JSON_LINES = ["r.ndjson", "r.jsonl", "r.ndjson.gz", "r.jsonl.zst"]
OTHER_TEXT = ["r.csv", "r.csv.gz", "r.csv.zst", "r.json", "r.json.gz"]


def content(path: Path) -> bytes:
    """What a file holds when it is unpacked."""
    kind = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    with pa.input_stream(path, compression=kind) as stream:
        return stream.read()


def read_back(path: Path, schema: pa.Schema) -> pa.Table:
    """A written table, read by Arrow."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        return pq.read_table(path)
    if ".csv" in name:
        flat = flat_table(pa.Table.from_pylist([], schema)).schema
        options = pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
        table = pyarrow.csv.read_csv(pa.BufferReader(content(path)), convert_options=options)
        assert set(table.column_names) == set(flat.names)
        return table
    if ".json" in name and "jsonl" not in name:
        return pa.Table.from_pylist(json.loads(content(path)), schema)
    if "json" in name:
        options = pyarrow.json.ParseOptions(explicit_schema=schema)
        table = pyarrow.json.read_json(pa.BufferReader(content(path)), parse_options=options)
        return table.select(schema.names)  # without the copies of fields of the data
    return pyarrow.ipc.open_file(path).read_all()


@pytest.mark.parametrize("name", [*TABULAR, *JSON_LINES, *OTHER_TEXT])
def test_files_hold_all_records_and_buckets(
    name: str, file: Path, tmp_path: Path, expected: tuple[pa.Table, pa.Table]
) -> None:
    """Every format read again is equal to the results of the Python API, whatever is printed."""
    buckets = tmp_path / f"b{name}"
    result = run(
        "detect", file, *BY_HOST, "--top", 0, "--output", tmp_path / name, "--buckets-output", buckets
    )
    assert result.exit_code == 0, result.output
    for path, table, schema in ((tmp_path / name, expected[0], RECORDS), (buckets, expected[1], BUCKETS)):
        found = timeless(read_back(path, schema))
        wanted = timeless(table)
        if ".csv" in name:
            wanted = flat_table(wanted)
            found = found.select(wanted.column_names).cast(wanted.schema)
        assert found.equals(wanted)
    assert sorted(p.name for p in tmp_path.iterdir() if "partial" in p.name) == []


def test_categories_of_messages_are_written(tmp_path: Path) -> None:
    """A job over messages writes their categories; another has none."""
    lines, config = tmp_path / "lines.ndjson", tmp_path / "job.json"
    rows = [{"time": 1_700_000_000_000 + k, "message": f"user u{k} logged in"} for k in range(10)]
    lines.write_text("\n".join(map(json.dumps, rows)))
    detector = {"function": "count", "by_field_name": "mlcategory"}
    analysis = {"bucket_span": "1h", "detectors": [detector], "categorization_field_name": "message"}
    config.write_text(json.dumps({"analysis_config": analysis, "data_description": {"time_field": "time"}}))
    out = tmp_path / "categories.ndjson"
    assert run("detect", lines, "--config", config, "--write", f"categories={out}").exit_code == 0
    [category] = map(json.loads, out.read_text().splitlines())
    assert (category["terms"], category["num_matches"]) == ("user logged in", 10)
    count = ("--bucket-span", "1h", "--function", "count")
    assert run("detect", lines, *count, "--write", f"categories={out}").exit_code == 0
    assert out.read_text() == ""


def test_csv_has_plain_numbers(file: Path, tmp_path: Path) -> None:
    """In CSV actual and typical are numbers, and the explanation has columns of its own."""
    run("detect", file, *BY_HOST, "--output", tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="") as opened:
        worst = max(csv.DictReader(opened), key=lambda row: float(row["record_score"]))
    assert float(worst["actual"]) == 90.0
    assert 10 <= float(worst["typical"]) <= 15
    assert worst["anomaly_score_explanation.anomaly_type"] == "spike"


@pytest.mark.parametrize("name", ["r.parquet", "r.csv", "r.ndjson", "r.json", "r.arrow"])
def test_no_results_are_a_file_too(name: str, tmp_path: Path) -> None:
    """A job without any result writes files without rows that can be read again."""
    (path := tmp_path / "one.csv").write_text("time,value\n1700000000,1\n")
    result = run("detect", path, *MEAN, "--output", tmp_path / name)
    assert result.exit_code == 0, result.output
    found = (tmp_path / name).read_bytes()
    if name in ("r.ndjson", "r.json"):
        assert found == {"r.ndjson": b"", "r.json": b"[]\n"}[name]
    else:
        assert read_back(tmp_path / name, RECORDS).num_rows == 0
