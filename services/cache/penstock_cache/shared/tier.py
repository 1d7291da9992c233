"""The L2 tier: exact answers in Redis. Redis is never the truth: whatever goes wrong with it is a miss."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from servicekit.errors import Unavailable
from servicekit.logging import get_logger

from penstock_cache.entry import Entry, Label, Selector, key_of
from penstock_cache.partition import RoomKeys
from penstock_cache.question import Hit, Question, Tier
from penstock_cache.shared.connection import Client, RedisConnection
from penstock_cache.shared.record import PREFACE_BYTES, carries, label_digest, seal, unseal

PREFIX = "penstock:cache:1"
SCAN_COUNT = 1000
FORGET_SECONDS_MAX = 1.0  # for each step of a search through all entries of a tenant

Announce = Callable[[str, Selector], Awaitable[None]]

log = get_logger(__name__)


class SharedTier:
    """Answers that all replicas know.

    Args:
        redis: where they are.
        keys: makes the secrets that records are sealed with and tenants are named by.
        seconds_max: how long a list of questions or answers waits for Redis.
        announce: tells the other replicas what is forgotten.
    """

    tier = Tier.L2

    def __init__(
        self, redis: RedisConnection, keys: RoomKeys, seconds_max: float, announce: Announce
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._seconds_max = seconds_max
        self._announce = announce

    async def find(self, questions: Sequence[Question], now: float) -> list[Hit | None]:
        """Look for each question, all in one command."""
        names = [self._name(question.organization, question.key) for question in questions]
        try:
            records = await self._redis.run(lambda redis: redis.mget(names), self._seconds_max)
        except Unavailable:
            return [None] * len(questions)
        return [_hit(record, question, now) for record, question in zip(records, questions, strict=True)]

    async def keep(self, kept: Sequence[tuple[Question, Entry]], now: float) -> None:
        """Keep answers, all in one round trip."""
        records = [
            (
                self._name(question.organization, entry.key),
                seal(entry, question.room.secret, self._keys.tenant_secret(question.organization)),
                max(int((entry.expires_at - now) * 1000), 1),
            )
            for question, entry in kept
        ]

        async def write(redis: Client) -> None:
            async with redis.pipeline(transaction=False) as pipeline:
                for name, record, ttl_ms in records:
                    pipeline.set(name, record, px=ttl_ms)
                await pipeline.execute()

        with suppress(Unavailable):
            await self._redis.run(write, self._seconds_max)

    async def forget(self, organization: str, selector: Selector) -> int:
        """Forget what a selector names, here and then in every replica.

        Raises:
            Unavailable: Redis did not answer; some may be left.
        """
        count = await self._forget(organization, selector)
        await self._announce(organization, selector)
        return count

    async def _forget(self, organization: str, selector: Selector) -> int:
        """Look at all entries of the tenant: no index could be incomplete."""
        kind, value = selector
        if kind == "entry_id":
            return await self._unlink([self._name(organization, key_of(value)).encode()])
        pattern = self._name(organization, b"") + "*"
        cursor, count = 0, 0
        while True:
            cursor, names = await self._redis.run(
                partial(_scan, cursor=cursor, pattern=pattern), FORGET_SECONDS_MAX
            )
            if kind != "everything":
                names = await self._carriers(organization, names, (kind, value))
            count += await self._unlink(names)
            if cursor == 0:
                return count

    async def _carriers(self, organization: str, names: Sequence[bytes], label: Label) -> list[bytes]:
        """Give the names of those whose entries carry a label."""

        async def read(redis: Client) -> Any:
            async with redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.getrange(name, 0, PREFACE_BYTES - 1)
                return await pipeline.execute()

        prefaces = await self._redis.run(read, FORGET_SECONDS_MAX) if names else []
        digest = label_digest(self._keys.tenant_secret(organization), label)
        return [name for name, preface in zip(names, prefaces, strict=True) if carries(preface, digest)]

    async def _unlink(self, names: Sequence[bytes]) -> int:
        if not names:
            return 0
        count: int = await self._redis.run(lambda redis: redis.unlink(*names), FORGET_SECONDS_MAX)
        return count

    def _name(self, organization: str, key: bytes) -> str:
        """Name an entry; the tenant is named by a digest under the root secret, as Redis need not know it."""
        return f"{PREFIX}:{self._keys.tenant_name(organization)}:{key.hex()}"


async def _scan(redis: Client, cursor: int, pattern: str) -> tuple[int, list[bytes]]:
    step: tuple[int, list[bytes]] = await redis.scan(cursor, match=pattern, count=SCAN_COUNT)
    return step


def _hit(record: bytes | None, question: Question, now: float) -> Hit | None:
    if record is None:
        return None
    entry = unseal(record, question.key, question.room.secret)
    if entry is None:
        log.warning("shared_record_refused", entry_id=question.key.hex())
        return None
    if now >= entry.expires_at or now - entry.stored_at > question.age_seconds_max:
        return None
    return Hit(entry, Tier.L2, similarity=1.0)
