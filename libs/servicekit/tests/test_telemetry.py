"""Spans are global to a process, so this runs in one of its own."""

import json
import subprocess
import sys
import textwrap

PROGRAM = """
import asyncio, json
from typing import ClassVar

import grpc
from google.protobuf.wrappers_pb2 import StringValue
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


async def main():
    codec = dict(request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString)
    async with running(Service(Settings(), [(add, None)])) as server, connect(server.address) as channel:
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
    spans = [
        {
            "name": span.name,
            "kind": span.kind.name,
            "trace": f"{span.context.trace_id:032x}",
            "span": f"{span.context.span_id:016x}",
            "parent": f"{span.parent.span_id:016x}" if span.parent else None,
            "status": span.status.status_code.name,
            "code": span.attributes.get("rpc.grpc.status_code"),
        }
        for span in exporter.get_finished_spans()
    ]
    print(json.dumps({"spans": spans, "logged": logged}))


asyncio.run(main())
"""


def test_every_rpc_is_a_span_under_its_callers_with_its_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    servers = [span for span in result["spans"] if span["kind"] == "SERVER"]
    clients = {span["span"]: span for span in result["spans"] if span["kind"] == "CLIENT"}
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
    assert [line[3:52] for line in result["logged"]] == [
        f"{span['trace']}-{span['span']}" for span in servers[:3]
    ]
