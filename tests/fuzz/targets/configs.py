"""Configurations, their updates, calendars and filters: from text, and from objects of any shape."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz.choices import Choices
from tests.fuzz.targets import Target

from tidegate.config import JobConfig
from tidegate.config.calendars import read_calendars, read_events
from tidegate.config.filters import read_filters
from tidegate.config.update import updated

FOLDER = Path(__file__).parents[2] / "data" / "jobs"
SMALL = {"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}}
_ODD_WORDS = """
    0s 1h 5m -1d 99999999999999999999d now 2018-01-01 mean rare time mlcategory 10mb 1e9gb epoch _all *
    [ (((((((((a*)*)*)*)*)* (?P<a>.) yyyy-MM-dd'T'HH:mm:ss
"""
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, 2**53, 2**70, -(2**63), 1e308, float("nan"), float("inf")),
    *("", " ", "\ud800", "\0", "\n", "x" * 300, [], {}, [[]], [{}], [None], [1, "a"], {"": {}}),
    *_ODD_WORDS.split(),
)
MORE_WORDS = """
    calendar_id events start_time end_time description filter_id items job_ids skip_result force_time_shift
    detector_index custom_rules actions scope conditions applies_to operator value filter_type params
    model_prune_window latency char_filter tokenizer filter pattern replacement type stopwords use_null
    per_partition_categorization multivariate_by_fields summary_count_field_name over_field_name
    exclude_frequent
"""


@cache
def jobs() -> tuple[dict[str, Any], ...]:
    """The published configurations."""
    return tuple(json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")))


@cache
def words() -> tuple[str, ...]:
    """The keys and short texts of all of them."""
    found: dict[str, None] = dict.fromkeys(MORE_WORDS.split())

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                found[key] = None
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        elif isinstance(value, str) and len(value) < 30:
            found[value] = None

    for job in jobs():
        walk(job)
    return tuple(found)


def any_value(choices: Choices, levels: int = 4) -> Any:
    """A JSON value of any shape, of the words that configurations have."""
    kind = choices.below(8 if levels else 5)
    if kind == 0:
        return choices.integer()
    if kind == 1:
        return choices.double()
    if kind == 2:
        return choices.text()
    if kind == 3:
        return choices.one_of(words())
    if kind == 4:
        return copy.deepcopy(choices.one_of(ODD_VALUES))
    if kind == 5:
        return [any_value(choices, levels - 1) for _ in range(choices.below(4))]
    return {choices.one_of(words()): any_value(choices, levels - 1) for _ in range(choices.below(6))}


def changed(value: Any, choices: Choices) -> Any:
    """A value with one thing in it changed."""
    inner = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    act = choices.below(8)
    if not inner or act == 0:
        return any_value(choices, 2)
    key = choices.one_of(tuple(inner))
    if act == 1:
        del value[key]
    elif act == 2 and isinstance(value, dict):
        value[choices.one_of(words())] = value.pop(key)
    elif act == 3:
        value[choices.one_of(words()) if isinstance(value, dict) else key] = any_value(choices, 2)
    elif act == 4 and isinstance(value, list):
        value.append(value[key])
    else:
        value[key] = changed(value[key], choices)
    return value


def check_config(data: bytes) -> None:
    """A configuration from bytes, text or an object; what is read is read again as the same."""
    choices = Choices(data)
    kind = choices.below(6)
    if kind == 0:
        config = JobConfig.parse(choices.rest())
    elif kind == 1:
        config = JobConfig.parse("{" + choices.rest().decode("utf-8", "surrogateescape"))
    elif kind == 2:
        value = any_value(choices)
        config = JobConfig.parse(value if isinstance(value, dict) else {"analysis_config": value})
    else:
        job = copy.deepcopy(choices.one_of((*jobs(), SMALL)))
        while choices:
            job = changed(job, choices)
        if kind == 3 and isinstance(job, dict):
            config = updated(JobConfig.parse(SMALL), job, is_open=choices.flag())
        elif kind == 4:
            config = JobConfig.parse(json.dumps(job).encode("utf-8", "replace"))
        else:
            config = JobConfig.parse(job if isinstance(job, dict) else {"job": job})
    again = JobConfig.parse(json.dumps(config.to_dict()).encode())
    assert again.to_dict() == config.to_dict(), f"{config.to_dict()} came back as {again.to_dict()}"
    assert repr(config)


def check_lists(data: bytes) -> None:
    """Calendars, events and filters from objects of any shape; what is read is read again as the same."""
    choices = Choices(data)
    read, key = choices.one_of(((read_calendars, "c"), (read_filters, "f"), (read_events, "e")))
    samples: dict[str, list[Any]] = {
        "e": [{"description": "x", "start_time": 1_700_000_000_000, "end_time": "2024-01-01T00:00:00Z"}],
        "f": [{"filter_id": "safe", "items": ["a", "b*"]}],
    }
    samples["c"] = [{"calendar_id": "holidays", "job_ids": ["a"], "events": samples["e"]}]
    value: Any = samples[key]
    while choices:
        value = changed(value, choices)
    made: Any = read(value)
    shown = [part.to_dict() for part in made]
    assert [part.to_dict() for part in read(shown)] == shown or not shown


def config_seeds() -> list[bytes]:
    """The published configurations as text, and some changes of each."""
    texts = [bytes([at % 2]) + json.dumps(job).encode()[at % 2 :] for at, job in enumerate(jobs())]
    changes = [bytes([kind, at, 5, 1, 5, 2, 4, 7]) for kind in (3, 4, 5) for at in range(0, 33, 4)]
    return [text for text in texts if len(text) < 4096] + [b"\0" + json.dumps(SMALL).encode(), *changes]


def list_seeds() -> list[bytes]:
    """Every kind of list, and small changes of it."""
    return [bytes([kind, *change]) for kind in range(3) for change in ((), (5, 0, 5, 0, 0, 4, 7), (3, 0, 6))]


_TOKENS = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"1e999",
    b"NaN",
    b"\\ud800",
    b'"job":',
)
TARGETS = {
    "config": Target(check_config, config_seeds, _TOKENS),
    "lists": Target(check_lists, list_seeds, most_bytes=512),
}
