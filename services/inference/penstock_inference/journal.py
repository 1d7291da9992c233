"""The usage journal: what each attempt at an operation used, still known after a kill -9.

A step's counts are in the file before any of its tokens leave the process, so a process that is killed has given nobody
a token that the journal does not know. What was written is made safe from a power cut in groups, off the engine's path.
"""

import asyncio
import threading
import time
from collections import defaultdict
from pathlib import Path

from servicekit.errors import Unavailable
from servicekit.logging import get_logger

from penstock_inference.usage_record import Attempt, encode_record, read_segment
from penstock_inference.usage_segments import Segments

SYNC_INTERVAL_SECONDS = 0.05
_KEYS_PER_SEGMENT = 1 << 24  # more than a segment has room for

log = get_logger(__name__)


class Journal:
    """Append and look up. Thread-safe."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        """Open a journal. What processes before this one wrote is read meanwhile. `bytes_max` bounds the files."""
        self._lock = threading.Lock()
        self._segments = Segments(directory, bytes_max)
        self._by_operation: dict[str, list[Attempt]] = defaultdict(list)
        self._ended: dict[Path, list[Attempt]] = defaultdict(list)  # by the segment with their last record
        self._keys = 0
        self._failed = False
        self._before = self._segments.paths()
        self._was_read = threading.Event()
        threading.Thread(target=self._read, name="journal-read", daemon=True).start()
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._syncing = threading.Thread(target=self._sync_until_closed, name="journal-sync", daemon=True)
        self._syncing.start()

    def write(self, attempts: list[Attempt]) -> None:
        """Record what attempts have used until now, in one line.

        Raises:
            Unavailable: the disk does not take it (STORAGE_UNAVAILABLE).
        """
        with self._lock:
            try:
                self._append(attempts, self._segments.current or self._begin_segment())
            except OSError as error:
                self._failed = True
                log.exception("journal_write_failed")
                raise _unavailable() from error
            self._failed = False
        if not self._dirty.is_set():
            self._dirty.set()

    def usage(self, operation_id: str) -> list[Attempt]:
        """Give what is known of an operation's attempts, in the order in which they began; none if nothing is.

        It blocks while what was written before is still being read: see `read`.
        """
        self._was_read.wait()
        return list(self._by_operation.get(operation_id, ()))

    async def read(self) -> None:
        """Wait until what processes before this one wrote is known: a second, when that is much."""
        if not self._was_read.is_set():
            await asyncio.to_thread(self._was_read.wait)

    async def check(self) -> None:
        """Probe: after a failure, raise Unavailable until the disk takes a line again."""
        if self._failed:
            await asyncio.to_thread(self.write, [])

    def close(self) -> None:
        """Make everything safe; no call may follow."""
        self._closing.set()
        self._dirty.set()
        self._syncing.join()
        self._was_read.wait()
        self._segments.close()

    def _append(self, attempts: list[Attempt], segment: Path) -> None:
        # Each segment introduces the attempts in it, so that it can be read when those before are gone.
        introduced = [attempt for attempt in attempts if attempt.segment != segment]
        new = [attempt for attempt in introduced if attempt.segment is None]
        for attempt in new:
            self._keys += 1
            attempt.key = self._keys
        time_ns = time.time_ns()
        self._segments.append(encode_record(time_ns, attempts, introduced))
        for attempt in new:
            self._by_operation[attempt.operation_id].append(attempt)
        for attempt in attempts:
            attempt.segment, attempt.record_time_ns = segment, time_ns
            if attempt.ended:
                self._ended[segment].append(attempt)

    def _begin_segment(self) -> Path:
        if self._was_read.is_set():
            for deleted in self._segments.delete_oldest():
                for attempt in self._ended.pop(deleted, ()):
                    self._forget(attempt)
        segment = self._segments.begin()
        self._keys = int(segment.stem) * _KEYS_PER_SEGMENT  # so that nobody need know what was written before
        return segment

    def _forget(self, attempt: Attempt) -> None:
        attempts = self._by_operation[attempt.operation_id]
        attempts.remove(attempt)
        if not attempts:
            del self._by_operation[attempt.operation_id]

    def _read(self) -> None:
        """Read what was written before; what ran then has ended with its process."""
        try:
            latest = {attempt.key: attempt for path in self._before for attempt in read_segment(path)}
            with self._lock:
                known, self._by_operation = self._by_operation, defaultdict(list)
                for attempt in latest.values():
                    assert attempt.segment is not None
                    attempt.ended = True
                    self._by_operation[attempt.operation_id].append(attempt)
                    self._ended[attempt.segment].append(attempt)
                for operation_id, attempts in known.items():
                    self._by_operation[operation_id] += attempts
        except OSError:
            log.exception("journal_read_failed")
        finally:
            self._was_read.set()

    def _sync_until_closed(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            try:
                self._segments.sync()
            except OSError:
                self._failed = True
                log.exception("journal_sync_failed")
            self._closing.wait(SYNC_INTERVAL_SECONDS)


def _unavailable() -> Unavailable:
    return Unavailable(
        "STORAGE_UNAVAILABLE", "The usage journal cannot be written; retry.", metadata={"store": "journal"}
    )
