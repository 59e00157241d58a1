"""Benchmarks: `python -m bench` measures, `pytest bench --benchmark-only` runs the same cases."""
