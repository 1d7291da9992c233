"""Spans leave for a collector that may be away or frozen; whoever is served does not notice."""

import json
import socket
import subprocess
import sys

from testkit.collector import running_collector
from testkit.process import free_port
from testkit.waiting import SECONDS_MAX

STOP_SECONDS_MAX = 15.0  # half of what the SDK would take

PROGRAM = """
import asyncio, json, sys, time
from typing import ClassVar

import grpc
from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc
from penstock.context.v1 import request_context_pb2
from servicekit import telemetry
from servicekit.channel import connect
from servicekit.server import Service, running
from servicekit.settings import ServiceSettings
from servicekit.telemetry import ServerSpan

SPANS = 3_000  # more than the exporter's queue holds, and many batches


class Settings(ServiceSettings):
    service: ClassVar[str] = "test"
    grpc_port: int = 0
    http_port: int = 0


class Cache(cache_service_pb2_grpc.CacheServiceServicer):
    async def EndFlights(self, request, context):
        return cache_service_pb2.EndFlightsResponse()


async def main(settings):
    context = request_context_pb2.RequestContext(request_id="r", organization="o")
    items = [cache_service_pb2.FlightReference(context=context, flight_id="f")]
    add = cache_service_pb2_grpc.add_CacheServiceServicer_to_server
    async with running(Service(settings, [(add, Cache())])) as server, connect(server.address) as channel:
        method = cache_service_pb2_grpc.CacheServiceStub(channel).EndFlights
        await method(cache_service_pb2.EndFlightsRequest(items=items), timeout=60)
        for _ in range(SPANS):
            ServerSpan("/test.Echo/Unary", "").end(grpc.StatusCode.OK)


settings = Settings(otlp_endpoint=sys.argv[1])
telemetry.start(settings)
asyncio.run(main(settings))
began = time.monotonic()
telemetry.stop()
print(json.dumps({"stop_seconds": time.monotonic() - began}))
"""


def stop_seconds(endpoint: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, endpoint],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds: float = json.loads(done.stdout.splitlines()[-1])["stop_seconds"]
    return seconds


def test_the_collector_gets_the_spans_with_the_services_name() -> None:
    with running_collector() as collector:
        stop_seconds(collector.address)
    assert {(span.service, span.name) for span in collector.spans} >= {
        ("test", "penstock.cache.v1.CacheService/EndFlights")
    }


def test_without_a_collector_rpcs_are_answered_and_the_process_ends() -> None:
    assert stop_seconds(f"127.0.0.1:{free_port()}") < STOP_SECONDS_MAX


def test_with_a_frozen_collector_rpcs_are_answered_and_the_process_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        assert stop_seconds(f"127.0.0.1:{frozen.getsockname()[1]}") < STOP_SECONDS_MAX
