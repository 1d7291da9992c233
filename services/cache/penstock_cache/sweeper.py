"""Drop what is past its time, a little at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

# About a millisecond of work, so that no request waits longer than that for a sweep.
ENTRIES_MAX = 256


class Expiring(Protocol):
    """What is swept."""

    def expire(self, now: float, entries_max: int) -> int:
        """Drop what is past its time, so much at most; give how much."""


async def sweep(memory: Expiring, clock: Callable[[], float]) -> None:
    """Drop everything that is past its time now, and let requests in between."""
    now = clock()
    swept = ENTRIES_MAX
    while swept == ENTRIES_MAX:
        swept = memory.expire(now, ENTRIES_MAX)
        await asyncio.sleep(0)


@asynccontextmanager
async def sweeping(
    memory: Expiring, clock: Callable[[], float], interval_seconds: float
) -> AsyncIterator[None]:
    """Sweep again and again while the block runs; a failing sweep ends the block rather than go unseen."""

    async def run() -> None:
        while True:
            await asyncio.sleep(interval_seconds)
            await sweep(memory, clock)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        yield
        task.cancel()
