"""Lanes: all detectors with the same key fields, what is gathered for them, and their analyses."""

from __future__ import annotations

from collections.abc import Callable

from tidegate_kernels.fold import RECORD_SIZE

from .analysis import Analysis, Finding, LaneCells
from .cells import I32, ClosedCells
from .circular import Circular
from .config import Detector, ModelPlotConfig
from .individual import Individual
from .keycells import DistinctCount, Information, Quantile
from .keys import Interner, Keys, KeySpace, MemberSpace
from .keystream import KeyStream
from .model import NO_PLOT, Run
from .modelplot import PlottedSeries
from .passes import Pass, Span
from .population import Population
from .position import AXES, Position
from .rare import Rare
from .rows import Rows, Source
from .streams import CellStream, Stream
from .texts import TextStore
from .threads import Threads, Work

_TABLE_BYTES = 64  # of one series in the tables of keys
LaneKey = tuple[str | None, str | None, str | None, bool]  # by, over and partition field, use_null


def key_of(detector: Detector) -> LaneKey:
    """What detectors have in common that are gathered together."""
    return (
        detector.by_field_name,
        detector.over_field_name,
        detector.partition_field_name,
        detector.use_null,
    )


def make_analysis(detector: Detector, span_ms: int, prune_buckets: int) -> Analysis:
    """The analysis that serves a detector: the one place that chooses the kind."""
    if detector.spec.family == "time":
        return Circular(detector, span_ms)
    if detector.spec.family == "lat_long":
        return Position(detector, span_ms)
    if detector.spec.family == "rare":
        return Rare(detector, span_ms)
    if detector.over_field_name is not None:
        return Population(detector, span_ms, prune_buckets)
    return Individual(detector, span_ms, prune_buckets)


def make_stream(source: Source, span: Span, texts: dict[str, TextStore]) -> Stream:
    """The stream that gathers a source; `texts` has the texts of the fields that need them."""
    kind, field = source
    if kind in ("count", "number", "time", *AXES):
        return CellStream(span, valued=kind != "count")
    if kind == "info":
        return KeyStream(span, Information(texts[str(field)]))
    return KeyStream(span, DistinctCount() if kind == "distinct" else Quantile())


class Lane:
    """The streams and analyses of all detectors with the same key fields."""

    def __init__(
        self,
        key: LaneKey,
        span: Span,
        plot: ModelPlotConfig | None,
        names: dict[str, Interner],
        texts: dict[str, TextStore],
    ) -> None:
        by, over, partition, use_null = key
        self.keys: Keys = (
            KeySpace(by, partition, use_null=use_null)
            if over is None
            else MemberSpace(by, over, partition, use_null=use_null)
        )
        self.streams: dict[Source, Stream] = {}
        self.analyses: list[Analysis] = []
        self._plotted = PlottedSeries(self.keys, plot, names) if over is None else None
        self._span = span
        self._texts = texts

    def add(self, detector: Detector, prune_buckets: int) -> None:
        """Adds a detector and the streams it needs."""
        analysis = make_analysis(detector, self._span.span, prune_buckets)
        for source in analysis.sources:
            if source not in self.streams:
                self.streams[source] = make_stream(source, self._span, self._texts)
        self.analyses.append(analysis)

    @property
    def series_bytes(self) -> int:
        """What one more series takes in streams, models and tables."""
        models = sum(analysis.series_bytes for analysis in self.analyses)
        streams = sum(isinstance(stream, CellStream) for stream in self.streams.values())
        return models + streams * self._span.rows * 8 * RECORD_SIZE + _TABLE_BYTES

    def series_limit(self, share: int) -> int:
        """How many series so much memory has room for; of populations one half of it is for attributes."""
        attribute_bytes = sum(analysis.attribute_bytes for analysis in self.analyses)
        if isinstance(self.keys, MemberSpace) and attribute_bytes:
            share //= 2
            self.keys.attribute_limit = max(share // (attribute_bytes + _TABLE_BYTES), 1)
        return max(share // self.series_bytes, 1)

    @property
    def state_bytes(self) -> int:
        """What streams, models and tables take now."""
        models = sum(analysis.state_bytes for analysis in self.analyses)
        return models + sum(stream.nbytes for stream in self.streams.values()) + self.keys.nbytes

    def gather(self, rows: Rows, part: Pass, limit: int, threads: int) -> tuple[I32, list[Work]]:
        """The series of the rows of a pass (empty: all of one), and what is to be done to add them.

        At most `limit` series come to be.
        """
        series = self.keys.series(rows.codes, limit)
        works = []
        for source, stream in self.streams.items():
            stream.grow(len(self.keys))
            works += stream.gather(part, series, rows.values(source), threads)
        return series, works

    def cells(self, read: Callable[[Stream], ClosedCells]) -> LaneCells:
        """What every stream gives."""
        closed = {source: read(stream) for source, stream in self.streams.items()}
        return LaneCells(closed, len(self.keys))

    def ask_siblings(self) -> None:
        """Lets series that are yet to come begin with what the present ones have in common."""
        for analysis in self.analyses:
            analysis.ask_siblings()

    def findings(self, cells: LaneCells, run: Run, threads: Threads) -> list[Finding]:
        """Scores, and trains, every detector with its cells."""
        plot_s = self._plotted.flags() if run.learn and self._plotted is not None else NO_PLOT
        return [analysis.run(cells, self.keys, run, threads, plot_s) for analysis in self.analyses]
