"""Benchmarks: `python -m bench` measures and writes the README's table, `pytest bench` runs the same cases."""
