"""Fixtures of the tests that cross services, and what a stack said when one fails."""

from collections.abc import Generator, Iterator

import pytest
from stack_fixture import Stack, running_stack

LAST_LINES = 30


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run one stack for all tests of this run that only use it."""
    with running_stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last lines of the logs beside a failure: nobody who reads it in CI has the files."""
    report = yield
    used = [value for value in item.funcargs.values() if isinstance(value, Stack)] if report.failed else []
    for log in sorted(path for each in used for path in each.run_dir.glob("logs/*.log")):
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        report.sections.append((f"last lines of {log.name}", "\n".join(lines)))
    return report
