"""Tells all replicas what is to be forgotten, through a stream in Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from servicekit.errors import Unavailable
from servicekit.logging import get_logger

from penstock_cache.entry import Selector
from penstock_cache.shared.connection import Client, RedisConnection
from penstock_cache.shared.tier import PREFIX

STREAM = f"{PREFIX}:forgotten"
# A replica that was away for longer forgets everything: it cannot know what it missed. Names of users stay no longer.
KEPT_MS = 600_000
ANNOUNCE_SECONDS_MAX = 1.0
BLOCK_MS = 1000
COUNT_MAX = 256
EMPTY = b"0-0"
RETRY_SECONDS = 0.2

Forget = Callable[[str, Selector], Awaitable[int]]

log = get_logger(__name__)


class Announcements:
    """Announces to the other replicas, and hears what they announce."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis
        self._cursor = b""  # the last that was heard; empty until the stream was found
        self._run_id = ""

    async def announce(self, organization: str, selector: Selector) -> None:
        """Tell the others.

        Raises:
            Unavailable: Redis does not answer, so they may not know.
        """
        fields: dict[Any, Any] = {"organization": organization, "kind": selector[0], "value": selector[1]}

        async def add(redis: Client) -> None:
            seconds, _ = await redis.time()
            await redis.xadd(STREAM, fields, minid=seconds * 1000 - KEPT_MS, approximate=True)

        await self._redis.run(add, ANNOUNCE_SECONDS_MAX)

    async def follow(self, forget: Forget, forget_all: Callable[[], None]) -> None:
        """Forget what the others announce, for ever; after an outage what was announced meanwhile, or all."""
        while True:
            try:
                if await self._missed():
                    log.warning("announcements_missed")
                    forget_all()
                while True:
                    await self._hear(forget)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)

    async def _missed(self) -> bool:
        """Find the place in the stream; tell whether anything may have been missed."""
        info, oldest, newest = await self._redis.run(_ends, ANNOUNCE_SECONDS_MAX)
        first_time, same_server = self._run_id == "", self._run_id == info["run_id"]
        self._run_id = info["run_id"]
        if same_server and oldest <= _order(self._cursor) <= _order(newest):
            return False
        self._cursor = newest
        return not first_time

    async def _hear(self, forget: Forget) -> None:
        streams = {STREAM: self._cursor}
        answer = await self._redis.run(
            lambda redis: redis.xread(streams, count=COUNT_MAX, block=BLOCK_MS),
            BLOCK_MS / 1000 + ANNOUNCE_SECONDS_MAX,
        )
        for _, messages in answer or ():
            for message_id, fields in messages:
                selector = cast("Selector", (fields[b"kind"].decode(), fields[b"value"].decode()))
                await forget(fields[b"organization"].decode(), selector)
                self._cursor = message_id


async def _ends(redis: Client) -> tuple[dict[str, str], tuple[int, ...], bytes]:
    """Give what the server says of itself, the order of the oldest announcement, and the id of the newest."""
    info = await redis.info("server")
    oldest, newest = await redis.xrange(STREAM, count=1), await redis.xrevrange(STREAM, count=1)
    first = _order(oldest[0][0]) if oldest else _order(EMPTY)
    return info, first, newest[0][0] if newest else EMPTY


def _order(message_id: bytes) -> tuple[int, ...]:
    return tuple(map(int, message_id.split(b"-")))
