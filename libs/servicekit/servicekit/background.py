"""Work that runs beside other work."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from servicekit.logging import get_logger

Result = TypeVar("Result")

log = get_logger(__name__)


@asynccontextmanager
async def background(work: Coroutine[Any, Any, Any], name: str) -> AsyncIterator[None]:
    """Run a coroutine during a block and cancel it at the end; should it fail meanwhile, say so in the log."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def gathered(works: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run coroutines at the same time and give their results; a single one costs no task."""
    return [await works[0]] if len(works) == 1 else await asyncio.gather(*works)


async def completed(task: asyncio.Task[Result]) -> Result:
    """Wait for a task to its end, though whoever waits is cancelled meanwhile: that takes effect after it."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("background_failed", task=task.get_name(), exc_info=task.exception())
