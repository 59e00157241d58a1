"""Text times: the kernel against the standard library, patterns, columns of every type."""

from __future__ import annotations

import calendar
import datetime as dt
import decimal
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate import timepattern
from tidegate.timefield import LATEST_MS, to_epoch_ms
from tidegate.timepattern import compile_pattern, program_for
from tidegate_kernels import timetext
from tidegate_kernels.timetext import INVALID, parse_times

UTC = dt.UTC
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)

# pattern, the strftime format that writes it, and its resolution in milliseconds
PATTERNS = [
    ("yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S", 1000),
    ("yyyyMMddHHmmss", "%Y%m%d%H%M%S", 1000),
    ("yyyyMMdd", "%Y%m%d", 86_400_000),
    ("yyyy-MM-dd'T'HH:mm:ss.SSSSSS", "%Y-%m-%dT%H:%M:%S.%f", 1),
    ("yyyyMMddHHmmssSSSSSS", "%Y%m%d%H%M%S%f", 1),
    ("dd/MMM/yyyy:HH:mm:ss Z", "%d/%b/%Y:%H:%M:%S +0000", 1000),
    ("EEE, d MMM yyyy hh:mm:ss a z", "%a, %d %b %Y %I:%M:%S %p GMT", 1000),
    ("EEEE, MMMM d, uuuu HH:mm", "%A, %B %d, %Y %H:%M", 60_000),
    ("yyyy-DDD HH", "%Y-%j %H", 3_600_000),
    ("yyyy-MM-dd['T'HH:mm[:ss[.SSS]]][XXX]", "%Y-%m-%dT%H:%M:%SZ", 1000),
    ("yyyy-MM-dd''HH 'o''clock' VV", "%Y-%m-%d'%H o'clock UTC", 3_600_000),
]
TIMES = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC))


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    """Compiles the kernel once, so that no example is slow for it."""
    parse(["0"], (timetext.SECONDS,))


def parse(texts: list[str], program: tuple[int, ...], run: Any = parse_times) -> list[int]:
    data = "".join(texts).encode()
    offsets = np.cumsum([0] + [len(text.encode()) for text in texts], dtype=np.int64)
    out = np.empty(len(texts), np.int64)
    bad = run(offsets, np.frombuffer(data or b"\0", np.uint8), np.array(program, np.int64), out)
    assert bad == (out == INVALID).sum()
    return out.tolist()


def epoch_ms(time: dt.datetime) -> int:
    return (time - EPOCH) // dt.timedelta(milliseconds=1)


def test_codes_are_those_of_the_kernel() -> None:
    """The compiler of patterns and the kernel use the same numbers for the same names."""
    names = [name for name in vars(timepattern) if name.isupper() and hasattr(timetext, name)]
    assert len(names) >= 20
    assert all(getattr(timepattern, name) == getattr(timetext, name) for name in names)


def test_patterns_import_neither_numpy_nor_numba() -> None:
    """The configuration can check patterns without numerical libraries."""
    code = (
        "import sys, runpy; runpy.run_path(sys.argv[1]); "
        "print(sorted({'numpy', 'numba', 'pyarrow'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(timepattern.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("pattern", "written", "resolution_ms"), PATTERNS)
@given(time=TIMES)
@example(dt.datetime(2000, 2, 29, 0, 0, 0, tzinfo=UTC))
@example(dt.datetime(1999, 12, 31, 12, 59, 59, 999999, tzinfo=UTC))
def test_pattern_reads_what_strftime_writes(
    pattern: str, written: str, resolution_ms: int, time: dt.datetime
) -> None:
    """A time written in a format is read back by the pattern of that format."""
    wanted = epoch_ms(time)
    assert parse([time.strftime(written)], compile_pattern(pattern)) == [wanted - wanted % resolution_ms]


@given(time=TIMES, separator=st.sampled_from("T t"), east=st.integers(-14 * 60, 14 * 60), colon=st.booleans())
def test_iso_reads_what_isoformat_writes(time: dt.datetime, separator: str, east: int, colon: bool) -> None:
    """ISO-8601 text with any offset is the moment that the standard library says."""
    try:
        local = time.astimezone(dt.timezone(dt.timedelta(minutes=east)))
    except OverflowError:
        return
    text = local.isoformat(separator.strip() or "T")
    if not colon:
        text = text[:-3] + text[-2:]
    assert parse([text], (timetext.ISO,)) == [epoch_ms(time)]


@given(year=st.integers(1, 9999), month=st.integers(0, 13), day=st.integers(0, 32))
def test_only_real_dates_are_dates(year: int, month: int, day: int) -> None:
    """A date is read exactly if the calendar has it."""
    real = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    (found,) = parse([f"{year:04}-{month:02}-{day:02}"], (timetext.ISO,))
    assert (found != INVALID) == real


@pytest.mark.parametrize(
    ("text", "seconds", "milliseconds"),
    [
        ("1514804400", 1_514_804_400_000, 1_514_804_400),
        (" 1514804400.999\t", 1_514_804_400_000, 1_514_804_400),
        ("1.5148044e9", 1_514_804_400_000, 1_514_804_400),
        ("15148044005E-1", 1_514_804_400_000, 1_514_804_400),
        ("0", 0, 0),
        ("-0", 0, 0),
        ("-0.5", -1000, -1),
        ("-7", -7000, -7),
        ("+7", 7000, 7),
        (".5", 0, 0),
        ("5.", 5000, 5),
        ("1e99", INVALID, INVALID),
        ("99999999999999999999", INVALID, INVALID),
        ("1e", INVALID, INVALID),
        ("1 2", INVALID, INVALID),
        ("-", INVALID, INVALID),
        ("", INVALID, INVALID),
        ("  ", INVALID, INVALID),
        ("nan", INVALID, INVALID),
        ("0x10", INVALID, INVALID),
        ("2018-01-01", INVALID, INVALID),
    ],
)
def test_numbers(text: str, seconds: int, milliseconds: int) -> None:
    """Numbers are floored to whole seconds or milliseconds."""
    assert parse([text], (timetext.SECONDS,)) == [seconds]
    assert parse([text], (timetext.MILLISECONDS,)) == [milliseconds]


NO_ISO = [
    "2018-1-01",
    "18-01-01",
    "2018-01-01T",
    "2018-01-01T24:00",
    "2018-01-01T11:60",
    "2018-01-01T11:00:60",
    "2018-01-01T11:00:00.",
    "2018-01-01T11:00:00.5x",
    "2018-01-01T11:00+",
    "2018-01-01T11:00+1",
    "2018-01-01T11:00+19",
    "2018-01-01T11:00+01:60",
    "2018-01-01T11:00+01:0",
    "2018-01-01T11:00ZZ",
    "2018-01-01x11:00",
    "2018-01-0é1",
    "12018-01-01",
    "2018/01/01",
    "2018-02-29",
    "1900-02-29",
    "now",
    "2018-01-01Tx",
    "2018-01-01T11:00:00+01:00:00",
]


@pytest.mark.parametrize("text", NO_ISO)
def test_wrong_iso_text_is_no_time(text: str) -> None:
    """What is nearly ISO-8601 is not read."""
    assert parse([text], (timetext.ISO,)) == [INVALID]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2018-01-01", "2018-01-01T00:00:00"),
        ("2018-01-01T11", "2018-01-01T11:00:00"),
        ("2018-01-01T11:30", "2018-01-01T11:30:00"),
        ("2018-01-01 11:30:15,98765432198", "2018-01-01T11:30:15.987"),
        ("2018-01-01 11:30:15.5 UTC", "2018-01-01T11:30:15.500"),
        ("2018-01-01 11:30:15 +01", "2018-01-01T10:30:15"),
        ("2018-01-01t11:30:15z", "2018-01-01T11:30:15"),
    ],
)
def test_iso_forms(text: str, wanted: str) -> None:
    """The short and the long forms of ISO-8601 are read, fractions truncated to milliseconds."""
    assert parse([text], (timetext.ISO,)) == [epoch_ms(dt.datetime.fromisoformat(wanted).replace(tzinfo=UTC))]


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2014-7-1 9:05:00", "2014-07-01T09:05"),
        ("yyyy-MM-dd HH:mm:ss.SSS", "2014-07-01 09:05:00.1234567", "2014-07-01T09:05:00.123"),
        ("yy.M.d Hmm", "14.7.1 930", "2014-07-01T09:30"),
        ("yy.M.d Hmm", "14.7.1 1130", "2014-07-01T11:30"),
        ("yyyy-MM-dd K a", "2014-07-01 0 pm", "2014-07-01T12:00"),
        ("yyyy-MM-dd h a", "2014-07-01 12 AM", "2014-07-01T00:00"),
        ("yyyy-MM-dd k", "2014-07-01 24", "2014-07-01T00:00"),
        ("yyyy-MM-dd A", "2014-07-01 86399999", "2014-07-01T23:59:59.999"),
        ("yyyy-MM-dd HH:mm:ss n", "2014-07-01 00:00:00 5999999", "2014-07-01T00:00:00.005"),
        ("yyyy-MM-dd HH:mmXXX", "2014-07-01 09:05+05:30", "2014-07-01T03:35"),
        ("yyyy-MM-dd HH:mmX", "2014-07-01 09:05-05", "2014-07-01T14:05"),
        ("yyyy-MM-dd HH:mm ZZZZ", "2014-07-01 09:05 GMT-05:00", "2014-07-01T14:05"),
        ("yyyy-MM-dd HH:mm ZZZZ", "2014-07-01 09:05 GMT", "2014-07-01T09:05"),
        ("[yyyy-MM-dd][dd.MM.yyyy]", "01.07.2014", "2014-07-01T00:00"),
        ("[yyyy-MM-dd][dd.MM.yyyy]", "2014-07-01", "2014-07-01T00:00"),
        ("yyyy-MM-dd[ HH[:mm]'h']", "2014-07-01 09:05h", "2014-07-01T09:05"),
        ("yyyy-MM-dd[ HH[:mm]'h']", "2014-07-01 09h", "2014-07-01T09:00"),
        ("yyyy-MM-dd[ HH[:mm]'h']", "2014-07-01 09:05", None),
        ("yyyy-MM-dd[ HH:mm][ HH'h']", "2014-07-01 09h", "2014-07-01T09:00"),
        ("yyyy-MM-dd", "2014-02-29", None),
        ("yyyy-MM-dd", "2014-07-01x", None),
        ("yyyy-DDD", "2014-366", None),
        ("yyyy-DDD", "2016-366", "2016-12-31T00:00"),
        ("yyyy-MM-dd HH", "2014-07-01 24", None),
        ("yyyyMMdd", "2014071", None),
        ("yyyyMMdd", "201407011", None),
        ("dd MMM yyyy", "01 Foo 2014", None),
        ("[yyyy-MM-dd][yyyy-MM-dd]", "2014-07-012014-07-01", None),
        ("yyyy-MM-dd HH:mmXXX", "2014-07-01 09:05+0530", None),
        ("yyyy-MM-dd z", "2014-07-01 CET", None),
    ],
)
def test_pattern_readings(pattern: str, text: str, wanted: str | None) -> None:
    """Patterns read leniently where the established engine does, and nothing that is wrong."""
    moment = None if wanted is None else epoch_ms(dt.datetime.fromisoformat(wanted).replace(tzinfo=UTC))
    assert parse([text], compile_pattern(pattern)) == [INVALID if moment is None else moment]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("yyyy-MM-dd Q", "'Q' is not supported"),
        ("HH:mm", "needs a year"),
        ("yyyy-MM", "needs a day"),
        ("yyyy-MM-dd'T", "not closed"),
        ("yyyy-MM-dd[", "not closed"),
        ("yyyy-MM-dd]", "closes nothing"),
        ("yyyy-MM-dd{", "reserved"),
        ("yyyy-MM-dd hh", "needs 'a'"),
        ("yyyy-MM-dd H h a", "two clocks"),
        ("yyyyy-MM-dd", "more than 4 letters"),
        ("yyyy-MMMMM-dd", "narrow"),
        ("yyyy-MM-dd V", "not a zone"),
        ("yyyy-MM-dd XXXXXX", "longer than 5"),
        ("yyyy-MM-dd SSSSSSSSSS", "9 digits"),
        ("yyyy-MM-dd aa", "stands alone"),
        ("yyyy-MM-dd" + "['x']" * 61, "optional sections"),
        ("", "needs a year"),
    ],
)
def test_wrong_patterns_say_why(pattern: str, reason: str) -> None:
    """A wrong pattern is refused with its reason."""
    with pytest.raises(ValueError, match=reason):
        compile_pattern(pattern)


PIECES = st.sampled_from(
    ["2018", "-", "01", "12", ":", "T", " ", ".", "5", "Z", "+", "é", "e", "PM", "Jul", "GMT", ""]
)


@settings(max_examples=300)
@given(
    st.lists(st.lists(PIECES, max_size=12).map("".join), min_size=1, max_size=4),
    st.sampled_from(
        [(kind,) for kind in range(1, 6)] + [compile_pattern(pattern) for pattern, _, _ in PATTERNS]
    ),
)
def test_compiled_and_plain_agree(texts: list[str], program: tuple[int, ...]) -> None:
    """The compiled kernel and its plain Python form give the same times."""
    assert parse(texts, program) == parse(texts, program, parse_times.python)


DAY = dt.date(2020, 1, 1)
DAY_MS = 1_577_836_800_000


@pytest.mark.parametrize(
    ("column", "time_format", "wanted"),
    [
        (pa.array([1, None, -1], pa.int64()), "epoch", [1000, None, None]),
        (pa.array([1, 127, -1], pa.int8()), "epoch_ms", [1, 127, None]),
        (pa.array([2**64 - 1, 5, None], pa.uint64()), "epoch_ms", [None, 5, None]),
        (pa.array([2**62, LATEST_MS // 1000], pa.int64()), "epoch", [None, LATEST_MS // 1000 * 1000]),
        (pa.array([LATEST_MS, LATEST_MS + 1]), "epoch_ms", [LATEST_MS, None]),
        (pa.array([1.9, float("nan"), float("inf"), 1e300, -0.5]), "epoch", [1000, None, None, None, None]),
        (pa.array([1.9, None]), "epoch_ms", [1, None]),
        (pa.array([decimal.Decimal("1.9"), None]), "epoch", [1000, None]),
        (pa.array([DAY, None]), "epoch", [DAY_MS, None]),
        (pa.array([DAY], pa.date64()), "yyyy", [DAY_MS]),
        (pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("s")), "epoch", [DAY_MS]),
        (pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("us", "Europe/Paris")), "epoch", [DAY_MS]),
        (pa.array([-1, 1_999_999], pa.timestamp("ns")), "epoch", [None, 1]),
        (pa.array([2**62, 1], pa.timestamp("s")), "epoch", [None, 1000]),
        (pa.array(["1", "2020-01-01", "x", None]), "epoch", [1000, DAY_MS, None, None]),
        (pa.array(["1", "2020-01-01"], pa.large_string()), "epoch_ms", [1, DAY_MS]),
        (pa.array(["1"], pa.string_view()), "epoch_ms", [1]),
        (pa.array([b"1", None]), "epoch_ms", [1, None]),
        (
            pa.array(["2020-01-01", None, "2020-01-01"]).dictionary_encode(),
            "yyyy-MM-dd",
            [DAY_MS, None, DAY_MS],
        ),
        (pa.array([None], pa.dictionary(pa.int32(), pa.string())), "epoch", [None]),
        (pa.array([20200101, None, -5]), "yyyyMMdd", [DAY_MS, None, None]),
        (pa.array([20200101.0, None, 0.5]), "yyyyMMdd", [DAY_MS, None, None]),
        (pa.array(["1577836800"]), "yyyyMMdd", [None]),
        (pa.array([True, False]), "epoch", [None, None]),
        (pa.nulls(2), "epoch", [None, None]),
        (pa.array([{"a": 1}]), "epoch", [None]),
        (pa.array([], pa.string()), "epoch", []),
        (pa.chunked_array([[1], [2, None]]), "epoch_ms", [1, 2, None]),
        (pa.chunked_array([], pa.int64()), "epoch_ms", []),
        (pa.array(["x", "1", "2"])[1:], "epoch_ms", [1, 2]),
        (pa.array([9, 1, None])[1:], "epoch_ms", [1, None]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], [5, 6]), "epoch_ms", [5, 5, 6]),
    ],
)
def test_columns_of_every_type(column: Any, time_format: str, wanted: list[int | None]) -> None:
    """Every type of column becomes milliseconds, INVALID where there is no time."""
    assert to_epoch_ms(column, time_format).tolist() == [INVALID if w is None else w for w in wanted]


def test_valid_milliseconds_are_a_read_only_view() -> None:
    """Millisecond integers and timestamps are not copied."""
    values = np.arange(5)
    for column in (pa.array(values), pa.array(values).view(pa.timestamp("ms"))):
        times = to_epoch_ms(column, "epoch_ms")
        assert np.shares_memory(times, values)
        assert not times.flags.writeable


def test_programs_of_time_formats_are_kept() -> None:
    """A time format is compiled once."""
    assert program_for("yyyy-MM-dd") is program_for("yyyy-MM-dd")
    assert program_for("epoch") == (timetext.SECONDS_OR_ISO,)
