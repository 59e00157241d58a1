"""The benchmark's scorer beside a slow one that walks row by row, as the benchmark's own does."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from bench import nab, nab_score
from bench.nab_score import NEVER, Profile, labelled
from bench.quality import DataError, Series

STANDARD = Profile(tp=1.0, fn=1.0, fp=0.11)
COSTS = [STANDARD, Profile(1.0, 1.0, 0.22), Profile(1.0, 2.0, 0.11)]
MINUTE = 60_000


def file(name, n_rows, windows, time_ms=None):
    """A file with a row a minute and windows from row to row."""
    time_ms = MINUTE * np.arange(n_rows) if time_ms is None else np.asarray(time_ms)
    spans = [(int(time_ms[first]), int(time_ms[last])) for first, last in windows]
    return labelled(name, Series(time_ms, np.zeros(n_rows), np.zeros(n_rows)), spans), spans


CORPORA = {
    "one window": [("a/1", 40, [(20, 29)])],
    "no windows": [("a/1", 30, []), ("a/2", 8, [])],
    "within probation": [("a/1", 100, [(3, 9)]), ("a/2", 50, [(30, 40)])],
    "half in probation": [("a/1", 100, [(10, 20), (60, 62)])],
    "at both ends": [("a/1", 20, [(3, 5), (16, 19)]), ("b/2", 12, [(0, 11)])],
    "side by side": [("a/1", 60, [(20, 29), (30, 39), (45, 45)])],
    "two collections": [("a/1", 80, [(30, 40)]), ("b/1", 60, []), ("b/2", 40, [(10, 12), (30, 35)])],
}


def sigmoid(x):
    return -1.0 if x > 3.0 else 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


def naive_total(time_ms, spans, score, threshold, profile):
    """Walks the rows: enters a window at its first time, leaves it at its last, scores what it detects."""
    spans, probation = list(spans), min(math.floor(0.15 * len(score)), 750)
    best, false, current, previous = {}, 0.0, None, None
    first_row = {time: row for row, time in reversed(list(enumerate(time_ms)))}
    for row, time in enumerate(time_ms):
        if current is None and spans and time == spans[0][0]:
            start, end = spans.pop(0)
            current = (first_row[end], first_row[end] - first_row[start] + 1, start)
        if row >= probation:
            if current is not None:
                right, width, key = current
                worth = sigmoid(-(right - row + 1) / width) / sigmoid(-1.0) * profile.tp
                best.setdefault(key, -profile.fn)
                best[key] = max(best[key], worth) if score[row] >= threshold else best[key]
            elif score[row] >= threshold:
                far = previous is None or previous[1] == 1
                false += (-1.0 if far else sigmoid((row - previous[0]) / (previous[1] - 1))) * profile.fp
        if current is not None and row == current[0]:
            previous, current = current, None
    return false + sum(best.values())


def naive_best(files, spans, scores, profile):
    """The highest total over all thresholds, and the threshold."""
    tried = [NEVER, *sorted({x for score in scores for x in score}, reverse=True)]
    totals = [
        sum(
            naive_total(file.series.time_ms, span, score, threshold, profile)
            for file, span, score in zip(files, spans, scores, strict=True)
        )
        for threshold in tried
    ]
    return tried[int(np.argmax(np.round(totals, 9)))], max(totals)


@pytest.mark.parametrize("kind", ["distinct", "ties", "all the same", "perfect", "nothing"])
@pytest.mark.parametrize("profile", COSTS, ids=["standard", "low FP", "low FN"])
@pytest.mark.parametrize("corpus", CORPORA)
def test_the_best_threshold_is_that_of_the_row_walk(corpus, profile, kind):
    """Threshold and total are those found by walking every file at every threshold."""
    files, spans = zip(*(file(*of) for of in CORPORA[corpus]), strict=True)
    random = np.random.default_rng(3)
    make = {
        "distinct": lambda one: random.random(len(one.window)) ** 3 * (1.0 + (one.window >= 0)) / 2.0,
        "ties": lambda one: random.integers(0, 4, len(one.window)) / 4.0,
        "all the same": lambda one: np.full(len(one.window), 0.5),
        "perfect": lambda one: (one.window >= 0).astype(float),
        "nothing": lambda one: np.zeros(len(one.window)),
    }[kind]
    scores = [make(one) for one in files]
    threshold = nab_score.best_threshold(files, scores, profile)
    total = sum(
        nab_score.outcome(one, score, threshold, profile).total
        for one, score in zip(files, scores, strict=True)
    )
    naive_threshold, naive = naive_best(files, spans, scores, profile)
    assert total == pytest.approx(naive, abs=1e-9)
    if kind != "distinct":
        assert threshold == naive_threshold


def test_every_total_of_the_sweep_is_the_sum_of_the_outcomes():
    """The sweep's running total is, at each of its thresholds, what the files come to one by one."""
    files = [file(*of)[0] for of in CORPORA["two collections"]]
    random = np.random.default_rng(4)
    scores = [random.integers(0, 9, len(one.window)) / 9.0 for one in files]
    thresholds, totals = nab_score.sweep(files, scores, STANDARD)
    assert thresholds[0] == NEVER
    assert (np.diff(thresholds) < 0.0).all()
    for threshold, total in zip(thresholds, totals, strict=True):
        outcomes = [
            nab_score.outcome(one, score, threshold, STANDARD)
            for one, score in zip(files, scores, strict=True)
        ]
        assert sum(one.total for one in outcomes) == pytest.approx(total, abs=1e-9)


def test_the_scale():
    """No detection is 0, every window at its first row 100; one in probation can only be missed out on."""
    one, _ = file("a/1", 40, [(20, 29)])
    first = np.arange(40) == 20
    assert (
        nab_score.normalised(nab_score.outcome(one, first * 1.0, 1.0, STANDARD).total, [one], STANDARD) == 100
    )
    assert nab_score.normalised(nab_score.nothing([one], STANDARD), [one], STANDARD) == 0.0
    early, _ = file("a/2", 100, [(3, 9), (50, 59)])
    score = (np.arange(100) == 50) * 1.0
    total = nab_score.outcome(early, score, 1.0, STANDARD).total
    assert nab_score.normalised(total, [early], STANDARD) == pytest.approx(100.0 * 2.0 / 3.0)


def test_without_windows_only_silence_is_no_loss():
    """A corpus without windows scores 0, or endlessly below for a detection."""
    one, _ = file("a/1", 40, [])
    assert nab_score.normalised(0.0, [one], STANDARD) == 0.0
    assert nab_score.normalised(-0.11, [one], STANDARD) == -math.inf


def test_a_window_begins_and_ends_at_the_first_row_of_its_times():
    """Of rows of the same time the first is meant, at both edges of a window."""
    minutes = [*range(10), 10, 10, 10, 11, 12, 12, 13, 14]
    one, spans = file("a/1", len(minutes), [(10, 14)], [MINUTE * minute for minute in minutes])
    assert np.flatnonzero(one.window >= 0).tolist() == [10, 11, 12, 13, 14]
    again, _ = file("a/1", len(minutes), [(12, 15)], one.series.time_ms)
    assert (again.window == one.window).all()
    score = np.linspace(0.0, 1.0, len(minutes))
    for threshold in (0.2, 0.7, 0.9):
        walked = naive_total(one.series.time_ms, spans, score, threshold, STANDARD)
        assert nab_score.outcome(one, score, threshold, STANDARD).total == pytest.approx(walked)


def test_alerts_are_runs_of_detected_rows():
    """Rows that follow each other alert once; probation alerts never."""
    one, _ = file("a/1", 40, [(20, 29)])
    score = np.zeros(40)
    score[[2, 10, 11, 12, 19, 20, 39]] = 1.0
    got = nab_score.outcome(one, score, 0.5, STANDARD)
    assert (got.alerts, got.found, got.missed, got.false_rows) == (3, 1, 0, 5)


def test_a_fold_has_the_threshold_of_the_others():
    """A file is scored at the threshold that the others choose: here its own would find nothing there."""
    files = [file(f"{name}/1", 40, [(20, 29)])[0] for name in "abc"]
    low, high = ((np.arange(40) == 20) * height for height in (0.4, 0.8))
    corpus = nab_score.Corpus(tuple(files), {"standard": STANDARD})
    alike = nab.measured(corpus, [high, high, high])
    assert (alike.best, alike.by_file, alike.alerts) == ({"standard": 100.0}, 100.0, 1.0)
    assert nab.cross_validated(corpus, [low, high, high], [0, 1, 2]) == pytest.approx(100.0 * 2.0 / 3.0)


@pytest.fixture
def corpus(tmp_path):
    """A folder with the benchmark's layout: three files of a level with one step in two of them."""
    folder = tmp_path / "nab"
    windows = {}
    for name in ("real/one.csv", "real/two.csv", "art/three.csv"):
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        times = np.datetime64("2024-03-01T00:00:00", "s") + 300 * np.arange(400)
        value = 50.0 + np.random.default_rng(len(name)).normal(0.0, 1.0, 400)
        value[300:306] += 0.0 if "art" in name else 40.0
        text = [f"{str(time).replace('T', ' ')},{x:.3f}" for time, x in zip(times, value, strict=True)]
        path.write_text("\n".join(["timestamp,value", *text, ""]))
        edges = [f"{times[row]!s}".replace("T", " ") + ".000000" for row in (295, 315)]
        windows[name] = [] if "art" in name else [edges]
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    (folder / "config").mkdir()
    weights = {"tpWeight": 1.0, "fnWeight": 1.0, "fpWeight": 0.11, "tnWeight": 1.0}
    profiles = {name: {"CostMatrix": weights} for name in nab_score.PROFILES}
    (folder / "config" / "profiles.json").write_text(json.dumps(profiles))
    return folder


def test_the_program_finds_what_is_plain_to_see(corpus, capsys):
    """Six rows forty deviations off are found in both files, and nothing else is."""
    nab.main(["--nab", str(corpus), "--only", "tidegate", "--detail"])
    printed = capsys.readouterr().out
    assert "3 files with 2 labelled windows" in printed
    [figures] = [line for line in printed.splitlines() if line.startswith("| tidegate")]
    *scores, other_collections, alerts = (float(figure) for figure in figures.split("|")[2:-1])
    assert min(scores) > 50.0
    assert other_collections == 0.0  # the other folder has no windows, so it teaches no threshold
    assert 0.0 < alerts < 3.0
    assert "| art/three.csv | 0.000 | 0 | 0 | 0 | 0 |" in printed
    assert "| real: all |" in printed


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("labels/combined_windows.json", None, "No such file"),
        ("labels/combined_windows.json", "{", "Expecting"),
        ("labels/combined_windows.json", "[]", "not a JSON object"),
        ("labels/combined_windows.json", "{}", "names no file"),
        ("labels/combined_windows.json", '{"real/none.csv": []}', "none.csv"),
        ("labels/combined_windows.json", '{"real/one.csv": [["2024-03-01"]]}', "not pairs of times"),
        ("labels/combined_windows.json", '{"real/one.csv": [["2024-03-01", "1999-01-01"]]}', "no row does"),
        ("config/profiles.json", '{"standard": {}}', "no weights of profile 'standard'"),
        ("data/real/one.csv", "time,value\n1,2\n", "timestamp"),
        ("data/real/one.csv", "timestamp,value\n", "no rows"),
        ("data/real/one.csv", "timestamp,value\nyesterday,2\n", "yesterday"),
    ],
)
def test_an_odd_folder_is_told_in_one_line(corpus, capsys, path, text, reason):
    """What is missing or odd ends the program with status 2 and one line that says where and what."""
    (corpus / path).unlink()
    if text is not None:
        (corpus / path).write_text(text)
    with pytest.raises(SystemExit) as ended:
        nab.main(["--nab", str(corpus), "--only", "tidegate"])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.count("\n") == 1
    assert reason in told


def test_windows_out_of_order_are_refused():
    """A window that ends before it starts, or lies before the last one, has no meaning."""
    for windows in ([(9, 3)], [(20, 25), (10, 12)], [(10, 20), (15, 25)]):
        with pytest.raises(DataError, match="out of order"):
            file("a/1", 40, windows)
