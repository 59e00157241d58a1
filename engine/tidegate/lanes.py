"""Lanes: all detectors with the same key fields, what is gathered for them, and their analyses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from tidegate_kernels.fold import RECORD_SIZE

from .analysis import Analysis, Finding, LaneCells
from .cells import F64, I32, ClosedCells
from .circular import Circular
from .config import CustomRule, Detector, ModelPlotConfig
from .filters import FilterSet
from .frequent import Exclusion
from .individual import Individual
from .kept import INSIDE, Keeper
from .keycells import DistinctCount, Information, Quantile, Summary
from .keys import Interner, Keys, KeySpace, MemberSpace, require_within
from .keystream import KeyStream
from .model import NO_PLOT, U8, Run
from .modelplot import PlottedSeries
from .passes import Pass, Span
from .population import Population
from .position import Position
from .rare import Rare
from .rows import Rows, Source
from .rules import DetectorRules, silenced
from .streams import CellStream, Stream
from .texts import TextStore
from .threads import Threads, Work
from .unlearned import run_unlearned
from .weights import WeightedStream, gathered_as, weighted_series
from .withheld import values_of, without

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


def make_stream(source: Source, span: Span, texts: dict[str, TextStore], *, is_summarised: bool) -> Stream:
    """The stream that gathers a source; `texts` has the texts of the fields that need them."""
    kind, field = source
    if kind in ("distinct", "info", "value"):
        return KeyStream(span, _cells_of_keys(kind, field, texts))
    stream = WeightedStream if is_summarised else CellStream
    return stream(span, valued=kind != "count")


def _cells_of_keys(kind: str, field: str | None, texts: dict[str, TextStore]) -> Summary:
    """What is made of all values of a series in a bucket."""
    if kind == "info":
        return Information(texts[str(field)])
    return DistinctCount() if kind == "distinct" else Quantile()


class Lane(Keeper):
    """The streams and analyses of all detectors with the same key fields."""

    KEPT: ClassVar = {"keys": INSIDE, "streams": INSIDE, "analyses": INSIDE, "_exclusions": INSIDE}

    def __init__(
        self,
        key: LaneKey,
        span: Span,
        plot: ModelPlotConfig | None,
        names: dict[str, Interner],
        texts: dict[str, TextStore],
        *,
        is_summarised: bool = False,
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
        self._names = names
        self._is_summarised = is_summarised
        self._seen: list[dict[Source, Source]] = []
        """Of every analysis: what it is given for each of its sources."""
        self._exclusions: list[Exclusion] = []
        """Of every analysis: what is left out because it is frequent."""

    def _resume(self) -> None:
        series = np.arange(len(self.keys))
        for role in ("by", "over", "partition"):
            field = getattr(self.keys, role)
            if field is not None:
                codes = getattr(self.keys, f"{role}_codes")(series)
                require_within(codes, len(self._names[field]), f"the {role} value of a series")
        for stream in self.streams.values():
            stream.require_series(len(series))
        for analysis in self.analyses:
            analysis.require_keys(self.keys)

    @property
    def fields(self) -> tuple[str, ...]:
        """The key fields."""
        fields = (self.keys.by, self.keys.over, self.keys.partition)
        return tuple(field for field in fields if field is not None)

    def add(self, detector: Detector, prune_buckets: int) -> None:
        """Adds a detector and the streams it needs."""
        analysis = make_analysis(detector, self._span.span, prune_buckets)
        seen = {source: source for source in analysis.sources}
        if self._is_summarised:
            seen = {source: gathered_as(source, detector.spec.family) for source in seen}
        for source in seen.values():
            if source not in self.streams:
                stream = make_stream(source, self._span, self._texts, is_summarised=self._is_summarised)
                self.streams[source] = stream
        self.analyses.append(analysis)
        self._seen.append(seen)
        self._exclusions.append(Exclusion(detector, self.keys))

    def update(self, plot: ModelPlotConfig | None, prune_buckets: int) -> None:
        """Goes on with another model plot and another prune window."""
        if self.keys.over is None:
            self._plotted = PlottedSeries(self.keys, plot, self._names)
        for analysis in self.analyses:
            analysis.set_prune(prune_buckets)

    def set_rules(self, rules: Mapping[int, tuple[CustomRule, ...]], filters: FilterSet) -> None:
        """Lets the detectors go by these rules, by detector index, and these filters."""
        for analysis in self.analyses:
            own = rules[analysis.detector.detector_index]
            analysis.rules = DetectorRules(own, self.keys, self._names, filters) if own else None

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
        if self._is_summarised:
            return self._gather_summarised(rows, part, limit, threads)
        series = self.keys.series(rows.codes, limit)
        works = []
        for source, stream in self.streams.items():
            stream.grow(len(self.keys))
            works += stream.gather(part, series, rows.values(source), threads)
        return series, works

    def _gather_summarised(self, rows: Rows, part: Pass, limit: int, threads: int) -> tuple[I32, list[Work]]:
        """The same of rows that stand for many records each; of sums and others they count once."""
        weight = rows.weight
        codes = {field: rows.codes[field] for field in self.fields}
        series = weighted_series(self.keys, codes, weight, limit)
        counted = np.where(weight > 0.0, series, np.int32(-1))
        once = np.minimum(weight, 1.0)
        works: list[Work] = []
        for source, stream in self.streams.items():
            stream.grow(len(self.keys))
            value: Any = rows.values(source)
            if not isinstance(stream, WeightedStream):
                works += stream.gather(part, counted, value, threads)
            elif source[0] in ("count", "sum"):
                works += stream.weigh(part, series, value, once if source[0] == "sum" else weight)
            else:
                works += stream.weigh(part, counted, value, weight)
        return counted, works

    def cells(self, read: Callable[[Stream], ClosedCells]) -> LaneCells:
        """What every stream gives."""
        closed = {source: read(stream) for source, stream in self.streams.items()}
        return LaneCells(closed, len(self.keys))

    def ask_siblings(self) -> None:
        """Lets series that are yet to come begin with what the present ones have in common."""
        for analysis in self.analyses:
            analysis.ask_siblings()

    def shift_time(self, seconds: int) -> None:
        """Lets the models of every detector that knows seasons expect what was expected so much later."""
        for analysis in self.analyses:
            analysis.shift_time(seconds)

    def findings(self, cells: LaneCells, run: Run, threads: Threads) -> list[Finding]:
        """Scores, and trains, every detector with its cells, and keeps back what is not to be reported."""
        plot_s = self._plotted.flags() if run.learn and self._plotted is not None else NO_PLOT
        found = []
        for analysis, exclusion, given in zip(
            self.analyses, self._exclusions, self._views(cells), strict=True
        ):
            view = given
            if exclusion:
                exclusion.see(view[analysis.sources[0]], run)
                # A member of a population is not to teach the others what is usual.
                view = exclusion.without(view, run) if self.keys.over is not None else view
            finding = self._run(analysis, view, run, threads, plot_s)
            found.append(self._reported(analysis, finding, run, exclusion))
            if exclusion and run.learn:
                exclusion.keep()
        return found

    def _run(self, analysis: Analysis, cells: LaneCells, run: Run, threads: Threads, plot_s: U8) -> Finding:
        """Runs an analysis, which learns nothing that a rule forbids it to learn."""

        def execute(cells: LaneCells, run: Run) -> Finding:
            return analysis.run(cells, self.keys, run, threads, plot_s)

        rules = analysis.rules
        if rules is None or analysis.obeys_rules or not run.learn or not rules.forbid_learning:
            return execute(cells, run)
        return run_unlearned(analysis, rules, cells, run, self._span.span, execute)

    def _views(self, cells: LaneCells) -> Iterator[LaneCells]:
        """The cells as every analysis sees them."""
        for seen in self._seen:
            is_renamed = any(name != source for name, source in seen.items())
            yield cells.renamed(seen) if is_renamed else cells

    def _reported(self, analysis: Analysis, finding: Finding, run: Run, exclusion: Exclusion) -> Finding:
        """A finding without what is frequent, or silenced by rules that its models have not obeyed yet."""
        scored = finding.scored
        gone = np.zeros(len(scored), bool)
        if exclusion and self.keys.over is None:
            gone |= exclusion.is_excluded(scored.bucket_r, scored.series_r)
        rules = analysis.rules
        if rules is not None and not analysis.obeys_rules:
            seconds: F64 = scored.bucket_r * np.float64(self._span.span / 1000.0)
            masks = rules.masks[scored.series_r]
            gone |= silenced(rules.table, masks, seconds, *values_of(finding))
        return without(finding, gone, run.calendar.bucket_from)
