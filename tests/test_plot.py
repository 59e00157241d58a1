"""Pictures: which series, which points, and the command and the function that draw them."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.samples import TAXI, errors_of, run

import tidegate
from tidegate.curve import Curve, curve_of
from tidegate.envelope import Envelope
from tidegate.errors import RequestError
from tidegate.plot import draw, save

HOUR = 3_600_000
START = 1_700_000_000_000 // HOUR * HOUR
HOSTS = ("web", "api", "a,b", " x", "")
SPIKE = 150
KEYS = ("--bucket-span", "1h", "--function", "mean", "--field", "v", "--by", "host", "--partition", "dc")


def rows(hours: int = 200) -> list[dict[str, Any]]:
    """Hourly values of five hosts in two places; one host in one place has a value far off."""
    rng, made = random.Random(5), []
    for hour in range(hours):
        for host in HOSTS:
            for dc in ("eu", "us"):
                spike = 80.0 if (host, dc, hour) == ("api", "us", SPIKE) else 0.0
                value = 50.0 + 20.0 * math.sin(hour / 4.0) + rng.gauss(0.0, 1.0) + spike
                made.append({"time": START + hour * HOUR, "host": host, "dc": dc, "v": value})
    return made


def config(function: str = "mean", **plot: Any) -> dict[str, Any]:
    """A job of one detector, with its model plot."""
    detector = {
        "function": function,
        "by_field_name": "host",
        "partition_field_name": "dc",
        "field_name": "v",
    }
    return {
        "analysis_config": {"bucket_span": "1h", "detectors": [{**detector, "use_null": True}]},
        "data_description": {"time_field": "time"},
        "model_plot_config": {"enabled": True, **plot},
    }


def posted(settings: dict[str, Any]) -> tidegate.Job:
    job = tidegate.Job(settings)
    job.post(rows())
    job.flush()
    return job


@pytest.fixture(scope="module")
def job() -> tidegate.Job:
    return posted(config())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plot") / "web.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return path


def curve(job: tidegate.Job, wanted: dict[str, str], **options: Any) -> Curve:
    return curve_of(job.model_plot(), job.records(), job.config, wanted, **options)


def long_curve(n: int, *, missing: Sequence[int] = ()) -> Curve:
    """A curve of so many hours of noise, some without any data."""
    rng = np.random.default_rng(1)
    values = rng.normal(100.0, 5.0, n)
    values[list(missing)] = np.nan
    anomalies = np.arange(0, n, 97)
    return Curve(
        title="mean(v)",
        label="",
        quantity="mean value",
        span_ms=HOUR,
        time_t=START + HOUR * np.arange(n),
        lower_t=np.full(n, 90.0),
        median_t=np.full(n, 100.0),
        upper_t=np.full(n, 110.0),
        actual_t=values,
        time_a=START + HOUR * anomalies,
        actual_a=np.nan_to_num(values[anomalies], nan=100.0),
        score_a=rng.uniform(0.0, 100.0, len(anomalies)),
    )


# Which series


def test_the_worst_anomaly_chooses(job: tidegate.Job) -> None:
    """Without a choice the series with the highest score is drawn, with its own records alone."""
    chosen = curve(job, {})
    assert (chosen.label, chosen.quantity) == ("host=api dc=us", "arithmetic mean value")
    assert chosen.title == "mean(v) by host usenull=true partitionfield=dc   host=api dc=us"
    worst = int(np.argmax(chosen.score_a))
    assert chosen.time_a[worst] == START + SPIKE * HOUR
    assert chosen.actual_a[worst] > 80.0
    assert (np.diff(chosen.time_t) == HOUR).all()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("names", [("by", "partition"), ("host", "dc")])
def test_a_series_is_told_by_fields_or_roles(job: tidegate.Job, host: str, names: tuple[str, str]) -> None:
    """Any value can be named, an empty one too, by its field or by the role of the field."""
    chosen = curve(job, dict(zip(names, (host, "eu"), strict=True)))
    assert chosen.label == f"host={host} dc=eu"
    assert len(chosen) == 187


def test_terms_leave_other_series_alone() -> None:
    """The worst anomaly of a series without bounds is passed over."""
    assert curve(posted(config(terms="web")), {"dc": "us"}).label == "host=web dc=us"


def test_a_metric_shows_the_feature_that_is_unusual() -> None:
    """Of a detector of several features the one with the worst anomaly is drawn, with records of its own."""
    chosen = curve(posted(config("metric")), {})
    assert chosen.quantity in ("arithmetic mean value", "maximum value")
    assert START + SPIKE * HOUR in chosen.time_a


def test_time_and_score_cut_what_is_shown(job: tidegate.Job) -> None:
    """The end is left out, the start is not; anomalies of lower scores are left out."""
    start, end = START + 100 * HOUR, START + 160 * HOUR
    shown = curve(job, {}, start=start, end=end, min_score=50.0)
    assert (shown.time_t[0], shown.time_t[-1]) == (start, end - HOUR)
    assert (shown.score_a >= 50.0).all()
    assert list(shown.time_a) == [START + SPIKE * HOUR]


def test_what_is_not_there_is_said(job: tidegate.Job) -> None:
    """Unknown series, times without buckets and a job without bounds have messages of their own."""
    with pytest.raises(
        RequestError, match=r"there is no series host=no; there are host= dc=eu, host= dc=us, .* \.\.\.$"
    ):
        curve(job, {"host": "no"})
    with pytest.raises(
        RequestError, match="nothing is in that time; the series goes from 2023-11-15T10:00:00Z"
    ):
        curve(job, {}, start=START + 1000 * HOUR)
    with pytest.raises(RequestError, match="no series has bounds"):
        curve(tidegate.Job(config()), {})


# Which points


def test_short_curves_are_drawn_point_by_point() -> None:
    """Nothing is thinned that fits; a gap in time breaks all lines."""
    whole = long_curve(100)
    shown = Envelope.of(whole, 50)
    assert np.array_equal(shown.actual_v, whole.actual_t)
    keep = np.r_[0:40, 60:100]
    parts = [getattr(whole, name)[keep] for name in ("time_t", "lower_t", "median_t", "upper_t", "actual_t")]
    gap = Curve("", "", "", HOUR, *parts, whole.time_a, whole.actual_a, whole.score_a)
    shown = Envelope.of(gap, 50)
    assert np.flatnonzero(np.isnan(shown.actual_v)).tolist() == [40]
    assert np.isnan(shown.lower_t[40])
    assert len(shown.time_t) == 81


def test_long_curves_keep_their_extremes() -> None:
    """A column shows the least and the largest of its values, and a column without data is a gap."""
    whole = long_curve(10_000, missing=range(5000, 5100))
    shown = Envelope.of(whole, 100)
    assert len(shown.time_t) == 100
    assert len(shown.actual_v) == 200
    columns = whole.actual_t.reshape(100, 100)
    for k in range(100):
        pair = shown.actual_v[2 * k : 2 * k + 2]
        if k == 50:
            assert np.isnan(pair).all()
        else:
            assert pair.tolist() == [columns[k].min(), columns[k].max()]
    assert (shown.lower_t == 90.0).all()
    assert shown.median_t == pytest.approx(100.0)


# The picture


@pytest.mark.parametrize("n", [1, 2, 50, 5000])
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_curves_make_equal_files(tmp_path: Path, n: int, kind: str) -> None:
    """A picture is of its format, and the same each time, of one bucket or of thousands."""
    paths = [tmp_path / f"{k}.{kind}" for k in range(2)]
    for path in paths:
        save(long_curve(n, missing=[0] if n == 1 else []), path, kind)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG" if kind == "png" else b"<?xml")


def test_the_picture_says_what_it_shows(job: tidegate.Job, tmp_path: Path) -> None:
    """An SVG has the title, the legend and the time as text; a name is never taken for a formula."""
    path = tmp_path / "api.svg"
    assert draw(job, path, series={"host": "api", "dc": "us"}).label == "host=api dc=us"
    text = path.read_text()
    for part in ("host=api dc=us", "expected, 95%", "critical (1)", "time (UTC)", "buckets of 1h"):
        assert part in text
    odd = long_curve(50)
    odd = Curve("$x_1$ \\frac 日本 \x1b", *[getattr(odd, name) for name in Curve.__slots__[1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(odd, path, "svg")
        save(odd, tmp_path / "odd.png", "png")
    assert "$x_1$" in path.read_text()


def test_a_million_buckets_are_drawn_quickly_and_small(tmp_path: Path) -> None:
    """What is written depends on the width of the picture, not on the number of buckets."""
    sizes = []
    for n in (500_000, 1_500_000):
        save(long_curve(n), tmp_path / "long.svg", "svg")
        sizes.append((tmp_path / "long.svg").stat().st_size)
    assert sizes[1] < 1.2 * sizes[0]


def test_draw_names_what_is_wrong(job: tidegate.Job, tmp_path: Path) -> None:
    """Another format, a time that is none and a series that is not there are errors of the request."""
    with pytest.raises(RequestError, match=r"ends in neither .png nor .svg"):
        draw(job, tmp_path / "a.jpg")
    with pytest.raises(tidegate.TimeError, match="start"):
        draw(job, tmp_path / "a.png", start="soon")
    with pytest.raises(RequestError, match="there is no series by=no"):
        draw(job, tmp_path / "a.png", series={"by": "no"})
    assert not list(tmp_path.iterdir())


# The command


def test_the_command_draws_the_taxi_series(tmp_path: Path) -> None:
    """It writes the picture and says what is on it."""
    path = tmp_path / "taxi.png"
    options = ("--bucket-span", "30m", "--function", "mean", "--field", "value", "--from", "2014-11-01")
    result = run("plot", TAXI, *options, "--to", "2014-11-08", "--min-score", 50, "--output", path)
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "336 buckets from 2014-11-01T00:00:00Z to 2014-11-07T23:30:00Z" in result.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["taxi.png"]


@pytest.mark.parametrize("from_pipe", [False, True])
def test_the_command_says_which_series_it_chose(file: Path, tmp_path: Path, from_pipe: bool) -> None:
    """Of several series the one with the worst anomaly, from a file and from a pipe."""
    path = tmp_path / "web.svg"
    source = ("-", file.read_bytes()) if from_pipe else (file, None)
    result = run("plot", source[0], *KEYS, "--output", path, input=source[1])
    assert result.exit_code == 0, result.output
    assert "of 8 series host=api dc=us is shown, which has the worst anomaly" in result.stdout
    assert "host=api dc=us" in path.read_text()


@pytest.mark.parametrize("host", ["web", "a,b", " x"])
def test_the_command_draws_the_series_asked_for(file: Path, tmp_path: Path, host: str) -> None:
    """By any value, one that a list of terms cannot hold too, and among several detectors."""
    path = tmp_path / "web.svg"
    asked = ("--series", f"host={host}", "--series", "dc=eu", "--series", "detector=1")
    detectors = (
        "--bucket-span",
        "1h",
        "--detector",
        "count",
        "--detector",
        "high_mean(v) by host partition=dc",
    )
    result = run("plot", file, *detectors, *asked, "--output", path)
    assert result.exit_code == 0, result.output
    assert "(see --series)" not in result.stdout
    assert f"high_mean(v) by host partitionfield=dc   host={host} dc=eu" in path.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--series", "host=no"), "there is no series host=no; there are host= x dc=eu, host= x dc=us, "),
        (
            ("--series", "x=1"),
            "--series 'x=1': no detector has a by or partition field 'x'; there is dc, host",
        ),
        (("--series", "web"), "--series 'web': expected FIELD=VALUE, as in 'host=web'"),
        (("--series", "by=a", "--series", "by=b"), "--series 'by=b': 'by' is given twice"),
        (("--series", "detector=7"), "'7' is not the number of a detector; they go from 0 to 0"),
        (("--from", "soon"), "--from: 'soon' is not a time; give"),
        (
            ("--from", "2024-01-02", "--to", "2024-01-01"),
            "--to: '2024-01-01' is not after --from '2024-01-02'",
        ),
        (("--from", "2030-01-01"), "nothing is in that time; the series goes from 2023-11-15"),
    ],
)
def test_wrong_options_are_named(file: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    """One line says what is wrong, and no file is left."""
    (error,) = errors_of("plot", file, *KEYS, *options, "--output", tmp_path / "a.png")
    assert message in error
    assert not list(tmp_path.iterdir())


def test_a_wrong_picture_is_refused_at_once(tmp_path: Path) -> None:
    """The extension is judged before the file is read, and data without bounds leave no picture."""
    (error,) = errors_of("plot", tmp_path / "none.csv", *KEYS, "--output", tmp_path / "a.pdf")
    assert error.endswith("a.pdf: unknown extension; allowed are .png and .svg")
    short = tmp_path / "short.csv"
    short.write_text("time,v\n1700000000,1\n1700004000,2\n1700008000,3\n")
    job = ("--bucket-span", "1h", "--function", "mean", "--field", "v")
    (error,) = errors_of("plot", short, *job, "--output", tmp_path / "a.png")
    assert error.endswith("no series has bounds; they begin when it is a dozen buckets old")
    (error,) = errors_of("plot", short, *job, "--series", "by=a", "--output", tmp_path / "a.png")
    assert "the job has no by or partition field, so it has one series" in error
    assert [path.name for path in tmp_path.iterdir()] == ["short.csv"]


def test_without_matplotlib_one_line_says_how_to_get_it(
    file: Path, job: tidegate.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the command and the function name the extra; everything else works without it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    wanted = "pictures need matplotlib; pip install 'tidegate[plot]' installs it"
    assert errors_of("plot", file, *KEYS, "--output", tmp_path / "a.png") == [wanted]
    with pytest.raises(ImportError, match="tidegate\\[plot\\]"):
        draw(job, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_nothing_but_a_picture_imports_matplotlib() -> None:
    """The package, its results and the command's help do without it."""
    code = (
        "import sys, tidegate, tidegate.plot, tidegate.job\n"
        "from tidegate.cli import main\n"
        "main(['plot', '--help'], standalone_mode=False)\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
