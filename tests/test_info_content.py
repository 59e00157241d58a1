"""The information of a cell: the size of its distinct texts when they are compressed."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from tests.cells_of_keys import SPAN, as_values, by_cell, cells_of, fill, spread
from tests.naive_deflate import deflated_size
from tests.naive_sketches import kept_texts
from tests.test_twin import spying

from tidegate import Job, texts
from tidegate.keycells import Information
from tidegate.keystream import KeyStream
from tidegate.passes import Span
from tidegate.texts import TextStore
from tidegate_kernels.information import KEPT_BYTES, LONGEST_TEXT

# Texts that look like those of logs


def _words(rng: random.Random, n: int) -> list[str]:
    """Made-up words; some are frequent, most are rare."""
    parts = [a + b for a in "bcdfghklmnprstvw" for b in "aeiou"] + ["tion", "ing", "er", "st", "com", "net"]
    vocabulary = ["".join(rng.choices(parts, k=rng.randint(1, 4))) for _ in range(3000)]
    return [vocabulary[min(int(rng.paretovariate(0.8)) - 1, 2999)] for _ in range(n)]


def _domain(rng: random.Random) -> str:
    return ".".join(_words(rng, rng.randint(1, 3))) + rng.choice([".com", ".net", ".org", ".io"])


def _url(rng: random.Random) -> str:
    return f"https://{_domain(rng)}/{'/'.join(_words(rng, rng.randint(1, 5)))}?id={rng.randint(0, 99999)}"


def _script(rng: random.Random) -> str:
    lines = (
        "  $%s = Get-%s -%s %s",
        'if ($%s -eq %s) { Write-%s "%s" }',
        "function %s(%s) { return %s + $%s }",
        "# %s %s %s %s",
    )
    return "\n".join(rng.choice(lines) % tuple(_words(rng, 4)) for _ in range(rng.randint(3, 150)))


KINDS: dict[str, Callable[[random.Random], str]] = {
    "domains": _domain,
    "random names": lambda rng: "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=24)),
    "URLs": _url,
    "scripts": _script,
    "base64": lambda rng: base64.b64encode(rng.randbytes(rng.randint(20, 400))).decode(),
    "hexadecimal": lambda rng: f"{rng.getrandbits(128):032x}",
    "other alphabets": lambda rng: "".join(rng.choices("абвгдежз東京大阪 é", k=rng.randint(0, 30))),
}
_SEEN: dict[str, list[str]] = {}


def sample(kind: str, n: int, seed: int) -> list[str]:
    """Some texts of one kind."""
    if kind not in _SEEN:
        rng = random.Random(kind)
        with mock.patch(f"{__name__}._words", _cached_words(rng)):
            _SEEN[kind] = [KINDS[kind](rng) for _ in range(400 if kind == "scripts" else 3000)]
    return random.Random(seed).choices(_SEEN[kind], k=n)


def _cached_words(rng: random.Random) -> Callable[[random.Random, int], list[str]]:
    pool = _words(rng, 20_000)
    return lambda rng, n: rng.choices(pool, k=n)


def sizes(rows: list[str], seed: int = 0, limit: int = KEPT_BYTES, **how: Any) -> tuple[Any, Any]:
    """The cells that texts come to, spread over two buckets and two series, and the texts of each."""
    store = TextStore()
    hashes = store.hashes(pa.array(rows, pa.string()))
    time, series = spread(hashes, 2, 2, seed)
    made = cells_of(Information(store, limit), time, series, hashes, **how)
    return made, by_cell(time, series, rows)


def size_of(rows: list[str], limit: int = KEPT_BYTES) -> float:
    """The size that one cell of texts comes to."""
    store = TextStore()
    hashes = store.hashes(pa.array(rows, pa.string()))
    zeros = np.zeros(len(rows), np.int64)
    made = cells_of(Information(store, limit), zeros, zeros.astype(np.int32), hashes)
    return made[0, 0][1] if made else 0.0


def joined(rows: list[str]) -> bytes:
    """What is compressed: distinct texts in the order of their bytes."""
    return b"".join(sorted({row.encode() for row in rows}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 5, 90])
def test_sizes_are_those_of_the_twin(kind, n):
    """Sorted, distinct, coded: the same number of bytes, however the rows came."""
    rows = sample(kind, 4 * n if kind != "scripts" else n, n)
    made, cells = sizes(rows, n)
    there = {cell: [row for row in found if row] for cell, found in cells.items()}
    expected = {c: (len(found), float(deflated_size(joined(found)))) for c, found in there.items() if found}
    assert made == expected
    for log_rows in (1, 20):
        assert sizes(rows, n, cuts=(n, n + 1), log_rows=log_rows)[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "ab",
        "abcabcabcabc",
        "a" * 1000,
        "ab" * 5000 + "x",
        "".join(map(chr, range(1, 256))) * 3,
        "\x00" * 9,
        "a\x00",
    ],
)
def test_peculiar_texts(text):
    """Very short, very regular and binary ones are as the twin has them, alone and beside others."""
    assert size_of([text]) == deflated_size(text.encode())
    rows = [text, text + "\x00", text[:5], "b" + text[1:], text + "a"]
    assert size_of(rows) == deflated_size(joined(rows))


def test_many_symbols():
    """A text of several blocks of symbols, each with its own codes, is as the twin has it."""
    rows = sample("random names", 1500, 1) + sample("domains", 2000, 2) + sample("base64", 60, 3)
    assert size_of(rows) == deflated_size(joined(rows))


def test_sizes_are_those_of_zlib():
    """Within 8% from 200 bytes on, 3% in the mean, and in the same order."""
    ours, others = [], []
    rng = random.Random(4)
    for kind in KINDS:
        for seed in range(60):
            rows = sample(kind, int(2 ** rng.uniform(0, 3 if kind == "scripts" else 9)), seed)
            if len(text := joined(rows)) >= 200:
                ours.append(size_of(rows))
                others.append(len(zlib.compress(text)))
    ratio = np.array(ours) / np.array(others)
    assert len(ratio) > 250
    assert abs(ratio - 1.0).max() < 0.08
    assert abs(ratio.mean() - 1.0) < 0.03
    ranks = [np.argsort(np.argsort(sizes)) for sizes in (ours, others)]
    assert np.corrcoef(*ranks)[0, 1] > 0.999


# What is kept of much


@pytest.mark.parametrize("limit", [100, 1000, 10_000])
def test_samples_are_those_of_the_twin(limit):
    """Of more than the limit the least level that fits is kept, whose texts stand for the others."""
    rows = sample("URLs", 1500, 5)
    store = TextStore()
    hash_of = dict(zip([row.encode() for row in rows], store.hashes(pa.array(rows)).tolist(), strict=True))
    made, cells = sizes(rows, 6, limit)
    for cell, found in cells.items():
        level, kept = kept_texts({row.encode(): hash_of[row.encode()] for row in found}, limit, LONGEST_TEXT)
        assert level > 0
        assert made[cell] == (len(found), deflated_size(b"".join(kept)) * 2.0**level)
    for log_rows in (7, 400):
        assert sizes(rows, 6, limit, cuts=(700, 900), log_rows=log_rows)[0] == made


def test_samples_are_near_the_whole():
    """What a megabyte of several is worth is within a sixth of what all are, for small texts."""
    rows = [
        f"{a}.{b}" for a, b in pairwise(f"{k * 2654435761 % 2**32:x}.example.com" for k in range(150_000))
    ]
    whole = len(zlib.compress(joined(rows)))
    assert len(joined(rows)) > 4 * KEPT_BYTES
    assert size_of(rows) == pytest.approx(whole, rel=1 / 6)


def test_long_texts():
    """Only so many bytes of a text count; texts that differ behind them still are two."""
    text = random.Random(7).randbytes(3 * LONGEST_TEXT).hex()
    assert size_of([text]) == deflated_size(text[:LONGEST_TEXT].encode())
    both = size_of([text, text + "x"])
    assert both == deflated_size(2 * text[:LONGEST_TEXT].encode())


def test_looking_and_forgetting():
    """Open buckets can be looked at, and a reset empties those it is for."""
    rows = sample("URLs", 400, 8)
    store = TextStore()
    hashes = store.hashes(pa.array(rows))
    time, series = spread(hashes, 3, 2, 9)
    expected = cells_of(Information(store, 900), time, series, hashes)
    stream = KeyStream(Span(SPAN, 0), Information(store, 900), 30)
    for start in range(0, 400, 100):
        part = slice(start, start + 100)
        fill(stream, time[part], series[part], hashes[part])
        assert as_values(stream.peek(0)) == as_values(stream.peek(0))
    stream.reset(1, 2)
    assert as_values(stream.peek(0)) == {cell: made for cell, made in expected.items() if cell[0] != 1}
    again = time // SPAN == 1
    fill(stream, time[again], series[again], hashes[again])
    assert as_values(stream.close(9 * SPAN, 0)) == expected


# Whole jobs

HOUR = 3600


def job(function: str, field: str, **fields: Any) -> Job:
    """A job of one detector in hours."""
    return Job(
        {
            "analysis_config": {
                "bucket_span": "1h",
                "detectors": [{"function": function, "field_name": field, **fields}],
            },
            "data_description": {"time_field": "time", "time_format": "epoch"},
        }
    )


def scripts(hours: int, odd: int) -> list[dict[str, Any]]:
    """A few scripts an hour of two hosts; in one hour a long obfuscated one as well."""
    rng = random.Random(10)
    records = []
    for hour in range(hours):
        for at in range(8):
            text = sample("scripts", 1, rng.randrange(10**9))[0]
            records.append({"time": hour * HOUR + at * 400, "script": text, "host": "ab"[at % 2]})
        if hour == odd:
            payload = base64.b64encode(rng.randbytes(9000)).decode()
            records.append({"time": hour * HOUR + 3300, "script": f"IEX {payload}", "host": "b"})
    return records


def test_an_obfuscated_script_is_found():
    """Hours of ordinary scripts are ordinary, one with a long payload is not, and is the worst."""
    records = scripts(120, 100)
    with job("high_info_content", "script", by_field_name="host") as found:
        found.post(records)
        found.flush(advance_time=120 * HOUR)
        rows = found.records().to_pylist()
    worst = max(rows, key=lambda row: row["record_score"])
    assert (worst["by_field_value"], worst["function"]) == ("b", "high_info_content")
    assert worst["probability"] < 1e-4
    assert worst["actual"][0] > 9000 > worst["typical"][0]
    at = worst["timestamp"]
    assert (at if isinstance(at, int) else at.timestamp() * 1000) == 100 * HOUR * 1000


def test_few_distinct_texts_say_little():
    """A text that comes again and again counts once: a flood of one script is nothing new."""
    records = scripts(60, -1)
    flood = [
        {"time": 50 * HOUR + 3000 + k, "script": records[400]["script"], "host": "a"} for k in range(500)
    ]
    values = []
    for rows in (records, sorted(records + flood, key=lambda row: row["time"])):
        with spying() as spy, job("info_content", "script", by_field_name="host") as one:
            one.post(rows)
            one.flush(advance_time=60 * HOUR)
            values.append([cell.value for cell in spy.final(one)[0, "info_content"]])
    assert records[400]["time"] // HOUR == 50
    assert values[0] == values[1]


@pytest.mark.parametrize("threads", [1, 2])
def test_texts_are_forgotten(threads):
    """Texts of closed buckets leave; what is in use stays, and nothing else changes."""
    rng = random.Random(11)
    records = [
        {"time": k * 60, "text": f"{sample('URLs', 1, k)[0]}&{rng.random()}", "host": "ab"[k % 2]}
        for k in range(6000)
    ]
    results, kept = [], []
    for least in (1 << 40, 20_000):
        with (
            mock.patch.object(texts, "_LEAST_SWEPT", least),
            mock.patch("tidegate.job._BUFFER_ROWS", 50),
            spying() as spy,
        ):
            one = job("info_content", "text", by_field_name="host")
            for start in range(0, 6000, 100):
                one.post(records[start : start + 100])
                if start % 500 == 0:
                    one.flush(calc_interim=True)
            one.flush(advance_time=101 * HOUR)
            results.append(repr((spy.final(one), one.records(exclude_interim=True).to_pylist())))
            kept.append(len(one._intake.texts["text"]))
    assert results[0] == results[1]
    assert kept[0] == 6000
    assert kept[1] < 1000


def test_texts_of_waiting_records_stay():
    """Records that are held back because their times are strange still have their texts when believed."""
    ahead = 40 * 365 * 24 * HOUR
    records = [{"time": k * 600, "text": f"text {k}"} for k in range(60)]
    later = [{"time": ahead + k * 600, "text": f"other {k}"} for k in range(40)]
    with mock.patch.object(texts, "_LEAST_SWEPT", 0), spying() as spy:
        one = job("info_content", "text")
        for record in (*records, *later):
            one.post([record])
            one.flush()
        one.flush(advance_time=ahead + 7 * HOUR)
        cells = spy.final(one)[0, "info_content"]
    seen = {cell.bucket // 1000: cell.value for cell in cells}
    for hour in range(1, 6):
        rows = [row["text"] for row in later if row["time"] // HOUR == ahead // HOUR + hour]
        assert seen[ahead + hour * HOUR] == deflated_size(joined(rows))
