"""Fixtures of the tests that cross services."""

from collections.abc import Iterator

import pytest
from stack_fixture import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run one stack for all tests of this run that only use it."""
    with running_stack(tmp_path_factory.mktemp("stack")) as started:
        yield started
