"""Benchmarks: `python -m bench` measures, `pytest bench --benchmark-only` runs the same cases.

A module per subject; each has ``table(size)``, and gives what it measures as plain functions,
which `test_bench` runs too. `inside` is the only module that reaches behind the engine's facade.
"""
