"""Pictures of a series: its values, what was expected of them, and the anomalies. Needs matplotlib.

It comes with the extra ``plot`` (``pip install 'tidegate[plot]'``) and is imported when a picture is
drawn, by nothing else. The drawing needs no display and leaves matplotlib's global state alone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import F64, I64
from .curve import Curve, curve_of
from .envelope import Envelope, isolated, worst_of_columns
from .errors import RequestError
from .requesttime import parse_request_time

if TYPE_CHECKING:
    from .job import Job

__all__ = ["draw", "require_matplotlib", "save"]

FORMATS = ("png", "svg")
SEVERITIES = (("warning", 0.0), ("minor", 25.0), ("major", 50.0), ("critical", 75.0))
"""Names of the scores from so many points on."""
_COLOURS = {"warning": "#5aa9e6", "minor": "#f2c230", "major": "#f58634", "critical": "#d7263d"}
_SIZES = {"warning": 13.0, "minor": 28.0, "major": 40.0, "critical": 56.0}
_BAND, _MEDIAN, _ACTUAL, _DENSE = "#8bb8d6", "#2f77a8", "#2b2b2b", "#6e6e6e"
_SIZE_INCHES = (12.0, 5.6)
_DPI = 120
_COLUMNS = 1320  # pixels, about, of the time axis: more points than two a column are not to be seen
_STYLE = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "svg.fonttype": "none",
    "svg.hashsalt": "tidegate",
}


def require_matplotlib() -> None:
    """Raises ImportError, with what to install, where there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("pictures need matplotlib; pip install 'tidegate[plot]' installs it") from None


def draw(
    job: Job,
    path: str | os.PathLike[str],
    *,
    series: Mapping[str, str] | None = None,
    start: Any = None,
    end: Any = None,
    min_score: float = 0.0,
) -> Curve:
    """Draws one series of a job with a model plot into a .png or .svg file; returns what it drew.

    `series` has values of ``by``, ``partition`` and ``detector``, or of key fields by their names;
    where several series are meant it is the one with the worst anomaly. `start` and `end` are times
    as `Job.flush` takes them; anomalies below `min_score` are left out.

    Raises RequestError where there is nothing to draw, ImportError without matplotlib.
    """
    kind = os.fspath(path).rpartition(".")[2].lower()
    if kind not in FORMATS:
        raise RequestError(f"path: {os.fspath(path)!r} ends in neither .png nor .svg")
    first = None if start is None else parse_request_time(start, "start")
    last = None if end is None else parse_request_time(end, "end")
    tables = job.model_plot(), job.records(exclude_interim=True)
    try:
        curve = curve_of(*tables, job.config, series or {}, start=first, end=last, min_score=min_score)
    except RequestError as error:
        raise RequestError(f"job [{job.job_id}]: {error}") from None
    save(curve, path, kind)
    return curve


def save(curve: Curve, path: str | os.PathLike[str], kind: str) -> None:
    """Writes the picture of a curve as ``png`` or ``svg``; equal curves make equal files."""
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # What a font lacks is drawn as a box; that is no reason to fail or to print anything.
        warnings.filterwarnings("ignore", message=".*missing from.*font")
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        main, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [5, 1]})
        _draw_values(main, curve)
        _draw_anomalies(main, below, curve)
        _finish(figure, main, below, curve)
        figure.savefig(path, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else {})


def severity(score_a: F64) -> I64:
    """The place of each score among `SEVERITIES`.

    >>> severity(np.array([0.0, 24.9, 25.0, 80.0])).tolist()
    [0, 0, 1, 3]
    """
    return np.searchsorted([least for _, least in SEVERITIES], score_a, side="right") - 1


def _draw_values(axes: Any, curve: Curve) -> None:
    """The band, the median and the values, thinned to what the picture can show."""
    shown = Envelope.of(curve, _COLUMNS)
    time = _moments(shown.time_t)
    axes.fill_between(
        time, shown.lower_t, shown.upper_t, color=_BAND, alpha=0.45, linewidth=0, label="expected, 95%"
    )
    axes.plot(time, shown.median_t, color=_MEDIAN, linewidth=0.9, alpha=0.8, label="median")
    # Thinned, a line is nearly an area: lighter, so that what lies on it is seen.
    is_thinned = len(shown.time_v) > len(shown.time_t)
    colour, width = (_DENSE, 0.6) if is_thinned else (_ACTUAL, 0.9)
    axes.plot(_moments(shown.time_v), shown.actual_v, color=colour, linewidth=width, label="actual")
    alone = isolated(shown.actual_v)
    axes.plot(_moments(shown.time_v[alone]), shown.actual_v[alone], ".", color=_ACTUAL, markersize=2.5)


def _draw_anomalies(main: Any, below: Any, curve: Curve) -> None:
    """A dot at each anomaly and a line of its score below, the worst on top."""
    kind_a, time = severity(curve.score_a), _moments(curve.time_a)
    for place, (name, _) in enumerate(SEVERITIES):
        of_kind = np.flatnonzero(kind_a == place)
        count = len(of_kind)
        if not count:
            continue
        of_kind = of_kind[worst_of_columns(curve.time_a[of_kind], curve.score_a[of_kind], _COLUMNS)]
        colour, layer = _COLOURS[name], 3 + place
        below.vlines(time[of_kind], 0.0, curve.score_a[of_kind], color=colour, linewidth=1.4, zorder=layer)
        main.scatter(
            time[of_kind],
            curve.actual_a[of_kind],
            s=_SIZES[name],
            color=colour,
            edgecolor="white",
            linewidth=0.6,
            zorder=layer,
            label=f"{name} ({count:,})",
        )


def _finish(figure: Any, main: Any, below: Any, curve: Curve) -> None:
    """Axes, their labels, the title and the legend."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    main.set_ylim(*_limits(curve))
    main.set_ylabel(curve.quantity)
    main.ticklabel_format(axis="y", useOffset=False, scilimits=(-4, 7))
    main.set_title(_fitted(curve.title, 90), loc="left", fontsize=12, fontweight="bold", parse_math=False)
    main.set_title(_extent(curve), loc="right", fontsize=9, color="#555555")
    first, last = int(curve.time_t[0]), int(curve.time_t[-1])
    margin = max((last - first) // 100, curve.span_ms)
    main.set_xlim(*_moments(np.array([first - margin, last + margin])))
    below.set_ylim(0.0, 100.0)
    below.set_yticks([0, 50, 100])
    below.set_ylabel("score")
    locator = AutoDateLocator(minticks=5, maxticks=12)
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    below.set_xlabel("time (UTC)")
    for axes in (main, below):
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    figure.legend(*main.get_legend_handles_labels(), loc="outside lower center", ncols=7, frameon=False)


def _limits(curve: Curve) -> tuple[float, float]:
    """The values, and the band as far as it is not much wider: a wild one must not flatten them."""
    values = curve.actual_t[np.isfinite(curve.actual_t)]
    values = values if len(values) else curve.median_t
    least, most = float(values.min()), float(values.max())
    room = 0.5 * (most - least) or 0.1 * abs(most) or 1.0
    low = min(max(float(np.min(curve.lower_t)), least - room), least)
    high = max(min(float(np.max(curve.upper_t)), most + room), most)
    margin = 0.04 * (high - low) or room
    return low - margin, high + margin


def _extent(curve: Curve) -> str:
    """From when to when, and the length of a bucket: ``2014-07-01 to 2015-01-31, buckets of 30m``."""
    days = [str(_moments(time).astype("datetime64[D]")) for time in curve.time_t[[0, -1]]]
    seconds, text = curve.span_ms // 1000, ""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        text += f"{seconds // size}{unit}" if seconds >= size else ""
        seconds %= size
    return f"{days[0]} to {days[1]}, buckets of {text}"


def _moments(time_ms: Any) -> Any:
    """Epoch milliseconds as what matplotlib knows as a time."""
    return time_ms.astype("datetime64[ms]")


def _fitted(text: str, most: int) -> str:
    """The text on one line, shortened at its end if it is too long."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= most else text[: most - 3] + "..."
