"""Run a service: start, health, drain, stop. Nothing here is global: several services can share a process."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import grpc.aio
import structlog
import uvloop

from servicekit import telemetry
from servicekit.background import background
from servicekit.health import DependencyWatch, Health, Probe
from servicekit.http import open_http, text
from servicekit.in_flight import InFlight
from servicekit.listener import Handlers, PortInUseError, make_server
from servicekit.logging import configure_logging, get_logger
from servicekit.metrics import Metrics, watch_lag
from servicekit.settings import BAD_SETTING_EXIT_CODE, ServiceSettings

GATE_SECONDS = 0.05
FINALLY_SECONDS_MAX = 5.0
FAILED_EXIT_CODE = 1
GARBAGE_OBJECTS_MIN = (
    20_000  # of a busy process this many live anyway: to look through them more often finds nothing
)

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
    telemetry.start(settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
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
    finally:
        telemetry.stop()
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
    """Start a service in this process on entry; drain and stop it on exit.

    Raises:
        PortInUseError: on entry.
    """
    settings, metrics, in_flight = service.settings, service.metrics, InFlight()
    structlog.contextvars.bind_contextvars(service=settings.service)
    handlers = Handlers()
    for add, servicer in service.servicers:
        add(servicer, handlers)
    health = Health(handlers.names)
    server, grpc_port = make_server(settings, handlers, health, metrics=metrics, in_flight=in_flight)
    async with AsyncExitStack() as stack:
        http_port = await _open_http(stack, service, health)
        watch = DependencyWatch(service.dependencies, health, metrics)
        await watch.check()
        await stack.enter_async_context(background(watch.run(), "dependency watch"))
        await stack.enter_async_context(background(watch_lag(metrics), "lag watch"))
        await server.start()
        stack.push_async_callback(_drain, server, health, in_flight, settings)
        log.info("started", host=settings.host, grpc_port=grpc_port, http_port=http_port)
        yield Running(settings.host, grpc_port, http_port, health, in_flight)
    log.info("stopped")


async def _serve_until_signal(building: AbstractAsyncContextManager[Service]) -> None:
    """Serve until SIGTERM or SIGINT; one that comes earlier ends the start, a second one cuts the drain short."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with building as service, running(service):
        # What was made until now stays for good: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS_MIN)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        task.uncancel()


async def _open_http(stack: AsyncExitStack, service: Service, health: Health) -> int:
    metrics = service.metrics
    routes = {
        "/metrics": lambda: (200, metrics.content_type, metrics.exposition()),
        "/healthz": lambda: text(200, "ok"),
        "/readyz": lambda: text(200, "serving") if health.serving else text(503, "not serving"),
    }
    try:
        opening = open_http(service.settings.host, service.settings.http_port, routes)
        return await stack.enter_async_context(opening)
    except OSError as error:
        raise PortInUseError(service.settings, "http_port") from error


async def _drain(
    server: grpc.aio.Server, health: Health, in_flight: InFlight, settings: ServiceSettings
) -> None:
    """Say NOT_SERVING, let balancers notice, stop, and finish what was accepted with its `finally` blocks.

    What has arrived and was not begun when gRPC stops is answered CANCELLED, as if it had failed. So what comes in the
    last moment waits at the gate, where it counts as begun, until callers were told to go elsewhere (GOAWAY).
    """
    log.info("draining", in_flight=len(in_flight))
    await health.stop()
    await asyncio.sleep(settings.predrain_seconds)
    in_flight.draining.set()
    moment = GATE_SECONDS if len(in_flight) else 0.0
    in_flight.gate.clear()
    await asyncio.sleep(moment)
    stopping = asyncio.create_task(server.stop(settings.drain_seconds))
    await asyncio.sleep(moment)
    in_flight.gate.set()
    await stopping
    if not await in_flight.wait_idle(FINALLY_SECONDS_MAX):
        log.error("drain_incomplete", in_flight=len(in_flight))
