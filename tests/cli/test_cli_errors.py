"""The command line: what is wrong is told in one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.cli.samples import BY_HOST, MEAN, csv_text, errors_of, json_text, rows, run


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--nope",), "No such option '--nope'."),
        (
            ("--function", "averge"),
            "--function: Unknown function 'averge'; did you mean 'mean'?; 'tidegate functions'",
        ),
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
        (("--detector", "nzc over u"), "--detector 'nzc over u': over_field_name cannot be used with"),
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


def test_a_latency_beyond_the_memory_is_told(file: Path) -> None:
    """A latency that asks for more memory than a job may have is one clear line."""
    (message,) = errors_of("detect", file, *MEAN[2:], "--bucket-span", "1s", "--latency", "3650d")
    assert message.startswith("analysis_config.latency: latency keeps 315360001 buckets open")


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
        ("cut.csv.gz", gzip.compress(csv_text(rows()).encode(), mtime=0)[:-20], "Compressed file ended"),
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
