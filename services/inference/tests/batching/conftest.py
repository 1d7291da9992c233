"""A batch loop over an engine written by hand, in milliseconds."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_inference.journal import Journal
from penstock_inference.scheduler import Scheduler

sys.path.insert(0, str(Path(__file__).parent))

from batching_fakes import FakeEngine, Loop


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", bytes_max=1 << 20)
    yield journal
    journal.close()


@pytest.fixture
async def batch_loop(journal: Journal):
    """Start a batch loop over an engine; it is closed at the end."""
    loops: list[Loop] = []

    def start(engine: FakeEngine | None = None, scheduler: Scheduler | None = None) -> Loop:
        engine = engine or FakeEngine()
        loops.append(Loop(engine, journal, scheduler or Scheduler(engine.limits, waiting_max=64)))
        return loops[-1]

    yield start
    for loop in loops:
        await asyncio.to_thread(loop.close)
