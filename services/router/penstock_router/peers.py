"""The other services, as the router calls them: lists through coalescers, streams as they are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc.aio
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from penstock.billing.v1 import hold_service_pb2, hold_service_pb2_grpc
from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc
from penstock.context.v1 import request_context_pb2
from penstock.guardrail.v1 import finding_pb2, guardrail_service_pb2, guardrail_service_pb2_grpc
from penstock.inference.v1 import inference_service_pb2, inference_service_pb2_grpc
from servicekit.channel import connect
from servicekit.coalesce import Coalescer, CoalescerLimits
from servicekit.context import outgoing
from servicekit.errors import ServiceError, Unavailable, from_rpc_error, from_status
from servicekit.metrics import Metrics

from penstock_router.settings import RouterSettings

USAGE_POLLS_MAX = 20
USAGE_POLL_SECONDS = 0.05
USAGE_SECONDS_MAX = 1.0
PING_SECONDS_MAX = 1.0

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Peers:
    """All four."""

    guardrail: "GuardrailPeer"
    cache: "CachePeer"
    billing: "BillingPeer"
    inference: "InferencePeer"


@asynccontextmanager
async def connect_peers(settings: RouterSettings, metrics: Metrics) -> AsyncIterator[Peers]:
    """Open channels to all peers; on exit what was submitted is answered before they close."""
    async with AsyncExitStack() as stack:

        async def channel(address: str, *services: Any) -> grpc.aio.Channel:
            opened = await stack.enter_async_context(connect(address, services))
            opened.get_state(try_to_connect=True)  # or the first request would find its peers not ready
            return opened

        def coalesced(name: str, call: "ListCall[Any, Any]", seconds_max: float) -> Coalescer[Any, Any]:
            limits = CoalescerLimits(linger_seconds=settings.linger_seconds, call_seconds_max=seconds_max)
            coalescer = Coalescer[Any, Any](
                call, name=name, metrics=metrics, limits=limits, size=lambda item: item.ByteSize()
            )
            stack.push_async_callback(coalescer.close)
            return coalescer

        guardrail = await channel(settings.guardrail_address)
        cache = await channel(settings.cache_address, _service(cache_service_pb2))
        billing = await channel(settings.billing_address, _service(hold_service_pb2))
        inference = await channel(settings.inference_address, _service(inference_service_pb2))
        yield Peers(
            GuardrailPeer(guardrail, coalesced, settings),
            CachePeer(cache, coalesced, settings),
            BillingPeer(billing, coalesced, settings),
            InferencePeer(inference, coalesced, settings),
        )


def _service(module: Any) -> Any:
    (service,) = module.DESCRIPTOR.services_by_name.values()
    return service


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


Coalesced = Callable[[str, ListCall[Any, Any], float], Coalescer[Any, Any]]


class GuardrailPeer:
    """Inspects texts, whole and as they flow."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        self._channel = channel
        self._stub = guardrail_service_pb2_grpc.GuardrailServiceStub(channel)
        self._dependency = "guardrail"
        call = ListCall[Any, Any](
            self._stub.Inspect,
            guardrail_service_pb2.InspectRequest,
            dependency=self._dependency,
            seconds_max=settings.peer_seconds_max,
        )
        self._inspect = coalesced("guardrail.Inspect", call, settings.peer_seconds_max)

    async def inspect(self, item: guardrail_service_pb2.InspectItem) -> guardrail_service_pb2.InspectResult:
        """Decide on whole texts."""
        result: guardrail_service_pb2.InspectResult = await self._inspect.submit(item)
        return result

    async def ping(self) -> None:
        """Probe its health, for `Service.dependencies`."""
        await _check_serving(self._channel)

    @asynccontextmanager
    async def inspect_stream(
        self, context: request_context_pb2.RequestContext, session: str
    ) -> AsyncIterator["OutputInspection"]:
        """Open the inspection of an answer that flows."""
        call = self._stub.InspectStream(**outgoing())
        try:
            inspection = OutputInspection(call, self._dependency)
            await inspection.open(context, session)
            yield inspection
        finally:
            call.cancel()


class OutputInspection:
    """An answer under inspection: text goes in, what may leave comes out."""

    def __init__(self, call: Any, dependency: str) -> None:
        self._call = call
        self._dependency = dependency

    async def open(self, context: request_context_pb2.RequestContext, session: str) -> None:
        """Say who asks and which redactions to restore."""
        request = guardrail_service_pb2.InspectStreamRequest()
        request.open.context.CopyFrom(context)
        request.open.direction = finding_pb2.DIRECTION_OUTPUT
        request.open.redaction_session = session
        await self._write(request)

    async def feed(self, index: int, text: str) -> guardrail_service_pb2.InspectStreamResponse:
        """Bring text of one answer and get what may leave."""
        request = guardrail_service_pb2.InspectStreamRequest()
        request.delta.choice_index = index
        request.delta.text = text
        return await self._exchange(request)

    async def finish(self, index: int) -> guardrail_service_pb2.InspectStreamResponse:
        """End one answer and get what was held back."""
        request = guardrail_service_pb2.InspectStreamRequest()
        request.finish.choice_index = index
        return await self._exchange(request)

    async def _exchange(
        self, request: guardrail_service_pb2.InspectStreamRequest
    ) -> guardrail_service_pb2.InspectStreamResponse:
        await self._write(request)
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, self._dependency) from error
        if not isinstance(response, guardrail_service_pb2.InspectStreamResponse):
            raise self._ended()
        return response

    async def _write(self, request: guardrail_service_pb2.InspectStreamRequest) -> None:
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, self._dependency) from error
        except asyncio.InvalidStateError as error:
            raise self._ended() from error

    def _ended(self) -> Unavailable:
        return Unavailable(
            "DEPENDENCY_UNAVAILABLE",
            f"{self._dependency} ended the inspection; retry.",
            metadata={"dependency": self._dependency},
        )


class CachePeer:
    """Answers from memory. It is not waited for: a cache that is away is a miss."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        stub = cache_service_pb2_grpc.CacheServiceStub(channel)
        seconds = settings.cache_seconds_max
        lookup = ListCall[Any, Any](
            stub.Lookup,
            cache_service_pb2.LookupRequest,
            dependency="cache",
            seconds_max=seconds,
            wait_for_ready=False,
        )
        store = ListCall[Any, Any](
            stub.Store,
            cache_service_pb2.StoreRequest,
            dependency="cache",
            seconds_max=seconds,
            wait_for_ready=False,
        )
        self._lookup = coalesced("cache.Lookup", lookup, seconds)
        self._store = coalesced("cache.Store", store, seconds)

    async def lookup(self, item: cache_service_pb2.LookupItem) -> cache_service_pb2.LookupResult:
        """Look for an answer."""
        result: cache_service_pb2.LookupResult = await self._lookup.submit(item)
        return result

    async def store(self, item: cache_service_pb2.StoreItem) -> None:
        """Keep an answer."""
        await self._store.submit(item)


class BillingPeer:
    """Admits operations and posts what they used."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        self.channel = channel
        stub = hold_service_pb2_grpc.HoldServiceStub(channel)
        seconds = settings.peer_seconds_max
        authorize = ListCall[Any, Any](
            stub.Authorize, hold_service_pb2.AuthorizeRequest, dependency="billing", seconds_max=seconds
        )
        self._authorize = coalesced("billing.Authorize", authorize, seconds)
        self.settle = ListCall[hold_service_pb2.SettleItem, hold_service_pb2.SettleResult](
            stub.Settle, hold_service_pb2.SettleRequest, dependency="billing", seconds_max=seconds
        )
        self.release = ListCall[hold_service_pb2.ReleaseItem, hold_service_pb2.ReleaseResult](
            stub.Release, hold_service_pb2.ReleaseRequest, dependency="billing", seconds_max=seconds
        )

    async def ping(self) -> None:
        """Probe its health, for `Service.dependencies`."""
        await _check_serving(self.channel)

    async def authorize(self, item: hold_service_pb2.AuthorizeItem) -> hold_service_pb2.AuthorizeResult:
        """Admit an operation and set money aside."""
        result: hold_service_pb2.AuthorizeResult = await self._authorize.submit(item)
        return result


class InferencePeer:
    """Generates, embeds and counts."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        self._stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        seconds = settings.peer_seconds_max
        count = ListCall[Any, Any](
            self._stub.CountTokens,
            inference_service_pb2.CountTokensRequest,
            dependency="inference",
            seconds_max=seconds,
        )
        self._count = coalesced("inference.CountTokens", count, seconds)
        self._embed: ListCall[inference_service_pb2.EmbedItem, inference_service_pb2.EmbedResult] = ListCall(
            self._stub.Embed,
            inference_service_pb2.EmbedRequest,
            dependency="inference",
            seconds_max=settings.first_token_seconds_max,
        )

    def generate(self, request: inference_service_pb2.GenerateRequest) -> Any:
        """Start a generation; iterate over the call, cancel it to stop."""
        return self._stub.Generate(request, **outgoing(wait_for_ready=False))

    async def count_tokens(
        self, item: inference_service_pb2.CountTokensItem
    ) -> inference_service_pb2.CountTokensResult:
        """Count the tokens of a prompt."""
        result: inference_service_pb2.CountTokensResult = await self._count.submit(item)
        return result

    async def embed(
        self, items: list[inference_service_pb2.EmbedItem]
    ) -> Sequence[inference_service_pb2.EmbedResult | ServiceError]:
        """Embed texts."""
        return await self._embed(items)

    async def ended_usage(self, operation_id: str, attempt: int) -> inference_service_pb2.AttemptUsage | None:
        """Read what an attempt produced, once it has stopped; None when the journal does not tell in time."""
        request = inference_service_pb2.GetUsageRequest()
        request.items.add(operation_id=operation_id)
        for _ in range(USAGE_POLLS_MAX):
            try:
                response = await self._stub.GetUsage(request, timeout=USAGE_SECONDS_MAX)
            except grpc.aio.AioRpcError:
                return None
            (result,) = response.results
            if result.status.code:
                return None
            for usage in result.attempts:
                if usage.attempt == attempt and usage.ended:
                    return usage
            await asyncio.sleep(USAGE_POLL_SECONDS)
        return None


async def _check_serving(channel: grpc.aio.Channel) -> None:
    request = health_pb2.HealthCheckRequest()
    response = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=PING_SECONDS_MAX)
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The peer is not serving.")
