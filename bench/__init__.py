"""Benchmarks of speed and of quality.

Speed: `python -m bench` measures, `pytest bench --benchmark-only` runs the same cases. A module per
subject; each has ``table(size)``, and gives what it measures as plain functions, which `test_bench`
runs too. `inside` is the only module that reaches behind the engine's facade.

Quality: `nab`, `metrics`, `calibration`, `adapt` and `forecast` are programs of their own (``python -m
bench.nab --nab DIR``), as they need data that is not here; `quality` says what they share, `model.md` what
was measured on the way to the model.
"""
