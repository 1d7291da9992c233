import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf.wrappers_pb2 import StringValue
from servicekit.channel import connect
from servicekit.errors import from_rpc_error
from servicekit.server import Running, Service, running
from servicekit.session import REQUEST_BYTES_MAX
from servicekit.session.channel import SessionChannel
from testkit.process import free_port
from testkit.waiting import SECONDS_MAX

IN_TIME = {"timeout": SECONDS_MAX}


@pytest_asyncio.fixture
async def session_channel(grpc_server: Running) -> AsyncIterator[SessionChannel]:
    async with SessionChannel(connect(grpc_server.address)) as channel:
        await asyncio.wait_for(ready(channel), SECONDS_MAX)
        yield channel


@pytest.fixture
def stub(echo_stub_cls, session_channel: SessionChannel):
    return echo_stub_cls(session_channel)


async def ready(channel: grpc.aio.Channel) -> None:
    channel.get_state(try_to_connect=True)
    await channel.channel_ready()


def messages(service: Service) -> float:
    count = service.metrics.registry.get_sample_value
    return count("penstock_session_items_count", {"direction": "calls"}) or 0


async def test_calls_made_together_travel_together(stub, grpc_service) -> None:
    texts = [f"text {number}" for number in range(50)]
    answers = await asyncio.gather(*(stub.unary(StringValue(value=text), **IN_TIME) for text in texts))
    assert [answer.value for answer in answers] == texts
    assert 0 < messages(grpc_service) < 25


async def test_a_failed_call_raises_what_an_rpc_would(stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.unary(StringValue(value="missing"), **IN_TIME)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    error = from_rpc_error(caught.value)
    assert (error.reason, error.metadata) == ("MODEL_NOT_FOUND", {"model": "missing"})


async def test_a_call_that_takes_too_long_is_given_up_and_stopped(
    stub, grpc_servicer, grpc_server: Running
) -> None:
    for seconds in (0.2, 2, 20):  # a slow machine may let a call expire before it begins
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(StringValue(value="wait"), timeout=seconds)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if grpc_servicer.started.is_set():
            break
    assert await grpc_server.in_flight.wait_idle(SECONDS_MAX)
    assert grpc_servicer.finished == ["unary"]


async def test_a_caller_that_goes_stops_its_call(stub, grpc_servicer, grpc_server: Running) -> None:
    calling = asyncio.create_task(stub.unary(StringValue(value="wait"), **IN_TIME))
    await grpc_servicer.started.wait()
    calling.cancel()
    assert await grpc_server.in_flight.wait_idle(SECONDS_MAX)
    assert grpc_servicer.finished == ["unary"]


async def test_a_large_request_is_an_rpc_of_its_own(stub, grpc_service) -> None:
    text = "x" * (REQUEST_BYTES_MAX + 1)
    answer = await stub.unary(StringValue(value=text), **IN_TIME)
    assert answer.value == text
    assert messages(grpc_service) == 0


async def test_streams_pass_as_they_are(stub) -> None:
    call = stub.unary_stream(StringValue(value="a"))
    assert [answer.value async for answer in call] == ["a", "a"]


async def test_a_peer_that_is_not_there_yet_is_waited_for(
    service_settings, grpc_servicer, grpc_add_to_server, echo_stub_cls
) -> None:
    settings = service_settings.model_copy(update={"grpc_port": free_port()})
    async with SessionChannel(connect(f"127.0.0.1:{settings.grpc_port}")) as channel:
        stub = echo_stub_cls(channel)
        calling = asyncio.create_task(stub.unary(StringValue(value="a"), wait_for_ready=True, **IN_TIME))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(StringValue(value="b"), **IN_TIME)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        async with running(Service(settings, [(grpc_add_to_server, grpc_servicer)])):
            assert (await calling).value == "a"


async def test_a_session_that_breaks_fails_what_was_sent_and_the_next_call_opens_another(
    service_settings, grpc_servicer, grpc_add_to_server, echo_stub_cls
) -> None:
    settings = service_settings.model_copy(update={"grpc_port": free_port(), "drain_seconds": 0.1})
    service = Service(settings, [(grpc_add_to_server, grpc_servicer)])
    async with SessionChannel(connect(f"127.0.0.1:{settings.grpc_port}")) as channel:
        stub = echo_stub_cls(channel)
        async with running(service):
            await ready(channel)
            calling = asyncio.create_task(stub.unary(StringValue(value="wait"), **IN_TIME))
            await grpc_servicer.started.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await calling
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        async with running(Service(settings, [(grpc_add_to_server, grpc_servicer)])):
            answer = await stub.unary(StringValue(value="a"), wait_for_ready=True, **IN_TIME)
            assert answer.value == "a"


async def test_a_session_that_is_old_ends_when_its_calls_are_answered(
    session_channel, stub, grpc_servicer
) -> None:
    calling = asyncio.create_task(stub.unary(StringValue(value="wait"), **IN_TIME))
    await grpc_servicer.started.wait()
    old = session_channel.session()
    old.retire()
    assert (await stub.unary(StringValue(value="a"), **IN_TIME)).value == "a"
    assert session_channel.session() is not old
    assert not old.ended.done()
    grpc_servicer.release.set()
    assert (await calling).value == "wait"
    await asyncio.wait_for(old.ended, SECONDS_MAX)


async def test_a_server_that_stops_answers_what_was_sent(
    grpc_service: Service, grpc_servicer, echo_stub_cls
) -> None:
    async with running(grpc_service) as server:
        channel = SessionChannel(connect(server.address))
        await ready(channel)
        stub = echo_stub_cls(channel)
        calling = asyncio.create_task(stub.unary(StringValue(value="wait"), **IN_TIME))
        await grpc_servicer.started.wait()
        asyncio.get_running_loop().call_later(0.2, grpc_servicer.release.set)
    assert (await calling).value == "wait"
    await channel.close()
