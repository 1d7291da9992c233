"""Quick demotion: what is not asked for again soon after it came goes first. Pure.

S3-FIFO: J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
"""

from collections.abc import Iterator

from penstock_cache.replacement.queue import Ghosts, Item, Queue

SMALL_SHARE = 0.1
USES_MAX = 3
PROMOTION_USES = 2


class S3Fifo:
    """A small queue that most leave soon, a main queue for what was used in it, and ghosts of what left."""

    def __init__(self) -> None:
        self._small = Queue()
        self._main = Queue()
        self._ghosts = Ghosts()
        self._uses: dict[bytes, int] = {}  # of those that were used

    def __contains__(self, key: bytes) -> bool:
        return key in self._small or key in self._main

    def hit(self, key: bytes) -> Item | None:
        """See `Expert.hit`."""
        item = self._small.get(key) or self._main.get(key)
        if item is not None:
            self._uses[key] = min(self._uses.get(key, 0) + 1, USES_MAX)
        return item

    def insert(self, item: Item) -> None:
        """See `Expert.insert`."""
        queue = self._main if self._ghosts.take(item.key) else self._small
        queue.push(item)

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """See `Expert.shrink`."""
        small_bytes_max = int(bytes_max * SMALL_SHARE)
        while self._small.size_bytes + self._main.size_bytes > bytes_max:
            if self._small.size_bytes > small_bytes_max or not self._main:
                yield from self._leave_small()
            else:
                yield from self._leave_main()

    def discard(self, key: bytes) -> None:
        """See `Expert.discard`."""
        self._small.take(key)
        self._main.take(key)
        self._uses.pop(key, None)
        self._ghosts.take(key)

    def _leave_small(self) -> Iterator[bytes]:
        item = self._small.pop()
        if self._uses.pop(item.key, 0) >= PROMOTION_USES:
            self._main.push(item)
            return
        self._ghosts.add(item.key, len(self._small) + len(self._main))
        yield item.key

    def _leave_main(self) -> Iterator[bytes]:
        item = self._main.pop()
        uses = self._uses.pop(item.key, 0)
        if uses == 0:
            yield item.key
            return
        if uses > 1:
            self._uses[item.key] = uses - 1
        self._main.push(item)
