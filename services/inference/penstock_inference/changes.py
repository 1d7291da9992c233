"""Changes that are made one after another, each to its end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Changes:
    """Make one change at a time. One that has begun is not broken off: a thread that loads a model cannot be."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._change: asyncio.Task[Any] | None = None  # the loop alone would forget it

    async def make(self, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Make a change when it is its turn; who hangs up before has asked for nothing."""
        await self._turn.acquire()
        task = asyncio.create_task(change())
        task.add_done_callback(lambda _: self._turn.release())
        self._change = task
        return await asyncio.shield(task)

    async def end(self) -> None:
        """Wait for the change that is being made, and make none after it."""
        await self._turn.acquire()
