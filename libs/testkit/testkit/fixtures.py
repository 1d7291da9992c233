"""The fixtures, under pytest-grpc's names where it has one: grpc_server, grpc_channel, grpc_stub.

pytest-grpc's own are synchronous and share a thread pool; these run the real grpc.aio server of `servicekit`
in the test's loop. As with pytest-grpc a test module says what is served by defining `grpc_servicer` and
`grpc_add_to_server`, or, for a whole service, `grpc_service`; and through which stub, `grpc_stub_cls`.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import grpc.aio
import pytest
import pytest_asyncio
from servicekit.channel import connect
from servicekit.server import AddServicer, Running, Service, running
from servicekit.settings import ServiceSettings

from testkit.clock import Clock
from testkit.postgres import PostgresServer
from testkit.redis import RedisServer


class _Settings(ServiceSettings):
    service: ClassVar[str] = "test"


@pytest.fixture
def service_settings(tmp_path: Path) -> ServiceSettings:
    """Give settings that listen on free ports and write below the test's directory."""
    return _Settings(grpc_port=0, data_dir=tmp_path, drain_seconds=30)


@pytest.fixture
def grpc_service(
    service_settings: ServiceSettings, grpc_add_to_server: AddServicer, grpc_servicer: Any
) -> Service:
    """Give the service under test; override it with a composition root to test a whole one."""
    return Service(service_settings, [(grpc_add_to_server, grpc_servicer)])


@pytest_asyncio.fixture
async def grpc_server(grpc_service: Service) -> AsyncIterator[Running]:
    """Run the service in this process, with all interceptors, health and reflection."""
    async with running(grpc_service) as server:
        yield server


@pytest_asyncio.fixture
async def grpc_channel(grpc_server: Running) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to the server as peers do."""
    async with connect(grpc_server.address) as channel:
        yield channel


@pytest_asyncio.fixture
async def grpc_stub(grpc_stub_cls: Any, grpc_channel: grpc.aio.Channel) -> Any:
    """Give a stub of the test's `grpc_stub_cls`."""
    return grpc_stub_cls(grpc_channel)


@pytest.fixture
def clock() -> Clock:
    """Give a clock that moves only when told."""
    return Clock()


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """Give a real Redis, empty; one a test run. A test that kills its Redis makes its own RedisServer."""
    _redis.flush()
    return _redis


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Give a real PostgreSQL; one a test run. A test that kills it makes its own PostgresServer."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Give the URL of a new, empty database."""
    return postgres_server.create_database()
