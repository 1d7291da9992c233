"""A service of all four shapes, made by hand so that no contract has to exist for tests."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from servicekit import context as request_context
from servicekit.errors import NotFound


class Echo:
    """Answers what it is asked; what it is told to do it does."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.finished: list[str] = []
        self.contexts: list[request_context.RequestContext] = []

    async def unary(self, request: StringValue, context) -> StringValue:
        self.contexts.append(request_context.current())
        match request.value:
            case "missing":
                raise NotFound("MODEL_NOT_FOUND", "No model named missing.", metadata={"model": "missing"})
            case "bug":
                raise RuntimeError("the secret is 42")
            case "abort":
                await context.abort(grpc.StatusCode.ABORTED, "by hand")
            case "unserved":  # as a generated base does
                context.set_code(grpc.StatusCode.UNIMPLEMENTED)
                raise NotImplementedError
            case "wait":
                await self._wait("unary")
        return request

    async def unary_stream(self, request: StringValue, _context) -> AsyncIterator[StringValue]:
        yield request
        if request.value == "missing":
            raise NotFound("MODEL_NOT_FOUND", "No model named missing.")
        if request.value == "bug":
            raise RuntimeError("the secret is 42")
        if request.value == "wait":
            await self._wait("unary_stream")
        yield request

    async def stream_unary(self, requests: AsyncIterator[StringValue], _context) -> StringValue:
        return StringValue(value="".join([request.value async for request in requests]))

    async def stream_stream(
        self, requests: AsyncIterator[StringValue], _context
    ) -> AsyncIterator[StringValue]:
        async for request in requests:
            if request.value == "wait":
                await self._wait("stream_stream")
            yield request

    async def _wait(self, shape: str) -> None:
        self.started.set()
        try:
            await self.release.wait()
        finally:
            await asyncio.sleep(0.05)
            self.finished.append(shape)


class EchoStub:
    """The client of Echo."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        codec = {
            "request_serializer": StringValue.SerializeToString,
            "response_deserializer": StringValue.FromString,
        }
        self.unary = channel.unary_unary("/test.Echo/Unary", **codec)
        self.unary_stream = channel.unary_stream("/test.Echo/UnaryStream", **codec)
        self.stream_unary = channel.stream_unary("/test.Echo/StreamUnary", **codec)
        self.stream_stream = channel.stream_stream("/test.Echo/StreamStream", **codec)


def add_echo(servicer: Echo, server) -> None:
    codec = {
        "request_deserializer": StringValue.FromString,
        "response_serializer": StringValue.SerializeToString,
    }
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(servicer.unary, **codec),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(servicer.unary_stream, **codec),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(servicer.stream_unary, **codec),
        "StreamStream": grpc.stream_stream_rpc_method_handler(servicer.stream_stream, **codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))


@pytest.fixture
def grpc_servicer() -> Echo:
    return Echo()


@pytest.fixture
def grpc_add_to_server():
    return add_echo


@pytest.fixture
def grpc_stub_cls():
    return EchoStub


@pytest.fixture
def echo_stub_cls():
    return EchoStub
