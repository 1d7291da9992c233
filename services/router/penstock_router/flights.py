"""Single flight: of equal questions at the same time one is generated, and all get its answer as it comes.

Who leads is the cache's decision, for all replicas. Followers in the leader's process read its events; those elsewhere
wait until its answer is kept. A leader that gives up or dies hands over: by word, or by its lease.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from penstock.cache.v1 import cache_service_pb2
from penstock.router.v1 import chat_completion_pb2
from servicekit.errors import ServiceError
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_router.answer import events_of
from penstock_router.attempt import Attempt
from penstock_router.generation import interrupted
from penstock_router.operation import Operation
from penstock_router.peers import CachePeer
from penstock_router.providers import Event

RENEW_SECONDS = 1.5  # a lease lasts several of them
RENEWALS_MAX = 1024

Recall = Callable[[], Awaitable[chat_completion_pb2.ChatCompletion | None]]

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
        self._changed: asyncio.Event | None = None  # made by the first who waits

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
            while position < len(self._events):
                yield self._events[position]
                position += 1
            if self._over:
                break
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()
        if not self.whole:
            raise FlightLostError

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


class Flights:
    """The flights that are led in this process."""

    def __init__(self, cache: CachePeer, metrics: Metrics) -> None:
        self._cache = cache
        self._led: dict[str, Flight] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._followed = metrics.counter(
            "flights_followed_total", "Requests answered by another's generation."
        )

    def lead(self, operation: Operation) -> None:
        """Let others follow an operation from now on, though nothing is generated yet."""
        self._led[operation.id] = Flight(operation)

    def of(self, operation: Operation) -> Flight | None:
        """Give the flight that an operation follows, if its leader is in this process."""
        return self._led.get(operation.leader_id) if operation.leader_id != operation.id else None

    async def follow(self, operation: Operation, recall: Recall) -> AsyncGenerator[Event]:
        """Give the events of the flight that an operation follows; none if it is to generate by itself.

        A leader that goes before it said anything hands over: the cache is asked again who leads.

        Raises:
            Unavailable: the leader went in the middle (STREAM_INTERRUPTED).
        """
        while (flight := self.of(operation)) is not None:
            followed = Attempt(0, operation.model.targets[0])
            try:
                async for event in flight.events():
                    followed.observe(event)
                    yield event
            except FlightLostError:
                if followed.answering:
                    raise interrupted() from None
                said = await recall()
                if said is None:
                    continue
                for event in events_of(said):
                    followed.observe(event)
                    yield event
            else:
                operation.answered_by(flight.leader)
            operation.followed = followed
            self._followed.inc()
            return

    @contextmanager
    def led(self, operation: Operation) -> Iterator[Flight | None]:
        """Lead a flight while generating; it is whole if the block ends by itself. None: nobody may follow."""
        flight = self._led.get(operation.id)
        if flight is not None and operation.grant is not None and operation.grant.clamped:
            self._end(operation, whole=False)  # what a small balance cut short is not what others asked for
            flight = None
        whole = False
        try:
            yield flight
            whole = True
        finally:
            self._end(operation, whole=whole)

    def give_up(self, operation: Operation) -> None:
        """Tell followers and the cache that no answer will be kept, so that whoever waits leads next."""
        self._end(operation, whole=False)
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

    def _end(self, operation: Operation, *, whole: bool) -> None:
        flight = self._led.pop(operation.id, None)
        if flight is not None:
            flight.end(whole=whole)

    async def _tell(self, operation: Operation) -> None:
        try:
            await self._cache.end_flight(_reference(operation))
        except ServiceError as error:
            log.info("flight_not_ended", reason=error.reason)  # its lease ends


def _reference(operation: Operation) -> cache_service_pb2.FlightReference:
    reference = cache_service_pb2.FlightReference(context=operation.context, flight_id=operation.id)
    reference.context.ClearField("deadline_time")
    return reference
