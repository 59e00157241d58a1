"""The naive twin of a feature of a detector: all its series, a bucket at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Mapping

from tests.naive_laws import Settings
from tests.naive_model import NaiveSeries, Result, Ruling
from tests.naive_siblings import Prior, common


class NaiveFeature:
    """All series of one feature of one detector."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.series: dict[Hashable, NaiveSeries] = {}
        self.prior = Prior()
        self.ruling_of: Callable[[Hashable], Ruling] | None = None
        """The custom rules as each series has to obey them."""

    def ask_siblings(self) -> None:
        """Lets all series know what they have in common."""
        self.prior = common(self.series.values())

    def interim(self) -> NaiveFeature:
        """A copy that may learn what will be forgotten; it fills no zeros."""
        twin = NaiveFeature(self.settings._replace(zero_fill=False))
        twin.series = copy.deepcopy(self.series)
        twin.prior = self.prior._replace(shape=())
        twin.ruling_of = self.ruling_of
        return twin

    def observe(
        self,
        bucket: int,
        clock: int,
        cells: Mapping[Hashable, tuple[float, float]],
        completeness: float = 1.0,
    ) -> dict[Hashable, Result]:
        """Takes the cells, (value, records), of one bucket; a value that is not finite is a sign of life."""
        values = dict(cells)
        if self.settings.zero_fill:
            values = dict.fromkeys(self.series, (0.0, 0.0)) | values
        results = {}
        for key, (value, records) in values.items():
            is_data = key in cells
            series = self.series.get(key)
            if series is not None and 0 < self.settings.prune < clock - series.last_data:
                series = None
                del self.series[key]
            if not math.isfinite(value):
                if series is not None:
                    series.last_data = clock
            elif series is not None and (is_data or not series.passes_over(clock)):
                series.prior = self.prior
                series.ruling = None if self.ruling_of is None else self.ruling_of(key)
                result = series.observe(bucket, clock, value, records, is_data, completeness)
                if result is not None:
                    results[key] = result
            elif series is None and is_data:
                self.series[key] = NaiveSeries(self.settings, clock, value, records)
                self.series[key].begin_like(self.prior, bucket)
        return results
