"""Hypothesis profiles, and the native library.

Hypothesis is quick and repeatable by default; TIDEGATE_FUZZ=thorough makes a long random search.
The whole suite runs over the kernels that TIDEGATE_KERNELS asks for, or the best there are.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tidegate_kernels import NativeError, native, registry

settings.register_profile(
    "dev", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "thorough",
    max_examples=1000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("thorough" if os.environ.get("TIDEGATE_FUZZ") == "thorough" else "dev")


def pytest_report_header() -> str:
    """Says which kernels are tested."""
    mode, reason = registry.choice()
    return f"kernels: {mode} ({reason})"


@pytest.fixture(scope="session")
def library() -> native.Library:
    """The native library. .ci/run makes sure that there is one, so that nothing is skipped there."""
    try:
        return native.library()
    except NativeError as error:
        pytest.skip(str(error))
