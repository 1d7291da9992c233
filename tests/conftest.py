"""Fixtures of the tests that cross services."""

from collections.abc import Iterator

import pytest
from stack_fixture import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Stack]:
    """Run one stack for all tests of this run that only use it."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    with running_stack(tmp_path_factory.mktemp("stack"), 2000 + 500 * number) as started:
        yield started
