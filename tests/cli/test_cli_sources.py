"""The command line: where records come from, and when."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet as pq
import pytest
from tests.cli.samples import BY_HOST, csv_text, json_text, rows, run

from tidegate.cli.shorthand import parse_detector
from tidegate.cli.timecolumn import find_time_field, find_time_format
from tidegate.config import FUNCTIONS, Detector


@pytest.mark.parametrize("form", ["csv", "csv.gz", "ndjson", "json", "parquet", "arrow", "txt"])
@pytest.mark.parametrize("piped", [False, True])
def test_all_formats_and_stdin_give_the_same(form: str, piped: bool, file: Path, tmp_path: Path) -> None:
    """A file gives the same records in every format, from disk and from standard input."""
    path = tmp_path / f"copy.{form}"
    table = pa.Table.from_pylist(rows())
    if form == "parquet":
        pq.write_table(table, path)
    elif form == "arrow":
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        text = {"ndjson": json_text(rows()), "json": json.dumps(rows())}.get(form, csv_text(rows())).encode()
        path.write_bytes(gzip.compress(text) if form.endswith("gz") else text)
    wanted = run("detect", file, *BY_HOST, "--json")
    found = run("detect", "-" if piped else path, *BY_HOST, "--json", input=path.read_bytes())
    assert found.exit_code == 0, found.output
    assert found.stdout == wanted.stdout != ""


def test_a_configuration_file_says_the_same(file: Path, job_file: Path) -> None:
    """--config stands for the options of the analysis."""
    found = run("detect", file, "--config", job_file, "--json")
    assert found.stdout == run("detect", file, *BY_HOST, "--json").stdout


def test_shorthand_says_the_same(file: Path) -> None:
    """--detector stands for --function, --field, --by and --partition, and may be repeated."""
    span = ("--bucket-span", "1h")
    found = run("detect", file, *span, "--detector", "avg(value) by host", "--json", "--threads", 1)
    assert found.stdout == run("detect", file, *BY_HOST, "--json").stdout
    both = run("detect", file, *BY_HOST, "--detector", "high_count partition=host", "--use-null", "--json")
    assert both.exit_code == 0
    assert both.stdout.count('"detector_index": 0') == found.stdout.count('"detector_index": 0')


@pytest.mark.parametrize(
    ("text", "detector"),
    [
        ("count", {"function": "count"}),
        ("mean( value )", {"function": "mean", "field_name": "value"}),
        ('sum("a b") BY "c d"', {"function": "sum", "field_name": "a b", "by_field_name": "c d"}),
        (
            "high_mean(responsetime) by airline partition by region",
            {
                "function": "high_mean",
                "field_name": "responsetime",
                "by_field_name": "airline",
                "partition_field_name": "region",
            },
        ),
        (
            "max(x) over user usenull=true partitionfield=dc excludefrequent=all",
            {
                "function": "max",
                "field_name": "x",
                "over_field_name": "user",
                "use_null": True,
                "partition_field_name": "dc",
                "exclude_frequent": "all",
            },
        ),
    ],
)
def test_shorthand_is_read(text: str, detector: dict[str, object]) -> None:
    """A detector in one text is the detector of a configuration."""
    assert parse_detector(text) == detector


@pytest.mark.parametrize(
    "text", ["", "(x)", "mean(x", "mean(x) near y", "mean(x) by", "mean by a by b", "c usenull=1"]
)
def test_shorthand_that_is_none_is_refused(text: str) -> None:
    """What is not understood is refused and never guessed."""
    with pytest.raises(ValueError, match=r"expected|twice|true or false"):
        parse_detector(text)


def test_every_description_is_shorthand() -> None:
    """What a table shows as a detector can be given as one."""
    for function in FUNCTIONS.values():
        roles = {"field_name": "a.b", "by_field_name": "by", "over_field_name": "over"}
        set_roles = {role: name for role, name in roles.items() if getattr(function, role) == "required"}
        detector = {"function": function.name, **set_roles, "partition_field_name": "dc-1", "use_null": True}
        assert parse_detector(Detector(**detector).default_description()) == detector  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["x", "ts", "time"], "time"),
        (["date", "Timestamp"], "Timestamp"),
        (["@timestamp", "date"], "@timestamp"),
        (["time", "value"], "time"),
    ],
)
def test_the_time_field_is_found_by_name(names: list[str], found: str) -> None:
    """The usual names are looked for in a fixed order, in any case."""
    schema = pa.schema([(name, pa.int64()) for name in names])
    assert find_time_field(schema, ["x"]) == found


def test_the_time_field_is_found_by_type() -> None:
    """Without a usual name the only column of a time type has the time."""
    schema = pa.schema([("a", pa.int64()), ("when", pa.timestamp("us"))])
    assert find_time_field(schema, []) == "when"
    with pytest.raises(ValueError, match="columns when, end hold times"):
        find_time_field(schema.append(pa.field("end", pa.date32())), [])
    with pytest.raises(ValueError, match=r"no column is called time, timestamp"):
        find_time_field(schema, ["when"])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1.7e9, None], "epoch"),
        ([99_999_999_999], "epoch"),
        ([100_000_000_000], "epoch_ms"),
        (["1700000000"], "epoch"),
        (["1700000000000"], "epoch_ms"),
        (["1700000000", "soon", "1700000001"], "epoch"),
        (["2023-01-01T00:00:00Z"], "epoch_ms"),
        ([None], "epoch_ms"),
    ],
)
def test_the_time_format_is_found(values: list[object], found: str) -> None:
    """Numbers below 1e11 are seconds."""
    assert find_time_format(pa.array(values)) == found


@pytest.mark.parametrize("factor", [1000, 1])
def test_seconds_and_milliseconds_give_the_same(factor: int, file: Path, tmp_path: Path) -> None:
    """The unit of numeric times is found from their size."""
    (path := tmp_path / "ms.csv").write_text(
        csv_text([{**record, "time": record["time"] * factor} for record in rows()])  # type: ignore[operator]
    )
    assert run("detect", path, *BY_HOST, "--json").stdout == run("detect", file, *BY_HOST, "--json").stdout
