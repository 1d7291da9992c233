"""What is in memory, on disk, for a warm start. A snapshot that is torn, changed or older than an erasure is none."""

import asyncio
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from servicekit.logging import get_logger

from penstock_cache.entry import Entry
from penstock_cache.memory import Memory
from penstock_cache.partition import KEY_BYTES, RoomKeys
from penstock_cache.shared.record import seal, unseal

_MAGIC = b"penstock cache snapshot 1\n"
_HEAD = struct.Struct("<QQ")  # erasures known, entries
_RECORD = struct.Struct("<HI")  # bytes of the organization's name, bytes of the record
_MAC = b"snapshot"
MAC_BYTES = 32

log = get_logger(__name__)

Kept = Sequence[tuple[str, Entry]]


class SnapshotError(Exception):
    """The file is not a whole snapshot of this installation."""


@dataclass(frozen=True, slots=True)
class SnapshotFormat:
    """Writes and reads the file: magic, head, a record for each entry, and a keyed digest of all that."""

    keys: RoomKeys

    def write(self, path: Path, kept: Kept, erasures: int) -> None:
        """Write a draft and put it in the place of the last one, so that there is always a whole one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            digest = self._digest()
            for piece in self._pieces(kept, erasures):
                digest.update(piece)
                file.write(piece)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())

    def read(self, path: Path) -> tuple[int, list[tuple[str, Entry]]]:
        """Give how many erasures it knew, and the entries.

        Raises:
            SnapshotError: it is torn, changed or another installation's.
        """
        content = path.read_bytes()
        digest = self._digest()
        digest.update(content[:-MAC_BYTES])
        if not content.startswith(_MAGIC) or digest.digest() != content[-MAC_BYTES:]:
            raise SnapshotError
        erasures, count = _HEAD.unpack_from(content, len(_MAGIC))
        entries = list(self._entries(content, count))
        return erasures, entries

    def _pieces(self, kept: Kept, erasures: int) -> Iterator[bytes]:
        yield _MAGIC + _HEAD.pack(erasures, len(kept))
        for organization, entry in kept:
            name, secret = organization.encode(), self.keys.tenant_secret(organization)
            record = seal(entry, secret, secret)
            yield _RECORD.pack(len(name), len(record)) + name + entry.key + record

    def _entries(self, content: bytes, count: int) -> Iterator[tuple[str, Entry]]:
        at = len(_MAGIC) + _HEAD.size
        for _ in range(count):
            name_bytes, record_bytes = _RECORD.unpack_from(content, at)
            name_at = at + _RECORD.size
            key_at = name_at + name_bytes
            record_at = key_at + KEY_BYTES
            at = record_at + record_bytes
            organization, key = content[name_at:key_at].decode(), content[key_at:record_at]
            entry = unseal(content[record_at:at], key, self.keys.tenant_secret(organization))
            if entry is None:
                raise SnapshotError
            yield organization, entry

    def _digest(self) -> "blake2b":
        return blake2b(key=self.keys.root_secret, person=_MAC, digest_size=MAC_BYTES)


class Snapshots:
    """Keeps a snapshot of memory.

    Args:
        path: the file. What is copied from it is a backup; to restore one, put it back before the start.
        keys: of this installation.
        memory: what is kept.
        erasures: tells how many erasures there were; a snapshot that knows fewer is not used.
    """

    def __init__(self, path: Path, keys: RoomKeys, memory: Memory, erasures: Callable[[], int]) -> None:
        self._path = path
        self._draft = path.with_suffix(".draft")
        self._format = SnapshotFormat(keys)
        self._memory = memory
        self._erasures = erasures
        self._discarded = 0

    async def restore(self, now: float) -> int:
        """Fill memory from the snapshot; give how many entries. Whatever is wrong with it, the start goes on."""
        try:
            erasures, kept = await asyncio.to_thread(self._format.read, self._path)
            known = await asyncio.to_thread(self._erasures)
        except FileNotFoundError:
            return 0
        except (SnapshotError, OSError) as error:
            log.warning("snapshot_ignored", path=str(self._path), why=type(error).__name__)
            return 0
        if erasures < known:
            log.warning("snapshot_ignored", path=str(self._path), why="older than an erasure")
            return 0
        living = [(organization, entry) for organization, entry in kept if now < entry.expires_at]
        for organization, entry in living:
            self._memory.put(organization, entry)
        log.info("snapshot_restored", entries=len(living))
        return len(living)

    async def write(self) -> bool:
        """Write a snapshot; tell whether it stands. One during which something was forgotten does not."""
        discarded = self._discarded
        kept = self._memory.entries()
        try:
            erasures = await asyncio.to_thread(self._erasures)
            await asyncio.to_thread(self._format.write, self._draft, kept, erasures)
            if discarded != self._discarded:
                self._draft.unlink(missing_ok=True)
                return False
            self._draft.replace(self._path)
        except OSError as error:
            log.warning("snapshot_not_written", path=str(self._path), why=str(error))
            return False
        return True

    def discard(self) -> None:
        """Remove the snapshot, as something in it is to be forgotten."""
        self._discarded += 1
        self._path.unlink(missing_ok=True)

    async def keep_up(self, interval_seconds: float) -> None:
        """Write again and again, for ever."""
        while True:
            await asyncio.sleep(interval_seconds)
            await self.write()
