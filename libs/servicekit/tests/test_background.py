import asyncio

import pytest
from servicekit.background import completed


@pytest.mark.parametrize("begun", [False, True])
async def test_what_must_end_ends_though_whoever_waits_is_cancelled(begun: bool) -> None:
    done = asyncio.Event()
    go_on = asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        done.set()

    async def wait() -> None:
        await completed(asyncio.create_task(work()))

    waiting = asyncio.create_task(wait())
    for _ in range(3 if begun else 1):
        await asyncio.sleep(0)
    waiting.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done.is_set()
