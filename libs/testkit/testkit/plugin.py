"""The pytest plugin. Its fixtures register last, so that they go before pytest-grpc's of the same names."""

import pytest

from testkit import fixtures


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures after those of every installed plugin."""
    config.pluginmanager.register(fixtures, "penstock-testkit-fixtures")
