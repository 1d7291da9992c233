"""The one interceptor: every RPC of a service runs inside a `_Call`."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias

import grpc
import grpc.aio

from servicekit import context as request_context
from servicekit import telemetry
from servicekit.in_flight import InFlight
from servicekit.interceptors.context import read_context, response_metadata
from servicekit.interceptors.errors import answer, code_of
from servicekit.interceptors.metrics import MethodMetrics
from servicekit.interceptors.validation import validate, validated
from servicekit.metrics import Metrics
from servicekit.telemetry import ServerSpan

Handler: TypeAlias = (
    Any  # grpc.RpcMethodHandler, whose type says neither which shape it has nor that it is async
)
ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

# gRPC's own services look after themselves, and what a session brings passes through here call by call.
_PASSED = ("/grpc.health.", "/grpc.reflection.", "/penstock.session.")


class RequestInterceptor(grpc.aio.ServerInterceptor):
    """Wrap each method once; the wrapped handler is kept, so a call pays a dictionary look-up."""

    def __init__(self, metrics: Metrics, in_flight: InFlight) -> None:
        self._metrics = metrics
        self._in_flight = in_flight
        self._tracing = telemetry.enabled()
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Give the handler of a method with everything around it."""
        await self._in_flight.gate.wait()
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or method.startswith(_PASSED):
                return handler
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def wrapped(self, method: str, find: Callable[[str], Handler | None]) -> Handler | None:
        """Give the handler of a method with everything around it, for a call that comes in a session."""
        wrapped = self._wrapped.get(method)
        if wrapped is None and (handler := find(method)) is not None:
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        metrics = MethodMetrics(self._metrics, method)
        wrap = _WRAPPERS[handler.request_streaming, handler.response_streaming]
        opened = partial(_Call, method, metrics, self._in_flight, tracing=self._tracing)
        return wrap(handler, opened)


class _Call:
    """The life of one RPC: context set, counted, errors answered."""

    __slots__ = (
        "_began",
        "_context",
        "_in_flight",
        "_method",
        "_metrics",
        "_servicer_context",
        "_span",
        "_tracing",
    )

    def __init__(
        self,
        method: str,
        metrics: MethodMetrics,
        in_flight: InFlight,
        servicer_context: ServicerContext,
        *,
        tracing: bool,
    ) -> None:
        self._method = method
        self._metrics = metrics
        self._in_flight = in_flight
        self._servicer_context = servicer_context
        self._tracing = tracing

    async def __aenter__(self) -> ServerSpan | None:
        self._context, caller = read_context(self._servicer_context)
        self._span = ServerSpan(self._method, caller.traceparent) if self._tracing else None
        if self._span is not None:
            self._context = replace(self._context, traceparent=self._span.traceparent)
        request_context.enter(self._context)
        if not all(caller):  # who named both knows both: peers do, and need not pay for an echo
            self._servicer_context.set_trailing_metadata(response_metadata(self._context))
        self._in_flight.enter()
        self._began = self._metrics.begin()
        return self._span

    async def __aexit__(
        self, _cls: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        code = grpc.StatusCode.OK if error is None else code_of(error, self._servicer_context)
        self._metrics.end(self._began, code)
        if self._span is not None:
            self._span.end(code)
        try:
            if error is not None:
                await answer(error, self._servicer_context, self._context, self._method)
        finally:
            self._in_flight.leave()


OpenCall = Callable[[ServicerContext], _Call]


def _unary_unary(handler: Handler, open_call: OpenCall) -> Handler:
    behaviour = handler.unary_unary

    async def serve(request: Any, context: ServicerContext) -> Any:
        async with open_call(context) as span:
            validate(request)
            if span is not None:
                span.carry(request)
            return await behaviour(request, context)

    return grpc.unary_unary_rpc_method_handler(
        serve, handler.request_deserializer, handler.response_serializer
    )


def _unary_stream(handler: Handler, open_call: OpenCall) -> Handler:
    behaviour = handler.unary_stream

    async def serve(request: Any, context: ServicerContext) -> None:
        async with open_call(context):
            validate(request)
            await _respond(behaviour, request, context)

    return grpc.unary_stream_rpc_method_handler(
        serve, handler.request_deserializer, handler.response_serializer
    )


def _stream_unary(handler: Handler, open_call: OpenCall) -> Handler:
    behaviour = handler.stream_unary

    async def serve(requests: AsyncIterator[Any], context: ServicerContext) -> Any:
        async with open_call(context):
            return await behaviour(validated(requests), context)

    return grpc.stream_unary_rpc_method_handler(
        serve, handler.request_deserializer, handler.response_serializer
    )


def _stream_stream(handler: Handler, open_call: OpenCall) -> Handler:
    behaviour = handler.stream_stream

    async def serve(requests: AsyncIterator[Any], context: ServicerContext) -> None:
        async with open_call(context):
            await _respond(behaviour, validated(requests), context)

    return grpc.stream_stream_rpc_method_handler(
        serve, handler.request_deserializer, handler.response_serializer
    )


async def _respond(behaviour: Callable[..., Any], request: Any, context: ServicerContext) -> None:
    """Write the responses from this task, so that a generator's `finally` runs here when the caller hangs up."""
    if inspect.isasyncgenfunction(behaviour):
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)
    else:
        await behaviour(request, context)


_WRAPPERS = {
    (False, False): _unary_unary,
    (False, True): _unary_stream,
    (True, False): _stream_unary,
    (True, True): _stream_stream,
}
