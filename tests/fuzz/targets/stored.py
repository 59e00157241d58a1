"""Snapshots and logs: what a damaged file gives is an error, or what was written; never anything else."""

from __future__ import annotations

import os
import shutil
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests.fuzz.choices import Choices
from tests.fuzz.targets import Target
from tests.fuzz.targets.files import folder

from tidegate.errors import StoreError
from tidegate.store import segment, snapshotfile
from tidegate.store.checksum import checksum
from tidegate.store.frames import HEADER_SIZE, Frame, packed_head, write_frame
from tidegate.store.log import Log
from tidegate.store.segment import START, packed_header, segment_path

JOB, MARKER = "a-job", b"\x01marker\xff"
POSTS = (
    pa.record_batch({"time": [1, 2], "host": pa.array(["a", "b"]).dictionary_encode(), "v": [0.5, None]}),
    pa.record_batch({"time": [3], "text": ["é"]}),
)
HEADS = (
    {"op": "post", "n": 1},
    {"op": "flush", "advance": None},
    {"op": "post", "note": "é"},
    {"op": "close"},
)
STATE: dict[str, Any] = {
    "mean": np.arange(6.0).reshape(2, 3),
    "codes": [np.zeros(0, np.int32), {"seen": 7, "name": "a", "raw": b"\0\xff"}],
    "flags": np.array([True, False]),
    "inf": float("inf"),
}
INFO = {"job_id": JOB, "sequence": 12}


def any_state(choices: Choices, levels: int = 4) -> Any:
    """A tree of anything that can be kept, and now and then of what cannot."""
    kind = choices.below(9 if levels else 7)
    if kind == 0:
        dtype = choices.one_of(("f8", "f4", "i8", "i4", "u8", "u1", "?", "i2", "U1"))
        shape = [choices.below(4) for _ in range(choices.below(3))]
        raw = choices.some(64).ljust(4 * 27 * 8, b"\0")
        return (
            np.frombuffer(raw, dtype, int(np.prod(shape, dtype=int))).reshape(shape)
            if dtype != "U1"
            else np.array("a")
        )
    if kind < 7:
        made = (
            choices.integer,
            choices.double,
            choices.text,
            lambda: choices.some(20),
            lambda: None,
            choices.flag,
        )
        return made[kind - 1]()
    if kind == 7:
        return [any_state(choices, levels - 1) for _ in range(choices.below(4))]
    return {
        choices.one_of(("a", "$array", "$float", "", "b")): any_state(choices, levels - 1)
        for _ in range(choices.below(4))
    }


def same(one: Any, other: Any) -> bool:
    """Whether two trees are the same to the last bit."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and (one.dtype, one.shape, one.tobytes()) == (
            other.dtype,
            other.shape,
            other.tobytes(),
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(part, other[key]) for key, part in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return (
        struct.pack("<d", one) == struct.pack("<d", other) if isinstance(one, float) else bool(one == other)
    )


def check_snapshot(data: bytes) -> None:
    """A file of any bytes, its frame sealed again or not; or a tree that is written and read."""
    choices = Choices(data)
    way = choices.below(8)
    path = folder() / "snapshot.arrow"
    if way == 7:
        state = {"state": any_state(choices)}
        snapshotfile.write(path, state, INFO)
        assert same(snapshotfile.read(path)[0], state), state
        return
    content = choices.rest()
    path.write_bytes(resealed(content) if way & 1 else content)
    with suppress(StoreError):
        snapshotfile.read_info(path)
    state, info = snapshotfile.read(path)
    if not way & 1:
        assert same(state, STATE), "what is damaged was read"
        assert info == INFO


def resealed(content: bytes) -> bytes:
    """A snapshot whose frame has the checksum that belongs to it, if it is one as far as that."""
    made = bytearray(content)
    with suppress(struct.error, IndexError, ValueError):
        at = len(made) - 10 - struct.unpack("<i", made[-10:-6])[0]
        start, nbytes = struct.unpack("<QQ", made[at - 24 : at - 8])
        if start + nbytes <= at - 32 and at <= len(made):
            made[at - 8 : at] = bytes(8)
            signature = checksum(bytes(made[start + nbytes :]), checksum(bytes(made[:start])))
            made[at - 8 : at] = struct.pack("<Q", signature)
    return bytes(made)


@cache
def log_bytes() -> bytes:
    """A segment of a log with four entries."""
    path = folder() / "made.log"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        os.pwrite(file, packed_header(JOB, 1, 0, MARKER), 0)
        end = START
        for number, head in enumerate(HEADS, start=1):
            batches = POSTS if number % 2 else ()
            end += write_frame(file, end, MARKER, (number, number // 2), packed_head(head), batches).nbytes
    finally:
        os.close(file)
    return path.read_bytes()


def check_log(data: bytes) -> None:
    """A segment of any bytes, opened and read; every entry that comes out is one that was written."""
    choices = Choices(data)
    way, content = choices.below(8), choices.rest()
    place = folder() / "log"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    segment_path(place, 1).write_bytes(rechecked(content) if way & 1 else content)
    if way & 2:
        segment_path(place, 5).write_bytes(packed_header(JOB, 5, 4, MARKER))
    log = Log.open(place, JOB, damaged="cut" if way & 4 else "refuse")
    try:
        for number, entry in enumerate(log.entries(0), start=1):
            assert entry.sequence == number
            if not way & 1:
                assert entry.head == HEADS[number - 1]
                expected = POSTS if number % 2 else ()
                assert len(entry.batches) == len(expected)
                assert all(map(pa.RecordBatch.equals, entry.batches, expected))
        number = log.append({"op": "flush"}, sync=False)
        assert [entry.sequence for entry in log.entries(number - 1)] == [number]
    finally:
        log.close()


def rechecked(content: bytes) -> bytes:
    """A segment whose checksums belong to what they are of, as far as it is one."""
    made = bytearray(content)
    if len(made) >= START:
        made[248:256] = struct.pack("<Q", segment.checksum(bytes(made[:248])))
    at = START
    while at + HEADER_SIZE <= len(made):
        sequence, synced, head, nbytes = struct.unpack("<4Q", made[at + 8 : at + 40])
        seen = 0
        payload = bytes(made[at + HEADER_SIZE : at + HEADER_SIZE + min(nbytes, len(made))])
        for start in range(0, len(payload), 1 << 20):
            seen = segment.checksum(payload[start : start + (1 << 20)], seen)
        frame = Frame(sequence, synced, head, nbytes, seen)
        made[at : at + HEADER_SIZE] = frame.packed(bytes(made[at : at + 8]))
        at += max(frame.nbytes, HEADER_SIZE)
    return bytes(made)


def snapshot_seeds() -> list[bytes]:
    """A whole file, and trees."""
    path = Path(folder(), "seed.arrow")
    snapshotfile.write(path, STATE, INFO)
    content = path.read_bytes()
    trees = [bytes([7, *range(at, at + 40)]) for at in range(0, 90, 14)]
    return [bytes([way]) + content for way in (0, 1, 3, 5) * 5] + trees


def log_seeds() -> list[bytes]:
    """A whole log, and parts of it."""
    content = log_bytes()
    parts = (
        content,
        content[:-7],
        content[: START + 300],
        content + bytes(100),
        content[:START] + bytes(200),
    )
    return [bytes([way]) + part for way in range(8) for part in parts]


_TOKENS = (
    *(n.to_bytes(8, "little") for n in (0, 1, 2**31, 2**63, 2**64 - 1)),
    MARKER,
    b"TIDESEAL",
    b"ARROW1",
)
TARGETS = {
    "snapshot": Target(
        check_snapshot, snapshot_seeds, (*_TOKENS, b'{"$array":0}', b"[", b'"info":'), 1 << 14
    ),
    "log": Target(check_log, log_seeds, (*_TOKENS, b'{"op":', b"[[[[[[", b"\xff\xff\xff\xff"), 1 << 14),
}
