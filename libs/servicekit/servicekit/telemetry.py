"""Tracing with OpenTelemetry, when PENSTOCK_OTLP_ENDPOINT says where spans go; needs the extra `tracing`.

Without it a request still carries its W3C trace context through every hop and log line, which costs next to nothing.
OpenTelemetry's tracer provider is one a process by its own design, and so is what stands here.
"""

import logging
import threading
from collections.abc import Sequence
from contextvars import Token
from typing import Any

import grpc
import grpc.aio
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from servicekit.context import TRACEPARENT
from servicekit.settings import ServiceSettings

EXPORT_SECONDS_MAX = 5


def start(settings: ServiceSettings) -> None:
    """Send the spans of this process to the collector; do nothing without an endpoint."""
    if not settings.otlp_endpoint:
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create({"service.namespace": "penstock", "service.name": settings.service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(settings.otlp_endpoint, insecure=True, timeout=EXPORT_SECONDS_MAX)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    # A line for each batch that is lost says enough, without one for each attempt.
    logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter").setLevel(logging.ERROR)
    trace.set_tracer_provider(provider)


def stop() -> None:
    """Send what is left, for a bounded time: the SDK's own bound is 30 s, in which a process would be killed."""
    if enabled():
        shutdown = trace.get_tracer_provider().shutdown  # type: ignore[attr-defined] # the SDK's has it, the API's has not
        sending = threading.Thread(target=shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(EXPORT_SECONDS_MAX)


def enabled() -> bool:
    """Tell whether spans are recorded in this process."""
    return hasattr(trace.get_tracer_provider(), "add_span_processor")


def client_interceptors() -> Sequence[Any]:
    """Give the interceptors that make a span of each unary RPC called; none when tracing is off.

    The instrumentation's interceptors for streams hide `read` and `write` of a call: streams have server spans only.
    Probes of health have none: each would be a trace.
    """
    if not enabled():
        return ()
    from opentelemetry.instrumentation.grpc import aio_client_interceptors, filters  # noqa: PLC0415 - an extra

    interceptors: Sequence[Any] = aio_client_interceptors(filter_=filters.negate(filters.health_check()))  # type: ignore[no-untyped-call]
    unary = (each for each in interceptors if isinstance(each, grpc.aio.UnaryUnaryClientInterceptor))
    return (_InTraceOfCall(), *unary)


class _InTraceOfCall(grpc.aio.UnaryUnaryClientInterceptor):
    """Begins a call's span in the trace that its metadata name: its task may have been begun by another request."""

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        traceparent = dict(client_call_details.metadata or ()).get("traceparent", "")
        token = otel_context.attach(_remote(traceparent) if traceparent else otel_context.Context())
        try:
            return await continuation(client_call_details, request)
        finally:
            otel_context.detach(token)


class ServerSpan:
    """The span of one RPC served, and of the items of its list.

    The instrumentation's server interceptor wraps streams in a generator of its own, which a hang-up would close
    outside of the RPC's task; ours lives inside of it.
    """

    __slots__ = ("_attributes", "_items", "_name", "_span", "_token")

    def __init__(self, method: str, traceparent: str) -> None:
        self._name = method.removeprefix("/")
        service, _, name = self._name.partition("/")
        self._attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        self._span = self._start(_remote(traceparent) if traceparent else otel_context.Context(), ())
        self._items: Sequence[Span] = ()
        self._token: Token[Any] = otel_context.attach(trace.set_span_in_context(self._span))

    @property
    def traceparent(self) -> str:
        """The W3C trace context that names this span."""
        span = self._span.get_span_context()
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"

    def carry(self, request: Any) -> None:
        """Give each item of a list a span in its own request's trace, with a link to the span of the list.

        A list of one is called in its request's trace and needs none.
        """
        links = (Link(self._span.get_span_context()),)
        own = self.traceparent[3:35]
        self._items = [
            self._start(_remote(traceparent), links)
            for item in getattr(request, "items", ())
            if TRACEPARENT.fullmatch(traceparent := _traceparent_of(item)) and traceparent[3:35] != own
        ]

    def end(self, code: grpc.StatusCode) -> None:
        """End the spans with the RPC's code."""
        for span in (*self._items, self._span):
            span.set_attribute("rpc.grpc.status_code", code.value[0])
            if code in _SERVER_FAULTS:
                span.set_status(Status(StatusCode.ERROR))
            span.end()
        otel_context.detach(self._token)

    def _start(self, parent: otel_context.Context, links: Sequence[Link]) -> Span:
        tracer = trace.get_tracer("servicekit")
        return tracer.start_span(self._name, parent, SpanKind.SERVER, self._attributes, links)


def _traceparent_of(item: Any) -> str:
    traceparent: str = getattr(getattr(item, "context", None), "traceparent", "")
    return traceparent


# What OpenTelemetry's RPC conventions count as an error of the server and not of the caller.
_SERVER_FAULTS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


def _remote(traceparent: str) -> otel_context.Context:
    _, trace_id, span_id, flags = traceparent.split("-")
    trace_flags = TraceFlags(int(flags, 16))
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace_flags)
    return trace.set_span_in_context(NonRecordingSpan(parent))
