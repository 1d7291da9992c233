"""A durable spool: records are on disk when `append` returns, and are delivered at least once, also after a crash.

Records are framed (length, CRC-32, payload) in segment files. Waiting appends share one write and one fdatasync. A segment is
deleted when it is sealed and all its records are delivered; a start replays what is left. A torn tail, from a crash in the
middle of a write, is cut off: its record was never acknowledged.
"""

import asyncio
import enum
import os
import random
import struct
import zlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from servicekit.errors import ResourceExhausted, Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

_HEADER = struct.Struct("<II")
_SUFFIX = ".spool"
_DEAD = "dead" + _SUFFIX

log = get_logger(__name__)


class Delivery(enum.Enum):
    """What became of a record."""

    DONE = "done"
    RETRY = "retry"
    POISON = "poison"  # the receiver will never take it: it is set aside for a person


Deliver = Callable[[list[bytes]], Awaitable[Sequence[Delivery]]]


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much is kept, and how delivery behaves."""

    record_bytes_max: int = 4 * 1024 * 1024
    pending_bytes_max: int = 256 * 1024 * 1024
    segment_bytes_max: int = 8 * 1024 * 1024
    items_max: int = 64
    linger_seconds: float = 0.005
    backoff_seconds_min: float = 0.05
    backoff_seconds_max: float = 5.0
    drain_seconds: float = 10.0


class _Segment:
    """One file of framed records."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.undelivered = 0
        self.sealed = False
        self.size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, blob: bytes) -> None:
        """Add bytes and wait for the disk; on a failure nothing of them stays."""
        try:
            written = 0
            while written < len(blob):
                written += os.write(self._file, blob[written:])
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(blob)

    def close(self) -> None:
        os.close(self._file)


@dataclass(slots=True)
class _Pending:
    record: bytes
    segment: _Segment


class Spool:
    """Takes records and delivers them in order, list by list. Made by `open_spool`."""

    def __init__(
        self, directory: Path, *, deliver: Deliver, name: str, metrics: Metrics, limits: SpoolLimits
    ) -> None:
        self._directory = directory
        self._deliver = deliver
        self._name = name
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"spool-{name}")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._draining = False
        gauge = metrics.gauge("spool_pending", "Records on disk that are not delivered.", ["spool"])
        gauge.labels(name).set_function(lambda: len(self._pending))
        self._delivered = metrics.counter("spool_records_total", "Records by outcome.", ["spool", "outcome"])
        directory.mkdir(parents=True, exist_ok=True)
        self._number = self._replay()
        self._segment = self._next_segment()

    async def append(self, record: bytes) -> None:
        """Keep a record; it is on disk when this returns.

        Raises:
            Unavailable: the disk does not take it (STORAGE_UNAVAILABLE).
            ResourceExhausted: too much waits for delivery already, or the record is too large (OVERLOADED).
        """
        if (
            len(record) > self._limits.record_bytes_max
            or self._pending_bytes > self._limits.pending_bytes_max
        ):
            raise ResourceExhausted(
                "OVERLOADED", f"The spool {self._name} is full.", metadata={"queue": self._name}
            )
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await future

    async def run(self) -> None:
        """Deliver for ever."""
        backoff = self._limits.backoff_seconds_min
        while True:
            await self._arrived.wait()
            if not self._draining and len(self._pending) < self._limits.items_max:
                await asyncio.sleep(self._limits.linger_seconds)
            if await self._deliver_list():
                backoff = self._limits.backoff_seconds_min
            else:
                await asyncio.sleep(backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
                backoff = min(backoff * 2, self._limits.backoff_seconds_max)

    async def drain(self) -> None:
        """Deliver what waits, for a bounded time; the rest stays on disk for the next start."""
        self._draining = True
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=self._limits.drain_seconds)
        deadline = asyncio.get_running_loop().time() + self._limits.drain_seconds
        while self._pending and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        if self._pending:
            log.warning("spool_left", spool=self._name, records=len(self._pending))

    def close(self) -> None:
        """Close the files; delete the segment if nothing of it waits."""
        self._thread.shutdown()
        self._segment.close()
        self._segment.sealed = True
        self._delete_if_done(self._segment)

    async def _write(self) -> None:
        """Write what waits, group after group."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                if self._segment.size >= self._limits.segment_bytes_max:
                    self._rotate()
                blob = b"".join(_frame(record) for record, _ in group)
                try:
                    await loop.run_in_executor(self._thread, self._segment.write, blob)
                except OSError as error:
                    log.error("spool_write_failed", spool=self._name, error=str(error))  # noqa: TRY400 - no stack needed
                    _fail(group)
                    continue
                self._admit(group)
        finally:
            self._writer = None

    def _admit(self, group: list[tuple[bytes, "asyncio.Future[None]"]]) -> None:
        for record, future in group:
            self._add(record, self._segment)
            if not future.done():
                future.set_result(None)
        self._arrived.set()

    def _add(self, record: bytes, segment: _Segment) -> None:
        segment.undelivered += 1
        self._pending.append(_Pending(record, segment))
        self._pending_bytes += len(record)

    async def _deliver_list(self) -> bool:
        """Deliver the oldest records; tell whether any of them went."""
        items = [self._pending.popleft() for _ in range(min(len(self._pending), self._limits.items_max))]
        try:
            outcomes = await self._deliver([item.record for item in items])
            assert len(outcomes) == len(items), "one outcome a record"
        except asyncio.CancelledError:
            self._pending.extendleft(reversed(items))
            raise
        except Exception:
            log.exception("spool_delivery_failed", spool=self._name)
            outcomes = [Delivery.RETRY] * len(items)
        again = [item for item, outcome in zip(items, outcomes, strict=True) if outcome is Delivery.RETRY]
        for item, outcome in zip(items, outcomes, strict=True):
            self._delivered.labels(self._name, outcome.value).inc()
            if outcome is Delivery.POISON:
                self._set_aside(item.record)
            if outcome is not Delivery.RETRY:
                self._finish(item)
        self._pending.extendleft(reversed(again))
        if not self._pending:
            self._arrived.clear()
        return len(again) < len(items)

    def _finish(self, item: _Pending) -> None:
        self._pending_bytes -= len(item.record)
        item.segment.undelivered -= 1
        self._delete_if_done(item.segment)

    def _delete_if_done(self, segment: _Segment) -> None:
        if segment.sealed and segment.undelivered == 0:
            segment.path.unlink(missing_ok=True)

    def _set_aside(self, record: bytes) -> None:
        log.error("spool_record_refused", spool=self._name, record_bytes=len(record))
        with (self._directory / _DEAD).open("ab") as file:
            file.write(_frame(record))

    def _rotate(self) -> None:
        old = self._segment
        self._segment = self._next_segment()
        old.close()
        old.sealed = True
        self._delete_if_done(old)

    def _next_segment(self) -> _Segment:
        self._number += 1
        segment = _Segment(self._directory / f"{self._number:012d}{_SUFFIX}")
        _sync_directory(self._directory)
        return segment

    def _replay(self) -> int:
        """Read what an earlier life left; give the number of its last segment."""
        number = 0
        for path in sorted(self._directory.glob(f"[0-9]*{_SUFFIX}")):
            number = int(path.stem)
            segment = _Segment(path)
            segment.close()
            segment.sealed = True
            for record in read_records(path):
                self._add(record, segment)
            self._delete_if_done(segment)
        if self._pending:
            log.info("spool_replayed", spool=self._name, records=len(self._pending))
            self._arrived.set()
        return number


@asynccontextmanager
async def open_spool(
    directory: Path, *, deliver: Deliver, name: str, metrics: Metrics, limits: SpoolLimits | None = None
) -> AsyncIterator[Spool]:
    """Open a spool and deliver in the background; on exit deliver what waits, then close.

    Args:
        directory: of this spool alone, and of one process at a time.
        deliver: takes a list of records and gives an outcome for each; called again with what is to be retried. Records
            may come twice, so it must be idempotent.
    """
    spool = Spool(directory, deliver=deliver, name=name, metrics=metrics, limits=limits or SpoolLimits())
    task = asyncio.create_task(spool.run(), name=f"spool {name}")
    try:
        yield spool
    finally:
        await spool.drain()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        spool.close()


def read_records(path: Path) -> Iterator[bytes]:
    """Read the whole records of a segment, up to a torn or damaged one."""
    data = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        record = data[at + _HEADER.size : at + _HEADER.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            break
        yield record
        at += _HEADER.size + length
    if at < len(data):
        log.warning("spool_tail_cut", file=path.name, bytes_cut=len(data) - at)


def _frame(record: bytes) -> bytes:
    return _HEADER.pack(len(record), zlib.crc32(record)) + record


def _fail(group: list[tuple[bytes, "asyncio.Future[None]"]]) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(
                Unavailable(
                    "STORAGE_UNAVAILABLE",
                    "The disk does not take the record; retry.",
                    metadata={"store": "spool"},
                )
            )


def _sync_directory(directory: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
