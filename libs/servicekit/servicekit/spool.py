"""A durable spool: a record is on disk when `append` returns, and is delivered at least once, also after a crash.

Waiting appends share one write and one fdatasync (group commit), made in the spool's thread.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from servicekit.background import background
from servicekit.delivery import Deliver, Delivery, DeliveryLimits, Outbox, Parcel
from servicekit.errors import ResourceExhausted, ServiceError, Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics
from servicekit.segments import Segment, Segments

__all__ = ["Deliver", "Delivery", "DeliveryLimits", "Spool", "SpoolLimits", "open_spool"]

Returned = TypeVar("Returned")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much is kept, and for how long a stop waits."""

    record_bytes_max: int = 4 * 1024 * 1024
    pending_bytes_max: int = 256 * 1024 * 1024
    segment_bytes_max: int = 8 * 1024 * 1024
    drain_seconds: float = 10.0
    delivery: DeliveryLimits = field(default_factory=DeliveryLimits)


@asynccontextmanager
async def open_spool(
    directory: Path, *, deliver: Deliver, name: str, metrics: Metrics, limits: SpoolLimits | None = None
) -> AsyncIterator["Spool"]:
    """Open a spool and deliver in the background; on exit deliver what waits, then close.

    Args:
        directory: of this spool alone, and of one process at a time.
        deliver: takes a list of records and gives an outcome for each; a failure of the whole is a retry of each.
            Records may come twice and in another order, so it must be idempotent.
        name: of the spool in logs, metrics and errors.
        metrics: the service's.
        limits: of sizes and delivery.

    Raises:
        RuntimeError: another process has the directory.
    """
    spool = Spool(directory, deliver=deliver, name=name, metrics=metrics, limits=limits or SpoolLimits())
    await spool.replay()
    try:
        async with background(spool.deliver_for_ever(), f"spool {name}"):
            yield spool
            await spool.drain()
    finally:
        await spool.close()


class Spool:
    """Takes records. Made by `open_spool`."""

    def __init__(
        self, directory: Path, *, deliver: Deliver, name: str, metrics: Metrics, limits: SpoolLimits
    ) -> None:
        self._name = name
        self._limits = limits
        self._segments = Segments(directory, limits.segment_bytes_max)
        self._outbox = Outbox(deliver, self._finish, name=name, metrics=metrics, limits=limits.delivery)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"spool-{name}")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._draining = False

    async def append(self, record: bytes) -> None:
        """Keep a record (not empty); it is on disk when this returns.

        Raises:
            Unavailable: the disk does not take it (STORAGE_UNAVAILABLE), or the spool is closing (DRAINING).
            ResourceExhausted: the record is too large, or too much waits for delivery already (OVERLOADED).
        """
        self._refuse(len(record))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        self._waiting_bytes += len(record)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name=f"spool writer {self._name}")
        await future

    @property
    def pending(self) -> int:
        """How many records are not delivered."""
        return len(self._outbox) + len(self._waiting)

    async def replay(self) -> None:
        """Queue what an earlier process left."""
        now = time.time()
        for segment, records in await self._in_thread(lambda: list(self._segments.replay())):
            self._outbox.put([Parcel(record, segment, now) for record in records])
        if len(self._outbox):
            log.info("spool_replayed", spool=self._name, records=len(self._outbox))

    async def deliver_for_ever(self) -> None:
        """Deliver what comes."""
        await self._outbox.run()

    async def drain(self) -> None:
        """Take nothing more and deliver what waits, for a bounded time; the rest stays for the next start."""
        self._draining = True
        if self._writer is not None:
            await asyncio.wait([self._writer])
        if not await self._outbox.drain(self._limits.drain_seconds):
            log.warning("spool_left", spool=self._name, records=len(self._outbox))

    async def close(self) -> None:
        """Close the files and let the next process in."""
        self._draining = True
        if self._writer is not None:
            await asyncio.wait([self._writer])
        await self._in_thread(self._segments.close)
        self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        """Write what waits, group after group."""
        try:
            while self._waiting:
                group, self._waiting, self._waiting_bytes = self._waiting, [], 0
                await self._write_group(group)
        finally:
            self._writer = None

    async def _write_group(self, group: list[tuple[bytes, "asyncio.Future[None]"]]) -> None:
        records = [record for record, _ in group]
        try:
            segment = await self._in_thread(lambda: self._segments.append(records))
        except OSError as error:
            log.error("spool_write_failed", spool=self._name, error=str(error))  # noqa: TRY400 - no bug of ours
            _resolve(group, _STORAGE_UNAVAILABLE)
        else:
            now = time.time()
            self._outbox.put([Parcel(record, segment, now) for record in records])
            _resolve(group, None)

    async def _finish(self, delivered: Counter[Segment], poison: list[bytes]) -> None:
        """Set aside what nobody takes, then delete the files that are through; a file that cannot be is replayed."""
        try:
            if poison:
                log.error("spool_records_refused", spool=self._name, records=len(poison))
                await self._in_thread(lambda: self._segments.set_aside(poison))
            await self._in_thread(lambda: self._segments.finish(delivered))
        except OSError as error:
            log.error("spool_finish_failed", spool=self._name, error=str(error))  # noqa: TRY400 - no bug of ours

    def _refuse(self, size: int) -> None:
        assert size, "a record has at least one byte"
        if self._draining:
            raise Unavailable("DRAINING", f"The spool {self._name} is closing.")
        held = self._outbox.bytes + self._waiting_bytes
        if size > self._limits.record_bytes_max or held + size > self._limits.pending_bytes_max:
            message = f"The spool {self._name} is full, or the record too large."
            raise ResourceExhausted("OVERLOADED", message, metadata={"queue": self._name})

    async def _in_thread(self, work: Callable[[], Returned]) -> Returned:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


_STORAGE_UNAVAILABLE = Unavailable(
    "STORAGE_UNAVAILABLE", "The disk does not take the record; retry.", metadata={"store": "spool"}
)


def _resolve(group: list[tuple[bytes, "asyncio.Future[None]"]], error: ServiceError | None) -> None:
    for _, future in group:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error.copy())
