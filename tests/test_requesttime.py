"""Times in the arguments of calls."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import TimeError
from tidegate.requesttime import parse_request_time

ELEVEN = 1_514_804_400_000  # 11:00 GMT 1 Jan 2018
EAST = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1514804400", ELEVEN),
        ("1514804400999", ELEVEN),
        (" 1514804400 ", ELEVEN),
        (1514804400, ELEVEN),
        (1514804400999, ELEVEN),
        (np.int64(1514804400), ELEVEN),
        (1514804400.9, ELEVEN),
        (np.float64(1514804400999.5), ELEVEN),
        ("9999999999", 9_999_999_999_000),
        ("10000000000", 10_000_000_000),
        ("0", 0),
        ("2018-01-01T11:00:00Z", ELEVEN),
        ("2018-01-01T11:00:00.999Z", ELEVEN),
        ("2018-01-01 12:00:00+01:00", ELEVEN),
        ("2018-01-01T05:30-0530", ELEVEN),
        ("2018-01-01", ELEVEN - 11 * 3_600_000),
        (dt.datetime(2018, 1, 1, 11), ELEVEN),
        (dt.datetime(2018, 1, 1, 12, 0, 0, 999_999, EAST), ELEVEN),
        (dt.date(2018, 1, 1), ELEVEN - 11 * 3_600_000),
        (np.datetime64("2018-01-01T11:00:00.999"), ELEVEN),
        (np.datetime64("2018-01-01"), ELEVEN - 11 * 3_600_000),
        (pd.Timestamp("2018-01-01T11:00:00.5Z"), ELEVEN),
        (pd.Timestamp("2018-01-01T11:00:00"), ELEVEN),
    ],
)
def test_accepted_times(value: Any, wanted: int) -> None:
    """Every form of a time is the moment it says, truncated to whole seconds."""
    found = parse_request_time(value, "advance_time")
    assert found == wanted
    assert type(found) is int


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "-1",
        -1,
        -0.5,
        "Now",
        "1.5",
        "1e9",
        "2018-13-01",
        "2018-02-29",
        "2018-01-01T24:00",
        "1969-12-31",
        "2018-01-01T11:00+19:00",
        "٢٠١٨-٠١-٠١",
        "9" * 5000,
        10**30,
        True,
        np.True_,
        None,
        [],
        float("nan"),
        float("inf"),
        pd.NaT,
        np.datetime64("NaT"),
        dt.datetime(1969, 12, 31),
        dt.datetime(1, 1, 1, tzinfo=EAST),
        b"1514804400",
    ],
)
def test_refused_times(value: Any) -> None:
    """What is no time, or before 1970, is refused with the message of the contract."""
    with pytest.raises(TimeError) as caught:
        parse_request_time(value, "skip_time")
    assert str(caught.value) == (
        f"Query param [skip_time] with value [{value}] cannot be parsed as a date "
        "or converted to a number (epoch)."
    )


def test_now_is_the_clock() -> None:
    """``now`` is the current second."""
    before = int(time.time())
    assert before * 1000 <= parse_request_time("now", "end") <= int(time.time()) * 1000


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(9999, 12, 31)))
def test_text_and_datetime_agree(moment: dt.datetime) -> None:
    """A datetime and its ISO-8601 text are the same time."""
    assert parse_request_time(moment.isoformat(), "start") == parse_request_time(moment, "start")
