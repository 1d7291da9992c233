"""What saves least for its bytes goes first. Pure.

GreedyDual-Size-Frequency: L. Cherkasova, "Improving WWW proxies performance with greedy-dual-size-frequency caching
policy", HP Laboratories HPL-98-69, 1998. Unlike there, the uses of what left may be remembered for a while.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count

from penstock_cache.replacement.queue import Item

GHOSTS_MAX = 32_768
Rank = tuple[float, int, bytes]


class Worth:
    """Items ranked by uses times worth for each byte, above an inflation that lets what was once good grow old.

    Args:
        ghosts: how many of those that left have their uses remembered, in times the number of items.
    """

    def __init__(self, ghosts: int) -> None:
        self._ghosts_per_item = ghosts
        self._items: dict[bytes, tuple[Item, int, Rank]] = {}
        self._ranks: list[Rank] = []  # a heap, with ranks in it that hold no more
        self._uses_gone: OrderedDict[bytes, int] = OrderedDict()
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
        self._rank(item, self._uses_gone.pop(item.key, 0) + 1)

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """See `Expert.shrink`."""
        while self._size_bytes > bytes_max:
            rank = heappop(self._ranks)
            held = self._items.get(rank[2])
            if held is not None and held[2] is rank:
                self._inflation = rank[0]
                yield self._let_go(*held)

    def discard(self, key: bytes) -> None:
        """See `Expert.discard`."""
        self._uses_gone.pop(key, None)
        held = self._items.pop(key, None)
        if held is not None:
            self._size_bytes -= held[0].size_bytes

    def _let_go(self, item: Item, uses: int, _rank: Rank) -> bytes:
        self.discard(item.key)
        self._uses_gone[item.key] = uses
        while len(self._uses_gone) > min(self._ghosts_per_item * len(self._items), GHOSTS_MAX):
            self._uses_gone.popitem(last=False)
        return item.key

    def _rank(self, item: Item, uses: int) -> None:
        rank = (self._inflation + uses * item.worth / item.size_bytes, next(self._turns), item.key)
        self._items[item.key] = (item, uses, rank)
        heappush(self._ranks, rank)
        if len(self._ranks) > 2 * len(self._items) + 64:
            self._ranks = [held[2] for held in self._items.values()]
            heapify(self._ranks)
