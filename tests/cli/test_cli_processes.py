"""The command line: progress, interrupts and true processes."""

from __future__ import annotations

import contextlib
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
import pytest
from tests.cli.samples import BY_HOST, MEAN, TAXI, csv_text, json_text, rows, run, started

import tidegate
from tidegate.cli.failures import Interrupted
from tidegate.cli.interrupts import Interruptible
from tidegate.cli.progress import Progress


def test_progress_shows_the_part_that_is_read() -> None:
    """The line has the part of the bytes, or of the rows where they are known, and the rate."""
    line = Progress(total_bytes=1000).line(5000, 250, 2.0)
    assert line == "[######------------------]  25%  5,000 records, 2,500 records/s"
    assert "50%" in Progress(total_bytes=1000, total_rows=10_000).line(5000, 0, 2.0)
    assert Progress().line(5000, 0, 2.0) == "5,000 records, 2,500 records/s"


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


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("detect", "--help"),
        ("detect", "--nope"),
        ("functions",),
        ("job", "--help"),
        ("job", "post", "-h"),
        ("results", "records", "--nope"),
    ],
)
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
