"""What a replacement policy is, to the mixture that listens to several of them. Pure."""

from collections.abc import Iterator
from typing import Protocol

from penstock_cache.replacement.queue import Item


class Expert(Protocol):
    """A policy that plays by itself: it says which items a cache of its own would hold."""

    def __contains__(self, key: bytes) -> bool: ...

    def hit(self, key: bytes) -> Item | None:
        """Tell of a request; give the item if it is held."""

    def insert(self, item: Item) -> None:
        """Take in an item that is not held."""

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """Let go until so many bytes are held at most; give the keys of what went, in order."""

    def discard(self, key: bytes) -> None:
        """Forget a key altogether."""
