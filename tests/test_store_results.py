"""Results in the database against the naive twin: growing, lowered, cut, and asked for in any way."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive_resultstore import SCORES, TIES, NaiveResults, Row

from tidegate import StoreError
from tidegate.store import chunks, resultrows
from tidegate.store.chunks import FAN, SCHEMAS, level
from tidegate.store.database import Database, Transaction, View

START = 1_700_000_000_000
SECOND = 1000
LEVELS = [0.0, 0.5, 50.0, 99.5]
TEXTS = [None, "a", "b", "é"]
EXTRA = {"records": ["probability", "over_field_value"], "model_plot": ["model_median"]}


def make_row(draw: st.DrawFn, kind: str, time: int, interim: bool) -> Row:
    """A row of a kind with what matters drawn from a few values, so that many are equal."""
    row: Row = dict.fromkeys(SCHEMAS[kind].names)
    row["timestamp"] = time
    row["is_interim"] = interim
    for name in ("over_field_value", "partition_field_value", "by_field_value", "field_name", "function"):
        if name in row:
            row[name] = draw(st.sampled_from(TEXTS))
    if name := SCORES.get(kind):
        row[name] = row[f"initial_{name}"] = draw(st.sampled_from(LEVELS))
    if kind == "model_plot":
        row["model_median"] = draw(st.sampled_from(LEVELS))
        del row["is_interim"]
    if kind == "buckets":
        inner = [(None, score) for score in draw(st.lists(st.sampled_from(LEVELS), max_size=2))]
        fields = [field.name for field in SCHEMAS[kind].field("bucket_influencers").type.value_type]
        row["bucket_influencers"] = [
            {**dict.fromkeys(fields), "anomaly_score": score, "initial_anomaly_score": score}
            for _, score in inner
        ]
    return row


@st.composite
def additions(draw: st.DrawFn) -> tuple[str, bool, list[tuple[int, Row]]]:
    """Some rows of a kind, each with the seconds since the one before."""
    kind = draw(st.sampled_from(sorted(TIES)))
    interim = kind != "model_plot" and draw(st.booleans())
    steps = draw(st.lists(st.integers(0, 2), max_size=draw(st.sampled_from([3, 30]))))
    return kind, interim, [(step, make_row(draw, kind, 0, interim)) for step in steps]


times = st.none() | st.integers(-1, 60).map(lambda second: START + second * SECOND)
operations = st.one_of(
    additions().map(lambda made: ("add", *made)),
    additions().map(lambda made: ("add", *made)),
    st.just(("drop_interim",)),
    st.tuples(st.just("drop"), times, times),
    st.tuples(
        st.just("rescore"),
        st.sampled_from(sorted(SCORES)),
        st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from(LEVELS)), max_size=5),
    ),
)


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A question: any of the options."""
    kind = draw(st.sampled_from(sorted(TIES)))
    columns = [*TIES[kind], *EXTRA.get(kind, []), "timestamp"]
    start, end = draw(times), draw(times)
    options: dict[str, Any] = {
        "start": start,
        "end": end if start is None or end is None else max(start, end),
        "exclude_interim": draw(st.booleans()),
        "sort": draw(st.none() | st.sampled_from(columns)),
        "desc": draw(st.none() | st.booleans()),
        "from_": draw(st.sampled_from([0, 0, 1, 5])),
        "size": draw(st.sampled_from([None, 0, 1, 10])),
    }
    if kind in SCORES:
        options["min_score"] = draw(st.sampled_from([0, 0.5, 20]))
    return kind, options


def apply(operation: tuple[Any, ...], tx: Transaction, job_id: str, naive: NaiveResults) -> None:
    """The same operation on both; rows come at or after the last of their sort, as those of a job do."""
    match operation:
        case ("add", kind, interim, steps):
            rows, time = [], latest(naive, kind, interim)
            for step, row in steps:
                time += step * SECOND
                rows.append({**row, "timestamp": time})
            table = pa.Table.from_pylist(rows, SCHEMAS[kind])
            first = tx.add_results(job_id, kind, table, interim=interim)
            assert interim or first == naive.next[kind]
            naive.add(kind, copy.deepcopy(rows), interim)
        case ("drop_interim",):
            tx.drop_interim(job_id)
            naive.drop_interim()
        case ("drop", from_ms, before_ms) if (from_ms, before_ms) != (None, None):
            tx.drop_results(job_id, from_ms=from_ms, before_ms=before_ms)
            naive.drop(from_ms, before_ms)
        case ("rescore", kind, shares) if naive.final[kind]:
            new = {int(share * (naive.next[kind] - 1)): score for share, score in shares}
            tx.rescore(job_id, kind, np.array([*new], np.int64), np.array([*new.values()]))
            for number, score in new.items():
                naive.rescore(kind, number, score)


def latest(naive: NaiveResults, kind: str, interim: bool) -> int:
    rows = naive.interim[kind] if interim else [*naive.final[kind].values()]
    return max((row["timestamp"] for row in rows), default=START)


def assert_same(view: View, job_id: str, naive: NaiveResults) -> None:
    """All rows, their numbers and their order are the same, and there are few chunks."""
    following = view.next_rows(job_id)
    for kind in TIES:
        assert following[kind] == naive.next[kind], kind
        stored = {
            first + i: row
            for first, batch in view.chunks(job_id, kind)
            for i, row in enumerate(batch.to_pylist())
        }
        assert stored == naive.final[kind]
        interim = [row for _, batch in view.chunks(job_id, kind, interim=True) for row in batch.to_pylist()]
        assert interim == naive.interim[kind]


@pytest.mark.parametrize("full_bytes", [1 << 24, 1500])
@given(
    st.lists(st.tuples(st.sampled_from(["one", "two"]), operations), max_size=12),
    st.lists(queries(), max_size=8),
)
def test_results_are_those_of_the_twin(
    full_bytes: int,
    made: list[tuple[str, tuple[Any, ...]]],
    asked: list[tuple[str, dict[str, Any]]],
) -> None:
    """Whatever is added, lowered and cut, each of two jobs has its rows, and queries find the right ones."""
    naive = {"one": NaiveResults(), "two": NaiveResults()}
    with (
        mock.patch.object(chunks, "FULL_BYTES", full_bytes),
        mock.patch.object(resultrows, "FULL_BYTES", full_bytes),
        mock.patch("tidegate.store.queries._SLACK", 5),
        tempfile.TemporaryDirectory() as folder,
        Database(Path(folder) / "store.db") as database,
    ):
        with database.transaction() as tx:
            for job_id in naive:
                tx.create_job(job_id, {}, created_ms=0)
        for job_id, operation in made:
            with database.transaction() as tx:
                apply(operation, tx, job_id, naive[job_id])
        with database.reading() as view:
            for job_id, twin in naive.items():
                assert_same(view, job_id, twin)
                for kind, options in asked:
                    page = view.results(job_id, kind, **options)
                    assert (page.table.to_pylist(), page.count) == twin.find(kind, **options)
        with database.transaction() as tx:
            tx.delete_job("one")
        with database.reading() as view:
            assert_same(view, "two", naive["two"])


def records(times: Any, **columns: Any) -> pa.Table:
    """Records at these times, scored 90."""
    n = len(times)
    made = {"timestamp": times, "is_interim": [False] * n, "record_score": [90.0] * n, **columns}
    made["initial_record_score"] = made["record_score"]
    return pa.table(
        [pa.array(made.get(f.name, [None] * n), f.type) for f in SCHEMAS["records"]], SCHEMAS["records"]
    )


@pytest.fixture
def database(tmp_path: Path) -> Any:
    with Database(tmp_path / "store.db") as opened:
        with opened.transaction() as tx:
            tx.create_job("j", {}, created_ms=0)
        yield opened


def test_many_small_commits_make_few_chunks(database: Database) -> None:
    """A commit for every row leaves at most FAN - 1 chunks of each size, with all rows."""
    for i in range(700):
        with database.transaction() as tx:
            tx.add_results("j", "records", records([START + i]))
    with database.reading() as view:
        sizes = [batch.num_rows for _, batch in view.chunks("j", "records")]
        assert sum(sizes) == 700
        assert sizes == sorted(sizes, reverse=True)
        assert all([level(n) for n in sizes].count(k) < FAN for k in range(5))
        assert view.results("j", "records").table["timestamp"].to_pylist() == [START + i for i in range(700)]


def test_large_chunks_are_left_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table larger than a chunk becomes several, and none of them is written again."""
    for module in (chunks, resultrows):
        monkeypatch.setattr(module, "FULL_BYTES", 1 << 14)
    table = records([START + i for i in range(3000)])

    def numbers() -> list[int]:
        with database.reading() as view:
            return [chunk.number for chunk in view._found("row_count > 50", [])]

    with database.transaction() as tx:
        tx.add_results("j", "records", table)
    before = numbers()
    assert len(before) >= table.nbytes >> 14 > 10
    for i in range(50):
        with database.transaction() as tx:
            tx.add_results("j", "records", records([START + 3000 + i]))
    assert numbers() == before


def test_a_slice_is_stored_without_the_rest(database: Database) -> None:
    """A row that was cut from a long table takes what it takes alone."""
    many = records([START] * 50_000, actual=[[1.0, 2.0]] * 50_000, function=["mean"] * 50_000)
    packed = chunks.pack(many.slice(10, 1).to_batches()[0])
    assert packed.nbytes < 10_000
    assert chunks.unpack(packed, many.schema).to_pylist() == many.slice(10, 1).to_pylist()


def test_few_changes_of_a_large_chunk_are_small(database: Database) -> None:
    """To lower ten of 200,000 scores writes some pages, not the chunk, nor all its scores."""
    rows = 200_000
    with database.transaction() as tx:
        tx.add_results("j", "records", records(np.arange(rows) + START))
        tx.rescore("j", "records", np.arange(rows), np.full(rows, 50.0))
    database.shrink()
    log = Path(f"{database.path}-wal")
    assert log.stat().st_size == 0
    changed = np.arange(10) * 20_000
    with database.transaction() as tx:
        tx.rescore("j", "records", changed, np.arange(10.0))
    assert 0 < log.stat().st_size < 200_000
    with database.reading() as view:
        found = view.results("j", "records", sort="timestamp", desc=False).table["record_score"].to_numpy()
    expected = np.full(rows, 50.0)
    expected[changed] = np.arange(10.0)
    assert np.array_equal(found, expected)


def test_rows_that_are_not_there_get_no_score(database: Database) -> None:
    """A number that no row has had is an error; one that retention has dropped is passed over."""
    with database.transaction() as tx:
        tx.add_results("j", "records", records([START, START + 10]))
        tx.drop_results("j", before_ms=START + 5)
        tx.rescore("j", "records", np.array([0, 1]), np.array([1.0, 2.0]))
        tx.rescore("j", "records", np.array([0]), np.array([3.0]))
    with pytest.raises(StoreError, match="there is no row 2"), database.transaction() as tx:
        tx.rescore("j", "records", np.array([0, 2]), np.array([1.0, 2.0]))
    with database.reading() as view:
        assert view.results("j", "records").table["record_score"].to_pylist() == [2.0]


def test_rows_out_of_time_order_are_refused(database: Database) -> None:
    """Rows that go back in time, in one table or after another, are not added."""
    with database.transaction() as tx:
        tx.add_results("j", "records", records([START]))
    for wrong in ([START + 2, START + 1], [START - 1]):
        with pytest.raises(StoreError, match="not in time order"), database.transaction() as tx:
            tx.add_results("j", "records", records(wrong))
    with pytest.raises(StoreError, match="do not have the columns of buckets"), database.transaction() as tx:
        tx.add_results("j", "buckets", records([START]))
    with database.reading() as view:
        assert view.results("j", "records").count == 1


def test_without_times_everything_goes(database: Database) -> None:
    """`drop_results` alone empties the job, categories too, and rows are numbered from 0 again."""
    with database.transaction() as tx:
        tx.add_results("j", "records", records([START]))
        tx.replace_table("j", "categories", SCHEMAS["categories"].empty_table())
        tx.drop_results("j")
        assert tx.add_results("j", "records", records([START - 5])) == 0
