"""The curves of `scaling` as a picture: nanoseconds per unit, both axes logarithmic."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = {"gather": "#1b6ca8", "model": "#c8553d", "whole job": "#3a7d44"}
MARKERS = {"gather": "o", "model": "s", "whole job": "^"}
AXES = ("rows", "series", "bucket span", "threads")


@dataclass(frozen=True, slots=True)
class Curve:
    """Nanoseconds of a unit of work at each x."""

    name: str
    axis: str
    unit: str
    x: Sequence[float]
    ns: Sequence[float]
    ticks: tuple[str, ...] = ()
    """What the values of x are called, where they have names."""

    def tick(self, k: int) -> str:
        """How the value of x at a position is written."""
        return self.ticks[k] if self.ticks else f"{int(self.x[k]):,}"

    @property
    def spread(self) -> float:
        """How many times the dearest costs of the cheapest."""
        return max(self.ns) / min(self.ns)


def svg(curves: Sequence[Curve], kind: str = "svg") -> bytes:
    """The picture, or with another `kind` the same as PNG: a panel an axis, a line a part of the engine."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tidegate", "font.size": 9})
    figure, panels = pyplot.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    for panel, axis in zip(panels.flat, AXES, strict=True):
        _draw(panel, axis, [c for c in curves if c.axis == axis and c.name in COLOURS])
    figure.suptitle("Time per unit of work")
    picture = io.BytesIO()
    figure.savefig(picture, format=kind, metadata={"Date": None} if kind == "svg" else {})
    pyplot.close(figure)
    return picture.getvalue()


def _draw(panel: Any, axis: str, curves: Sequence[Curve]) -> None:
    for curve in curves:
        style = {"color": COLOURS[curve.name], "marker": MARKERS[curve.name], "markersize": 4}
        panel.plot(curve.x, curve.ns, label=f"{curve.name}, ns per {curve.unit}", **style)
        if axis == "threads":
            panel.plot(
                curve.x, [curve.ns[0] / n for n in curve.x], ":", color=COLOURS[curve.name], linewidth=1
            )
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(axis + (" (dotted: time divided by threads)" if axis == "threads" else ""))
    panel.set_ylabel("nanoseconds per unit")
    _ticks(panel, curves)
    panel.grid(which="major", alpha=0.3)
    panel.legend(frameon=False, fontsize=8)


def _ticks(panel: Any, curves: Sequence[Curve]) -> None:
    """Room above and below, so that flat looks flat; spans and threads are named."""
    ns = [value for curve in curves for value in curve.ns]
    panel.set_ylim(min(ns) / 4, max(ns) * 6)
    if curves[0].ticks:
        panel.set_xticks(list(curves[0].x), list(curves[0].ticks))
        panel.minorticks_off()
        panel.margins(x=0.08)
