"""Who generates the answer to a question that several ask at once. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

FLIGHTS_MAX = 65_536


class FlightName(NamedTuple):
    """A flight is named by its leader, within the organization that leads it."""

    organization: str
    flight_id: str


@dataclass(frozen=True, slots=True)
class Flight:
    """A generation that equal questions share, until its lease ends. Times are seconds since the epoch."""

    key: bytes
    leader: FlightName
    lease_expires_at: float


class Flights:
    """The flights that are under way. A flight whose lease is over is none."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._by_key: dict[bytes, Flight] = {}
        self._by_name: dict[FlightName, Flight] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def join(self, key: bytes, name: FlightName, now: float) -> Flight | None:
        """Give the flight of a key, led by whoever came first; None when there are too many to follow."""
        flight = self._by_key.get(key)
        if flight is not None and now < flight.lease_expires_at:
            return flight
        if flight is None and len(self._by_key) >= FLIGHTS_MAX and not self.expire(now):
            return None
        return self.take_over(key, name, now)

    def take_over(self, key: bytes, name: FlightName, now: float) -> Flight:
        """Let another lead."""
        self._remove(self._by_key.get(key))
        self._remove(self._by_name.get(name))
        flight = Flight(key, name, now + self._lease_seconds)
        self._by_key[key] = self._by_name[name] = flight
        return flight

    def renew(self, name: FlightName, now: float) -> Flight | None:
        """Lengthen the lease of a leader who still leads; None for one who does not."""
        flight = self._by_name.get(name)
        if flight is None or now >= flight.lease_expires_at:
            return None
        return self.take_over(flight.key, name, now)

    def end(self, name: FlightName) -> Flight | None:
        """End the flight that somebody leads, and give it."""
        flight = self._by_name.get(name)
        self._remove(flight)
        return flight

    def expire(self, now: float) -> int:
        """Drop flights whose lease is over; give how many."""
        over = [flight for flight in self._by_key.values() if now >= flight.lease_expires_at]
        for flight in over:
            self._remove(flight)
        return len(over)

    def _remove(self, flight: Flight | None) -> None:
        if flight is not None:
            del self._by_key[flight.key], self._by_name[flight.leader]
