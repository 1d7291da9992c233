"""All answers of one organization, in the order of their last use. Pure."""

import math
from collections import OrderedDict
from dataclasses import replace

from penstock_cache.entry import Entry, Label, Selector, key_of
from penstock_cache.index import Index

# Entries that expire within the same so many seconds are swept together.
EXPIRY_SLOT_SECONDS = 10
# An answer that more users and tags lay claim to is let go rather than tracked.
LABELS_MAX = 64


class Shard:
    """A least-recently-used store that counts its bytes. It knows of no other organization."""

    __slots__ = ("_entries", "_expiry", "_labels", "_slot_next", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._labels: Index[Label] = Index()
        self._expiry: Index[int] = Index()
        self._slot_next: float = math.inf  # no entry expires before this slot

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def get(self, key: bytes, now: float, age_seconds_max: float) -> Entry | None:
        """Give a living entry that is young enough, and count that as a use."""
        entry = self._entries.get(key)
        if entry is None or now >= entry.expires_at or now - entry.stored_at > age_seconds_max:
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, entry: Entry) -> None:
        """Keep an entry. The same answer again keeps its age and gains labels; another one replaces it."""
        known = self._entries.get(entry.key)
        if known is not None:
            self.discard(known.key)
            if known.answer == entry.answer and entry.stored_at < known.expires_at:
                entry = replace(known, labels=known.labels | entry.labels)
        if len(entry.labels) <= LABELS_MAX:
            self._add(entry)

    def discard(self, key: bytes) -> int:
        """Forget an entry; give how many there were."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return 0
        self.size_bytes -= entry.size_bytes
        self._expiry.discard(_slot(entry.expires_at), key)
        for label in entry.labels:
            self._labels.discard(label, key)
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
        """Drop what was not used for longest, until so much is free or so little is left; give how many."""
        target = max(self.size_bytes - bytes_wanted, bytes_kept)
        count = 0
        while self.size_bytes > target:
            count += self.discard(next(iter(self._entries)))
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

    def _add(self, entry: Entry) -> None:
        slot = _slot(entry.expires_at)
        self._entries[entry.key] = entry
        self.size_bytes += entry.size_bytes
        self._expiry.add(slot, entry.key)
        self._slot_next = min(self._slot_next, slot)
        for label in entry.labels:
            self._labels.add(label, entry.key)


def _slot(seconds: float) -> int:
    return int(seconds // EXPIRY_SLOT_SECONDS)
