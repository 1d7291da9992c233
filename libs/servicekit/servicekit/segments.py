"""The files of a spool: framed records (length, CRC-32, payload), appended and synced, read back after a crash.

All of this blocks and belongs to one thread. A torn tail, from a crash in the middle of a write, is not read: its
records were never acknowledged.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from servicekit.logging import get_logger

_HEADER = struct.Struct("<II")
_SUFFIX = ".spool"
_DEAD = "dead" + _SUFFIX
_LOCK = "lock"

log = get_logger(__name__)


class Segment:
    """One file: appended to until it is sealed, deleted when it is sealed and all its records are delivered."""

    def __init__(self, path: Path, undelivered: int = 0) -> None:
        self.path = path
        self.size = 0
        self.undelivered = undelivered
        self._file: int | None = None

    @property
    def through(self) -> bool:
        """Tell whether nobody needs it any more."""
        return self._file is None and self.undelivered == 0

    def open(self) -> None:
        """Create the file and make its name durable."""
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _sync_directory(self.path.parent)
        except OSError:
            self.seal()
            raise

    def append(self, records: list[bytes], *, sync: bool = True) -> None:
        """Add records and wait for the disk. After an OSError what the file ends in is unknown: seal it."""
        assert self._file is not None, "a sealed segment is not appended to"
        blob = b"".join(_frame(record) for record in records)
        try:
            _write(self._file, blob)
            if sync:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(blob)
        self.undelivered += len(records)

    def reopened(self) -> int:
        """Give another descriptor of the file, for the caller to sync and close, in any thread."""
        assert self._file is not None, "a sealed segment was synced"
        return os.dup(self._file)

    def seal(self) -> None:
        """Append no more."""
        assert self._file is not None, "a segment is sealed once"
        os.close(self._file)
        self._file = None


class Segments:
    """A directory of segments, of one process at a time: the kernel lets go of its lock when the process dies.

    Args:
        directory: of these segments alone.
        segment_bytes_max: after which a file is not appended to.
        sync: wait for the disk with each append; else `syncing` says what to wait for, and until then records survive
            the death of the process only.

    Raises:
        RuntimeError: another process has the directory.
    """

    def __init__(self, directory: Path, segment_bytes_max: int, *, sync: bool = True) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._segment_bytes_max = segment_bytes_max
        self._sync = sync
        self._lock = _lock(directory)
        self._number = max((int(path.stem) for path in self._paths()), default=0)
        self._current: Segment | None = None

    def replay(self) -> Iterator[tuple[Segment, list[bytes]]]:
        """Give what earlier processes left, oldest first."""
        for path in self._paths():
            records = list(read_records(path))
            segment = Segment(path, len(records))
            self._delete_if_through(segment)
            yield segment, records

    def append(self, records: list[bytes]) -> Segment:
        """Put records on disk and tell in which segment; after an OSError none of them counts as kept."""
        segment = self._current
        if segment is None:
            self._number += 1
            segment = Segment(self._directory / f"{self._number:012d}{_SUFFIX}")
            segment.open()
            self._current = segment
        try:
            segment.append(records, sync=self._sync)
        except OSError:
            self._seal_current()
            raise
        if segment.size >= self._segment_bytes_max:
            self._seal_current()
        return segment

    def syncing(self) -> Callable[[], None]:
        """Give a function, for any thread, that waits until what was appended so far is on disk."""
        if self._current is None:
            return _nothing
        file = self._current.reopened()

        def sync() -> None:
            try:
                os.fdatasync(file)
            finally:
                os.close(file)

        return sync

    def finish(self, delivered: Mapping[Segment, int]) -> None:
        """Count records as delivered, and delete the segments that are through."""
        for segment, count in delivered.items():
            segment.undelivered -= count
            self._delete_if_through(segment)

    def set_aside(self, records: Iterable[bytes]) -> None:
        """Keep records that nobody takes in `dead.spool`, for a person; `read_records` reads it."""
        file = os.open(self._directory / _DEAD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            _write(file, b"".join(_frame(record) for record in records))
            os.fsync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Write no more and let the next process in."""
        if self._current is not None:
            self._seal_current()
        os.close(self._lock)

    def _seal_current(self) -> None:
        assert self._current is not None
        sync = _nothing if self._sync else self.syncing()
        segment, self._current = self._current, None
        segment.seal()
        sync()
        self._delete_if_through(segment)

    def _delete_if_through(self, segment: Segment) -> None:
        if segment.through:
            segment.path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self._directory.glob(f"[0-9]*{_SUFFIX}"))


def read_records(path: Path) -> Iterator[bytes]:
    """Read the whole records of a file, up to a torn or damaged one."""
    data = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        record = data[at + _HEADER.size : at + _HEADER.size + length]
        # A tail of zeros, which a crash may leave, would pass for empty records: there are none.
        if length == 0 or len(record) < length or zlib.crc32(record) != checksum:
            break
        yield record
        at += _HEADER.size + length
    if at < len(data):
        log.warning("spool_tail_cut", file=path.name, bytes_cut=len(data) - at)


def _nothing() -> None:
    pass


def _frame(record: bytes) -> bytes:
    return _HEADER.pack(len(record), zlib.crc32(record)) + record


def _write(file: int, blob: bytes) -> None:
    view = memoryview(blob)
    while view:
        view = view[os.write(file, view) :]


def _lock(directory: Path) -> int:
    file = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise RuntimeError(f"another process has the spool {directory}") from error
    return file


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
