"""Equal questions at the same time generate once: who leads, who waits, and who takes over.

Within this replica a table knows all flights, across replicas a lease in Redis does. A follower waits until the answer
is kept, until it leads itself, or until it waited long enough. A leader that dies stops renewing, and its lease ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol
from weakref import WeakValueDictionary

from penstock_cache.entry import Entry
from penstock_cache.flights import Flight, FlightName, Flights
from penstock_cache.question import Question

# How often a follower looks whether a leader at another replica is done.
POLL_SECONDS = 0.1

Recall = Callable[[Question, float], Awaitable[Entry | None]]


class Leases(Protocol):
    """Leases that replicas share. None of it fails: without Redis each replica is on its own."""

    async def acquire(self, key: bytes, name: FlightName) -> str:
        """Take the lease of a key; give the flight id of who has it then."""

    async def renew(self, flight: Flight) -> bool:
        """Lengthen a lease; tell whether it is still held."""

    async def release(self, flight: Flight) -> None:
        """Give a lease back."""


class SingleFlight:
    """Lets equal questions share one generation.

    Args:
        flights: those of this replica.
        leases: those of all replicas; None: there is no other.
        recall: gives the living entry of a question's key from the exact tiers.
        clock: gives seconds since the epoch.
        wait_seconds_max: how long a follower waits at most.
    """

    def __init__(
        self,
        flights: Flights,
        leases: Leases | None,
        recall: Recall,
        clock: Callable[[], float],
        wait_seconds_max: float,
    ) -> None:
        self._flights = flights
        self._leases = leases
        self._recall = recall
        self._clock = clock
        self._wait_seconds_max = wait_seconds_max
        self._landed: WeakValueDictionary[bytes, asyncio.Event] = WeakValueDictionary()  # held by who waits

    async def join(self, question: Question, flight_id: str) -> Flight | None:
        """Give the flight of a question that missed; None when there are too many."""
        name = FlightName(question.organization, flight_id)
        flight = self._flights.join(question.key, name, self._clock())
        if flight is None or flight.leader != name or self._leases is None:
            return flight
        leader = await self._leases.acquire(question.key, name)
        if leader == flight_id:
            return flight
        self._flights.end(name)
        return Flight(question.key, FlightName(question.organization, leader), self._clock() + POLL_SECONDS)

    async def wait(self, question: Question, flight_id: str) -> Entry | Flight | None:
        """Wait for the answer of a flight, or for leading it; None when the wait was long enough.

        Raises:
            DeadlineExceeded, InvalidArgument: see `Question.admit`.
        """
        now = self._clock()
        question.admit(now)
        until = min(question.deadline, now + self._wait_seconds_max)
        while now < until:
            landed = self._landed.setdefault(question.key, asyncio.Event())
            entry = await self._recall(question, now)
            if entry is not None:
                return entry
            flight = await self.join(question, flight_id)
            if flight is None or flight.leader.flight_id == flight_id:
                return flight
            seconds = min(flight.lease_expires_at, until) - self._clock()
            await _wait(landed, seconds if self._leases is None else min(seconds, POLL_SECONDS))
            now = self._clock()
        return None

    async def renew(self, organization: str, flight_id: str) -> bool:
        """Lengthen the lease of a leader; tell whether it still leads."""
        flight = self._flights.renew(FlightName(organization, flight_id), self._clock())
        if flight is None:
            return False
        if self._leases is None or await self._leases.renew(flight):
            return True
        self._flights.end(flight.leader)
        return False

    async def end(self, organization: str, flight_id: str) -> None:
        """End a flight: who waits finds the answer, or leads next."""
        flight = self._flights.end(FlightName(organization, flight_id))
        if flight is None:
            return
        if self._leases is not None:
            await self._leases.release(flight)
        landed = self._landed.pop(flight.key, None)
        if landed is not None:
            landed.set()

    def expire(self, now: float, _entries_max: int) -> int:
        """Drop flights whose lease is over, for the sweeper."""
        self._flights.expire(now)
        return 0


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0.001)):
            await event.wait()
    except TimeoutError:
        return
