"""What the series of a feature will be: the forecast kernel over its models, on a few threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate_kernels import forecast as kernels
from tidegate_kernels.state import LANES, WORK_SIZE

from .cells import F64, I64
from .model import Calendar, FeatureModel
from .threads import Threads

_PIECE_POINTS = 1 << 15  # below, a second thread costs more than it brings
_LARGEST_PIECE = 1 << 19
_NONE: F64 = np.empty(0)
_NO_ROOM: tuple[I64, F64, F64, F64] = (np.empty(0, np.int64), _NONE, _NONE, _NONE)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The forecast of one feature: of series i the buckets ``[i n, (i + 1) n)`` of the other arrays."""

    series: I64
    lower: F64
    prediction: F64
    upper: F64


def known_series(model: FeatureModel, calendar: Calendar, clock_offset: int) -> int:
    """How many series are old enough for a forecast, and not idle for the prune window."""
    return _run(model, _blocks(model), calendar, clock_offset, _NO_ROOM)


def look_ahead(model: FeatureModel, calendar: Calendar, clock_offset: int, threads: Threads) -> Outlook:
    """What every known series will be in the buckets of the calendar; the models stay as they are."""
    blocks, n = _blocks(model), len(calendar)
    points = len(blocks) * LANES * n
    pieces = max(min(threads.size, points // _PIECE_POINTS), points // _LARGEST_PIECE, 1)
    parts = np.array_split(blocks, min(pieces, max(len(blocks), 1)))

    def piece(k: int) -> Outlook:
        known = _run(model, parts[k], calendar, clock_offset, _NO_ROOM)
        made = Outlook(np.empty(known, np.int64), *(np.empty(known * n) for _ in range(3)))
        _run(model, parts[k], calendar, clock_offset, (made.series, made.lower, made.prediction, made.upper))
        return made

    made = list(threads.map(piece, range(len(parts))))
    if len(made) == 1:
        return made[0]
    return Outlook(
        np.concatenate([part.series for part in made]),
        np.concatenate([part.lower for part in made]),
        np.concatenate([part.prediction for part in made]),
        np.concatenate([part.upper for part in made]),
    )


def _blocks(model: FeatureModel) -> I64:
    return np.arange(len(model.memory[1]))


def _run(
    model: FeatureModel, blocks: I64, calendar: Calendar, clock_offset: int, into: tuple[I64, F64, F64, F64]
) -> int:
    """Runs the kernel over some blocks; how many of their series are known, whatever there is room for."""
    known: int = kernels.forecast_blocks(
        blocks,
        *calendar.arrays,
        *model.memory,
        np.empty(WORK_SIZE),
        np.empty(kernels.PLAN_SIZE),
        calendar.bucket_from,
        calendar.bucket_to,
        clock_offset,
        *into,
    )
    return known
