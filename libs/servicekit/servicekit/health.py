"""grpc.health.v1 for a service: SERVING only while it takes work and all it needs is up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit.logging import get_logger
from servicekit.metrics import Metrics

Probe = Callable[[], Awaitable[object]]

PROBE_INTERVAL_SECONDS = 1.0
PROBE_TIMEOUT_SECONDS = 1.0
FAILURES_MAX = 2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

log = get_logger(__name__)


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # grpc_health ships no types
    """Answer health checks of all names of a service, which rise and fall together.

    grpc_health's own servicer forgets watchers when one of several leaves, and keeps Watch streams open while a
    server stops; here they end.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names) | {""}
        self._status = NOT_SERVING
        self._stopping = False
        self._changed = asyncio.Condition()

    @property
    def serving(self) -> bool:
        """Tell whether work is taken."""
        return bool(self._status == SERVING)

    async def set_serving(self, serving: bool) -> None:
        """Set the status and tell the watchers; ignored while stopping."""
        if not self._stopping:
            await self._set(SERVING if serving else NOT_SERVING)

    async def stop(self) -> None:
        """Say NOT_SERVING from now on, and end the watches."""
        self._stopping = True
        await self._set(NOT_SERVING)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        """Answer once."""
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "No such service.")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        """Answer now and on every change, until the server stops."""
        sent = None
        while True:
            async with self._changed:
                while sent == (status := self._status_of(request.service)):
                    if self._stopping:
                        return
                    await self._changed.wait()
            await context.write(health_pb2.HealthCheckResponse(status=status))
            sent = status

    def _status_of(self, name: str) -> int:
        return int(self._status if name in self._names else SERVICE_UNKNOWN)

    async def _set(self, status: int) -> None:
        async with self._changed:
            self._status = status
            self._changed.notify_all()


class DependencyWatch:
    """Probe what a service needs; its health falls after two failures in a row and rises with one success."""

    def __init__(self, probes: Mapping[str, Probe], health: Health, metrics: Metrics) -> None:
        self._probes = probes
        self._health = health
        self._up = metrics.gauge("dependency_up", "1 while the dependency answers its probe.", ["dependency"])
        # Until the first success nothing is known to be up.
        self._failures = dict.fromkeys(probes, FAILURES_MAX - 1)

    async def check(self) -> None:
        """Probe everything once and set the health."""
        await asyncio.gather(*(self._probe(name, probe) for name, probe in self._probes.items()))
        await self._health.set_serving(all(count < FAILURES_MAX for count in self._failures.values()))

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self.check()
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)

    async def _probe(self, name: str, probe: Probe) -> None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await probe()
        except Exception as error:  # noqa: BLE001 - whatever a probe raises means: down
            self._failures[name] += 1
            self._up.labels(name).set(0)
            if self._failures[name] == FAILURES_MAX:
                log.warning("dependency_down", dependency=name, error=type(error).__name__)
        else:
            if self._failures[name] >= FAILURES_MAX:
                log.info("dependency_up", dependency=name)
            self._failures[name] = 0
            self._up.labels(name).set(1)
