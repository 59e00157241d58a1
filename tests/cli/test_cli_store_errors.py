"""The command line over a store: what is wrong is told in one line."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.cli.samples import csv_text, errors_of, rows
from tests.cli.storesamples import answer, answers, in_batches, ok, stored

from tidegate.errors import StoreError
from tidegate.store import StoredJob


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the closed job ``web``, which commands find by themselves."""
    monkeypatch.setenv("TIDEGATE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return stored(tmp_path / "store")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("job", "show", "x"), "No known job with id 'x'"),
        (("job", "show", "we*"), "No known job with id 'we*'"),
        (("job", "close", "x"), "No known job with id 'x'"),
        (("job", "stats", "x"), "No known job with id 'x'"),
        (("job", "delete", "x"), "No known job with id 'x'"),
        (("job", "open", "x"), "No known job with id 'x'"),
        (("job", "post", "x", "web.csv"), "No known job with id 'x'"),
        (("job", "messages", "x"), "No known job with id 'x'"),
        (("snapshots", "list", "x"), "No known job with id 'x'"),
        (("results", "records", "x"), "No known job with id 'x'"),
        (("results", "forecasts", "x"), "No known job with id 'x'"),
        (("results", "overall", "x"), "No known job with id 'x'"),
        (("job", "update", "_all", "-"), "standard input: line 1, column 1: Expecting value"),
        (("job", "update", "web", "nope.json"), "nope.json: No such file or directory"),
        (("job", "put", "nope.json"), "nope.json: No such file or directory"),
        (("job", "put", "web.csv"), "web.csv: line 1, column 1: Expecting value"),
        (
            ("job", "flush", "web"),
            "Cannot perform requested action because job [web] is not open; see 'tidegate job open'",
        ),
        (
            ("job", "post", "web", "web.csv"),
            "Cannot perform requested action because job [web] is not open; see 'tidegate job open'",
        ),
        (("job", "run", "web", "nope.csv"), "nope.csv: no such file"),
        (
            ("job", "run", "web", "web.csv", "--skip", "401"),
            "--skip: web.csv has 400 records; none were posted",
        ),
        (
            ("job", "run", "web", "other.csv"),
            "other.csv: there is no column 'host'; columns are: time, value",
        ),
        (
            ("job", "run", "web", "words.csv"),
            "words.csv: no value of the time field 'time' is a time by the format 'epoch'; it is 'soon', for "
            "example; the job expects it so: time_format in its data_description",
        ),
        (
            ("job", "run", "web", "web.csv", "--durability", "no"),
            "Invalid value for '--durability': 'no' is not",
        ),
        (
            ("job", "flush", "web", "--start", "soon"),
            "Invalid value for '--start': 'soon' is not a time; give",
        ),
        (
            ("results", "records", "web", "--end", "soon"),
            "Invalid value for '--end': 'soon' is not a time; give",
        ),
        (
            ("results", "records", "web", "--start", "2024-01-02", "--end", "2024-01-01"),
            "Invalid time range: end time '2024-01-01' is earlier than start time '2024-01-02'.",
        ),
        (
            ("results", "records", "web", "--sort", "nope"),
            "sort: records cannot be sorted by 'nope'; allowed: job_id",
        ),
        (
            ("results", "records", "web", "--from", "-1"),
            "Invalid value for '--from': -1 is not in the range x>=0.",
        ),
        (
            ("results", "buckets", "web", "--min-score", "101"),
            "Invalid value for '--min-score': 101.0 is not in",
        ),
        (
            ("results", "buckets", "web", "--top", "2", "--size", "3", "--asc"),
            "--top: stands for the order and the number; leave out --desc, --size",
        ),
        (
            ("results", "buckets", "web", "--output", "b.txt"),
            "--output: b.txt: unknown extension; allowed are",
        ),
        (("results", "categories", "web", "--min-score", "1"), "No such option '--min-score'."),
        (
            ("job", "export", "web", "out", "--kind", "nope"),
            "kinds: 'nope' cannot be exported; allowed: buckets",
        ),
        (("snapshots", "revert", "web", "x"), "No model snapshot with id [x] exists for job [web]"),
        (
            ("snapshots", "update", "web", "x"),
            "nothing to change; give --description, --retain or --no-retain",
        ),
        (("snapshots", "delete", "web", "x"), "No model snapshot with id [x] exists for job [web]"),
        (("calendars", "list", "x"), "No calendar with id [x]"),
        (("calendars", "put", "-"), "standard input: line 1, column 1: Expecting value"),
        (("calendars", "add-events", "x"), "no events; give FILE, or --description, --start and --end"),
        (("filters", "update", "x", "--add", "a"), "No filter with id [x] exists"),
        (("filters", "update", "x"), "nothing to change; give --add, --remove or --description"),
    ],
)
def test_a_mistake_is_one_clear_line(args: tuple[str, ...], message: str, store: Path) -> None:
    """Each mistake is told in one line, changes nothing and leaves no file behind."""
    Path("web.csv").write_text(csv_text(rows()))
    Path("other.csv").write_text("time,value\n1,2\n")
    Path("words.csv").write_text("time,host,value\nsoon,a,2\n")
    before = _state()
    (found,) = errors_of(*args, input="")
    assert found.startswith(message)
    assert _state() == before
    assert {path.name for path in Path().iterdir()} == {"store", "web.csv", "other.csv", "words.csv"}


def _state() -> list[tuple[object, object]]:
    """Of every job its state and what became of its records."""
    return [(job["state"], job["data_counts"]) for job in answers("job", "stats")]


def test_problems_of_json_name_the_file(store: Path) -> None:
    """Everything that is wrong in what was given has a line with the file and the place."""
    Path("c.json").write_text('{"calendar_id": "A B", "evnts": []}')
    found = errors_of("calendars", "put", "c.json")
    assert len(found) == 2
    assert all(message.startswith("c.json: calendars[0].") for message in found)
    Path("u.json").write_text('{"job_id": "x"}')
    (message,) = errors_of("job", "update", "web", "u.json")
    assert message.startswith("u.json: ")
    Path("e.json").write_text('[{"description": "x"}]')
    ok("calendars", "put", "-", input='{"calendar_id": "c"}')
    assert all(
        message.startswith("e.json: events[0].")
        for message in errors_of("calendars", "add-events", "c", "e.json")
    )


def test_a_store_must_be_named_and_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a store, with a folder that is none or a file, nothing is made."""
    monkeypatch.delenv("TIDEGATE_STORE", raising=False)
    (message,) = errors_of("job", "list")
    assert message.startswith("Missing option '--store' (env var: 'TIDEGATE_STORE')")
    nowhere = tmp_path / "nowhere"
    assert errors_of("job", "list", "--store", nowhere) == [f"{nowhere}: there is no store here"]
    assert errors_of("results", "records", "x", "--store", tmp_path) == [
        f"{tmp_path}: there is no store here"
    ]
    assert not list(tmp_path.iterdir())
    (path := tmp_path / "file").write_text("")
    (message,) = errors_of("filters", "put", "-", "--store", path, input='{"filter_id": "f"}')
    assert message.startswith(f"{path}: a store cannot be made here")


def test_a_database_of_another_program_is_refused(store: Path) -> None:
    """A store.db that is none, or of another program, is one clear line and stays as it is."""
    for content in (b"not a database, but long enough to be looked at" * 100, b""):
        (foreign := store.parent / "foreign").mkdir(exist_ok=True)
        (foreign / "store.db").write_bytes(content)
        if not content:
            with sqlite3.connect(foreign / "store.db") as database:
                database.execute("CREATE TABLE theirs (x)")
            database.close()
        before = (foreign / "store.db").read_bytes()
        assert len(errors_of("job", "list", "--store", foreign)) == 1
        assert (foreign / "store.db").read_bytes() == before


def test_a_newer_store_is_refused(store: Path) -> None:
    """A store that a newer tidegate wrote is told so."""
    with sqlite3.connect(store / "store.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    (message,) = errors_of("job", "list")
    assert "newer" in message


def test_a_folder_that_cannot_be_read_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission is a line with the folder."""

    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", denied)
    assert errors_of("job", "list") == [f"{store}: cannot be read: Permission denied"]


def test_a_full_disk_amid_a_file_tells_what_is_kept(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a post cannot be written the line says why and where to go on."""
    path = in_batches(Path("web.arrow"), rows())
    post, posts = StoredJob.post, []

    def failing(job: StoredJob, data: object, **reset: object) -> object:
        posts.append(data)
        if len(posts) == 3:
            raise StoreError("the log cannot be written: no space left")
        return post(job, data, **reset)

    monkeypatch.setattr(StoredJob, "post", failing)
    (message,) = errors_of("job", "run", "web", path)
    kept = (
        "200 records of web.arrow are kept, the last at 2023-11-19T01:00:00Z; post the rest with --skip 200"
    )
    assert message == f"the log cannot be written: no space left; {kept}"
    assert answer("job", "stats")["data_counts"]["processed_record_count"] == 200
