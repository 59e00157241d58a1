"""Forecasts in the database: their points, until they expire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..results import FORECAST
from .chunks import Packed, in_pieces, pack, unpack
from .session import Session, as_json


@dataclass(frozen=True, slots=True)
class StoredForecast:
    """What there is to know of a forecast, its points apart."""

    forecast_id: str
    created_ms: int
    expires_ms: int | None
    """None: it does not expire."""
    info: dict[str, Any]


class ForecastsView(Session):
    """Forecasts to read."""

    def forecasts(self, job_id: str) -> list[StoredForecast]:
        """The forecasts of a job in the order in which they were made, expired ones too."""
        rows = self._sql.execute(
            "SELECT forecast_id, created, expires, info FROM forecasts WHERE job = ? ORDER BY created, rowid",
            (job_id,),
        ).fetchall()
        return [
            StoredForecast(name, created, expires, self._from_json(info, f"forecast '{name}'"))
            for name, created, expires, info in rows
        ]

    def forecast_points(self, job_id: str, forecast_id: str) -> pa.Table:
        """The points of a forecast; none if there is no such forecast."""
        rows = self._sql.execute(
            "SELECT row_count, nbytes, checksum, payload FROM forecast_points"
            " WHERE job = ? AND forecast_id = ? ORDER BY part",
            (job_id, forecast_id),
        ).fetchall()
        try:
            return pa.Table.from_batches([unpack(Packed(*row), FORECAST) for row in rows], FORECAST)
        except (ValueError, TypeError, OSError, pa.ArrowException) as error:
            raise self._damaged(f"forecast '{forecast_id}': {error}") from None


class ForecastsEdit(ForecastsView):
    """Forecasts to change."""

    def add_forecast(self, job_id: str, forecast: StoredForecast, points: pa.Table) -> None:
        """Keeps a forecast; schema `results.FORECAST`."""
        key = (job_id, forecast.forecast_id)
        self._sql.execute(
            "INSERT INTO forecasts (job, forecast_id, created, expires, info) VALUES (?, ?, ?, ?, ?)",
            (*key, forecast.created_ms, forecast.expires_ms, as_json(forecast.info)),
        )
        for part, batch in enumerate(in_pieces(points)):
            packed = pack(batch)
            self._sql.execute(
                "INSERT INTO forecast_points"
                " (job, forecast_id, part, row_count, nbytes, checksum, payload)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, part, packed.rows, packed.nbytes, packed.checksum, packed.payload),
            )

    def delete_forecast(self, job_id: str, forecast_id: str) -> bool:
        """Removes one; whether it was there."""
        where = "job = ? AND forecast_id = ?"
        return self._sql.execute(f"DELETE FROM forecasts WHERE {where}", (job_id, forecast_id)).rowcount > 0

    def expire_forecasts(self, now_ms: int) -> int:
        """Removes all of all jobs whose time is over; returns how many."""
        return self._sql.execute("DELETE FROM forecasts WHERE expires <= ?", (now_ms,)).rowcount
