"""Least recently used goes first. Pure."""

from collections.abc import Iterator

from penstock_cache.replacement.queue import Item, Queue


class Recency:
    """LRU."""

    def __init__(self) -> None:
        self._queue = Queue()

    def __contains__(self, key: bytes) -> bool:
        return key in self._queue

    def hit(self, key: bytes) -> Item | None:
        """See `Expert.hit`."""
        item = self._queue.get(key)
        if item is not None:
            self._queue.refresh(key)
        return item

    def insert(self, item: Item) -> None:
        """See `Expert.insert`."""
        self._queue.push(item)

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """See `Expert.shrink`."""
        while self._queue.size_bytes > bytes_max:
            yield self._queue.pop().key

    def discard(self, key: bytes) -> None:
        """See `Expert.discard`."""
        self._queue.take(key)
