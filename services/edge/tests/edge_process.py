"""Envoy and the gateway, started as everywhere, on ports of their own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from testkit.process import ChildProcess, free_port
from testkit.waiting import SECONDS_MAX

EDGE = Path(__file__).resolve().parents[1]


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
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=SECONDS_MAX, trust_env=False, **more
        )


@contextmanager
def running_edge(
    router_address: str, gateway_program: Path, directory: Path, *, router_wait_seconds: float = SECONDS_MAX
) -> Iterator[Edge]:
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
        "PENSTOCK_GATEWAY_ROUTER_WAIT_SECONDS": str(router_wait_seconds),
        "PENSTOCK_DRAIN_SECONDS": "30",
    }
    program = [sys.executable, str(EDGE / "envoy" / "edge.py")]
    with (
        ChildProcess([str(gateway_program)], directory / "gateway.out", env=environment) as gateway,
        ChildProcess(program, directory / "envoy.out", env=environment) as envoy,
    ):
        gateway.wait_for_port(gateway_port)
        envoy.wait_for_port(port)
        yield Edge(port, gateway_port, envoy, gateway, directory / "access.log", os.environ | environment)
