"""Envoy and the gateway as they run everywhere, before a router made for tests."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import pytest_asyncio
from penstock.router.v1 import (
    chat_completion_service_pb2_grpc,
    embedding_service_pb2_grpc,
    model_service_pb2_grpc,
)
from servicekit.server import Running, Service, running
from servicekit.settings import ServiceSettings
from testkit.process import free_port

sys.path.insert(0, str(Path(__file__).parent))

from edge_fakes import FakeRouter
from edge_process import EDGE, Edge, running_edge


class RouterSettings(ServiceSettings):
    service: ClassVar[str] = "router"


@pytest.fixture(scope="session")
def gateway_program() -> Path:
    """Build the gateway; when nothing has changed this takes a second."""
    subprocess.run([EDGE / "gateway" / "build"], check=True, timeout=240, capture_output=True)
    return EDGE / "bin" / "penstock-gateway"


@pytest.fixture(scope="session")
def router_port() -> int:
    return free_port()


@pytest.fixture
def fake_router() -> FakeRouter:
    return FakeRouter()


@pytest_asyncio.fixture
async def router(fake_router: FakeRouter, router_port: int, tmp_path: Path) -> AsyncIterator[Running]:
    settings = RouterSettings(grpc_port=router_port, http_port=0, data_dir=tmp_path, drain_seconds=1)
    servicers = [
        (chat_completion_service_pb2_grpc.add_ChatCompletionServiceServicer_to_server, fake_router),
        (embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server, fake_router),
        (model_service_pb2_grpc.add_ModelServiceServicer_to_server, fake_router),
    ]
    async with running(Service(settings, servicers)) as server:
        yield server


@pytest.fixture(scope="session")
def shared_edge(
    router_port: int, gateway_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    directory = tmp_path_factory.mktemp("edge")
    with running_edge(f"127.0.0.1:{router_port}", gateway_program, directory) as started:
        yield started


@pytest.fixture
def edge(shared_edge: Edge, router: Running) -> Edge:
    """Give the edge that all tests share, before the fake router of this test."""
    return shared_edge


@pytest.fixture
def own_edge(router: Running, gateway_program: Path, tmp_path: Path) -> Iterator[Edge]:
    """Run an edge that the test may end."""
    with running_edge(router.address, gateway_program, tmp_path) as started:
        yield started


@pytest.fixture
def edge_alone(gateway_program: Path, tmp_path: Path) -> Iterator[Edge]:
    """Run an edge before a router that is not there."""
    absent = f"127.0.0.1:{free_port()}"
    with running_edge(absent, gateway_program, tmp_path, router_wait_seconds=0.5) as started:
        yield started
