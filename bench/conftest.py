"""Lets ``--benchmark-only`` win over the ``--benchmark-disable`` that the tests are run with."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Measures when asked to; pytest-benchmark takes both options together for an error."""
    if config.getoption("benchmark_only"):
        config.option.benchmark_disable = False
