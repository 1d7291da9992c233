"""The cache as the router calls it."""

from typing import Any

import grpc.aio
from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc

from penstock_router.peers.calls import Coalesced, ListCall
from penstock_router.settings import RouterSettings


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
