"""Equal questions at the same time generate once, through the real server, and across replicas through a real Redis."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
import pytest_asyncio
from penstock.cache.v1 import cache_entry_pb2
from penstock.cache.v1 import cache_service_pb2 as wire
from penstock.cache.v1.cache_service_pb2_grpc import CacheServiceStub
from penstock_cache.flights import FlightName, Flights
from penstock_cache.server import build
from penstock_cache.settings import CacheSettings
from servicekit.channel import connect
from servicekit.errors import from_rpc_error
from servicekit.server import running

LEASE = 5.0


@pytest.fixture
def grpc_stub_cls():
    return CacheServiceStub


@pytest.fixture
def cache_settings(tmp_path):
    return CacheSettings(
        grpc_port=0, http_port=0, data_dir=tmp_path, flight_lease_seconds=LEASE, redis_seconds_max=10
    )


@pytest_asyncio.fixture
async def grpc_service(cache_settings, clock):
    async with build(cache_settings, clock=lambda: clock.seconds) as service:
        yield service


def ask(flight_id, conversation=b"c", organization="acme"):
    return fill(wire.LookupItem(flight_id=flight_id), conversation, organization)


def answer(flight_id, body=b"Paris", **more):
    item = fill(wire.StoreItem(flight_id=flight_id, **more), b"c", "acme")
    item.answer.body = body
    return item


def fill(item, conversation, organization):
    item.conversation_digest = conversation * 32
    item.context.request_id = "r"
    item.context.organization = item.partition.organization = organization
    item.partition.scope = cache_entry_pb2.SHARING_SCOPE_ORGANIZATION
    item.partition.operation, item.partition.model = "chat", "m"
    item.partition.conditions_digest = item.partition.instructions_digest = b"1" * 32
    return item


def reference(flight_id):
    item = wire.FlightReference(flight_id=flight_id)
    item.context.request_id, item.context.organization = "r", "acme"
    return item


async def leader_of(stub, item):
    [result] = (await stub.Lookup(wire.LookupRequest(items=[item]))).results
    assert not result.HasField("hit")
    return result.flight.leader_flight_id


async def wait(stub, flight_id):
    return (await stub.AwaitFlight(wire.AwaitFlightRequest(item=ask(flight_id)))).result


async def waiting(stub, flight_id):
    """Start to wait, and let the call arrive: a lookup that is sent after it is answered after it began."""
    task = asyncio.create_task(wait(stub, flight_id))
    await asyncio.sleep(0)
    await stub.Lookup(wire.LookupRequest(items=[ask("")]))
    return task


async def store(stub, item):
    [result] = (await stub.Store(wire.StoreRequest(items=[item]))).results
    return result


async def test_the_first_of_equal_questions_leads_and_the_others_learn_whom_they_follow(grpc_stub):
    assert [await leader_of(grpc_stub, ask(each)) for each in ("a", "b", "c", "a")] == ["a"] * 4
    assert await leader_of(grpc_stub, ask("d", b"x")) == "d"
    assert await leader_of(grpc_stub, ask("e", organization="beta")) == "e"


async def test_one_list_of_equal_questions_has_one_leader(grpc_stub):
    request = wire.LookupRequest(items=[ask("a"), ask("b"), ask("")])
    results = (await grpc_stub.Lookup(request)).results
    assert [result.flight.leader_flight_id for result in results] == ["a", "a", ""]


async def test_followers_are_given_the_answer_when_the_leader_keeps_it(grpc_stub):
    await leader_of(grpc_stub, ask("a"))
    followers = [await waiting(grpc_stub, each) for each in ("b", "c")]
    await store(grpc_stub, answer("a"))
    assert [(await each).hit.answer.body for each in followers] == [b"Paris"] * 2


async def test_who_comes_to_wait_when_all_is_over_is_given_the_answer_too(grpc_stub):
    await leader_of(grpc_stub, ask("a"))
    await store(grpc_stub, answer("a"))
    assert (await wait(grpc_stub, "b")).hit.answer.body == b"Paris"


async def test_when_the_leader_gives_up_one_follower_leads_and_the_next_waits_for_it(grpc_stub):
    await leader_of(grpc_stub, ask("a"))
    followers = {each: await waiting(grpc_stub, each) for each in ("b", "c")}
    await grpc_stub.EndFlights(wire.EndFlightsRequest(items=[reference("a")]))
    done, [pending] = await asyncio.wait(followers.values(), return_when=asyncio.FIRST_COMPLETED)
    [result] = [await each for each in done]
    leader = result.flight.leader_flight_id
    assert followers[leader] in done
    await store(grpc_stub, answer(leader))
    assert (await pending).hit.answer.body == b"Paris"


async def test_followers_of_a_long_generation_wait_for_as_long_as_its_leader_lives(grpc_stub, clock):
    await leader_of(grpc_stub, ask("a"))
    follower = await waiting(grpc_stub, "b")
    for _ in range(100):
        clock.advance(seconds=LEASE - 1)
        renewed = await grpc_stub.RenewFlights(wire.RenewFlightsRequest(items=[reference("a")]))
        assert list(renewed.leads) == [True]
    await store(grpc_stub, answer("a"))
    assert (await follower).hit.answer.body == b"Paris"


async def test_an_answer_that_policy_keeps_out_ends_its_flight_and_the_next_leads(grpc_stub):
    await leader_of(grpc_stub, ask("a"))
    follower = await waiting(grpc_stub, "b")
    result = await store(grpc_stub, answer("a", outcome=wire.ANSWER_OUTCOME_TRUNCATED))
    assert (result.entry_id, result.refusal) == ("", wire.STORE_REFUSAL_OUTCOME)
    assert (await follower).flight.leader_flight_id == "b"


async def test_a_leader_that_died_is_followed_by_the_next_when_its_lease_ends(grpc_stub, clock):
    await leader_of(grpc_stub, ask("a"))
    clock.advance(seconds=LEASE - 1)
    assert await leader_of(grpc_stub, ask("b")) == "a"
    clock.advance(seconds=1)
    assert (await wait(grpc_stub, "b")).flight.leader_flight_id == "b"


async def test_a_leader_that_renews_leads_on_and_one_that_lost_its_lease_learns_it(grpc_stub, clock):
    await leader_of(grpc_stub, ask("a"))
    for _ in range(3):
        clock.advance(seconds=LEASE - 1)
        renewed = await grpc_stub.RenewFlights(
            wire.RenewFlightsRequest(items=[reference("a"), reference("x")])
        )
        assert list(renewed.leads) == [True, False]
    clock.advance(seconds=LEASE)
    assert await leader_of(grpc_stub, ask("b")) == "b"
    renewed = await grpc_stub.RenewFlights(wire.RenewFlightsRequest(items=[reference("a")]))
    assert list(renewed.leads) == [False]


async def test_another_organization_can_neither_end_nor_renew_a_flight(grpc_stub):
    await leader_of(grpc_stub, ask("a"))
    foreign = reference("a")
    foreign.context.organization = "beta"
    await grpc_stub.EndFlights(wire.EndFlightsRequest(items=[foreign]))
    renewed = await grpc_stub.RenewFlights(wire.RenewFlightsRequest(items=[foreign]))
    assert list(renewed.leads) == [False]
    assert await leader_of(grpc_stub, ask("b")) == "a"


async def test_a_wait_is_bounded_by_its_deadline(grpc_stub, clock):
    late = ask("b")
    late.context.deadline_time.FromDatetime(clock())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await grpc_stub.AwaitFlight(wire.AwaitFlightRequest(item=late))
    assert from_rpc_error(refused.value).reason == "DEADLINE_EXCEEDED"


async def test_an_answer_nobody_may_keep_is_refused_by_the_server(grpc_stub):
    restricted = answer("", classification=4)
    result = await store(grpc_stub, restricted)
    assert result.refusal == wire.STORE_REFUSAL_CLASSIFICATION
    assert await leader_of(grpc_stub, ask("a")) == "a"


def shared(settings, redis_server):
    """Share flights, for leases that a slow machine does not outlast: Redis counts them by its own clock."""
    return settings.model_copy(update={"redis_url": redis_server.url, "flight_lease_seconds": 60.0})


@asynccontextmanager
async def replica(settings):
    async with build(settings) as service, running(service) as server, connect(server.address) as channel:
        yield CacheServiceStub(channel)


async def test_across_replicas_one_leads_and_the_answer_reaches_those_who_wait_elsewhere(
    cache_settings, redis_server
):
    settings = shared(cache_settings, redis_server)
    async with replica(settings) as one, replica(settings) as other:
        assert await leader_of(one, ask("a")) == "a"
        assert await leader_of(other, ask("b")) == "a"
        follower = await waiting(other, "b")
        await store(one, answer("a"))
        assert (await follower).hit.answer.body == b"Paris"


async def test_across_replicas_the_next_leads_when_the_leader_gives_up(cache_settings, redis_server):
    settings = shared(cache_settings, redis_server)
    async with replica(settings) as one, replica(settings) as other:
        await leader_of(one, ask("a"))
        follower = await waiting(other, "b")
        renewed = await one.RenewFlights(wire.RenewFlightsRequest(items=[reference("a")]))
        assert list(renewed.leads) == [True]
        await one.EndFlights(wire.EndFlightsRequest(items=[reference("a")]))
        assert (await follower).flight.leader_flight_id == "b"
        assert await leader_of(one, ask("c")) == "b"


def test_flights_that_are_over_leave_nothing_behind():
    flights = Flights(LEASE)
    for number in range(100):
        flights.join(bytes([number]), FlightName("acme", str(number)), now=0.0)
    assert flights.expire(LEASE - 1) == 0
    assert (flights.expire(LEASE), len(flights)) == (100, 0)
    assert not flights._by_name
