"""The quality benchmarks: what they measure, beside the slow and obvious way."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
from bench import metrics, peers, quality, tables, vus
from bench.quality import Series, detect, read_series, span_of

TAXI = Path(__file__).parent / "data" / "nab" / "nyc_taxi.csv"
MINUTE = 60_000


@pytest.fixture(scope="module")
def taxi():
    """Three months of the taxi data."""
    series = read_series(TAXI, "timestamp", "value")
    return Series(*(column[:6000] for column in (series.time_ms, series.value, series.label)))


def test_the_span_is_the_median_distance_of_times():
    """Same times count once, gaps hardly; it is whole seconds, and one at least."""
    assert span_of(np.array([0, 0, 0, 60_000, 120_000, 900_000])) == 60_000
    assert span_of(np.array([0, 1_400, 2_800])) == 1_000
    assert span_of(np.array([5, 7, 9])) == 1_000
    assert span_of(np.array([42])) == 1_000


def test_every_row_has_what_its_bucket_has(taxi):
    """Rows in any order, several in a bucket: each has the scores of the bucket its time lies in."""
    plain = detect(taxi.time_ms, taxi.value, span_of(taxi.time_ms))
    assert (plain.log_p < 0.0).sum() > 10
    assert ((plain.record_score > 0.0) <= (plain.log_p < 0.0)).all()
    assert (plain.anomaly_score > 0.0).any()
    order = np.random.default_rng(1).permutation(2 * len(taxi.value))
    time_ms = np.concatenate([taxi.time_ms, taxi.time_ms + 10 * MINUTE])[order]
    twice = detect(time_ms, np.tile(taxi.value, 2)[order], span_of(taxi.time_ms))
    back = np.argsort(order)
    for name in ("log_p", "record_score", "anomaly_score"):
        first, second = np.split(getattr(twice, name)[back], 2)
        assert (first == second).all()
        assert (first == getattr(plain, name)).all()


def test_what_comes_later_changes_nothing(taxi):
    """Scores are causal: cut off after any row, all before it have the same."""
    span, n = span_of(taxi.time_ms), 4000
    whole, part = (detect(taxi.time_ms[:k], taxi.value[:k], span) for k in (None, n))
    assert (whole.log_p[:n] == part.log_p).all()
    assert (whole.anomaly_score[:n] == part.anomaly_score).all()


def test_counts_need_no_field():
    """A function without a field is one of the rows; a bucket with ten times the rows stands out."""
    time_ms = np.sort(np.concatenate([np.arange(0, 2000 * MINUTE, 20_000), np.full(27, 1500 * MINUTE)]))
    found = detect(time_ms, np.zeros(len(time_ms)), MINUTE, "count", None)
    assert set(time_ms[found.log_p == found.log_p.min()] // MINUTE) == {1500}


def test_times_and_numbers_are_read_however_they_are_written(tmp_path):
    """With Z or without, quoted or not, and empty for no value."""
    path = tmp_path / "one.csv"
    rows = ['"2024-01-01T00:00:00Z","1.5","0"', "2024-01-01 00:01:00,,1", "2024-01-01T00:02:00,3,0"]
    path.write_text("\n".join(["TimeStamp,Value,Label", *rows, ""]))
    series = read_series(path, "TimeStamp", "Value", "Label")
    assert np.diff(series.time_ms).tolist() == [MINUTE, MINUTE]
    assert series.value.tolist()[::2] == [1.5, 3.0]
    assert math.isnan(series.value[1])
    assert series.label.tolist() == [0.0, 1.0, 0.0]


def test_the_sections_are_those_of_the_cases_and_of_quality(tmp_path):
    """The order has every case; a section is kept in its place, an unknown one is refused."""
    main = importlib.import_module("bench.__main__")
    assert tuple(main.CASES) == tables.SPEED
    readme = tmp_path / "README.md"
    readme.write_text(f"a\n{tables.BEGIN}\n{tables.END}\nb")
    for name, text in (("metrics", "m"), ("gather", "g"), ("nab", "n"), ("metrics", "again")):
        tables.keep(name, text, readme)
    inside = readme.read_text()
    assert inside.index("\ng\n") < inside.index("\nn\n") < inside.index("\nagain\n")
    assert "\nm\n" not in inside
    with pytest.raises(ValueError, match="'nba' is not in the README's order"):
        tables.keep("nba", "x", readme)


def test_a_table_is_printed_and_kept_only_when_asked(capsys, monkeypatch):
    """`publish` prints the date and the machine with the table; `write` keeps that text."""
    kept = []
    monkeypatch.setattr(quality, "keep", lambda *given: kept.append(given))
    made = tables.Table("Intro.", ("a", "b"), [("1", "2")])
    quality.publish("nab", made, write=False)
    assert not kept
    quality.publish("nab", made, write=True)
    [(name, text)] = kept
    assert name == "nab"
    assert text.startswith("Measured on ")
    assert capsys.readouterr().out.count(text) == 2


def naive_average_precision(is_anomaly, score):
    """Threshold by threshold: growth of recall times precision."""
    area = recall = 0.0
    for threshold in sorted(set(score), reverse=True):
        hits = [label for label, x in zip(is_anomaly, score, strict=True) if x >= threshold]
        now = sum(hits) / sum(is_anomaly)
        area, recall = area + (now - recall) * sum(hits) / len(hits), now
    return area


def naive_label(is_anomaly, row, buffer):
    """1 in an anomaly; else the sum of the slopes of all anomalies within half a buffer."""
    if is_anomaly[row]:
        return 1.0
    total = 0.0
    for side in (-1, 1):  # the next anomaly to the left, the next to the right, and any behind them
        for away in range(1, buffer // 2 + 1):
            at = row + side * away
            is_edge = 0 <= at < len(is_anomaly) and is_anomaly[at] and not is_anomaly[at - side]
            total += math.sqrt(1.0 - away / buffer) if is_edge else 0.0
    return min(total, 1.0)


def naive_vus_pr(is_anomaly, score, longest):
    """The paper's definitions as they stand: buffers, thresholds, anomalies and rows, one by one."""
    areas = []
    for buffer in range(longest + 1):
        label = [naive_label(is_anomaly, row, buffer) for row in range(len(score))]
        anomalies, inside = [], False
        for row, x in enumerate(label):
            if x > 0.0 and not inside:
                anomalies.append([])
            inside = x > 0.0
            if inside:
                anomalies[-1].append(row)
        area = before = 0.0
        for threshold in sorted(set(score), reverse=True):
            picked = [row for row in range(len(score)) if score[row] >= threshold]
            hits = sum(label[row] for row in picked)
            found = sum(any(score[row] >= threshold for row in rows) for rows in anomalies) / len(anomalies)
            recall = min(hits / ((sum(label) + sum(is_anomaly)) / 2.0), 1.0) * found
            area, before = area + (recall - before) * hits / len(picked), recall
        areas.append(area)
    return sum(areas) / len(areas)


@pytest.fixture(params=range(8))
def ranked(request):
    """Labels in runs, and scores that have to do with them, with many ties."""
    random = np.random.default_rng(request.param)
    is_anomaly = np.zeros(60, bool)
    for start in random.integers(0, 60, 4):
        is_anomaly[start : start + random.integers(1, 5)] = True
    score = np.round(random.random(60) + 0.4 * np.roll(is_anomaly, 1), 1 + request.param % 2)
    return is_anomaly, score


def test_average_precision_is_that_of_the_definition(ranked):
    """Rows of one score come together; the order of rows is no matter."""
    is_anomaly, score = ranked
    got = vus.average_precision(is_anomaly, score)
    assert got == pytest.approx(naive_average_precision(is_anomaly.tolist(), score.tolist()))
    assert vus.average_precision(is_anomaly[::-1], score[::-1]) == pytest.approx(got)


@pytest.mark.parametrize("longest", [0, 1, 4, 9])
def test_the_volume_is_that_of_the_paper(ranked, longest):
    """The volume is the mean area over all buffers, each by every threshold."""
    is_anomaly, score = ranked
    naive = naive_vus_pr(is_anomaly.tolist(), score.tolist(), longest)
    assert vus.vus_pr(is_anomaly, score, longest) == pytest.approx(naive)


def test_the_volume_forgives_a_little_delay():
    """A row beside the anomaly is worth less than one inside and more than one far off."""
    is_anomaly = np.zeros(100, bool)
    is_anomaly[50:53] = True
    inside, beside, far = (vus.vus_pr(is_anomaly, np.roll(is_anomaly, by) * 1.0) for by in (0, 4, 40))
    assert inside > beside > far
    assert vus.average_precision(is_anomaly, is_anomaly * 1.0) == 1.0
    assert math.isnan(vus.vus_pr(np.zeros(5, bool), np.arange(5.0)))
    assert math.isnan(vus.average_precision(np.zeros(5, bool), np.arange(5.0)))


@pytest.mark.parametrize("allowed", [0.0, 1.0, 2.5, 100.0])
def test_the_threshold_has_no_more_false_alarms_than_allowed(ranked, allowed):
    """Going down from the highest score, the last threshold before there are too many runs."""
    is_anomaly, score = ranked
    expected = math.inf
    for threshold in sorted(set(score[score > 0.0]), reverse=True):
        alarms = [x >= threshold and not label for x, label in zip(score, is_anomaly, strict=True)]
        false = sum(now and not before for now, before in zip(alarms, [False, *alarms[:-1]], strict=True))
        if false > allowed:
            break
        expected = threshold
    assert metrics.alarm_threshold(is_anomaly, score, allowed) == expected


def test_means_are_of_files_and_of_collections():
    """Every file counts the same in the one, every folder in the other."""
    mean = metrics.mean_of({"a/1": 1.0, "a/2": 2.0, "a/3": 3.0, "b/1": 6.0})
    assert (mean.mean, mean.by_collection) == (3.0, 4.0)
    assert mean.error == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2.0)


def write_metrics(folder, labelled):
    """A minute's metric with one excursion of ten rows, labelled or not."""
    (folder / "rates").mkdir(parents=True)
    value = 20.0 + np.random.default_rng(2).normal(0.0, 1.0, 3000)
    value[2000:2010] += 30.0
    start = np.datetime64("2024-03-01T00:00:00", "s")
    rows = [
        f"{start + 60 * row}Z,{x:.3f},{int(labelled and 2000 <= row < 2010)}" for row, x in enumerate(value)
    ]
    (folder / "rates" / "one.csv").write_text("\n".join(["TimeStamp,Value,Label", *rows, ""]))


def test_the_program_ranks_what_is_plain_to_see_first(tmp_path, capsys):
    """Rows thirty deviations off are found, by probability and by score."""
    write_metrics(tmp_path, labelled=True)
    metrics.main(["--data", str(tmp_path), "--detail", *(f"--only={name}" for name in metrics.OURS)])
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("| tidegate")]
    assert len(lines) == 3
    assert all(float(line.split("|")[5].split("±")[0]) == 1.0 for line in lines)
    assert "| rates/one.csv |" in printed


@pytest.mark.parametrize("arguments", [["--only", "nobody"], []])
def test_what_cannot_be_measured_is_told_in_one_line(tmp_path, capsys, arguments):
    """An unknown detector, or data without labels: status 2, and one line."""
    write_metrics(tmp_path, labelled=bool(arguments))
    with pytest.raises(SystemExit) as ended:
        metrics.main(["--data", str(tmp_path), *arguments])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.count("\n") == 1
    assert ("no such detector: nobody" if arguments else "no */*.csv with a labelled row") in told


@pytest.mark.parametrize("name", ["seasonal naive band", "rolling z-score"])
def test_peers_of_our_own_are_causal_and_between_zero_and_one(taxi, name):
    """Later rows have no part in a score, and a spike has the highest."""
    value = taxi.value.copy()
    value[3000] += 1e6
    spiky = Series(taxi.time_ms, value, taxi.label)
    scores = peers.scores_of(peers.PEERS[name], spiky)
    part = peers.PEERS[name](taxi.time_ms[:3500], value[:3500], span_of(taxi.time_ms))
    assert (scores[:3500] == part).all()
    assert (scores.min(), scores.argmax()) == (0.0, 3000)
    assert scores.max() < 1.0
    backwards = Series(*(column[::-1] for column in (spiky.time_ms, spiky.value, spiky.label)))
    assert (peers.scores_of(peers.PEERS[name], backwards)[::-1] == scores).all()


def test_likelihood_is_the_tail_of_the_short_mean():
    """The mean of ten is held against mean and deviation of the means before it."""
    raw = np.abs(np.random.default_rng(6).normal(size=400))
    raw[300:310] += 2.0
    means = [raw[max(0, row - 9) : row + 1].mean() for row in range(400)]
    z = (means[309] - np.mean(means[:309])) / np.std(means[:309])
    tail = max(0.5 * math.erfc(z / math.sqrt(2.0)), 1e-10)
    got = peers.likelihood(raw)
    assert got[309] == pytest.approx(math.log(tail) / math.log(1e-10))
    assert got.argmax() in range(303, 311)
    assert (got[:100] == 0.0).all()


def test_rolling_is_of_the_rows_before():
    """Mean and deviation never have the row itself; missing values count as the last one known."""
    value = np.array([1e6, 1e6 + 2.0, np.nan, 1e6 + 5.0, 1e6])
    mean, deviation, rows = peers._rolling(peers._filled(value), 2)
    assert rows.tolist() == [0, 1, 2, 2, 2]
    assert mean.tolist() == [0.0, 1e6, 1e6 + 1.0, 1e6 + 2.0, 1e6 + 3.5]
    assert deviation.tolist() == [0.0, 0.0, 1.0, 0.0, 1.5]


def test_a_missing_package_is_named(monkeypatch):
    """A peer whose package is not there says which one, and what to do."""

    def missing(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(quality.BenchError, match=r"rcf3 is not installed .*bench.*--only"):
        peers.forest(np.arange(3), np.arange(3.0), 1000)
