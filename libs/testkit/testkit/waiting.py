"""Waiting for what another task, thread or process does: as long as a slow and busy machine may need, and no longer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

SECONDS_MAX = 60.0
POLL_SECONDS = 0.01

Value = TypeVar("Value")


async def until(condition: Callable[[], Awaitable[Value] | Value], seconds_max: float = SECONDS_MAX) -> Value:
    """Wait until a condition holds and give what it says; it may be awaitable. Raises TimeoutError."""
    async with asyncio.timeout(seconds_max):
        while not (found := await _value(condition)):  # noqa: ASYNC110 - who would set an event?
            await asyncio.sleep(POLL_SECONDS)
    return found


def until_now(condition: Callable[[], Value], seconds_max: float = SECONDS_MAX) -> Value:
    """Wait likewise where there is no event loop. Raises TimeoutError."""
    deadline = time.monotonic() + seconds_max
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"it does not hold after {seconds_max} s")
        time.sleep(POLL_SECONDS)
    return found


async def _value(condition: Callable[[], Awaitable[Value] | Value]) -> Value:
    found = condition()
    return await found if isawaitable(found) else found
