"""The table of functions, spans, memory sizes and the small parts that configurations are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config import FUNCTIONS, Span, closest_function, find_function, parse_memory_bytes, parse_span
from tidegate.config.names import is_valid_id, quoted_field


def test_the_table_holds_every_function_of_the_contract():
    """Every function of the contract is in the table, and no other."""
    sided = ("count", "non_zero_count", "distinct_count", "info_content", "mean", "median", "varp", "sum")
    sided += ("non_null_sum",)
    expected = {f"{side}{name}" for name in sided for side in ("", "low_", "high_")}
    expected |= {"rare", "freq_rare", "metric", "min", "max", "time_of_day", "time_of_week", "lat_long"}
    assert set(FUNCTIONS) == expected


def test_names_and_aliases_are_unique():
    """No name or alias stands for two functions, and each is found."""
    names = [name for function in FUNCTIONS.values() for name in (function.name, *function.aliases)]
    assert len(names) == len(set(names))
    assert all(find_function(name) is not None for name in names)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("c", "count"),
        ("low_c", "low_count"),
        ("high_c", "high_count"),
        ("nzc", "non_zero_count"),
        ("low_nzc", "low_non_zero_count"),
        ("high_nzc", "high_non_zero_count"),
        ("dc", "distinct_count"),
        ("low_dc", "low_distinct_count"),
        ("high_dc", "high_distinct_count"),
        ("avg", "mean"),
        ("low_avg", "low_mean"),
        ("high_avg", "high_mean"),
    ],
)
def test_aliases_expand(alias, name):
    """An alias stands for its canonical function."""
    assert find_function(alias) is FUNCTIONS[name]


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_every_entry_is_whole(function):
    """Side, zero filling and features follow from the name and the family."""
    side = function.name.split("_")[0]
    expected = {"low": "low", "high": "high", "min": "low", "max": "high"}.get(side, "both")
    assert function.side == expected
    assert function.zero_fill == (function.family in ("count", "sum"))
    assert function.meaning
    assert function.features == (
        ("mean", "min", "max") if function.name == "metric" else function.features[:1]
    )
    assert all(function.side_of(feature) in ("both", "low", "high") for feature in function.features)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("averge", "mean"),
        ("mediann", "median"),
        ("hi_count", "high_count"),
        ("cardinality", "distinct_count"),
    ],
)
def test_unknown_functions_are_guessed(typed, meant):
    """A mistyped function is recognised, and a name from another product as well."""
    assert closest_function(typed) == meant


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("30s", 30_000),
        ("1d", 86_400_000),
        ("500ms", 500),
        ("2000000micros", 2_000),
        ("3000000000nanos", 3_000),
        (" 5 M ", 300_000),
        ("300", 300_000),
        (300, 300_000),
        ("0", 0),
        ("-5m", -300_000),
    ],
)
def test_spans_are_read(value, ms):
    """A span is a whole number with a unit, and seconds without one."""
    assert parse_span(value).ms == ms


@pytest.mark.parametrize(
    "value", ["", "m", "1.5h", "5 weeks", "five", 1.5, True, None, [], "9" * 19 + "d", 10**400]
)
def test_what_is_no_span_is_refused(value):
    """What is not a span raises ValueError with the rule."""
    with pytest.raises(ValueError, match="must"):
        parse_span(value)


@given(st.integers(min_value=1, max_value=9 * 10**12))
def test_spans_made_of_milliseconds_read_back(ms):
    """A span written from milliseconds parses to the same span."""
    assert parse_span(Span.of_ms(ms).text) == Span.of_ms(ms)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("1024mb", 1 << 30),
        ("1gb", 1 << 30),
        ("1G", 1 << 30),
        ("1.5gb", 3 << 29),
        ("2048kb", 2 << 20),
        ("10", 10 << 20),
        (10, 10 << 20),
        ("1048576b", 1 << 20),
    ],
)
def test_memory_sizes_are_read(value, size):
    """A memory size is a number with a unit, and MiB without one."""
    assert parse_memory_bytes(value) == size


@pytest.mark.parametrize("value", ["", "mb", "1 xb", "-1mb", 1.5, True, None, {}, "9999999999pb", 10**400])
def test_what_is_no_memory_size_is_refused(value):
    """What is not a memory size raises ValueError with the rule."""
    with pytest.raises(ValueError, match="must"):
        parse_memory_bytes(value)


@pytest.mark.parametrize("name", ["a", "a1", "web-1.eu_2", "0"])
def test_valid_ids(name):
    """Ids hold lower-case letters, digits and - _ . between alphanumeric ends."""
    assert is_valid_id(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a b", "a\n", "é", "a/b", "."])
def test_invalid_ids(name):
    """Anything else is no id."""
    assert not is_valid_id(name)


@pytest.mark.parametrize(
    ("name", "quoted"), [("airline", "airline"), ("a_1", "a_1"), ("a.b", '"a.b"'), ("größe", '"größe"')]
)
def test_names_are_quoted(name, quoted):
    """A name is quoted if it holds anything but ASCII word characters."""
    assert quoted_field(name) == quoted
