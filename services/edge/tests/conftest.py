"""Envoy and the gateway as they run everywhere, before a router made for tests."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import pytest_asyncio
from penstock.router.v1 import (
    chat_completion_service_pb2_grpc,
    embedding_service_pb2_grpc,
    model_service_pb2_grpc,
)
from servicekit.server import Running, Service, running
from servicekit.settings import ServiceSettings
from testkit.process import ChildProcess, free_port

sys.path.insert(0, str(Path(__file__).parent))

from edge_fakes import FakeRouter

EDGE = Path(__file__).resolve().parents[1]


class RouterSettings(ServiceSettings):
    service: ClassVar[str] = "router"


@dataclass(frozen=True)
class Edge:
    """A running edge and what is behind it."""

    port: int
    gateway_port: int
    envoy: ChildProcess
    gateway: ChildProcess
    access_log: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, **more: Any) -> httpx.AsyncClient:
        headers = {"authorization": "Bearer psk_right"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False, **more)


@pytest.fixture(scope="session")
def gateway_program() -> Path:
    """Build the gateway; when nothing has changed this takes a second."""
    subprocess.run([EDGE / "gateway" / "build"], check=True, timeout=110, capture_output=True)
    return EDGE / "bin" / "penstock-gateway"


@pytest.fixture
def fake_router() -> FakeRouter:
    return FakeRouter()


@pytest_asyncio.fixture
async def router(fake_router: FakeRouter, tmp_path: Path) -> AsyncIterator[Running]:
    settings = RouterSettings(grpc_port=0, data_dir=tmp_path, drain_seconds=5)
    servicers = [
        (chat_completion_service_pb2_grpc.add_ChatCompletionServiceServicer_to_server, fake_router),
        (embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server, fake_router),
        (model_service_pb2_grpc.add_ModelServiceServicer_to_server, fake_router),
    ]
    async with running(Service(settings, servicers)) as server:
        yield server


@pytest.fixture
def edge(router: Running, gateway_program: Path, tmp_path: Path) -> Iterator[Edge]:
    """Run the edge before the fake router."""
    with running_edge(router.address, gateway_program, tmp_path) as started:
        yield started


@pytest.fixture
def edge_alone(gateway_program: Path, tmp_path: Path) -> Iterator[Edge]:
    """Run the edge before a router that is not there."""
    with running_edge(f"127.0.0.1:{free_port()}", gateway_program, tmp_path) as started:
        yield started


@contextmanager
def running_edge(router_address: str, gateway_program: Path, directory: Path) -> Iterator[Edge]:
    port, admin_port, gateway_port = free_port(), free_port(), free_port()
    environment = {
        "PENSTOCK_DATA_DIR": str(directory),
        "PENSTOCK_EDGE_PORT": str(port),
        "PENSTOCK_EDGE_ADMIN_PORT": str(admin_port),
        "PENSTOCK_EDGE_ACCESS_LOG": str(directory / "access.log"),
        "PENSTOCK_EDGE_GATEWAY_ADDRESS": f"127.0.0.1:{gateway_port}",
        "PENSTOCK_EDGE_ROUTER_ADDRESS": router_address,
        "PENSTOCK_GATEWAY_HTTP_PORT": str(gateway_port),
        "PENSTOCK_GATEWAY_ROUTER_ADDRESS": router_address,
        "PENSTOCK_GATEWAY_ROUTER_WAIT_SECONDS": "0.5",
        "PENSTOCK_DRAIN_SECONDS": "5",
    }
    program = [sys.executable, str(EDGE / "envoy" / "edge.py")]
    with (
        ChildProcess([str(gateway_program)], directory / "gateway.out", env=environment) as gateway,
        ChildProcess(program, directory / "envoy.out", env=environment) as envoy,
    ):
        gateway.wait_for_port(gateway_port)
        envoy.wait_for_port(port)
        yield Edge(port, gateway_port, envoy, gateway, directory / "access.log", os.environ | environment)


def access_log_lines(edge: Edge) -> list[dict[str, Any]]:
    return [json.loads(line) for line in edge.access_log.read_text().splitlines()]
