"""Every kernel gives the same bits as native code, as compiled code and as plain Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tidegate_kernels.admit  # noqa: F401 - declares a kernel
from tidegate_kernels import registry

SCRIPT = """
import json, sys
import numpy as np
import pyarrow as pa
import tidegate
from tidegate import texts
from tidegate.store.checksum import checksum
from tidegate_kernels import registry

texts._LEAST_SWEPT = 0  # no matter how few: all kernels are to run
random = np.random.default_rng(7)
n = 1500
hour = 3_600_000
time = np.sort(random.integers(0, 90 * hour, n)) + 1_700_000_000_000
swap = random.integers(0, n, 60)
time[swap] = time[(swap + 1) % n]
WORDS = ["".join(word) for word in random.choice(list("ghijklmnopqrstu"), (n, 6))]
table = pa.table({
    "at": [str(t // 1000) for t in time],
    "value": random.normal(50.0, 2.0, n) + 40.0 * (np.arange(n) == 1100),
    "host": [f"host-{k}" if k else None for k in random.integers(0, 4, n)],
    "id": [f"id-{k}" for k in range(n)],
    "rare": [f"r-{k % 5 + 10 * (k % 500 == 499)}" for k in range(n)],
    "pos": [f"{48.0 + x:.4f},{11.0 + y:.4f}" for x, y in random.normal(0.0, 0.1, (n, 2))],
    "message": [
        f"{' '.join(random.choice(WORDS, 4))} in {k} ms" if k < 400 else f"user {WORDS[k]} logged in"
        for k in range(n)
    ],
    "dc": pa.array([f"dc-{k}" for k in random.integers(0, 2, n)]).dictionary_encode(),
    "n": [None if k == 0 else int(k) for k in random.integers(0, 5, n)],
})
by = {"by_field_name": "host"}
pair = {**by, "partition_field_name": "dc", "use_null": True}
detectors = [
    {"function": "metric", "field_name": "value", **by},
    {"function": "median", "field_name": "value"},
    {"function": "varp", "field_name": "value"},
    {"function": "distinct_count", "field_name": "id"},
    {"function": "distinct_count", "field_name": "dc"},
    {"function": "info_content", "field_name": "id", **by},
    {"function": "count", **pair},
    {"function": "sum", "field_name": "value", **pair},
    {"function": "rare", "by_field_name": "rare", "partition_field_name": "dc"},
    {"function": "freq_rare", "by_field_name": "rare", "over_field_name": "host"},
    {"function": "metric", "field_name": "value", "by_field_name": "dc", "over_field_name": "host"},
    {"function": "high_count", "over_field_name": "id"},
    {"function": "time_of_day", **by},
    {"function": "lat_long", "field_name": "pos"},
    {"function": "count", "by_field_name": "mlcategory", "partition_field_name": "dc"},
]
job = tidegate.Job({
    "analysis_config": {
        "bucket_span": "1h",
        "latency": "1h",
        "detectors": detectors,
        "influencers": ["dc", "id"],
        "categorization_field_name": "message",
        "per_partition_categorization": {"enabled": True},
    },
    "data_description": {"time_field": "at", "time_format": "epoch"},
}, threads=1)
job.post(table.slice(0, 900))
job.flush(calc_interim=True)
job.post(table.slice(900, 300))
ahead = job.forecast().drop_columns(["forecast_id", "forecast_create_timestamp", "forecast_expiry_timestamp"])
rows = table.slice(1200).to_pylist()
job.post("\\n".join(map(json.dumps, rows)).encode())
dates = [{**row, "at": "2024-01-01T00:00:00Z"} for row in rows]
job.post("\\n".join(map(json.dumps, dates)).encode())  # these are no times of this format
job.flush(advance_time=int(time[-1]) // 1000 + 7200, calc_interim=True)
records = job.records().to_pylist()
buckets = job.buckets().drop_columns(["processing_time_ms"]).to_pylist()
processed = job.data_counts.processed_record_count
condition = {"applies_to": "diff_from_typical", "operator": "lt", "value": 5.0}
rule = {"actions": ["skip_model_update"], "conditions": [condition]}
summed = tidegate.Job({
    "analysis_config": {"bucket_span": "1h", "summary_count_field_name": "n", "detectors": [
        {"function": "mean", "field_name": "value", **by, "custom_rules": [rule]},
        {"function": "sum", "field_name": "value", **pair},
    ]},
    "data_description": {"time_field": "at", "time_format": "epoch"},
}, threads=1)
summed.post(table)
summed.flush(calc_interim=True)
records += summed.records().to_pylist()
buckets += summed.buckets().drop_columns(["processing_time_ms"]).to_pylist()
categories = job.categories().to_pylist()
sums = [checksum(bytes(range(n)), n) for n in (0, 3, 31, 32, 95)]
used = sorted(name for name, kernel in registry.KERNELS.items() if kernel._call is not None)
tables = repr([records, buckets, job.influencers().to_pylist(), ahead.to_pylist(), categories, sums])
print(json.dumps([registry.mode(), used, tables, len(records), processed, sorted(registry.KERNELS)]))
"""


def run(mode: str, level: str = "") -> list:
    """What a job over several functions and keys comes to, with kernels run in one way."""
    environment = {**os.environ, "TIDEGATE_KERNELS": mode, "TIDEGATE_CPU_LEVEL": level}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def compiled() -> list:
    """What the job comes to with kernels that are compiled at run time."""
    return run("jit")


def test_compiled_and_interpreted_kernels_agree(compiled):
    """A job over every kind of stream gives identical results, to the last bit, either way."""
    interpreted = run("python")
    assert (compiled[0], interpreted[0]) == ("jit", "python")
    assert compiled[1] == interpreted[1] == compiled[5]
    assert compiled[3] > 0
    assert compiled[4] > 1000
    assert compiled[2:] == interpreted[2:]


def test_native_kernels_of_every_level_agree(compiled, library):
    """The native library gives the same bits, whichever code of this processor it uses."""
    assert library.levels
    for level in library.levels:
        native = run("native", level)
        assert native[0] == "native"
        assert native[1:] == compiled[1:], level


@pytest.mark.parametrize("text", ["i64(f64[])", "i64(in f64)", "i64(in q8[])", "nothing(i64)"])
def test_wrong_signatures(text):
    """A signature that is not one is refused when the kernel is declared."""
    with pytest.raises(ValueError, match="is not a type"):
        registry.parse_signature(text)


def test_names_are_unique():
    """Two kernels of one name would be one symbol: the second is refused."""

    def admit(x):
        return x

    with pytest.raises(ValueError, match="two kernels are named 'admit'"):
        registry.kernel("i64(i64)")(admit)


def test_unknown_mode(monkeypatch, capsys):
    """An unknown mode is said once and ignored."""
    monkeypatch.delenv("TIDEGATE_KERNELS", raising=False)
    usual = registry.mode()
    monkeypatch.setenv("TIDEGATE_KERNELS", "gpu")
    assert (registry.mode(), registry.mode()) == (usual, usual)
    assert capsys.readouterr().err == "TIDEGATE_KERNELS='gpu' is not one of native, jit, python; ignored\n"


SCORE_ONE = """
import numpy as np
from tidegate_kernels import score
history, out = np.zeros(score.HISTORY_SIZE), [np.zeros(1) for _ in range(3)]
one = np.ones(1, np.int64)
score.score_buckets(one, np.array([-40.0]), np.array([99.9]), np.array([-40.0]), one, 1, 2, 900_000, 1,
                    0, history, history.copy(), np.empty(0), *out)
print(out[2][0])
"""


def test_a_cached_kernel_sees_a_change_of_a_helper_in_another_file(tmp_path):
    """The cache serves what has not changed, and nothing that has, in whatever file it is."""
    package = tmp_path / "kernels" / "tidegate_kernels"
    shutil.copytree(Path(registry.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "TIDEGATE_KERNELS": "jit",
    }

    def scored() -> tuple[float, dict[Path, int]]:
        command = [sys.executable, "-W", "error", "-c", SCORE_ONE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return float(done.stdout), {
            path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.nbc")
        }

    before, _ = scored()
    helper = package / "event.py"
    text = helper.read_text()
    assert text.count("100.0 * square / (ABSOLUTE_HALF") == 1
    helper.write_text(text.replace("100.0 * square / (ABSOLUTE_HALF", "50.0 * square / (ABSOLUTE_HALF"))
    changed, compiled = scored()
    again, served = scored()
    assert (changed, again) == (0.5 * before, changed)
    assert served == compiled
    assert len(compiled) >= 1
