"""A store keeps jobs: what it is asked for, and what it says."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from tests.stored import START_S, assert_same, config, in_memory, new_store, results, table

import tidegate
from tidegate import ConfigError, ExistsError, NotFoundError, RequestError, StateError, Store, StoreError
from tidegate.store.retention import expired_snapshots


@pytest.mark.parametrize("durability", ["post", "flush", "close"])
def test_a_stored_job_finds_what_a_job_in_memory_finds(tmp_path: Path, durability: str) -> None:
    """However often it is closed and opened between two posts."""
    with new_store(tmp_path, durability=durability) as store:
        for part in range(12):
            with store.open_job("web") as job:
                job.post(table(part))
        assert_same(job, in_memory(range(12)))


def test_results_can_be_read_when_a_flush_returns(tmp_path: Path) -> None:
    """By the job, the store, and another store object on the same folder; interim ones too."""
    with new_store(tmp_path) as store, Store(tmp_path) as other:
        job = store.open_job("web")
        for part in range(4):
            job.post(table(part))
        job.flush(calc_interim=True)
        memory = tidegate.Job(config())
        for part in range(4):
            memory.post(table(part))
        memory.flush(calc_interim=True)
        expected = results(memory)
        assert expected["buckets"]["is_interim"].to_pylist()[-1]
        for reader in (job,):
            assert results(reader)["buckets"].equals(expected["buckets"])
        assert other.buckets("web").drop_columns("processing_time_ms").equals(expected["buckets"])
        assert other.buckets("web", exclude_interim=True).num_rows == expected["buckets"].num_rows - 1


def test_interim_results_go_with_the_next_bucket_after_reopening(tmp_path: Path) -> None:
    """Not at the close, and not at the opening."""
    with new_store(tmp_path) as store:
        with store.open_job("web") as job:
            job.post(table(0))
            job.flush(calc_interim=True)
        assert store.buckets("web")["is_interim"].to_pylist().count(True) == 1
        with store.open_job("web") as job:
            assert job.buckets()["is_interim"].to_pylist().count(True) == 1
            job.post(table(1))
            job.flush()
            assert job.buckets()["is_interim"].to_pylist().count(True) == 0


def test_jobs_are_shown_with_what_the_store_adds(tmp_path: Path) -> None:
    """Times of creation and closing, the snapshot it starts from; absent where there is none."""
    with new_store(tmp_path) as store:
        [fresh] = store.jobs("web")
        assert "create_time" in fresh
        assert not {"finished_time", "model_snapshot_id"} & fresh.keys()
        with store.open_job("web") as job:
            job.post(table(0))
        [closed] = store.jobs()
        assert closed["model_snapshot_id"] == store.model_snapshots("web")[0]["snapshot_id"]
        assert closed["finished_time"] >= closed["create_time"]
        assert json.loads(json.dumps(closed)) == closed


def test_stats_are_there_at_once_and_follow_the_job(tmp_path: Path) -> None:
    """Zeros after creation; counts of an open job as of now, of a closed one as of its close."""
    with new_store(tmp_path) as store:
        [stats] = store.job_stats("web")
        assert (stats["state"], stats["data_counts"]["processed_record_count"]) == ("closed", 0)
        job = store.open_job("web")
        job.post(table(0))
        [stats] = store.job_stats("web")
        assert (stats["state"], stats["data_counts"]["processed_record_count"]) == ("opened", 120)
        assert stats["open_time"].endswith("s")
        job.close()
        [stats] = store.job_stats("web")
        assert stats["data_counts"] == job.data_counts.to_dict()
        assert stats["timing_stats"]["bucket_count"] == store.buckets("web").num_rows
        assert "open_time" not in stats


def test_nothing_is_persisted_where_there_was_nothing(tmp_path: Path) -> None:
    """A job without records and time has no snapshot; after an advance it has one."""
    with new_store(tmp_path) as store:
        store.open_job("web").close()
        assert store.model_snapshots("web") == []
        with store.open_job("web") as job:
            job.flush(advance_time=START_S)
        assert len(store.model_snapshots("web")) == 1


@pytest.mark.parametrize("job_id", ["../up", "a/b", "A", "", ".hidden", "a" * 65, "a\x00b"])
def test_an_id_that_is_no_name_reaches_no_path(tmp_path: Path, job_id: str) -> None:
    """It is refused when the job is put, and unknown everywhere else."""
    with Store(tmp_path / "store") as store:
        with pytest.raises(ConfigError, match="job"):
            store.put_job(config(job_id))
        with pytest.raises(NotFoundError, match="No known job"):
            store.open_job(job_id)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir()) == ["jobs", "store"]


def test_names_of_jobs_and_groups_are_unique(tmp_path: Path) -> None:
    """An id is taken once, and is no group's name."""
    with new_store(tmp_path) as store:
        with pytest.raises(ExistsError, match="The job cannot be created with the Id 'web'"):
            store.put_job(config())
        with pytest.raises(ExistsError, match=r"job \[web\] and group \[web\]"):
            store.put_job(config("other", groups=["web"]))
        store.put_job(config("other", groups=["group"]))
        with pytest.raises(ExistsError, match=r"job \[group\] and group \[group\]"):
            store.put_job(config("group"))


def test_a_job_is_opened_once(tmp_path: Path) -> None:
    """A second opening is refused, from this store object and from another one, until it is closed."""
    with new_store(tmp_path) as store, Store(tmp_path) as other:
        job = store.open_job("web")
        for opener in (store, other):
            with pytest.raises(
                StateError, match=r"Cannot open job \[web\] because it has already been opened"
            ):
                opener.open_job("web")
        job.close()
        other.open_job("web").close()


def test_what_is_open_is_not_deleted_reset_or_reverted(tmp_path: Path) -> None:
    """All of it waits for the close; with force a job is deleted anyway."""
    with new_store(tmp_path) as store:
        job = store.open_job("web")
        for refused in (store.delete_job, store.reset_job, lambda one: store.revert(one, "empty")):
            with pytest.raises(StateError):
                refused("web")
        store.delete_job("web", force=True)
        assert store.jobs() == []
        with pytest.raises(StateError):
            job.post(table(0))


def test_deleting_one_job_leaves_the_other(tmp_path: Path) -> None:
    """Its results, snapshots and files; a new job of the old id knows nothing of the first."""
    with new_store(tmp_path) as store:
        store.put_job(config("other"))
        for job_id in ("web", "other"):
            with store.open_job(job_id) as job:
                for part in range(4):
                    job.post(table(part))
        before = store.buckets("other"), store.model_snapshots("other")
        store.delete_job("web")
        assert (store.buckets("other"), store.model_snapshots("other")) == before
        store.put_job(config())
        assert store.buckets("web").num_rows == 0
        with store.open_job("web") as job:
            assert job.data_counts.processed_record_count == 0
            for part in range(4):
                job.post(table(part))
        assert (
            results(job)["records"]
            .drop_columns("job_id")
            .equals(results(in_memory(range(4)))["records"].drop_columns("job_id"))
        )


def test_reset_takes_a_job_back_to_where_it_was_created(tmp_path: Path) -> None:
    """No results, no snapshot, no counts; then it finds what a new one finds."""
    with new_store(tmp_path) as store:
        with store.open_job("web") as job:
            job.post(table(0))
            job.flush(calc_interim=True)
        store.reset_job("web")
        assert store.buckets("web").num_rows == 0
        assert store.model_snapshots("web") == []
        assert store.job_stats("web")[0]["data_counts"]["processed_record_count"] == 0
        assert store.messages("web")[-1]["message"] == "Job has been reset"
        with store.open_job("web") as job:
            for part in range(6):
                job.post(table(part))
        assert_same(job, in_memory(range(6)))


def test_a_job_goes_back_to_a_snapshot(tmp_path: Path) -> None:
    """Then the same records give the same results again; another job is not touched."""
    with new_store(tmp_path) as store:
        store.put_job(config("other"))
        with store.open_job("other") as other:
            other.post(table(0))
        for part in range(8):
            with store.open_job("web") as job:
                job.post(table(part))
        expected, kept = results(job), store.buckets("other")
        snapshot = store.model_snapshots("web")[3]
        shown = store.revert("web", snapshot["snapshot_id"], delete_intervening_results=True)
        assert shown["snapshot_id"] == snapshot["snapshot_id"]
        latest = store.buckets("web")["timestamp"].to_pylist()[-1]
        assert latest == snapshot["latest_result_time_stamp"]
        latest_record = store.job_stats("web")[0]["data_counts"]["latest_record_timestamp"]
        assert latest_record == snapshot["latest_record_time_stamp"]
        with store.open_job("web") as job:
            for part in range(5, 8):
                job.post(table(part))
        for kind, found in results(job).items():
            assert found.equals(expected[kind]), kind
        assert store.buckets("other").equals(kept)
        store.revert("web", "empty", delete_intervening_results=True)
        assert store.buckets("web").num_rows == 0


def test_snapshots_are_described_kept_and_deleted(tmp_path: Path) -> None:
    """All but the one that the job starts from."""
    with new_store(tmp_path) as store:
        for part in range(3):
            with store.open_job("web") as job:
                job.post(table(part))
        newest, _, oldest = store.model_snapshots("web")
        changed = store.update_snapshot("web", oldest["snapshot_id"], description="before", retain=True)
        assert (changed["description"], changed["retain"]) == ("before", True)
        with pytest.raises(RequestError, match="is the active snapshot for job 'web', so cannot be deleted"):
            store.delete_snapshot("web", newest["snapshot_id"])
        store.delete_snapshot("web", oldest["snapshot_id"])
        assert len(store.model_snapshots("web")) == 2
        with pytest.raises(NotFoundError, match="No model snapshot with id"):
            store.revert("web", oldest["snapshot_id"])


def test_forced_close_keeps_what_was_posted(tmp_path: Path) -> None:
    """It is done again when the job is opened."""
    with new_store(tmp_path) as store:
        for part in range(6):
            job = store.open_job("web")
            job.post(table(part))
            store.close_job("web", force=part % 2 == 0)
        with store.open_job("web") as job:
            pass
        assert_same(job, in_memory(range(6)))


def test_settings_calendars_and_filters_reach_an_open_job(tmp_path: Path) -> None:
    """From its next call on, from another store object too; and they hold after the next opening."""
    skipped = {"actions": ["skip_result"], "scope": {"host": {"filter_id": "safe"}}}
    with new_store(tmp_path) as store, Store(tmp_path) as other:
        store.put_filter({"filter_id": "safe", "items": ["h1"]})
        job = store.open_job("web")
        job.post(table(0))
        other.put_calendar({"calendar_id": "holidays", "job_ids": ["web"]})
        start = (START_S + 1500) * 1000
        event = {"description": "fair", "start_time": start, "end_time": start + SPAN}
        other.add_events("holidays", [event])
        store.update_job("web", {"detectors": [{"detector_index": 0, "custom_rules": [skipped]}]})
        job.post(table(1))
        job.flush()
        lists = job.buckets()["scheduled_events"].to_pylist()
        assert ["fair"] in lists
        assert job.config.analysis_config.detectors[0].custom_rules
        with pytest.raises(StateError, match=r"Cannot delete filter \[safe\] currently used by jobs \[web\]"):
            store.delete_filter("safe")
        other.update_filter("safe", add_items=["h2"])
        job.flush()
        assert job.filters[0].items == ("h1", "h2")
        job.close()
        with store.open_job("web") as job:
            assert job.filters[0].items == ("h1", "h2")
            assert job.calendars[0].events[0].description == "fair"


SPAN = 600_000


def test_forecasts_are_kept_until_they_are_deleted(tmp_path: Path) -> None:
    """They outlive the job's opening; their expiry is by the wall clock."""
    with new_store(tmp_path) as store:
        with store.open_job("web") as job:
            for part in range(60):
                job.post(table(part))
            points = job.forecast("1h")
        assert store.forecasts("web").equals(points)
        assert store.job_stats("web")[0]["forecasts_stats"]["total"] == 1
        with store.open_job("web") as job:
            assert job.forecasts().equals(points)
            job.delete_forecast()
        assert store.forecasts("web").num_rows == 0


def test_a_post_that_fails_half_way_is_told_as_in_memory(tmp_path: Path) -> None:
    """What came before the unreadable place stays; so it is after the next opening."""

    def stream(parts: int) -> pa.RecordBatchReader:
        batches = [batch for part in range(parts) for batch in table(part).to_batches()]

        def read() -> object:
            yield from batches
            raise pa.ArrowInvalid("cut")

        return pa.RecordBatchReader.from_batches(batches[0].schema, read())

    with new_store(tmp_path) as store:
        job = store.open_job("web")
        memory = tidegate.Job(config())
        for one in (job, memory):
            with pytest.raises(tidegate.DataError, match="cut"):
                one.post(stream(3))
        store.close_job("web", force=True)
        with store.open_job("web") as job:
            pass
        memory.close()
        assert_same(job, memory)


def test_results_and_snapshots_are_kept_as_long_as_configured(tmp_path: Path) -> None:
    """Results older than their days go when the job is persisted; snapshots by their own days."""
    with Store(tmp_path) as store:
        store.put_job(config(results_retention_days=1))
        for part in range(0, 160, 8):
            with store.open_job("web") as job:
                for one in range(part, part + 8):
                    job.post(table(one))
        times = store.buckets("web")["timestamp"].to_pylist()
        assert times[-1] - times[0] <= 86_400_000
        assert times[-1] - times[0] > 80_000_000
        assert set(store.records("web")["timestamp"].to_pylist()) <= set(times)


@dataclass
class Dated:
    """A snapshot, as far as its retention goes; its age in days."""

    snapshot_id: str
    age: float
    retain: bool = False

    @property
    def timestamp(self) -> int:
        return int((1000.0 - self.age) * 86_400_000)


def test_of_old_snapshots_one_a_day_is_kept_and_then_none() -> None:
    """Ages are measured from the newest; the current one and those to be retained stay."""
    ages = (0, 0.2, 0.4, 0.6, 1.6, 1.7, 1.8, 5.1, 5.2, 11, 12, 13, 14)
    given = [Dated(str(age), age, retain=age == 12) for age in ages]
    parsed = tidegate.JobConfig.parse(config())
    gone = {one.snapshot_id for one in expired_snapshots(given, parsed, current="13")}
    assert gone == {"1.6", "1.7", "5.1", "11", "14"}


def test_what_has_expired_goes_when_it_is_asked_for(tmp_path: Path) -> None:
    """Of a closed job, whose retention was shortened since it was persisted."""
    with new_store(tmp_path) as store:
        for part in range(0, 160, 8):
            with store.open_job("web") as job:
                for one in range(part, part + 8):
                    job.post(table(one))
        before = store.buckets("web").num_rows
        store.update_job("web", {"results_retention_days": 1})
        assert store.buckets("web").num_rows == before
        assert store.delete_expired() == {"deleted": True}
        assert 280 <= store.buckets("web").num_rows <= 288 < before


@pytest.mark.parametrize("setting", ["results_index_name", "background_persist_interval"])
def test_settings_of_storage_are_taken(tmp_path: Path, setting: str) -> None:
    """A store honours them, or shows them as they were given."""
    value = {"results_index_name": "mine", "background_persist_interval": "2h"}[setting]
    with Store(tmp_path) as store:
        shown = store.put_job(config(**{setting: value}))
        assert shown[setting] == {"results_index_name": "custom-mine"}.get(setting, value)


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """A file, a missing folder that is not to be made, a database of somebody else, a wrong option."""
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(StoreError, match="file"):
        Store(file)
    with pytest.raises(StoreError, match="there is no store here"):
        Store(tmp_path / "none", create=False)
    with pytest.raises(RequestError, match="durability: 'always' is none of post, flush, close"):
        Store(tmp_path / "other", durability="always")


def test_a_store_leaves_no_files_open(tmp_path: Path) -> None:
    """Neither after closing nor when a job could not be opened."""
    with new_store(tmp_path) as store:
        with store.open_job("web") as job:
            job.post(table(0))
        with pytest.raises(NotFoundError):
            store.open_job("unknown")
    gc.collect()
    links = (path for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    assert not [path for path in links if str(tmp_path) in str(path.readlink())]
