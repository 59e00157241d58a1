"""Ctrl-C is heard between two passes: nothing is lost and the job goes on."""

from __future__ import annotations

import os
import signal
import threading
from unittest import mock

import numpy as np
import pytest

import tidegate
from tidegate.engine import Engine

HOUR = 3_600_000
START = 1_700_006_400_000
ROWS = 3000


def job() -> tidegate.Job:
    """A job that watches two detectors."""
    detectors = [{"function": "count"}, {"function": "mean", "field_name": "value", "by_field_name": "host"}]
    return tidegate.Job(
        {
            "analysis_config": {"bucket_span": "1h", "detectors": detectors},
            "data_description": {"time_field": "time"},
        },
        threads=1,
    )


def records() -> dict[str, list]:
    """Ten records an hour, and one anomaly."""
    values = [50.0 + k % 7 for k in range(ROWS)]
    values[2000] = 900.0
    time = (np.arange(ROWS) * (HOUR // 10) + START).tolist()
    return {"time": time, "value": values, "host": ["a" if k % 3 else "b" for k in range(ROWS)]}


def results(target: tidegate.Job) -> tuple:
    """Final buckets and records."""
    return target.buckets().drop_columns(["processing_time_ms"]).to_pylist(), target.records().to_pylist()


@pytest.mark.parametrize("in_pass", [0, 3, 40])
@pytest.mark.parametrize("verb", ["post", "flush", "advance", "close"])
def test_an_interrupted_call_loses_nothing(verb, in_pass):
    """An interrupt in any pass of any verb leaves an open job that goes on to the same results."""
    end = START + 400 * HOUR
    whole, cut = job(), job()
    whole.post(records())
    whole.flush(advance_time=end)
    close, passes = Engine._close, [0]

    def closing(self: Engine, time: int) -> None:
        if passes[0] == in_pass:
            os.kill(os.getpid(), signal.SIGINT)
        passes[0] += 1
        close(self, time)

    small = mock.patch("tidegate.passes.PASS_ROWS", 50), mock.patch.object(Engine, "_pass_buckets", 2)
    buffer = mock.patch("tidegate.job._BUFFER_ROWS", 100 if verb == "post" else 10**9)
    with small[0], small[1], buffer, mock.patch.object(Engine, "_close", closing):
        if verb == "post":
            with pytest.raises(KeyboardInterrupt):
                cut.post(records())
        else:
            cut.post(records())
            if verb == "advance":
                passes[0] = -(10**9)
                cut.flush()
                passes[0] = 0
            call = {"flush": cut.flush, "close": cut.close}.get(verb, lambda: cut.flush(advance_time=end))
            with pytest.raises(KeyboardInterrupt):
                call()
    assert cut.state == "opened"
    assert cut.data_counts.processed_record_count == ROWS
    cut.flush(advance_time=end)
    assert results(cut) == results(whole)


def test_other_threads_are_not_disturbed():
    """A job that is used from another thread leaves signals alone."""
    done: list[int] = []

    def work() -> None:
        target = job()
        done.append(target.post(records()).processed_record_count)
        target.flush()

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [ROWS]
    assert signal.getsignal(signal.SIGINT) is before


def test_calls_within_a_call_are_refused():
    """A generator that calls its own job back gets an error, and the counts stay right."""
    target = job()
    refused = []

    def generator():
        for k in range(30):
            yield {"time": START + k * HOUR, "value": 1.0, "host": "a"}
        for call in (target.flush, target.close, lambda: target.post([{"time": START}])):
            with pytest.raises(tidegate.StateError, match="in the middle of another call"):
                call()
            refused.append(call)

    assert target.post(generator()).input_record_count == 30
    assert len(refused) == 3
    assert target.data_counts.input_record_count == 30
    assert target.state == "opened"


def test_a_failing_engine_marks_the_job():
    """An error inside the engine fails the job: it takes nothing more, and its results stay readable."""
    target = job()
    target.post(records())
    with (
        mock.patch.object(Engine, "_gather", side_effect=RuntimeError("broken")),
        pytest.raises(RuntimeError),
    ):
        target.flush()
    assert target.state == "failed"
    with pytest.raises(tidegate.StateError, match=r"Cannot flush because job \[job\] failed"):
        target.flush()
    assert target.buckets().num_rows == 0
