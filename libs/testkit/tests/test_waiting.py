import asyncio

import pytest
from testkit.waiting import until, until_now


async def test_what_comes_to_hold_is_given_whether_it_is_awaited_or_not() -> None:
    found: list[str] = []
    asyncio.get_running_loop().call_later(0.02, found.append, "it")

    async def awaited() -> list[str]:
        return found

    assert await until(awaited) == await until(lambda: found) == until_now(lambda: found) == ["it"]


async def test_what_never_holds_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        await until(lambda: False, seconds_max=0.02)
    with pytest.raises(TimeoutError):
        until_now(lambda: False, seconds_max=0.02)
