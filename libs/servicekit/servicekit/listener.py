"""Make the grpc.aio server of a service: limits, keepalive, interceptors, health, reflection, port."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from penstock.session.v1 import session_service_pb2_grpc

from servicekit.channel import MESSAGE_BYTES_MAX
from servicekit.context import TIMEOUT_SECONDS_MAX
from servicekit.health import Health
from servicekit.in_flight import InFlight
from servicekit.interceptors import RequestInterceptor
from servicekit.metrics import Metrics
from servicekit.session.servicer import SessionServicer
from servicekit.settings import ServiceSettings

HEALTH_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class PortInUseError(Exception):
    """The port is taken; the message says by which setting to change it."""

    def __init__(self, settings: ServiceSettings, field: str) -> None:
        super().__init__(
            f"{settings.service}: cannot listen on {settings.host}:{getattr(settings, field)}; is it in use? "
            f"Set {settings.variable(field)}, or PENSTOCK_PORT_OFFSET to move the whole stack."
        )


class _CallDetails(NamedTuple):
    """grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: Sequence[tuple[str, str]]


class Handlers:
    """Stands in for a server while servicers register, to learn the names of their services."""

    def __init__(self) -> None:
        self._handlers: list[grpc.ServiceRpcHandler] = []

    @property
    def names(self) -> list[str]:
        """The full names of the services."""
        return [handler.service_name() for handler in self._handlers]

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.ServiceRpcHandler]) -> None:
        """Take what generated code registers."""
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, _service_name: str, _handlers: object) -> None:
        """Take nothing: these are the same methods again."""

    def find(self, method: str) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Give the handler of a method by its path."""
        details: Any = _CallDetails(method, ())
        return next((found for each in self._handlers if (found := each.service(details)) is not None), None)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register everything with the real server."""
        server.add_generic_rpc_handlers(self._handlers)


def make_server(
    settings: ServiceSettings, handlers: Handlers, health: Health, *, metrics: Metrics, in_flight: InFlight
) -> tuple[grpc.aio.Server, int]:
    """Give a server that is bound and not started, and its port.

    Raises:
        PortInUseError: somebody else listens there.
    """
    interceptor = RequestInterceptor(metrics, in_flight)

    def find(method: str) -> Any:
        return interceptor.wrapped(method, handlers.find)

    session = SessionServicer(find, in_flight, settings.concurrent_rpcs_max, metrics)
    server = grpc.aio.server(
        interceptors=(interceptor,),
        options=_options(settings),
        maximum_concurrent_rpcs=settings.concurrent_rpcs_max,
    )
    handlers.add_to(server)
    session_service_pb2_grpc.add_SessionServiceServicer_to_server(session, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((*handlers.names, HEALTH_NAME, reflection.SERVICE_NAME), server)
    try:
        port = server.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
    except RuntimeError as error:
        raise PortInUseError(settings, "grpc_port") from error
    return server, port


def _options(settings: ServiceSettings) -> Sequence[tuple[str, Any]]:
    return (
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        # A second process on the port must fail, not share it.
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Peers may ping as often as `connect` does.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        # Connections are renewed, so that load spreads to new replicas; what runs on one may end first.
        ("grpc.max_connection_age_ms", int(settings.connection_age_seconds_max * 1000)),
        ("grpc.max_connection_age_grace_ms", int(TIMEOUT_SECONDS_MAX * 1000)),
    )
