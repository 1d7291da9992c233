"""Leases of flights in Redis: one leader among all replicas."""

from typing import Any

from servicekit.errors import Unavailable

from penstock_cache.flights import Flight, FlightName
from penstock_cache.shared.connection import Client, RedisConnection
from penstock_cache.shared.tier import PREFIX

# Each compares before it changes, so that nobody touches a lease that another took over.
_RENEW = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"


class RedisLeases:
    """Leases that end by themselves.

    Without Redis everybody has every lease: generating twice is better than not at all.
    """

    def __init__(self, redis: RedisConnection, lease_seconds: float, seconds_max: float) -> None:
        self._redis = redis
        self._lease_ms = int(lease_seconds * 1000)
        self._seconds_max = seconds_max

    async def acquire(self, key: bytes, name: FlightName) -> str:
        """See `Leases.acquire`."""

        async def take(redis: Client) -> Any:
            holder = await redis.set(_name(key), name.flight_id, nx=True, get=True, px=self._lease_ms)
            return holder.decode() if holder is not None else name.flight_id

        try:
            holder: str = await self._redis.run(take, self._seconds_max)
        except Unavailable:
            return name.flight_id
        return holder

    async def renew(self, flight: Flight) -> bool:
        """See `Leases.renew`."""
        return await self._compare_and(_RENEW, flight, str(self._lease_ms))

    async def release(self, flight: Flight) -> None:
        """See `Leases.release`."""
        await self._compare_and(_RELEASE, flight)

    async def _compare_and(self, script: str, flight: Flight, *arguments: str) -> bool:
        try:
            held = await self._redis.run(
                lambda redis: redis.eval(script, 1, _name(flight.key), flight.leader.flight_id, *arguments),
                self._seconds_max,
            )
        except Unavailable:
            return True
        return bool(held)


def _name(key: bytes) -> str:
    return f"{PREFIX}:flight:{key.hex()}"
