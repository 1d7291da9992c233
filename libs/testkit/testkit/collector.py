"""An OpenTelemetry collector as far as traces go: it takes spans over OTLP and keeps them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

SERVICE_NAME = "service.name"


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """What a test asks about a span: ids are hexadecimal, empty where there is none."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """The spans that came, in the order in which they came."""

    def __init__(self) -> None:
        self.address = ""
        self.spans: list[ReceivedSpan] = []

    def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the stub's name
        """Keep what is exported."""
        for resource in request.resource_spans:
            names = (
                pair.value.string_value for pair in resource.resource.attributes if pair.key == SERVICE_NAME
            )
            service = next(names, "")
            self.spans += [_read(service, span) for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def of_trace(self, trace: str) -> list[ReceivedSpan]:
        """Give the spans of a trace."""
        return [span for span in self.spans if span.trace == trace]


def _read(service: str, span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
    )


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Take spans on a free port of 127.0.0.1."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
