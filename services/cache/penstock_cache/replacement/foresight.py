"""What is least likely to be of use soon goes first, as learnt from all that was used before. Pure."""

from array import array
from collections.abc import Iterator

import numpy as np

from penstock_cache.replacement import hazard
from penstock_cache.replacement.hazard import Hazard
from penstock_cache.replacement.queue import Item
from penstock_cache.replacement.use_log import UseLog

# Uses that are remembered: times the number of items, and besides.
LOG_PER_ITEM = 20
LOG_MIN = 2048
# What was learnt counts half after so many uses, times the number of items, and besides.
HALF_LIFE_PER_ITEM = 20
HALF_LIFE_MIN = 20_000
# Uses until more is learnt, or a quarter of the number of items.
LESSON_USES = 1000
# All are compared once for each so manieth part of them that leaves.
LEAVING_PART = 512
# Who holds fewer items learns nothing: it would take more memory than they do.
ITEMS_TO_LEARN = 64


class Foresight:
    """Items ranked by what they save for their bytes, times how soon a use is to be expected: a Gittins index."""

    def __init__(self) -> None:
        self._log = UseLog()
        self._places: dict[bytes, int] = {}
        self._items: list[Item] = []
        self._last_uses = array("q")  # their numbers in the log
        self._densities = array("d")  # worth for each byte
        self._size_bytes = 0
        self._leaving: list[tuple[bytes, int]] = []  # who goes next, the first last
        self._hazard: Hazard | None = None  # until there is too little room for all
        self._indices = hazard.prior()
        self._learn_at = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def hit(self, key: bytes) -> Item | None:
        """See `Expert.hit`."""
        place = self._places.get(key)
        if place is None:
            return None
        self._last_uses[place] = self._use(key)
        return self._items[place]

    def insert(self, item: Item) -> None:
        """See `Expert.insert`."""
        self._places[item.key] = len(self._items)
        self._items.append(item)
        self._last_uses.append(self._use(item.key))
        self._densities.append(item.worth / item.size_bytes)
        self._size_bytes += item.size_bytes

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """See `Expert.shrink`."""
        if self._size_bytes > bytes_max and self._hazard is None and len(self._items) >= ITEMS_TO_LEARN:
            self._hazard, self._learn_at = Hazard(), 0
        while self._size_bytes > bytes_max:
            if not self._leaving:
                self._leaving = self._least()
            key, last_use = self._leaving.pop()
            place = self._places.get(key)
            if place is not None and self._last_uses[place] == last_use:
                self._take(key)
                yield key

    def discard(self, key: bytes) -> None:
        """See `Expert.discard`."""
        self._log.discard(key)
        if key in self._places:
            self._take(key)

    def _use(self, key: bytes) -> int:
        """Note a use; give its number."""
        log = self._log
        before = log.close(key)
        if log.kinds:
            log.kinds[-1] += hazard.FOLLOWED_BY_KNOWN if before.uses else hazard.FOLLOWED_BY_NEW
        uses = before.uses + 1
        number = log.add(key, uses, hazard.kind_of(uses, before.gap))
        if number >= self._learn_at:
            self._learn(number)
        return number

    def _learn(self, number: int) -> None:
        items = len(self._items)
        if self._hazard is not None:
            self._hazard.learn(self._log, HALF_LIFE_PER_ITEM * items + HALF_LIFE_MIN)
            self._indices = self._hazard.indices()
        self._log.trim(min(LOG_PER_ITEM * items + LOG_MIN, hazard.AGE_MAX))
        self._learn_at = number + max(LESSON_USES, items // 4)

    def _least(self) -> list[tuple[bytes, int]]:
        """Give those that are worth least to keep, the least last, each with the number of its last use."""
        last_uses = np.frombuffer(self._last_uses, np.int64)
        places = last_uses - self._log.start
        remembered = places >= 0
        kinds = np.frombuffer(self._log.kinds, np.int16)[np.where(remembered, places, 0)]
        ages = np.minimum(self._log.end - last_uses, hazard.AGE_MAX - 1)
        values = self._indices[kinds, hazard.AGE_CLASSES[ages]] * np.frombuffer(self._densities)
        values[~remembered] = 0.0
        count = 1 + len(values) // LEAVING_PART
        candidates = np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])
        order = np.lexsort((last_uses[candidates], values[candidates]))
        return [(self._items[place].key, self._last_uses[place]) for place in candidates[order[:count]][::-1]]

    def _take(self, key: bytes) -> None:
        place = self._places.pop(key)
        self._size_bytes -= self._items[place].size_bytes
        item, last_use, density = self._items.pop(), self._last_uses.pop(), self._densities.pop()
        if item.key != key:
            self._places[item.key] = place
            self._items[place], self._last_uses[place], self._densities[place] = item, last_use, density
