"""The journal: decisions on their way to the log. What is in it survives the death of the process.

A decision is written here before it is told, a list of decisions in one write, and appended to the log soon after, many
lists in one transaction. The disk is waited for in the background, or before each answer if so set.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from servicekit.background import background
from servicekit.delivery import Delivery, DeliveryLimits, Outbox, Parcel
from servicekit.errors import ResourceExhausted, ServiceError, Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics
from servicekit.segments import Segment, Segments

from penstock_guardrail.audit.entry import Entry, read_record

_PENDING_BYTES_MAX = 64 * 1024 * 1024
_SEGMENT_BYTES_MAX = 8 * 1024 * 1024
_LANES_MAX = 256
_DRAIN_SECONDS = 10.0
_LIMITS = DeliveryLimits(items_max=256, linger_seconds=0.25, call_seconds_max=30.0)

Append = Callable[[Sequence[Entry]], Awaitable[None]]

log = get_logger(__name__)


@asynccontextmanager
async def open_journal(
    directory: Path, append: Append, metrics: Metrics, sync_seconds: float
) -> AsyncIterator["Journal"]:
    """Open a journal of this process, take over what dead ones left, and append to the log in the background.

    Args:
        directory: of the journals of all replicas that share it.
        append: brings entries into the log; entries may come twice.
        metrics: the service's.
        sync_seconds: how often the disk is waited for; 0 is before each answer.
    """
    journal = Journal(directory, append, metrics, sync_seconds)
    try:
        async with (
            background(journal.deliver_for_ever(), "audit journal"),
            background(journal.sync_for_ever(), "audit sync"),
        ):
            yield journal
            await journal.drain()
    finally:
        journal.close()


class Journal:
    """Takes records. Made by `open_journal`."""

    def __init__(self, directory: Path, append: Append, metrics: Metrics, sync_seconds: float) -> None:
        self._append = append
        self._sync_seconds = sync_seconds
        self._outbox = Outbox(self._deliver, self._finish, name="audit", metrics=metrics, limits=_LIMITS)
        self._lanes = _claimed(directory)
        self._written = 0
        self._synced = 0
        self._syncing = asyncio.Lock()
        for lane in self._lanes:
            for segment, records in lane.replay():
                self._outbox.put([Parcel(record, segment, time.time()) for record in records])

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep records of one line each; they will be in the log when this returns, whatever becomes of the process.

        Raises:
            Unavailable: the disk does not take them (STORAGE_UNAVAILABLE).
            ResourceExhausted: too much waits for the log already (OVERLOADED).
        """
        if self._outbox.bytes > _PENDING_BYTES_MAX:
            raise ResourceExhausted(
                "OVERLOADED", "The audit log does not keep up; retry.", metadata={"queue": "audit"}
            )
        joined = b"\n".join(records)
        try:
            segment = self._lanes[0].append([joined])
        except OSError as error:
            log.error("audit_write_failed", error=str(error))  # noqa: TRY400 - no bug of ours
            raise _unavailable() from error
        self._written += 1
        self._outbox.put([Parcel(joined, segment, time.time())])
        if not self._sync_seconds:
            await self._sync(self._written)

    async def drain(self) -> None:
        """Append all that waits to the log, for a bounded time; the rest stays for the next start."""
        if not await self._outbox.drain(_DRAIN_SECONDS):
            log.warning("audit_left", lists=len(self._outbox))

    async def deliver_for_ever(self) -> None:
        """Append what comes to the log."""
        await self._outbox.run()

    async def sync_for_ever(self) -> None:
        """Bring what was written to the disk, again and again."""
        while self._sync_seconds:
            await asyncio.sleep(self._sync_seconds)
            try:
                await self._sync(self._written)
            except ServiceError as error:
                log.warning("audit_sync_failed", reason=error.reason)

    def close(self) -> None:
        """Close the files and let other processes in."""
        for lane in self._lanes:
            lane.close()

    async def _sync(self, until: int) -> None:
        """Wait until so much is on disk; who waits meanwhile shares the next wait."""
        async with self._syncing:
            if self._synced >= until:
                return
            written, sync = self._written, self._lanes[0].syncing()
            try:
                await asyncio.to_thread(sync)
            except OSError as error:
                raise _unavailable() from error
            self._synced = written

    async def _deliver(self, lists: list[bytes]) -> list[Delivery]:
        entries: list[Entry] = []
        outcomes = []
        for records in lists:
            try:
                entries += [read_record(record) for record in records.split(b"\n")]
                outcomes.append(Delivery.DONE)
            except (ValueError, KeyError):
                outcomes.append(Delivery.POISON)
        if not entries:
            return outcomes
        try:
            await self._append(entries)
        except ServiceError as error:
            log.warning("audit_append_failed", reason=error.reason)
            return [Delivery.RETRY] * len(lists)
        return outcomes

    async def _finish(self, delivered: Counter[Segment], poison: list[bytes]) -> None:
        if poison:
            log.error("audit_records_refused", records=len(poison))
            self._lanes[0].set_aside(poison)
        self._lanes[0].finish(delivered)


def _claimed(directory: Path) -> list[Segments]:
    """Take the folders that no living process has, or a new one."""
    directory.mkdir(parents=True, exist_ok=True)
    lanes: list[Segments] = []
    for number in range(_LANES_MAX):
        folder = directory / str(number)
        if lanes and not folder.exists():
            break
        try:
            lanes.append(Segments(folder, _SEGMENT_BYTES_MAX, sync=False))
        except RuntimeError:
            continue
    assert lanes, "fewer replicas than folders share a directory"
    return lanes


def _unavailable() -> Unavailable:
    return Unavailable(
        "STORAGE_UNAVAILABLE", "The disk does not take the decision; retry.", metadata={"store": "audit"}
    )
