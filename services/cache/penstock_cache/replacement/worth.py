"""What saves least for its bytes goes first. Pure.

GreedyDual-Size-Frequency: L. Cherkasova, "Improving WWW proxies performance with greedy-dual-size-frequency caching
policy", HP Laboratories HPL-98-69, 1998.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count

from penstock_cache.replacement.queue import Item

Rank = tuple[float, int, bytes]


class Worth:
    """Items ranked by uses times worth for each byte, above an inflation that lets what was once good grow old."""

    def __init__(self) -> None:
        self._items: dict[bytes, tuple[Item, int, Rank]] = {}
        self._ranks: list[Rank] = []  # a heap, with ranks in it that hold no more
        self._inflation = 0.0
        self._size_bytes = 0
        self._turns = count()

    def __contains__(self, key: bytes) -> bool:
        return key in self._items

    def hit(self, key: bytes) -> Item | None:
        """See `Expert.hit`."""
        held = self._items.get(key)
        if held is None:
            return None
        item, uses, _ = held
        self._rank(item, uses + 1)
        return item

    def insert(self, item: Item) -> None:
        """See `Expert.insert`."""
        self._size_bytes += item.size_bytes
        self._rank(item, 1)

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """See `Expert.shrink`."""
        while self._size_bytes > bytes_max:
            rank = heappop(self._ranks)
            held = self._items.get(rank[2])
            if held is not None and held[2] is rank:
                self._inflation = rank[0]
                self.discard(rank[2])
                yield rank[2]

    def discard(self, key: bytes) -> None:
        """See `Expert.discard`."""
        held = self._items.pop(key, None)
        if held is not None:
            self._size_bytes -= held[0].size_bytes

    def _rank(self, item: Item, uses: int) -> None:
        rank = (self._inflation + uses * item.worth / item.size_bytes, next(self._turns), item.key)
        self._items[item.key] = (item, uses, rank)
        heappush(self._ranks, rank)
        if len(self._ranks) > 2 * len(self._items) + 64:
            self._ranks = [held[2] for held in self._items.values()]
            heapify(self._ranks)
