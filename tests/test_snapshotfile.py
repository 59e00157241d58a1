"""A snapshot comes back as it was written; damage, wherever it lies, is found and said."""

from __future__ import annotations

import json
import os
import random
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tidegate.errors import SnapshotError, StoreError, VersionError
from tidegate.store import sealed, snapshotfile
from tidegate.store.checksum import checksum
from tidegate.store.snapshotfile import read, read_info, write

THOROUGH = os.environ.get("TIDEGATE_FUZZ") == "thorough"
INFO = {"snapshot_id": "1700006400", "job_id": "größe", "retain": False, "size": {"bytes": 2**70}}
TREE = {
    "models": [{"state": np.arange(12.0).reshape(3, 4)}, {"state": np.zeros((0, 4), np.float32)}],
    "names": b"host-1host-2",
    "ends": np.array([0, 6, 12], np.int32),
    "seen": 12,
    "least": -np.inf,
}
NAN_PAYLOAD = struct.unpack("<d", bytes.fromhex("efbeadde0000f87f"))[0]


def bits(state):
    """A tree as Python compares it to the last bit: kinds, numbers as bytes, the order of keys."""
    match state:
        case dict():
            return "dict", [(key, bits(part)) for key, part in state.items()]
        case list():
            return "list", [bits(part) for part in state]
        case np.ndarray():
            return "array", str(state.dtype), state.shape, state.tobytes()
        case float():
            return "float", struct.pack("<d", state)
    return type(state).__name__, state


@pytest.fixture
def path(tmp_path) -> Path:
    """Where a snapshot goes."""
    return tmp_path / "1.arrow"


@pytest.fixture
def whole(path) -> bytes:
    """The bytes of a small snapshot, which is there."""
    write(path, TREE, INFO)
    return path.read_bytes()


def arrays() -> st.SearchStrategy[np.ndarray]:
    """Arrays of every dtype and of any bits, NaNs of all kinds too."""
    shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
    dtypes = st.sampled_from(["f8", "f4", "i8", "i4", "u8", "u1", "?"])

    def made(drawn: tuple[tuple[int, ...], str]) -> st.SearchStrategy[np.ndarray]:
        shape, dtype = drawn
        if dtype == "?":
            return npst.arrays(bool, shape)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return st.binary(min_size=size, max_size=size).map(
            lambda data: np.frombuffer(data, dtype).reshape(shape)
        )

    return st.tuples(shapes, dtypes).flatmap(made)


TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["$array", "$bytes", "$float", "$", "\ud800", "\0"]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**4000), 2**4000)
    | st.floats()
    | st.just(NAN_PAYLOAD)
    | TEXTS
    | st.binary(max_size=20)
    | arrays()
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(state=TREES)
def test_any_tree_comes_back(tmp_path_factory, state):
    """Every tree comes back to the last bit, and its info."""
    path = tmp_path_factory.getbasetemp() / "any.arrow"
    written = write(path, state, INFO)
    again, info = read(path)
    assert bits(again) == bits(state)
    assert info == INFO == read_info(path)
    assert written.nbytes == path.stat().st_size


def test_a_tree_has_one_file(path, tmp_path):
    """The same tree and info make the same bytes and checksum, another tree another checksum."""
    one, other = write(path, TREE, INFO), write(tmp_path / "2.arrow", TREE, INFO)
    assert one == other
    assert path.read_bytes() == (tmp_path / "2.arrow").read_bytes()
    assert write(path, TREE | {"seen": 13}, INFO).checksum != one.checksum
    assert write(path, TREE, INFO | {"retain": True}).checksum != one.checksum


def test_arrays_as_they_lie(path):
    """Arrays that are strided, of Fortran's order, read-only or mapped from a file come back contiguous."""
    grid = np.arange(60.0).reshape(5, 12)
    read_only = grid.copy()
    read_only.flags.writeable = False
    mapped = np.memmap(path.with_name("grid"), np.float64, "w+", shape=(5, 12))
    mapped[:] = grid
    cut = grid[::2, ::-3]
    again, _ = read_after(
        path, {"a": cut, "b": np.asfortranarray(grid), "c": read_only, "d": mapped, "e": grid.T}
    )
    for name, array in zip("abcde", (cut, grid, grid, grid, grid.T), strict=True):
        assert again[name].tolist() == array.tolist()
        assert again[name].flags.carray


def read_after(path, state):
    """What comes back of a state."""
    write(path, state, {})
    return read(path)


def test_more_arrays_than_a_call_of_the_system_takes(path):
    """A tree of thousands of arrays comes back."""
    again, _ = read_after(path, [np.full(k % 3, k) for k in range(3000)])
    assert [array.tolist() for array in again] == [[k] * (k % 3) for k in range(3000)]


def test_arrays_are_the_readers_own(path):
    """What is done to an array that was read changes neither the file nor what others read."""
    again, _ = read_after(path, {"a": np.zeros(1000), "b": [np.zeros(3), np.zeros(3)]})
    again["a"] += 1
    again["b"][0] += 1
    assert again["b"][1].tolist() == [0, 0, 0]
    third, _ = read(path)
    assert not third["a"].any()
    assert not third["b"][0].any()
    path.unlink()
    assert again["a"].sum() == 1000


def test_numpy_numbers_become_pythons(path):
    """Numbers of NumPy, which leak in by arithmetic, come back as the same numbers of Python."""
    again, _ = read_after(
        path, [np.float64(0.1), np.float32(0.1), np.int64(-7), np.uint64(2**64 - 1), np.bool_(True)]
    )
    assert again == [0.1, float(np.float32(0.1)), -7, 2**64 - 1, True]
    assert [type(part) for part in again] == [float, float, int, int, bool]


def nested(depth):
    """Lists in one another."""
    state = 7
    for _ in range(depth):
        state = [state]
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [1, (2,)]}, "a[1]: a value of type tuple cannot be kept; it may be a dict, list, array, text"),
        ({"a": {"b": {3}}}, "a.b: a value of type set cannot be kept; it may be"),
        (object(), "the state: a value of type object cannot be kept; it may be"),
        ({"a": {1: 2}}, "a: a dict with the key 1 cannot be kept; keys may be text"),
        (
            {"a": np.zeros(3, np.int16)},
            "a: an array of int16 cannot be kept; arrays may be of float64, float32",
        ),
        ({"a": np.zeros(3, ">f8")}, "a: an array of >f8 cannot be kept; arrays may be of float64"),
        ({"a": np.array(["x"])}, "a: an array of <U1 cannot be kept"),
        ({"a": np.array([{}])}, "a: an array of object cannot be kept"),
        ([2**4096], "[0]: an integer of 4097 bits cannot be kept; integers may have 4096 bits"),
        ([-(10**5000)], "[0]: an integer of 16610 bits cannot be kept"),
        (nested(101), "[0]: a list in too many others cannot be kept; they may be 100 deep"),
        ([np.datetime64("2024-01-01")], "[0]: a value of type date cannot be kept"),
    ],
)
def test_what_is_no_state_is_refused(path, state, message):
    """What cannot be kept is refused by name before anything is written."""
    with pytest.raises(StoreError) as raised:
        write(path, state, {})
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert not path.exists()


def test_the_largest_that_is_kept(path):
    """Trees 100 deep and integers of 4,096 bits are kept."""
    state = [nested(99), 2**4096 - 1, -(2**4096) + 1]
    assert read_after(path, state)[0] == state


@pytest.mark.parametrize("info", [{"x": b""}, {"x": float("nan")}, {"x": np.zeros(3)}])
def test_info_is_json(path, info):
    """An info that JSON has no form for is refused."""
    with pytest.raises(StoreError, match="is not of values that JSON has"):
        write(path, {}, info)
    assert not path.exists()


def test_arrow_reads_a_snapshot(path, whole):
    """Any reader of Arrow files sees a row for each array, with its bytes, and the tree last."""
    rows = pa.ipc.open_file(path).read_all()
    rows.validate(full=True)
    assert rows["path"].to_pylist() == ["models[0].state", "models[1].state", "names", "ends", ""]
    assert rows["dtype"].to_pylist() == ["float64", "float32", "bytes", "int32", "json"]
    assert rows["shape"].to_pylist()[:2] == [[3, 4], [0, 4]]
    data = rows["data"].to_pylist()
    assert np.frombuffer(data[0]).tolist() == list(range(12))
    assert rows["checksum"].to_pylist() == [checksum(part) for part in data]
    assert json.loads(data[-1])["seen"] == 12
    polars = pytest.importorskip("polars")
    assert polars.read_ipc(path)["dtype"].to_list() == rows["dtype"].to_pylist()


def damaged(path, content):
    """What reading says of such a file, which must be a SnapshotError that names it."""
    with path.open(
        "r+b" if path.exists() else "wb"
    ) as file:  # an emptied file would be flushed by some systems
        file.write(content)
        file.truncate()
    with pytest.raises(SnapshotError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: ")
    return str(raised.value)


def test_every_flipped_bit_is_found(path, whole):
    """A snapshot with any one bit flipped is refused, and its info refused or unchanged."""
    rng = random.Random(7)
    for at in range(len(whole)):
        for bit in range(8) if THOROUGH else [rng.randrange(8)]:
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            damaged(path, flipped)
            try:
                assert read_info(path) == INFO
            except SnapshotError:
                continue


def test_every_truncation_is_found(path, whole):
    """A snapshot that ends anywhere before its end, or goes on after it, is refused."""
    for size in range(len(whole)):
        damaged(path, whole[:size])
    for more in (b"\0", b"x" * 10, whole, bytes(4096)):
        damaged(path, whole + more)


@given(data=st.data())
def test_any_damage_is_found(tmp_path_factory, data):
    """Overwriting, cutting out, doubling or exchanging parts of a snapshot is found."""
    path = tmp_path_factory.getbasetemp() / "damaged.arrow"
    write(path, TREE, INFO)
    whole = path.read_bytes()
    place = st.integers(0, len(whole))
    a, b, c = sorted(data.draw(st.tuples(place, place, place)))
    filler = data.draw(st.binary(max_size=16))
    changed = data.draw(
        st.sampled_from(
            [
                whole[:a] + bytes(b - a) + whole[b:],
                whole[:a] + b"\xff" * (b - a) + whole[b:],
                whole[:a] + filler + whole[a + len(filler) :],
                whole[:a] + whole[b:],
                whole[:b] + whole[a:],
                whole[:a] + whole[b:c] + whole[a:b] + whole[c:],
            ]
        )
    )
    if changed != whole:
        damaged(path, changed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"{}", "it is no snapshot, which are Arrow files"),
        (b"SQLite format 3\0" * 100, "it is no snapshot, which are Arrow files"),
        (b"ARROW1", "its footer is damaged"),
        (b"ARROW1\0\0" + bytes(100), "its end is missing"),
        (bytes(100) + b"\xff\xff\xff\xffARROW1", "its footer is damaged"),
        (bytes(100) + b"\xff\xff\xff\x7fARROW1", "its footer is damaged"),
        (bytes(100) + b"\x00\x00\x00\x80ARROW1", "its footer is damaged"),
    ],
)
def test_other_files(path, content, message):
    """What is no snapshot is said to be none, without a traceback of Arrow."""
    assert message in damaged(path, content)


def test_other_arrow_files(path):
    """An Arrow file that was not written here is refused."""
    table = pa.table({"a": [1, 2, 3]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    assert "its seal is missing or damaged" in damaged(path, path.read_bytes())


def test_what_is_no_file(tmp_path):
    """A folder, a pipe and nothing are refused at once."""
    os.mkfifo(tmp_path / "pipe")
    for place, message in (
        (tmp_path, "it is no file"),
        (tmp_path / "pipe", "it is no file"),
        (tmp_path / "x", "no such"),
    ):
        for reader in (read, read_info):
            with pytest.raises(SnapshotError, match=message) as raised:
                reader(place)
            assert str(raised.value).startswith(f"{place}: ")


def test_a_disk_that_cannot_be_read(path, whole, monkeypatch):
    """A file that may not be opened or read is not said to be damaged."""
    for name, number in (("open", 13), ("preadv", 5)):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing(number))
            with pytest.raises(StoreError, match=f"cannot be read: {os.strerror(number)}") as raised:
                read(path)
        assert not isinstance(raised.value, SnapshotError)
        assert str(raised.value).startswith(f"{path}: ")


def failing(number):
    """A function of `os` that fails."""

    def fail(*_arguments, **_named):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_newer_format(path, monkeypatch):
    """A snapshot of a newer format is not read, and the message says who wrote it; damaged, it is damaged."""
    with monkeypatch.context() as patch:
        patch.setattr(snapshotfile, "FORMAT", 2)
        patch.setattr(snapshotfile, "__version__", "9.8")
        write(path, TREE, INFO)
    for reader in (read, read_info):
        with pytest.raises(
            VersionError, match=r"tidegate 9\.8 wrote this snapshot in format 2; .* up to 1"
        ) as raised:
            reader(path)
        assert str(raised.value).startswith(f"{path}: ")
    damaged(path, path.read_bytes()[:-1])


FORGERIES = {
    "unknown dtype": ([("complex", [2], b"{}")], "2 bytes are not an array of complex"),
    "another shape": ([("float64", [4], bytes(24))], "24 bytes are not an array of float64 of shape [4]"),
    "huge shape": ([("uint8", [2**62, 4], b"{}")], "2 bytes are not an array of uint8"),
    "negative shape": ([("float64", [-1, -3], bytes(24))], "negative dimensions"),
    "half a tree": ([("json", [1], b"{")], "Expecting property name"),
    "deep tree": ([("json", [200_000], b"[" * 100_000 + b"]" * 100_000)], "recursion"),
    "no such array": ([("json", [12], b'{"$array":0}')], "index out of range"),
    "half a float": ([("json", [15], b'{"$float":"00"}')], "unpack requires"),
}
"""Rows of files that pass all checksums, as (dtype, shape, data), and what is said of them."""


@pytest.mark.parametrize("which", FORGERIES)
def test_forged_snapshots(path, which):
    """A snapshot that was made wrong, with right checksums, is refused all the same."""
    rows, message = FORGERIES[which]
    dtypes, shapes, parts = zip(*rows, strict=True)
    head = json.dumps({"format": 1, "tidegate": "0", "info": {}})
    columns = [
        pa.array(["x"] * len(rows)),
        pa.array(dtypes),
        pa.array(shapes, pa.list_(pa.int64())),
        pa.array([checksum(part) for part in parts], pa.uint64()),
    ]
    schema = snapshotfile._SCHEMA.with_metadata({b"tidegate.snapshot": head})
    frame = sealed.framed(schema, columns, [len(part) for part in parts])
    assert message in damaged(path, frame.before + b"".join(parts) + frame.after)


def test_reads_and_writes_may_be_short(path, whole, monkeypatch):
    """Systems that read or write only a part at once lose nothing."""
    write_some, read_some = os.pwritev, os.preadv
    monkeypatch.setattr(os, "pwritev", lambda fd, pieces, at: write_some(fd, [pieces[0][:100]], at))
    monkeypatch.setattr(os, "preadv", lambda fd, memory, at: read_some(fd, [memory[0][:100]], at))
    again, _ = read_after(path, TREE)
    assert bits(again) == bits(TREE)
