"""Lanes: all detectors with the same key fields, what is gathered for them, and their analyses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tidegate_kernels import blocks as block_kernels
from tidegate_kernels.fold import RECORD_SIZE

from .analysis import Analysis, Finding, LaneCells
from .cells import F64, I32, I64, ClosedCells
from .circular import Circular
from .config import CustomRule, Detector, ModelPlotConfig
from .filters import FilterSet
from .frequent import Exclusion
from .individual import Individual
from .kept import INSIDE, Keeper, require_within
from .keycells import DistinctCount, Information, Quantile, Summary
from .keys import NUMBER_BYTES, Interner, Keys, KeySpace, MemberSpace
from .keystream import KeyStream
from .model import NO_PLOT, U8, Run
from .modelplot import PlottedSeries
from .passes import Pass, Span
from .population import Population
from .position import Position
from .rare import Rare
from .room import Price, Room
from .rows import Rows, Source
from .rules import DetectorRules, silenced
from .streams import CellStream, Stream
from .texts import TextStore
from .threads import Threads, Work
from .unlearned import run_unlearned
from .weights import WeightedStream, gathered_as, weighted_series
from .withheld import values_of, without

_NEVER = -1 << 62
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

    KEPT: ClassVar = {
        "keys": INSIDE,
        "streams": INSIDE,
        "analyses": INSIDE,
        "_exclusions": INSIDE,
        "room": INSIDE,
        "_last_s": I64,
    }

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
        self.room = Room(self.keys, names, span.span)
        """Which series are let in."""
        self._last_s: I64 = np.empty(0, np.int64)
        """Of every series: the bucket, of the job's own time, of its last final cell."""
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
        for analysis in self.analyses:
            analysis.require_keys(self.keys)

    def require_open(self, first: int, last: int) -> None:
        """Sees that restored cells are of series there are, and of the buckets ``first <= b < last``."""
        for stream in self.streams.values():
            stream.require_open(len(self.keys), first, last)

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
        self.room.price = self.price

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
    def price(self) -> Price:
        """The most that one more series, and one more attribute of a population, takes."""
        series = sum(analysis.series_bytes for analysis in self.analyses)
        attribute = sum(analysis.attribute_bytes for analysis in self.analyses)
        if self.keys.over is None:
            return Price(series + self._cell_bytes + self._table_bytes, 0)
        return Price(series + self._cell_bytes + self._table_bytes, attribute + NUMBER_BYTES)

    @property
    def _cell_bytes(self) -> int:
        """What a series takes in open buckets, if it has values in all."""
        streams = sum(isinstance(stream, CellStream) for stream in self.streams.values())
        return streams * self._span.rows * 8 * RECORD_SIZE

    @property
    def _table_bytes(self) -> int:
        """What a series takes in tables."""
        excluded = sum(map(bool, self._exclusions))
        return NUMBER_BYTES + 16 + excluded * (NUMBER_BYTES + 8)

    @property
    def taken(self) -> int:
        """What models, and the tables of keys without their strings, take of what series charge for."""
        n, attributes = self.keys.sizes
        models = sum(analysis.taken((n, attributes)) for analysis in self.analyses)
        return models + n * self._table_bytes + attributes * NUMBER_BYTES

    def expected(self, n_series: int, n_attributes: int, partitions: int) -> int:
        """What so many series, all seasonal, will take, with their cells in open buckets."""
        sizes = n_series, 0 if self.keys.over is None else n_attributes
        models = sum(analysis.expected(sizes, partitions) for analysis in self.analyses)
        return models + n_series * (self._table_bytes + self._cell_bytes) + sizes[1] * NUMBER_BYTES

    @property
    def open_bytes(self) -> int:
        """What the cells of open buckets take."""
        return sum(stream.nbytes for stream in self.streams.values())

    @property
    def state_bytes(self) -> int:
        """What streams, models and tables take now."""
        return self.taken + self.open_bytes

    @property
    def promised(self) -> int:
        """What the models take more if all series turn out to be seasonal."""
        return sum(analysis.promised(len(self.keys)) for analysis in self.analyses)

    def limit_growth(self, most_bytes: int) -> int:
        """Lets no more series become seasonal than fit; returns the bytes that they may take."""
        granted = 0
        for analysis in self.analyses:
            granted += analysis.limit_growth(len(self.keys), most_bytes - granted)
        return granted

    def codes(self, field: str) -> Iterator[npt.NDArray[np.integer]]:
        """The codes of the strings of a field that it knows."""
        n, attributes = self.keys.sizes
        keys, numbers = self.keys, np.arange(n)
        if field == keys.over:
            yield keys.over_codes(numbers)
        if isinstance(keys, MemberSpace):
            keys, numbers = keys.attributes, np.arange(attributes)
        if field == keys.by:
            yield keys.by_codes(numbers)
        if field == keys.partition:
            yield keys.partition_codes(numbers)
        for exclusion in self._exclusions:
            yield from exclusion.codes(field)

    def move_codes(self, new_of: Mapping[str, I32]) -> None:
        """Goes on with new codes of the strings of some fields."""
        self.keys.move_codes(new_of)
        for exclusion in self._exclusions:
            exclusion.move_codes(new_of)
        for analysis in self.analyses:
            analysis.move_codes(new_of)
            if analysis.rules is not None:
                analysis.rules.begin_again()

    def silent(self, since: int) -> npt.NDArray[np.bool_]:
        """Which series had their last cell in a final bucket before this one, of the job's own time."""
        is_silent: npt.NDArray[np.bool_] = self._last_of(len(self.keys)) < since
        for stream in self.streams.values():
            for series in stream.open_series():
                is_silent[series] = False
        return is_silent

    def keep(self, series: I64) -> I32:
        """Forgets all series but these, ascending, which move down; new numbers by old ones, or -1."""
        n = len(self.keys)
        new_of = np.full(n, -1, np.int32)
        new_of[series] = np.arange(len(series))
        attributes = np.empty(0, np.int64)
        if isinstance(self.keys, MemberSpace):
            attributes = np.unique(self.keys.attribute_of(series))
            attributes = attributes if self.keys.attributes.fields else np.zeros(1, np.int64)
        for analysis in self.analyses:
            analysis.keep(self.keys, series, attributes)
        for exclusion in self._exclusions:
            exclusion.keep(series)
        self.keys.keep(series)
        for stream in self.streams.values():
            stream.renumber(new_of, len(series))
        self._last_s = self._last_of(n)[series]
        if self._plotted is not None:
            self._plotted.begin_again()
        for analysis in self.analyses:
            if analysis.rules is not None:
                analysis.rules.begin_again()
        self.room.charge_again()
        return new_of

    def forget_silent(self, clock: int) -> None:
        """Lets go of what the prune windows will forget anyway."""
        spared_s = self._plotted.flags() if self._plotted is not None else NO_PLOT
        for analysis in self.analyses:
            analysis.forget_silent(clock, spared_s)

    def _last_of(self, n_series: int) -> I64:
        """When each of so many series had its last cell."""
        last_s, known = np.full(n_series, _NEVER), min(n_series, len(self._last_s))
        last_s[:known] = self._last_s[:known]
        return last_s

    def see(self, cells: LaneCells, clock_offset: int) -> None:
        """Takes note of when every series had its last cell."""
        if len(self.keys) > len(self._last_s):
            self._last_s = self._last_of(len(self.keys) + len(self.keys) // 2)
        for source in self.streams:
            closed = cells[source]
            block_kernels.keep_latest(closed.bucket_c, closed.series_c, clock_offset, self._last_s)

    def assign(self, rows: Rows) -> I32:
        """The series of rows, negative for none; empty: all are of one."""
        if not self._is_summarised:
            return self.room.series(rows.codes, rows.time)
        codes = {field: rows.codes[field] for field in self.fields}
        return weighted_series(self.room, codes, rows.weight, rows.time)

    def gather(self, rows: Rows, part: Pass, series: I32, threads: int) -> tuple[I32, list[Work]]:
        """The series that count for the rows of a pass, and what is to be done to add them."""
        if self._is_summarised:
            return self._gather_summarised(rows, part, series, threads)
        works = []
        for source, stream in self.streams.items():
            stream.grow(len(self.keys))
            works += stream.gather(part, series, rows.values(source), threads)
        return series, works

    def _gather_summarised(self, rows: Rows, part: Pass, series: I32, threads: int) -> tuple[I32, list[Work]]:
        """The same of rows that stand for many records each; of sums and others they count once."""
        weight = rows.weight
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

    def ask_siblings(self, clock: int) -> None:
        """Lets series that are yet to come begin with what the present ones, at a time, have in common."""
        for analysis in self.analyses:
            analysis.ask_siblings(clock)

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
                exclusion.learn()
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
