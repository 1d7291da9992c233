"""Equal questions at the same time are generated once, and a leader that goes hands over."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import grpc.aio
import pytest
from penstock.billing.v1 import hold_pb2
from penstock.router.v1 import receipt_pb2
from penstock_router.flights import Flight
from router_world import AUTHORIZED, Stream, World, ask, parameters, stream, text_of
from testkit.waiting import SECONDS_MAX, until

PAUSE_SECONDS = 0.1


async def led(world: World) -> asyncio.Task[Any]:
    """Begin a generation, and let it wait after its first word."""
    world.inference.pause_seconds = PAUSE_SECONDS
    world.inference.hang_after = 1
    leading = asyncio.create_task(ask(world))
    await world.inference.hung.wait()
    return leading


async def until_asked(world: World, times: int) -> None:
    await until(lambda: len(world.cache.looked_up) >= times)


async def test_equal_questions_generate_once_whole_and_streamed(world: World) -> None:
    leading = await led(world)
    following = [asyncio.create_task(each(world)) for each in (ask, stream)]
    await until_asked(world, 3)
    world.inference.go_on.set()
    whole, chunks, led_by = await asyncio.gather(*following, leading)
    text = led_by.choices[0].message.text
    assert whole.choices[0].message.text == text_of(chunks) == text
    assert len([chunk for chunk in chunks if chunk.choices]) > 2  # as it came, not at the end
    assert len(world.inference.prompts) == 1
    assert led_by.receipt.cost_nanos > 0
    for receipt in (whole.receipt, chunks[-1].receipt):
        assert receipt.cache == receipt_pb2.CACHE_STATUS_EXACT_HIT
        assert (receipt.cost_nanos, receipt.avoided_cost_nanos) == (0, led_by.receipt.cost_nanos)


async def test_each_follower_is_in_the_ledger_as_answered_from_memory(world: World) -> None:
    leading = await led(world)
    following = asyncio.create_task(ask(world))
    await until_asked(world, 2)
    world.inference.go_on.set()
    await asyncio.gather(following, leading)
    await until(lambda: len(world.billing.settled) >= 2)
    outcomes = sorted(attempt.outcome for item in world.billing.settled.values() for attempt in item.attempts)
    assert outcomes == [hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED, hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT]


async def test_who_asks_before_the_leader_generates_gets_the_answer_as_it_comes(world: World) -> None:
    world.inference.pause_seconds = PAUSE_SECONDS
    world.billing.held.clear()  # the leader is between its look-up and its generation
    leading = asyncio.create_task(ask(world))
    await until_asked(world, 1)
    following = asyncio.create_task(stream(world))
    await until_asked(world, 2)
    world.billing.held.set()
    chunks, whole = await asyncio.gather(following, leading)
    assert text_of(chunks) == whole.choices[0].message.text
    assert len([chunk for chunk in chunks if chunk.choices]) > 2
    assert len(world.inference.prompts) == 1


async def test_other_questions_do_not_share(world: World) -> None:
    world.inference.pause_seconds = PAUSE_SECONDS
    await asyncio.gather(ask(world), ask(world, text="And of Italy?"), ask(world, temperature=0.5))
    assert len(world.inference.prompts) == 3


async def test_who_follows_a_leader_that_hangs_up_before_it_generates_leads_next(world: World) -> None:
    world.billing.held.clear()
    leading = world.chat.StreamChatCompletion(Stream(parameters=parameters()), metadata=AUTHORIZED)
    await until_asked(world, 1)
    following = asyncio.create_task(ask(world))
    await until_asked(world, 2)
    leading.cancel()
    await until_asked(world, 3)
    world.billing.held.set()
    completion = await following
    assert completion.receipt.cost_nanos > 0
    assert len(world.inference.prompts) == 1


async def both_reading(world: World) -> tuple[Any, Any]:
    """Give a leader and a follower in the middle of the same answer, which goes on when it is told to."""
    world.inference.hang_after = 2
    leading = world.chat.StreamChatCompletion(Stream(parameters=parameters()), metadata=AUTHORIZED)
    await leading.read()
    following = world.chat.StreamChatCompletion(Stream(parameters=parameters()), metadata=AUTHORIZED)
    await following.read()
    return leading, following


async def test_who_follows_a_leader_that_hangs_up_in_the_middle_gets_the_whole_answer(world: World) -> None:
    leading, following = await both_reading(world)
    leading.cancel()
    world.inference.go_on.set()
    chunks = await drained(following)
    assert chunks[-1].receipt.cache == receipt_pb2.CACHE_STATUS_EXACT_HIT
    assert len(world.inference.prompts) == 1
    async with asyncio.timeout(5):
        while len(world.billing.settled) < 2:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.01)
    used = [attempt for item in world.billing.settled.values() for attempt in item.attempts]
    assert sum(attempt.tokens.output for attempt in used) == len(world.inference.words)  # once, by who led


async def test_a_generation_that_nobody_reads_any_more_is_stopped(world: World) -> None:
    leading, following = await both_reading(world)
    leading.cancel()
    following.cancel()
    await asyncio.wait_for(world.inference.cancelled.wait(), 5)
    async with asyncio.timeout(5):
        while not world.billing.settled:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.01)
    (attempt,) = next(iter(world.billing.settled.values())).attempts
    assert attempt.tokens.output == 2


async def test_nobody_begins_to_follow_a_generation_that_is_being_stopped() -> None:
    ending = asyncio.Event()

    async def events() -> AsyncGenerator[Any]:
        try:
            yield "an event"
            await asyncio.Event().wait()
        finally:
            await ending.wait()

    flight: Any = Flight(cast("Any", None))
    generating = flight.begin(events())
    with flight.reader():
        assert await anext(flight.events()) == "an event"
        assert not flight.lost
    assert flight.lost
    ending.set()
    await asyncio.wait([generating])
    assert flight.lost


async def test_a_stream_whose_generation_fails_in_the_middle_never_ends_clean_for_anybody(
    world: World,
) -> None:
    world.inference.fail_after = 3
    calls = await both_reading(world)
    world.inference.go_on.set()
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await drained(call)
        assert "broke off" in str(caught.value.details())


async def drained(call: Any) -> list[Any]:
    chunks = []
    while (chunk := await call.read()) is not grpc.aio.EOF:
        chunks.append(chunk.chunk)
    return chunks


async def test_a_leader_in_another_replica_is_waited_for(world: World) -> None:
    first = await ask(world)
    await asyncio.wait_for(world.cache.stored.wait(), SECONDS_MAX)
    key, entry = next(iter(world.cache.entries.items()))
    world.cache.entries.clear()
    world.cache.flights[key] = "an operation of another replica"
    following = asyncio.create_task(ask(world))
    await until_asked(world, 3)
    world.cache.entries[key] = entry
    completion = await following
    assert completion.choices[0].message.text == first.choices[0].message.text
    assert completion.receipt.cache == receipt_pb2.CACHE_STATUS_EXACT_HIT
    assert len(world.inference.prompts) == 1


async def test_what_is_not_to_be_kept_is_not_shared(world: World) -> None:
    world.inference.pause_seconds = PAUSE_SECONDS
    control = {"no_store": True}
    await asyncio.gather(ask(world, cache_control=control), ask(world, cache_control=control))
    assert len(world.inference.prompts) == 2
    assert world.cache.flights == {}
