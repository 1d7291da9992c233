"""Single flight: of equal questions at the same time one is generated, and all get its answer as it comes.

Who leads is the cache's decision, for all replicas. Followers in the leader's process read its events; those elsewhere
wait until its answer is kept. A leader that gives up or dies hands over: by word, or by its lease.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from penstock.cache.v1 import cache_service_pb2
from servicekit.errors import ServiceError
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_router.operation import Operation
from penstock_router.peers import CachePeer
from penstock_router.providers import Event

RENEW_SECONDS = 1.5  # a lease lasts several of them
RENEWALS_MAX = 1024

log = get_logger(__name__)


class FlightLostError(Exception):
    """The leader gave up before its answer was whole."""


class Flight:
    """One generation, as those who follow it in this process see it."""

    def __init__(self, leader: Operation) -> None:
        self.leader = leader
        self.whole = False
        self._events: list[Event] = []
        self._over = False
        self._changed = asyncio.Event()

    def publish(self, event: Event) -> None:
        """Show the next event."""
        self._events.append(event)
        self._wake()

    def end(self, *, whole: bool) -> None:
        """Say that no more events come."""
        self.whole, self._over = whole, True
        self._wake()

    async def events(self) -> AsyncIterator[Event]:
        """Give every event from the first on.

        Raises:
            FlightLostError: the leader gave up; what came is not whole.
        """
        position = 0
        while True:
            changed = self._changed
            while position < len(self._events):
                yield self._events[position]
                position += 1
            if self._over and position == len(self._events):
                break
            if changed is self._changed:
                await changed.wait()
        if not self.whole:
            raise FlightLostError

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Flights:
    """The flights that are led in this process."""

    def __init__(self, cache: CachePeer, metrics: Metrics) -> None:
        self._cache = cache
        self._led: dict[str, Flight] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._followed = metrics.counter(
            "flights_followed_total", "Requests answered by another's generation."
        )

    def of(self, operation: Operation) -> Flight | None:
        """Give the flight that an operation follows, if its leader is in this process."""
        return self._led.get(operation.leader_id) if operation.leader_id != operation.id else None

    @contextmanager
    def led(self, operation: Operation) -> Iterator[Flight | None]:
        """Lead a flight while generating; it is whole if the block ends by itself. None: nobody may follow."""
        grant = operation.grant
        if operation.leader_id != operation.id or (grant is not None and grant.clamped):
            yield None
            return
        flight = self._led[operation.id] = Flight(operation)
        whole = False
        try:
            yield flight
            whole = True
        finally:
            del self._led[operation.id]
            flight.end(whole=whole)

    def followed(self) -> None:
        """Count a request that another's generation answered."""
        self._followed.inc()

    def give_up(self, operation: Operation) -> None:
        """Tell the cache that no answer will be kept, so that whoever waits leads next."""
        task = asyncio.create_task(self._tell(operation))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def run(self) -> None:
        """Renew the leases of the flights for ever."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            leaders = [flight.leader for flight in self._led.values()]
            for first in range(0, len(leaders), RENEWALS_MAX):
                try:
                    await self._cache.renew_flights(
                        [_reference(each) for each in leaders[first : first + RENEWALS_MAX]]
                    )
                except ServiceError as error:
                    log.info("flights_not_renewed", reason=error.reason)

    async def _tell(self, operation: Operation) -> None:
        try:
            await self._cache.end_flight(_reference(operation))
        except ServiceError as error:
            log.info("flight_not_ended", reason=error.reason)  # its lease ends


def _reference(operation: Operation) -> cache_service_pb2.FlightReference:
    reference = cache_service_pb2.FlightReference(context=operation.context, flight_id=operation.id)
    reference.context.ClearField("deadline_time")
    return reference
