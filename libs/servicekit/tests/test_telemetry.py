"""Spans are global to a process, so this runs in one of its own."""

import json
import subprocess
import sys
from typing import Any

import pytest
from testkit.waiting import SECONDS_MAX

PROGRAM = """
import asyncio, json
from typing import ClassVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from google.protobuf.wrappers_pb2 import StringValue
from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc
from penstock.context.v1 import request_context_pb2
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from servicekit import context as request_context
from servicekit.channel import connect
from servicekit.context import bound, fresh, outgoing
from servicekit.errors import Internal, NotFound
from servicekit.server import Service, running
from servicekit.settings import ServiceSettings

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
logged = []


class Settings(ServiceSettings):
    service: ClassVar[str] = "test"
    grpc_port: int = 0
    http_port: int = 0


async def unary(request, context):
    logged.append(request_context.current().traceparent)
    if request.value == "missing":
        raise NotFound("MODEL_NOT_FOUND", "no")
    if request.value == "bug":
        raise RuntimeError
    return request


async def stream(request, context):
    yield request
    yield request


async def chat(requests, context):
    async for request in requests:
        yield request


def add(_servicer, server):
    codec = dict(request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString)
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary, **codec),
        "Stream": grpc.unary_stream_rpc_method_handler(stream, **codec),
        "Chat": grpc.stream_stream_rpc_method_handler(chat, **codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))


class Cache(cache_service_pb2_grpc.CacheServiceServicer):
    async def EndFlights(self, request, context):
        return cache_service_pb2.EndFlightsResponse()


def flight(traceparent):
    context = request_context_pb2.RequestContext(request_id="r", organization="o", traceparent=traceparent)
    return cache_service_pb2.FlightReference(context=context, flight_id="f")


async def main():
    codec = dict(request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString)
    servicers = [(add, None), (cache_service_pb2_grpc.add_CacheServiceServicer_to_server, Cache())]
    async with running(Service(Settings(), servicers)) as server, connect(server.address) as channel:
        for value in ("a", "missing", "bug"):
            try:
                await channel.unary_unary("/test.Echo/Unary", **codec)(StringValue(value=value), **outgoing(5))
            except grpc.aio.AioRpcError:
                pass
        traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
        call = channel.unary_stream("/test.Echo/Stream", **codec)(
            StringValue(value="a"), timeout=5, metadata=(("traceparent", traceparent),)
        )
        assert len([response async for response in call]) == 2
        chatting = channel.stream_stream("/test.Echo/Chat", **codec)(**outgoing(5))
        await chatting.write(StringValue(value="a"))
        assert (await chatting.read()).value == "a"
        await chatting.done_writing()
        items = [flight(f"00-{digit * 32}-{digit * 16}-01") for digit in "cd"] + [flight("nonsense"), flight("")]
        flights = cache_service_pb2_grpc.CacheServiceStub(channel)
        await flights.EndFlights(cache_service_pb2.EndFlightsRequest(items=items), **outgoing(5))
        lone = (("traceparent", items[0].context.traceparent),)
        await flights.EndFlights(cache_service_pb2.EndFlightsRequest(items=items[:1]), timeout=5, metadata=lone)
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    spans = [
        {
            "name": span.name,
            "kind": span.kind.name,
            "trace": f"{span.context.trace_id:032x}",
            "span": f"{span.context.span_id:016x}",
            "parent": f"{span.parent.span_id:016x}" if span.parent else None,
            "links": [f"{link.context.span_id:016x}" for link in span.links],
            "status": span.status.status_code.name,
            "code": span.attributes.get("rpc.grpc.status_code"),
        }
        for span in exporter.get_finished_spans()
    ]
    print(json.dumps({"spans": spans, "logged": logged}))


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_every_rpc_is_a_span_under_its_callers_with_its_code(recorded: dict[str, Any]) -> None:
    servers = [span for span in recorded["spans"] if span["name"].startswith("test.Echo/")]
    servers = [span for span in servers if span["kind"] == "SERVER"]
    clients = {span["span"]: span for span in recorded["spans"] if span["kind"] == "CLIENT"}
    assert [(span["name"], span["code"], span["status"]) for span in servers] == [
        ("test.Echo/Unary", 0, "UNSET"),
        ("test.Echo/Unary", 5, "UNSET"),
        ("test.Echo/Unary", 13, "ERROR"),
        ("test.Echo/Stream", 0, "UNSET"),
        ("test.Echo/Chat", 0, "UNSET"),
    ]
    for span in servers[:3]:
        assert clients[span["parent"]]["trace"] == span["trace"]
    assert (servers[3]["trace"], servers[3]["parent"]) == ("a" * 32, "b" * 16)
    assert [line[3:52] for line in recorded["logged"]] == [
        f"{span['trace']}-{span['span']}" for span in servers[:3]
    ]


def test_items_of_a_list_have_spans_in_their_own_requests_traces_linked_to_the_list(
    recorded: dict[str, Any],
) -> None:
    ended = [span for span in recorded["spans"] if span["name"].endswith("/EndFlights")]
    *items, together, alone = [span for span in ended if span["kind"] == "SERVER"]
    assert [(item["trace"], item["parent"]) for item in items] == [
        ("c" * 32, "c" * 16),
        ("d" * 32, "d" * 16),
    ]
    assert [item["links"] for item in items] == [[together["span"]]] * 2
    (caller,) = [span for span in ended if span["span"] == alone["parent"]]
    assert (alone["trace"], alone["links"], caller["parent"]) == ("c" * 32, [], "c" * 16)


def test_a_probe_of_health_is_no_trace(recorded: dict[str, Any]) -> None:
    assert not [span["name"] for span in recorded["spans"] if "Health" in span["name"]]
