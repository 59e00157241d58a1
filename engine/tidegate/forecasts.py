"""The forecasts that a job keeps until they expire or are deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from .errors import RequestError
from .forecast import Forecast
from .kept import Keeper, require
from .results import FORECAST


def now_ms() -> int:
    """The time of the wall clock, by which forecasts expire."""
    return int(time.time() * 1000)


class Forecasts(Keeper):
    """Forecasts by their ids, in the order in which they were made."""

    KEPT: ClassVar = {"_kept": dict[str, Forecast]}

    def __init__(self, job_id: str, now: Callable[[], int] = now_ms) -> None:
        self._job_id = job_id
        self._now = now
        self._kept: dict[str, Forecast] = {}

    def __len__(self) -> int:
        return len(self._present())

    def _resume(self) -> None:
        for key, one in self._kept.items():
            require(key == one.forecast_id, f"the forecast {key} has another id")
            require(one.points.schema == FORECAST, f"the forecast {key} has other columns")

    def _present(self) -> dict[str, Forecast]:
        """Those whose time is not over; the others go."""
        now = self._now()
        self._kept = {key: forecast for key, forecast in self._kept.items() if not forecast.is_expired(now)}
        return self._kept

    def add(self, forecast: Forecast) -> None:
        """Keeps a forecast."""
        self._present()[forecast.forecast_id] = forecast

    def chosen(self, ids: str | None) -> list[Forecast]:
        """All forecasts for None, ``_all`` or ``*``; else those of a comma list of ids.

        Raises RequestError for ids that do not exist.
        """
        present = self._present()
        if ids is None or ids in ("_all", "*"):
            return list(present.values())
        wanted = list(dict.fromkeys(part.strip() for part in ids.split(",")))
        unknown = [name for name in wanted if name not in present]
        if unknown:
            raise RequestError(f"No forecast(s) [{', '.join(unknown)}] exists for job [{self._job_id}]")
        return [present[name] for name in wanted]

    def table(self, ids: str | None) -> pa.Table:
        """The points of the chosen forecasts."""
        return pa.concat_tables([FORECAST.empty_table(), *(one.points for one in self.chosen(ids))])

    def delete(self, ids: str, *, allow_no_forecasts: bool) -> None:
        """Drops the chosen forecasts; RequestError if there are none, unless ``_all`` may be none."""
        chosen = self.chosen(ids)
        if not chosen and not allow_no_forecasts:
            raise RequestError(f"No forecast(s) [{ids}] exists for job [{self._job_id}]")
        for forecast in chosen:
            del self._kept[forecast.forecast_id]

    def stats(self) -> dict[str, Any]:
        """What job statistics say of the forecasts, as the JSON API has it."""
        return statistics_of([info_of(one) for one in self._present().values()])

    def replace(self, forecasts: Iterable[Forecast]) -> None:
        """Keeps these instead of those that there are."""
        self._kept = {one.forecast_id: one for one in forecasts}


def info_of(forecast: Forecast) -> dict[str, int]:
    """What statistics are made of."""
    return {
        "memory_bytes": forecast.points.get_total_buffer_size(),
        "records": forecast.points.num_rows,
        "processing_time_ms": forecast.processing_time_ms,
    }


def statistics_of(forecasts: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """What job statistics say of forecasts, by `info_of`."""
    if not forecasts:
        return {"total": 0, "forecasted_jobs": 0}
    return {
        "total": len(forecasts),
        "forecasted_jobs": 1,
        **{name: _statistics([one[name] for one in forecasts]) for name in forecasts[0]},
        "status": {"finished": len(forecasts)},
    }


def _statistics(numbers: list[int]) -> dict[str, float]:
    """Least, largest, mean and sum."""
    total = sum(numbers)
    return {
        "min": float(min(numbers)),
        "max": float(max(numbers)),
        "avg": total / len(numbers),
        "total": float(total),
    }
