"""The other services, as the router calls them: lists through coalescers, streams as they are. A file a peer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc.aio
from penstock.billing.v1 import hold_service_pb2
from penstock.cache.v1 import cache_service_pb2
from penstock.inference.v1 import inference_service_pb2
from servicekit.channel import connect
from servicekit.coalesce import Coalescer, CoalescerLimits
from servicekit.metrics import Metrics
from servicekit.session.channel import SessionChannel

from penstock_router.peers.billing import BillingPeer
from penstock_router.peers.cache import CachePeer
from penstock_router.peers.calls import ListCall, unavailable
from penstock_router.peers.guardrail import GuardrailPeer, OutputInspection
from penstock_router.peers.inference import InferencePeer
from penstock_router.settings import RouterSettings

__all__ = [
    "BillingPeer",
    "CachePeer",
    "GuardrailPeer",
    "InferencePeer",
    "ListCall",
    "OutputInspection",
    "Peers",
    "connect_peers",
    "unavailable",
]


# What no caller waits for goes in long lists: most of a list's cost is the list's.
_UNHURRIED: dict[str, Any] = {"lists_max": 1, "linger_seconds": 0.05, "linger_seconds_an_item": 0.002}


@dataclass(frozen=True, slots=True)
class Peers:
    """All four."""

    guardrail: GuardrailPeer
    cache: CachePeer
    billing: BillingPeer
    inference: InferencePeer


@asynccontextmanager
async def connect_peers(settings: RouterSettings, metrics: Metrics) -> AsyncIterator[Peers]:
    """Open channels to all peers; on exit what was submitted is answered before they close."""
    async with AsyncExitStack() as stack:

        async def channel(address: str, *services: Any) -> grpc.aio.Channel:
            opened = SessionChannel(connect(address, services), services)
            opened.get_state(try_to_connect=True)  # or the first request would find its peers not ready
            return await stack.enter_async_context(opened)

        def coalesced(
            name: str, call: ListCall[Any, Any], seconds_max: float, *, awaited: bool = True
        ) -> Coalescer[Any, Any]:
            limits = CoalescerLimits(linger_seconds=settings.linger_seconds, call_seconds_max=seconds_max)
            if not awaited:
                limits = replace(limits, **_UNHURRIED)
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
