"""How a peer is called: a list RPC as a function, its failures as errors of ours, its health as a probe."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import grpc.aio
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from servicekit.coalesce import Coalescer
from servicekit.context import outgoing
from servicekit.errors import ServiceError, Unavailable, from_rpc_error, from_status

PING_SECONDS_MAX = 1.0

Item = TypeVar("Item")
Result = TypeVar("Result")


class ListCall(Generic[Item, Result]):
    """A list RPC as a function from items to results; an item that failed is its ServiceError."""

    def __init__(
        self,
        method: Callable[..., Awaitable[Any]],
        request: Callable[..., Any],
        *,
        dependency: str,
        seconds_max: float,
        wait_for_ready: bool = True,
    ) -> None:
        self._method = method
        self._request = request
        self._dependency = dependency
        self._seconds_max = seconds_max
        self._wait_for_ready = wait_for_ready

    async def __call__(self, items: list[Item]) -> Sequence[Result | ServiceError]:
        """Send the items and give their results in order."""
        options = outgoing(self._seconds_max, wait_for_ready=self._wait_for_ready)
        try:
            response = await self._method(self._request(items=items), **options)
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, self._dependency) from error
        return [_failed(result.status) or result for result in response.results]


def _failed(status: status_pb2.Status) -> ServiceError | None:
    return from_status(status) if status.code else None


def unavailable(error: grpc.aio.AioRpcError, dependency: str) -> ServiceError:
    """Say which dependency failed when gRPC only says that something did."""
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return Unavailable(
            "DEPENDENCY_UNAVAILABLE",
            f"{dependency} does not answer; retry.",
            metadata={"dependency": dependency},
        )
    return from_rpc_error(error)


class Coalesced(Protocol):
    """Makes coalescers."""

    def __call__(
        self, name: str, call: ListCall[Any, Any], seconds_max: float, *, awaited: bool = True
    ) -> Coalescer[Any, Any]:
        """Make one for a list RPC; not awaited: no caller waits for its results."""


async def check_serving(channel: grpc.aio.Channel) -> None:
    """Raise Unavailable unless the peer says that it serves."""
    request = health_pb2.HealthCheckRequest()
    response = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=PING_SECONDS_MAX)
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The peer is not serving.")
