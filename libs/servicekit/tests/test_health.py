import asyncio

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from servicekit.channel import connect
from servicekit.health import DependencyWatch, Health
from servicekit.metrics import Metrics
from servicekit.server import Running, Service, running
from testkit.waiting import SECONDS_MAX

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture
def stub(grpc_channel):
    return health_pb2_grpc.HealthStub(grpc_channel)


def named(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("name", ["", "test.Echo"])
async def test_each_service_is_healthy_by_name(stub, name: str) -> None:
    assert (await stub.Check(named(name), timeout=SECONDS_MAX)).status == SERVING


async def test_a_service_that_is_not_here_is_not_found(stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(named("other"), timeout=SECONDS_MAX)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_several_watchers_see_every_change_and_the_end(grpc_service: Service) -> None:
    async with running(grpc_service) as server, connect(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(named(name), timeout=SECONDS_MAX) for name in ("", "test.Echo")]
        leaver = stub.Watch(named(""), timeout=SECONDS_MAX)
        for watch in (*watches, leaver):
            assert (await watch.read()).status == SERVING
        leaver.cancel()
        await server.health.set_serving(False)
        for watch in watches:
            assert (await watch.read()).status == NOT_SERVING
        stopping = asyncio.create_task(server.health.stop())
        for watch in watches:
            assert await watch.read() is grpc.aio.EOF
        await stopping


async def test_an_unknown_name_can_be_watched_as_the_protocol_asks(stub) -> None:
    watch = stub.Watch(named("other"), timeout=SECONDS_MAX)
    assert (await watch.read()).status == UNKNOWN
    watch.cancel()


async def test_reflection_names_the_services(grpc_channel: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(grpc_channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([request]), timeout=SECONDS_MAX)
    answer = await call.read()
    names = {service.name for service in answer.list_services_response.service}
    assert {"test.Echo", "grpc.health.v1.Health"} <= names


class Dependency:
    """A database that is up, down or hung."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.hung = False

    async def ping(self) -> None:
        if self.hung:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


async def test_a_service_is_not_serving_until_what_it_needs_was_up_once() -> None:
    database, health = Dependency(), Health(["x"])
    database.error = ConnectionRefusedError()
    watch = DependencyWatch({"database": database.ping}, health, Metrics())
    await watch.check()
    assert not health.serving
    database.error = None
    await watch.check()
    assert health.serving


async def test_one_failure_is_forgiven_two_in_a_row_are_not_and_one_success_heals() -> None:
    database, health, metrics = Dependency(), Health(["x"]), Metrics()
    watch = DependencyWatch({"database": database.ping}, health, metrics)
    await watch.check()
    database.error = OSError("no route")
    await watch.check()
    assert health.serving
    await watch.check()
    assert not health.serving
    assert metrics.registry.get_sample_value("penstock_dependency_up", {"dependency": "database"}) == 0
    database.error = None
    await watch.check()
    assert health.serving


async def test_a_hung_dependency_is_down_and_does_not_hang_the_watch() -> None:
    database, health = Dependency(), Health(["x"])
    database.hung = True
    async with asyncio.timeout(SECONDS_MAX):
        await DependencyWatch({"database": database.ping}, health, Metrics()).check()
    assert not health.serving


async def test_a_service_that_stops_never_says_serving_again(grpc_server: Running) -> None:
    await grpc_server.health.stop()
    await grpc_server.health.set_serving(True)
    assert not grpc_server.health.serving
