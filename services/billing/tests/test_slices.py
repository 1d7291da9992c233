"""Holds of long streams, slice by slice."""

from datetime import timedelta
from typing import Any

import pytest
from penstock.billing.v1 import limit_pb2
from testkit.clock import Clock

TOKENS_A_DAY = {"unit": limit_pb2.LIMIT_UNIT_TOKENS, "window": limit_pb2.LIMIT_WINDOW_DAY}


async def test_a_stream_holds_a_slice_and_gets_the_next_when_it_needs_it(billing: Any, clock: Clock) -> None:
    await billing.create_budget(10**6)
    first = await billing.authorize(prompt_tokens=10, max_tokens=50, n=2)
    assert first.hold.amount_nanos == 10_000 + 2 * 50 * 2_000
    until = clock() + timedelta(seconds=90)
    more = await billing.extend(max_tokens=100, expire_time=until)
    assert (more.max_tokens, more.clamped) == (100, False)
    assert more.hold.amount_nanos == 10_000 + 2 * 100 * 2_000
    assert (await billing.budget()).held_nanos == more.hold.amount_nanos
    assert (await billing.settle(input=10, output=200)).cost_nanos == more.hold.amount_nanos


async def test_the_same_slice_again_widens_nothing(billing: Any, clock: Clock) -> None:
    await billing.create_budget(10**6)
    await billing.authorize(max_tokens=50)
    until = clock() + timedelta(seconds=90)
    first = await billing.extend(max_tokens=100, expire_time=until)
    assert await billing.extend(max_tokens=100, expire_time=until) == first
    fewer = await billing.extend(max_tokens=70, expire_time=until)
    assert (fewer.max_tokens, fewer.clamped) == (100, False)
    assert (await billing.budget()).held_nanos == 200_000


async def test_a_slice_is_clamped_to_the_balance_so_that_the_stream_ends_where_the_money_does(
    billing: Any, clock: Clock
) -> None:
    await billing.create_budget(150_999)
    await billing.authorize(max_tokens=50)
    until = clock() + timedelta(seconds=90)
    last = await billing.extend(max_tokens=100, expire_time=until)
    assert (last.max_tokens, last.clamped, last.hold.amount_nanos) == (75, True, 150_000)
    none = await billing.extend(max_tokens=100, expire_time=until)
    assert (none.max_tokens, none.clamped, none.status.code) == (75, True, 0)
    assert (await billing.budget()).held_nanos == 150_000


async def test_a_slice_takes_of_token_limits_and_all_comes_back(
    billing: Any, clock: Clock, tools: Any
) -> None:
    await billing.create_limit("tpd", 100, **TOKENS_A_DAY)
    await billing.authorize(prompt_tokens=10, max_tokens=20, n=2)
    until = clock() + timedelta(seconds=90)
    more = await billing.extend(max_tokens=1000, expire_time=until)
    assert (more.max_tokens, more.clamped) == (45, True)
    assert tools.reason((await billing.authorize("2", prompt_tokens=1, max_tokens=0)).status)
    await billing.settle(input=10, output=30)
    assert not (await billing.authorize("3", prompt_tokens=60, max_tokens=0)).status.code
    assert (await billing.authorize("4", prompt_tokens=1, max_tokens=0)).status.code


@pytest.mark.parametrize("spent", [0, 60_000])
async def test_slices_of_many_streams_never_pass_a_budget(billing: Any, clock: Clock, spent: int) -> None:
    await billing.create_budget(200_000)
    if spent:
        await billing.settle("before", input=60)
    until = clock() + timedelta(seconds=90)
    for number in range(3):
        await billing.authorize(f"op{number}", max_tokens=10)
    granted = 0
    for _ in range(5):
        for number in range(3):
            result = await billing.extend(f"op{number}", max_tokens=granted + 25, expire_time=until)
            assert result.hold.amount_nanos == result.max_tokens * 2_000
        granted += 25
    assert (await billing.budget()).held_nanos == 200_000 - spent
