"""Several policies play by themselves; what memory holds follows the one that lately saved most. Pure.

After each request every expert is credited with what its own cache would have saved; credit fades. When room is needed,
what goes is something that the leader's cache does not hold, in the order in which the leader let go. So memory turns
into the leader's cache step by step; a change of the leader costs nothing at once, and in the long run memory saves
what the best expert would, less what is lost between two leaders.

Following the leader: N. Littlestone, M. Warmuth, "The weighted majority algorithm", 1994; for caches: I. Ari et al.,
"ACME: adaptive caching using multiple experts", 2002.
"""

from collections import deque
from collections.abc import Collection, Iterator

from penstock_cache.replacement.expert import Expert
from penstock_cache.replacement.foresight import Foresight
from penstock_cache.replacement.lirs import Lirs
from penstock_cache.replacement.queue import Item
from penstock_cache.replacement.s3fifo import S3Fifo
from penstock_cache.replacement.worth import Worth

# Credit halves within about so many requests; a cache with more items waits longer for its hits.
MEMORY_REQUESTS = 100_000
MEMORY_REQUESTS_PER_ITEM = 20
# What another expert must have saved more than the leader, to lead, where few answers are worth most of all: there one
# lucky hit counts like a thousand others. Where all are worth the same it need not.
LEAD_SHARE_MIN = 0.01
_CREDIT_UNIT_MAX = 1e100


class Worths:
    """How much the worths of what came in differ."""

    __slots__ = ("_count", "_squares", "_sum")

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = 0.0

    def add(self, worth: float) -> None:
        """Count one in."""
        self._count += 1
        self._sum += worth
        self._squares += worth * worth

    def inequality(self) -> float:
        """Give 0 when all were equal, and near 1 when few were worth most: 1 − mean² ÷ mean of squares."""
        return 1.0 - self._sum * self._sum / (self._count * self._squares) if self._squares else 0.0


class Mixture:
    """Decides what leaves."""

    def __init__(self) -> None:
        self._experts: tuple[Expert, ...] = (
            Worth(),  # leads until it is known who saves more: it needs to learn nothing
            Foresight(),
            Lirs(),
            S3Fifo(),
        )
        self.credits = [0.0] * len(self._experts)
        self._credit_unit = 1.0  # grows, which is the same as all credit fading
        self._leader = 0
        self._worths = Worths()
        self._released: tuple[deque[bytes], ...] = tuple(deque() for _ in self._experts)

    def leader(self) -> int:
        """Give the number of the expert that lately saved most, beyond what may be luck."""
        most = max(self.credits)
        if most > self.credits[self._leader] * (1 + LEAD_SHARE_MIN * self._worths.inequality()):
            self._leader = self.credits.index(most)
        return self._leader

    def hit(self, item: Item, held_bytes: int, items: int) -> None:
        """Tell of a request for what memory holds; experts that do not hold it would have had to fetch it."""
        for number, expert in enumerate(self._experts):
            if expert.hit(item.key) is not None:
                self.credits[number] += item.worth * self._credit_unit
            else:
                expert.insert(item)
                self._released[number].extend(expert.shrink(held_bytes))
        self._fade(items)

    def miss(self, key: bytes, items: int) -> None:
        """Tell of a request for what memory does not hold; experts that do would have saved its worth."""
        for number, expert in enumerate(self._experts):
            item = expert.hit(key)
            if item is not None:
                self.credits[number] += item.worth * self._credit_unit
        self._fade(items)

    def insert(self, item: Item) -> None:
        """Take in an item; experts that hold it already need not be told."""
        self._worths.add(item.worth)
        for expert in self._experts:
            if item.key not in expert:
                expert.insert(item)

    def discard(self, key: bytes) -> None:
        """Forget a key altogether."""
        for expert in self._experts:
            expert.discard(key)

    def victims(self, held: Collection[bytes], bytes_max: int) -> Iterator[bytes]:
        """Give what should leave, one after the other, for so many bytes to be held at most."""
        for expert, released in zip(self._experts, self._released, strict=True):
            released.extend(expert.shrink(bytes_max))
            if len(released) > 2 * len(held) + 64:
                self._tidy(released, held, expert)
        leader = self.leader()
        expert, released = self._experts[leader], self._released[leader]
        while True:
            while released:
                key = released.popleft()
                if key in held and key not in expert:
                    yield key
            self._tidy(released, held, expert)
            if not released:
                return

    def _fade(self, items: int) -> None:
        self._credit_unit *= 1 + 1 / (MEMORY_REQUESTS + MEMORY_REQUESTS_PER_ITEM * items)
        if self._credit_unit > _CREDIT_UNIT_MAX:
            self.credits = [credit / self._credit_unit for credit in self.credits]
            self._credit_unit = 1.0

    def _tidy(self, released: deque[bytes], held: Collection[bytes], expert: Expert) -> None:
        """Note whatever memory holds and an expert does not, in the order it was let go where that is known."""
        known = dict.fromkeys(key for key in released if key in held)
        known.update(dict.fromkeys(held))
        released.clear()
        released.extend(key for key in known if key not in expert)
