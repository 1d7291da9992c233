"""Redis, asked for no longer than agreed: what goes wrong is known by one error, and by a metric."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from servicekit.errors import Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_cache.breaker import Breaker

CONNECTIONS_MAX = 32
Result = TypeVar("Result")
# What redis-py gives depends on how the client decodes; its types say so, and are of no use here.
Client: TypeAlias = Any

log = get_logger(__name__)


class RedisConnection:
    """Runs commands within a time limit, and runs none for a while when Redis did not answer several times."""

    def __init__(self, redis: Client, metrics: Metrics) -> None:
        self._redis = redis
        self._breaker = Breaker()
        failures = metrics.counter(
            "cache_redis_failures_total", "Calls of Redis without an answer to use.", ["reason"]
        )
        self._failures = {
            reason: failures.labels(reason) for reason in ("away", "refused", "timeout", "breaker")
        }

    async def run(self, command: Callable[[Client], Awaitable[Result]], seconds_max: float) -> Result:
        """Run a command.

        Raises:
            Unavailable: Redis is away, slow, full, or was all that a moment ago.
        """
        if not self._breaker.allows(time.monotonic()):
            raise self._failed("breaker")
        try:
            async with asyncio.timeout(seconds_max):
                result = await command(self._redis)
        except TimeoutError as error:
            self._breaker.failed(time.monotonic())
            raise self._failed("timeout") from error
        except ResponseError as error:  # it lives, and says no: full, loading, of another kind
            raise self._failed("refused") from error
        except (RedisError, OSError) as error:
            self._breaker.failed(time.monotonic())
            raise self._failed("away") from error
        self._breaker.succeeded()
        return result

    def _failed(self, reason: str) -> Unavailable:
        self._failures[reason].inc()
        log.debug("redis_failed", failure=reason)
        return Unavailable(
            "DEPENDENCY_UNAVAILABLE", "Redis does not answer.", metadata={"dependency": "redis"}
        )


@asynccontextmanager
async def connect_redis(url: str, metrics: Metrics) -> AsyncIterator[RedisConnection]:
    """Open a pool of connections, which connects when it is first used."""
    redis: Client = Redis.from_url(url, max_connections=CONNECTIONS_MAX, retry=Retry(NoBackoff(), 0))
    try:
        yield RedisConnection(redis, metrics)
    finally:
        await redis.aclose()
