import asyncio
import time
from collections.abc import Sequence

import grpc
import grpc.aio
import pytest
from servicekit import context as request_context
from servicekit.coalesce import Coalescer, CoalescerLimits
from servicekit.context import bound, fresh
from servicekit.errors import (
    Aborted,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from servicekit.metrics import Metrics
from testkit.waiting import SECONDS_MAX


class Peer:
    """Answers lists of numbers with their doubles, one list at a time, when let."""

    def __init__(self) -> None:
        self.lists: list[list[int]] = []
        self.in_flight = 0
        self.in_flight_max = 0
        self.contexts: list[request_context.RequestContext] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.results: Sequence[int | ServiceError] | None = None

    async def call(self, items: list[int]) -> Sequence[int | ServiceError]:
        self.lists.append(items)
        self.contexts.append(request_context.current())
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        if self.error is not None:
            raise self.error
        return [2 * item for item in items] if self.results is None else self.results


@pytest.fixture
def peer() -> Peer:
    return Peer()


def coalescer(peer: Peer, **limits: float) -> Coalescer[int, int]:
    return Coalescer(peer.call, name="peer.Call", metrics=Metrics(), limits=CoalescerLimits(**limits))


async def sent(peer: Peer, lists: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while len(peer.lists) < lists:  # noqa: ASYNC110 - polls a fake
            await asyncio.sleep(0)


async def test_a_lone_item_travels_alone_and_at_once(peer: Peer) -> None:
    assert await coalescer(peer).submit(1) == 2
    assert peer.lists == [[1]]


async def test_each_caller_gets_the_result_of_its_own_item(peer: Peer) -> None:
    calls = coalescer(peer)
    results = await asyncio.gather(*(calls.submit(number) for number in range(1000)))
    assert results == [2 * number for number in range(1000)]


async def test_what_arrives_while_a_list_is_in_flight_travels_in_the_next(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.open.clear()
    first = asyncio.create_task(calls.submit(0))
    await sent(peer, 1)
    rest = [asyncio.create_task(calls.submit(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    peer.open.set()
    await asyncio.gather(first, *rest)
    assert peer.lists == [[0], [1, 2, 3]]


async def test_at_most_two_lists_are_in_flight_and_none_is_longer_than_the_limit(peer: Peer) -> None:
    calls = coalescer(peer, items_max=8)
    await asyncio.gather(*(calls.submit(number) for number in range(100)))
    assert peer.in_flight_max == 2
    assert max(map(len, peer.lists)) == 8


async def test_a_second_list_goes_while_one_is_in_flight_once_enough_items_wait(peer: Peer) -> None:
    calls = coalescer(peer, second_list_items_min=3)
    peer.open.clear()
    waiting = [asyncio.create_task(calls.submit(0))]
    await sent(peer, 1)
    waiting += [asyncio.create_task(calls.submit(number)) for number in (1, 2)]
    await asyncio.sleep(0.01)
    assert peer.lists == [[0]]
    waiting.append(asyncio.create_task(calls.submit(3)))
    await sent(peer, 2)
    peer.open.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4, 6]
    assert peer.lists == [[0], [1, 2, 3]]


async def test_items_per_list_are_counted(peer: Peer) -> None:
    metrics = Metrics()
    calls = Coalescer(peer.call, name="peer.Call", metrics=metrics)
    await asyncio.gather(*(calls.submit(number) for number in range(10)))
    assert metrics.registry.get_sample_value("penstock_coalescer_items_sum", {"name": "peer.Call"}) == 10


async def test_one_failed_item_fails_its_own_caller_only(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.results = [1, NotFound("RESOURCE_NOT_FOUND", "no"), 3]
    first, second, third = await asyncio.gather(*map(calls.submit, range(3)), return_exceptions=True)
    assert (first, third) == (1, 3)
    assert isinstance(second, NotFound)


async def test_a_failed_call_fails_everybody_with_an_error_of_their_own(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.error = Aborted("REQUEST_IN_PROGRESS", "later")
    first, second = await asyncio.gather(calls.submit(1), calls.submit(2), return_exceptions=True)
    assert isinstance(first, Aborted)
    assert isinstance(second, Aborted)
    assert first is not second


async def test_a_failed_call_keeps_the_peers_reason(peer: Peer) -> None:
    status = NotFound("PRICE_UNKNOWN", "no price").to_status()
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    peer.error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailing)
    with pytest.raises(NotFound) as caught:
        await coalescer(peer).submit(1)
    assert caught.value.reason == "PRICE_UNKNOWN"


async def test_after_a_failed_call_the_next_one_works(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.error = Unavailable("DEPENDENCY_UNAVAILABLE", "down")
    with pytest.raises(Unavailable):
        await calls.submit(1)
    peer.error = None
    assert await calls.submit(2) == 4


async def test_a_bug_in_the_call_is_internal_and_does_not_stop_the_coalescer(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.error = ValueError("the secret is 42")
    with pytest.raises(Internal, match="request id"):
        await calls.submit(1)
    peer.error = None
    assert await calls.submit(2) == 4


async def test_a_call_that_answers_too_few_items_is_a_bug(peer: Peer) -> None:
    peer.results = []
    with pytest.raises(Internal):
        await coalescer(peer).submit(1)


async def test_an_item_given_up_while_it_waits_is_not_sent(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.open.clear()
    first = asyncio.create_task(calls.submit(0))
    await sent(peer, 1)
    second, third = asyncio.create_task(calls.submit(1)), asyncio.create_task(calls.submit(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    peer.open.set()
    await asyncio.gather(first, third)
    assert peer.lists == [[0], [2]]


async def test_a_caller_that_gives_up_does_not_disturb_the_others_of_its_list(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.open.clear()
    tasks = [asyncio.create_task(calls.submit(number)) for number in range(3)]
    await sent(peer, 1)
    tasks[1].cancel()
    peer.open.set()
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, third) == (0, 4)
    assert isinstance(second, asyncio.CancelledError)


async def test_expired_work_is_never_queued(peer: Peer) -> None:
    with pytest.raises(DeadlineExceeded):
        await coalescer(peer).submit(1, deadline=time.monotonic() - 1)
    assert peer.lists == []


async def test_an_item_that_expires_while_it_waits_fails_in_time_and_is_not_sent(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.open.clear()
    first = asyncio.create_task(calls.submit(0))
    await sent(peer, 1)
    with pytest.raises(DeadlineExceeded):
        await calls.submit(1, deadline=time.monotonic() + 0.02)
    peer.open.set()
    assert await first == 0
    assert await calls.submit(2) == 4
    assert peer.lists == [[0], [2]]


async def test_a_deadline_ends_the_wait_while_others_of_the_list_wait_on(peer: Peer) -> None:
    calls = coalescer(peer)
    peer.open.clear()
    patient = asyncio.create_task(calls.submit(1, deadline=time.monotonic() + 60))
    with pytest.raises(DeadlineExceeded):
        await calls.submit(2, deadline=time.monotonic() + 0.02)
    assert not patient.done()
    peer.open.set()
    assert await patient == 2


async def test_the_deadline_of_the_request_is_that_of_its_item(peer: Peer) -> None:
    peer.open.clear()
    with bound(fresh(time.monotonic() + 0.02)), pytest.raises(DeadlineExceeded):
        await coalescer(peer).submit(1)


async def test_the_call_knows_the_latest_deadline_of_its_items(peer: Peer) -> None:
    calls = coalescer(peer)
    now = time.monotonic()
    await asyncio.gather(calls.submit(1, deadline=now + 5), calls.submit(2, deadline=now + 9))
    assert peer.contexts[0].deadline == now + 9


async def test_a_hung_peer_stops_neither_the_coalescer_nor_its_callers_who_are_told_that_it_hangs(
    peer: Peer,
) -> None:
    calls = coalescer(peer, call_seconds_max=0.02)
    peer.open.clear()
    with pytest.raises(Unavailable) as error:
        await calls.submit(1)
    assert error.value.reason == "DEPENDENCY_UNAVAILABLE"
    peer.open.set()
    assert await calls.submit(2) == 4


async def test_a_full_queue_refuses_and_says_when_to_retry(peer: Peer) -> None:
    calls = coalescer(peer, pending_max=2)
    peer.open.clear()
    tasks = [asyncio.create_task(calls.submit(0))]
    await sent(peer, 1)
    tasks += [asyncio.create_task(calls.submit(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted) as caught:
        await calls.submit(3)
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_after is not None
    peer.open.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4]


async def test_whoever_gives_up_frees_a_place_in_the_queue(peer: Peer) -> None:
    calls = coalescer(peer, pending_max=1)
    peer.open.clear()
    first = asyncio.create_task(calls.submit(0))
    await sent(peer, 1)
    second = asyncio.create_task(calls.submit(1))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    third = asyncio.create_task(calls.submit(2))
    await asyncio.sleep(0)
    peer.open.set()
    assert await asyncio.gather(first, third) == [0, 4]


async def test_closing_answers_what_was_taken_and_refuses_what_comes(peer: Peer) -> None:
    calls = coalescer(peer)
    task = asyncio.create_task(calls.submit(1))
    await asyncio.sleep(0)
    await calls.close()
    assert await task == 2
    with pytest.raises(Unavailable) as caught:
        await calls.submit(2)
    assert caught.value.reason == "DRAINING"


async def test_closing_with_a_hung_peer_leaves_nobody_waiting(peer: Peer) -> None:
    calls = coalescer(peer, items_max=1, call_seconds_max=0.05)
    peer.open.clear()
    tasks = [asyncio.create_task(calls.submit(number)) for number in range(5)]
    await sent(peer, 1)
    async with asyncio.timeout(SECONDS_MAX):
        await calls.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, ServiceError) for outcome in outcomes)


async def test_a_lone_items_call_carries_the_id_of_its_request(peer: Peer) -> None:
    context = fresh()
    with bound(context):
        await coalescer(peer).submit(1)
    assert peer.contexts[0].request_id == context.request_id


async def test_one_invalid_item_does_not_fail_the_list_it_travels_in() -> None:
    """A peer validates a list whole; a tenant's bad item must not be another's error."""

    async def call(items: list[int]) -> list[int]:
        if 13 in items:
            raise InvalidArgument("INVALID_ARGUMENT", "13 is not allowed")
        return [item * 2 for item in items]

    coalescer = Coalescer(call, name="strict", metrics=Metrics())
    numbers = [1, 2, 13, 3]
    results = await asyncio.gather(*(coalescer.submit(n) for n in numbers), return_exceptions=True)
    assert results[:2] + results[3:] == [2, 4, 6]
    assert isinstance(results[2], InvalidArgument)


async def test_large_items_do_not_outgrow_a_message_together() -> None:
    lists: list[list[int]] = []

    async def call(items: list[int]) -> list[int]:
        lists.append(items)
        return items

    limits = CoalescerLimits(bytes_max=10)
    coalescer = Coalescer(call, name="large", metrics=Metrics(), limits=limits, size=lambda item: item)
    await asyncio.gather(*(coalescer.submit(n) for n in (1, 6, 5, 4, 30, 2)))
    assert lists == [[1, 6], [5, 4], [30], [2]]
