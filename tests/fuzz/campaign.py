"""A target kept busy in a process of its own, again and again until the time is up; what was found."""

from __future__ import annotations

import hashlib
import mmap
import resource
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.engines import ENGINES
from tests.fuzz.oracle import Finding, examine
from tests.fuzz.targets import target_of

ADDRESSES_BYTES = 8 << 30
"""What a process may map in all: it dies, and not the machine."""
MOST_DEATHS = 20
_HEAD = struct.Struct("<QQ")
_ROOM = 1 << 20


class Note:
    """The number of inputs so far and the last one, in a file that outlives the process."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_ROOM))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _ROOM)

    def begin(self, data: bytes) -> None:
        """Writes down an input before it is run."""
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        self._map[: _HEAD.size] = _HEAD.pack(self.read()[0] + 1, len(data))

    def read(self) -> tuple[int, bytes]:
        """How many inputs there were, and the last one."""
        number, length = _HEAD.unpack(self._map[: _HEAD.size])
        return number, self._map[_HEAD.size : _HEAD.size + length]


@dataclass(slots=True)
class Report:
    """What became of a campaign."""

    target: str
    engine: str
    executions: int = 0
    seconds: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{self.target} {self.engine}: {self.executions} inputs in {self.seconds / 60:.1f} min, "
        return head + f"{len(self.findings)} findings" + "".join(f"\n  {where}" for where in self.findings)


def save(finding: Finding, folder: Path) -> Path:
    """Writes an input, and what it did, into a folder; the same place only once."""
    name = f"{finding.kind}-{hashlib.sha256(finding.where.encode()).hexdigest()[:12]}"
    path = folder / f"{name}.input"
    if not path.exists():
        path.write_bytes(finding.data)
        path.with_suffix(".txt").write_text(
            f"{finding.kind}: {finding.where}\n{finding.detail}\n", errors="replace"
        )
    return path


def work(name: str, engine: str, seconds: float, seed: int, folder: Path) -> None:
    """What the process of a campaign does: runs inputs, and saves what it finds."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES_BYTES, ADDRESSES_BYTES))
    note = Note(folder / "note")
    deadly = {path.read_bytes() for path in folder.glob("death-*.input")}
    check = None

    def run(data: bytes) -> None:
        nonlocal check
        check = check or target_of(name).check  # by now what the engine wants instrumented is
        if data in deadly:
            return
        note.begin(data)
        finding = examine(check, data)
        if finding is not None:
            save(finding, folder)

    ENGINES[engine](name, run, seconds, seed)


def run_campaign(name: str, engine: str, seconds: float, seed: int, folder: Path) -> Report:
    """Keeps a target busy for some seconds; the death of a process is a finding, and another goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    note, report = Note(folder / "note"), Report(name, engine)
    start, end, deaths = time.monotonic(), time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 1 and deaths < MOST_DEATHS:
        command = [sys.executable, "-m", "tests.fuzz", name, "--engine", engine, "--seed", str(seed + deaths)]
        command += ["--minutes", str(left / 60), "--folder", str(folder), "--work"]
        with (folder / "log").open("ab") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                code = child.wait(left + 120)
            except subprocess.TimeoutExpired:
                child.kill()
                code = child.wait()
        if code == 0:
            break
        deaths += 1
        data = note.read()[1]
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        detail = (folder / "log").read_bytes()[-3000:].decode("utf-8", "replace")
        digest = hashlib.sha256(data).hexdigest()[:8]
        save(Finding("death", f"{how} of {digest}", detail, data), folder)
    report.executions, report.seconds = note.read()[0], time.monotonic() - start
    for path in sorted(folder.glob("*.txt")):
        kind, where = path.read_text().split("\n", 1)[0].split(": ", 1)
        shown = f"{kind}: {where} ({path.with_suffix('.input')})"
        report.findings[shown] = Finding(
            kind, where, path.read_text(), path.with_suffix(".input").read_bytes()
        )
    return report
