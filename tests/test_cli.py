"""The command line: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import tidegate
from tidegate.cli import main
from tidegate.cli.export import flat_table
from tidegate.cli.failures import Interrupted
from tidegate.cli.interrupts import Interruptible
from tidegate.cli.progress import Progress
from tidegate.cli.readahead import ReadAhead
from tidegate.cli.shorthand import parse_detector
from tidegate.cli.table import lines
from tidegate.cli.text import fitted, number_text, width
from tidegate.cli.timecolumn import find_time_field, find_time_format
from tidegate.config import FUNCTIONS, Detector, JobConfig
from tidegate.results import BUCKETS, RECORDS

DATA = Path(__file__).parent / "data"
TAXI = DATA / "nab" / "nyc_taxi.csv"
START = 1_700_000_000 // 3600 * 3600
HOURS = 200
SPIKE = 150
MEAN = ("--bucket-span", "1h", "--function", "mean", "--field", "value")
BY_HOST = (*MEAN, "--by", "host")


def run(*args: object, input: bytes | str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=input, prog_name="tidegate")


def errors_of(*args: object, input: bytes | str | None = None) -> list[str]:
    """The messages of a run that must fail with status 2, with nothing on stdout and no traceback."""
    result = run(*args, input=input)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    found = result.stderr.splitlines()
    assert all(line.startswith("Error: ") for line in found)
    return [line.removeprefix("Error: ") for line in found]


def started(*args: object, **options: object) -> subprocess.Popen[bytes]:
    """A true process of the command line, warnings being errors."""
    source = Path(tidegate.__file__).parent.parent
    kernels = source.parent / "kernels"
    paths = os.pathsep.join([str(source), str(kernels), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tidegate", *map(str, args)],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=options.pop("stderr", subprocess.PIPE),
        **options,
    )


def rows(spike: float = 90.0) -> list[dict[str, object]]:
    """Hourly values of two hosts, the second with one value far off."""
    return [
        {
            "time": START + 3600 * hour,
            "host": host,
            "value": spike if (hour, host) == (SPIKE, "b") else 10.0 + (hour * 7 + len(host)) % 5,
        }
        for hour in range(HOURS)
        for host in ("a", "b")
    ]


def csv_text(records: list[dict[str, object]]) -> str:
    names = list(records[0])
    return "\n".join([",".join(names), *(",".join(str(r[n]) for n in names) for r in records)]) + "\n"


def json_text(records: list[dict[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


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


# The table


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
    detector = {"function": "mean", "field_name": "v" * 90, "by_field_name": "host" * 20}
    config = JobConfig.parse(
        {"analysis_config": {"detectors": [detector]}, "data_description": {"time_field": "time"}}
    )
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
    shown = list(lines(pa.Table.from_pylist([record], RECORDS), config))
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


# JSON and files


def test_json_prints_every_record_a_line(file: Path) -> None:
    """With --json stdout holds the records alone, in order, null fields left out."""
    result = run("detect", file, *BY_HOST, "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert set().union(*records) <= set(RECORDS.names)
    assert all(value is not None for record in records for value in record.values())
    assert "over_field_name" not in records[0]
    assert [r["timestamp"] for r in records] == sorted(r["timestamp"] for r in records)
    worst = max(records, key=lambda r: r["record_score"])
    assert worst["by_field_value"] == "b"
    assert worst["actual"] == [90.0]
    assert "400 records processed" in result.stderr
    top = run("detect", file, *BY_HOST, "--json", "--top", 1)
    assert [json.loads(line) for line in top.stdout.splitlines()] == [worst]


@pytest.fixture
def expected(file: Path, job_file: Path) -> tuple[pa.Table, pa.Table]:
    """Records and buckets of the file by the Python API."""
    job = tidegate.Job(job_file)
    job.post(rows())
    job.flush()
    assert job.records().num_rows > 0
    return job.records(), job.buckets()


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
        return pyarrow.json.read_json(pa.BufferReader(content(path)), parse_options=options)
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


# Where records come from


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


# Time


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


# What is wrong


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--nope",), "No such option '--nope'."),
        (
            ("--function", "averge"),
            "--function: Unknown function 'averge'; did you mean 'mean'?; 'tidegate functions'",
        ),
        (("--function", "info_content"), "--function: function 'info_content' is not supported yet"),
        (("--function", "count"), "--field: field_name cannot be used with function 'count'"),
        (("--bucket-span", "0s"), "--bucket-span: bucket_span cannot be less or equal than 0"),
        (("--bucket-span", "soon"), "--bucket-span: bucket_span must be"),
        (("--latency", "-1h"), "--latency: latency cannot be less than 0"),
        (("--time-format", "yyyy-QQ'"), "--time-format: Invalid Time format string"),
        (
            ("--partition", "host", "--by", "host"),
            "--partition: partition_field_name and by_field_name cannot be",
        ),
        (("--detector", "mean(x"), "--detector 'mean(x': '(x' is not understood; expected"),
        (("--detector", "max(v) over u"), "--detector 'max(v) over u': over_field_name 'u' (population"),
        (("--top", "-1"), "Invalid value for '--top': -1 is not in the range x>=0."),
        (("--min-score", "101"), "Invalid value for '--min-score': 101.0 is not in the range 0<=x<=100."),
        (("--threads", "0"), "Invalid value for '--threads': 0 is not in the range x>=1."),
        (
            ("--config", "job.json"),
            "--config: the configuration has everything; leave out --bucket-span, --function",
        ),
        (("--by", "nope"), "{file}: there is no column 'nope'; columns are: time, host, value"),
        (("--field", "nope"), "{file}: there is no column 'nope'; columns are: time, host, value"),
        (("--time-field", "nope"), "{file}: there is no column 'nope'; columns are: time, host, value"),
        (
            ("--time-field", "host"),
            "{file}: no value of the time field 'host' is a time by the format 'epoch_ms'; it is",
        ),
        (
            ("--time-format", "yyyy-MM-dd"),
            "{file}: no value of the time field 'time' is a time by the format",
        ),
        (("--output", "r.txt"), "--output: r.txt: unknown extension; allowed are .parquet"),
        (("--output", "r.parquet.gz"), "--output: r.parquet.gz: unknown extension"),
        (
            ("--output", "nowhere/r.csv"),
            "--output: nowhere/r.csv: cannot be written: No such file or directory",
        ),
        (("--output", "{file}/r.csv"), "--output: {file}/r.csv: cannot be written: Not a directory"),
        (("--buckets-output", "/proc/r.csv"), "--buckets-output: /proc/r.csv: cannot be written:"),
        (("--output", "{file}"), "--output: {file}: is the file to be read"),
        (
            ("--output", "r.csv", "--buckets-output", "r.csv"),
            "--buckets-output: r.csv: is written by the other option",
        ),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    args: tuple[str, ...], message: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake is told in one line that names the option, and leaves no file behind."""
    monkeypatch.chdir(file.parent)
    given = [arg.format(file=file.name) for arg in args]
    (found,) = errors_of("detect", file.name, *MEAN, *given)
    assert found.startswith(message.format(file=file.name))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    """Every problem of the options has a line."""
    found = errors_of("detect", file, "--bucket-span", "0", "--function", "mena", "--detector", "smu(x)")
    assert [message.split(":")[0] for message in found] == [
        "--bucket-span",
        "--function",
        "--detector 'smu(x)'",
    ]
    found = errors_of("detect", file, *MEAN, "--by", "x", "--partition", "y")
    assert [message.split(";")[0].split(": ")[1] for message in found] == [
        "there is no column 'x'",
        "there is no column 'y'",
    ]


def test_nothing_to_detect_is_told(file: Path) -> None:
    """Without a function there is nothing to do."""
    assert errors_of("detect", file) == ["nothing to detect; give --function, --detector or --config"]
    assert errors_of("detect", file, "--by", "host") == ["--function: is missing; --by belongs to it"]
    assert errors_of("detect") == ["Missing argument 'FILE'."]
    assert errors_of("detekt") == ["No such command 'detekt'. Did you mean 'detect'?"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("no.csv", None, "no such file"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"time,value\n", "holds no records"),
        ("folder", "folder", "is a directory; name a file"),
        ("noise.bin", bytes(range(256)) * 20, "unknown format; allowed are NDJSON"),
        ("noise.parquet", b"PAR1" + bytes(100), ""),
        ("cut.csv.gz", gzip.compress(csv_text(rows()).encode())[:-20], "Compressed file ended"),
        (
            "no-time.csv",
            b"a,value\n1,2\n",
            "no column is called time, timestamp, @timestamp, date, datetime, ts or is",
        ),
        (
            "two.csv",
            b"a,b,value\n2020-01-01,2020-01-02,3\n",
            "columns a, b hold times; choose one with --time-field",
        ),
    ],
)
def test_a_wrong_file_is_one_clear_line(
    name: str, data: bytes | str | None, message: str, tmp_path: Path
) -> None:
    """Whatever cannot be read as records is refused with the name of the file and the reason."""
    path = tmp_path / name
    if data == "folder":
        path.mkdir()
    elif isinstance(data, bytes):
        path.write_bytes(data)
    (found,) = errors_of("detect", path, *MEAN)
    assert found.startswith(f"{path}: {message}")


def test_standard_input_is_named_in_errors() -> None:
    """What is wrong with standard input is told as such."""
    assert errors_of("detect", "-", *MEAN, input=b"") == ["standard input: is empty"]
    (found,) = errors_of("detect", "-", *MEAN, "--by", "x", input=csv_text(rows()))
    assert found == "standard input: none of the 400 records has a field 'x'; columns are: time, host, value"


def test_a_json_field_may_come_late_but_not_never(tmp_path: Path) -> None:
    """In JSON a field may be absent at first; one that never comes is an error in the end."""
    late = [{k: v for k, v in r.items() if k != "host" or i > 300} for i, r in enumerate(rows())]
    (path := tmp_path / "web.ndjson").write_text(json_text(late))
    assert run("detect", path, *BY_HOST).exit_code == 0
    (found,) = errors_of("detect", path, *MEAN, "--partition", "dc")
    assert found == f"{path}: none of the 400 records has a field 'dc'; columns are: time, value, host"


def test_a_file_without_a_readable_time_is_an_error(tmp_path: Path) -> None:
    """When no record at all has a time, that is told in place of an empty table."""
    (path := tmp_path / "web.ndjson").write_text('{"time": null, "value": 1}\n{"value": 2, "when": 3}\n')
    (found,) = errors_of("detect", path, *MEAN)
    assert found == f"{path}: none of the 2 records has a field 'time'; columns are: time, value, when"
    (found,) = errors_of("detect", path, *MEAN, "--time-field", "when", "--time-format", "yyyy-MM-dd")
    assert "no value of the time field 'when' is a time by the format 'yyyy-MM-dd'; it is '3'" in found


# check, functions, version


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
    job_file.write_text(job_file.read_text().replace('"1h",', '"1h", "influencers": ["host"],'))
    message = f"{job_file}: analysis_config.influencers: influencers [host] is not supported yet"
    assert errors_of("check", job_file) == [message]
    assert errors_of("detect", "any.csv", "--config", job_file) == [message]


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
    """The table of functions has a line for each, and marks what is not executed."""
    listed = {line.split()[0]: line for line in run("functions").stdout.splitlines()[1:] if line}
    assert set(FUNCTIONS) <= set(listed)
    assert all(("(*)" in listed[name]) != function.executed for name, function in FUNCTIONS.items())


def test_version_is_that_of_the_package() -> None:
    """--version prints name and version."""
    assert run("--version").stdout == f"tidegate {tidegate.__version__}\n"


# Progress and reading ahead


def test_progress_shows_the_part_that_is_read() -> None:
    """The line has the part of the bytes, or of the rows where they are known, and the rate."""
    line = Progress(total_bytes=1000).line(5000, 250, 2.0)
    assert line == "[######------------------]  25%  5,000 records, 2,500 records/s"
    assert "50%" in Progress(total_bytes=1000, total_rows=10_000).line(5000, 0, 2.0)
    assert Progress().line(5000, 0, 2.0) == "5,000 records, 2,500 records/s"


def test_reading_ahead_raises_in_its_turn() -> None:
    """Items come in order, and what the iterator raises comes after them."""

    def items():  # type: ignore[no-untyped-def]
        yield 1
        yield 2
        raise OSError("gone")

    taken = []
    with pytest.raises(OSError, match="gone"), ReadAhead(items()) as ahead:
        taken.extend(iter(lambda: next(ahead), None))
    assert taken == [1, 2]


def test_reading_ahead_stops_with_the_block() -> None:
    """Who leaves early does not leave a thread that reads on."""
    reader = ReadAhead(iter(range(1000)))
    with reader as ahead:
        assert next(ahead) == 0
    assert not reader._thread.is_alive()


def test_ctrl_c_tells_what_was_done(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted run says how far it came, writes nothing and has status 130."""
    posts = []
    post = tidegate.Job.post

    def interrupted(job: tidegate.Job, data: object) -> object:
        posts.append(data)
        if len(posts) == 2:
            raise KeyboardInterrupt
        return post(job, data)

    monkeypatch.setattr(tidegate.Job, "post", interrupted)
    (path := tmp_path / "web.arrow").unlink(missing_ok=True)
    table = pa.Table.from_pylist(rows())
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    result = run("detect", path, *MEAN, "--output", tmp_path / "r.csv")
    assert result.exit_code == 130
    assert result.stderr.startswith("Interrupted: after ")
    assert result.stderr.endswith(f"100 records of {path} were read, no results were written\n")
    assert {p.name for p in tmp_path.iterdir()} == {"web.csv", "web.arrow"}


def test_a_lost_interrupt_is_found() -> None:
    """A KeyboardInterrupt that something swallowed ends the run when it reaches its next point."""

    def swallowing() -> None:
        with Interruptible("one") as run:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            run.reach("two")

    with pytest.raises(Interrupted, match=r"after 0\.\d s; two"):
        swallowing()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# True processes


@pytest.mark.parametrize("args", [("--help",), ("detect", "--help"), ("detect", "--nope"), ("functions",)])
def test_help_imports_no_engine(args: tuple[str, ...]) -> None:
    """Help and wrong options import neither numpy nor pyarrow nor numba."""
    code = (
        "import sys\nfrom tidegate.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    heavy = {'numpy', 'pyarrow', 'numba', 'tidegate_kernels'} & set(sys.modules)\n"
        "    sys.stderr.write(f'heavy: {sorted(heavy)}')\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *args],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.endswith("heavy: []")
    assert done.returncode == (2 if "--nope" in args else 0)


def test_public_names_are_imported_when_used() -> None:
    """The package lists all of its names, has each of them, and no others."""
    assert set(tidegate.__all__) <= set(dir(tidegate))
    assert all(getattr(tidegate, name).__name__ == name for name in tidegate.__all__)
    with pytest.raises(AttributeError, match="module 'tidegate' has no attribute 'jobs'"):
        _ = tidegate.jobs  # type: ignore[attr-defined]


def test_a_process_reads_standard_input(file: Path) -> None:
    """The command works as a process in a pipe, and shows no progress there."""
    with started(
        "detect", "-", *BY_HOST, "--top", "1", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        out, err = process.communicate(file.read_bytes())
    assert process.returncode == 0
    assert b"host=b" in out
    assert err == b""


def test_progress_is_shown_on_a_terminal(file: Path) -> None:
    """On a terminal the progress comes and goes."""
    ours, theirs = pty.openpty()
    with started("detect", file, *MEAN, "--json", stdout=subprocess.DEVNULL, stderr=theirs) as process:
        process.wait()
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0
    assert "\r[------------------------]   0%  0 records" in shown
    assert shown.splitlines()[-1].endswith("records/s")


def test_sigint_ends_with_one_line(tmp_path: Path) -> None:
    """A process that waits for input ends at once on SIGINT, with one line and status 130."""
    os.mkfifo(path := tmp_path / "pipe")
    with started("detect", path, *MEAN, stdout=subprocess.PIPE) as process, open(path, "wb") as pipe:
        pipe.write(csv_text(rows()).encode())
        pipe.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert out == b""
    assert err.decode().startswith("Interrupted: after ")
    assert err.count(b"\n") == 1


def test_sigint_amid_the_records_ends_with_one_line(tmp_path: Path) -> None:
    """A process whose reading thread waits for more ends all the same."""
    os.mkfifo(path := tmp_path / "pipe")
    block = (csv_text(rows()) + json_text([]))[len("time,host,value\n") :].encode()
    with started("detect", path, *MEAN, stdout=subprocess.PIPE) as process, open(path, "wb") as pipe:
        pipe.write(b"time,host,value\n" + block * 2600)
        pipe.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert out == b""
    assert err.decode().startswith("Interrupted: after ")
    assert err.count(b"\n") == 1


def test_a_broken_pipe_is_quiet() -> None:
    """When nobody reads on, the process ends without a word."""
    span = ("--bucket-span", "30m", "--function", "mean", "--field", "value")
    with started("detect", TAXI, *span, "--json", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert err == b""
    assert process.returncode == 1


def test_scores_of_the_file_are_those_of_the_job(expected: tuple[pa.Table, pa.Table]) -> None:
    """The planted spike is the worst record of the sample all tests use."""
    records = expected[0]
    worst = records.filter(pc.equal(records["record_score"], pc.max(records["record_score"])))
    assert worst["by_field_value"].to_pylist() == ["b"]
