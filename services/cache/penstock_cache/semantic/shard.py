"""The questions of one organization, room by room, found by meaning. Nothing of another organization is here. Pure."""

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock_cache.entry import Entry, Label, Selector, key_of
from penstock_cache.index import Index
from penstock_cache.semantic.calibration import Calibration, probability
from penstock_cache.semantic.guard import failed_rule
from penstock_cache.semantic.room import Near, Room
from penstock_cache.semantic.sketch import Sketch, sketch
from penstock_cache.semantic.trust import EntryTrust, TenantTrust
from penstock_cache.semantic.vectors import Rows, Vector

# Of a question beside its vector: 1,000 for sketch, labels and places, as tracemalloc measures, and what its block of
# vectors has grown ahead.
OVERHEAD_BYTES = 2600
STALE_MIN = 1024
BARRED_MAX = 1024

# The room's secret, the digest of the conversation before, and the length of vectors, so that encoders never meet.
RoomKey = tuple[bytes, bytes, int]


class Candidate(NamedTuple):
    """A kept question that asks the same."""

    key: bytes
    similarity: float
    confidence: float


@dataclass(slots=True)
class Kept:
    """A question whose answer is kept elsewhere, under its key."""

    room: RoomKey
    sketch: Sketch
    labels: frozenset[Label]
    expires_at: float
    trust: EntryTrust = field(default_factory=EntryTrust)


class SemanticShard:
    """Questions by key, in the order of their last use, and their vectors by room."""

    def __init__(self, calibration: Calibration, wrong_share_max: float) -> None:
        self.trust = TenantTrust(wrong_share_max)
        self.rooms: dict[RoomKey, Room] = {}
        self.size_bytes = 0
        self._calibration = calibration
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._labels: Index[Label] = Index()
        self._expiry: list[tuple[float, bytes]] = []
        self._barred: OrderedDict[bytes, None] = OrderedDict()  # wrong too often; the oldest goes first

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def lacks(self, key: bytes) -> bool:
        """Tell whether a question is not kept, and may be."""
        return key not in self._kept and key not in self._barred

    def find(self, room: RoomKey, vectors: Rows, texts: Sequence[str], now: float) -> list[list[Candidate]]:
        """Give, for each question of a room, the kept questions that ask the same, surest first."""
        held = self.rooms.get(room)
        if held is None:
            return [[] for _ in texts]
        return [self._checked(near, text, now) for near, text in zip(held.near(vectors), texts, strict=True)]

    def use(self, key: bytes) -> None:
        """Count a use, if it is still there."""
        if key in self._kept:
            self._kept.move_to_end(key)

    def put(self, room: RoomKey, entry: Entry, vector: Vector, text: str) -> None:
        """Keep a question; what was learnt about it stays when it comes again."""
        known = self._kept.get(entry.key)
        kept = Kept(room, sketch(text), entry.labels, entry.expires_at)
        if known is not None:
            kept.trust = known.trust
            self.discard(entry.key)
        self._kept[entry.key] = kept
        held = self.rooms.get(room)
        if held is None:
            held = self.rooms[room] = Room(len(vector))
        held.vectors.add(entry.key, vector)
        self.size_bytes += vector.nbytes + OVERHEAD_BYTES
        for label in kept.labels:
            self._labels.add(label, entry.key)
        heapq.heappush(self._expiry, (kept.expires_at, entry.key))

    def discard(self, key: bytes) -> int:
        """Forget a question, its vector overwritten; give how many there were."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return 0
        room = self.rooms[kept.room]
        self.size_bytes -= room.discard(key) + OVERHEAD_BYTES
        if not room.vectors:
            del self.rooms[kept.room]
        for label in kept.labels:
            self._labels.discard(label, key)
        return 1

    def forget(self, selector: Selector) -> int:
        """Forget what a selector names; give how many."""
        kind, value = selector
        if kind == "entry_id":
            keys = [key for key in (key_of(value),) if key in self._kept]
        elif kind == "everything":
            keys = list(self._kept)
        else:
            keys = self._labels.keys((kind, value))
        for room in {self._kept[key].room for key in keys}:
            self.rooms[room].forget_backdrop()
        return sum(map(self.discard, keys))

    def evict(self) -> int:
        """Drop the question that was not used for longest; give how many bytes that was."""
        before = self.size_bytes
        self.discard(next(iter(self._kept)))
        return before - self.size_bytes

    def expire(self, now: float, entries_max: int) -> int:
        """Drop questions past their time, so many at most; give how many."""
        count = 0
        while self._expiry and self._expiry[0][0] <= now and count < entries_max:
            _, key = heapq.heappop(self._expiry)
            if key in self._kept and self._kept[key].expires_at <= now:
                count += self.discard(key)
        self._drop_stale()
        return count

    def learn(self, key: bytes, *, wrong: bool) -> None:
        """Learn whether an entry's answer fitted another question; one that is wrong too often gives no more."""
        if not self._kept[key].trust.observe(wrong=wrong):
            self.discard(key)
            self._barred[key] = None
            if len(self._barred) > BARRED_MAX:
                self._barred.popitem(last=False)

    def _checked(self, near: Sequence[Near], text: str, now: float) -> list[Candidate]:
        if not near:
            return []
        asked = sketch(text)
        found = [candidate for one in near if (candidate := self._check(one, asked, now))]
        return sorted(found, key=_confidence, reverse=True)

    def _check(self, near: Near, asked: Sketch, now: float) -> Candidate | None:
        kept = self._kept[near.key]
        if now >= kept.expires_at:
            return None
        log_odds = self._calibration.log_odds(asked, kept.sketch, near.distance)
        if log_odds < self._calibration.floor + self.trust.stricter + kept.trust.stricter:
            return None
        if failed_rule(asked, kept.sketch):
            return None
        return Candidate(near.key, near.similarity, probability(log_odds))

    def _drop_stale(self) -> None:
        """Rebuild the order of expiry when most of it is of questions that are gone, so that it stays bounded."""
        if len(self._expiry) > 2 * len(self._kept) + STALE_MIN:
            self._expiry = [(kept.expires_at, key) for key, kept in self._kept.items()]
            heapq.heapify(self._expiry)


def _confidence(candidate: Candidate) -> float:
    return candidate.confidence
