"""Where configurations come from: dicts, text, files, wrappers, and things that are none of these."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.config_samples import (
    AC,
    FULL,
    job,
    problems_of,
)

from tidegate.config import JobConfig
from tidegate.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n  "b" 2}', "line 2, column 7: Expecting ':' delimiter"),
        ("{", "line 1, column 2: Expecting property name enclosed in double quotes"),
        ('{"a": {"b": 1,\n "b": 2}}', "line 2, column 2: duplicate key 'b'"),
        ('{"a": "NaN", "b": [NaN]}', "line 1, column 20: NaN is not JSON"),
        ('{"a": -Infinity}', "line 1, column 7: -Infinity is not JSON"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        (b"[1]", "a job configuration is a JSON object, not a list"),
        (b"null", "a job configuration is a JSON object, not null"),
        (b'{"a":\n "\xff"}', "line 2: not UTF-8 text: invalid start byte"),
        (5, "a job configuration is a dict, JSON text or a path, not int"),
        ("", "'': No such file or directory"),
        ("no\0path", "'no\\x00path' is not a path: embedded null byte"),
    ],
)
def test_unreadable_sources_have_one_clear_message(text, message):
    """Text that is not one strict JSON object is refused with the place and the reason."""
    assert problems_of(text) == {"": [message]}


def test_an_integer_of_thousands_of_digits_is_refused():
    """The limit of Python on digits is a problem of the configuration, not a crash."""
    assert "" in problems_of('{"a": ' + "1" * 5000 + "}")


def test_files_are_read(tmp_path):
    """A path, as text or as a path object, is read, with or without a byte order mark."""
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job()), encoding="utf-8-sig")
    assert JobConfig.parse(path) == JobConfig.parse(str(path)) == JobConfig.parse(job())
    assert JobConfig.parse(path.read_bytes()) == JobConfig.parse(path.read_text(encoding="utf-8"))
    path.write_text("{\n]")
    assert problems_of(path)[""][0].startswith(f"{path}: line 2, column 1: ")
    path.write_text("[]")
    assert problems_of(path)[""] == [f"{path}: a job configuration is a JSON object, not a list"]
    assert problems_of(tmp_path / "none.json")[""] == [f"{tmp_path / 'none.json'}: No such file or directory"]


@pytest.mark.parametrize("key", ["job", "config", "_source", "job_config"])
def test_wrapped_jobs_are_found(key):
    """A job inside an installer's object is found, and named by the id beside it."""
    inner = job()
    del inner["job_id"]
    wrapped = {"id": "low_throughput", key: inner, "datafeed": {"indices": []}}
    assert JobConfig.parse(wrapped).job_id == "low_throughput"
    assert JobConfig.parse({**wrapped, key: job()}).job_id == "j"
    assert JobConfig.parse({key: inner}).job_id == "job"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["5m", "mean", "x", "at", "mlcategory", "count", "-1", "1e400", "yyyy", "epoch", "1mb"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value, at=()):
    """Every place in a JSON value, as a tuple of keys and indices."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*at, key)
        yield from places(part, (*at, key))


PLACES = list(places(FULL))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_mutation_of_a_configuration_crashes(data):
    """Whatever is dropped, renamed or retyped, parsing gives a configuration or a ConfigError."""
    source = copy.deepcopy(FULL)
    for _ in range(data.draw(st.integers(1, 4))):
        *outer, last = data.draw(st.sampled_from(PLACES))
        holder = source
        try:
            for key in outer:
                holder = holder[key]
            value = holder.pop(last)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
        how = data.draw(st.sampled_from(["drop", "rename", "retype"]))
        if how == "retype":
            value = data.draw(JSON)
        if how != "drop" and isinstance(holder, list):
            holder.insert(last, value)
        elif how != "drop":
            holder[data.draw(st.text(max_size=9)) if how == "rename" else last] = value
    try:
        config = JobConfig.parse(source)
    except ConfigError:
        return
    assert JobConfig.parse(json.dumps(config.to_dict())) == config
    config.unsupported()


@settings(deadline=None)
@given(JSON)
def test_no_json_crashes(value):
    """Any JSON value in place of a configuration gives a ConfigError."""
    with pytest.raises(ConfigError):
        JobConfig.parse(json.dumps(value).encode())
    with pytest.raises(ConfigError):
        JobConfig.parse({AC: value, "data_description": value})
