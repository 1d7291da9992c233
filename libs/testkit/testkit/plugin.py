"""The pytest plugin. Its fixtures register last, so that they go before pytest-grpc's of the same names."""

import os
import re

import pytest
from hypothesis import HealthCheck, settings

from testkit import fixtures

# Every run tries the same examples, for as long as it takes: no test fails by chance. `--hypothesis-profile=default`
# tries others.
settings.register_profile(
    "penstock",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("penstock")

SETTING = re.compile("PENSTOCK_(?!SIMULATION|CRASH)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures after those of every installed plugin, and forget how the person's own stack is set."""
    for name in [name for name in os.environ if SETTING.match(name)]:
        del os.environ[name]
    config.pluginmanager.register(fixtures, "penstock-testkit-fixtures")
