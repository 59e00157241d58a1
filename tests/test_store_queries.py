"""Questions to the database that have answers of their own, messages of wrong ones, and exports."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_overall import HOUR, START, counting
from tests.test_results import config, spiky_records

from tidegate import Job, NotFoundError, RequestError, StoreError, overall_buckets
from tidegate.jsonform import to_json
from tidegate.results import FORECAST
from tidegate.store.chunks import SCHEMAS
from tidegate.store.database import Database
from tidegate.store.export import EXPORTED, export
from tidegate.store.expressions import expand
from tidegate.store.forecastrows import StoredForecast

DETECTOR = {"function": "mean", "field_name": "x", "by_field_name": "k"}


def spiky() -> Job:
    """A job with records, influencers, and an open bucket with interim results."""
    settings = config(DETECTOR)
    settings["analysis_config"]["influencers"] = ["k"]
    job = Job(settings)
    job.post(spiky_records(200))
    job.flush(calc_interim=True)
    return job


def kept(database: Database, job: Job) -> None:
    """Stores a job with its results as they were at first, then with what became of the scores."""
    with database.transaction() as tx:
        tx.create_job(job.job_id, job.config.to_dict(), created_ms=0)
    for kind, score in (("buckets", "anomaly_score"), ("records", "record_score")):
        table = getattr(job, kind)()
        at = table.schema.get_field_index(score)
        first = table.set_column(at, table.schema.field(at), table[f"initial_{score}"])
        final = first.filter(pa.compute.invert(first["is_interim"]))
        with database.transaction() as tx:
            tx.add_results(job.job_id, kind, final)
            tx.add_results(job.job_id, kind, first.slice(final.num_rows), interim=True)
            scores = table[score].to_numpy()[: final.num_rows]
            tx.rescore(job.job_id, kind, np.arange(final.num_rows), scores)


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    return [spiky(), counting("b", 50), counting("a", 50)]


@pytest.fixture(scope="module")
def database(jobs: list[Job], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(tmp_path_factory.mktemp("store") / "store.db") as opened:
        for job in jobs:
            kept(opened, job)
        yield opened


def test_results_of_a_job_are_the_same(database: Database, jobs: list[Job]) -> None:
    """What was stored and lowered is what the job says itself, to the last bit, nested columns too."""
    with database.reading() as view:
        for job in jobs:
            for kind in ("buckets", "records"):
                for exclude in (True, False):
                    found = view.results(
                        job.job_id, kind, sort="timestamp", desc=False, exclude_interim=exclude
                    ).table
                    wanted = getattr(job, kind)(exclude_interim=exclude)
                    both = (sorted(map(json.dumps, table.to_pylist())) for table in (found, wanted))
                    assert next(both) == next(both)
    lowered = jobs[0].records()
    assert lowered["is_interim"].to_pylist().count(False) > 3
    assert (lowered["record_score"].to_numpy() < lowered["initial_record_score"].to_numpy()).any()


def test_a_bucket_by_its_time(database: Database, jobs: list[Job]) -> None:
    """A bucket is found by any form of its start, with its records, the least probable first."""
    records = jobs[0].records(exclude_interim=True)
    at = records["timestamp"][0].as_py()
    with database.reading() as view:
        [wanted] = [row for row in jobs[0].buckets().to_pylist() if row["timestamp"] == at]
        for form in (at, str(at), np.datetime64(at, "ms"), at // 1000):
            assert view.bucket("results", form).to_pylist() == [wanted]
        found = view.records_of_bucket("results", at)
        expected = [row for row in records.to_pylist() if row["timestamp"] == at]
        assert found.to_pylist() == sorted(expected, key=lambda row: row["probability"])
        with pytest.raises(NotFoundError, match="Could not find requested buckets"):
            view.bucket("results", at + 1000)
        interim = jobs[0].buckets()["timestamp"][-1].as_py()
        assert view.bucket("results", interim)["is_interim"].to_pylist() == [True]
        with pytest.raises(NotFoundError, match="Could not find requested buckets"):
            view.bucket("results", interim, exclude_interim=True)


def test_overall_buckets_are_those_of_the_jobs(database: Database, jobs: list[Job]) -> None:
    """The database and the jobs give the same table, whatever is asked for."""
    options: list[dict[str, Any]] = [
        {},
        {"top_n": 2},
        {"top_n": 2, "bucket_span": "2h", "overall_score": 0.1},
        {"start": str(START + HOUR + 1000), "end": str(START + 9 * HOUR)},
        {"exclude_interim": True},
    ]
    with database.reading() as view:
        for asked in options:
            found = view.overall_buckets(["a", "b", "results", "a"], limit=None, **asked)
            assert found.equals(overall_buckets(jobs, limit=None, **asked))
            assert found.num_rows > 0
        assert view.overall_buckets([]).num_rows == 0
        with pytest.raises(NotFoundError, match="No known job with id 'c'"):
            view.overall_buckets(["a", "c"])


def test_categories_are_replaced_whole(database: Database) -> None:
    """The last table of categories is the one there is; one of them, or those of a partition, can be had."""
    columns = {name: [None] * 4 for name in SCHEMAS["categories"].names}
    columns |= {"category_id": [1, 2, 3, 4], "partition_field_value": ["p", "q", "p", "p"]}
    table = pa.table(columns, SCHEMAS["categories"])
    with database.transaction() as tx:
        tx.replace_table("a", "categories", table.slice(0, 1))
        tx.replace_table("a", "categories", table)
        tx.replace_table("a", "categorizer_stats", SCHEMAS["categorizer_stats"].empty_table())
    with database.reading() as view:

        def found(**asked: Any) -> tuple[list[int], int]:
            page = view.categories("a", **asked)
            return page.table["category_id"].to_pylist(), page.count

        assert found() == ([1, 2, 3, 4], 4)
        assert found(category_id=2) == ([2], 1)
        assert found(category_id=9) == ([], 0)
        assert found(partition_field_value="p", from_=1, size=1) == ([3], 3)
        assert view.results("a", "categorizer_stats").count == 0
        assert view.categories("b").count == 0


@pytest.mark.parametrize(
    ("kind", "asked", "message"),
    [
        ("records", {"from_": -1}, r"Parameter \[from\] cannot be < 0"),
        ("records", {"size": -1}, r"Parameter \[size\] cannot be < 0"),
        ("records", {"size": 1.0}, "size: 1.0 is not a whole number"),
        ("records", {"from_": None}, "from: None is not a whole number"),
        ("records", {"from_": 9000, "size": 1001, "limit": 10000}, "cannot be higher than 10000"),
        ("records", {"from_": 10001, "limit": 10000}, "cannot be higher than 10000"),
        (
            "records",
            {"sort": "actual"},
            "records cannot be sorted by 'actual'; allowed: job_id, result_type, ",
        ),
        ("buckets", {"sort": "record_score"}, "buckets cannot be sorted by 'record_score'"),
        ("buckets", {"desc": 1}, "desc: 1 is not true or false"),
        ("buckets", {"exclude_interim": "yes"}, "exclude_interim: 'yes' is not true or false"),
        ("buckets", {"min_score": "9"}, "min_score: '9' is not a number"),
        ("buckets", {"min_score": float("nan")}, "min_score: nan is not a number"),
        ("model_plot", {"min_score": 1}, "model_plot have no score"),
        ("scores", {}, "'scores' is no kind of results; allowed: buckets, "),
        ("buckets", {"start": "yesterday"}, r"Query param \[start\] with value \[yesterday\]"),
        ("buckets", {"start": "20", "end": "10"}, "Invalid time range: end time '10' is earlier"),
    ],
)
def test_wrong_questions(database: Database, kind: str, asked: dict[str, Any], message: str) -> None:
    """A wrong argument is named, with its value and what is allowed."""
    with database.reading() as view, pytest.raises(RequestError, match=message):
        view.results("a", kind, **asked)


def test_a_limit_is_a_size_too(database: Database) -> None:
    """With a limit and no size a page ends there."""
    with database.reading() as view:
        page = view.results("a", "buckets", limit=10, from_=4)
        assert (page.table.num_rows, page.count) == (6, 50)


JOBS = {"web-1": ["web"], "web-2": ["web", "new"], "mail": [], "a.b": ["x_y"]}


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        *[(everything, sorted(JOBS)) for everything in (None, "", "*", "_all", "mail,*", "**")],
        ("mail", ["mail"]),
        (" mail , web-1,mail", ["mail", "web-1"]),
        ("web", ["web-1", "web-2"]),
        ("web*", ["web-1", "web-2"]),
        ("n*w,*2", ["web-2"]),
        ("*.b,x*y", ["a.b"]),
        ("?ail*", []),
        ("*a*a*", []),
        ("a.b*.b", []),
    ],
)
def test_expressions_of_jobs(expr: str | None, found: list[str]) -> None:
    """Ids, groups, lists and wildcards mean the jobs that they fit."""
    assert expand(expr, JOBS) == found


def test_expressions_that_fit_nothing() -> None:
    """An id of nothing is an error always, a wildcard if it is asked for; no jobs at all are none."""
    for expr in ("x", "mail,x", "_al", "web-"):
        with pytest.raises(NotFoundError, match=f"No known job with id '{expr.split(',')[-1]}'"):
            expand(expr, JOBS)
    for groups, expr in ((JOBS, "z*"), ({}, "_all"), ({}, "")):
        assert expand(expr, groups) == []
        with pytest.raises(NotFoundError, match=r"No known job with id '(z\*|_all)'"):
            expand(expr, groups, allow_no_match=False)


@given(st.text("ab", max_size=6), st.text("ab*", min_size=1, max_size=6).filter(lambda text: "*" in text))
def test_wildcards(name: str, pattern: str) -> None:
    """A wildcard fits what the regular expression with .* in its place does."""
    fits = re.fullmatch(pattern.replace("*", ".*"), name) is not None
    assert expand(pattern, {name: []}) == ([name] if fits else [])


def test_exports(database: Database, jobs: list[Job], tmp_path: Path) -> None:
    """Files read again are the stored results, in every format, one file or a folder of them."""
    with database.reading() as view:
        tables = {
            kind: pa.Table.from_batches(
                [batch for _, batch in view.chunks("results", kind, interim=None)], SCHEMAS[kind]
            )
            for kind in ("buckets", "records")
        }
    files = export(database, "results", tmp_path / "out")
    assert files == [tmp_path / "out" / f"{kind}.parquet" for kind in EXPORTED]
    for kind, table in tables.items():
        assert table.num_rows > 0
        assert pq.read_table(tmp_path / "out" / f"{kind}.parquet").equals(table)
    arrow = tmp_path / "records.arrow"
    assert export(database, "results", arrow) == [arrow]
    assert pa.ipc.open_file(arrow).read_all().equals(tables["records"])
    for name in ("r.ndjson", "r.jsonl.gz", "r.json.zst", "r.csv"):
        export(database, "results", tmp_path / name, ["records"])
        packed = {".gz": "gzip", ".zst": "zstd"}.get(Path(name).suffix)
        with pa.input_stream(tmp_path / name, compression=packed) as stream:
            text = stream.read().decode()
        if "csv" in name:
            assert text.count("\n") == tables["records"].num_rows + 1
            continue
        rows = json.loads(text) if ".json." in name else [json.loads(line) for line in text.splitlines()]
        assert rows == list(to_json("records", tables["records"]))
    made = export(database, "results", tmp_path / "more", ["categories", "forecast"], ending=".ndjson.gz")
    assert sorted(os.listdir(tmp_path / "more")) == [path.name for path in made]
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]


def test_forecasts_are_exported(database: Database, tmp_path: Path) -> None:
    """The points of all forecasts go into one file."""
    columns = {name: [None] * 2 for name in FORECAST.names}
    for name in ("f", "g"):
        points = pa.table({**columns, "forecast_id": [name] * 2}, FORECAST)
        with database.transaction() as tx:
            tx.add_forecast("b", StoredForecast(name, 1, None, {}), points)
    [path] = export(database, "b", tmp_path / "f.parquet", ["forecast"])
    assert pq.read_table(path)["forecast_id"].to_pylist() == ["f", "f", "g", "g"]


def test_exports_that_cannot_be(database: Database, tmp_path: Path) -> None:
    """A wrong kind, ending, job or place is a clear error, and no file is left, whole or in part."""
    (tmp_path / "file").write_text("in the way")
    for arguments, error, message in (
        (
            ("a", tmp_path / "x", ["score"]),
            RequestError,
            "kinds: 'score' cannot be exported; allowed: buckets,",
        ),
        (("a", tmp_path / "x.json", ["records", "buckets"]), RequestError, "one file holds one kind"),
        (("a", tmp_path / "x.parquet.gz", ["records"]), RequestError, "of no known format"),
        (("c", tmp_path / "x.json", ["records"]), NotFoundError, "No known job with id 'c'"),
        (("a", tmp_path / "file" / "x.json", ["records"]), StoreError, "cannot be written: "),
    ):
        with pytest.raises(error, match=message):
            export(database, *arguments)
    with pytest.raises(RequestError, match=r"'\.xls' is of no known format"):
        export(database, "a", tmp_path / "x", ending=".xls")
    assert os.listdir(tmp_path) == ["file"]
