"""Forecasts as a job gives them: what may be asked for, what is kept, and for how long."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.test_forecast import HOUR, MEAN, START, config, noise, posted

from tidegate import Job, JobConfig, RequestError, StateError
from tidegate import forecast as engine_forecast
from tidegate.forecastrequest import require_forecastable
from tidegate.forecasts import Forecasts
from tidegate.results import FORECAST


def test_a_constant_mean_goes_on() -> None:
    """Two records an hour, 10 and 30, for 50 hours: 24 points at 20, kept for two weeks or for ever."""
    job = Job(config(MEAN))
    job.post([{"t": START + HOUR * h + m, "x": x} for h in range(50) for m, x in ((0, 10), (1800_000, 30))])
    before = int(time.time() * 1000)
    points = job.forecast()
    after = int(time.time() * 1000)
    assert points.schema == FORECAST
    assert points.num_rows == 24
    assert points["timestamp"].to_pylist() == [START + HOUR * h for h in range(49, 73)]
    assert all(abs(x - 20.0) < 0.01 for x in points["forecast_prediction"].to_pylist())
    created = points["forecast_create_timestamp"][0].as_py()
    assert before <= created <= after
    assert pc.unique(points["forecast_expiry_timestamp"]).to_pylist() == [created + 14 * 24 * HOUR]
    assert pc.unique(points["result_type"]).to_pylist() == ["model_forecast"]
    assert pc.unique(points["model_feature"]).to_pylist() == ["'arithmetic mean value by person'"]
    forever = job.forecast(expires_in=0)
    assert forever["forecast_expiry_timestamp"].null_count == 24


ARGUMENTS = [
    ({"duration": "0s"}, "[duration] must be positive: [0s]"),
    ({"duration": "-1h"}, "[duration] must be positive: [-1h]"),
    ({"duration": "3651d"}, "[duration] must be 3650d or less: [3651d]"),
    ({"duration": "10m"}, "[duration] must be greater or equal to the bucket span: [10m/1h]"),
    ({"duration": "soon"}, "[duration] must be a whole number with one of the units"),
    ({"expires_in": "-1"}, "[expires_in] must be non-negative: [-1]"),
    ({"expires_in": -1}, "[expires_in] must be non-negative: [-1]"),
    ({"max_model_memory": "500mb"}, "[max_model_memory] must be less than 500mb"),
    ({"max_model_memory": "much"}, "[max_model_memory] must be a memory size such as"),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    """Each wrong argument is refused with its value and what is allowed; nothing is kept."""
    job = posted(noise(60))
    with pytest.raises(RequestError) as caught:
        job.forecast(**arguments)
    assert str(caught.value).startswith(message)
    assert job.forecasts().num_rows == 0


def test_limits_are_allowed() -> None:
    """The longest duration, a single bucket, and the largest memory below the limit are fine."""
    job = posted(noise(60, 1))
    assert job.forecast("3650d", max_model_memory="499mb").num_rows == 3650 * 24
    assert job.forecast("1h").num_rows == 1
    assert job.forecast("119m").num_rows == 1


@pytest.mark.parametrize("hours", [0, 1, 5])
def test_a_job_that_knows_nothing_has_no_forecast(hours: int) -> None:
    """Before a series is modelled there is nothing to go on."""
    job = Job(config(MEAN))
    job.post([{"t": START + HOUR * h, "x": 1.0} for h in range(hours)])
    with pytest.raises(RequestError) as caught:
        job.forecast()
    assert str(caught.value) == (
        "Cannot run forecast: Forecast cannot be executed as job requires data to have been processed and "
        "modeled"
    )


def test_too_many_points_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forecast that would not fit says how large it would be, and what is allowed."""
    monkeypatch.setattr(engine_forecast, "MAX_POINTS", 71)
    job = posted(noise(60, 3))
    assert job.forecast("23h").num_rows == 69
    with pytest.raises(RequestError, match=r"24 buckets for 3 series would make 72 points; .* at most 71"):
        job.forecast("1d")


def test_detectors_without_forecast() -> None:
    """Rare values, times, places and populations have no forecast; the message names each."""
    parsed = JobConfig.parse(
        config(
            {"function": "rare", "by_field_name": "k"},
            {"function": "lat_long", "field_name": "x"},
            {"function": "count", "over_field_name": "u"},
        )
    )
    with pytest.raises(RequestError) as caught:
        require_forecastable(parsed)
    assert str(caught.value) == (
        "Cannot run forecast: no detector of the job can be forecast: detectors[0] 'rare by k': function rare"
        "; detectors[1] 'lat_long(x)': function lat_long; detectors[2] 'count over u': population analysis"
    )
    one = JobConfig.parse(config({"function": "rare", "by_field_name": "k"}, {"function": "count"}))
    require_forecastable(one)


def test_closed_jobs_make_no_forecasts() -> None:
    """A closed job keeps its forecasts and makes no more, until it is opened again."""
    job = posted(noise(60))
    made = job.forecast()
    job.close()
    with pytest.raises(StateError, match=r"because job \[job\] is not open"):
        job.forecast()
    assert job.forecasts().equals(made)
    job.open()
    assert job.forecast().num_rows == made.num_rows


def test_forecasts_are_kept_and_deleted() -> None:
    """They are read all together or by id, in the order they were made, and dropped likewise."""
    job = posted(noise(60))
    first, second = job.forecast(), job.forecast("2d")
    ids = [table["forecast_id"][0].as_py() for table in (first, second)]
    assert ids[0] != ids[1]
    assert job.forecasts().equals(pa.concat_tables([first, second]))
    assert job.forecasts(ids[1]).equals(second)
    assert job.forecasts(f"{ids[1]}, {ids[0]}").num_rows == first.num_rows + second.num_rows
    stats = job.forecasts_stats
    assert (stats["total"], stats["forecasted_jobs"], stats["status"]) == (2, 1, {"finished": 2})
    assert stats["records"] == {"min": 72.0, "max": 144.0, "avg": 108.0, "total": 216.0}
    for call in (job.forecasts, job.delete_forecast):
        with pytest.raises(RequestError) as caught:
            call("other")
        assert str(caught.value) == "No forecast(s) [other] exists for job [job]"
    job.delete_forecast(ids[0])
    assert job.forecasts().equals(second)
    job.delete_forecast()
    assert job.forecasts().equals(FORECAST.empty_table())
    job.delete_forecast(allow_no_forecasts=True)
    with pytest.raises(RequestError, match=r"No forecast\(s\) \[_all\] exists"):
        job.delete_forecast("_all", allow_no_forecasts=False)
    assert job.forecasts_stats == {"total": 0, "forecasted_jobs": 0}


def test_forecasts_expire_by_the_wall_clock() -> None:
    """From its expiry on a forecast is gone; one without expiry stays."""
    points = FORECAST.empty_table()
    now = [1000]
    kept = Forecasts("job", lambda: now[0])
    kept.add(engine_forecast.Forecast("a", 1000, 2000, points, 0))
    kept.add(engine_forecast.Forecast("b", 1000, None, points, 0))
    now[0] = 1999
    assert len(kept) == 2
    now[0] = 2000
    assert [one.forecast_id for one in kept.chosen(None)] == ["b"]
    with pytest.raises(RequestError):
        kept.chosen("a")
    now[0] = 10**15
    assert len(kept) == 1


def test_a_reset_forgets_forecasts() -> None:
    """A job that is taken back to where it began has none."""
    job = posted(noise(60))
    job.forecast()
    job.close()
    job.reset()
    assert job.forecasts().num_rows == 0


def test_points_share_what_they_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is the same in all batches is in memory once."""
    monkeypatch.setattr(engine_forecast, "_BATCH_ROWS", 100)
    points = posted(noise(60, 20)).forecast("4d")
    assert points.num_rows == 20 * 96
    assert points.get_total_buffer_size() < 0.5 * points.nbytes
