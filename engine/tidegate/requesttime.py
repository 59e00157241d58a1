"""Times in the arguments of calls: numbers, ``now``, ISO-8601 text, datetimes.

Digits of at most 10 characters are epoch seconds, longer ones milliseconds. So a
millisecond time before 1970-04-26 reads as seconds: that is how the API has always been.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from typing import Any

from .errors import RequestError, TimeError

_DIGITS = re.compile(r"-?[0-9]+")
_LONGEST_SECONDS = 10
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,]\d+)?)?)?"
    r" ?(?:([Zz]|UTC)|([+-])(\d\d)(?::?(\d\d))?)?)?"
)
_LATEST_S = 253_402_300_799  # 9999-12-31T23:59:59Z


def parse_request_time(value: Any, name: str) -> int:
    """Epoch milliseconds, truncated to whole seconds, of a time given to a call.

    Accepts an int or text of digits, a float, ``"now"``, ISO-8601 text, a datetime (UTC if
    naive), a date, a NumPy datetime64 or a pandas Timestamp. Raises TimeError for what is
    none of these or before 1970; ``name`` is the argument it names.

    >>> parse_request_time("1514804400", "advance_time")
    1514804400000
    >>> parse_request_time("2018-01-01T11:00:00Z", "advance_time")
    1514804400000
    """
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= _LATEST_S:
        raise TimeError(
            f"Query param [{name}] with value [{value}] cannot be parsed as a date "
            "or converted to a number (epoch)."
        )
    return seconds * 1000


def time_range(start: Any, end: Any, names: tuple[str, str]) -> tuple[int | None, int | None]:
    """Two request times, the second not before the first; an empty `end` is none."""
    first = None if start is None else parse_request_time(start, names[0])
    last = None if end is None or end == "" else parse_request_time(end, names[1])
    if first is not None and last is not None and last < first:
        raise RequestError(f"Invalid time range: end time '{end}' is earlier than start time '{start}'.")
    return first, last


def interim_range(calc_interim: bool, start: Any, end: Any) -> tuple[int | None, int | None]:
    """Start and end of the interim results asked for, in the order the API checks them."""
    first, last = time_range(start, end, ("start", "end"))
    if not isinstance(calc_interim, bool):
        raise RequestError(f"calc_interim: {calc_interim!r} is not true or false")
    if not calc_interim and first is not None:
        raise RequestError("Invalid flush parameters: unexpected 'start'.")
    if not calc_interim and last is not None:
        raise RequestError("Invalid flush parameters: unexpected 'end'.")
    if calc_interim and last is not None and first is None:
        raise RequestError("Invalid flush parameters: 'start' has not been specified.")
    return first, last


def _seconds(value: Any) -> int | None:
    """Whole epoch seconds, None for what is no time."""
    if isinstance(value, dt.datetime):
        return _of_datetime(value)
    if isinstance(value, dt.date):
        return (value.toordinal() - dt.date(1970, 1, 1).toordinal()) * 86_400
    if isinstance(value, str):
        return _of_text(value.strip())
    if type(value).__name__ == "datetime64" and hasattr(value, "astype"):
        return _of_datetime64(value)
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return None
    if isinstance(value, int) or hasattr(value, "__index__"):
        return _of_digits(str(int(value)))
    if isinstance(value, float) or hasattr(value, "__float__"):
        number = float(value)
        return _of_digits(str(math.floor(number))) if math.isfinite(number) else None
    return None


def _of_digits(text: str) -> int | None:
    """Seconds of a whole number: at most 10 characters are seconds, more milliseconds."""
    if len(text) > 20:
        return None
    number = int(text)
    return number if len(text) <= _LONGEST_SECONDS else number // 1000


def _of_datetime(value: dt.datetime) -> int | None:
    if value != value:  # pandas.NaT
        return None
    aware = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    try:
        since = aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    except OverflowError:
        return None
    return since // dt.timedelta(seconds=1)


def _of_datetime64(value: Any) -> int | None:
    """Seconds of a NumPy datetime64, whose conversion to a finer unit may overflow without a word.

    To years it never does; not-a-time is the smallest integer and so before 1970.
    """
    try:
        if not 0 <= int(value.astype("datetime64[Y]").astype("int64")) < 8030:
            return None
        return int(value.astype("datetime64[s]").astype("int64"))
    except OverflowError:
        return None


def _of_text(text: str) -> int | None:
    if text == "now":
        return int(time.time())
    if _DIGITS.fullmatch(text):
        return _of_digits(text)
    match = _ISO.fullmatch(text)
    if match is None or not text.isascii():
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    sign, east_hours, east_minutes = match[8], int(match[9] or 0), int(match[10] or 0)
    if east_minutes > 59 or east_hours * 60 + east_minutes > 18 * 60:
        return None
    try:
        moment = dt.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    east = (east_hours * 60 + east_minutes) * 60 * (-1 if sign == "-" else 1)
    naive = _of_datetime(moment)
    return None if naive is None else naive - east
