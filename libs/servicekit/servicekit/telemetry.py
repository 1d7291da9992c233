"""Tracing with OpenTelemetry, when PENSTOCK_OTLP_ENDPOINT says where spans go; needs the extra `tracing`.

Without it a request still carries its W3C trace context through every hop and log line, which costs next to nothing.
OpenTelemetry's tracer provider is one a process by its own design, and so is what stands here.
"""

from collections.abc import Sequence
from contextvars import Token
from typing import Any

import grpc
import grpc.aio
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

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
    trace.set_tracer_provider(provider)


def stop() -> None:
    """Send what is left, for a bounded time."""
    if enabled():
        trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined] # the SDK's has it, the API's has not


def enabled() -> bool:
    """Tell whether spans are recorded in this process."""
    return hasattr(trace.get_tracer_provider(), "add_span_processor")


def client_interceptors() -> Sequence[Any]:
    """Give the interceptors that make a span of each unary RPC called; none when tracing is off.

    The instrumentation's interceptors for streams hide `read` and `write` of a call: streams have server spans only.
    """
    if not enabled():
        return ()
    from opentelemetry.instrumentation.grpc import aio_client_interceptors  # noqa: PLC0415 - an extra

    interceptors: Sequence[Any] = aio_client_interceptors()  # type: ignore[no-untyped-call]
    return tuple(each for each in interceptors if isinstance(each, grpc.aio.UnaryUnaryClientInterceptor))


class ServerSpan:
    """The span of one RPC served.

    The instrumentation's server interceptor wraps streams in a generator of its own, which a hang-up would close
    outside of the RPC's task; ours lives inside of it.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, method: str, traceparent: str) -> None:
        service, _, name = method.removeprefix("/").partition("/")
        self._span = trace.get_tracer("servicekit").start_span(
            method.removeprefix("/"),
            context=_remote(traceparent) if traceparent else otel_context.Context(),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )
        self._token: Token[Any] = otel_context.attach(trace.set_span_in_context(self._span))

    @property
    def traceparent(self) -> str:
        """The W3C trace context that names this span."""
        span = self._span.get_span_context()
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"

    def end(self, code: grpc.StatusCode) -> None:
        """End the span with the RPC's code."""
        self._span.set_attribute("rpc.grpc.status_code", code.value[0])
        if code in _SERVER_FAULTS:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
        otel_context.detach(self._token)


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
