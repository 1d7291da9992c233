"""All answers of one organization. Pure."""

import math
from dataclasses import replace

from penstock_cache.entry import Entry, Label, Selector, key_of
from penstock_cache.index import Index
from penstock_cache.replacement.mixture import Mixture
from penstock_cache.replacement.queue import Item

# Entries that expire within the same so many seconds are swept together.
EXPIRY_SLOT_SECONDS = 10
# An answer that more users and tags lay claim to is let go rather than tracked.
LABELS_MAX = 64
# Requests that the replacement policy is told of when something comes in. More between two answers that come in are not
# told: where nearly everything is found, nothing need be learned.
REQUESTS_MAX = 1024


class Shard:
    """A store that counts its bytes. It knows of no other organization."""

    __slots__ = ("_entries", "_expiry", "_labels", "_replacement", "_requests", "_slot_next", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: dict[bytes, Entry] = {}
        self._replacement = Mixture()
        self._requests: list[bytes] = []
        self._labels: Index[Label] = Index()
        self._expiry: Index[int] = Index()
        self._slot_next: float = math.inf  # no entry expires before this slot

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def entries(self) -> list[Entry]:
        """Give all entries."""
        return list(self._entries.values())

    def get(self, key: bytes, now: float, age_seconds_max: float) -> Entry | None:
        """Give a living entry that is young enough, and count that as a use."""
        if len(self._requests) < REQUESTS_MAX:
            self._requests.append(key)
        entry = self._entries.get(key)
        if entry is None or now >= entry.expires_at or now - entry.stored_at > age_seconds_max:
            return None
        return entry

    def put(self, entry: Entry) -> None:
        """Keep an entry. The same answer again keeps its age and gains labels; another one replaces it."""
        self._tell_requests()
        known = self._entries.get(entry.key)
        if known is not None:
            self._remove(known)
            if known.answer == entry.answer and entry.stored_at < known.expires_at:
                entry = replace(known, labels=known.labels | entry.labels)
            if entry.size_bytes != known.size_bytes:
                self._replacement.discard(known.key)
        if len(entry.labels) <= LABELS_MAX:
            self._add(entry)
            self._replacement.insert(_item(entry))
        elif known is not None:
            self._replacement.discard(known.key)

    def discard(self, key: bytes) -> int:
        """Forget an entry altogether; give how many there were."""
        self._replacement.discard(key)
        entry = self._entries.get(key)
        if entry is None:
            return 0
        self._remove(entry)
        return 1

    def forget(self, selector: Selector) -> int:
        """Forget what a selector names; give how many entries."""
        match selector:
            case ("entry_id", entry_id):
                keys = [key_of(entry_id)]
            case ("everything", _):
                keys = list(self._entries)
            case label:
                keys = self._labels.keys(label)
        return sum(map(self.discard, keys))

    def evict(self, bytes_wanted: int, bytes_kept: float) -> int:
        """Drop what is worth least, until so much is free or so little is left; give how many."""
        target = int(max(self.size_bytes - bytes_wanted, bytes_kept))
        count = 0
        victims = self._replacement.victims(self._entries, target)
        while self.size_bytes > target:
            self._remove(self._entries[next(victims)])
            count += 1
        return count

    def expire(self, now: float, entries_max: int) -> int:
        """Drop entries whose slot is over, so many at most; give how many."""
        slot_now = _slot(now)
        count = 0
        while self._entries and self._slot_next < slot_now and count < entries_max:
            slot = int(self._slot_next)
            keys = self._expiry.keys(slot)
            count += sum(self.discard(key) for key in keys[: entries_max - count])
            if slot not in self._expiry:
                self._slot_next = slot + 1
        return count

    def _tell_requests(self) -> None:
        requests, self._requests = self._requests, []
        for key in requests:
            entry = self._entries.get(key)
            if entry is None:
                self._replacement.miss(key, len(self._entries))
            else:
                self._replacement.hit(_item(entry), self.size_bytes, len(self._entries))

    def _add(self, entry: Entry) -> None:
        slot = _slot(entry.expires_at)
        self._entries[entry.key] = entry
        self.size_bytes += entry.size_bytes
        self._expiry.add(slot, entry.key)
        self._slot_next = min(self._slot_next, slot)
        for label in entry.labels:
            self._labels.add(label, entry.key)

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self.size_bytes -= entry.size_bytes
        self._expiry.discard(_slot(entry.expires_at), entry.key)
        for label in entry.labels:
            self._labels.discard(label, entry.key)


def _item(entry: Entry) -> Item:
    return Item(entry.key, entry.size_bytes, entry.answer.worth)


def _slot(seconds: float) -> int:
    return int(seconds // EXPIRY_SLOT_SECONDS)
