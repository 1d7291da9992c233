"""A batch loop over an engine written by hand, in milliseconds."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_inference.journal import Journal

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

    def start(engine: FakeEngine | None = None, waiting_max: int = 64) -> Loop:
        loops.append(Loop(engine or FakeEngine(), journal, waiting_max))
        return loops[-1]

    yield start
    for loop in loops:
        await asyncio.to_thread(loop.close)
