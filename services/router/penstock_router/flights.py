"""Single flight: of equal questions at the same time one is generated, and all get its answer as it comes.

Who leads is the cache's decision, for all replicas. Followers in the leader's process read its events; those elsewhere
wait until its answer is kept. A generation that was begun goes on for as long as anybody reads it: a leader that hangs
up, or reads slowly, takes nothing from those who follow. One that goes earlier hands over: by word, or by its lease.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager

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
    """The answer will not be whole: the leader gave up, or its generation failed."""


class Flight:
    """One generation, as its leader and those who follow it in this process read it.

    Attributes:
        failure: why it ended before it was whole, where it was not for want of readers.
    """

    def __init__(self, leader: Operation) -> None:
        self.leader = leader
        self.failure: Exception | None = None
        self._events: list[Event] = []
        self._readers = 0
        self._generating: asyncio.Task[None] | None = None
        self._whole = False
        self._over = False
        self._changed: asyncio.Event | None = None  # made by the first who waits

    def begin(self, events: AsyncGenerator[Event]) -> asyncio.Task[None]:
        """Generate from now on, until the end or until nobody reads any more."""
        self._generating = asyncio.create_task(self._take(events), name="flight")
        return self._generating

    @property
    def lost(self) -> bool:
        """Tell whether its answer will not be whole, so that nobody should begin to follow it."""
        return self._over and not self._whole

    def end(self) -> None:
        """Say that no more events come."""
        self._over = True
        self._wake()

    @contextmanager
    def reader(self) -> Iterator[None]:
        """Be one of those for whom the generation goes on."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers and self._generating is not None:
                self._generating.cancel()
                self.end()

    async def events(self) -> AsyncGenerator[Event]:
        """Give every event from the first on.

        Raises:
            FlightLostError: what came is not whole.
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
        if self.lost:
            raise FlightLostError

    async def _take(self, events: AsyncGenerator[Event]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._events.append(event)
                    self._wake()
            self._whole = True
        except Exception as error:  # noqa: BLE001 - the leader raises it
            self.failure = error
        finally:
            self.end()

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
        """Give the flight that an operation may follow, if its leader is in this process."""
        flight = self._led.get(operation.leader_id) if operation.leader_id != operation.id else None
        return None if flight is None or flight.lost else flight

    async def follow(self, operation: Operation, recall: Recall) -> AsyncGenerator[Event]:
        """Give the events of the flight that an operation follows; none if it is to generate by itself.

        A leader that goes before it said anything hands over: the cache is asked again who leads.

        Raises:
            Unavailable: the generation broke off in the middle (STREAM_INTERRUPTED).
        """
        while (flight := self.of(operation)) is not None:
            followed = Attempt(0, operation.model.targets[0])
            try:
                with flight.reader():
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

    async def led(self, operation: Operation, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        """Give the events of a generation to whom it belongs, and show them to those who follow it."""
        flight = self._led.get(operation.id)
        if flight is not None and operation.grant is not None and operation.grant.clamped:
            self._end(operation)  # what a small balance cut short is not what others asked for
            flight = None
        if flight is None:
            async with aclosing(events):
                async for event in events:
                    yield event
            return
        generating = flight.begin(events)
        try:
            with flight.reader():
                async for event in flight.events():
                    yield event
        except FlightLostError as lost:
            raise (flight.failure or interrupted()) from lost
        finally:
            await asyncio.wait([generating])  # those who follow may read longer
            self._end(operation)

    def give_up(self, operation: Operation) -> None:
        """Tell followers and the cache that no answer will be kept, so that whoever waits leads next."""
        self._end(operation)
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

    def _end(self, operation: Operation) -> None:
        flight = self._led.pop(operation.id, None)
        if flight is not None:
            flight.end()

    async def _tell(self, operation: Operation) -> None:
        try:
            await self._cache.end_flight(_reference(operation))
        except ServiceError as error:
            log.info("flight_not_ended", reason=error.reason)  # its lease ends


def _reference(operation: Operation) -> cache_service_pb2.FlightReference:
    reference = cache_service_pb2.FlightReference(context=operation.context, flight_id=operation.id)
    reference.context.ClearField("deadline_time")
    return reference
