"""Items in an order, with their bytes counted. Pure."""

from collections import OrderedDict
from typing import NamedTuple


class Item(NamedTuple):
    """Something that takes room, and what a hit on it saves."""

    key: bytes
    size_bytes: int
    worth: float


class Queue:
    """A queue that any item can be taken out of, in constant time."""

    __slots__ = ("_items", "size_bytes")

    def __init__(self) -> None:
        self._items: OrderedDict[bytes, Item] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: bytes) -> bool:
        return key in self._items

    def get(self, key: bytes) -> Item | None:
        """Give an item and leave it where it is."""
        return self._items.get(key)

    def first(self) -> Item:
        """Give the oldest item; there must be one."""
        return next(iter(self._items.values()))

    def push(self, item: Item) -> None:
        """Add an item at the young end."""
        self._items[item.key] = item
        self.size_bytes += item.size_bytes

    def refresh(self, key: bytes) -> None:
        """Move an item to the young end."""
        self._items.move_to_end(key)

    def pop(self) -> Item:
        """Take the oldest item; there must be one."""
        _, item = self._items.popitem(last=False)
        self.size_bytes -= item.size_bytes
        return item

    def take(self, key: bytes) -> Item | None:
        """Take an item out."""
        item = self._items.pop(key, None)
        if item is not None:
            self.size_bytes -= item.size_bytes
        return item


class Ghosts:
    """Keys of what left not long ago, the oldest first."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def add(self, key: bytes, count_max: int) -> list[bytes]:
        """Remember a key, and so many in all; give those that are forgotten for it."""
        self._keys[key] = None
        forgotten = []
        while len(self._keys) > count_max:
            forgotten.append(self._keys.popitem(last=False)[0])
        return forgotten

    def take(self, key: bytes) -> bool:
        """Forget a key; tell whether it was remembered."""
        return self._keys.pop(key, self) is None
