"""The command line over a store: what each command does and prints."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.samples import HOURS, SPIKE, START, errors_of, run
from tests.cli.storesamples import JOB, OTHER_BUNDLE, answer, answers, in_batches, ok, stored

END = START + (HOURS - 1) * 3600
"""When the last, open bucket of the sample starts."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the closed job ``web``, which commands find by themselves."""
    monkeypatch.setenv("TIDEGATE_STORE", str(tmp_path / "store"))
    return stored(tmp_path / "store")


@pytest.fixture
def filled(store: Path, file: Path) -> Path:
    """The store after the sample was run through its job."""
    ok("job", "run", "web", file)
    return store


def test_a_job_lives_by_commands(store: Path, file: Path, expected: tuple[pa.Table, pa.Table]) -> None:
    """Opened, posted to, flushed and closed in processes of its own, a job finds what it finds in one."""
    assert answer("job", "open", "web") == {"opened": True}
    counts = answer("job", "post", "web", file)
    assert (counts["processed_record_count"], counts["input_bytes"]) == (400, file.stat().st_size)
    assert answer("job", "flush", "web") == {"flushed": True, "last_finalized_bucket_end": END * 1000}
    assert answer("job", "stats")["state"] == "opened"
    assert answer("job", "close", "web") == {"closed": True}
    assert answer("job", "stats", "web")["state"] == "closed"
    found = answers("results", "records", "web", "--sort", "timestamp", "--asc")
    wanted = expected[0].select(["timestamp", "by_field_value", "probability", "record_score"]).to_pylist()
    assert [{name: one[name] for name in wanted[0]} for one in found] == wanted
    assert len(answers("results", "buckets", "web")) == expected[1].num_rows


@pytest.mark.parametrize("is_open", [False, True])
def test_run_leaves_the_job_as_it_was(is_open: bool, store: Path, file: Path) -> None:
    """``job run`` finalises what it posts; a closed job is closed after it, an open one open."""
    if is_open:
        ok("job", "open", "web")
    shown = ok("job", "run", "web", file).splitlines()
    assert shown[0].startswith("400 records posted, 0 dropped, ")
    assert shown[1:] == ["Buckets are final up to 2023-11-23T05:00:00Z"]
    assert answer("job", "stats")["state"] == ("opened" if is_open else "closed")
    assert len(answers("results", "buckets", "web")) == HOURS - 1


def test_jobs_are_listed_for_people(filled: Path) -> None:
    """The tables have the state, counts with separators and times in UTC."""
    head, web = ok("job", "list").splitlines()
    assert head.split() == ["job", "state", "created", "finished", "span", "detectors"]
    assert web.split()[:2] == ["web", "closed"]
    assert web.endswith("1h    mean(value) by host")
    head, web = ok("job", "stats").splitlines()
    assert web.split()[:4] == ["web", "closed", "400", "0"]
    assert "2023-11-23T05:00:00Z" in web


def test_a_configuration_is_shown_complete(store: Path) -> None:
    """``job show`` prints JSON that is indented for people, and in one line with --json."""
    shown = json.loads(ok("job", "show", "web"))
    assert shown == answer("job", "show", "web") == answers("job", "list")[0]
    assert shown["analysis_config"]["detectors"][0]["detector_description"] == "mean(value) by host"


def test_a_bundle_brings_its_filters_and_calendars(store: Path) -> None:
    """What a bundle has beside its job is put too, once, and a calendar is meant for its jobs."""
    for name in ("other", "third"):
        ok("job", "put", "-", "--id", name, input=json.dumps(OTHER_BUNDLE))
    assert [one["job_id"] for one in answers("job", "list")] == ["other", "third", "web"]
    [calendar] = answers("calendars", "list")
    assert calendar["job_ids"] == ["other", "third"]
    assert [one["filter_id"] for one in answers("filters", "list")] == ["safe"]


def test_a_bundle_is_put_wholly_or_not_at_all(store: Path) -> None:
    """When the id of the job is taken its filters and calendars are not put either."""
    bundle = json.dumps({**OTHER_BUNDLE, "job": JOB})
    [message] = errors_of("job", "put", "-", input=bundle)
    assert message.startswith("The job cannot be created with the Id 'web'")
    assert answers("calendars", "list") == answers("filters", "list") == []
    ok("filters", "put", "-", input='{"filter_id": "safe", "items": ["z"]}')
    [message] = errors_of("job", "put", "-", input=json.dumps(OTHER_BUNDLE))
    assert message.startswith("filter 'safe': the store has another one of that id")
    assert [one["job_id"] for one in answers("job", "list")] == ["web"]


def test_settings_are_updated(store: Path, tmp_path: Path) -> None:
    """``job update`` changes what the file names, and says what that was."""
    (path := tmp_path / "changes.json").write_text('{"description": "all requests"}')
    assert ok("job", "update", "web", path) == "Job web is updated: description\n"
    assert answer("job", "show", "web")["description"] == "all requests"


def test_a_job_is_reset_and_deleted(filled: Path) -> None:
    """A reset job has no data; a deleted one is gone, an open one only with --force."""
    assert ok("job", "reset", "web") == "Job web is as it was created\n"
    assert answers("results", "buckets", "web") == []
    assert answer("job", "stats")["data_counts"]["processed_record_count"] == 0
    assert ok("job", "messages", "web").splitlines()[-1].endswith("Job has been reset")
    ok("job", "open", "web")
    assert errors_of("job", "delete", "web") == ["Cannot delete job [web] because the job is opened"]
    assert answer("job", "delete", "web", "--force") == {"acknowledged": True}
    assert ok("job", "list") == "No jobs.\n"


def test_times_are_moved_by_a_flush(filled: Path) -> None:
    """The options of ``job flush`` are those of the call."""
    ok("job", "open", "web")
    interim = answer("job", "flush", "web", "--calc-interim")
    assert interim["last_finalized_bucket_end"] == END * 1000
    assert answers("results", "buckets", "web")[-1]["is_interim"]
    assert len(answers("results", "buckets", "web", "--exclude-interim")) == HOURS - 1
    moved = answer("job", "flush", "web", "--skip-time", END + 7200, "--advance-time", END + 10800)
    assert moved["last_finalized_bucket_end"] == (END + 10800) * 1000


def test_what_open_buckets_hold_is_sent_again(store: Path, file: Path, tmp_path: Path) -> None:
    """With --reset-start the records of the open bucket are replaced, by all that the file has."""
    ok("job", "open", "web")
    ok("job", "post", "web", file)
    last = [{"time": END, "host": host, "value": 70.0} for host in "ab"]
    ok("job", "post", "web", in_batches(tmp_path / "last.arrow", last, 1), "--reset-start", END)
    ok("job", "flush", "web", "--calc-interim")
    assert answers("results", "buckets", "web")[-1]["event_count"] == 2
    assert answers("results", "records", "web", "--start", END)[0]["actual"] == [70.0]


def test_forecasts_are_made_and_shown(filled: Path) -> None:
    """A forecast of an open job has points for all its series."""
    ok("job", "open", "web")
    made = answer("job", "forecast", "web", "--duration", "6h")
    points = answers("results", "forecasts", "web", "--forecast", made["forecast_id"])
    assert len(points) == 12
    assert len(answers("results", "forecasts", "web", "--from", 2, "--size", 3)) == 3
    assert "prediction" in ok("results", "forecasts", "web").splitlines()[0]


def test_records_are_filtered_sorted_and_paged(filled: Path) -> None:
    """The options choose the same records as a query by hand."""
    everything = answers("results", "records", "web")
    scores = [one["record_score"] for one in everything]
    assert scores == sorted(scores, reverse=True)
    assert (everything[0]["by_field_value"], everything[0]["timestamp"]) == (
        "b",
        (START + SPIKE * 3600) * 1000,
    )
    assert answers("results", "records", "web", "--top", 2) == everything[:2]
    assert answers("results", "records", "web", "--from", 1, "--size", 2) == everything[1:3]
    least = scores[1]
    assert answers("results", "records", "web", "--min-score", least) == [
        one for one in everything if one["record_score"] >= least
    ]
    spike = START + SPIKE * 3600
    [only] = answers("results", "records", "web", "--start", spike, "--end", spike + 1, "--min-score", 50)
    assert only == everything[0]
    assert answers("results", "records", "web", "--sort", "timestamp", "--asc") == sorted(
        everything, key=lambda one: one["timestamp"]
    )


@pytest.mark.parametrize(
    ("kind", "heading"),
    [
        ("buckets", "time (UTC)            events  score"),
        ("records", "time (UTC)            series  detector             actual  typical  score"),
        ("influencers", "time (UTC)            field  value  score"),
        ("overall", "time (UTC)            score"),
        ("model-plot", "time (UTC)            series  detector"),
    ],
)
def test_results_are_tables_for_people(kind: str, heading: str, filled: Path) -> None:
    """Every kind has a table of at most 100 rows, and a word on the others."""
    shown = ok("results", kind, "web").splitlines()
    assert shown[0].startswith(heading)
    total = len(answers("results", kind, "web"))
    if total > 100:
        assert len(shown) == 103
        assert shown[-1] == f"100 of {total:,} are shown (see --from, --size, --json, --output)"
    else:
        assert len(shown) == 1 + total
    assert len(ok("results", kind, "web", "--size", 2).splitlines()) == 3


def test_the_rest_of_what_was_asked_for_is_counted(filled: Path) -> None:
    """The word on the others counts what matches, not what there is."""
    shown = ok("results", "buckets", "web", "--end", START + 150 * 3600, "--min-score", 0).splitlines()
    assert shown[-1] == "100 of 150 are shown (see --from, --size, --json, --output)"


def test_no_results_are_said_so(store: Path) -> None:
    """A job without results has a sentence for people and no line of JSON."""
    for kind, sentence in (
        ("records", "No anomalies.\n"),
        ("categories", "No categories.\n"),
        ("forecasts", "No forecast.\n"),
        ("overall", "No overall buckets.\n"),
    ):
        assert ok("results", kind, "web") == sentence
        assert answers("results", kind, "web") == []


def test_results_go_to_files(filled: Path, tmp_path: Path) -> None:
    """--output has all results in the format of its ending, and leaves stdout to a word on it."""
    shown = ok("results", "buckets", "web", "--output", tmp_path / "b.parquet")
    assert shown == f"{tmp_path / 'b.parquet'}: {HOURS - 1} buckets\n"
    assert pq.read_table(tmp_path / "b.parquet").num_rows == HOURS - 1
    said = answer("results", "records", "web", "--output", tmp_path / "r.ndjson", "--size", 1)
    assert said == {"file": str(tmp_path / "r.ndjson"), "count": 1}
    [record] = map(json.loads, (tmp_path / "r.ndjson").read_text().splitlines())
    assert record["by_field_value"] == "b"
    assert {path.name for path in tmp_path.iterdir()} == {"b.parquet", "r.ndjson", "store", "web.csv"}


def test_what_has_expired_is_deleted(filled: Path) -> None:
    """``job delete-expired`` deletes nothing that is to be kept."""
    before = answers("snapshots", "list", "web")
    assert answer("job", "delete-expired") == {"deleted": True}
    assert answers("snapshots", "list", "web") == before


def test_a_job_is_exported(filled: Path, tmp_path: Path) -> None:
    """``job export`` writes a file for each kind."""
    kinds = ("--kind", "records", "--kind", "model_plot", "--ending", ".csv")
    files = answer("job", "export", "web", tmp_path / "out", *kinds)
    assert sorted(files["files"]) == [
        str(tmp_path / "out" / f"{kind}.csv") for kind in ("model_plot", "records")
    ]
    assert (tmp_path / "out" / "records.csv").read_text().startswith('"job_id"')


def test_snapshots_are_listed_updated_reverted_and_deleted(filled: Path, file: Path) -> None:
    """A job goes back to the snapshot of its first close, and then the other one can be deleted."""
    [first] = answers("snapshots", "list", "web")
    late = f"time,host,value\n{END + 7200},a,10\n{END + 10800},a,10\n"
    ok("job", "run", "web", "-", input=late)
    second = answers("snapshots", "list", "web")[0]
    assert second["snapshot_id"] != first["snapshot_id"]
    oldest = answers("snapshots", "list", "web", "--sort", "latest_record_time_stamp", "--asc", "--size", 1)
    assert oldest == [first]
    update = ("snapshots", "update", "web", first["snapshot_id"])
    assert answer(*update, "--description", "good", "--retain")["model"]["retain"]
    assert ok("snapshots", "list", "web").splitlines()[-1].endswith("yes     good")
    assert len(answers("results", "buckets", "web")) > HOURS
    revert = ("snapshots", "revert", "web", first["snapshot_id"], "--delete-intervening-results")
    assert answer(*revert)["model"]["snapshot_id"] == first["snapshot_id"]
    assert len(answers("results", "buckets", "web")) == HOURS - 1
    assert len(errors_of("snapshots", "delete", "web", first["snapshot_id"])) == 1
    assert answer("snapshots", "delete", "web", second["snapshot_id"]) == {"acknowledged": True}


def test_a_damaged_snapshot_is_told_and_passed_over(filled: Path) -> None:
    """What cannot be used is named, and with --fallback the job goes on from what is there before it."""
    late = f"time,host,value\n{END + 7200},a,10\n{END + 10800},a,10\n"
    ok("job", "run", "web", "-", input=late)
    before = answers("results", "buckets", "web")
    newest = answers("snapshots", "list", "web")[0]["snapshot_id"]
    path = filled / "jobs" / "web" / "snapshots" / f"{newest}.arrow"
    path.write_bytes(path.read_bytes()[:-1000])
    (message,) = errors_of("job", "run", "web", "-", input=late)
    assert message.startswith(f"model snapshot '{newest}' of job 'web' cannot be used: ")
    assert ok("job", "open", "web", "--fallback") == "Job web is open\n"
    ok("job", "flush", "web")
    assert ok("job", "close", "web") == "Closed: web\n"
    assert answers("results", "buckets", "web") == before


def test_calendars_are_kept(store: Path, tmp_path: Path) -> None:
    """Calendars come from files, events from files or options, and both are listed."""
    ok("calendars", "put", "-", input='{"calendar_id": "work", "job_ids": ["web"]}')
    (path := tmp_path / "events.json").write_text(
        '{"events": [{"description": "one", "start_time": "2024-01-01", "end_time": "2024-01-02"}]}'
    )
    assert len(answer("calendars", "add-events", "work", path)["events"]) == 1
    times = ("--start", "2024-02-01", "--end", "1706832000")
    assert "1 more events" in ok("calendars", "add-events", "work", "--description", "two", *times)
    [_, one, two] = ok("calendars", "list", "work").splitlines()
    assert one.split() == ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "one"]
    assert two.split() == ["2024-02-01T00:00:00Z", "2024-02-02T00:00:00Z", "two"]
    assert answer("calendars", "update", "work", "--job", "_all")["job_ids"] == ["_all"]
    ok("calendars", "delete", "work")
    assert ok("calendars", "list") == "No calendars.\n"


def test_filters_are_kept(store: Path) -> None:
    """Filters come from files, are changed by items, and listed with them."""
    ok("filters", "put", "-", input='{"filter_id": "safe", "items": ["a"]}')
    changed = answer("filters", "update", "safe", "--add", "b", "--add", "c", "--remove", "a")
    assert changed == {"filter_id": "safe", "items": ["b", "c"]}
    assert ok("filters", "list", "safe").splitlines() == ["item", "b", "c"]
    assert ok("filters", "list").splitlines()[1].split() == ["safe", "2", "-"]
    ok("filters", "delete", "safe")
    assert ok("filters", "list") == "No filters.\n"


def test_several_jobs_are_one(filled: Path, file: Path) -> None:
    """Lists, wildcards and _all stand for jobs where several are allowed."""
    ok("job", "put", "-", "--id", "web2", input=json.dumps({**JOB, "job_id": "x"}))
    ok("job", "run", "web2", file)
    overall = answers("results", "overall", "web*", "--top-n", 2, "--bucket-span", "2h", "--min-score", 1)
    assert {len(one["jobs"]) for one in overall} == {2}
    assert ok("job", "close", "_all") == "Closed: web, web2\n"
    assert ok("job", "close", "nothing*") == "Closed: there is no such job\n"


def test_notes_say_what_was_not_used(store: Path) -> None:
    """Dropped records and missing fields are told, on stderr where stdout is JSON."""
    lines = f'{{"time": {START}, "value": 1}}\n{{"time": "soon", "value": 1}}\n'
    result = run("job", "run", "web", "-", "--json", input=lines)
    assert json.loads(result.stdout)["invalid_date_count"] == 1
    assert "Note: records were dropped: 1 without a readable time" in result.stderr.splitlines()
    assert "none of the 2 records has a field 'host'" in result.stderr
