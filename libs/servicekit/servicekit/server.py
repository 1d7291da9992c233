"""Run a service: start, health, drain, stop. Nothing here is global: several services can share a process."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
import structlog
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from servicekit.channel import MESSAGE_BYTES_MAX
from servicekit.health import DependencyWatch, Health, Probe
from servicekit.http import serve_http, text
from servicekit.in_flight import InFlight
from servicekit.interceptors import RequestInterceptor
from servicekit.logging import configure_logging, get_logger
from servicekit.metrics import Metrics
from servicekit.settings import BAD_SETTING_EXIT_CODE, ServiceSettings

FINALLY_SECONDS_MAX = 5.0
LAG_INTERVAL_SECONDS = 0.5
FAILED_EXIT_CODE = 1

log = get_logger(__name__)

AddServicer = Callable[[Any, Any], None]
SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


@dataclass(frozen=True)
class Service:
    """One service, composed and ready to be run.

    Args:
        settings: where to listen and how to drain.
        servicers: pairs of the generated `add_XServicer_to_server` and the servicer.
        metrics: the service's own registry.
        dependencies: async probes by name; the service is NOT_SERVING while one fails.
    """

    settings: ServiceSettings
    servicers: Sequence[tuple[AddServicer, Any]]
    metrics: Metrics = field(default_factory=Metrics)
    dependencies: Mapping[str, Probe] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started service listens."""

    host: str
    grpc_port: int
    http_port: int
    health: Health
    in_flight: InFlight

    @property
    def address(self) -> str:
        """The address for `connect`."""
        return f"{self.host}:{self.grpc_port}"


class PortInUseError(Exception):
    """The port is taken; the message says by which setting to change it."""


def run(
    build: Callable[[SettingsT], AbstractAsyncContextManager[Service]], settings_class: type[SettingsT]
) -> NoReturn:
    """Be the main program of a service: read settings, serve until SIGTERM or SIGINT, drain, exit.

    `build` is the composition root, an async context manager that yields the Service; what it opened closes
    in reverse order after the drain. Exit codes: 0 drained, 1 failed, 2 a bad setting or a port in use.
    """
    settings = settings_class.load()
    if settings.sched_batch:
        set_scheduling()
    configure_logging(settings.service, settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve_until_signal(build(settings)))
        except PortInUseError as error:
            print(error, file=sys.stderr)  # noqa: T201 - for the person who started it
            sys.exit(BAD_SETTING_EXIT_CODE)
        except asyncio.CancelledError:
            log.warning("stopped_early")
            sys.exit(FAILED_EXIT_CODE)
        except Exception:
            log.exception("failed")
            sys.exit(FAILED_EXIT_CODE)
    sys.exit(0)


def set_scheduling() -> None:
    """Put every thread of this process under SCHED_BATCH (sched(7)).

    Fewer wake-up preemptions make longer lists and less CPU a request. Threads inherit it, so it is set before
    any is started; those that exist are set as well.
    """
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setscheduler(int(thread.name), os.SCHED_BATCH, os.sched_param(0))


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Running]:
    """Start a service in this process on entry; drain and stop it on exit."""
    settings = service.settings
    structlog.contextvars.bind_contextvars(service=settings.service)
    in_flight = InFlight()
    handlers = _Handlers()
    for add, servicer in service.servicers:
        add(servicer, handlers)
    health = Health(handlers.names)
    server = _make_server(service, handlers, health, in_flight)
    grpc_port = _bind(server, settings)
    http = await _start_http(service, health)
    await server.start()
    watch = DependencyWatch(service.dependencies, health, service.metrics)
    await watch.check()
    tasks = [asyncio.create_task(watch.run()), asyncio.create_task(_watch_lag(service.metrics))]
    http_port = http.sockets[0].getsockname()[1]
    log.info("started", host=settings.host, grpc_port=grpc_port, http_port=http_port)
    try:
        yield Running(settings.host, grpc_port, http_port, health, in_flight)
    finally:
        await _drain(server, health, in_flight, settings)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        http.close()
        log.info("stopped")


async def _serve_until_signal(building: AbstractAsyncContextManager[Service]) -> None:
    """Serve until SIGTERM or SIGINT; before that a signal ends the start, after it one cuts the drain short."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with building as service, running(service):
        gc.collect()
        gc.freeze()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        task.uncancel()


class _Handlers:
    """Stand in for a server while servicers register, to learn the names of their services."""

    def __init__(self) -> None:
        self.handlers: list[grpc.ServiceRpcHandler] = []

    @property
    def names(self) -> list[str]:
        return [handler.service_name() for handler in self.handlers]

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.ServiceRpcHandler]) -> None:
        self.handlers.extend(handlers)

    def add_registered_method_handlers(self, _service_name: str, _handlers: object) -> None:
        """Do nothing: grpc.aio serves from the generic handlers."""


def _make_server(
    service: Service, handlers: _Handlers, health: Health, in_flight: InFlight
) -> grpc.aio.Server:
    age_ms = int(service.settings.connection_age_seconds_max * 1000)
    grace_ms = int(service.settings.drain_seconds * 1000)
    server = grpc.aio.server(
        interceptors=(RequestInterceptor(service.metrics, in_flight),),
        options=(
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            # A second process on the port must fail, not share it.
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # Peers may ping as often as `connect` does.
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            # Connections are renewed, so that load spreads to new replicas.
            ("grpc.max_connection_age_ms", age_ms),
            ("grpc.max_connection_age_grace_ms", grace_ms),
        ),
    )
    server.add_generic_rpc_handlers(handlers.handlers)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = (
        *handlers.names,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    )
    reflection.enable_server_reflection(names, server)
    return server


def _bind(server: grpc.aio.Server, settings: ServiceSettings) -> int:
    try:
        return server.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
    except RuntimeError as error:
        raise PortInUseError(_port_in_use(settings, settings.grpc_port, "grpc_port")) from error


async def _start_http(service: Service, health: Health) -> asyncio.Server:
    settings, metrics = service.settings, service.metrics
    routes = {
        "/metrics": lambda: (200, metrics.content_type, metrics.exposition()),
        "/healthz": lambda: text(200, "ok"),
        "/readyz": lambda: text(200, "serving") if health.serving else text(503, "not serving"),
    }
    try:
        return await serve_http(settings.host, settings.http_port, routes)
    except OSError as error:
        raise PortInUseError(_port_in_use(settings, settings.http_port, "http_port")) from error


def _port_in_use(settings: ServiceSettings, port: int, field_name: str) -> str:
    return (
        f"{settings.service}: cannot listen on {settings.host}:{port}; is it in use? "
        f"Set {settings.variable(field_name)}, or PENSTOCK_PORT_OFFSET to move the whole stack."
    )


async def _drain(
    server: grpc.aio.Server, health: Health, in_flight: InFlight, settings: ServiceSettings
) -> None:
    """Say NOT_SERVING, let balancers notice, stop accepting, finish what was accepted with its `finally`s."""
    log.info("draining", in_flight=len(in_flight))
    await health.stop()
    await asyncio.sleep(settings.predrain_seconds)
    await server.stop(settings.drain_seconds)
    if not await in_flight.wait_idle(FINALLY_SECONDS_MAX):
        log.error("drain_incomplete", in_flight=len(in_flight))


async def _watch_lag(metrics: Metrics) -> None:
    """Measure how late the event loop wakes a sleeper: what every request waits on top."""
    lag = metrics.histogram("event_loop_lag_seconds", "How late the event loop runs what is due.")
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        lag.observe(max(0.0, loop.time() - due))
