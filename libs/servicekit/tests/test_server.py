import asyncio
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from servicekit.channel import connect
from servicekit.context import outgoing
from servicekit.listener import PortInUseError
from servicekit.server import Running, Service, running
from testkit.waiting import SECONDS_MAX, until


async def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


async def test_the_http_port_tells_operators_how_it_is(grpc_server: Running) -> None:
    port = grpc_server.http_port
    assert await get(port, "/healthz") == (200, "ok\n")
    assert await get(port, "/readyz") == (200, "serving\n")
    status, metrics = await get(port, "/metrics?name=x")
    assert status == 200
    assert "process_resident_memory_bytes" in metrics
    assert (await get(port, "/etc/passwd"))[0] == 404
    assert (await get(port, "/metrics", "POST"))[0] == 405


async def test_it_is_alive_but_not_ready_while_not_serving(grpc_server: Running) -> None:
    await grpc_server.health.set_serving(False)
    assert (await get(grpc_server.http_port, "/healthz"))[0] == 200
    assert (await get(grpc_server.http_port, "/readyz"))[0] == 503


async def test_the_http_port_survives_what_is_not_http(grpc_server: Running) -> None:
    for junk in (b"\x00" * 100, b"A" * 100_000, b""):
        _reader, writer = await asyncio.open_connection("127.0.0.1", grpc_server.http_port)
        writer.write(junk)
        writer.close()
    assert (await get(grpc_server.http_port, "/healthz"))[0] == 200


async def test_a_grpc_port_in_use_is_an_error_that_says_what_to_change(
    grpc_server: Running, grpc_service: Service
) -> None:
    settings = grpc_service.settings.model_copy(update={"grpc_port": grpc_server.grpc_port})
    second = replace(grpc_service, settings=settings)
    with pytest.raises(PortInUseError) as caught:
        async with running(second):
            pass
    message = str(caught.value)
    assert f"127.0.0.1:{grpc_server.grpc_port}" in message
    assert "PENSTOCK_TEST_GRPC_PORT" in message
    assert "PENSTOCK_PORT_OFFSET" in message


async def test_an_http_port_in_use_is_too(grpc_server: Running, grpc_service: Service) -> None:
    settings = grpc_service.settings.model_copy(update={"http_port": grpc_server.http_port})
    with pytest.raises(PortInUseError, match="PENSTOCK_TEST_HTTP_PORT"):
        async with running(replace(grpc_service, settings=settings)):
            pass


async def test_several_services_live_in_one_process(grpc_service: Service, echo_stub_cls) -> None:
    second = Service(grpc_service.settings, grpc_service.servicers)
    async with (
        running(grpc_service) as one,
        running(second) as two,
        connect(one.address) as to_one,
        connect(two.address) as to_two,
    ):
        for channel in (to_one, to_two):
            await echo_stub_cls(channel).unary(StringValue(value="a"), **outgoing(SECONDS_MAX))
    labels = {"method": "/test.Echo/Unary", "code": "OK"}
    for service in (grpc_service, second):
        sample = service.metrics.registry.get_sample_value
        await until(lambda sample=sample: sample("penstock_rpcs_total", labels) == 1)


@pytest.mark.parametrize("shape", ["unary", "unary_stream"])
async def test_a_drain_finishes_what_was_accepted(
    grpc_service: Service, grpc_servicer, echo_stub_cls, shape: str
) -> None:
    serving = running(grpc_service)
    server = await serving.__aenter__()
    async with connect(server.address) as channel:
        call = getattr(echo_stub_cls(channel), shape)(StringValue(value="wait"), **outgoing(SECONDS_MAX))
        answer = asyncio.ensure_future(whole(call))
        await grpc_servicer.started.wait()
        stopping = asyncio.create_task(serving.__aexit__(None, None, None))
        await until(lambda: not server.health.serving)
        assert not stopping.done()
        grpc_servicer.release.set()
        assert (await answer)[-1] == "wait"
        await stopping
    assert grpc_servicer.finished == [shape]


async def test_a_drain_waits_for_the_finally_of_what_it_had_to_abort(
    grpc_service: Service, grpc_servicer, echo_stub_cls
) -> None:
    settings = grpc_service.settings.model_copy(update={"drain_seconds": 0.1})
    serving = running(replace(grpc_service, settings=settings))
    server = await serving.__aenter__()
    async with connect(server.address) as channel:
        call = echo_stub_cls(channel).unary(StringValue(value="wait"), **outgoing(SECONDS_MAX))
        answer = asyncio.ensure_future(whole(call))
        await grpc_servicer.started.wait()
        await serving.__aexit__(None, None, None)
        assert grpc_servicer.finished == ["unary"]
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await answer


async def test_more_calls_than_the_limit_are_refused_not_queued(
    grpc_service: Service, grpc_servicer, echo_stub_cls
) -> None:
    settings = grpc_service.settings.model_copy(update={"concurrent_rpcs_max": 1})
    async with (
        running(replace(grpc_service, settings=settings)) as server,
        connect(server.address) as channel,
    ):
        stub = echo_stub_cls(channel)
        first = stub.unary(StringValue(value="wait"), **outgoing(SECONDS_MAX))
        waiting = asyncio.ensure_future(whole(first))
        await grpc_servicer.started.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(StringValue(value="a"), **outgoing(SECONDS_MAX))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        grpc_servicer.release.set()
        assert await waiting == ["wait"]


async def whole(call) -> list[str]:
    if hasattr(call, "__aiter__"):
        return [response.value async for response in call]
    return [(await call).value]
