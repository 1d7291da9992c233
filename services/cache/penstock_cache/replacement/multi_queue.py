"""Who is asked for least goes first, and frequency fades with the time since it was earned. Pure.

MQ: Y. Zhou, J. Philbin, K. Li, "The multi-queue replacement algorithm for second level buffer caches", USENIX ATC 2001.
"""

from collections.abc import Iterator

from penstock_cache.replacement.queue import Ghosts, Item, Queue

LEVELS = 8
GHOSTS_MAX = 32_768


class MultiQueue:
    """A queue for each power of two of uses; who is not used for a lifetime sinks by one.

    Args:
        lifetime: how many requests an item stays on its level, in times the number of items.
        ghosts: how many of those that left have their uses remembered, in times the number of items.
    """

    def __init__(self, lifetime: int, ghosts: int) -> None:
        self._lifetime = lifetime
        self._ghosts_per_item = ghosts
        self._levels = tuple(Queue() for _ in range(LEVELS))
        self._level_of: dict[bytes, int] = {}
        self._uses: dict[bytes, int] = {}
        self._sinks_at: dict[bytes, int] = {}
        self._ghosts = Ghosts()
        self._requests = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._level_of

    def hit(self, key: bytes) -> Item | None:
        """See `Expert.hit`."""
        self._requests += 1
        level = self._level_of.get(key)
        if level is None:
            return None
        item = self._levels[level].take(key)
        assert item is not None, "every item is on its level"
        self._uses[key] += 1
        self._place(item, self._earned(key))
        self._sink()
        return item

    def insert(self, item: Item) -> None:
        """See `Expert.insert`."""
        self._ghosts.take(item.key)
        self._uses[item.key] = self._uses.get(item.key, 0) + 1
        self._place(item, self._earned(item.key))
        self._sink()

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """See `Expert.shrink`."""
        while sum(level.size_bytes for level in self._levels) > bytes_max:
            key = next(level for level in self._levels if level).pop().key
            del self._level_of[key], self._sinks_at[key]
            ghosts_max = min(self._ghosts_per_item * len(self._level_of), GHOSTS_MAX)
            for forgotten in self._ghosts.add(key, ghosts_max):
                del self._uses[forgotten]
            yield key

    def discard(self, key: bytes) -> None:
        """See `Expert.discard`."""
        self._ghosts.take(key)
        self._uses.pop(key, None)
        self._sinks_at.pop(key, None)
        level = self._level_of.pop(key, None)
        if level is not None:
            self._levels[level].take(key)

    def _earned(self, key: bytes) -> int:
        return min(self._uses[key].bit_length(), LEVELS) - 1

    def _place(self, item: Item, level: int) -> None:
        self._levels[level].push(item)
        self._level_of[item.key] = level
        self._sinks_at[item.key] = self._requests + self._lifetime * len(self._level_of)

    def _sink(self) -> None:
        """Let the oldest of each level sink whose lifetime there is over."""
        if len(self._levels[0]) == len(self._level_of):
            return  # as long as nothing is asked for twice, which is most of the time in a cache that fills up
        for level in range(1, LEVELS):
            queue = self._levels[level]
            if queue and self._sinks_at[queue.first().key] < self._requests:
                self._place(queue.pop(), level - 1)
