"""Captured state: nothing is forgotten, and what is damaged or of another layout is refused."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from tests.influence_run import folding
from tests.state_law import leaves, perform
from tests.test_battery import SPAN, START, records
from tests.test_state import MEAN, crowded, hourly, in_summary, job_config, made_of, messages, mixed

from tidegate import Job
from tidegate.errors import SnapshotError, StoreError, VersionError
from tidegate.kept import INSIDE, Keeper, capture, restore
from tidegate.layout import LAYOUT, SIZES
from tidegate_kernels.state import PAGE_SIZE
from tidegate_kernels.templates import CATEGORY_SIZE, FORWARD

THOROUGH = os.environ.get("TIDEGATE_FUZZ") == "thorough"

# What a class knows that is not state, and why.
CONFIGURED = {
    "Categorizer": "names _reading _vocabulary _most_bytes _example_limit _first_check",
    "CellStream": "_span _width",
    "Circular": "detector sources _period _settings _size",
    "CrowdModel": "_settings",
    "DistinctCount": "_exact",
    "Encoder": "fields _category_partition",
    "Engine": "_job_id _is_plotting _names _texts _span schedule _memory_limit _series_limit",
    "FeatureModel": "detector feature _index _zero_fill _settings",
    "Forecasts": "_job_id _now",
    "Frequency": "_keys _role",
    "History": "_span_ms",
    "Individual": "detector sources",
    "Influencers": "fields _lanes _names _span_ms _is_summarised",
    "Information": "_texts _most",
    "Intake": "fields categorizer names texts _job_id _summary_field _time_field _time_format _span _latency"
    " _max_gap _width",
    "Job": "config _calendars _filters _threads",
    "KeySpace": "by over partition use_null",
    "KeyStream": "_span _log_rows",
    "Lane": "_span _texts _names _is_summarised _seen",
    "Marks": "step _span_ms",
    "MemberSpace": "by over partition use_null attribute_limit",
    "Population": "detector sources _features",
    "Position": "detector sources _settings",
    "Quantile": "_q _bins",
    "Rare": "detector _is_population _span_days _by_repeats _size",
    "Room": "price _keys _names _span_ms",
    "RowLog": "_lanes _fields _sources _can_fold _fold_rows",
    "Shares": "_span_ms",
    "Stock": "_lanes _names _log _span period_ms _whole _limit _prune_buckets",
    "Tables": "_examples",
    "TimeShifts": "_span_ms _events",
    "ValueStatistics": "_numbers",
    "_Persons": "is_split",
}
"""It follows from the configuration."""
MADE_AGAIN = {
    "Categorizer": "_latest _found _scratch",
    "CellStream": "_open _room _numbers _pieces _made _n_series",  # kept as _open_cells
    "Circular": "rules",
    "Encoder": "_hashers",
    "Engine": "_buffered _owned _pool",
    "FeatureModel": "state _used _page_b _pages _free",  # kept as _used_state, _paged and _taken
    "Frequency": "_now _run _pairs",
    "Individual": "rules",
    "Interner": "_latest",
    "Job": "_lock _state _is_busy _current",
    "KeyStream": "_log _used",  # kept as _logged
    "Lane": "_plotted",
    "Marks": "_pending",  # kept as _waiting
    "Population": "rules",
    "Position": "rules",
    "Rare": "rules",
    "Results": "_final _interim",  # they have a home of their own
    "Room": "most refused_buckets",  # kept as _refused
    "RowLog": "_target_s",
    "TimeShifts": "_rules",
    "ValueStatistics": "_by_slot",
    "_Persons": "slot_p",
}
"""It is made when it is asked for, or when state was restored."""
NO_KEEPERS = {
    "CurrentScores",  # of results
    "DetectorRules",
    "FilterSet",
    "Numbers",
    "PlottedSeries",
    "Reading",
    "Renormalizer",  # of results
    "Schedule",
    "Sliding",  # of results
    "TextHasher",
    "Threads",
    "Timeline",  # state itself
    "_Pieces",
}
"""Classes of objects that change and have no state of their own."""


@cache
def folded() -> Job:
    """A job whose influencers have folded the rows of open buckets."""
    detectors = [MEAN, {"function": "distinct_count", "field_name": "text", "partition_field_name": "p"}]
    config = job_config(*detectors, analysis={"latency": "2h", "influencers": ["who", "o"]})
    with folding(20):
        job = Job(config, threads=1)
        job.post(list(records()))
        job.flush()
    assert job._engine.influencers.log._folded
    return job


def periodic() -> tuple[Job, list[Any]]:
    """A job with pages, periods, frequent values and records in its buffer."""
    rare = {"function": "rare", "by_field_name": "b", "exclude_frequent": "by"}
    over = {"function": "mean", "field_name": "x", "over_field_name": "b"}
    return made_of(job_config(MEAN, rare, over), hourly(9), 3)


def done(make: Callable[[], tuple[Job, list[Any]]]) -> Job:
    """A job after its first posts, that of the last of which lies in its buffer."""
    job, acts = make()
    for act in acts[:6] if acts[6:] else acts[:-1]:
        perform(job, act)
    return job


@cache
def jobs() -> tuple[Job, ...]:
    """Jobs that have all kinds of state between them."""
    return folded(), *(done(make) for make in (periodic, mixed, in_summary, messages))


# Nothing is forgotten


def objects(start: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """All objects of tidegate's own classes that one leads to."""
    if id(start) in seen:
        return
    seen[id(start)] = start
    if isinstance(start, dict):
        inner = list(start.values())
    elif isinstance(start, list | tuple | set):
        inner = list(start)
    elif type(start).__module__.startswith("tidegate"):
        yield start
        inner = [getattr(start, name, None) for name in attributes(start)]
    else:
        return
    for one in inner:
        yield from objects(one, seen)


def attributes(of: Any) -> set[str]:
    """The attributes that an object has, whatever gave them to it."""
    slots = {name for kind in type(of).__mro__ for name in getattr(kind, "__slots__", ())}
    return slots | set(getattr(of, "__dict__", ()))


def keepers(kind: type[Keeper]) -> Iterator[type[Keeper]]:
    """All classes that inherit from one."""
    for inner in kind.__subclasses__():
        yield inner
        yield from keepers(inner)


def test_no_attribute_is_forgotten() -> None:
    """Every attribute of every object of a job is kept, or is named here as what is not to be kept."""
    seen: dict[int, Any] = {}
    found = [one for job in (*jobs(), done(crowded)) for one in objects(job, seen)]
    for one in found:
        kind = type(one)
        if not isinstance(one, Keeper):
            is_value = is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
            assert is_value or kind.__name__ in NO_KEEPERS, f"{kind} has state, or is to be named here"
            continue
        excused = [
            table[name.__name__].split()
            for name in kind.__mro__
            for table in (CONFIGURED, MADE_AGAIN)
            if name.__name__ in table
        ]
        forgotten = attributes(one) - set(kind.KEPT) - {name for names in excused for name in names}
        assert not forgotten, f"{kind}: {forgotten} must be in KEPT, CONFIGURED or MADE_AGAIN"
    own = {kind for kind in keepers(Keeper) if re.match(r"tidegate\.(?!store)", kind.__module__)}
    unseen = own - {base for one in found for base in type(one).__mro__}
    assert not unseen, "no job has an object of these"


# What is damaged is refused


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf of a tree, and the way to it."""
    if isinstance(tree, dict | list):
        for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(inner, (*path, key))
    else:
        yield path, tree


def inside(tree: Any, path: tuple[Any, ...]) -> Any:
    """What a way leads to."""
    for key in path:
        tree = tree[key]
    return tree


def strangers(leaf: Any) -> list[Any]:
    """Leaves of other types, or arrays of other dtypes and shapes, that cannot be in the place of one."""
    if not isinstance(leaf, np.ndarray):
        return [np.zeros(1), [leaf], {"": leaf}, 1.5 if not isinstance(leaf, float) else 1]
    others = [leaf.astype(np.float32 if leaf.dtype != np.float32 else np.float64), leaf.reshape(1, -1)]
    return [*others, leaf.astype(">f8"), leaf.tolist(), "text", None]


@pytest.mark.parametrize("number", range(5))
def test_missing_and_strange_leaves_are_refused(number: int) -> None:
    """Every leaf that is dropped, or has another type, dtype or shape, leads to SnapshotError, no other."""
    job = jobs()[number]
    tree = state_of(job)
    wanted = [(path, leaf) for path, leaf in places(tree) if "shifts" not in path]
    assert len(wanted) > 50
    for k, (path, leaf) in enumerate(wanted):
        parent, key = inside(tree, path[:-1]), path[-1]
        others = strangers(leaf)
        for other in others if THOROUGH else [others[k // 2 % len(others)]] * (k % 2):
            parent[key] = other
            refused(job, tree)
        parent[key] = leaf
        if k % 2 and not THOROUGH:
            continue
        rest = parent.copy()
        rest.pop(key)
        inside(tree, path[:-2])[path[-2]] = rest
        refused(job, tree)
        inside(tree, path[:-2])[path[-2]] = parent
    new(job)._restore({**head(), "job": tree})


def state_of(job: Job) -> Any:
    """What a job knows, without the head."""
    return job._capture(copy=True)["job"]  # type: ignore[index, call-overload]


def new(job: Job) -> Job:
    """A job like another, with nothing in it."""
    return Job(job.config, calendars=job.calendars, filters=job.filters, threads=1)


def refused(job: Job, tree: Any, match: str = "^job") -> None:
    """Asserts that a new job does not take state over, and has failed then."""
    other = new(job)
    with pytest.raises(SnapshotError, match=match):
        other._restore({**head(), "job": tree})
    assert other.state == "failed"


def changed(array: npt.NDArray[Any], place: int, value: Any) -> npt.NDArray[Any]:
    """An array with another number somewhere."""
    made = array.copy()
    made[place] = value
    return made


FOLDED, PERIODIC, MIXED, SUMMARY, MESSAGES = range(5)
_LANE_B, _LANE_P = 'engine.lanes.["b", null, null, false]', 'engine.lanes.[null, null, "p", false]'
_MEAN = f"{_LANE_B}.analyses.0.models.0"
_LOG = "engine.influencers.log"
_NAMES = 'intake.encoder.names."b"'
_TABLES = "intake.encoder.categorizer.tables"
MISFITS: tuple[tuple[int, str, Callable[[Any], Any], str], ...] = (
    (PERIODIC, "engine.timeline.span_ms", lambda ms: ms * 2, "bucket span"),
    (PERIODIC, "engine.timeline.finalized_end", lambda end: end + 1, "no ends of buckets"),
    (PERIODIC, "engine.timeline.finalized_end", lambda end: end + 3_600_000, "the bucket of an open cell"),
    (PERIODIC, "engine.history.state", lambda array: array[1:], "135 numbers; they must be 136"),
    (PERIODIC, f"{_MEAN}.room", lambda blocks: 0, "more than there is room for"),
    (PERIODIC, f"{_MEAN}.room", lambda blocks: 1 << 60, "cannot be restored"),
    (PERIODIC, f"{_MEAN}.used_state", lambda array: array[1:], "not whole blocks"),
    (PERIODIC, f"{_MEAN}.paged", lambda array: array + 1, "a block with a page is not within 0 and 0"),
    (PERIODIC, f"{_MEAN}.paged", lambda array: array[1:], "not as many pages"),
    (PERIODIC, f"{_MEAN}.taken", lambda array: array[1:], "not as many pages"),
    (PERIODIC, f"{_MEAN}.taken", lambda array: array * 0.0, "no right number of knots"),
    (PERIODIC, f"{_LANE_B}.keys.n", lambda n: n + 1, "do not agree"),
    (PERIODIC, f"{_LANE_B}.keys.n", lambda n: 1 << 40, "no room"),
    (PERIODIC, f"{_LANE_B}.keys.codes", lambda array: changed(array, 0, 99), "do not agree"),
    (PERIODIC, f"{_LANE_B}.keys.series_of", lambda array: array + 7, "a series is not within"),
    (PERIODIC, f"{_LANE_B}.exclusions.1.of_role.0.seen_u", lambda array: array[1:], "as many counts"),
    (PERIODIC, f'{_LANE_B}.streams.["number", "x"].open_cells.width', lambda n: 1, "6 numbers"),
    (PERIODIC, f'{_LANE_B}.streams.["number", "x"].open_cells.series_c', lambda a: a + 90, "the series of"),
    (PERIODIC, f'{_LANE_B}.streams.["number", "x"].open_cells.series_c', lambda a: a[1:], "its arrays"),
    (PERIODIC, f'{_LANE_B}.streams.["number", "x"].open_cells.bucket_c', lambda a: a - 9, "the bucket of"),
    (PERIODIC, f"{_LANE_B}.analyses.1.partitions.place_s", lambda array: array + 1, "the place of a series"),
    (PERIODIC, f"{_LANE_B}.analyses.1.partitions.place_of", lambda array: array - 1, "every place once"),
    (PERIODIC, f"{_LANE_B}.analyses.1.partition", lambda array: array * np.nan, "no number"),
    (PERIODIC, 'engine.buffer.0.codes."b"', lambda array: array + 99, "the code of a row's b"),
    (PERIODIC, "engine.buffer.0.time", lambda array: array[1:], "not of one length"),
    (PERIODIC, "engine.buffer.0.time", lambda array: -array, "the time of a row"),
    (PERIODIC, f"{_NAMES}.slots", lambda array: array[1:], "2047 slots"),
    (PERIODIC, f"{_NAMES}.slots", lambda array: changed(array, 0, 1 << 40), "every code once"),
    (PERIODIC, f"{_NAMES}.slots", lambda array: array | np.uint64(1), "every code once"),
    (PERIODIC, f"{_NAMES}.count", lambda array: array + 5000, "no room"),
    (PERIODIC, f"{_NAMES}.starts", lambda array: changed(array, 3, 9999), "behind one another"),
    (PERIODIC, f"{_NAMES}.arena", lambda array: array[:10], "outside of the arena"),
    (PERIODIC, f"{_NAMES}.arena", lambda array: array | np.uint8(0x80), "Invalid UTF8"),
    (PERIODIC, "intake.clock", lambda array: changed(array, 5, 3), "3 records wait, 0 are there"),
    (PERIODIC, "intake.clock", lambda array: changed(array, 14, 1 << 60), "the window"),
    (FOLDED, f"{_LOG}.places", lambda places: [[9, bucket] for _, bucket in places], "the lane of folded"),
    (FOLDED, f"{_LOG}.places", lambda places: places[1:], "unknown"),
    (FOLDED, f"{_LOG}.fold_at", lambda rows: -1, "-1 rows"),
    (MIXED, f'{_LOG}.pieces.0.columns."who"', lambda array: array + 99, "the who of a row"),
    (MIXED, f'{_LOG}.pieces.0.columns."who"', lambda array: array[1:], "not of one length"),
    (MIXED, f"{_LOG}.pieces.0.stop_u", lambda array: array + 9999, "outside of their columns"),
    (MIXED, f"{_LOG}.pieces.0.rows_g", lambda array: array + 1, "as their runs have"),
    (MIXED, f'{_LANE_P}.streams.["info", "text"].cells.first_c', lambda array: array + 1, "share out"),
    (FOLDED, f'{_LANE_P}.streams.["distinct", "text"].log_room', lambda rows: 1, "columns do not fit"),
    (MIXED, 'intake.encoder.texts."text".hash_of', lambda array: array[1:], "as many hashes as texts"),
    (MESSAGES, f"{_TABLES}.category", lambda array: changed(array, 3, 1 << 30), "the category after one"),
    (MESSAGES, f"{_TABLES}.category", lambda array: changed(array, 1, 101), "lies outside of its table"),
    (MESSAGES, f"{_TABLES}.node", lambda array: array + 999, "a category of the index"),
    (MESSAGES, f"{_TABLES}.next", lambda array: array + 9, "the index leads nowhere"),
    (MESSAGES, f"{_TABLES}.cache_c", lambda array: array + 999, "a category of the cache"),
    (MESSAGES, "intake.encoder.categorizer.examples", lambda listed: listed[1:], "their examples"),
)
"""Job, the way to a part of its state, what is done to it, and what is said then."""


@pytest.mark.parametrize(
    ("number", "way", "damage", "said"), MISFITS, ids=[f"{case[1][-40:]}: {case[3]}" for case in MISFITS]
)
def test_parts_that_do_not_fit_are_refused(
    number: int, way: str, damage: Callable[[Any], Any], said: str
) -> None:
    """What kernels would run out of bounds with is noticed, and the message says where it is."""
    job = jobs()[number]
    tree = state_of(job)
    path = [int(key) if key.isdecimal() else key for key in way.split(".")]
    parent, key = inside(tree, tuple(path[:-1])), path[-1]
    parent[key] = damage(parent[key])
    refused(job, tree, f"^job.*{re.escape(said)}")


def test_categories_that_take_one_anothers_place_are_refused() -> None:
    """A ring of categories would be followed for ever."""
    tree = state_of(jobs()[MESSAGES])
    tables = tree["intake"]["encoder"]["categorizer"]["tables"]
    tables["category"][[FORWARD, CATEGORY_SIZE + FORWARD]] = 1, 0
    refused(jobs()[MESSAGES], tree, "take one another's place")


def test_a_sketch_belongs_to_one_cell() -> None:
    """Two cells with one sketch, or one that is free and in use, are refused."""
    job = done(crowded)
    stream = 'engine.lanes.[null, null, null, false].streams.["distinct", "u"]'
    for part, change in (("cells", "form_c"), ("summary", "free")):
        tree = state_of(job)
        owner = inside(tree, tuple(stream.split(".")))[part]
        owner[change] = owner[change] + 1
        refused(job, tree, "sketch")


# Layout


def head() -> dict[str, Any]:
    """The head of captured state."""
    return {"layout": LAYOUT, "sizes": dict(SIZES)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layout": LAYOUT + 1}, "of a newer tidegate; this one reads layout 1"),
        ({"layout": LAYOUT - 1}, "of an older tidegate; this one reads layout 1"),
        ({"layout": "1"}, "does not say its layout"),
        ({"sizes": None}, "does not say its layout"),
        ({"sizes": {**SIZES, "lanes": 32}}, r"lanes 32 \(here 16\)"),
        ({"sizes": {**SIZES, "more": 1}}, r"more 1 \(here None\)"),
        ({"sizes": {}}, r"series None \(here 64\)"),
    ],
)
def test_state_of_another_layout_is_refused(change: dict[str, Any], said: str) -> None:
    """State of other kernels is not misread; the message says what differs."""
    job = Job(job_config(MEAN), threads=1)
    state: Any = job._capture(copy=True)
    with pytest.raises(VersionError, match=said):
        new(job)._restore({**state, **change})


@pytest.mark.parametrize("state", [None, [], {**head(), "task": {}}, {**head(), "job": [1]}])
def test_what_is_no_state_is_refused(state: Any) -> None:
    """Anything but a tree of the right parts is refused, by an error of the store."""
    with pytest.raises(StoreError, match=r"state|objects?"):
        Job(job_config(MEAN), threads=1)._restore(state)


def test_state_of_another_job_is_refused() -> None:
    """Other detectors have other parts; the message names them."""
    state = Job(job_config(MEAN), threads=1)._capture(copy=True)
    with pytest.raises(SnapshotError, match=r"engine.lanes: \[.*true\] missing; \[.*false\] unknown"):
        Job(job_config({**MEAN, "use_null": True}), threads=1)._restore(state)


# Copies


@pytest.mark.parametrize("threads", [1, 3])
def test_a_copy_shares_nothing(threads: int) -> None:
    """A job that goes on changes nothing of the state that was copied, in pieces on any threads."""
    with mock.patch("tidegate.kept._PIECE_BYTES", 64):
        job, rows = Job(job_config(MEAN), threads=threads), hourly(8)
        job.post(rows[: len(rows) // 2])
        job.flush()
        state = job._capture(copy=True)
        before = copy.deepcopy(dict(leaves(state)))
        job.post(rows[len(rows) // 2 :])
        job.flush()
        assert dict(leaves(state)) == before != dict(leaves(job._capture(copy=True)))


def test_pages_are_kept_in_the_order_of_their_blocks() -> None:
    """Where in memory the pages of blocks lie makes no difference to what is captured."""
    rows = [{**row, "b": f"{row['b']}{k}"} for row in hourly(5) for k in range(3)]
    job = Job(job_config(MEAN), threads=1)
    job.post(rows)
    job.flush()
    [model] = next(iter(job._engine._lanes.values())).analyses[0].models  # type: ignore[attr-defined]
    taken = np.flatnonzero(model._page_b >= 0)
    assert len(taken) == 3
    before = dict(leaves(job._capture(copy=False)))
    pages = model._pages.reshape(-1, PAGE_SIZE)
    pages[model._page_b[taken]] = pages[model._page_b[taken[::-1]]]
    model._page_b[taken] = model._page_b[taken[::-1]]
    assert dict(leaves(job._capture(copy=False))) == before
    assert dict(leaves(job._capture(copy=True))) == before


def test_arrays_that_can_be_written_are_taken_over() -> None:
    """Restored state uses the memory it was given, unless that cannot be written."""
    job = Job(job_config({"function": "mean", "field_name": "x"}), threads=1)
    job.post([{"t": START + k * SPAN, "x": float(k)} for k in range(50)])
    job.flush()
    for writable in (True, False):
        tree = state_of(job)
        state = tree["engine"]["lanes"]["[null, null, null, false]"]["analyses"][0]["models"][0]["used_state"]
        state.setflags(write=writable)
        other = new(job)
        other._restore({**head(), "job": tree})
        [model] = next(iter(other._engine._lanes.values())).analyses[0].models  # type: ignore[attr-defined]
        assert np.may_share_memory(model.state, state) == writable
        other.post([{"t": START + 60 * SPAN, "x": 7.0}])
        other.flush()


# The mechanism


@dataclass(frozen=True, slots=True)
class Parcel:
    """A value with all kinds of parts."""

    name: str | None
    weights: npt.NDArray[np.float32]
    labels: tuple[str, ...]
    place: tuple[int, float]
    inside: dict[tuple[str, None], npt.NDArray[np.uint8]]


class Shelf(Keeper):
    """Something that keeps parcels and tables."""

    KEPT: ClassVar = {"parcels": list[Parcel], "_table": pa.Table, "_fixed": INSIDE, "_other": INSIDE}

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self._table = pa.table({"a": pa.array([], pa.string())})
        self._fixed = [np.zeros(2), np.zeros(3)]
        self._other: Shelf | None = None


def test_all_kinds_of_values_come_back() -> None:
    """Nested values, odd keys, any text, NaN and tables are the same after a way through a tree."""
    one, other = Shelf(), Shelf()
    weights = np.array([np.nan, -0.0, np.inf], np.float32)
    one.parcels = [
        Parcel("λ\0", weights, ("a", ""), (1 << 70, -0.0), {("[1]", None): np.arange(3, dtype="u1")})
    ]
    one._table = pa.table({"a": ["x", None, "é"]})
    one._fixed[1][:] = 7.0
    restore(other, capture(one, copy=True))
    assert list(leaves(capture(other, copy=False))) == list(leaves(capture(one, copy=False)))
    assert other._table.equals(one._table)
    [parcel] = other.parcels
    assert (parcel.labels, parcel.place, list(parcel.inside)) == (("a", ""), (1 << 70, -0.0), [("[1]", None)])


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("table", np.arange(9, dtype="u1"), "table: cannot be restored"),
        ("fixed", [np.zeros(2)], r"fixed: a list of 1; it must be a list of 2"),
        ("fixed", [np.zeros(2), np.zeros(4)], r"fixed\[1\]: 4 numbers; they must be 3"),
        ("other", 7, "other: int; it must be NoneType"),
        ("parcels", [{}], r"parcels\[0\]: inside, labels, name, place, weights missing"),
        ("parcels", {"a": 1}, "parcels: an object; it must be a list"),
    ],
)
def test_messages_say_where_and_what(part: str, value: Any, said: str) -> None:
    """An error names the way to what is wrong, what there is, and what there must be."""
    state: Any = capture(Shelf(), copy=True)
    with pytest.raises(SnapshotError, match=said):
        restore(Shelf(), {**state, part: value})
