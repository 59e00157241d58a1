"""The command line over a store: interrupts, killed processes, and two of them on one job."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.samples import HOURS, csv_text, errors_of, rows, run, started
from tests.cli.storesamples import answer, answers, in_batches, ok, stored

from tidegate.job import Job
from tidegate.store import StoredJob

LONG = 8 << 20
"""Bytes that are surely more than what is read before the first records are posted."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the closed job ``web``, which commands find by themselves."""
    monkeypatch.setenv("TIDEGATE_STORE", str(tmp_path / "store"))
    return stored(tmp_path / "store")


@pytest.fixture
def in_peace(tmp_path: Path) -> list[dict[str, object]]:
    """The results of a job that nothing happens to."""
    other = stored(tmp_path / "peace")
    ok("job", "run", "web", "-", "--store", other, input=csv_text(rows()))
    return _results("--store", other)


def _results(*options: object) -> list[dict[str, object]]:
    kinds = ("buckets", "records", "influencers", "model-plot")
    found = [one for kind in kinds for one in answers("results", kind, "web", *options)]
    return [{name: one[name] for name in one if name != "processing_time_ms"} for one in found]


@pytest.mark.parametrize("at_batch", [1, 2, 4])
@pytest.mark.parametrize("place", ["amid a post", "between two posts"])
@pytest.mark.parametrize("command", ["post", "run"])
def test_ctrl_c_tells_where_to_go_on(
    command: str,
    place: str,
    at_batch: int,
    store: Path,
    tmp_path: Path,
    in_peace: list[dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Interrupted at any batch, a file is gone on with at the record that is named, and nothing changes."""
    path = in_batches(tmp_path / "web.arrow", rows())
    if command == "post":
        ok("job", "open", "web")
    calls = []

    def interrupting(name: str, owner: type) -> None:
        original = getattr(owner, name)

        def wrapper(*args: object, **options: object) -> object:
            calls.append(1)
            done = original(*args, **options) if place == "between two posts" else None
            if len(calls) == at_batch:
                signal.raise_signal(signal.SIGINT)
            return original(*args, **options) if done is None else done

        monkeypatch.setattr(owner, name, wrapper)

    if place == "amid a post":
        interrupting("_take_piece", Job)  # the call is in the log by then, and Ctrl-C waits
    else:
        interrupting("post", StoredJob)
    result = run("job", command, "web", path)
    monkeypatch.undo()
    monkeypatch.setenv("TIDEGATE_STORE", str(store))
    kept = 100 * at_batch
    assert result.exit_code == 130, result.output
    assert result.stdout == ""
    assert f"s; {kept} records of {path} are kept, the last at 2023-11-" in result.stderr
    assert result.stderr.endswith(f"Z; post the rest with --skip {kept}\n")
    assert answer("job", "stats")["state"] == ("opened" if command == "post" else "closed")
    ok("job", command, "web", path, "--skip", kept)
    if command == "post":
        ok("job", "flush", "web")
        ok("job", "close", "web")
    assert _results() == in_peace


def test_skip_passes_over_the_start_of_a_pipe(store: Path, in_peace: list[dict[str, object]]) -> None:
    """--skip counts records wherever batches end, and what is posted is counted alone."""
    records = rows()
    ok("job", "run", "web", "-", input=csv_text(records[:37]))
    result = run("job", "run", "web", "-", "--skip", 37, "--json", input=csv_text(records))
    assert json.loads(result.stdout)["processed_record_count"] == 400 - 37
    assert _results() == in_peace


@contextmanager
def _posting(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that has the job and waits for the rest of a named pipe, and the end to write to."""
    os.mkfifo(path := tmp_path / "pipe")
    ours, theirs = pty.openpty()
    with started("job", "post", "web", path, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        pipe = os.open(path, os.O_WRONLY)
        try:
            text = "\n".join(json.dumps(record) for record in rows()).encode()
            _write(pipe, text + b"\n" + b"\n" * LONG)
            shown = b""
            while b"400 records" not in shown:
                shown += os.read(ours, 4096)
            assert shown.startswith(b"\ropening web ...")
            yield process, pipe
        finally:
            os.close(pipe)
            process.wait()
            os.close(ours)


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data[: 1 << 16]) :]


def test_one_process_at_a_time_is_at_work_on_a_job(store: Path, tmp_path: Path) -> None:
    """While a process posts, others can read but not write, and are told who does."""
    ok("job", "open", "web")
    with _posting(tmp_path) as (process, _):
        for command in (
            ("flush", "web"),
            ("run", "web", "-"),
            ("close", "web"),
            ("delete", "web", "--force"),
        ):
            (message,) = errors_of("job", *command, input=csv_text(rows()))
            assert message.startswith("Cannot ")
            assert message.endswith(f"because it has already been opened by process {process.pid}")
        assert answer("job", "stats")["state"] == "opened"
        assert answers("results", "records", "web") == []
    assert process.returncode == 0
    ok("job", "flush", "web")
    assert len(answers("results", "buckets", "web")) == HOURS - 1


def test_a_killed_process_loses_nothing(
    store: Path, tmp_path: Path, in_peace: list[dict[str, object]]
) -> None:
    """What was posted before a kill is there, and the job can be flushed and closed."""
    ok("job", "open", "web")
    with _posting(tmp_path) as (process, _):
        process.kill()
        process.wait()
    assert answer("job", "stats")["state"] == "opened"
    ok("job", "flush", "web")
    ok("job", "close", "web")
    assert _results() == in_peace


def test_sigint_ends_a_process_that_posts(
    store: Path, tmp_path: Path, in_peace: list[dict[str, object]]
) -> None:
    """A process that waits for more records ends at once on Ctrl-C, with all it was given kept."""
    ok("job", "open", "web")
    with _posting(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    ok("job", "flush", "web")
    ok("job", "close", "web")
    assert _results() == in_peace


def test_a_closed_pipe_is_quiet(store: Path, file: Path) -> None:
    """When nobody reads what is said, everything is done all the same, without a word."""
    with started("job", "run", "web", file, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert err == b""
    assert process.returncode == 1
    assert answer("job", "stats")["state"] == "closed"
    assert len(answers("results", "buckets", "web")) == HOURS - 1


def test_a_job_that_is_open_elsewhere_is_closed_by_whoever_comes(store: Path, file: Path) -> None:
    """A job that was marked open, with nobody at work, is closed properly."""
    ok("job", "open", "web")
    assert errors_of("job", "open", "web") == ["Cannot open job [web] because it has already been opened"]
    ok("job", "post", "web", file)
    ok("job", "close", "web")
    assert len(answers("results", "buckets", "web")) == HOURS - 1
