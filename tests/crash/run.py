"""Runs a script of acts in children that are killed, and compares with a run that was not."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.crash import killer
from tests.crash.acts import JOB_ID, Act, prepare, script

from tidegate import Store

KINDS = ("buckets", "records", "influencers", "model_plot", "categories")
_TIMED = ("processing_time_ms",)


@dataclass(slots=True)
class Tally:
    """What was seen of the kills."""

    kills: dict[str, int] = field(default_factory=dict)
    """By the act during which the child died."""
    kept_unanswered: int = 0
    """Posts that were not answered and are kept: all of one, or none."""

    @property
    def total(self) -> int:
        return sum(self.kills.values())


def outcome(folder: Path) -> dict[str, pa.Table | dict[str, object]]:
    """All results of the job, and its counts."""
    with Store(folder) as store:
        tables: dict[str, pa.Table | dict[str, object]] = {}
        for kind in KINDS:
            table = getattr(store, kind)(JOB_ID)
            tables[kind] = table.drop_columns([name for name in _TIMED if name in table.column_names])
        [stats] = store.job_stats(JOB_ID)
        counts = dict(stats["data_counts"])
        counts.pop("last_data_time", None)
        counts.pop("log_time", None)
        return {**tables, "counts": counts, "state": {"state": stats["state"]}}


def uninterrupted(folder: Path, seed: int, length: int) -> None:
    """The run that nothing happens to."""
    prepare(folder, seed)
    with Store(folder) as store:
        for act in script(seed, length):
            act.do(store)


def interrupted(folder: Path, seed: int, length: int, kills: int, tally: Tally) -> None:
    """The run whose processes are killed, `kills` times at most."""
    prepare(folder, seed)
    rng = np.random.default_rng(seed + 1)
    acts = list(script(seed, length))
    known, done = _Known(), 0
    while done < len(acts):
        plan = _Plan.draw(rng) if kills else None
        reached, was_killed = _in_child(folder, acts, done, known, plan)
        for act in acts[done:reached]:
            known.did(act)
        done = reached
        if not was_killed:
            continue
        kills -= 1
        name = acts[done].name if done < len(acts) else "exit"
        tally.kills[name] = tally.kills.get(name, 0) + 1
        if done < len(acts) and _was_kept(folder, acts[done], known):
            tally.kept_unanswered += 1
            known.did(acts[done])
            done += 1


@dataclass(slots=True)
class _Known:
    """What the acts that were answered led to."""

    records: int = 0
    at_snapshot: int = 0
    has_snapshot: bool = False
    has_begun: bool = False

    def did(self, act: Act) -> None:
        self.records += act.records
        self.has_begun |= act.name in ("post", "advance", "skip")
        if act.name == "snapshot" or (act.name == "close" and self.has_begun):
            self.at_snapshot, self.has_snapshot = self.records, True
        elif act.name == "revert" and self.has_snapshot:
            self.records = self.at_snapshot


@dataclass(frozen=True, slots=True)
class _Plan:
    """When a child is to die."""

    calls: int | None
    seconds: float | None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Plan:
        if rng.random() < 0.75:
            return cls(int(np.exp(rng.uniform(0.0, np.log(1500.0)))), None)
        return cls(None, float(rng.uniform(0.0, 0.3)))

    def start(self) -> None:
        if self.calls is not None:
            killer.die_at_call(self.calls)
        elif self.seconds is not None:
            killer.die_after(self.seconds)


def _in_child(
    folder: Path, acts: list[Act], first: int, known: _Known, plan: _Plan | None
) -> tuple[int, bool]:
    """Does the acts from the first on in a process of their own; how many were answered; whether it died."""
    answers, answering = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(answers)
            write = os.write
            if plan is not None:
                plan.start()
            with Store(folder) as store:
                for at in range(first, len(acts)):
                    acts[at].do(store)
                    write(answering, struct.pack("i", at + 1))
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    os.close(answering)
    reached = first
    with os.fdopen(answers, "rb") as pipe:
        while word := pipe.read(4):
            reached = struct.unpack("i", word)[0]
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"died of signal {os.WTERMSIG(status)}"
        return reached, True
    assert os.WEXITSTATUS(status) == 0, f"act {reached} ({acts[reached].name}) failed"
    return reached, False


def _was_kept(folder: Path, act: Act, known: _Known) -> bool:
    """Whether an act that was not answered is kept; AssertionError if what was answered is not."""
    with Store(folder) as store:
        job = store.open_job(JOB_ID, threads=1)
        records = job.data_counts.input_record_count
        job.detach()
    allowed = {known.records, known.records + act.records}
    if act.name == "revert":
        allowed.add(known.at_snapshot)
    assert records in allowed, f"{records} records are kept, {known.records} were acknowledged ({act.name})"
    return act.records > 0 and records == known.records + act.records


def campaign(folder: Path, seed: int, length: int, kills: int, tally: Tally) -> None:
    """One script, with and without kills: the same results, bit for bit."""
    calm, killed = folder / "calm", folder / "killed"
    uninterrupted(calm, seed, length)
    interrupted(killed, seed, length, kills, tally)
    expected, found = outcome(calm), outcome(killed)
    for name, value in expected.items():
        same = value.equals(found[name]) if isinstance(value, pa.Table) else value == found[name]
        assert same, f"seed {seed}: {name} differ:\n{value}\n{found[name]}"
    shutil.rmtree(folder)
