"""The cache as the router calls it."""

from typing import Any

import grpc.aio
from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc
from servicekit.context import outgoing

from penstock_router.peers.calls import Coalesced, ListCall, unavailable
from penstock_router.settings import RouterSettings

FLIGHT_SECONDS_MAX = 600.0


class CachePeer:
    """Answers from memory. It is not waited for: a cache that is away is a miss."""

    def __init__(self, channel: grpc.aio.Channel, coalesced: Coalesced, settings: RouterSettings) -> None:
        self.channel = channel
        stub = cache_service_pb2_grpc.CacheServiceStub(channel)
        seconds = settings.cache_seconds_max

        def listed(method: Any, request: Any) -> ListCall[Any, Any]:
            return ListCall(method, request, dependency="cache", seconds_max=seconds, wait_for_ready=False)

        lookup = listed(stub.Lookup, cache_service_pb2.LookupRequest)
        self._lookup = coalesced("cache.Lookup", lookup, seconds)
        # Matching by meaning takes its time, for which those who do not ask for it need not wait.
        self._lookup_semantic = coalesced("cache.Lookup semantic", lookup, seconds)
        store = listed(stub.Store, cache_service_pb2.StoreRequest)
        self._store = coalesced("cache.Store", store, seconds, awaited=False)
        self._end_flights = stub.EndFlights
        self._renew_flights = stub.RenewFlights
        self._await_flight = stub.AwaitFlight
        self._seconds_max = seconds
        feedback = listed(stub.Feedback, cache_service_pb2.FeedbackRequest)
        self._feedback = coalesced("cache.Feedback", feedback, seconds, awaited=False)

    async def lookup(self, item: cache_service_pb2.LookupItem) -> cache_service_pb2.LookupResult:
        """Look for an answer."""
        lookup = self._lookup_semantic if item.query_text else self._lookup
        result: cache_service_pb2.LookupResult = await lookup.submit(item)
        return result

    async def store(self, item: cache_service_pb2.StoreItem) -> None:
        """Keep an answer."""
        await self._store.submit(item)

    async def await_flight(self, item: cache_service_pb2.LookupItem) -> cache_service_pb2.LookupResult:
        """Wait for the answer that another replica generates."""
        request = cache_service_pb2.AwaitFlightRequest(item=item)
        response = await self._call(self._await_flight, request, FLIGHT_SECONDS_MAX)
        result: cache_service_pb2.LookupResult = response.result
        return result

    async def end_flight(self, reference: cache_service_pb2.FlightReference) -> None:
        """Give a flight up."""
        await self._call(
            self._end_flights, cache_service_pb2.EndFlightsRequest(items=[reference]), self._seconds_max
        )

    async def renew_flights(self, references: list[cache_service_pb2.FlightReference]) -> None:
        """Lengthen leases."""
        request = cache_service_pb2.RenewFlightsRequest(items=references)
        await self._call(self._renew_flights, request, self._seconds_max)

    async def _call(self, method: Any, request: Any, seconds_max: float) -> Any:
        try:
            return await method(request, **outgoing(seconds_max, wait_for_ready=False))
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, "cache") from error

    async def compare(self, item: cache_service_pb2.FeedbackItem) -> None:
        """Show what was generated beside what would have been found."""
        await self._feedback.submit(item)
