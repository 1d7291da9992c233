"""The pytest plugin. Its fixtures register last, so that they go before pytest-grpc's of the same names."""

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


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures after those of every installed plugin."""
    config.pluginmanager.register(fixtures, "penstock-testkit-fixtures")
