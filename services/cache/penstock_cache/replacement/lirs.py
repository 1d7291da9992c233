"""Who was away for longest between two uses goes first; loops and scans do no harm. Pure.

LIRS: S. Jiang, X. Zhang, "LIRS: an efficient low inter-reference recency set replacement policy", SIGMETRICS 2002.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from enum import Enum

from penstock_cache.replacement.queue import Ghosts, Item, Queue

WARM_SHARE = 0.99
GHOSTS_PER_ITEM = 2


class _State(Enum):
    WARM = 1  # used twice within the life of the stack: LIR in the paper
    COLD = 2  # held, on its way out: resident HIR
    GONE = 3  # not held, remembered: non-resident HIR


class Lirs:
    """Items with short distances between uses fill nearly all room; the rest passes through a short queue."""

    def __init__(self) -> None:
        self._stack: OrderedDict[bytes, _State] = OrderedDict()  # by last use; its oldest is always warm
        self._warm = Queue()
        self._cold = Queue()
        self._ghosts = Ghosts()
        self._warm_bytes_max = math.inf  # until there is too little room for all

    def __contains__(self, key: bytes) -> bool:
        return key in self._warm or key in self._cold

    def hit(self, key: bytes) -> Item | None:
        """See `Expert.hit`."""
        item = self._warm.get(key)
        if item is not None:
            self._stack.move_to_end(key)
            self._prune()
            return item
        item = self._cold.get(key)
        if item is not None:
            if key in self._stack:
                self._cold.take(key)
                self._warm_up(item)
            else:
                self._cold.refresh(key)
                self._stack[key] = _State.COLD
        return item

    def insert(self, item: Item) -> None:
        """See `Expert.insert`."""
        if item.key in self._stack or self._warm_bytes_max == math.inf:
            self._ghosts.take(item.key)
            self._warm_up(item)
        else:
            self._stack[item.key] = _State.COLD
            self._cold.push(item)

    def shrink(self, bytes_max: int) -> Iterator[bytes]:
        """See `Expert.shrink`."""
        was_full = self._warm_bytes_max != math.inf
        self._warm_bytes_max = int(bytes_max * WARM_SHARE)
        if not was_full:
            self._fill_up()
        self._cool_down()
        while self._warm.size_bytes + self._cold.size_bytes > bytes_max:
            yield self._let_go(self._cold.pop().key)

    def discard(self, key: bytes) -> None:
        """See `Expert.discard`."""
        self._warm.take(key)
        self._cold.take(key)
        self._ghosts.take(key)
        self._stack.pop(key, None)
        self._prune()

    def _warm_up(self, item: Item) -> None:
        self._stack[item.key] = _State.WARM
        self._stack.move_to_end(item.key)
        self._warm.push(item)
        self._prune()
        self._cool_down()

    def _fill_up(self) -> None:
        """Let the first that came be warm, as nothing is known of anyone, and the last cold."""
        cold: list[Item] = []
        while self._warm.size_bytes > self._warm_bytes_max and len(self._warm) > 1:
            item = self._warm.take(next(reversed(self._stack)))
            assert item is not None, "all are warm"
            self._stack.move_to_end(item.key, last=False)
            cold.append(item)
        for item in reversed(cold):
            self._stack[item.key] = _State.COLD
            self._stack.move_to_end(item.key)
            self._cold.push(item)

    def _cool_down(self) -> None:
        """Take the warmth from those that were not used for longest, until the rest has room."""
        while self._warm.size_bytes > self._warm_bytes_max:
            item = self._warm.take(next(iter(self._stack)))
            assert item is not None, "the oldest of the stack is warm"
            del self._stack[item.key]
            self._cold.push(item)
            self._prune()

    def _let_go(self, key: bytes) -> bytes:
        if key in self._stack:
            self._stack[key] = _State.GONE
            count_max = GHOSTS_PER_ITEM * (len(self._warm) + len(self._cold) + 1)
            for forgotten in self._ghosts.add(key, count_max):
                del self._stack[forgotten]
        return key

    def _prune(self) -> None:
        """Keep a warm item at the bottom of the stack: below it nobody can become warm."""
        while self._stack:
            key, state = next(iter(self._stack.items()))
            if state is _State.WARM:
                return
            del self._stack[key]
            self._ghosts.take(key)
