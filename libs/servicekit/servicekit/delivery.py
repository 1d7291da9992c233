"""Bring records to their receiver in lists, again and again until it has them."""

import asyncio
import enum
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from servicekit.logging import get_logger
from servicekit.metrics import Metrics
from servicekit.segments import Segment

log = get_logger(__name__)


class Delivery(enum.Enum):
    """What became of a record."""

    DONE = "done"
    RETRY = "retry"
    POISON = "poison"  # the receiver will never take it: it is set aside for a person


Deliver = Callable[[list[bytes]], Awaitable[Sequence[Delivery]]]


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How lists are made and how failures are retried."""

    items_max: int = 64
    linger_seconds: float = 0.005
    call_seconds_max: float = 30.0
    backoff_seconds_min: float = 0.05
    backoff_seconds_max: float = 5.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """A record on disk that is not delivered yet; `since` is when it came, in seconds since the epoch."""

    record: bytes
    segment: Segment
    since: float


class Outbox:
    """The queue of what is to be delivered. What must be retried goes to its end, and so holds nothing else up.

    Args:
        deliver: takes records and gives an outcome for each.
        finished: called with what is done with: counts by segment, and the records that nobody takes.
        name: the spool's, for logs and metrics.
        metrics: where pending records, the age of the oldest, and outcomes are shown.
        limits: of lists and retries.
    """

    def __init__(
        self,
        deliver: Deliver,
        finished: Callable[[Counter[Segment], list[bytes]], Awaitable[None]],
        *,
        name: str,
        metrics: Metrics,
        limits: DeliveryLimits,
    ) -> None:
        self._deliver = deliver
        self._finished = finished
        self._name = name
        self._limits = limits
        self._queue: deque[Parcel] = deque()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._hurried = False
        self.bytes = 0
        self._outcomes = metrics.counter("spool_records_total", "Records by outcome.", ["spool", "outcome"])
        pending = metrics.gauge("spool_pending", "Records on disk that are not delivered.", ["spool"])
        pending.labels(name).set_function(lambda: len(self._queue))
        age = metrics.gauge("spool_oldest_seconds", "How long the oldest of them waits.", ["spool"])
        age.labels(name).set_function(self._oldest_seconds)

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, parcels: Sequence[Parcel]) -> None:
        """Queue what is on disk."""
        self._queue.extend(parcels)
        self.bytes += sum(len(parcel.record) for parcel in parcels)
        if parcels:
            self._arrived.set()
            self._empty.clear()

    async def run(self) -> None:
        """Deliver for ever, with a growing pause while nothing goes."""
        backoff = self._limits.backoff_seconds_min
        while True:
            await self._arrived.wait()
            if not self._hurried and len(self._queue) < self._limits.items_max:
                await asyncio.sleep(self._limits.linger_seconds)
            if await self._deliver_list():
                backoff = self._limits.backoff_seconds_min
            else:
                await asyncio.sleep(backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
                backoff = min(backoff * 2, self._limits.backoff_seconds_max)

    async def drain(self, seconds_max: float) -> bool:
        """Wait until everything is delivered; tell whether that came true in time."""
        self._hurried = True
        try:
            async with asyncio.timeout(seconds_max):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _deliver_list(self) -> bool:
        """Deliver the oldest records; tell whether any of them went."""
        parcels = [self._queue.popleft() for _ in range(min(len(self._queue), self._limits.items_max))]
        outcomes = [Delivery.RETRY] * len(parcels)
        try:
            outcomes = await self._call([parcel.record for parcel in parcels])
        finally:
            sorted_out = list(zip(parcels, outcomes, strict=True))
            again = [parcel for parcel, outcome in sorted_out if outcome is Delivery.RETRY]
            self._queue.extend(again)
        gone = [parcel for parcel, outcome in sorted_out if outcome is not Delivery.RETRY]
        poison = [parcel.record for parcel, outcome in sorted_out if outcome is Delivery.POISON]
        for outcome, count in Counter(outcomes).items():
            self._outcomes.labels(self._name, outcome.value).inc(count)
        await self._finished(Counter(parcel.segment for parcel in gone), poison)
        self.bytes -= sum(len(parcel.record) for parcel in gone)
        if not self._queue:
            self._arrived.clear()
            self._empty.set()
        return bool(gone)

    async def _call(self, records: list[bytes]) -> list[Delivery]:
        try:
            async with asyncio.timeout(self._limits.call_seconds_max):
                outcomes = list(await self._deliver(records))
            assert len(outcomes) == len(records), "one outcome a record"
        except Exception:
            log.exception("spool_delivery_failed", spool=self._name)
            return [Delivery.RETRY] * len(records)
        return outcomes

    def _oldest_seconds(self) -> float:
        now = time.time()
        return now - min((parcel.since for parcel in self._queue), default=now)
