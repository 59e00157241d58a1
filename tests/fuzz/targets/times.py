"""Formats of times, texts read by them, and the times of requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from tests.fuzz.choices import Choices
from tests.fuzz.targets import Target

from tidegate.config.spans import parse_span
from tidegate.requesttime import interim_range, parse_request_time
from tidegate.timefield import LATEST_MS, to_epoch_ms
from tidegate.timepattern import compile_pattern
from tidegate_kernels.timetext import INVALID

_PATTERNS = """
    yyyy uuuu yy y MM M MMM MMMM dd d DDD HH H kk hh KK mm ss SSS S SSSSSSSSS n A a E EEEE X XXX XXXXX x xx Z
    ZZZZ z VV 'T' '' ' [ ] - : . / é { QQ yyyy-MM-dd HH:mm:ss [
"""
_WRITTEN = """
    2018 1970 9999 0000 99 1 12 13 31 30 366 23 24 59 60 999999999 Jan January jan Monday Mon AM pm UTC GMT Z
    +01:00 -18 +0530 GMT+1:00 T - : . / , é 2018-01-01 12:00:00 2018-01-01T00:00:00.123456789Z 1514764800
"""
PIECES, TEXTS = tuple(_PATTERNS.split()), tuple(_WRITTEN.split())


def pieces(choices: Choices, options: tuple[str, ...]) -> str:
    """A text made of known pieces and of any others."""
    made = ""
    for _ in range(choices.below(12)):
        at = choices.below(len(options) + 2)
        made += options[at] if at < len(options) else " " if choices.flag() else choices.text(6)
    return made


def check_texts(choices: Choices) -> None:
    """Texts by a pattern: every one is a time or none, whatever stands beside it and of whatever type."""
    pattern = ("epoch", "epoch_ms")[choices.below(2)] if choices.below(3) == 0 else pieces(choices, PIECES)
    if not pattern.startswith("epoch"):
        try:
            compile_pattern(pattern)
        except ValueError:
            return
    found = [pieces(choices, TEXTS) for _ in range(1 + choices.below(4))]
    raw = [text.encode("utf-8", "surrogateescape") for text in found]
    together = to_epoch_ms(pa.array(raw, pa.binary()), pattern).tolist()
    assert all(ms == INVALID or 0 <= ms <= LATEST_MS for ms in together), together
    alone = [to_epoch_ms(pa.array([text], pa.large_binary()), pattern).tolist()[0] for text in raw]
    coded = to_epoch_ms(pa.array(raw + raw, pa.binary()).dictionary_encode(), pattern).tolist()
    assert together == alone == coded[: len(raw)], (together, alone, coded)


def any_time(choices: Choices) -> Any:
    """What somebody may give as a time."""
    makers: tuple[Callable[[], Any], ...] = (
        lambda: pieces(choices, TEXTS),
        choices.integer,
        choices.double,
        lambda: str(choices.integer()),
        lambda: np.datetime64(
            choices.integer(), choices.one_of(("s", "ms", "us", "ns", "D", "Y", "h", "as"))
        ),
        lambda: dt.datetime.min + dt.timedelta(days=choices.below(1 << 16) * 50),
        lambda: dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(minutes=choices.below(2000) - 1000))),
        lambda: np.datetime64("NaT"),
        lambda: np.float16(choices.below(256) / 7),
        lambda: np.int64(choices.integer()),
        lambda: choices.one_of(
            (None, True, b"now", [], object, dt.timedelta(1), dt.date.max, 10**30, np.bool_(1))
        ),
        lambda: choices.text(30),
    )
    return choices.one_of(makers)()


def check_times(data: bytes) -> None:
    """A column of times, the time of a request, a range of them, or a span."""
    choices = Choices(data)
    kind = choices.below(6)
    if kind < 3:
        check_texts(choices)
    elif kind == 3:
        ms = parse_request_time(any_time(choices), "start")
        assert 0 <= ms <= LATEST_MS
        assert ms % 1000 == 0
    elif kind == 4:
        start, end = interim_range(True, any_time(choices), any_time(choices))
        assert start is None or end is None or start <= end
    else:
        value: Any = (
            choices.integer() if choices.flag() else pieces(choices, (*TEXTS, "d", "h", "ms", "nanos"))
        )
        try:
            span = parse_span(value)
        except ValueError:
            return
        assert parse_span(span.text) == span


def time_seeds() -> list[bytes]:
    """Some of everything."""
    return [bytes([kind, *range(at, at + 40)]) for kind in range(6) for at in range(0, 200, 17)] + [
        bytes([0, 1, 8, 0, 39, 4, 39, 8, 35, 56, 41, 57, 1, 2, 28, 29])
    ]


TARGETS = {"times": Target(check_times, time_seeds, most_bytes=256)}
