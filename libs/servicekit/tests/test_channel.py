import asyncio
import json
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from penstock.billing.v1 import hold_service_pb2 as pb
from penstock.billing.v1 import hold_service_pb2_grpc as rpc
from penstock.guardrail.v1 import guardrail_service_pb2
from servicekit.channel import connect, service_config
from servicekit.context import outgoing
from servicekit.errors import Unavailable
from servicekit.server import Service, running
from testkit.process import free_port
from testkit.proxy import FaultProxy
from testkit.waiting import SECONDS_MAX

HOLDS = pb.DESCRIPTOR.services_by_name.values()


class Holds(rpc.HoldServiceServicer):
    """Fails as often as told, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    async def Authorize(self, request, context):
        self.calls += 1
        if self.calls <= self.failures:
            raise Unavailable("STORAGE_UNAVAILABLE", "not now")
        return pb.AuthorizeResponse(results=[pb.AuthorizeResult() for _ in request.items])


def authorize() -> pb.AuthorizeRequest:
    item = pb.AuthorizeItem(operation_id="o", skus=["s"])
    item.context.request_id = item.context.organization = "x"
    return pb.AuthorizeRequest(items=[item])


def test_only_methods_that_declare_it_are_retried() -> None:
    services = guardrail_service_pb2.DESCRIPTOR.services_by_name.values()
    declared = {
        (service.full_name, method.name)
        for service in services
        for method in service.methods
        if method.GetOptions().idempotency_level
    }
    config = json.loads(service_config(services))
    names = {
        (name["service"], name["method"]) for each in config.get("methodConfig", ()) for name in each["name"]
    }
    assert names == declared


async def calls_until_answer(service_settings, failures: int, services) -> tuple[int, grpc.StatusCode]:
    servicer = Holds(failures)
    service = Service(service_settings, [(rpc.add_HoldServiceServicer_to_server, servicer)])
    async with running(service) as server, connect(server.address, services) as channel:
        try:
            await rpc.HoldServiceStub(channel).Authorize(authorize(), **outgoing(SECONDS_MAX))
        except grpc.aio.AioRpcError as error:
            return servicer.calls, error.code()
    return servicer.calls, grpc.StatusCode.OK


async def test_an_idempotent_call_is_tried_three_times(service_settings) -> None:
    assert await calls_until_answer(service_settings, 2, HOLDS) == (3, grpc.StatusCode.OK)
    assert await calls_until_answer(service_settings, 9, HOLDS) == (3, grpc.StatusCode.UNAVAILABLE)


async def test_a_call_that_nothing_declares_safe_is_tried_once(service_settings) -> None:
    assert await calls_until_answer(service_settings, 9, ()) == (1, grpc.StatusCode.UNAVAILABLE)


async def test_a_call_waits_for_a_peer_that_is_not_up_yet(grpc_service: Service, echo_stub_cls) -> None:
    port = free_port()
    settings = grpc_service.settings.model_copy(update={"grpc_port": port})
    async with connect(f"127.0.0.1:{port}") as channel:
        call = asyncio.ensure_future(_answer(echo_stub_cls(channel)))
        await asyncio.sleep(0.05)
        async with running(replace(grpc_service, settings=settings)):
            assert await call == "a"


async def test_a_channel_survives_a_restart_of_its_peer(grpc_service: Service, echo_stub_cls) -> None:
    port = free_port()
    settings = grpc_service.settings.model_copy(update={"grpc_port": port})
    async with connect(f"127.0.0.1:{port}") as channel:
        for _ in range(3):
            async with running(Service(settings, grpc_service.servicers)):
                assert await _answer(echo_stub_cls(channel)) == "a"


async def test_without_waiting_an_absent_peer_is_known_at_once(echo_stub_cls) -> None:
    async with connect(f"127.0.0.1:{free_port()}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await echo_stub_cls(channel).unary(
                StringValue(value="a"), **outgoing(SECONDS_MAX, wait_for_ready=False)
            )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_frozen_peer_costs_no_more_than_the_timeout(grpc_server, echo_stub_cls) -> None:
    async with FaultProxy(grpc_server.grpc_port) as proxy, connect(proxy.address) as channel:
        stub = echo_stub_cls(channel)
        assert await _answer(stub) == "a"
        proxy.freeze()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with asyncio.timeout(SECONDS_MAX):
                await _answer(stub, 0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        proxy.thaw()
        assert await _answer(stub) == "a"


async def test_a_broken_connection_is_made_again(grpc_server, echo_stub_cls) -> None:
    async with FaultProxy(grpc_server.grpc_port) as proxy, connect(proxy.address) as channel:
        stub = echo_stub_cls(channel)
        for _ in range(3):
            assert await _answer(stub) == "a"
            proxy.reset()
            await channel_is_down(channel)


async def test_a_message_of_30_mebibytes_passes(grpc_stub) -> None:
    value = "x" * (30 * 1024 * 1024)
    answer = await grpc_stub.unary(StringValue(value=value), **outgoing(SECONDS_MAX))
    assert len(answer.value) == len(value)


async def channel_is_down(channel: grpc.aio.Channel) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while channel.get_state() is grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)


async def _answer(stub, seconds: float = SECONDS_MAX) -> str:
    value: str = (await stub.unary(StringValue(value="a"), **outgoing(seconds))).value
    return value
