"""The model plot: which series have their bounds written, and the rows that say what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidegate_kernels import bounds as kernels
from tidegate_kernels.state import LANES

from .analysis import Finding
from .cells import F64, I64
from .config import Function, ModelPlotConfig
from .keys import Interner, Keys
from .model import NO_PLOT, U8
from .resultcolumns import KEY_SETTINGS, Frame, common_columns, filled_columns, key_values, settings_of
from .results import MODEL_PLOT

_BATCH_ROWS = 1 << 18  # of which no column of text can outgrow 32-bit offsets
_FEATURES = {
    "count": "count per bucket",
    "non_zero_count": "non-zero count per bucket",
    "distinct_count": "unique count per bucket",
    "info_content": "information content of value per bucket",
    "mean": "mean value",
    "median": "median value",
    "min": "minimum value",
    "max": "maximum value",
    "varp": "variance of values",
    "sum": "bucket sum",
    "non_null_sum": "bucket non-null sum",
}


def model_feature(function: Function, feature: str) -> str:
    """What the API calls a modelled feature.

    >>> from tidegate.config import FUNCTIONS
    >>> model_feature(FUNCTIONS["metric"], "min"), model_feature(FUNCTIONS["high_count"], "count")
    ("'minimum value by person'", "'high values of count per bucket by person'")
    """
    name = function.family if len(function.features) == 1 else feature
    text = _FEATURES[name]
    if function.name != function.family:
        text = f"{function.side} values of {text}" if name == "count" else f"{function.side} {text}"
    elif name == "mean":
        text = f"arithmetic {text}"
    return f"'{text} by person'"


class PlottedSeries:
    """Which series of a detector are in the model plot; keeps up with the series that come to be.

    With terms, those whose by or partition value is one of them; all series of detectors that have
    neither field.
    """

    def __init__(self, keys: Keys, config: ModelPlotConfig | None, names: Mapping[str, Interner]) -> None:
        self._keys = keys
        self._names = names
        self._is_enabled = config is not None and config.enabled
        self._terms = pa.array(config.term_list if config is not None else (), pa.large_string())
        self._flags: U8 = np.zeros(0, np.uint8)
        self._known = 0

    def flags(self) -> U8:
        """1 for every plotted series, filled up with 0 to whole blocks of series; empty without any plot."""
        if not self._is_enabled:
            return NO_PLOT
        n = len(self._keys)
        if n > self._known:
            flags = np.zeros(-(-n // LANES) * LANES, np.uint8)
            flags[: self._known] = self._flags[: self._known]
            flags[self._known : n] = self._chosen(np.arange(self._known, n))
            self._flags, self._known = flags, n
        return self._flags

    def begin_again(self) -> None:
        """Looks at all series again, after their numbers changed."""
        self._flags, self._known = np.zeros(0, np.uint8), 0

    def _chosen(self, series: I64) -> npt.NDArray[np.bool_]:
        """Which of some series are plotted."""
        fields = {"by": self._keys.by, "partition": self._keys.partition}
        chosen = np.full(len(series), not len(self._terms) or not any(fields.values()))
        for role, field in fields.items():
            if field is not None and len(self._terms):
                codes = pa.array(getattr(self._keys, f"{role}_codes")(series))
                found = pc.is_in(self._names[field].texts().take(codes), value_set=self._terms)
                chosen |= found.to_numpy(zero_copy_only=False)
        return chosen


def model_plot_batches(
    findings: list[Finding], names: Mapping[str, Interner], frame: Frame
) -> Iterator[pa.RecordBatch]:
    """The rows of the model plot of a pass: by bucket, then by detector, series and feature."""
    plotted = [finding for finding in findings if any(len(bounds) for bounds in finding.bounds_f)]
    plotted.sort(key=lambda finding: finding.detector.detector_index)
    if not plotted:
        return
    rows, finding_r, feature_r = _ordered(plotted, frame.bucket_from)
    features = [
        model_feature(f.detector.spec, feature) for f in plotted for feature in f.detector.spec.features
    ]
    texts = pa.array(features, pa.string())
    for start in range(0, len(rows), _BATCH_ROWS):
        part = slice(start, start + _BATCH_ROWS)
        yield _batch(
            plotted, rows[part], finding_r[part], texts.take(pa.array(feature_r[part])), names, frame
        )


def _ordered(findings: list[Finding], bucket_from: int) -> tuple[F64, I64, I64]:
    """The rows of all findings in their order, the finding of each and its feature, counted over all."""
    parts = [bounds.reshape(-1, kernels.BOUNDS) for finding in findings for bounds in finding.bounds_f]
    sizes = [len(part) for part in parts]
    rows = np.concatenate(parts)
    of_feature = [i for i, finding in enumerate(findings) for _ in finding.bounds_f]
    feature_r = np.repeat(np.arange(len(parts)), sizes)
    finding_r = np.asarray(of_feature)[feature_r]
    # One number says the place of a row: what can be in a bucket is counted up to a finding's series.
    widths = np.array([len(finding.keys) * len(finding.bounds_f) for finding in findings])
    first = np.cumsum(widths) - widths
    in_finding = feature_r - np.searchsorted(of_feature, finding_r)
    of_series = np.array([len(finding.bounds_f) for finding in findings])[finding_r]
    bucket = rows[:, kernels.PLOT_BUCKET].astype(np.int64) - bucket_from
    place = first[finding_r] + rows[:, kernels.PLOT_SERIES].astype(np.int64) * of_series + in_finding
    order = np.argsort(bucket * widths.sum() + place)
    return rows[order], finding_r[order], feature_r[order]


def _batch(
    findings: list[Finding],
    rows: F64,
    finding_r: I64,
    feature: pa.Array,
    names: Mapping[str, Interner],
    frame: Frame,
) -> pa.RecordBatch:
    """Some rows of the plot as a table."""
    series = rows[:, kernels.PLOT_SERIES].astype(np.int64)
    numbers = {
        "model_lower": kernels.PLOT_LOWER,
        "model_median": kernels.PLOT_MEDIAN,
        "model_upper": kernels.PLOT_UPPER,
        "actual": kernels.PLOT_ACTUAL,
        "log_probability": kernels.PLOT_LOG_P,
    }
    values = {
        **common_columns("model_plot", rows[:, kernels.PLOT_BUCKET].astype(np.int64), frame),
        **settings_of([finding.detector for finding in findings], KEY_SETTINGS, finding_r),
        **key_values(findings, finding_r, series, names),
        "model_feature": feature,
        **{name: pa.array(rows[:, at], from_pandas=True) for name, at in numbers.items()},
    }
    return pa.record_batch(filled_columns(list(MODEL_PLOT), len(rows), values), schema=MODEL_PLOT)
