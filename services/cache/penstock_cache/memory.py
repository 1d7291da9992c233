"""The L1 tier: a shard for each organization, all under one bound. Pure."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from penstock_cache.entry import Entry, Selector
from penstock_cache.shard import Shard

# An eviction frees this part of the bound, so that the search for whom to take from is paid for rarely.
EVICTION_DIVISOR = 1024


class Eviction(Enum):
    """Why an entry went."""

    CAPACITY = "capacity"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"


class Memory:
    """Kept answers of all organizations.

    Nothing crosses between organizations: each has its shard, found by name before any key is looked at. When
    the bound is reached, the organization that takes most gives way, and never below its equal share.

    Args:
        bytes_max: what all entries may take together, bookkeeping included.
    """

    def __init__(self, bytes_max: int) -> None:
        self.size_bytes = 0
        self.evictions: dict[Eviction, int] = dict.fromkeys(Eviction, 0)
        self._bytes_max = bytes_max
        self._shards: dict[str, Shard] = {}

    def __len__(self) -> int:
        return sum(map(len, self._shards.values()))

    def entries(self) -> list[tuple[str, Entry]]:
        """Give all that is kept, each entry with its organization."""
        return [(name, entry) for name, shard in self._shards.items() for entry in shard.entries()]

    def holds(self, organization: str, key: bytes) -> bool:
        """Tell whether an organization's entry is kept."""
        return key in self._shards.get(organization, ())

    def held(self, organization: str) -> tuple[int, int]:
        """Tell how many entries of an organization are kept, and their bytes."""
        shard = self._shards.get(organization)
        return (0, 0) if shard is None else (len(shard), shard.size_bytes)

    def get(
        self, organization: str, key: bytes, now: float, age_seconds_max: float = math.inf
    ) -> Entry | None:
        """Give an organization's living entry that is young enough."""
        shard = self._shards.get(organization)
        return None if shard is None else shard.get(key, now, age_seconds_max)

    def put(self, organization: str, entry: Entry) -> bool:
        """Keep an entry; tell whether it found room."""
        with self._changing(organization) as shard:
            shard.put(entry)
        while self.size_bytes > self._bytes_max:
            self._evict()
        return entry.key in shard

    def forget(self, organization: str, selector: Selector) -> int:
        """Forget what a selector names of an organization; give how many entries."""
        with self._changing(organization) as shard:
            return self._count(Eviction.INVALIDATED, shard.forget(selector))

    def forget_all(self) -> None:
        """Forget every organization."""
        for organization in list(self._shards):
            self.forget(organization, ("everything", ""))

    def expire(self, now: float, entries_max: int) -> int:
        """Drop entries past their time, so many at most; give how many."""
        count = 0
        for organization in list(self._shards):
            with self._changing(organization) as shard:
                count += self._count(Eviction.EXPIRED, shard.expire(now, entries_max - count))
        return count

    def _evict(self) -> None:
        """Take from the organization that is most over its share."""
        organization = max(self._shards, key=lambda name: self._shards[name].size_bytes)
        share = self._bytes_max / len(self._shards)
        with self._changing(organization) as shard:
            count = shard.evict(max(self._bytes_max // EVICTION_DIVISOR, 1), bytes_kept=share)
        self._count(Eviction.CAPACITY, count)

    @contextmanager
    def _changing(self, organization: str) -> Iterator[Shard]:
        """Give a shard for a change and keep the sum right; an empty shard leaves no trace."""
        shard = self._shards.get(organization)
        if shard is None:
            shard = self._shards[organization] = Shard()
        before = shard.size_bytes
        yield shard
        self.size_bytes += shard.size_bytes - before
        if not shard:
            del self._shards[organization]

    def _count(self, why: Eviction, entries: int) -> int:
        self.evictions[why] += entries
        return entries
